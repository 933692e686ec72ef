"""Targets and predictions as losses and metrics take them: checked, and of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks

__all__ = ["check_dense", "check_sparse", "class_indices", "dtype_of", "operands", "predictions"]

Shape = Sequence[int | None]


def dtype_of(y_pred: Any) -> np.dtype:
    """The dtype of what comes of predictions: that of float64 and float32, else float32."""
    given = getattr(y_pred, "dtype", None)
    if isinstance(given, np.dtype):
        double = given.kind == "f" and given.itemsize == 8  # in any byte order
    else:  # torch.float64, Float64 of pandas and polars
        double = str(given).lower().endswith("float64")
    return np.dtype(np.float64 if double else np.float32)


def predictions(name: str, y_pred: npt.ArrayLike) -> np.ndarray:
    """Predictions as an array with a last axis: float64 stays, every other dtype is float32."""
    array = _checks.as_array(y_pred, dtype_of(y_pred), f"y_pred of {name}")
    if not array.ndim:
        raise ValueError(
            f"{name} works along the last axis, but y_pred is a single number; pass an array."
        )
    return array


def operands(
    name: str, y_true: npt.ArrayLike, y_pred: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions of one shape, both in the dtype of the predictions.

    Raises
    ------
    TypeError
        If either does not consist of real numbers.
    ValueError
        If the shapes differ.
    """
    outputs = predictions(name, y_pred)
    targets = _checks.as_array(y_true, outputs.dtype, f"y_true of {name}")
    check_dense(name, targets.shape, outputs.shape)
    return targets, outputs


def class_indices(name: str, y_true: npt.ArrayLike, y_pred: np.ndarray) -> np.ndarray:
    """Targets that number the classes, as an integer array of the shape of y_pred[..., 0].

    Raises
    ------
    TypeError
        If y_true does not consist of real numbers.
    ValueError
        If its shape does not fit, or it holds anything but integers from 0 to classes - 1.
    """
    is_whole = type(y_true) is np.ndarray and y_true.dtype.kind in "iu"
    targets = (
        np.asarray(y_true)
        if is_whole
        else _checks.as_array(y_true, np.dtype(np.float64), f"y_true of {name}")
    )
    check_sparse(name, targets.shape, y_pred.shape)
    classes = y_pred.shape[-1]
    if targets.size and not (targets.min() >= 0 and targets.max() < classes):
        raise _no_classes(name, targets, y_pred)
    numbers = np.ascontiguousarray(targets, np.int64)
    if not is_whole and not (numbers == targets).all():
        raise _no_classes(name, targets, y_pred)
    return numbers.reshape(y_pred.shape[:-1])


def _no_classes(name: str, targets: np.ndarray, y_pred: np.ndarray) -> ValueError:
    classes = y_pred.shape[-1]
    fits = (targets >= 0) & (targets < classes) & (targets == np.floor(targets))
    return ValueError(
        f"{name} takes targets that number the classes, integers from 0 to {classes - 1} for "
        f"predictions of shape {y_pred.shape}, got {targets[~fits].flat[0]}."
    )


def check_dense(name: str, target_shape: Shape, output_shape: Shape) -> None:
    """ValueError unless targets have the shape of the outputs (None fits every size)."""
    if _fits(target_shape, output_shape):
        return
    hint = ""
    if name == "categorical_crossentropy" and _numbers_classes(target_shape, output_shape):
        hint = (
            " Targets that number the classes go with sparse_categorical_crossentropy, or become "
            "rows of 0 and 1 by cylstm.utils.to_categorical."
        )
    elif len(output_shape) == 3 and _fits(target_shape, [output_shape[0], output_shape[2]]):
        hint = (
            " The model gives an output for each timestep: leave return_sequences=True out of its "
            "last recurrent layer for one output a sequence."
        )
    elif len(target_shape) == 3 and _fits([target_shape[0], target_shape[2]], output_shape):
        hint = " Targets for each timestep need return_sequences=True in the last recurrent layer."
    elif _fits(target_shape, output_shape[:-1]):
        hint = " Give the targets a last axis: y[..., None]."
    raise ValueError(
        f"{name} compares targets and outputs of one shape, got targets of shape "
        f"{_text(target_shape)} for outputs of shape {_text(output_shape)}.{hint}"
    )


def check_sparse(name: str, target_shape: Shape, output_shape: Shape) -> None:
    """ValueError unless targets have one number for each row of classes in the outputs."""
    if _numbers_classes(target_shape, output_shape):
        return
    hint = ""
    if _fits(target_shape, output_shape):
        hint = (
            " Rows of 0 and 1 go with categorical_crossentropy, or become numbers by "
            "y.argmax(axis=-1)."
        )
    raise ValueError(
        f"{name} takes targets that number the classes: of shape "
        f"{_text([*output_shape[:-1], 1])} for outputs of shape {_text(output_shape)}, got "
        f"{_text(target_shape)}.{hint}"
    )


def _numbers_classes(target_shape: Shape, output_shape: Shape) -> bool:
    rows = [*output_shape[:-1]]
    return _fits(target_shape, rows) or _fits(target_shape, [*rows, 1])


def _fits(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        None in (size, wanted) or size == wanted
        for size, wanted in zip(shape, expected, strict=True)
    )


def _text(shape: Sequence[Any]) -> str:
    return str(tuple(shape))
