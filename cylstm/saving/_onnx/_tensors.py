"""Tensors of an ONNX file as arrays, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cylstm.saving._onnx._document import Tensor
from cylstm.saving._onnx._external import Folder

__all__ = ["DTYPES", "array_of", "dtype_of", "tensor_of", "type_number"]

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
_NUMBERS = {name: number for number, name in DTYPES.items()}
# Where numbers are that are not raw; float16 and small integers lie in int32_data.
_LISTS = {"float32": "float_data", "float64": "double_data", "int64": "int64_data"}
_LISTS |= {"uint64": "uint64_data", "uint32": "uint64_data"}
_MAX_RANK = 8
_EXTERNAL = 1


def dtype_of(number: int | None, what: str) -> str:
    """The name of a dtype, from its number.

    Raises
    ------
    ValueError
        If it is none that is read: texts, complex numbers and those of less than 16 bits are not.
    """
    if number not in DTYPES:
        raise ValueError(f"{what} has the type {number}; known are {DTYPES}")
    return DTYPES[number]


def array_of(tensor: Tensor, folder: Folder) -> np.ndarray:
    """The array that a tensor is.

    Parameters
    ----------
    tensor : Tensor
        It may be hostile: its size is checked before anything is allocated.
    folder : Folder
        Where data lie that are in files of their own.

    Raises
    ------
    ValueError
        If shape, type and data do not fit each other.
    """
    what = f"tensor {tensor.name!r}"
    name, shape = dtype_of(tensor.data_type, what), tuple(tensor.dims)
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise ValueError(f"{what} has the shape {shape}")
    if tensor.segment is not None:
        raise ValueError(f"{what} is a part of one, which is not read")
    count = math.prod(shape)
    dtype = np.dtype(name)
    if tensor.data_location == _EXTERNAL:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        raw: Any = folder.read(entries, count * dtype.itemsize, what)
    else:
        raw = tensor.raw_data
    if raw is not None:
        _check_count(len(raw), count * dtype.itemsize, "bytes", what)
        stored = np.frombuffer(raw, dtype.newbyteorder("<"), count).astype(dtype)
        return stored.reshape(shape)
    values = getattr(tensor, _LISTS.get(name, "int32_data"))
    values = np.zeros(0, dtype) if values is None else np.asarray(values)
    _check_count(len(values), count, "numbers", what)
    return _as_dtype(values, dtype, what).reshape(shape)


def _check_count(found: int, expected: int, unit: str, what: str) -> None:
    if found != expected:
        raise ValueError(f"{what} has {found} {unit}, and its shape and type need {expected}")


def _as_dtype(values: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    if dtype.kind == "f" and dtype.itemsize > 2:
        return values.astype(dtype)
    if dtype == np.uint64:
        return values.astype(np.int64).view(np.uint64)  # the wire format has no sign
    stored = np.dtype(np.uint16) if dtype == np.float16 else dtype
    limits = (0, 1) if stored.kind == "b" else (np.iinfo(stored).min, np.iinfo(stored).max)
    if values.size and not limits[0] <= values.min() <= values.max() <= limits[1]:
        raise ValueError(f"{what} holds a number that is no {dtype}")
    return values.astype(stored).view(dtype)


def tensor_of(array: np.ndarray, name: str | None = None) -> Tensor:
    """The tensor that holds an array."""
    array = np.asarray(array, order="C")
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return Tensor(
        dims=list(array.shape), data_type=_NUMBERS[array.dtype.name], name=name, raw_data=raw
    )


def type_number(dtype: str) -> int:
    """The number of a dtype, from its name; reverses `dtype_of`."""
    return _NUMBERS[dtype]
