"""Losses that measure likelihoods and entropies; `cylstm.losses` is where users find them."""

from __future__ import annotations

import numpy as np

from cylstm import _core
from cylstm.losses._differentiable import EPSILON, LEAST, builtin, clip, clip_with_gradient

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "kullback_leibler_divergence",
    "poisson",
    "sparse_categorical_crossentropy",
]


def _categorical_crossentropy_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    total = y_pred.sum(axis=-1, keepdims=True)
    shares = y_pred / total
    clipped, inside = clip_with_gradient(shares)
    of_shares = inside * (-y_true / clipped)
    slopes: np.ndarray = (of_shares - (of_shares * shares).sum(axis=-1, keepdims=True)) / total
    return slopes


@builtin(_categorical_crossentropy_gradient)
def categorical_crossentropy(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return -sum(y_true * log(y_pred / sum(y_pred))) along the last axis.

    Parameters
    ----------
    y_true, y_pred : array (..., classes)
        Rows of 0 and 1 (or of probabilities), and predicted probabilities: each row of
        predictions is divided by its sum, then clipped to [1e-7, 1 - 1e-7].

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
    >>> print(categorical_crossentropy([[0, 1, 0]], [[1, 2, 5]]).round(4))  # log(4)
    [1.3863]
    """
    shares = y_pred / y_pred.sum(axis=-1, keepdims=True)
    values: np.ndarray = -(y_true * np.log(clip(shares))).sum(axis=-1)
    return values


def _sparse_crossentropy_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return _of_classes(y_true, y_pred, np.empty(y_pred.shape, y_pred.dtype))


def _of_classes(y_true: np.ndarray, y_pred: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The gradient of the sparse crossentropy into an array like y_pred; like y_true, its exp."""
    whole = out.ndim == y_pred.ndim
    double, classes = y_pred.itemsize == 8, y_pred.shape[-1]
    _core.classes(double, classes, whole, y_pred, y_true, None, LEAST, out)
    return out


@builtin(_sparse_crossentropy_gradient)
def sparse_categorical_crossentropy(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return -log(p / sum(y_pred)), p being the prediction for the class with number y_true.

    Parameters
    ----------
    y_true : array (..., 1) or (...)
        The numbers of the classes.
    y_pred : array (..., classes)
        Predicted probabilities, clipped to [1e-7, 1 - 1e-7] and then divided by their sum.

    Returns
    -------
    array (...)
        The value of each sample, in the dtype of y_pred.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a target is no integer from 0 to classes - 1.

    Examples
    --------
    >>> print(sparse_categorical_crossentropy([[1]], [[0.5, 0.25, 0.25]]).round(4))  # log(4)
    [1.3863]
    """
    values: np.ndarray = np.log(_of_classes(y_true, y_pred, np.empty(y_true.shape, y_pred.dtype)))
    return values


def _binary_crossentropy_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    clipped, inside = clip_with_gradient(y_pred)
    slopes: np.ndarray = inside * (
        (clipped - y_true) / (clipped * (1 - clipped)) / y_pred.shape[-1]
    )
    return slopes


@builtin(_binary_crossentropy_gradient)
def binary_crossentropy(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of -y_true log(y_pred) - (1 - y_true) log(1 - y_pred).

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Zeros and ones (or probabilities), and predicted probabilities, clipped to
        [1e-7, 1 - 1e-7].

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
    >>> print(binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4))  # log(2)
    [0.6931]
    """
    clipped = clip(y_pred)
    # By way of the logit z, as TensorFlow does: the rounding of values near 0 is then the same.
    logits = np.log(clipped / (1 - clipped))
    each = np.maximum(logits, 0) - logits * y_true + np.log1p(np.exp(-np.abs(logits)))
    values: np.ndarray = np.mean(each, axis=-1)
    return values


def _divergence_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    clipped, inside = clip_with_gradient(y_pred, 1)
    slopes: np.ndarray = inside * (-clip(y_true, 1) / clipped)
    return slopes


@builtin(_divergence_gradient)
def kullback_leibler_divergence(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return sum(y_true * log(y_true / y_pred)) along the last axis. Aliases: kld, KLD.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Probabilities, both clipped to [1e-7, 1].

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
    >>> print(kullback_leibler_divergence([[1.0, 1.0]], [[0.5, 1.0]]).round(4))  # log(2)
    [0.6931]
    """
    true = clip(y_true, 1)
    values: np.ndarray = np.sum(true * np.log(true / clip(y_pred, 1)), axis=-1)
    return values


def _poisson_gradient(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    slopes: np.ndarray = (1 - y_true / (y_pred + y_pred.dtype.type(EPSILON))) / y_pred.shape[-1]
    return slopes


@builtin(_poisson_gradient)
def poisson(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the mean of y_pred - y_true * log(y_pred + 1e-7) along the last axis.

    Parameters
    ----------
    y_true, y_pred : array (..., n)
        Counts, and predicted rates. A rate below -1e-7 gives NaN.

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
    >>> print(poisson([[3.0, 2.0]], [[1.0, 1.0]]).round(4))
    [1.]
    """
    values: np.ndarray = np.mean(
        y_pred - y_true * np.log(y_pred + y_pred.dtype.type(EPSILON)), axis=-1
    )
    return values
