"""Elementwise functions, reductions and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm._trace.own_rules import cumprod_pull, prod_pull
from cylstm._trace.steps import unbroadcast
from cylstm.backend._operands import (
    FLOATX,
    array,
    axes,
    constant_like,
    module,
    numbers,
    pair,
    quiet,
    with_rule,
)

__all__ = [
    "abs",
    "all",
    "any",
    "argmax",
    "argmin",
    "clip",
    "cos",
    "cumprod",
    "cumsum",
    "equal",
    "exp",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "not_equal",
    "pow",
    "prod",
    "round",
    "sign",
    "sin",
    "sqrt",
    "square",
    "std",
    "sum",
    "var",
]


def _of_dtype(x: Any) -> dict[str, Any]:
    """How NumPy is told to keep the dtype of integers, as TensorFlow does."""
    return {"dtype": x.dtype} if x.dtype.kind in "iu" else {}


def _of_floats(x: Any) -> Any:
    """Bools as floats: what Keras averages."""
    x = array(x)
    return constant_like(x, numbers(x).astype(FLOATX)) if x.dtype.kind == "b" else x


# ---------------------------------------------------------------------- reductions


@quiet
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest number along axes (all of them by default); equal ones share the gradient.

    >>> max([[1.0, 5.0], [7.0, 2.0]], axis=-1).tolist()
    [5.0, 7.0]
    """
    x = array(x)
    return module(x).max(x, axis=axes(axis), keepdims=keepdims)


@quiet
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The least number along axes (all of them by default); equal ones share the gradient.

    >>> min([[1.0, 5.0], [7.0, 2.0]], axis=-1).tolist()
    [1.0, 2.0]
    """
    x = array(x)
    return module(x).min(x, axis=axes(axis), keepdims=keepdims)


@quiet
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum along axes (all of them by default).

    >>> sum([[1.0, 5.0], [7.0, 2.0]], axis=0).tolist()
    [8.0, 7.0]
    """
    x = array(x)
    return module(x).sum(x, axis=axes(axis), keepdims=keepdims, **_of_dtype(x))


