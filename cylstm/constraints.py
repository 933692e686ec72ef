"""Constraints: projections of weights that an optimizer applies after each update.

A constraint is a function of the new weights that returns the weights to keep, a new array of the
same shape.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm._numbers import real, single
from cylstm._registry import Configurable, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from cylstm._registry import Deserialize, GetOptional, Serialize

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "maxnorm",
    "min_max_norm",
    "non_neg",
    "nonneg",
    "serialize",
    "unit_norm",
    "unitnorm",
]

# Keeps a vector of zeros from being divided by 0; what TensorFlow 1.4's Keras adds to a norm.
_EPSILON = 1e-7


class Constraint(Configurable):
    """Base class of constraints, for your own ones too; itself it changes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> class AtMost(Constraint):
    ...     def __init__(self, limit=1.0):
    ...         self.limit = limit
    ...     def __call__(self, w):
    ...         return np.minimum(w, self.limit)
    >>> AtMost(0.5)(np.array([0.25, 3.0])).tolist()
    [0.25, 0.5]
    >>> AtMost(0.5).get_config()
    {'limit': 0.5}
    """

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the constrained weights, a new array."""
        return np.array(w)


class MaxNorm(Constraint):
    """Scale down each vector of weights whose length exceeds a maximum.

    Parameters
    ----------
    max_value : float, default 2
        The length that a vector has at most.
    axis : int or sequence of int, default 0
        The axis (or axes) along which a vector runs. In a kernel of shape (input_dim, units)
        axis 0 takes all weights into one unit for a vector.

    Raises
    ------
    TypeError, ValueError
        If max_value is not a finite number, or an axis not an integer; on a call, if the weights
        do not have the axis.

    References
    ----------
    Srivastava, Hinton et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting", JMLR 15.

    Examples
    --------
    >>> import numpy as np
    >>> MaxNorm(1.0)(np.array([[3.0, 0.5], [4.0, 0.0]])).round(4).tolist()
    [[0.6, 0.5], [0.8, 0.0]]
    """

    def __init__(self, max_value: float = 2, axis: int | list[int] = 0) -> None:
        self.max_value: int | float = real(max_value, "max_value")
        self.axis: int | list[int] = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the scaled weights, a new array."""
        norms = _norms(w, self.axis)
        return w * (_clip(norms, 0, self.max_value) / (_EPSILON + norms))


class NonNeg(Constraint):
    """Replace negative weights by 0.

    Examples
    --------
    >>> import numpy as np
    >>> NonNeg()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the non-negative weights, a new array."""
        kept: np.ndarray = np.maximum(w, 0)
        return kept


class UnitNorm(Constraint):
    """Scale each vector of weights to the length 1.

    Parameters
    ----------
    axis : int or sequence of int, default 0
        The axis (or axes) along which a vector runs; see `MaxNorm`.

    Raises
    ------
    TypeError
        If an axis is not an integer.
    ValueError
        On a call, if the weights do not have the axis.

    Examples
    --------
    >>> import numpy as np
    >>> UnitNorm(axis=1)(np.array([[3.0, 4.0], [0.0, 0.0]])).round(4).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def __init__(self, axis: int | list[int] = 0) -> None:
        self.axis: int | list[int] = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the scaled weights, a new array."""
        return w / (_EPSILON + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Bring the length of each vector of weights between two bounds, at once or in steps.

    The new length is rate * clip(length, min_value, max_value) + (1 - rate) * length.

    Parameters
    ----------
    min_value : float, default 0.0
        The length that a vector has at least.
    max_value : float, default 1.0
        The length that a vector has at most.
    rate : float, default 1.0
        How far to go with each update: 1.0 enforces the bounds strictly.
    axis : int or sequence of int, default 0
        The axis (or axes) along which a vector runs; see `MaxNorm`.

    Raises
    ------
    TypeError, ValueError
        If a bound or the rate is not a finite number, or an axis not an integer; on a call, if
        the weights do not have the axis.

    Examples
    --------
    >>> import numpy as np
    >>> MinMaxNorm(1.0, 2.0, rate=0.5)(np.array([[3.0, 0.5], [4.0, 0.0]])).round(4).tolist()
    [[2.1, 0.75], [2.8, 0.0]]
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | list[int] = 0,
    ) -> None:
        self.min_value: int | float = real(min_value, "min_value")
        self.max_value: int | float = real(max_value, "max_value")
        self.rate: int | float = real(rate, "rate")
        self.axis: int | list[int] = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the scaled weights, a new array."""
        norms = _norms(w, self.axis)
        clipped = _clip(norms, self.min_value, self.max_value)
        desired = self.rate * clipped + (1 - self.rate) * norms
        return w * (desired / (_EPSILON + norms))


max_norm = maxnorm = MaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm
min_max_norm = MinMaxNorm


def _checked_axis(axis: Any) -> int | list[int]:
    try:
        return [index(a) for a in axis] if isinstance(axis, list | tuple) else index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer or a list of integers, got {axis!r}") from None


def _norms(w: np.ndarray, axis: int | list[int]) -> np.ndarray:
    """Euclidean lengths along an axis, which is kept with size 1."""
    w = np.asarray(w)
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    if any(not -w.ndim <= a < w.ndim for a in axes):
        raise ValueError(
            f"axis={axis} of the constraint is not an axis of weights of shape {w.shape}; "
            f"choose from {-w.ndim} to {w.ndim - 1}"
        )
    norms: np.ndarray = np.sqrt(np.sum(np.square(w), axis=axes, keepdims=True))
    return norms


def _clip(norms: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Clip; where the bounds contradict each other the minimum wins, as in Keras."""
    clipped: np.ndarray = np.clip(norms, single(minimum), single(max(minimum, maximum)))
    return clipped


_registry = Registry(
    "constraint",
    {cls.__name__: cls for cls in (Constraint, MaxNorm, NonNeg, UnitNorm, MinMaxNorm)},
    {
        **{name: "MaxNorm" for name in ("max_norm", "maxnorm")},
        **{name: "NonNeg" for name in ("non_neg", "nonneg")},
        **{name: "UnitNorm" for name in ("unit_norm", "unitnorm")},
        "min_max_norm": "MinMaxNorm",
    },
    default=None,
)

get: GetOptional[Callable[[np.ndarray], np.ndarray]] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Callable[[np.ndarray], np.ndarray]] = _registry.deserialize
