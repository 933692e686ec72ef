"""pyfive with what it leaves out: sizes held against what is there, and links refused.

It takes counts from the file as they are: an attribute of 2**40 texts would be a list of as many
before the first is read. The classes here override that, of its private ones; so the version is
fixed to 1.2 or 1.3 in the extra `keras`, and the tests of hostile files run through every override.
"""

from __future__ import annotations

import struct
from typing import Any

from pyfive import File, Group
from pyfive.btree import BTreeV1RawDataChunks
from pyfive.dataobjects import DataObjects

__all__ = ["Objects", "chunks", "file", "group"]

_LINKS = {1: "a soft link", 64: "an external link"}
_PER_REFERENCE = 16  # bytes of an attribute for each of its texts, which stand elsewhere
_UNDEFINED = 2**64 - 1
_MOST_MESSAGES = 2**12  # in the header of a group or data set; Keras needs some 20


class Objects(DataObjects):  # type: ignore[misc]  # of a package without types
    """The header of a group or data set."""

    @staticmethod
    def _parse_v1_objects(fh: Any) -> Any:
        start = fh.tell()
        count = int.from_bytes(fh.read(4)[2:], "little")
        if count > _MOST_MESSAGES:
            raise ValueError(f"an object is described by {count} messages")
        fh.seek(start)
        return DataObjects._parse_v1_objects(fh)

    def get_links(self) -> dict[str, int]:
        """Where what is in a group begins, by name."""
        links: dict[str, Any] = super().get_links()
        for name, target in links.items():
            if isinstance(target, str):
                raise ValueError(f"{name!r} is a soft link, to {target!r}: links are not followed")
        return links

    @staticmethod
    def _decode_link_msg(data: bytes, offset: int) -> Any:
        _, flags = struct.unpack_from("<BB", data, offset)
        kind = data[offset + 2] if flags & 8 else 0
        if kind:
            raise ValueError(
                f"it holds {_LINKS.get(kind, 'a link of its own kind')}: links are not followed"
            )
        return DataObjects._decode_link_msg(data, offset)

    def _attr_value(self, ptype: Any, buf: bytes, count: int, offset: int) -> Any:
        size = getattr(ptype.dtype, "itemsize", 0)
        each = size if size and ptype.dtype.kind in "iufS" else _PER_REFERENCE
        if not 0 <= count <= (len(buf) - offset) // each:
            raise ValueError(f"an attribute of {count} values has {len(buf) - offset} bytes")
        return super()._attr_value(ptype, buf, count, offset)


class _File(File):  # type: ignore[misc]  # of a package without types
    def _get_dataobjects(self, address: int) -> Objects:
        found: Objects | None = self._dataobjects_cache.get(address)
        if found is None:
            found = Objects(self._fh, address, global_heaps=self._global_heaps)
            self._dataobjects_cache[address] = found
        return found


def file(opened: Any) -> Any:
    """The outermost group of an open file."""
    return _File(opened)


def group(path: str, objects: Objects, parent: Any) -> Any:
    """The group that a header begins."""
    return Group(path, objects, parent)


def chunks(objects: Objects) -> dict[tuple[int, ...], tuple[int, int, int]]:
    """The chunks of a data set: by the place of its first number the address, size and mask."""
    if objects._chunk_address == _UNDEFINED:
        return {}
    tree = BTreeV1RawDataChunks(objects.fh, objects._chunk_address, objects._chunk_dims)
    return {
        key["chunk_offset"][:-1]: (address, key["chunk_size"], key["filter_mask"])
        for node in tree.all_nodes[0]
        for key, address in zip(node["keys"], node["addresses"], strict=True)
    }
