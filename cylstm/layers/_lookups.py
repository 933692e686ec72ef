"""Lookups: rows of a matrix by their numbers, and the table that an LSTM reads instead.

An LSTM behind an embedding makes the same product over and over: each time that a word comes, its
vector times the kernel. Where there are fewer different words than words, it is made once for each:
a table, of which the engine reads rows. That is what it starts with before it adds the state, so
results keep their bits. The products of the inputs are then gone, and so are those of their
gradients, which are summed by word; this is another order, so it must depend on the call alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cylstm import _core, _threads
from cylstm._rows import Rows
from cylstm.layers import _engines, _products

__all__ = ["Lookups", "Table", "Tables"]

MOST_BYTES = 64 << 20
"""Of a table."""

LEAST_WORDS = 256
"""From so many words of a batch on it is looked how many different ones there are: that takes as
long as the vectors of some 20 in place of them would save."""


class Lookups:
    """Vectors that were looked up: which rows of which matrix they are.

    Parameters
    ----------
    matrix : ndarray, shape (rows, width)
        Not to be changed.
    indices : ndarray of intp
        Of any shape, C-contiguous; all are numbers of rows. They are copied.
    """

    __slots__ = ("indices", "matrix", "shape")

    def __init__(self, matrix: np.ndarray, indices: np.ndarray) -> None:
        self.matrix = matrix
        self.indices = indices.copy()
        self.shape = *indices.shape, matrix.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """That of the vectors."""
        return self.matrix.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """For callbacks that look at the outputs of layers."""
        return self.vectors().astype(self.dtype if dtype is None else dtype, copy=False)

    def vectors(self) -> np.ndarray:
        """The vectors themselves, (..., width)."""
        outputs: np.ndarray = _core.empty(self.shape, self.matrix.dtype)
        # The indices are in range: another mode would write to another array first.
        self.matrix.take(self.indices, axis=0, out=outputs, mode="clip")
        return outputs

    def gradient(self, cotangent: np.ndarray | Rows) -> np.ndarray | Rows:
        """The gradient of the matrix, given that of the vectors or, by way of a table, itself."""
        if isinstance(cotangent, Rows) or cotangent.shape != self.shape:
            return cotangent
        rows = cotangent.reshape(self.indices.size, self.shape[-1])
        return Rows.summed(self.indices.ravel(), rows, len(self.matrix))


class Table(NamedTuple):
    """What an LSTM reads in place of vectors: ``inputs`` of its cell, and what they were made of.

    `found` are the rows of the matrix that the table has; None if it has all of them.
    """

    inputs: tuple[np.ndarray, np.ndarray]
    cell: _engines.Cell
    matrix: np.ndarray
    found: np.ndarray | None

    def pulled(self, looked: Lookups, gradients: list[Any]) -> list[Any]:
        """The gradient of the table, the first of the cell's, as those of matrix and kernel."""
        d_table, d_h, d_c, _, *others = gradients
        d_kernel, _, d_matrix = _products.gradients(self.matrix, self.cell.kernel, d_table)
        if self.found is not None:
            return [Rows(self.found, d_matrix, len(looked.matrix)), d_h, d_c, d_kernel, *others]
        return [d_matrix, d_h, d_c, d_kernel, *others]


class Tables:
    """The tables of a layer. One stays until the weights change.

    A copy, or a pickle, holds nothing: it makes its own.
    """

    def __init__(self) -> None:
        self._seen: tuple[Any, Any, int] = (None, None, 0)  # cell, matrix, how many words
        self._made: tuple[Any, Any, Any] = (None, None, None)  # cell, matrix, table

    def __reduce__(self) -> tuple[type[Tables], tuple[()]]:
        return Tables, ()

    def for_training(self, cell: _engines.Cell, looked: Lookups) -> Table | None:
        """A table of the words of a batch, if two of three have come before."""
        self._seen, self._made = (None, None, 0), (None, None, None)  # weights will be others
        matrix, indices, found = looked.matrix, looked.indices, None
        if indices.size < len(matrix):
            if indices.size < LEAST_WORDS:
                return None
            here = np.zeros(len(matrix), bool)
            here[indices] = True
            found = np.flatnonzero(here)
            if 3 * len(found) > 2 * indices.size:
                return None
            place = np.empty(len(matrix), np.intp)
            place[found] = np.arange(len(found))
            matrix, indices = matrix[found], place[indices]
        numbers = made_table(cell, matrix)
        return None if numbers is None else Table((indices, numbers), cell, matrix, found)

    def for_calls(self, cell: _engines.Cell, looked: Lookups) -> Table | None:
        """The table of all words, once as many have come with these weights as it has."""
        matrix, indices = looked.matrix, looked.indices
        made, seen = self._made, self._seen  # which other threads may replace
        if made[0] is not cell or made[1] is not matrix:
            count = indices.size
            if seen[0] is cell and seen[1] is matrix:
                count += seen[2]
            self._seen, self._made = (cell, matrix, count), (None, None, None)
            if count < len(matrix):
                return None
            made = cell, matrix, made_table(cell, matrix)
            self._made = made
        return None if made[2] is None else Table((indices, made[2]), cell, matrix, None)


def made_table(cell: _engines.Cell, matrix: np.ndarray) -> np.ndarray | None:
    """bias + matrix W, as the cell reads it; None if it does not, or that is too large."""
    units = cell.units
    lanes = cell.lanes if isinstance(cell, _core.Cell) else 0
    if not lanes or 4 * units * len(matrix) * matrix.itemsize > MOST_BYTES:
        return None

    def in_order(rows: np.ndarray) -> np.ndarray:
        whole, gates = units // lanes * lanes, rows.reshape(-1, 4, units)
        blocks = gates[..., :whole].reshape(len(rows), 4, whole // lanes, lanes).swapaxes(1, 2)
        parts = [blocks.reshape(len(rows), -1), gates[..., whole:].reshape(len(rows), -1)]
        parts.append(np.zeros((len(rows), -4 * units % lanes), rows.dtype))
        return np.concatenate(parts, axis=1)

    bias = None if cell.bias is None else in_order(cell.bias[None])[0]
    affine = _core.Affine(in_order(cell.kernel), bias, activation=_core.ACTIVATIONS["linear"])
    return affine.forward(matrix, None, _threads.pool)
