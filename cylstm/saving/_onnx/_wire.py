"""The wire format of protocol buffers: messages as bytes, and back.

A message is a row of fields; a field is a number (which one, and how its value is encoded) and a
value. What a message may hold is said by a dataclass whose fields are made with `part`.

References
----------
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

__all__ = [
    "BYTES",
    "DOUBLE",
    "FLOAT",
    "DOUBLES",
    "FLOATS",
    "INT",
    "INTS",
    "TEXT",
    "Message",
    "Room",
    "fields",
    "leading_fields",
    "part",
]

INT, FLOAT, DOUBLE, TEXT, BYTES = "int", "float", "double", "text", "bytes"
INTS, FLOATS, DOUBLES = "ints", "floats", "doubles"  # all values of a field, as one array

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_WIRE = {INT: _VARINT, FLOAT: _FIXED32, DOUBLE: _FIXED64}  # all others: delimited
_FIXED = {FLOAT: "<f4", DOUBLE: "<f8"}
_ARRAYS = {INTS: INT, FLOATS: FLOAT, DOUBLES: DOUBLE}
_DEEPEST = 24  # of messages within messages: a graph in a graph is three more


class Room:
    """How many fields may still be read, in all messages together.

    A field costs a microsecond, and two bytes of a file are enough for one. So their number has a
    limit: one for every file, which takes less than a tenth of a second, and a share of the
    numbers that it holds.
    """

    def __init__(self, fields: int = 40_000) -> None:
        self.left = fields

    def take(self) -> None:
        """One field less.

        Raises
        ------
        ValueError
            If none is left.
        """
        self.left -= 1
        if self.left < 0:
            raise ValueError("it has more parts than files with numbers of this size may have")

    def add(self, size: int) -> None:
        """More of them, for so many bytes of numbers."""
        self.left += size // 32


class _Part(NamedTuple):
    number: int
    kind: Any  # one of the kinds above, or a class of messages
    repeated: bool


def part(number: int, kind: Any, *, repeated: bool = False) -> Any:
    """A field of a message: its number, what it holds, and whether it may come several times."""
    entry = {"part": _Part(number, kind, repeated)}
    if repeated:
        return dataclasses.field(default_factory=list, metadata=entry)
    return dataclasses.field(default=None, metadata=entry)


class Message:
    """The base of messages: a subclass lists its fields with `part`.

    Fields are decoded in the order in which the class lists them. What is not listed is checked
    for its length and skipped, as newer writers may add fields.

    Examples
    --------
    >>> class Entry(Message):
    ...     key: str | None = part(1, TEXT)
    ...     counts: list[int] = part(2, INT, repeated=True)
    >>> Entry("a", [1, 300, -1]).encoded().hex()
    '0a0161100110ac0210ffffffffffffffffff01'
    """

    _parts: dict[int, tuple[str, Any, bool]]

    def __init__(self, *values: Any, **named: Any) -> None:
        """Replaced in each subclass by one that takes its fields; all may be left out."""

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(cls)
        cls._parts = {
            field.metadata["part"].number: (field.name, *field.metadata["part"][1:])
            for field in dataclasses.fields(cls)  # type: ignore[arg-type]  # one made by `dataclass`
        }

    @classmethod
    def decoded(cls, data: memoryview, room: Room, where: str = "", depth: int = 0) -> Self:
        """The message that bytes hold.

        Parameters
        ----------
        data : memoryview
            All of it.
        room : Room
            How many fields there may be.
        where : str
            What the message is, for errors.

        Raises
        ------
        ValueError
            If a length leads beyond the end, a value is not of its kind, or there is no room.
        """
        where = where or cls.__name__.lower()
        if depth > _DEEPEST:
            raise ValueError(f"its messages are nested more than {_DEEPEST} deep, in {where}")
        found: dict[int, list[tuple[int, Any]]] = {}
        for number, wire, value in fields(data, where):
            room.take()
            if number in cls._parts:
                found.setdefault(number, []).append((wire, value))
        message = cls()
        for number, (name, kind, repeated) in cls._parts.items():
            if number not in found:
                continue
            inner = f"{where}.{name}"
            if kind in _ARRAYS:
                setattr(message, name, _array(_ARRAYS[kind], found[number], room, inner))
            elif repeated:
                values = [
                    decoded
                    for wire, value in found[number]
                    for decoded in _several(kind, wire, value, room, inner, depth)
                ]
                setattr(message, name, values)
            else:
                wire, value = found[number][-1]  # the last one counts
                setattr(message, name, _decoded(kind, wire, value, room, inner, depth))
        return message

    def encoded(self) -> bytes:
        """The bytes that hold the message."""
        pieces: list[bytes] = []
        for number, (name, kind, repeated) in sorted(self._parts.items()):
            value = getattr(self, name)
            if kind in _ARRAYS and value is not None:
                value, kind = _packed(_ARRAYS[kind], value), BYTES
            for entry in value if repeated else [] if value is None else [value]:
                wire = _WIRE.get(kind, _DELIMITED)
                pieces.append(_varint(number << 3 | wire) + _encoded(kind, entry))
        return b"".join(pieces)


def fields(data: memoryview, where: str) -> Iterator[tuple[int, int, Any]]:
    """The fields of a message: number, wire type and value (an int, or the bytes of it).

    Raises
    ------
    ValueError
        If a field goes beyond the end, or its type is none.
    """
    position, size = 0, len(data)
    while position < size:
        key, position = _read_varint(data, position, where)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise ValueError(f"{where} has a field of the number {number}, at byte {position}")
        if wire == _VARINT:
            value, position = _read_varint(data, position, where)
            yield number, wire, value
            continue
        if wire == _DELIMITED:
            length, position = _read_varint(data, position, where)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"{where} has a field of the type {wire}, at byte {position}")
        if length > size - position:
            raise ValueError(
                f"{where} is cut off: a field has {length} bytes, and {size - position} are left"
            )
        yield number, wire, data[position : position + length]
        position += length


def leading_fields(data: bytes) -> list[tuple[int, int]]:
    """The numbers and types of the fields that bytes begin with, which may be cut off anywhere.

    Examples
    --------
    >>> leading_fields(bytes([8, 8, 18, 100, 0]))
    [(1, 0), (2, 2)]
    """
    found = []
    view, position = memoryview(data), 0
    try:
        while position < len(view):
            key, position = _read_varint(view, position, "it")
            found.append((key >> 3, key & 7))
            if key & 7 == _DELIMITED:
                length, position = _read_varint(view, position, "it")
                position += length
            elif key & 7 == _VARINT:
                position = _read_varint(view, position, "it")[1]
            else:
                position += 4 if key & 7 == _FIXED32 else 8
    except ValueError:
        pass
    return found


def _read_varint(data: memoryview, position: int, where: str) -> tuple[int, int]:
    value = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise ValueError(f"{where} holds an integer of more than 10 bytes")
    except IndexError:
        raise ValueError(f"{where} is cut off within an integer") from None
    return value & 0xFFFF_FFFF_FFFF_FFFF, position


def _several(kind: Any, wire: int, value: Any, room: Room, where: str, depth: int) -> Iterator[Any]:
    """The values of one field that may come several times: numbers may be packed in one."""
    if wire != _DELIMITED or kind not in _WIRE:
        yield _decoded(kind, wire, value, room, where, depth)
    elif kind in _FIXED:
        if len(value) % np.dtype(_FIXED[kind]).itemsize:
            raise ValueError(f"{where} is cut off within a number")
        for number in np.frombuffer(value, _FIXED[kind]).tolist():
            room.take()
            yield number
    else:
        position = 0
        while position < len(value):
            room.take()
            integer, position = _read_varint(value, position, where)
            yield _signed(integer)


def _array(kind: Any, found: list[tuple[int, Any]], room: Room, where: str) -> np.ndarray:
    """All values of a field as one array; they may be packed, or come one by one."""
    parts = []
    for wire, value in found:
        if wire not in (_WIRE[kind], _DELIMITED):
            raise ValueError(f"{where} is encoded as no {kind}")
        if kind == INT:
            part = _integers(value, where) if wire == _DELIMITED else [_signed(value)]
        elif len(value) % np.dtype(_FIXED[kind]).itemsize:
            raise ValueError(f"{where} is cut off within a number")
        else:
            part = np.frombuffer(value, _FIXED[kind])
        parts.append(part)
    array = np.concatenate(parts)
    room.add(array.nbytes)
    return array


def _integers(data: memoryview, where: str) -> np.ndarray:
    """Integers that are packed, all at once: byte k of each that has as many, for every k."""
    numbers = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(numbers < 0x80)
    if len(numbers) and (not len(ends) or ends[-1] != len(numbers) - 1):
        raise ValueError(f"{where} is cut off within an integer")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.intp)[: len(ends)]
    lengths = ends - starts + 1
    if lengths.max(initial=0) > 10:
        raise ValueError(f"{where} holds an integer of more than 10 bytes")
    found = np.zeros(len(ends), np.uint64)
    for k in range(int(lengths.max(initial=0))):
        longer = lengths > k
        septets = (numbers[starts[longer] + k] & 0x7F).astype(np.uint64)
        found[longer] |= septets << np.uint64(7 * k)
    return found.view(np.int64)


def _packed(kind: Any, values: Any) -> bytes:
    if kind == INT:
        return b"".join(_varint(int(value)) for value in values)
    return np.asarray(values, _FIXED[kind]).tobytes()


def _decoded(kind: Any, wire: int, value: Any, room: Room, where: str, depth: int) -> Any:
    if wire != _WIRE.get(kind, _DELIMITED):
        raise ValueError(f"{where} is encoded as no {kind if kind in _WIRE else 'bytes'}")
    if kind == INT:
        return _signed(value)
    if kind in _FIXED:
        return float(np.frombuffer(value, _FIXED[kind])[0])
    if kind == TEXT:
        return _text(value, where)
    if kind == BYTES:
        room.add(len(value))
        return value
    return kind.decoded(value, room, where, depth + 1)


def _text(value: memoryview, where: str) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{where} is no text") from None


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    pieces = bytearray()
    while value >= 0x80:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def _encoded(kind: Any, value: Any) -> bytes:
    if kind == INT:
        return _varint(value)
    if kind in _FIXED:
        return struct.pack("<f" if kind == FLOAT else "<d", value)
    if kind == TEXT:
        content = value.encode()
    elif kind == BYTES:
        content = bytes(value)
    else:
        content = value.encoded()
    return _varint(len(content)) + bytes(content)
