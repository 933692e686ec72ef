"""The reading end of files: only regular ones, and not larger than allowed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

__all__ = ["Bounded", "check_size", "opened"]


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


class Bounded:
    """An open file within its size: nothing beyond is asked for, or allocated for it.

    Parameters
    ----------
    file : binary file
        Which can seek.
    size : int
        How many bytes it has.

    Examples
    --------
    >>> import io
    >>> file = Bounded(io.BytesIO(b"abc"), 3)
    >>> file.seek(1), file.read(2**60)
    (1, b'bc')
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def seekable(self) -> bool:
        """As of any file that can."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; ValueError where it is not in the file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._size}[whence]
        if not 0 <= start + offset <= self._size:
            raise ValueError(f"it refers to byte {start + offset}, and it has {self._size}")
        return self._file.seek(start + offset)

    def read(self, count: int = -1) -> bytes:
        """So many bytes, or those that there are."""
        left = self._size - self._file.tell()
        return self._file.read(left if count is None or count < 0 else min(count, left))
