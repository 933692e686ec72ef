"""The pickles in files of PyTorch, read opcode by opcode.

A pickle is a program for a stack machine that can call anything. Here is no such machine: the
opcodes that build dicts, lists, tuples, numbers and texts are followed, and of all names that a
pickle may call there are those of `_CALLS` and `_STORAGES`, which make the records below. Anything
else is refused by its name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from cylstm.saving._limits import check_count

__all__ = ["ADVICE", "Storage", "Tensor", "read", "read_magic"]

ADVICE = "in PyTorch, save the weights alone: torch.save(model.state_dict(), path)"
# What every file may ask for is read in less than a tenth of a second; beyond that, a share of the
# data that the file holds beside the pickle.
_OPCODES, _BYTES_PER_OPCODE = 2**15, 64
_TEXT, _BYTES_PER_TEXT = 2**22, 8
_LONGEST_NAME = 200
_MAX_RANK = 8
_MAX_INT = 2**63 - 1

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


@dataclass(frozen=True)
class Storage:
    """Where the numbers of tensors are: a name in the file, their dtype and how many there are."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, within its bounds; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """What a pickle names: a function that is called here, or a dtype."""

    text: str
    call: Callable[[tuple[Any, ...]], Any] | None = None
    dtype: str | None = None


def read(file: BinaryIO, size: int) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle; the file is left behind it.

    Parameters
    ----------
    file : binary file
        Where it begins.
    size : int
        How many bytes the whole file has, which limits what the pickle may ask for.

    Returns
    -------
    value : dict, list, tuple, str, int, float, bool, None, Tensor or Storage
        An OrderedDict reads as a dict.
    storages : dict of Storage
        All that it names, by their keys.

    Raises
    ------
    ValueError
        For an opcode or a name that does not belong to a state dict, one that does not fit
        what came before, a tensor that is not within its storage, or too much of anything.

    Examples
    --------
    >>> import io
    >>> data = b"\\x80\\x02}q\\x00X\\x05\\x00\\x00\\x00unitsq\\x01K\\x04s."
    >>> read(io.BytesIO(data), len(data))
    ({'units': 4}, {})
    >>> read(io.BytesIO(b"cos\\nsystem\\n."), 13)
    Traceback (most recent call last):
    ...
    ValueError: at byte 0 of its pickle is os.system, and of objects only tensors are read: in \
PyTorch, save the weights alone: torch.save(model.state_dict(), path)
    """
    reader = _Reader(file, size)
    return reader.read(), reader.storages


def read_magic(file: BinaryIO) -> bytes:
    """What a pickle of one long integer holds: its bytes; the file is left behind it."""
    head = file.read(4)
    if head[:3] != b"\x80\x02\x8a" or len(head) < 4:
        raise ValueError(f"its first pickle holds no magic number: {ADVICE}")
    number = file.read(head[3])
    if file.read(1) != b".":
        raise ValueError("its first pickle is cut off")
    return number


