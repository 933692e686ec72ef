"""The gate for what users pass in: arrays, masks, numbers, checked before anything is computed."""

from __future__ import annotations

import math
import operator
import reprlib
import sys
from typing import Any, TypeGuard

import numpy as np

__all__ = [
    "as_array",
    "as_bools",
    "as_mask",
    "described",
    "float_dtype",
    "fraction",
    "handed_out",
    "is_array",
    "plain_array",
    "positive_int",
    "rank",
    "real_array",
    "refuse_masked",
]

_FLOATS = ("float32", "float64")
_BOOL = np.dtype(bool)
_MOST_AXES = 64  # of a NumPy array


def float_dtype(dtype: Any) -> str:
    """The name of a dtype that layers compute in; ValueError for any but float32 and float64."""
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = ""
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
        message = f"{name} must be a positive integer, got {described(value)}."
        if hasattr(value, "shape"):
            message += " A layer is made first, and then called on data: LSTM(4)(x)."
        raise TypeError(message) from None
    if number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    return number


def fraction(value: Any, name: str) -> float:
    """`value` clipped to [0, 1], as Keras does with dropout rates.

    NaN and no-numbers raise, and so does what can only be a percentage.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number from 0 to 1, got {value!r}.") from None
    if math.isnan(number):
        raise ValueError(f"{name} must be a number from 0 to 1, got NaN.")
    if number >= 2:
        raise ValueError(
            f"{name} must be a number from 0 to 1, got {value!r}: half of the units is 0.5."
        )
    return min(1.0, max(0.0, number))


def described(value: Any) -> str:
    """What a value is, in a few words: for errors, where a large array would fill the screen."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(getattr(value, "shape", None), tuple):
        kind = "an array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        return f"{kind} of the shape {value.shape}"
    text = reprlib.repr(value) if isinstance(value, list | tuple | dict) else repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


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


def is_array(value: Any, dtype: np.dtype, shape: tuple[int | None, ...]) -> TypeGuard[np.ndarray]:
    """Whether a value is an array of this dtype and shape, C-contiguous and aligned: quick to see.

    A read-only one may be taken for none; `as_array` finds out.
    """
    return (
        type(value) is np.ndarray
        and value.dtype is dtype
        and value.shape == shape
        and value.flags.carray
    )


