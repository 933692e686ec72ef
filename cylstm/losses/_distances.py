"""Losses that measure distances, margins and angles; `cylstm.losses` is where users find them."""

from __future__ import annotations

import numpy as np

from cylstm.losses._differentiable import builtin, clip, clip_with_gradient

__all__ = [
    "categorical_hinge",
    "cosine_proximity",
    "hinge",
    "logcosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "squared_hinge",
]

SMALLEST_SQUARED_NORM = 1e-12  # of a vector that cosine_proximity still scales to length 1


def _mean_squared_error_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = 2 * (y_pred - y_true) / y_pred.shape[-1]
    return slopes


@builtin(_mean_squared_error_gradient)
def mean_squared_error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of (y_pred - y_true)**2 along the last axis. Aliases: mse, MSE.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> mean_squared_error([[0.0, 1.0]], [[2.0, 1.0]]).tolist()
    [2.0]
    """
    values: np.ndarray = np.mean(np.square(y_pred - y_true), axis=-1)
    return values


def _mean_absolute_error_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = np.sign(y_pred - y_true) / y_pred.shape[-1]
    return slopes


@builtin(_mean_absolute_error_gradient)
def mean_absolute_error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of abs(y_pred - y_true) along the last axis. Aliases: mae, MAE.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions. Where they agree the gradient is 0.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> mean_absolute_error([[0.0, 1.0]], [[2.0, 1.0]]).tolist()
    [1.0]
    """
    values: np.ndarray = np.mean(np.abs(y_pred - y_true), axis=-1)
    return values


def _percentage_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    size = clip(np.abs(y_true), np.inf)
    slopes: np.ndarray = 100 * np.sign(y_pred - y_true) / size / y_pred.shape[-1]
    return slopes


@builtin(_percentage_gradient)
def mean_absolute_percentage_error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return 100 times the mean of abs((y_true - y_pred) / y_true). Aliases: mape, MAPE.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions. A target divides by 1e-7 at least.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> mean_absolute_percentage_error([[4.0, -1.0]], [[5.0, -1.5]]).tolist()
    [37.5]
    """
    size = clip(np.abs(y_true), np.inf)
    values: np.ndarray = 100 * np.mean(np.abs((y_true - y_pred) / size), axis=-1)
    return values


def _logarithmic_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    clipped, inside = clip_with_gradient(y_pred, np.inf)
    difference = np.log(clipped + 1) - np.log(clip(y_true, np.inf) + 1)
    slopes: np.ndarray = inside * (2 * difference / (clipped + 1) / y_pred.shape[-1])
    return slopes


@builtin(_logarithmic_gradient)
def mean_squared_logarithmic_error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of (log(y_pred + 1) - log(y_true + 1))**2. Aliases: msle, MSLE.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions. Both count as 1e-7 at least, where the gradient is 0 below.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> print(mean_squared_logarithmic_error([[3.0]], [[7.0]]).round(4))  # log(2)**2
    [0.4805]
    """
    first, second = (np.log(clip(y, np.inf) + 1) for y in (y_pred, y_true))
    values: np.ndarray = np.mean(np.square(first - second), axis=-1)
    return values


def _squared_hinge_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = -2 * y_true * np.maximum(1 - y_true * y_pred, 0) / y_pred.shape[-1]
    return slopes


@builtin(_squared_hinge_gradient)
def squared_hinge(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of max(1 - y_true * y_pred, 0)**2 along the last axis.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets, usually -1 and 1, and predictions.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> squared_hinge([[-1.0, 1.0]], [[1.0, 3.0]]).tolist()
    [2.0]
    """
    values: np.ndarray = np.mean(np.square(np.maximum(1 - y_true * y_pred, 0)), axis=-1)
    return values


def _hinge_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = -y_true * (1 - y_true * y_pred >= 0) / y_pred.shape[-1]
    return slopes


@builtin(_hinge_gradient)
def hinge(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of max(1 - y_true * y_pred, 0) along the last axis.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets, usually -1 and 1, and predictions.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> hinge([[-1.0, 1.0]], [[1.0, 3.0]]).tolist()
    [1.0]
    """
    values: np.ndarray = np.mean(np.maximum(1 - y_true * y_pred, 0), axis=-1)
    return values


def _categorical_hinge_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    others = (1 - y_true) * y_pred
    greatest = np.max(others, axis=-1, keepdims=True)
    active = greatest - np.sum(y_true * y_pred, axis=-1, keepdims=True) + 1 >= 0
    chosen = (others == greatest).astype(y_pred.dtype)  # equals share the gradient
    chosen /= np.sum(chosen, axis=-1, keepdims=True)
    slopes: np.ndarray = active * (chosen * (1 - y_true) - y_true)
    return slopes


@builtin(_categorical_hinge_gradient)
def categorical_hinge(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return max(1 + greatest prediction of another class - that of the true class, 0).

    Parameters
    ----------
    y_true, y_pred : array (..., classes)
        Rows of 0 and 1, and predictions.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> categorical_hinge([[0, 1, 0]], [[0.25, 0.75, 0.0]]).tolist()
    [0.5]
    """
    true = np.sum(y_true * y_pred, axis=-1)
    other = np.max((1 - y_true) * y_pred, axis=-1)
    values: np.ndarray = np.maximum(other - true + 1, 0)
    return values


def _logcosh_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = np.tanh(y_pred - y_true) / y_pred.shape[-1]
    return slopes


@builtin(_logcosh_gradient)
def logcosh(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of log(cosh(y_pred - y_true)) along the last axis.

    It is computed so that it stays finite where TensorFlow 1.4's overflows, at differences
    beyond 88 in float32.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> print(logcosh([[0.0, 0.0]], [[1000.0, 0.0]]).round(2))  # (1000 - log(2)) / 2
    [499.65]
    """
    size = np.abs(y_pred - y_true)
    # log(cosh(x)) = x + log((1 + exp(-2 x)) / 2), and expm1 keeps what is left of small x.
    values: np.ndarray = np.mean(size + np.log1p(np.expm1(-2 * size) / 2), axis=-1)
    return values


def _inverse_norm(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = np.sum(np.square(x), axis=-1, keepdims=True)
    least = x.dtype.type(SMALLEST_SQUARED_NORM)
    return 1 / np.sqrt(np.maximum(squares, least)), squares >= least


def _cosine_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    direction = y_true * (-_inverse_norm(y_true)[0] / y_pred.shape[-1])
    scale, inside = _inverse_norm(y_pred)
    along = inside * np.sum(direction * y_pred, axis=-1, keepdims=True) * scale**2
    slopes: np.ndarray = scale * (direction - along * y_pred)
    return slopes


@builtin(_cosine_gradient)
def cosine_proximity(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return minus the cosine of the angle between the rows, divided by n. Alias: cosine.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Targets and predictions; a vector shorter than 1e-6 is divided by 1e-6.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> print(cosine_proximity([[1.0, 0.0]], [[3.0, 4.0]]).round(4))  # -0.6 / 2
    [-0.3]
    """
    first, second = (y * _inverse_norm(y)[0] for y in (y_true, y_pred))
    values: np.ndarray = -np.mean(first * second, axis=-1)
    return values
