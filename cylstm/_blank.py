"""Blank weights: how a model that is read from a file is built without initial values.

A configuration from a file may be hostile: it may describe layers of any size. While one is
built, weights are zeros that the file fills later, no random numbers are drawn, and there is a
limit to what is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

__all__ = ["blank", "blank_weights", "claim"]


class _Allowance:
    """How much may still be allocated."""

    def __init__(self, variables: int, weights: int, arrays: int) -> None:
        self.variables = self.variables_left = variables
        self.numbers = {"weights": weights, "arrays": arrays}
        self.left = dict(self.numbers)

    def take(self, kind: str, shape: Sequence[int]) -> None:
        self.left[kind] -= math.prod(shape)
        if self.left[kind] < 0:
            raise ValueError(
                f"The configuration asks for {kind} of the shape {tuple(shape)}, which is "
                f"beyond the {self.numbers[kind]} numbers that it may have in all."
            )

    def take_variable(self) -> None:
        self.variables_left -= 1
        if self.variables_left < 0:
            raise ValueError(
                f"The configuration asks for more than the {self.variables} weights that it may "
                "have in all."
            )


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def blank_weights(weights: int, *, variables: int = 2**16, arrays: int = 2**23) -> Iterator[None]:
    """Within it, new weights are zeros, and what is allocated has limits.

    Parameters
    ----------
    weights : int
        How many numbers the weights may hold in all.
    variables : int, default 2**16
        How many weights there may be.
    arrays : int, default 2**23
        How many numbers there may be in the arrays that layers make beside their weights, such as
        the states of stateful ones.

    Examples
    --------
    >>> import cylstm
    >>> layer = cylstm.LSTM(4)
    >>> with blank_weights(1000):
    ...     layer.build((None, None, 3))
    >>> float(abs(layer.kernel.value).max())
    0.0
    """
    token = _allowance.set(_Allowance(variables, weights, arrays))
    try:
        yield
    finally:
        _allowance.reset(token)


def blank(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray | None:
    """Zeros for a weight that a file will fill, or None: then the initializer is to be called.

    Parameters
    ----------
    shape : sequence of int
        The shape of the weight.
    dtype : dtype
        Its dtype.

    Raises
    ------
    ValueError
        If it is beyond what `blank_weights` allows.
    """
    allowance = _allowance.get()
    if allowance is None:
        return None
    allowance.take_variable()
    allowance.take("weights", shape)
    return np.zeros(shape, dtype)


def claim(shape: Sequence[int]) -> None:
    """Say that an array of this shape is to be allocated because of a configuration.

    Parameters
    ----------
    shape : sequence of int
        The shape of the array.

    Raises
    ------
    ValueError
        If that is too much, while a model is read from a file.
    """
    allowance = _allowance.get()
    if allowance is not None:
        allowance.take("arrays", shape)
