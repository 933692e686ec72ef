"""C libraries behind small drivers in C, which are built when they are first used."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.machine import compiler

__all__ = ["address", "aligned", "built", "found_header"]

PREFIXES = (Path(sys.prefix), Path("/usr/local"), Path("/usr"))


def found_header(name: str) -> Path | None:
    """The prefix whose folder "include" has this header; None if there is none."""
    return next((prefix for prefix in PREFIXES if (prefix / "include" / name).exists()), None)


def cache_folder() -> Path:
    """Where drivers are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cylstm-bench"


def built(source: Path, flags: Sequence[str]) -> ctypes.CDLL:
    """Load a driver; compile it before, unless the same source has been compiled so already.

    Parameters
    ----------
    source : Path
        A file of C.
    flags : sequence of str
        For the compiler, after the source.

    Raises
    ------
    RuntimeError
        If it cannot be compiled.
    """
    name = compiler()
    if name is None:
        raise RuntimeError("there is no C compiler")
    command = [name, "-O3", "-fPIC", "-shared", str(source), *flags]
    digest = hashlib.sha256(source.read_bytes() + "\0".join(command).encode()).hexdigest()[:16]
    library = cache_folder() / f"{source.stem}-{digest}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        made = library.with_suffix(f".{os.getpid()}")  # processes may build it at the same time
        run = subprocess.run(
            [*command, "-o", str(made)], capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            errors = [line for line in run.stderr.splitlines() if "error" in line] or [run.stderr]
            raise RuntimeError(f"{source.name} cannot be compiled: {errors[0]}")
        made.replace(library)
    return ctypes.CDLL(str(library))


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy in C order that starts at a cache line."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def address(array: np.ndarray) -> ctypes.c_void_p:
    """Where its numbers are; whoever uses it keeps the array."""
    return ctypes.c_void_p(array.ctypes.data)
