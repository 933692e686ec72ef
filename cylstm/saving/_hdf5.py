"""The HDF5 container: groups, attributes and arrays, read by pyfive and written by h5py.

libhdf5, on which h5py stands, crashes and hangs on damaged files; pyfive is Python. It finds groups
and attributes here, through a file that counts what is read, so that nothing goes round for ever;
the numbers of an array are read below, after its shape was held against the bytes that are there.

Only what Keras writes is read: arrays of numbers in one piece or in chunks, as they are or by
gzip. Links (soft or external), external storage, virtual data sets and other filters are refused.

References
----------
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from cylstm.saving._files import Bounded, check_size, opened

__all__ = ["MAGIC", "Contents", "Group", "encode", "opened_tree", "require", "tree"]

MAGIC = b"\x89HDF\r\n\x1a\n"
_MISSING = (
    "Files in HDF5 need the packages pyfive and h5py ({}): install them by `pip install "
    "'cylstm[keras]'`."
)
_DEPTH = 32  # groups within groups; Keras needs some 6
_GZIP = 1
_EXTERNAL_FILES, _LAYOUT = 7, 8  # messages of an object's header
_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = range(4)
_LONGEST_LIST = 60_000  # bytes; an attribute has 64 KiB at most


def require() -> None:
    """Raise an ImportError that says what to install where pyfive or h5py is missing."""
    _pyfive()
    _h5py()


def _pyfive() -> Any:
    try:
        from cylstm.saving import _pyfive
    except ImportError as error:
        raise ImportError(_MISSING.format(error)) from error
    return _pyfive


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(_MISSING.format(error)) from error
    return h5py


# ---------------------------------------------------------------------------- reading


@contextmanager
def opened_tree(path: str | os.PathLike[str], max_size: int) -> Iterator[Group]:
    """Open a file; see `tree`.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        How many bytes it may have.

    Yields
    ------
    Group
        The outermost one.

    Raises
    ------
    ValueError
        If the file is larger, or not as it must be.
    OSError, ImportError
        If it cannot be read, or pyfive is not installed.
    """
    _pyfive()
    with opened(path) as (file, size):
        check_size(size, max_size)
        yield tree(file, size, max_size)


def tree(file: BinaryIO, size: int, max_size: int) -> Group:
    """The outermost group of an open file, which must stay open.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        How many bytes it has.
    max_size : int
        How many bytes its arrays may have in all.

    Raises
    ------
    ValueError
        If it is not as it must be.
    ImportError
        If pyfive is not installed.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it is no HDF5 file")
    return _Reader(file, size, max_size).root()


@contextmanager
def _parsing(path: str) -> Iterator[None]:
    """Say where in a file something is that cannot be understood."""
    try:
        yield
    except (ValueError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"{path or 'its HDF5'} is damaged or cut off, or written in a way that is not read "
            f"({type(error).__name__}: {error})"
        ) from error


