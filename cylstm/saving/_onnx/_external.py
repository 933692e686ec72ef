"""The data of tensors in files of their own, beside the model's and nowhere else.

A file that names other files could have any file read. So a name leads downwards from the
folder of the model; no part of the way is a link, symbolic or hard; and what it leads to is a
regular file that is long enough.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

__all__ = ["Folder"]

_KEYS = {"location", "offset", "length", "checksum"}
_NO_NAMES = {"", ".", ".."}
_LARGEST = 2**62


class Folder:
    """The folder of a model, from which the data of its tensors are read.

    Parameters
    ----------
    path : str or path
        The file of the model.
    room : int
        How many bytes may be read in all.
    """

    def __init__(self, path: str | os.PathLike[str], room: int) -> None:
        self._path = os.path.dirname(os.path.abspath(path))
        self._room = room
        self.taken = 0  # bytes so far

    def read(self, entries: Mapping[str | None, str | None], size: int, what: str) -> bytes:
        """The data of a tensor.

        Parameters
        ----------
        entries : dict
            location: the path, with slashes; offset and length: where in the file, by default
            from its beginning to its end. A checksum, which writers do not agree on, is not used.
        size : int
            How many bytes the tensor has.
        what : str
            The tensor, in errors.

        Raises
        ------
        ValueError
            If the location leads elsewhere, or there are not as many bytes.
        OSError
            If the file cannot be read.
        """
        if not entries.keys() <= _KEYS:
            raise ValueError(f"{what} has the external data {sorted(map(str, entries))}")
        location = entries.get("location") or ""
        offset = _number(entries.get("offset"), 0, f"the offset of {what}")
        length = _number(entries.get("length"), size, f"the length of {what}")
        if length != size:
            raise ValueError(f"{what} has {length} bytes, and its shape and type need {size}")
        parts = _parts(location, what)
        self.taken += size
        if self.taken > self._room:
            raise ValueError(f"{what} has {size} bytes, more than max_size allows")
        descriptor = self._opened(parts, what, location)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise ValueError(f"{what} is in {location!r}, which is linked or no regular file")
            if size > found.st_size - offset:
                raise ValueError(
                    f"{what} has {size} bytes from {offset} of {location!r}, which has "
                    f"{found.st_size}"
                )
            file.seek(offset)
            return file.read(size)

    def _opened(self, parts: list[str], what: str, location: str) -> int:
        """A descriptor of the file; every folder on the way is looked at before it is entered."""
        path = self._path
        for i, name in enumerate(parts):
            path = os.path.join(path, name)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                raise ValueError(f"{what} is in {location!r}, which is not there") from None
            if not (stat.S_ISREG if i + 1 == len(parts) else stat.S_ISDIR)(mode):
                raise ValueError(f"{what} is in {location!r}, of which {name!r} is a link or odd")
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        if os.open not in os.supports_dir_fd:
            return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
        # Again from folder to folder: names may have become links meanwhile.
        folder = os.open(self._path, os.O_RDONLY)
        for i, name in enumerate(parts):
            try:
                kind = flags if i + 1 == len(parts) else os.O_RDONLY | os.O_DIRECTORY
                inner = os.open(name, kind | os.O_NOFOLLOW, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
        return folder


def _parts(location: str, what: str) -> list[str]:
    parts = location.removeprefix("./").split("/")
    if _NO_NAMES & set(parts) or re.search(r"[\\:\0]", location):
        raise ValueError(
            f"{what} is in {location!r}: data are read from the folder of the model only, by a "
            "path that leads downwards"
        )
    return parts


def _number(text: str | None, default: int, what: str) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > _LARGEST:
        raise ValueError(f"{what} is {text!r}, which is no number of bytes")
    return int(text)
