"""The tests, run with an installed wheel, in an empty folder, by several Pythons.

    python tools/try_wheel.py WHEEL [PYTHON ...] [--oldest] [-- PYTEST'S]

Each interpreter gets an environment of its own with the wheel, the newest releases that it needs,
and what the tests need, all from wheels. With --oldest these are the oldest releases that
pyproject.toml allows, which there are wheels of for the first of `SUPPORTED`. Without names, all
Pythons of `SUPPORTED` on the PATH are taken. The tests are those of the checkout, in a copy without
anything compiled; they run in an empty folder.

A package of the extra `test` that there is no wheel of, for this Python and NumPy, is left out and
said (pyfive needs NumPy 2). Tests that an ImportError ends which names it are skipped, by
`left_out.py`; no other test is.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
NOT_COPIED = shutil.ignore_patterns(
    ".*_cache", ".git", ".hypothesis", ".venv", "*.egg-info", "*.pyd", "*.so", "__pycache__",
    "build", "dist", "venv",
)  # fmt: skip
# What is tested, and that it is what was installed.
PROGRAM = """
import platform, sys, cylstm, numpy, safetensors, scipy
assert cylstm.__file__.startswith(sys.prefix), cylstm.__file__
print(f"Python {platform.python_version()}, NumPy {numpy.__version__}, SciPy {scipy.__version__}, "
      f"safetensors {safetensors.__version__}: cylstm {cylstm.__version__}", flush=True)
"""


def runs(python: str) -> bool:
    """Whether a command is a Python that works; one that only selects others may not have it."""
    found = shutil.which(python)
    return (
        found is not None
        and subprocess.run([found, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    )


def oldest(pyproject: str) -> list[str]:
    """Requirements of the oldest releases that the dependencies of a pyproject.toml allow."""
    needed = tomllib.loads(pyproject)["project"]["dependencies"]
    floors = [re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement) for requirement in needed]
    if not all(floors):
        raise ValueError(f"dependencies should be of the form NAME>=VERSION; they are {needed}")
    return [f"{found[1]}=={found[2]}.*" for found in floors if found]


def needed_by_tests(pyproject: str) -> dict[str, str]:
    """The requirements of the extra `test`, by the names of their packages."""
    extra = tomllib.loads(pyproject)["project"]["optional-dependencies"]["test"]
    return {re.split(r"[^\w-]", requirement)[0]: requirement for requirement in extra}


def install(
    python: str,
    wheel: str,
    pinned: Sequence[str],
    needed: Mapping[str, str],
    environment: Mapping[str, str],
) -> list[str]:
    """Install a wheel and requirements by an interpreter; the names of those that could not be.

    What is pinned must be there, in every step, so that none is replaced by another release. Then
    there is no step for all: where they do not fit together, pip may look for hours.
    """
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", wheel, *pinned]
    if not pinned:
        together = subprocess.run([*pip, *needed.values()], env=environment, capture_output=True)
        if together.returncode == 0:
            return []
    subprocess.run(pip, check=True, env=environment)
    return [
        name
        for name, requirement in needed.items()
        if subprocess.run([*pip, requirement], env=environment, capture_output=True).returncode
    ]


def test(
    python: str,
    wheel: Path,
    oldest: Sequence[str],
    needed: Mapping[str, str],
    arguments: Sequence[str],
) -> int:
    """Install a wheel and what is needed, and run pytest; its exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        own = str(folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
        missing = install(own, str(wheel.resolve()), oldest, needed, environment)
        copy, empty, plugin = folder / "checkout", folder / "empty", folder / "plugin"
        shutil.copytree(CHECKOUT, copy, ignore=NOT_COPIED)
        empty.mkdir()
        subprocess.run([own, "-c", PROGRAM], check=True, cwd=empty, env=environment)
        command = [own, "-m", "pytest", "-c", str(copy / "pyproject.toml"), "--rootdir", str(copy)]
        if missing:
            print(f"Left out, as there is no wheel that fits: {', '.join(missing)}", flush=True)
            plugin.mkdir()
            shutil.copy(Path(__file__).with_name("left_out.py"), plugin)
            environment |= {"PYTHONPATH": str(plugin), "LEFT_OUT": ",".join(missing)}
            command += ["-p", "left_out"]
        # A path that is given stands for that of the copy.
        given = [str(copy / a) if (CHECKOUT / a).exists() else a for a in arguments]
        paths = [] if any(a.startswith(str(copy)) for a in given) else [str(copy / "tests")]
        return subprocess.run([*command, *given, *paths], env=environment, cwd=empty).returncode


def main() -> int:
    """Test with each interpreter; 1 if tests failed with any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("pythons", nargs="*", help="commands or paths of interpreters")
    parser.add_argument("--oldest", action="store_true", help="the oldest NumPy and SciPy")
    own, arguments = sys.argv[1:], []
    if "--" in own:
        own, arguments = own[: own.index("--")], own[own.index("--") + 1 :]
    given = parser.parse_args(own)
    pythons = given.pythons or [p for p in map("python{}".format, SUPPORTED) if runs(p)]
    if not given.wheel.is_file():
        parser.error(f"there is no wheel {given.wheel}: tools/build_wheel.py builds one")
    if not pythons or not all(map(runs, pythons)):
        parser.error(f"no working Python: {', '.join(p for p in pythons if not runs(p)) or 'none'}")
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    pinned, needed = oldest(text) if given.oldest else [], needed_by_tests(text)
    failed = [p for p in pythons if test(p, given.wheel, pinned, needed, arguments)]
    print(f"{len(pythons) - len(failed)} of {len(pythons)} Pythons pass")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
