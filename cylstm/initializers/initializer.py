"""What initializers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm._checks import float_dtype
from cylstm._registry import Configurable

__all__ = ["Initializer"]


class Initializer(Configurable, ABC):
    """Base class of initializers, for your own ones too.

    A subclass defines `__call__`. Arguments of its `__init__` that it stores under their own names
    make up its config.

    Examples
    --------
    >>> import numpy as np
    >>> class Countdown(Initializer):
    ...     def __init__(self, step=1.0):
    ...         self.step = step
    ...     def __call__(self, shape, dtype=None):
    ...         return -self.step * np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    >>> Countdown(0.5)((3,)).tolist()
    [-0.0, -0.5, -1.0]
    >>> Countdown(0.5).get_config()
    {'step': 0.5}
    """

    @abstractmethod
    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> np.ndarray:
        """Return a new array of first values."""


class Filling(Initializer):
    """An initializer that fills a shape with double precision numbers, which are then rounded."""

    def __init__(self, dtype: npt.DTypeLike | None = "float32") -> None:
        self.dtype: str = float_dtype("float32" if dtype is None else dtype)

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> np.ndarray:
        """Return a new array of first values.

        Parameters
        ----------
        shape : sequence of int
            The shape of the array.
        dtype : dtype, optional
            "float32" or "float64"; by default the one given to the constructor.

        Returns
        -------
        array
            C-contiguous, of that shape and dtype.

        Raises
        ------
        TypeError, ValueError
            If the shape does not consist of sizes, or does not suit the initializer.
        """
        wanted = self.dtype if dtype is None else float_dtype(dtype)
        values = self._values(checked_shape(shape))
        return np.ascontiguousarray(values, dtype=wanted).reshape(shape)

    @abstractmethod
    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the values in double precision."""


def checked_shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(index(size) for size in shape)
    except TypeError:
        raise TypeError(
            f"a shape is a sequence of integers, got {shape!r}; weights have no unknown sizes"
        ) from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"a shape has no negative sizes, got {shape!r}")
    return sizes
