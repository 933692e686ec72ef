"""The gate for what users pass in: arrays, masks, numbers, checked before anything is computed."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

__all__ = ["as_array", "as_mask", "float_dtype", "fraction", "positive_int", "rank", "real_array"]

_FLOATS = ("float32", "float64")


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
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a numpy masked array; fill it (`x.filled(0)`) and pass what is to be "
            "skipped by the `mask` argument (True where a step counts)."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}.")
    return array


def as_mask(mask: Any, shape: tuple[int, int], name: str = "mask") -> np.ndarray:
    """`mask` as a C-contiguous bool array of `shape` (batch, timesteps)."""
    array = as_array(mask, np.dtype(bool), name)
    if array.shape != shape:
        raise ValueError(
            f"{name} must have the shape (batch, timesteps) = {shape}, got {array.shape}."
        )
    return array
