"""Regularizers: penalties on weights or outputs that are added to the loss.

A regularizer is a function of an array that returns a number. One of your own, of NumPy or
`cylstm.backend`, trains where the package autograd is installed, or by a method (on a function: an
attribute) `gradient` from the array to the array of derivatives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _trace
from cylstm._numbers import real
from cylstm._registry import Configurable, Registry

if TYPE_CHECKING:
    from cylstm._registry import Deserialize, GetOptional, Serialize

__all__ = [
    "L1L2",
    "Regularizer",
    "deserialize",
    "get",
    "gradient",
    "l1",
    "l1_l2",
    "l2",
    "penalty",
    "serialize",
]


class Regularizer(Configurable, ABC):
    """Base class of regularizers, for your own ones too.

    A subclass defines `__call__`, and `gradient` where autograd is not to differentiate it.
    Arguments of its `__init__` that it stores under their own names make up its config.

    Examples
    --------
    >>> import numpy as np
    >>> class Quartic(Regularizer):
    ...     def __call__(self, w):
    ...         return float(np.sum(w**4))
    ...     def gradient(self, w):
    ...         return 4 * w**3
    >>> Quartic()(np.array([1.0, -2.0]))
    17.0
    """

    @abstractmethod
    def __call__(self, w: np.ndarray) -> float:
        """Return the penalty of an array."""


class L1L2(Regularizer):
    """The sum of l1 abs(w) + l2 w² over all elements.

    Parameters
    ----------
    l1 : float, default 0.0
        Factor of the absolute values.
    l2 : float, default 0.0
        Factor of the squares.

    Raises
    ------
    TypeError, ValueError
        If a factor is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> regularizer = L1L2(l1=0.5, l2=0.25)
    >>> regularizer(np.array([[1.0, -2.0]]))
    2.75
    >>> regularizer.gradient(np.array([[1.0, -2.0]])).tolist()
    [[1.0, -1.5]]
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1: float = float(real(l1, "l1"))
        self.l2: float = float(real(l2, "l2"))

    def __call__(self, w: np.ndarray) -> float:
        """Return the penalty, a Python float summed in double precision."""
        w = np.asarray(w)
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.sum(np.abs(w), dtype=np.float64))
        if self.l2:
            penalty += self.l2 * float(np.sum(np.square(w, dtype=np.float64)))
        return penalty

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Return the derivatives, of the shape and dtype of w; that of abs(w) at 0 is 0."""
        w = np.asarray(w)
        slopes: np.ndarray = self.l1 * np.sign(w) + 2 * self.l2 * w
        return slopes


def l1(l: float = 0.01) -> L1L2:  # noqa: E741
    """Return the regularizer l times the sum of the absolute values.

    Parameters
    ----------
    l : float, default 0.01
        The factor.

    Returns
    -------
    L1L2
        The regularizer.

    Examples
    --------
    >>> l1(0.5)
    L1L2(l1=0.5, l2=0.0)
    """
    return L1L2(l1=l)


def l2(l: float = 0.01) -> L1L2:  # noqa: E741
    """Return the regularizer l times the sum of the squares.

    Parameters
    ----------
    l : float, default 0.01
        The factor.

    Returns
    -------
    L1L2
        The regularizer.

    Examples
    --------
    >>> l2(0.5)
    L1L2(l1=0.0, l2=0.5)
    """
    return L1L2(l2=l)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Return the sum of both regularizers.

    Parameters
    ----------
    l1 : float, default 0.01
        Factor of the absolute values.
    l2 : float, default 0.01
        Factor of the squares.

    Returns
    -------
    L1L2
        The regularizer.

    Examples
    --------
    >>> l1_l2()
    L1L2(l1=0.01, l2=0.01)
    """
    return L1L2(l1=l1, l2=l2)


def gradient(regularizer: Callable[[np.ndarray], float], w: np.ndarray) -> np.ndarray:
    """Return the derivatives of a regularizer with respect to each element of an array.

    Parameters
    ----------
    regularizer : callable
        A regularizer; with a method or attribute `gradient`, or a function that autograd follows.
    w : array
        The weights or outputs.

    Returns
    -------
    array
        Of the shape of w.

    Raises
    ------
    TypeError
        If the regularizer has no `gradient`, and autograd is not installed or cannot follow it.
    ValueError
        If its gradient has another shape than w, or its value is not one number.

    Examples
    --------
    >>> import numpy as np
    >>> gradient(l2(0.5), np.array([1.0, -3.0])).tolist()
    [1.0, -3.0]
    """
    function = getattr(regularizer, "gradient", None)
    w = np.asarray(w)
    slopes: np.ndarray
    if not callable(function):
        instead = (
            "set its attribute `gradient` to a function from w to the derivatives, of its shape"
        )
        value, pullback = _trace.differentiate(
            regularizer, [w], name=_described(regularizer), instead=instead
        )
        _one_number(regularizer, value)
        slopes = pullback(np.ones_like(value))[0][0]
        return slopes
    result = np.asarray(function(w))
    if result.shape != w.shape:
        raise ValueError(
            f"the gradient of the regularizer {regularizer!r} has shape {result.shape}, "
            f"expected {w.shape}, the shape of what it was called with"
        )
    return result


def penalty(regularizer: Callable[[np.ndarray], Any], w: np.ndarray) -> float:
    """Return what a regularizer makes of an array, which stays as it is.

    Parameters
    ----------
    regularizer : callable
        A regularizer, or a function of your own.
    w : array
        The weights or outputs.

    Returns
    -------
    float
        The penalty.

    Raises
    ------
    ValueError, TypeError
        If the regularizer returns anything but one number.

    Examples
    --------
    >>> import numpy as np
    >>> penalty(lambda w: np.sum(np.abs(w)), np.array([1.0, -3.0]))
    4.0
    """
    if callable(getattr(regularizer, "gradient", None)):
        return float(regularizer(w))
    return _one_number(regularizer, _trace.evaluate(regularizer, [w], _described(regularizer)))


def _one_number(regularizer: Any, value: Any) -> float:
    if np.size(value) != 1:
        raise ValueError(
            f"{_described(regularizer)} returned an array of shape {np.shape(value)}, expected one "
            "number: sum it up"
        )
    return float(np.reshape(value, ()))


def _described(regularizer: Any) -> str:
    return f"the regularizer {getattr(regularizer, '__name__', type(regularizer).__name__)}"


_registry = Registry(
    "regularizer", {"L1L2": L1L2, "l1": l1, "l2": l2, "l1_l2": l1_l2}, default=None
)

get: GetOptional[Callable[[np.ndarray], float]] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Callable[[np.ndarray], float]] = _registry.deserialize
