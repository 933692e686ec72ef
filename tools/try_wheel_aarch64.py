"""Some of the tests, run with the aarch64 wheel in an emulator, on Debian or Ubuntu.

    apt-get install qemu-user-static gcc-aarch64-linux-gnu
    python tools/build_wheel.py --target aarch64
    python tools/try_wheel_aarch64.py dist/cylstm-*aarch64.whl [ARGUMENTS OF PYTEST]

A Python for arm64 is unpacked beside the system, from the packages of the system's own release,
with NumPy and SciPy of PyPI: some 65 MB to download. Nothing is installed; all is gone at the end.
The emulator takes hundreds of times as long for a product of matrices, and starts no subprocess: so
`TESTS` are those that compute little, in this process. They show that NEON is what the kernels use,
and that they give what TensorFlow 1.4 computed. It says how many seconds have passed: under 300.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/test_tensorflow_lstm_cases.py",
    "tests/test_kernels.py::test_numpy_finds_the_same_instruction_sets",
    "tests/layers/test_streams.py",
    "tests/test_core_tables.py",
)
PROGRAM = """
import platform, cylstm, numpy, scipy
from cylstm import _core
print(f"Python {platform.python_version()} for {platform.machine()}, NumPy {numpy.__version__}, "
      f"SciPy {scipy.__version__}: cylstm {cylstm.__version__}, which uses {_core.isa()}")
assert _core.isa() == "neon", _core.isas()
"""
GLIBC = (17, 27, 28)  # of the wheels of NumPy and SciPy, and of this one


def unpack_python(root: Path) -> Path:
    """Put the arm64 Python of this system's release into a folder; the interpreter."""
    state = root.with_name("apt")
    for folder in ("state/lists/partial", "cache/archives/partial", "empty"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": f"{state}/state",
        "Dir::State::status": f"{state}/status",
        "Dir::Cache": f"{state}/cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    subprocess.run([*apt, "update"], check=True)
    wanted = ["python3", "libstdc++6"]  # NumPy and SciPy need the latter
    download = [*apt, "--download-only", "--no-install-recommends", "--yes", "install", *wanted]
    subprocess.run(download, check=True, stdout=subprocess.DEVNULL)
    for package in sorted((state / "cache/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    return (root / "usr/bin/python3").resolve()


def install(wheel: Path, python: Path, site: Path) -> None:
    """Unpack a wheel, and what it and these tests need, for that interpreter."""
    version = python.name.removeprefix("python")
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC]
    abis = [f"--abi={abi}" for abi in (f"cp{version.replace('.', '')}", "abi3", "none")]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", site, *platforms, *abis,
         "--implementation=cp", f"--python-version={version}", "--only-binary=:all:",
         wheel, "hypothesis", "pytest"],
        check=True,
    )  # fmt: skip


def run(wheel: Path, arguments: Sequence[str]) -> int:
    """Test that wheel; pytest's exit status."""
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if qemu is None or shutil.which("apt-get") is None:
        print("qemu-aarch64 and apt-get are needed: install qemu-user-static", file=sys.stderr)
        return 2
    began = time.monotonic()

    def passed(what: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        root, site, empty = (Path(name) / part for part in ("root", "site", "empty"))
        root.mkdir()
        empty.mkdir()
        python = unpack_python(root)
        passed("a Python is there")
        install(wheel, python, site)
        passed("the wheel is there, and what it needs")
        emulated = [qemu, "-L", str(root), str(python)]
        environment = os.environ | {
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        subprocess.run([*emulated, "-c", PROGRAM], env=environment, cwd=empty, check=True)
        passed("it is imported")
        tests = [str(CHECKOUT / path) for path in TESTS]
        pytest = ["-m", "pytest", "-c", str(CHECKOUT / "pyproject.toml"), "-p", "no:cacheprovider"]
        command = [*emulated, *pytest, *arguments, *tests]
        status = subprocess.run(command, env=environment, cwd=empty, check=False).returncode
        passed(f"the tests {'failed' if status else 'passed'}")
        return status


def main() -> int:
    """Test the wheel that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    given, arguments = parser.parse_known_args()
    if not given.wheel.is_file():
        parser.error(f"there is no wheel {given.wheel}")
    return run(given.wheel.resolve(), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
