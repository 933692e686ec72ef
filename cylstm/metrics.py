"""Metrics: what is reported beside the loss.

A metric takes targets and predictions and returns values whose mean is reported; every loss is a
metric too, under the same names and aliases. Masks count, sample weights only in
``weighted_metrics``. To add one, write the function here and add its name to `_ACCURACIES`.

The names ``"accuracy"`` and ``"acc"`` stand for one of three accuracies, depending on the output
and its loss: see `accuracy_for`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks, losses
from cylstm._registry import Registry, unknown_name_message
from cylstm._spellings import class_form
from cylstm.losses import (
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    _targets,
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine,
    cosine_proximity,
    hinge,
    kld,
    kullback_leibler_divergence,
    logcosh,
    mae,
    mape,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    mse,
    msle,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from cylstm.losses._differentiable import ALIASES, BUILTINS
from cylstm.losses._today import CLASSES

if TYPE_CHECKING:
    from cylstm._registry import Deserialize, Get, Serialize

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "Hinge",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "accuracy_for",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine",
    "cosine_proximity",
    "deserialize",
    "get",
    "hinge",
    "is_builtin",
    "kld",
    "kullback_leibler_divergence",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "resolve",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

Metric = Callable[..., Any]
Make = Callable[..., Metric]


def binary_accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> np.ndarray:
    """Return the share of predictions along the last axis that round to their targets.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Zeros and ones, and predictions; 0.5 rounds to 0.

    Returns
    -------
    array (...)
        Shares from 0 to 1, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> binary_accuracy([[1, 0, 1, 0]], [[0.9, 0.2, 0.4, 0.1]]).tolist()
    [0.75]
    """
    targets, outputs = _targets.operands("binary_accuracy", y_true, y_pred)
    shares: np.ndarray = np.mean(targets == np.round(outputs), axis=-1, dtype=outputs.dtype)
    return shares


def categorical_accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> np.ndarray:
    """Return 1 where the greatest prediction is that of the true class, elsewhere 0.

    Parameters
    ----------
    y_true, y_pred : array (..., classes)
        Rows of 0 and 1, and predictions. Of equal predictions the first counts.

    Returns
    -------
    array (...)
        Zeros and ones, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> categorical_accuracy([[0, 1], [0, 1]], [[0.2, 0.8], [0.6, 0.4]]).tolist()
    [1.0, 0.0]
    """
    targets, outputs = _targets.operands("categorical_accuracy", y_true, y_pred)
    hits: np.ndarray = (targets.argmax(axis=-1) == outputs.argmax(axis=-1)).astype(outputs.dtype)
    return hits


def sparse_categorical_accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> np.ndarray:
    """Return 1 where the greatest prediction is that of the class with number y_true, else 0.

    Parameters
    ----------
    y_true : array (..., 1) or (...)
        The numbers of the classes.
    y_pred : array (..., classes)
        Predictions. Of equal ones the first counts.

    Returns
    -------
    array (...)
        Zeros and ones, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a target is no integer from 0 to classes - 1.

    Examples
    --------
    >>> sparse_categorical_accuracy([[1], [1]], [[0.2, 0.8], [0.6, 0.4]]).tolist()
    [1.0, 0.0]
    """
    outputs = _targets.predictions("sparse_categorical_accuracy", y_pred)
    targets = _targets.class_indices("sparse_categorical_accuracy", y_true, outputs)
    hits: np.ndarray = (targets == outputs.argmax(axis=-1)).astype(outputs.dtype)
    return hits


def top_k_categorical_accuracy(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, k: int = 5
) -> np.ndarray:
    """Return the share of rows where the true class is among the k greatest predictions.

    Parameters
    ----------
    y_true, y_pred : array (..., rows, classes)
        Rows of 0 and 1, and predictions. A class counts where fewer than k predictions are
        greater; where one is infinite or NaN it does not.
    k : int, default 5
        How many guesses are allowed.

    Returns
    -------
    array (...)
        Shares from 0 to 1, in the dtype of y_pred; one number for two axes.

    Raises
    ------
    ValueError
        If the shapes differ, or k is below 1.
    TypeError
        If k is not an integer.

    Examples
    --------
    >>> float(top_k_categorical_accuracy([[0, 0, 1], [0, 0, 1]],
    ...                                  [[0.5, 0.2, 0.3], [0.4, 0.5, 0.1]], k=2))
    0.5
    """
    targets, outputs = _targets.operands("top_k_categorical_accuracy", y_true, y_pred)
    return _share_in_top_k(targets.argmax(axis=-1), outputs, k)


def sparse_top_k_categorical_accuracy(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, k: int = 5
) -> np.ndarray:
    """Return the share of rows where class number y_true is among the k greatest predictions.

    Parameters
    ----------
    y_true : array (..., rows, 1) or (..., rows)
        The numbers of the classes.
    y_pred : array (..., rows, classes)
        Predictions, compared as in `top_k_categorical_accuracy`.
    k : int, default 5
        How many guesses are allowed.

    Returns
    -------
    array (...)
        Shares from 0 to 1, in the dtype of y_pred; one number for two axes.

    Raises
    ------
    ValueError
        If the shapes do not fit, a target is no integer from 0 to classes - 1, or k is below 1.
    TypeError
        If k is not an integer.

    Examples
    --------
    >>> float(sparse_top_k_categorical_accuracy([[2]], [[0.5, 0.2, 0.3]], k=2))
    1.0
    """
    outputs = _targets.predictions("sparse_top_k_categorical_accuracy", y_pred)
    targets = _targets.class_indices("sparse_top_k_categorical_accuracy", y_true, outputs)
    return _share_in_top_k(targets, outputs, k)


def _share_in_top_k(classes: np.ndarray, outputs: np.ndarray, k: int) -> np.ndarray:
    k = _checks.positive_int(k, "k")
    chosen = np.take_along_axis(outputs, classes[..., None], axis=-1)
    found = np.sum(outputs > chosen, axis=-1) < k
    shares: np.ndarray = np.mean(
        found & np.isfinite(outputs).all(axis=-1), axis=-1, dtype=outputs.dtype
    )
    return shares


_ACCURACIES = {
    function.__name__: function
    for function in (
        binary_accuracy,
        categorical_accuracy,
        sparse_categorical_accuracy,
        sparse_top_k_categorical_accuracy,
        top_k_categorical_accuracy,
    )
}

# Their names as classes, which later versions of Keras have.
_ACCURACY_CLASSES = {
    "".join("K" if word == "k" else word.title() for word in name.split("_")): name
    for name in _ACCURACIES
}
_EXACTLY_5 = {"k": ((5,), "write a function of your own that calls the one of this name with k")}
_AT_HALF = {"threshold": ((0.5,), "write a function of your own")}
BinaryAccuracy: Make = class_form(__name__, "BinaryAccuracy", binary_accuracy, _AT_HALF)
CategoricalAccuracy: Make = class_form(__name__, "CategoricalAccuracy", categorical_accuracy, {})
SparseCategoricalAccuracy: Make = class_form(
    __name__, "SparseCategoricalAccuracy", sparse_categorical_accuracy, {}
)
TopKCategoricalAccuracy: Make = class_form(
    __name__, "TopKCategoricalAccuracy", top_k_categorical_accuracy, _EXACTLY_5
)
SparseTopKCategoricalAccuracy: Make = class_form(
    __name__, "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy, _EXACTLY_5
)

_registry = Registry(
    "metric function",
    {**BUILTINS, **_ACCURACIES},
    ALIASES | CLASSES | _ACCURACY_CLASSES,
    instantiate=False,
)

get: Get[Metric] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Metric] = _registry.deserialize


def is_builtin(metric: Any) -> bool:
    """Return whether a metric is one of this module, or a built-in loss.

    Examples
    --------
    >>> is_builtin(mse), is_builtin(lambda y_true, y_pred: 0.0)
    (True, False)
    """
    return _registry.objects.get(getattr(metric, "__name__", "")) is metric


def accuracy_for(output_shape: Sequence[int | None], loss: Any) -> Metric:
    """Return the accuracy that ``metrics=["accuracy"]`` stands for.

    Parameters
    ----------
    output_shape : tuple of int or None
        The shape of the output.
    loss : str or callable
        Its loss.

    Returns
    -------
    callable
        `binary_accuracy` for a single unit or `binary_crossentropy`, otherwise
        `sparse_categorical_accuracy` for the sparse loss, otherwise `categorical_accuracy`.

    Raises
    ------
    ValueError
        If the loss is unknown.

    Examples
    --------
    >>> accuracy_for((None, 4), "categorical_crossentropy").__name__
    'categorical_accuracy'
    """
    loss = losses.get(loss)
    if output_shape[-1] == 1 or loss is binary_crossentropy:
        return binary_accuracy
    if loss is sparse_categorical_crossentropy:
        return sparse_categorical_accuracy
    return categorical_accuracy


def resolve(
    metric: Any, output_shape: Sequence[int | None], loss: Any, weighted: bool = False
) -> tuple[str, Metric]:
    """Return the name under which a metric of an output is reported, and its function.

    Parameters
    ----------
    metric : str or callable
        A metric as `compile` takes it.
    output_shape : tuple of int or None
        The shape of the output.
    loss : str or callable
        Its loss; it decides what ``"accuracy"`` means.
    weighted : bool, default False
        Whether sample weights count; the name then begins with ``weighted_``.

    Returns
    -------
    name : str
        ``"acc"`` for ``"accuracy"``, otherwise the name of the function.
    function : callable
        From targets and predictions to values.

    Raises
    ------
    ValueError
        If the name is unknown, or the metric is neither a name nor a callable.

    Examples
    --------
    >>> resolve("acc", (None, 1), "mse")[0], resolve("mse", (None, 1), "mse", weighted=True)[0]
    ('acc', 'weighted_mean_squared_error')
    """
    if isinstance(metric, str) and metric in ("accuracy", "acc"):
        name, function = "acc", accuracy_for(output_shape, loss)
    else:
        function = _found(metric)
        name = getattr(function, "__name__", type(function).__name__)
    return ("weighted_" if weighted else "") + name, function


def _found(metric: Any) -> Metric:
    """As `get`; of what is unknown, the names for `compile` are suggested as well."""
    try:
        return get(metric)
    except ValueError:
        if not isinstance(metric, str):
            raise
        known = [*_registry.names, "accuracy"]
        raise ValueError(unknown_name_message(_registry.kind, metric, known)) from None
