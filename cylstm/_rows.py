"""Rows: the gradient of a matrix of which few rows were looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm import _core

__all__ = ["Rows"]


class Rows:
    """A matrix of which only some rows are not zero.

    Within a step of training it stands for the gradient of an embedding, whose array would be
    written, checked and read for nothing. It adds up as the arrays would, to the last bit: with
    arrays to an array, with others of its kind to one of its kind.

    Parameters
    ----------
    indices : ndarray of int64
        (count,), ascending: the numbers of these rows.
    values : ndarray
        (count, width), the rows.
    length : int
        How many rows the matrix has.

    Examples
    --------
    >>> rows = Rows.summed(np.array([2, 0, 2]), np.array([[1.0], [2.0], [3.0]]), 4)
    >>> np.asarray(rows).tolist()
    [[2.0], [0.0], [4.0], [0.0]]
    """

    __array_ufunc__ = None  # arrays leave `array + rows` to us

    def __init__(self, indices: np.ndarray, values: np.ndarray, length: int) -> None:
        self.indices = indices
        self.values = values
        self.length = length

    @classmethod
    def summed(cls, indices: np.ndarray, values: np.ndarray, length: int) -> Rows:
        """Add up the rows that belong to the same index.

        Raises
        ------
        ValueError
            If an index is out of range.
        """
        found, sums = _core.sum_rows(indices.astype(np.int64, copy=False), values, length)
        return cls(found, sums, length)

    @property
    def shape(self) -> tuple[int, int]:
        """That of the matrix."""
        return self.length, self.values.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """That of its elements."""
        return self.values.dtype

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> Rows:
        """The same rows after a change of each element that leaves 0 as it is."""
        return Rows(self.indices, change(self.values), self.length)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.zeros(self.shape, self.dtype if dtype is None else dtype)
        whole[self.indices] = self.values
        return whole

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Rows):
            return np.asarray(self) + other
        both = [self, other]
        indices = np.concatenate([rows.indices for rows in both])
        return Rows.summed(indices, np.concatenate([rows.values for rows in both]), self.length)

    __radd__ = __add__  # of two numbers the order does not matter
