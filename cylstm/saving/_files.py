"""The reading end of files: only regular ones, and not larger than allowed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

__all__ = ["check_size", "opened"]


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file for reading.

    Parameters
    ----------
    path : str or path
        A regular file, or a link to one.

    Yields
    ------
    file : binary file
    size : int
        Its number of bytes.

    Raises
    ------
    ValueError
        If there is something else than a regular file, such as a pipe that one would wait for.
    OSError
        If there is no such file, or it cannot be read.
    """
    # Asked before opening, as that alone would wait for the other end of a pipe.
    _check_regular(os.stat(path).st_mode)
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status.st_mode)
        yield file, status.st_size


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ValueError("it is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise ValueError("it is no regular file")


def check_size(size: int, max_size: int) -> None:
    """Refuse a file that is larger than allowed.

    Parameters
    ----------
    size, max_size : int
        How many bytes it has, and may have.

    Raises
    ------
    ValueError
        If there are more.
    """
    if size > max_size:
        raise ValueError(
            f"it has {size} bytes, and at most {max_size} are allowed: give max_size={size} "
            "if you trust it"
        )