def _prod_rule(answer: Any, x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    return prod_pull(x, axis)


@with_rule(_prod_rule)
def _prod(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    return np.prod(x, axis=axis, keepdims=keepdims, **_of_dtype(x))


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product along axes (all of them by default).

    >>> prod([[1.0, 5.0], [7.0, 2.0]], axis=0).tolist()
    [7.0, 10.0]
    """
    x = array(x)
    return _prod(x, axis=axes(axis), keepdims=keepdims)


@quiet
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along axes (all of them by default); of bools, the share that is True.

    >>> mean([[1.0, 5.0], [7.0, 2.0]], axis=-1).tolist()
    [3.0, 4.5]
    """
    x = _of_floats(x)
    answer = module(x).mean(x, axis=axes(axis), keepdims=keepdims)
    return answer if x.dtype.kind == "f" else constant_like(x, numbers(answer).astype(x.dtype))


@quiet
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The variance along axes (all of them by default): the mean squared distance from the mean.

    >>> var([[1.0, 5.0], [7.0, 2.0]], axis=-1).tolist()
    [4.0, 6.25]
    """
    x = _of_floats(x)
    return mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)


@quiet
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The standard deviation along axes (all of them by default): the root of `var`.

    >>> std([[1.0, 5.0], [7.0, 2.0]], axis=-1).tolist()
    [2.0, 2.5]
    """
    deviations = var(x, axis, keepdims)
    return module(deviations).sqrt(deviations)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether something is not zero, along axes (all of them by default).

    >>> any([[0, 0], [0, 2]], axis=-1).tolist()
    [False, True]
    """
    x = array(x)
    return constant_like(x, np.any(numbers(x), axis=axes(axis), keepdims=keepdims))


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether nothing is zero, along axes (all of them by default).

    >>> all([[0, 0], [1, 2]], axis=-1).tolist()
    [False, True]
    """
    x = array(x)
    return constant_like(x, np.all(numbers(x), axis=axes(axis), keepdims=keepdims))


def argmax(x: Any, axis: int = -1) -> Any:
    """Where the greatest number is along an axis: int64 indices, the first of equal ones.

    >>> argmax([[1.0, 5.0], [7.0, 2.0]]).tolist()
    [1, 0]
    """
    x = array(x)
    return constant_like(x, np.argmax(numbers(x), axis))


def argmin(x: Any, axis: int = -1) -> Any:
    """Where the least number is along an axis: int64 indices, the first of equal ones.

    >>> argmin([[1.0, 5.0], [7.0, 2.0]]).tolist()
    [0, 1]
    """
    x = array(x)
    return constant_like(x, np.argmin(numbers(x), axis))


@quiet
def cumsum(x: Any, axis: int = 0) -> Any:
    """The sums up to each place of an axis.

    >>> cumsum([1.0, 2.0, 4.0]).tolist()
    [1.0, 3.0, 7.0]
    """
    x = array(x)
    return module(x).cumsum(x, axis=axis, **_of_dtype(x))


def _cumprod_rule(answer: Any, x: np.ndarray, axis: int) -> Any:
    return cumprod_pull(x, axis)


@with_rule(_cumprod_rule)
def _cumprod(x: np.ndarray, axis: int) -> Any:
    return np.cumprod(x, axis, **_of_dtype(x))


def cumprod(x: Any, axis: int = 0) -> Any:
    """The products up to each place of an axis.

    >>> cumprod([1.0, 2.0, 4.0]).tolist()
    [1.0, 2.0, 8.0]
    """
    return _cumprod(array(x), axis=axis)


@quiet
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along axes (all of them by default), without overflow.

    >>> f"{logsumexp([1000.0, 1000.0]).item():.2f}"
    '1000.69'
    """
    return _logsumexp(array(x), axis=axes(axis), keepdims=keepdims)


def _logsumexp_rule(answer: Any, x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    kept = np.expand_dims(answer, _all_axes(x, axis)) if not keepdims else answer

    def pull(g: np.ndarray) -> list[np.ndarray]:
        return [np.reshape(g, np.shape(kept)) * np.exp(x - kept)]

    return pull


def _all_axes(x: np.ndarray, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(int(a) % x.ndim for a in np.atleast_1d(axis))


@with_rule(_logsumexp_rule)
def _logsumexp(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    greatest = np.max(x, axis=axis, keepdims=True)
    greatest = np.where(np.isfinite(greatest), greatest, 0).astype(x.dtype)
    answer = np.log(np.sum(np.exp(x - greatest), axis=axis, keepdims=True)) + greatest
    return answer if keepdims else np.squeeze(answer, _all_axes(x, axis))


# ---------------------------------------------------------------------- elementwise


@quiet
def square(x: Any) -> Any:
    """x * x.

    >>> square([1.0, -3.0]).tolist()
    [1.0, 9.0]
    """
    x = array(x)
    return module(x).square(x)


def abs(x: Any) -> Any:
    """The absolute value; its derivative at 0 is 0.

    >>> abs([1.0, -3.0]).tolist()
    [1.0, 3.0]
    """
    x = array(x)
    return module(x).abs(x)


@quiet
def sqrt(x: Any) -> Any:
    """The square root, and 0 for negative numbers.

    >>> sqrt([4.0, -1.0]).tolist()
    [2.0, 0.0]
    """
    x = clip(x, 0.0, np.inf)
    return module(x).sqrt(x)


@quiet
def exp(x: Any) -> Any:
    """The exponential.

    >>> exp([0.0, 1.0]).round(2).astype(str).tolist()
    ['1.0', '2.72']
    """
    x = array(x)
    return module(x).exp(x)


@quiet
def log(x: Any) -> Any:
    """The natural logarithm; -inf at 0, without a warning.

    >>> log([1.0, 0.0]).tolist()
    [0.0, -inf]
    """
    x = array(x)
    return module(x).log(x)


@quiet
def sin(x: Any) -> Any:
    """The sine.

    >>> sin([0.0]).tolist()
    [0.0]
    """
    x = array(x)
    return module(x).sin(x)


@quiet
def cos(x: Any) -> Any:
    """The cosine.

    >>> cos([0.0]).tolist()
    [1.0]
    """
    x = array(x)
    return module(x).cos(x)


@quiet
def round(x: Any) -> Any:
    """The nearest integer, the even one in the middle; without a gradient.

    >>> round([0.4, 1.5, 2.5]).tolist()
    [0.0, 2.0, 2.0]
    """
    x = array(x)
    return constant_like(x, np.round(numbers(x)))


def sign(x: Any) -> Any:
    """-1, 0 or 1; without a gradient.

    >>> sign([-2.0, 0.0, 3.0]).tolist()
    [-1.0, 0.0, 1.0]
    """
    x = array(x)
    return constant_like(x, np.sign(numbers(x)))


@quiet
def pow(x: Any, a: Any) -> Any:
    """x to the power of a number or an array.

    >>> pow([1.0, 3.0], 2).tolist()
    [1.0, 9.0]
    """
    x, a = pair(x, a)
    return module(x, a).power(x, a)


def _clip_rule(answer: Any, x: np.ndarray, low: Any, high: Any) -> Any:
    inside = (x >= low) & (x <= high)
    return lambda g: [np.where(inside, g, 0)]


@with_rule(_clip_rule)
def _clip(x: np.ndarray, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def clip(x: Any, min_value: float, max_value: float | None) -> Any:
    """What is below `min_value` or above `max_value` becomes that.

    A value on a bound keeps its gradient. A `max_value` below `min_value` counts as that; None
    means no upper bound.

    >>> clip([-1.0, 0.5, 3.0], 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    x = array(x)
    if max_value is None:
        max_value = np.inf
    elif max_value < min_value:
        max_value = min_value
    if x.dtype.kind != "f":  # integers have no infinity
        return constant_like(x, np.clip(numbers(x), min_value, max_value).astype(x.dtype))
    return _clip(x, low=x.dtype.type(min_value), high=x.dtype.type(max_value))


def _chosen_rule(first: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The gradient goes to the operand that is the result, to the first where they are equal."""

    def rule(answer: Any, x: np.ndarray, y: np.ndarray) -> Any:
        is_first = first(x, y)

        def pull(g: np.ndarray) -> list[np.ndarray]:
            return [
                unbroadcast(np.where(is_first, g, 0), np.shape(x)),
                unbroadcast(np.where(is_first, 0, g), np.shape(y)),
            ]

        return pull

    return rule


@with_rule(_chosen_rule(np.greater_equal))
def _maximum(x: np.ndarray, y: np.ndarray) -> Any:
    return np.maximum(x, y)


@with_rule(_chosen_rule(np.less_equal))
def _minimum(x: np.ndarray, y: np.ndarray) -> Any:
    return np.minimum(x, y)


def maximum(x: Any, y: Any) -> Any:
    """The greater of two numbers; x has the gradient where they are equal.

    >>> maximum([1.0, 5.0], [2.0, 3.0]).tolist()
    [2.0, 5.0]
    """
    return _maximum(*pair(x, y))


def minimum(x: Any, y: Any) -> Any:
    """The lesser of two numbers; x has the gradient where they are equal.

    >>> minimum([1.0, 5.0], [2.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    return _minimum(*pair(x, y))


# ---------------------------------------------------------------------- comparisons


def _compared(function: Any, x: Any, y: Any) -> Any:
    x, y = pair(x, y)
    return module(x, y).__dict__[function.__name__](x, y)


def equal(x: Any, y: Any) -> Any:
    """Where two arrays have the same number: bools.

    >>> equal([1.0, 2.0], [1.0, 3.0]).tolist()
    [True, False]
    """
    return _compared(np.equal, x, y)


def not_equal(x: Any, y: Any) -> Any:
    """Where two arrays differ: bools.

    >>> not_equal([1.0, 2.0], 0).tolist()
    [True, True]
    """
    return _compared(np.not_equal, x, y)


def greater(x: Any, y: Any) -> Any:
    """Where x > y: bools.

    >>> greater([1.0, 2.0], 1).tolist()
    [False, True]
    """
    return _compared(np.greater, x, y)


def greater_equal(x: Any, y: Any) -> Any:
    """Where x >= y: bools.

    >>> greater_equal([1.0, 2.0], 2).tolist()
    [False, True]
    """
    return _compared(np.greater_equal, x, y)


def less(x: Any, y: Any) -> Any:
    """Where x < y: bools.

    >>> less([1.0, 2.0], 2).tolist()
    [True, False]
    """
    return _compared(np.less, x, y)


def less_equal(x: Any, y: Any) -> Any:
    """Where x <= y: bools.

    >>> less_equal([1.0, 2.0], 1).tolist()
    [True, False]
    """
    return _compared(np.less_equal, x, y)
