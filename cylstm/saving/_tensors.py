"""The safetensors container: named arrays and a dict of strings, in one file.

8 bytes give the length of the header (little endian); the header, in JSON, gives for each tensor
its dtype, shape and place in the rest of the file, which is all data. The package `safetensors`
writes it. It is read here, after the header is checked: the format leaves room that hostile files
have used in other readers.

References
----------
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from cylstm.saving import _json
from cylstm.saving._files import check_size, opened
from cylstm.saving._limits import Limits, check_count

__all__ = [
    "DTYPES",
    "FOREIGN_DTYPES",
    "decode",
    "encode",
    "itemsize",
    "recognises",
    "require",
    "unpacked",
]

DTYPES = {
    "F32": "float32",
    "F64": "float64",
    **{
        f"{sign}{bits}": f"{name}{bits}"
        for sign, name in (("I", "int"), ("U", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
# What others store, too.
FOREIGN_DTYPES = {**DTYPES, "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"}
MAX_HEADER = 2**22
_MAX_RANK = 8
_METADATA = "__metadata__"


def recognises(head: bytes) -> bool:
    """Whether a file may be one, from its first bytes (9 or more).

    Examples
    --------
    >>> recognises(bytes([64, 0, 0, 0, 0, 0, 0, 0]) + b'{"kernel":'), recognises(b"PK")
    (True, False)
    """
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER


def require() -> None:
    """Raise an ImportError that says what to install if `safetensors` is not there."""
    _library()


def encode(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The contents of a file.

    Parameters
    ----------
    tensors : dict of ndarray
        By name; of the dtypes in `DTYPES`.
    metadata : dict of str
        What else to keep.

    Raises
    ------
    ValueError
        If a dtype is not among them, or the header becomes longer than is ever read.
    ImportError
        If `safetensors` is not installed.
    """
    for name, array in tensors.items():
        if array.dtype.name not in DTYPES.values():
            raise ValueError(f"{name} has the dtype {array.dtype}, which is not stored.")
    limits = Limits.of(tensors.values())
    check_count(len(tensors), limits.stored, "there are {} tensors")
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    data: bytes = _library().save(arrays, metadata)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        raise ValueError(
            f"The configuration takes {length} bytes, and at most {MAX_HEADER} are stored: are "
            "there large arrays in the arguments of layers?"
        )
    _json.check_count(data[8 : 8 + length], limits.values)
    return data


def decode(
    path: str | os.PathLike[str], max_size: int, dtypes: Mapping[str, str] = DTYPES
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors, by name, and the metadata of a file; reverses `encode`.

    The tensors are read-only.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        How many bytes the file may have.
    dtypes : mapping of str, default `DTYPES`
        Those that it may hold: our name for each of the format's.

    Raises
    ------
    ValueError
        If the file is larger, or anything about it is not as it must be.
    OSError
        If it cannot be read.
    """
    with opened(path) as (file, size):
        check_size(size, max_size)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError(
                f"it is no safetensors file or cut off: the header should have {length} bytes, "
                f"of {size} in all"
            )
        header = file.read(length)
        places, metadata = _check_header(header, size - 8 - length, dtypes)
        file.seek(0)
        whole = file.read(size)
    if len(whole) != size or whole[8 : 8 + length] != header:
        raise ValueError("it was changed while it was read")
    data = memoryview(whole)[8 + length :]
    return {place.name: _array(data, place, dtypes) for place in places}, metadata


def itemsize(dtype: str) -> int:
    """How many bytes a number takes in a file; dtypes are NumPy's and bfloat16."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def unpacked(data: bytes | memoryview, dtype: str, order: str = "little") -> np.ndarray:
    """The numbers that bytes of a file are, in the byte order of this machine; read-only.

    Parameters
    ----------
    data : bytes
        Of as many numbers as there are.
    dtype : str
        NumPy's name of a dtype; or bfloat16, the upper half of a float32, which it becomes.
    order : {"little", "big"}
        The byte order of the file.

    Returns
    -------
    ndarray
        Of one axis; a view of the bytes where it can be.

    Examples
    --------
    >>> unpacked(bytes([0x80, 0x3F, 0, 0xC0]), "bfloat16").tolist()
    [1.0, -2.0]
    """
    sign = "<" if order == "little" else ">"
    if dtype == "bfloat16":
        found = (np.frombuffer(data, f"{sign}u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype == "bool":
        found = np.frombuffer(data, np.uint8) != 0
    else:
        found = np.frombuffer(data, dtype)
        if order != sys.byteorder:
            found = found.byteswap()
        found = np.require(found, requirements="A")
    found.flags.writeable = False
    return found


def _library() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"Files of the suffix .safetensors need the package safetensors ({error}), which is "
            "usually installed with cylstm: `pip install safetensors`."
        ) from error
    return safetensors.numpy


class _Place(NamedTuple):
    """Where a tensor is in the data, and what it is."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def _array(data: memoryview, place: _Place, dtypes: Mapping[str, str]) -> np.ndarray:
    return unpacked(data[place.begin : place.end], dtypes[place.dtype]).reshape(place.shape)


def _check_header(
    text: bytes, size: int, dtypes: Mapping[str, str]
) -> tuple[list[_Place], dict[str, str]]:
    """Check that tensors fill the data without gaps or overlaps; places by name, and metadata."""
    limits = Limits(size, 0, 0)
    _json.check_count(text, limits.values)
    header = _json.parse(text)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata are not strings")
    check_count(len(header), limits.stored, "it has {} tensors")
    places = [_place(name, entry, dtypes) for name, entry in header.items()]
    position = 0
    for place in sorted(places):
        if place.begin != position:
            raise ValueError(f"tensor {place.name!r} begins at {place.begin} instead of {position}")
        position = place.end
    if position != size:
        raise ValueError(f"its tensors take {position} bytes, but {size} follow the header")
    return places, metadata


def _place(name: str, entry: Any, dtypes: Mapping[str, str]) -> _Place:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise ValueError(f"tensor {name!r} has the dtype {dtype!r}; known are {list(dtypes)}")
    if not _are_sizes(shape) or len(shape) > _MAX_RANK:
        raise ValueError(f"tensor {name!r} has the shape {shape!r}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r} has the offsets {offsets!r}")
    begin, end = offsets
    if end - begin != math.prod(shape) * itemsize(dtypes[dtype]):
        raise ValueError(
            f"tensor {name!r} of shape {shape} and dtype {dtype} does not take {end - begin} bytes"
        )
    return _Place(begin, end, name, dtype, tuple(shape))


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
