"""The wheel of a platform: built from the sdist, checked, and compared with a second build.

    pip install '.[wheel]'
    python tools/build_wheel.py [--target aarch64] [--twice] [--into dist]

The sdist is made of the checkout, and the wheel of the unpacked sdist, in an environment with what
pyproject.toml requires. A wheel for another machine than this one needs its compiler: Debian's
packages gcc-aarch64-linux-gnu and musl-tools have those of `TARGETS`. The wheel is then

- given its manylinux tag by auditwheel, which fails where it needs a newer C library than NumPy's
  wheels do; one for musl, which auditwheel cannot read elsewhere, is given its tag as it is;
- deflated anew by zopfli, which takes seconds for 3 % of the size, without entries of folders;
- held against the limits of size, and read by abi3audit, check-wheel-contents and twine.

With --twice it is built again in another folder, and must be the same bytes. All files in it carry
the date of SOURCE_DATE_EPOCH, or `EPOCH`. The exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from build import ProjectBuilder

CHECKOUT = Path(__file__).resolve().parents[1]
EPOCH = "1577836800"  # the first second of 2020
WHEEL_LIMIT, INSTALLED_LIMIT = 1_000_000, 3_000_000  # bytes
NEWEST_GLIBC = 28  # 2.28, that of NumPy's and SciPy's wheels


@dataclass(frozen=True)
class Target:
    """What wheels are built for: the machine, its compiler elsewhere, the tag if none is found."""

    machine: str
    compiler: str
    tag: str = ""


TARGETS = {
    "x86_64": Target("x86_64", "x86_64-linux-gnu-gcc"),
    "aarch64": Target("aarch64", "aarch64-linux-gnu-gcc"),
    "musl": Target(platform.machine(), "musl-gcc", f"musllinux_1_2_{platform.machine()}"),
}


class CheckError(Exception):
    """A wheel that is not as it must be, or that cannot be built here."""


def environment_for(target: Target) -> dict[str, str]:
    """What the environment of a build gets in addition: where need be, another compiler."""
    added = {"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH)}
    if target.machine == platform.machine() and not target.tag:
        return added
    if shutil.which(target.compiler) is None:
        raise CheckError(f"{target.compiler} was not found: it is needed to build for this target")
    return added | {
        "_PYTHON_HOST_PLATFORM": f"linux-{target.machine}",
        "CC": target.compiler,
        "LDSHARED": f"{target.compiler} -shared",
    }


def quietly(
    command: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
) -> None:
    """Run a command of a build; what it prints is shown only if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (extra_environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(f"{' '.join(map(str, command))} failed:\n{done.stdout}")


def builder_of(source: Path, python: str, added: Mapping[str, str]) -> ProjectBuilder:
    """The build of a source folder by an interpreter, with additions to its environment."""
    from build import ProjectBuilder

    def run(
        command: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        quietly(command, cwd, {**added, **(extra_environ or {})})

    return ProjectBuilder(source, python_executable=python, runner=run)


def built(sdist: Path, folder: Path, python: str, target: Target) -> Path:
    """A wheel with its final name, made of the sdist in a folder of its own."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    added = environment_for(target)
    raw = builder_of(source, python, added).build("wheel", folder / "raw")
    finished = folder / "finished"
    if not target.tag:
        tool("auditwheel", "repair", "--wheel-dir", finished, raw, added=added)
    else:
        tool("wheel", "tags", "--platform-tag", target.tag, raw, added=added)
        finished.mkdir()
        for path in Path(raw).parent.glob(f"*{target.tag}.whl"):
            path.rename(finished / path.name)
    (wheel,) = finished.glob("*.whl")
    return deflated(wheel, folder / "deflated")


def deflated(wheel: Path, into: Path) -> Path:
    """The same files in a smaller wheel of that name, in a folder that is made."""
    try:
        import zopfli
    except ModuleNotFoundError as error:
        raise CheckError("zopfli was not found: pip install '.[wheel]'") from error
    into.mkdir()
    smaller = into / wheel.name
    with zipfile.ZipFile(wheel) as old, zopfli.ZipFile(smaller, "w") as new:
        for entry in files_of(old):
            new.writestr(entry, old.read(entry))
    check_files(wheel, smaller)
    return smaller


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """What is in it, but for folders, which auditwheel names and no installer needs."""
    return [entry for entry in archive.infolist() if not entry.is_dir()]


def check_files(first: Path, second: Path) -> None:
    """Two wheels must have the same files, in one order, with the same dates and permissions."""
    found = []
    for path in (first, second):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise CheckError(f"{damaged} is damaged in {path}")
            found.append(
                [(e.filename, e.date_time, e.external_attr, e.CRC) for e in files_of(archive)]
            )
    if found[0] != found[1]:
        raise CheckError(f"the files of {first} and of {second} differ")


def tool(name: str, *arguments: str | Path, added: Mapping[str, str] | None = None) -> None:
    """Run a tool that is installed beside this interpreter."""
    scripts = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    command = shutil.which(name, path=scripts)
    if command is None:
        raise CheckError(f"{name} was not found: pip install '.[wheel]'")
    quietly([command, *map(str, arguments)], None, {"PATH": scripts, **(added or {})})


def check_tags(wheel: Path) -> None:
    """For every Python from 3.11 on, and for systems as old as NumPy's wheels serve."""
    name, _, python, abi, tags = wheel.stem.split("-")
    if (name, python, abi) != ("cylstm", "cp311", "abi3"):
        raise CheckError(f"{wheel.name} is not a wheel cp311-abi3 of cylstm")
    known = re.findall(r"(?:^|\.)(?:manylinux_2_(\d+)|(musllinux_1_[12]))_\w+", tags)
    if not known or any(glibc and int(glibc) > NEWEST_GLIBC for glibc, _ in known):
        raise CheckError(f"{wheel.name} does not serve glibc 2.{NEWEST_GLIBC}, nor musl")


def check_sizes(wheel: Path) -> str:
    """The sizes of a wheel, as text; an error if they are above the limits."""
    with zipfile.ZipFile(wheel) as archive:
        installed = sum(entry.file_size for entry in archive.infolist())
    size = wheel.stat().st_size
    if size > WHEEL_LIMIT or installed > INSTALLED_LIMIT:
        raise CheckError(
            f"{wheel.name} has {size:,} bytes and {installed:,} installed; "
            f"the limits are {WHEEL_LIMIT:,} and {INSTALLED_LIMIT:,}"
        )
    return f"{size:,} bytes, {installed:,} installed"


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_same(first: Path, second: Path) -> None:
    """Two builds must have one name, and the same bytes."""
    if (first.name, digest(first)) != (second.name, digest(second)):
        raise CheckError(f"two builds differ: {first} {digest(first)}, {second} {digest(second)}")


def check(wheel: Path) -> None:
    """All checks of one wheel; a line for each that passed."""
    check_tags(wheel)
    print(f"{wheel.name}\n  {check_sizes(wheel)}")
    tool("abi3audit", "--strict", wheel)
    tool("check-wheel-contents", wheel)
    tool("twine", "check", "--strict", wheel)
    audited = "auditwheel, " if "manylinux" in wheel.name else ""
    print(f"  {audited}abi3audit, check-wheel-contents, twine: passed")


def make(target: Target, twice: bool, into: Path) -> Path:
    """Build and check the wheel of a target, and leave it in a folder."""
    try:
        from build.env import DefaultIsolatedEnv
    except ModuleNotFoundError as error:
        raise CheckError("build was not found: pip install '.[wheel]'") from error
    environment_for(target)  # a compiler that is missing is said before anything is installed
    with tempfile.TemporaryDirectory() as name, DefaultIsolatedEnv() as environment:
        scratch, python = Path(name), environment.python_executable
        builder = builder_of(CHECKOUT, python, {})
        environment.install(builder.build_system_requires)
        sdist = Path(builder.build("sdist", scratch / "sdist"))
        wheel = built(sdist, scratch / "first", python, target)
        check(wheel)
        if twice:
            check_same(wheel, built(sdist, scratch / "second" / "deeper", python, target))
            print("  the same bytes, built twice in two folders")
        print(f"  SHA-256 {digest(wheel)}")
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(wheel, into))


def main() -> int:
    """Build, check, and say where the wheel is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, default=platform.machine())
    parser.add_argument("--twice", action="store_true", help="build it again and compare")
    parser.add_argument("--into", type=Path, default=Path("dist"), help="the folder of the wheel")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("wheels for this system are built by cibuildwheel: see pyproject.toml")
    try:
        print(make(TARGETS[arguments.target], arguments.twice, arguments.into))
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
