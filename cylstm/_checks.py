"""The gate for what users pass in: arrays, masks, numbers, checked before anything is computed."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

__all__ = [
    "as_array",
    "as_bools",
    "as_mask",
    "float_dtype",
    "fraction",
    "positive_int",
    "rank",
    "real_array",
    "refuse_masked",
]

_FLOATS = ("float32", "float64")
_MOST_AXES = 64  # of a NumPy array


def float_dtype(dtype: Any) -> str:
    """The name of a dtype that layers compute in; ValueError for any but float32 and float64."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in _FLOATS:
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
    return name


def positive_int(value: Any, name: str) -> int:
    """`value` as an int; ValueError where it is below 1, TypeError where it is no integer."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a positive integer, got {value!r}.") from None
    if number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    return number


def fraction(value: Any, name: str) -> float:
    """`value` clipped to [0, 1], as Keras does with dropout rates; NaN and no-numbers raise."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number from 0 to 1, got {value!r}.") from None
    if math.isnan(number):
        raise ValueError(f"{name} must be a number from 0 to 1, got NaN.")
    return min(1.0, max(0.0, number))


def rank(value: Any) -> int:
    """The number of axes of an array or of a nested list, without converting it."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape)
    axes = 0
    while isinstance(value, list | tuple):
        axes += 1
        if not value:
            return axes
        value = value[0]
        if hasattr(value, "shape"):
            return axes + len(value.shape)
    return axes


def as_array(value: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """`value` as a C-contiguous, aligned array of `dtype`: itself where it is one already.

    Raises
    ------
    TypeError
        For complex, object, string and masked arrays.
    ValueError
        For nested lists of uneven lengths.
    """
    if type(value) is np.ndarray and value.dtype == dtype:
        flags = value.flags
        if flags.c_contiguous and flags.aligned:
            return value
    array = np.require(real_array(value, name), dtype, ["C", "A"])
    return array if type(array) is np.ndarray else array.view(np.ndarray)


def real_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array of real numbers of any dtype and layout; errors as `as_array`."""
    refuse_masked(value, name)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}.")
    return array


def refuse_masked(value: Any, name: str, depth: int = 0) -> None:
    """Raise TypeError for a masked array, also in (nested) lists: NumPy would lose its mask."""
    listed = isinstance(value, list | tuple)
    kinds = set(map(type, value)) if listed else {type(value)}
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        raise TypeError(
            f"{name} {'holds' if listed or depth else 'is'} a numpy masked array; fill it "
            "(`x.filled(0)`) and pass what is to be skipped by the `mask` argument (True where a "
            "step counts)."
        )
    if listed and depth < _MOST_AXES and any(issubclass(kind, list | tuple) for kind in kinds):
        for item in value:
            if isinstance(item, list | tuple):
                refuse_masked(item, name, depth + 1)


def as_bools(mask: Any, name: str = "mask") -> np.ndarray:
    """`mask` as a C-contiguous bool array: True where a number is not 0.

    Raises
    ------
    TypeError
        For what is no bool or number, such as None, text and masked arrays.
    ValueError
        For NaN, which is neither true nor false.
    """
    array = real_array(mask, name)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} holds NaN: it must be True where a step counts, else False.")
    return as_array(array, np.dtype(bool), name)


def as_mask(mask: Any, shape: tuple[int, int], name: str = "mask") -> np.ndarray:
    """`mask` as a C-contiguous bool array of `shape` (batch, timesteps)."""
    array = as_bools(mask, name)
    if array.shape != shape:
        raise ValueError(
            f"{name} must have the shape (batch, timesteps) = {shape}, got {array.shape}."
        )
    return array
