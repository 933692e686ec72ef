"""The zip archives of PyTorch: what it stores, uncompressed, and nothing else that zip can do.

An entry is bytes between two places of the file, so nothing can unfold to more than was sent.

References
----------
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7, 4.3.12 to 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cylstm.saving._limits import check_count

__all__ = ["Archive"]

_END = struct.Struct("<4s4H2LH")  # the end of central directory record, without a comment
_LOCATOR = struct.Struct("<4sLQL")  # says where the next is
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")  # of the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # before the data
_UNKNOWN = 0xFFFFFFFF  # it is in the extra field instead
_ENTRIES, _BYTES_PER_ENTRY = 2_048, 128
_EXTRA_64 = 1


@dataclass(frozen=True)
class _Entry:
    place: int  # of its local header
    size: int
    crc: int
    is_plain: bool  # neither compressed nor encrypted


class Archive:
    """The entries of an archive, by name.

    Parameters
    ----------
    file : binary file
        Open for reading.
    size : int
        Its number of bytes.

    Raises
    ------
    ValueError
        If it is no zip archive, or one with a comment, bytes behind its end, or names that come
        twice.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        count, place, length = self._directory(size)
        if place + length > size:
            raise ValueError("its directory is not within the file")
        check_count(count, _ENTRIES + size // _BYTES_PER_ENTRY, "it has {} entries")
        self._data_end = place
        self._entries = dict(self._read_entries(count, self._at(place, length)))
        if len(self._entries) != count:
            raise ValueError("its directory has a name twice")

    @property
    def names(self) -> list[str]:
        """In the order of the directory."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """How many bytes an entry has; a ValueError if there is none, or it is compressed."""
        return self._entry(name).size

    def read(self, name: str) -> bytes:
        """All bytes of an entry; a ValueError if it is compressed, or its checksum is wrong."""
        entry = self._entry(name)
        head = self._at(entry.place, _LOCAL.size)
        signature, *_, name_length, extra_length = _LOCAL.unpack(head)
        start = entry.place + _LOCAL.size + name_length + extra_length
        if signature != b"PK\x03\x04" or start + entry.size > self._data_end:
            raise ValueError(f"its entry {name!r} is not within the file")
        if self._at(entry.place + _LOCAL.size, name_length) != name.encode():
            raise ValueError(f"its entry {name!r} has two names")
        data = self._at(start, entry.size)
        if zlib.crc32(data) != entry.crc:
            raise ValueError(
                f"its entry {name!r} is damaged: the checksum is not what it should be"
            )
        return data

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise ValueError(f"it has no entry {name[:200]!r}")
        entry = self._entries[name]
        if not entry.is_plain:
            raise ValueError(
                f"its entry {name!r} is compressed or encrypted, which PyTorch's are not"
            )
        return entry

    def _at(self, place: int, count: int) -> bytes:
        self._file.seek(place)
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("the file ends too soon")
        return data

    def _directory(self, size: int) -> tuple[int, int, int]:
        """How many entries there are, where the directory is, and how long."""
        if size < _END.size:
            raise ValueError("it is cut off")
        found = _END.unpack(self._at(size - _END.size, _END.size))
        signature, disk, first_disk, on_disk, count, length, place, comment = found
        if signature != b"PK\x05\x06" or comment:
            raise ValueError("it is cut off: no zip archive ends like this, or it has a comment")
        if _UNKNOWN in (length, place) or count == 0xFFFF:
            return self._directory_64(size)
        if disk or first_disk or on_disk != count:
            raise ValueError("it is one part of a zip archive of several")
        return count, place, length

    def _directory_64(self, size: int) -> tuple[int, int, int]:
        place = size - _END.size - _LOCATOR.size
        if place < _END_64.size:
            raise ValueError("it is cut off")
        signature, _, record, _ = _LOCATOR.unpack(self._at(place, _LOCATOR.size))
        if signature != b"PK\x06\x07" or record > place - _END_64.size:
            raise ValueError("it is cut off: the end of a large zip archive is missing")
        found = _END_64.unpack(self._at(record, _END_64.size))
        if found[0] != b"PK\x06\x06":
            raise ValueError("it is cut off: the end of a large zip archive is missing")
        count, length, directory = found[7:]
        return count, directory, length

    def _read_entries(self, count: int, directory: bytes) -> Iterator[tuple[str, _Entry]]:
        position = 0
        for _ in range(count):
            if position + _ENTRY.size > len(directory):
                raise ValueError("its directory is cut off")
            fields = _ENTRY.unpack_from(directory, position)
            signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
            name_length, extra_length, comment_length, _, _, _, place = fields[10:]
            if signature != b"PK\x01\x02":
                raise ValueError("its directory is damaged")
            start = position + _ENTRY.size
            position = start + name_length + extra_length + comment_length
            if position > len(directory):
                raise ValueError("its directory is cut off")
            name = directory[start : start + name_length].decode()
            extra = directory[start + name_length : start + name_length + extra_length]
            size, packed, place = _in_full(size, packed, place, extra)
            is_plain = not method and packed == size and not flags & 1
            yield name, _Entry(place, size, crc, is_plain)


def _in_full(size: int, packed: int, place: int, extra: bytes) -> tuple[int, int, int]:
    """The sizes and the place of an entry, where they need the 64 bits of its extra field."""
    values = [size, packed, place]
    wanted = [i for i, value in enumerate(values) if value == _UNKNOWN]
    position = 0
    while wanted and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == _EXTRA_64 and length >= 8 * len(wanted):
            for i, number in enumerate(wanted):
                [values[number]] = struct.unpack_from("<Q", extra, position + 4 + 8 * i)
            break
        position += 4 + length
    return values[0], values[1], values[2]
