"""Zip archives: members are read into memory, by names and sizes that were checked before.

Nothing is extracted to the disk. What an archive declares is held against what it has: members
take as much as they say, and not far more than is stored.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from cylstm.saving._files import Bounded, check_size, opened

__all__ = ["Archive", "encode", "first_name", "opened_archive"]

MAGIC = b"PK\x03\x04"
_END = b"PK\x05\x06"
_LONGEST_END = 2**16 + 22  # the last record with its comment
_LARGEST_LIST = 2**20  # bytes of the list of members
_MOST_MEMBERS = 4096
_RATIO = 100  # bytes that come out, to bytes in the file
_FREE = 2**24  # bytes that may come out of any file
_DATE = (1980, 1, 1, 0, 0, 0)  # the same contents are the same bytes


def first_name(head: bytes) -> str | None:
    """The name of the first member, from the first bytes of a file; None if it is no archive.

    Examples
    --------
    >>> first_name(encode({"config.json": b"{}"})[:64])
    'config.json'
    """
    if not head.startswith(MAGIC) or len(head) < 30:
        return None
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length].decode("utf-8", "replace")


class Archive:
    """An open archive.

    Parameters
    ----------
    file : binary file
        Open for reading.
    size : int
        Its number of bytes.
    max_size : int
        How many bytes its members may have in all.
    most_members : int, default 4096
        How many of them there may be.

    Attributes
    ----------
    names : list of str
        Of its members.
    """

    def __init__(
        self, file: BinaryIO, size: int, max_size: int, most_members: int = _MOST_MEMBERS
    ) -> None:
        _check_end(file, size)
        try:
            self._zip = zipfile.ZipFile(Bounded(file, size))
        except zipfile.BadZipFile as error:
            raise ValueError(f"it is no zip archive or cut off: {error}") from None
        members = self._zip.infolist()
        self.names = [member.filename for member in members]
        if len(members) > most_members:
            raise ValueError(f"it has {len(members)} members; at most {most_members} are read")
        if len(set(self.names)) < len(members):
            raise ValueError("two of its members have the same name")
        left = min(max_size, _FREE + _RATIO * size)
        for member in members:
            _check_member(member)
            left -= member.file_size
        if left < 0:
            raise ValueError("its members are larger than what is stored accounts for")

    def read(self, name: str) -> bytes:
        """The contents of a member; ValueError where there is none or it is damaged."""
        member = self._member(name)
        try:
            with self._zip.open(member) as file:
                data = file.read(member.file_size + 1)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"its member {name!r} is damaged or cut off: {error}") from None
        if len(data) != member.file_size:
            raise ValueError(f"its member {name!r} has not the {member.file_size} bytes it says")
        return data

    def size(self, name: str) -> int:
        """How many bytes a member says it has; ValueError where there is none."""
        return self._member(name).file_size

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(name)
        except KeyError:
            raise ValueError(f"it has no member {name[:200]!r}") from None


def _check_end(file: BinaryIO, size: int) -> None:
    """Refuse a list of members that takes long before it is read."""
    file.seek(max(0, size - _LONGEST_END))
    end = file.read(_LONGEST_END)
    file.seek(0)
    at = end.rfind(_END)
    if at < 0 or len(end) - at < 22:
        raise ValueError("it is no zip archive or cut off: its end is missing")
    listed = int.from_bytes(end[at + 12 : at + 16], "little")
    if listed > _LARGEST_LIST:
        raise ValueError(f"the list of its members takes {listed} bytes")


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"it has a member of the name {name[:100]!r}, which is not read")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its member {name!r} is compressed in a way that is not read")
    if member.flag_bits & 1:
        raise ValueError(f"its member {name!r} is encrypted")


@contextmanager
def opened_archive(path: str | os.PathLike[str], max_size: int) -> Iterator[Archive]:
    """Open an archive.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        How many bytes it and its members may have.

    Raises
    ------
    ValueError
        If it is larger, no archive, or its members are not as they must be.
    OSError
        If it cannot be read.
    """
    with opened(path) as (file, size):
        check_size(size, max_size)
        yield Archive(file, size, max_size)


def encode(members: Mapping[str, bytes]) -> bytes:
    """An archive of these members, uncompressed.

    Parameters
    ----------
    members : dict of bytes
        By name.

    Examples
    --------
    >>> Archive(io.BytesIO(encode({"a": b"x"})), 200, 1000).read("a")
    b'x'
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return buffer.getvalue()
