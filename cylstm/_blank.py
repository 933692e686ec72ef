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

# For the arrays that layers make beside their weights, such as the states of stateful ones.
_OTHER_NUMBERS = 2**26


class _Allowance:
    """How many numbers may still be allocated."""

    def __init__(self, numbers: int, kind: str) -> None:
        self.numbers, self.left, self.kind = numbers, numbers, kind

    def take(self, shape: Sequence[int]) -> None:
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError(
                f"The configuration asks for {self.kind} of the shape {tuple(shape)}, which is "
                f"beyond the {self.numbers} numbers that it may have in all."
            )


_allowances: ContextVar[tuple[_Allowance, _Allowance] | None] = ContextVar(
    "allowances", default=None
)


@contextmanager
def blank_weights(numbers: int) -> Iterator[None]:
    """Within it, new weights are zeros, and there are at most so many numbers in them.

    Parameters
    ----------
    numbers : int
        How many numbers the weights may hold in all.

    Examples
    --------
    >>> import cylstm
    >>> layer = cylstm.LSTM(4)
    >>> with blank_weights(1000):
    ...     layer.build((None, None, 3))
    >>> float(abs(layer.kernel.value).max())
    0.0
    """
    pair = _Allowance(numbers, "weights"), _Allowance(_OTHER_NUMBERS, "arrays")
    token = _allowances.set(pair)
    try:
        yield
    finally:
        _allowances.reset(token)


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
    allowances = _allowances.get()
    if allowances is None:
        return None
    allowances[0].take(shape)
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
    allowances = _allowances.get()
    if allowances is not None:
        allowances[1].take(shape)