class _Reader:
    """The stack, the memo and what may still be read, of one pickle."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.start = file.tell()
        self.text = 0  # bytes of texts so far
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def read(self) -> Any:
        file_read, opcodes = self.file.read, _OPCODES_BY_BYTE
        count, most = 0, _OPCODES
        place = self.start
        try:
            while (code := file_read(1)) != b".":
                place = self.file.tell() - 1
                opcode = opcodes.get(code)
                if opcode is None:
                    raise ValueError(_unknown(code))
                opcode(self)
                count += 1
                if count > most:
                    most = self._most(_OPCODES, _BYTES_PER_OPCODE)
                    check_count(count, most, "are {} opcodes")
            if len(self.stack) != 1:
                raise ValueError(f"it ends with {len(self.stack)} values, and not one")
        except ValueError as error:
            raise ValueError(f"at byte {place - self.start} of its pickle {error}") from None
        except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
            raise ValueError(
                f"at byte {place - self.start} its pickle is damaged ({type(error).__name__})"
            ) from None
        return self.stack[0]

    def _most(self, base: int, share: int) -> int:
        """How much of something may be asked for by now."""
        return base + max(self.size - self.file.tell(), 0) // share

    # ------------------------------------------------------------------ bytes

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) != count:
            raise ValueError("the file ends")
        return data

    def unpack(self, form: str) -> Any:
        [value] = struct.unpack(form, self.take(struct.calcsize(form)))
        return value

    def line(self) -> str:
        data = self.file.readline(_LONGEST_NAME)
        if not data.endswith(b"\n"):
            raise ValueError("is a name without an end")
        return data[:-1].decode()

    def take_text(self, length: int, encoding: str = "utf-8") -> None:
        self.text += length
        if self.text > _TEXT:
            check_count(self.text, self._most(_TEXT, _BYTES_PER_TEXT), "are {} bytes of text")
        self.stack.append(self.take(length).decode(encoding))

    def take_integer(self, length: int) -> None:
        if length > 8:
            raise ValueError(f"is an integer of {length} bytes")
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))

    # ------------------------------------------------------------------ the stack

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def pack_since_mark(self) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def pack(self, count: int) -> None:
        """The last things on the stack become a tuple."""
        place = len(self.stack) - count
        if place < 0:
            raise IndexError
        self.stack[place:] = [tuple(self.stack[place:])]

    def remember(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        self._last(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        found = self._last(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set(found, key, value)

    def _last(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"is no {kind.__name__}, where there must be one")
        return self.stack[-1]

    # ------------------------------------------------------------------ names and calls

    def name(self, module: str, name: str) -> None:
        text = f"{module}.{name}"
        if module == "torch" and name in _STORAGES:
            self.stack.append(_Name(text, dtype=_STORAGES[name]))
        elif text in _CALLS:
            self.stack.append(_Name(text, call=_CALLS[text]))
        else:
            raise ValueError(
                f"is {text[:_LONGEST_NAME]}, and of objects only tensors are read: {ADVICE}"
            )

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("is a name that is no text")
        self.name(module, name)

    def reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not _Name or name.call is None or type(arguments) is not tuple:
            raise ValueError("is a call of something that cannot be called")
        self.stack.append(name.call(arguments))

    def build(self) -> None:
        # An OrderedDict has attributes; that of a state dict, _metadata, holds versions of modules.
        if type(self.stack.pop()) is not dict:
            raise ValueError("is a state that is no dict")
        self._last(dict)

    def persistent(self) -> None:
        storage = _storage(self.stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(
                f"is storage {storage.key[:_LONGEST_NAME]!r} with another type or size"
            )
        self.stack.append(storage)


def _set(found: dict[Any, Any], key: Any, value: Any) -> None:
    if type(key) not in (str, int):  # others could be made to have hashes that are all the same
        raise ValueError(f"is a key of a dict that is a {type(key).__name__}")
    found[key] = value


def _storage(given: Any) -> Storage:
    if type(given) is not tuple or not given or given[0] != "storage":
        raise ValueError(f"is a whole module, of which no code is ever loaded: {ADVICE}")
    kind, key, place, count, *view = given[1:]
    if type(kind) is not _Name or kind.dtype is None:
        raise ValueError("is a storage of no known type")
    if type(key) is not str or type(place) is not str or not _is_size(count):
        raise ValueError("is a storage that is not described by key, place and size")
    if view not in ([], [None]):
        raise ValueError("is a view of a storage, as PyTorch before 0.4 wrote them")
    return Storage(key, kind.dtype, count)  # the place is a device, such as cuda:0


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, shape, strides, *_ = arguments
    if type(storage) is not Storage or not _is_size(offset):
        raise ValueError("is a tensor without a storage or an offset")
    if not _are_sizes(shape) or not _are_sizes(strides) or len(shape) != len(strides):
        raise ValueError("is a tensor whose shape and strides are not as they must be")
    if len(shape) > _MAX_RANK:
        raise ValueError(f"is a tensor of {len(shape)} axes, and at most {_MAX_RANK} are read")
    if 0 not in shape:
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if last >= storage.count:
            raise ValueError(
                f"is a tensor that reaches number {last} of a storage of {storage.count}"
            )
    return Tensor(storage, offset, shape, strides)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    tensor, *_ = arguments
    if type(tensor) is not Tensor:
        raise ValueError("is a parameter that is no tensor")
    return tensor


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    if arguments:  # Python 2 gives a list of pairs
        [pairs] = arguments
        if type(pairs) is not list:
            raise ValueError("is an OrderedDict of no pairs")
        for pair in pairs:
            key, value = pair
            _set(found, key, value)
    return found


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_INT


def _are_sizes(value: Any) -> bool:
    return type(value) is tuple and all(map(_is_size, value))


def _unknown(code: bytes) -> str:
    if not code:
        return "the file ends"
    return f"is the opcode {code!r}, which no state dict needs: {ADVICE}"


_CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

_OPCODES_BY_BYTE: dict[bytes, Callable[[_Reader], Any]] = {
    # protocols and frames, which say nothing that is needed
    b"\x80": lambda r: r.take(1),
    b"\x95": lambda r: r.take(8),
    # values
    b"N": lambda r: r.stack.append(None),
    b"\x88": lambda r: r.stack.append(True),
    b"\x89": lambda r: r.stack.append(False),
    b"K": lambda r: r.stack.append(r.take(1)[0]),
    b"M": lambda r: r.stack.append(r.unpack("<H")),
    b"J": lambda r: r.stack.append(r.unpack("<i")),
    b"\x8a": lambda r: r.take_integer(r.take(1)[0]),
    b"G": lambda r: r.stack.append(r.unpack(">d")),
    b"X": lambda r: r.take_text(r.unpack("<I")),
    b"\x8c": lambda r: r.take_text(r.take(1)[0]),
    b"U": lambda r: r.take_text(r.take(1)[0], "latin-1"),  # a text of Python 2
    # containers
    b"}": lambda r: r.stack.append({}),
    b"]": lambda r: r.stack.append([]),
    b")": lambda r: r.stack.append(()),
    b"(": _Reader.mark,
    b"t": _Reader.pack_since_mark,
    b"\x85": lambda r: r.pack(1),
    b"\x86": lambda r: r.pack(2),
    b"\x87": lambda r: r.pack(3),
    b"a": lambda r: r.extend([r.stack.pop()]),
    b"e": lambda r: r.extend(r.since_mark()),
    b"s": lambda r: r.set_items([r.stack.pop(-2), r.stack.pop()]),
    b"u": lambda r: r.set_items(r.since_mark()),
    # the memo
    b"q": lambda r: r.remember(r.take(1)[0]),
    b"r": lambda r: r.remember(r.unpack("<I")),
    b"\x94": lambda r: r.remember(len(r.memo)),
    b"h": lambda r: r.stack.append(r.memo[r.take(1)[0]]),
    b"j": lambda r: r.stack.append(r.memo[r.unpack("<I")]),
    # names and calls
    b"c": lambda r: r.name(r.line(), r.line()),
    b"\x93": _Reader.stack_name,
    b"R": _Reader.reduce,
    b"b": _Reader.build,
    b"Q": _Reader.persistent,
}