class _Counted(Bounded):
    """A file that gives a reader as much as an honest one needs, and then no more."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, size)
        self._calls = 5_000 + size // 32
        self._bytes = 2**18 + 2 * size

    def read(self, count: int = -1) -> bytes:
        data = super().read(count)
        self._calls -= 1
        self._bytes -= len(data)
        if self._calls < 0 or self._bytes < 0:
            raise ValueError("its groups and attributes refer to one another without end")
        return data


class Group:
    """A group of a file: attributes, arrays and further groups.

    Attributes
    ----------
    path : str
        Where in the file it is, for errors.
    """

    def __init__(self, reader: _Reader, group: Any, path: str, depth: int) -> None:
        self._reader = reader
        self._group = group
        self.path = path
        self._depth = depth
        self._names = dict.fromkeys(group)
        with _parsing(path):
            self._attributes = group.attrs

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def names(self) -> list[str]:
        """The names of what is in it."""
        return list(self._names)

    def group(self, path: str) -> Group:
        """The group at a path, mostly a name; ValueError where there is none."""
        where = self
        for name in path.split("/"):
            where = where._group_in(name)
        return where

    def _group_in(self, name: str) -> Group:
        path = f"{self.path}/{name}"
        if self._depth >= _DEPTH:
            raise ValueError(f"{path} is nested more than {_DEPTH} deep")
        objects = self._objects(name, path)
        if objects.is_dataset:
            raise ValueError(f"{path} is an array, not a group")
        with _parsing(path):
            group = self._reader.group(path, objects)
        return Group(self._reader, group, path, self._depth + 1)

    def is_group(self, name: str) -> bool:
        """Whether what has the name is a group."""
        return not self._objects(name, f"{self.path}/{name}").is_dataset

    def array(self, path: str) -> np.ndarray:
        """The array at a path such as ``lstm_1/kernel:0``; ValueError where there is none."""
        groups, slash, name = path.rpartition("/")
        where = self.group(groups) if slash else self
        full = f"{where.path}/{name}"
        objects = where._objects(name, full)
        if not objects.is_dataset:
            raise ValueError(f"{full} is a group, not an array")
        with _parsing(full):
            return self._reader.array(objects, full)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays in it and in the groups below, by their paths from here."""
        found: dict[str, np.ndarray] = {}
        for name in self._names:
            if self.is_group(name):
                below = self.group(name).arrays()
                found.update((f"{name}/{path}", array) for path, array in below.items())
            else:
                found[name] = self.array(name)
        return found

    def _objects(self, name: str, path: str) -> Any:
        if name not in self._names:
            raise ValueError(f"there is no {path}")
        with _parsing(path):
            return self._reader.objects(self._group, name)

    def text(self, name: str) -> str | None:
        """An attribute that is a text, or None where it is missing."""
        value = self._attributes.get(name)
        if value is None:
            return None
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(())[()]
        return self._decoded(value, name)

    def texts(self, name: str) -> list[str] | None:
        """An attribute that is a list of texts, or None; long lists stand in numbered parts."""
        value = self._attributes.get(name)
        if value is not None:
            return self._list(value, name)
        found: list[str] = []
        part = 0
        while (value := self._attributes.get(f"{name}{part}")) is not None:
            found += self._list(value, name)
            part += 1
        return found if part else None

    def _list(self, value: Any, name: str) -> list[str]:
        values = np.asarray(value)
        if values.size == 0:
            return []
        if values.ndim != 1:
            raise ValueError(f"the attribute {name} of {self.path or '/'} is no list of texts")
        return [self._decoded(entry, name) for entry in values]

    def _decoded(self, value: Any, name: str) -> str:
        if not isinstance(value, bytes | str):
            raise ValueError(f"the attribute {name} of {self.path or '/'} is no text")
        return value.decode("utf-8") if isinstance(value, bytes) else value


class _Reader:
    """An open file, and what its arrays may still take."""

    def __init__(self, file: BinaryIO, size: int, max_size: int) -> None:
        self._file = Bounded(file, size)
        self._stored = size  # bytes that no array has claimed: each belongs to one
        self._unpacked = min(max_size, 2**24 + 100 * size)  # bytes that come out of gzip
        self._arrays: dict[str, np.ndarray] = {}
        self._pyfive = _pyfive()
        with _parsing(""):
            self._opened = self._pyfive.file(_Counted(file, size))

    def root(self) -> Group:
        return Group(self, self._opened, "", 0)

    def objects(self, group: Any, name: str) -> Any:
        return self._opened._get_dataobjects(group._links[name])

    def group(self, path: str, objects: Any) -> Any:
        return self._pyfive.group(path, objects, self._opened)

    def array(self, objects: Any, path: str) -> np.ndarray:
        """Read an array, once, whose shape fits what is stored."""
        if path not in self._arrays:
            self._arrays[path] = self._read(objects, path)
        return self._arrays[path]

    def _read(self, objects: Any, path: str) -> np.ndarray:
        if objects.find_msg_type(_EXTERNAL_FILES):
            raise ValueError(f"{path} is stored in another file, which is not read")
        dtype, shape = objects.ptype.dtype, objects.shape
        if not isinstance(dtype, np.dtype) or dtype.kind not in "iuf":
            raise ValueError(f"{path} holds no numbers but {dtype}")
        if shape is None:
            raise ValueError(f"{path} has no shape")
        (layout,) = objects.find_msg_type(_LAYOUT)
        offset = layout["offset_to_message"]
        version, kind = struct.unpack_from("<BB", objects.msg_data, offset)
        if kind == _CHUNKED and version == 3:
            return self._chunked(objects, shape, dtype, path)
        if kind == _VIRTUAL:
            raise ValueError(f"{path} is a virtual data set, which is not read")
        if version not in (3, 4) or kind not in (_COMPACT, _CONTIGUOUS):
            raise ValueError(f"{path} has the layout {version}.{kind}, which is not read")
        if kind == _COMPACT:
            (length,) = struct.unpack_from("<H", objects.msg_data, offset + 2)
            data = objects.msg_data[offset + 4 : offset + 4 + length]
        else:
            (address,) = struct.unpack_from("<Q", objects.msg_data, offset + 2)
            data = self._contiguous(address, shape, dtype, path)
        return _native(_piece(data, shape, dtype, path))

    def _contiguous(self, address: int, shape: tuple[int, ...], dtype: Any, path: str) -> bytes:
        needed = math.prod(shape) * dtype.itemsize
        if not needed:
            return b""
        self._claim(needed, path, shape)
        self._file.seek(address)
        return self._file.read(needed)

    def _claim(self, count: int, path: str, shape: Any) -> None:
        self._stored -= count
        if self._stored < 0:
            raise ValueError(f"{path} of shape {shape} asks for more bytes than the file has")

    def _chunked(self, objects: Any, shape: tuple[int, ...], dtype: Any, path: str) -> np.ndarray:
        chunk = objects.chunks
        if chunk is None or len(chunk) != len(shape) or 0 in chunk or not shape:
            raise ValueError(f"{path} of shape {shape} is in chunks of shape {chunk}")
        gzip = _is_gzip(objects.filter_pipeline, path)
        needed = math.prod(shape) * dtype.itemsize
        one = math.prod(chunk) * dtype.itemsize
        counts = [-(-size // part) for size, part in zip(shape, chunk, strict=True)]
        places = self._pyfive.chunks(objects) if needed else {}
        if len(places) != math.prod(counts):
            raise ValueError(f"{path} has {len(places)} of its {math.prod(counts)} chunks")
        self._unpacked -= one * len(places)
        if self._unpacked < 0:
            raise ValueError(f"{path} of shape {shape} is larger than what is stored accounts for")
        result = np.zeros(shape, dtype)
        for place, (address, size, mask) in places.items():
            if any(start % part for start, part in zip(place, chunk, strict=True)):
                raise ValueError(f"{path} has a chunk at {place}, and they are of shape {chunk}")
            self._claim(size, path, shape)
            self._file.seek(address)
            data = self._file.read(size)
            if gzip and not mask:
                data = zlib.decompressobj().decompress(data, one)
            piece = _piece(data, chunk, dtype, path)
            within = tuple(
                slice(start, min(start + part, whole))
                for start, part, whole in zip(place, chunk, shape, strict=True)
            )
            result[within] = piece[tuple(slice(s.stop - s.start) for s in within)]
        return _native(result)


def _piece(data: bytes, shape: tuple[int, ...], dtype: Any, path: str) -> np.ndarray:
    needed = math.prod(shape) * dtype.itemsize
    if len(data) < needed:
        raise ValueError(
            f"{path} of shape {shape} and {dtype} needs {needed} bytes, of which {len(data)} are "
            "there"
        )
    return np.frombuffer(data[:needed], dtype).reshape(shape)


def _is_gzip(pipeline: Any, path: str) -> bool:
    numbers = [entry["filter_id"] for entry in pipeline or []]
    if numbers not in ([], [_GZIP]):
        raise ValueError(f"{path} went through the filters {numbers}; only gzip (1) is read")
    return bool(numbers)


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), order="C")


