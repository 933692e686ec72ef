"""The safetensors container: named arrays and a dict of strings, in one file.

8 bytes give the length of the header (little endian); the header, in JSON, gives for each tensor
its dtype, shape and place in the rest of the file, which is all data. The package `safetensors`
writes and reads it. Before it is given anything to read, the header is checked here: the format
leaves room that hostile files have used in other readers.

References
----------
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import Any

import numpy as np

from cylstm.saving import _json
from cylstm.saving._files import check_size, opened
from cylstm.saving._limits import Limits, check_count

__all__ = ["DTYPES", "decode", "encode", "recognises", "require"]

DTYPES = {
    "F32": "float32",
    "F64": "float64",
    **{
        f"{sign}{bits}": f"{name}{bits}"
        for sign, name in (("I", "int"), ("U", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
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
    path: str | os.PathLike[str], max_size: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors, by name, and the metadata of a file; reverses `encode`.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        How many bytes the file may have.

    Raises
    ------
    ValueError
        If the file is larger, or anything about it is not as it must be.
    OSError
        If it cannot be read.
    ImportError
        If `safetensors` is not installed.
    """
    library = _library()
    with opened(path) as (file, size):
        check_size(size, max_size)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError(
                f"it is no safetensors file or cut off: the header should have {length} bytes, "
                f"of {size} in all"
            )
        header = file.read(length)
        metadata = _check_header(header, size - 8 - length)
        file.seek(0)
        data = file.read(size)
    if len(data) != size or data[8 : 8 + length] != header:
        raise ValueError("it was changed while it was read")
    return library.load(data), metadata


def _library() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"Files of the suffix .safetensors need the package safetensors ({error}), which is "
            "usually installed with cylstm: `pip install safetensors`."
        ) from error
    return safetensors.numpy


def _check_header(text: bytes, size: int) -> dict[str, str]:
    """Check that tensors fill the data without gaps or overlaps; return the metadata."""
    limits = Limits(size, 0, 0)
    _json.check_count(text, limits.values)
    header = _json.parse(text)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata are not strings")
    check_count(len(header), limits.stored, "it has {} tensors")
    places = sorted(_place(name, entry) for name, entry in header.items())
    position = 0
    for begin, end, name in places:
        if begin != position:
            raise ValueError(f"tensor {name!r} begins at {begin} instead of {position}")
        position = end
    if position != size:
        raise ValueError(f"its tensors take {position} bytes, but {size} follow the header")
    return metadata


def _place(name: str, entry: Any) -> tuple[int, int, str]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {name!r} has the dtype {dtype!r}; known are {list(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MAX_RANK:
        raise ValueError(f"tensor {name!r} has the shape {shape!r}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r} has the offsets {offsets!r}")
    begin, end = offsets
    if end - begin != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise ValueError(
            f"tensor {name!r} of shape {shape} and dtype {dtype} does not take {end - begin} bytes"
        )
    return begin, end, name


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