def real_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array of real numbers of any dtype and layout; errors as `as_array`."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    refuse_masked(value, name)
    array = plain_array(value, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {_wrong_kind(value, array)}")
    return array


def refuse_masked(value: Any, name: str, depth: int = 0) -> None:
    """Raise TypeError for a masked array, also in (nested) lists: NumPy would lose its mask."""
    listed = isinstance(value, list | tuple)
    kinds = set(map(type, value)) if listed else {type(value)}
    # Where that module is not loaded, there are no masked arrays; loading it takes milliseconds.
    if "numpy.ma" in sys.modules and any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
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
    return as_array(array, _BOOL, name)


_PADDING = (
    "Fill them up by cylstm.preprocessing.sequence.pad_sequences, and let the model skip what was "
    "filled in by a Masking layer, or an Embedding with mask_zero=True."
)
_CURES = {
    "c": "Give the real and the imaginary part as two features.",
    "M": "Give times as numbers, such as the hours since the first one.",
    "U": "Text becomes numbers by cylstm.preprocessing.text.Tokenizer, digits by "
    ".astype('float32').",
    "O": "Where each is a number, .astype('float32') will do.",
    "V": "Of bfloat16 and its kin, .astype('float32') makes numbers that NumPy has.",
}


def _wrong_kind(value: Any, array: np.ndarray) -> str:
    """What is no array of real numbers, and what to do about it."""
    kind = array.dtype.kind
    if array.ndim == 0 and kind in "OU":
        return f"{described(value)}."
    cure = _CURES.get(kind, "")
    if kind == "O" and any(isinstance(part, list | np.ndarray) for part in array.flat):
        cure = f"It holds sequences of unequal lengths. {_PADDING}"
    return f"an array of dtype {array.dtype}. {cure}".rstrip()


def plain_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array of any dtype: the one place where what users pass in becomes NumPy's.

    Whatever NumPy takes is taken, and what gives its numbers by DLPack alone. Memory is shared
    where the other library allows.

    Raises
    ------
    TypeError
        For what another library does not hand out: it is on a GPU, has a gradient, is traced, ...
    ValueError
        For nested lists of uneven lengths.
    """
    if type(value) is np.ndarray:
        return value
    try:
        array = np.asarray(handed_out(value))
        return _stacked(value, array) if array.dtype.kind == "O" else array
    except ValueError as error:
        lengths = _uneven_lengths(value)
        if lengths is None:
            raise ValueError(f"{name} cannot be made an array: {error}") from None
        raise ValueError(
            f"{name} cannot be made an array: it holds sequences of unequal lengths, {lengths}. "
            + _PADDING
        ) from None
    except (TypeError, RuntimeError, BufferError) as error:
        if type(value).__module__.startswith("cylstm."):  # which say themselves what to do
            raise
        reason = str(error).rstrip(".")
        cures = [cure for part, cure in _CURES_OF_TENSORS.items() if part in reason]
        raise TypeError(" ".join([f"{name} cannot be made an array: {reason}.", *cures])) from error


_CURES_OF_TENSORS = {
    "requires grad": "What is computed here is outside of PyTorch's autograd: give x.detach(), or "
    "take cylstm.torch.LSTM, through which gradients flow.",
    "ScalarType": "NumPy has no such numbers: give x.float().",
}


def handed_out(value: Any) -> Any:
    """The value, or a view of it where NumPy cannot read it itself: what has DLPack alone."""
    if isinstance(value, list | tuple):
        alone = any(map(_has_dlpack_alone, set(map(type, value))))
        return [handed_out(part) for part in value] if alone else value
    if type(getattr(value, "type", None)).__name__ == "FixedShapeTensorType":  # of pyarrow
        array = value.combine_chunks() if hasattr(value, "combine_chunks") else value
        return array.to_numpy_ndarray()
    return np.from_dlpack(value) if _has_dlpack_alone(type(value)) else value


def _has_dlpack_alone(kind: type) -> bool:
    return hasattr(kind, "__dlpack__") and not hasattr(kind, "__array__")


def _stacked(value: Any, array: np.ndarray) -> np.ndarray:
    """One array of a table with columns of several types, or of a column of lists of one length."""
    cells = array.tolist()
    if isinstance(value, list | tuple | np.ndarray) or not isinstance(cells, list):
        return array
    cells = [part.tolist() if isinstance(part, np.ndarray) else part for part in cells]
    lengths = {len(part) if isinstance(part, list) else -1 for part in cells}
    return np.asarray(cells) if len(lengths) == 1 and min(lengths, default=-1) >= 0 else array


def _uneven_lengths(value: Any, depth: int = 0) -> str | None:
    """Two lengths that differ, of the parts of a list or of its first part that is uneven."""
    if not isinstance(value, list | tuple) or depth > 32:
        return None
    lengths = [len(part) for part in value if isinstance(part, list | tuple | np.ndarray)]
    for length in lengths:
        if length != lengths[0]:
            return f"such as {lengths[0]} and {length}"
    return next((found for part in value if (found := _uneven_lengths(part, depth + 1))), None)


def as_mask(mask: Any, shape: tuple[int, int], name: str = "mask") -> np.ndarray:
    """`mask` as a C-contiguous bool array of `shape` (batch, timesteps)."""
    if is_array(mask, _BOOL, shape):
        return mask
    array = as_bools(mask, name)
    if array.shape != shape:
        raise ValueError(
            f"{name} must have the shape (batch, timesteps) = {shape}, got {array.shape}."
        )
    return array