# ---------------------------------------------------------------------------- writing


@dataclass
class Contents:
    """What a group is to hold.

    Parameters
    ----------
    attributes : dict
        Texts and lists of texts, by name.
    members : dict
        Arrays and further `Contents`, by names, which may be paths such as ``lstm_1/kernel:0``.
    """

    attributes: dict[str, str | list[str]] = field(default_factory=dict)
    members: dict[str, np.ndarray | Contents] = field(default_factory=dict)


def encode(contents: Contents) -> bytes:
    """A file of these contents.

    Parameters
    ----------
    contents : Contents
        Of the outermost group.

    Raises
    ------
    ValueError
        If a name is too long to be written.
    ImportError
        If h5py is not installed.
    """
    h5py = _h5py()
    with h5py.File("cylstm", "w", driver="core", backing_store=False) as file:
        _fill(h5py, file, contents)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _fill(h5py: Any, group: Any, contents: Contents) -> None:
    for name, value in contents.attributes.items():
        if isinstance(value, str):
            # In ASCII and of variable length: what TensorFlow 1.4 reads, and beyond 64 KiB, too.
            group.attrs.create(name, value, dtype=h5py.string_dtype("ascii"))
        else:
            _write_list(group, name, [text.encode() for text in value])
    for name, member in contents.members.items():
        if isinstance(member, Contents):
            _fill(h5py, group.require_group(name), member)
        else:
            group.create_dataset(name, data=member)


def _write_list(group: Any, name: str, texts: list[bytes]) -> None:
    """A list of texts as an attribute, or as several that are numbered, as Keras does it."""
    longest = max(map(len, texts), default=1)
    if longest > _LONGEST_LIST:
        raise ValueError(f"A name has {longest} bytes, and at most {_LONGEST_LIST} are stored.")
    if longest * len(texts) <= _LONGEST_LIST:
        group.attrs[name] = np.array(texts, f"S{longest}") if texts else np.zeros(0)
        return
    step = _LONGEST_LIST // longest
    for part, begin in enumerate(range(0, len(texts), step)):
        group.attrs[f"{name}{part}"] = np.array(texts[begin : begin + step], f"S{longest}")
