"""Arrays whose memory is used again."""

from __future__ import annotations

import math

import numpy as np

from cylstm import _core

__all__ = ["empty"]


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """As `numpy.empty`, with memory of arrays that are no longer used where it is worth it.

    The system clears memory each time that it hands it out, which takes a third of the time of a
    training step. So large arrays give theirs to the next ones instead, up to 256 MB.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray
        C-contiguous; it holds anything.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _core.LARGE:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _core.Block(size))
