"""Initializers that draw, whatever the shape means."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from cylstm._numbers import real
from cylstm._random import checked_seed, generator
from cylstm.initializers.initializer import Filling

__all__ = ["Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal"]


class Random(Filling):
    """An initializer that draws."""

    def __init__(self, seed: int | None, dtype: npt.DTypeLike | None) -> None:
        super().__init__(dtype)
        self.seed: int | None = checked_seed(seed)

    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._draw(shape, generator(self.seed))

    @abstractmethod
    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Return numbers in double precision."""


class RandomUniform(Random):
    """Uniformly distributed between two bounds.

    Parameters
    ----------
    minval : float, default -0.05
        The lower bound.
    maxval : float or None, default 0.05
        The upper bound; None, which files of TensorFlow 1.4 hold, stands for 1.
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If a bound is not a finite number, or the seed not an integer.

    Examples
    --------
    >>> w = RandomUniform(seed=1)((50, 4))
    >>> bool(-0.05 <= w.min() < -0.04 and 0.04 < w.max() <= 0.05)
    True
    """

    def __init__(
        self,
        minval: float = -0.05,
        maxval: float | None = 0.05,
        seed: int | None = None,
        dtype: npt.DTypeLike | None = "float32",
    ) -> None:
        super().__init__(seed, dtype)
        self.minval: int | float = real(minval, "minval")
        self.maxval: int | float | None = None if maxval is None else real(maxval, "maxval")

    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        maximum = 1 if self.maxval is None else self.maxval
        return self.minval + (maximum - self.minval) * random.random(shape)


class RandomNormal(Random):
    """Normally distributed.

    Parameters
    ----------
    mean : float, default 0.0
        The mean.
    stddev : float, default 0.05
        The standard deviation.
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If mean or stddev is not a finite number, or the seed not an integer.

    Examples
    --------
    >>> w = RandomNormal(stddev=0.1, seed=1)((100, 40))
    >>> round(float(w.std()), 2)
    0.1
    """

    def __init__(
        self,
        mean: float = 0.0,
        stddev: float = 0.05,
        seed: int | None = None,
        dtype: npt.DTypeLike | None = "float32",
    ) -> None:
        super().__init__(seed, dtype)
        self.mean: int | float = real(mean, "mean")
        self.stddev: int | float = real(stddev, "stddev")

    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        return self.mean + self.stddev * random.standard_normal(shape)


class TruncatedNormal(RandomNormal):
    """Normally distributed; numbers beyond two standard deviations are drawn again.

    Parameters
    ----------
    mean : float, default 0.0
        The mean.
    stddev : float, default 0.05
        The standard deviation before truncation; that of the numbers is 0.88 times as large.
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If mean or stddev is not a finite number, or the seed not an integer.

    Examples
    --------
    >>> w = TruncatedNormal(stddev=0.5, seed=1)((100, 40))
    >>> bool(0.99 < abs(w).max() <= 1.0)
    True
    """

    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        return self.mean + self.stddev * standard_truncated_normal(shape, random)


class Orthogonal(Random):
    """A random matrix with orthonormal columns (or rows, where there are fewer of them).

    With more than two axes, all but the last are taken together as rows.

    Parameters
    ----------
    gain : float, default 1.0
        A factor of the matrix.
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If the gain is not a finite number, or the seed not an integer; on a call, if the shape has
        fewer than two axes.

    References
    ----------
    Saxe, McClelland and Ganguli 2014, arXiv:1312.6120.

    Examples
    --------
    >>> import numpy as np
    >>> w = Orthogonal(gain=2.0, seed=1)((3, 5), "float64")
    >>> bool(np.allclose(w @ w.T, 4 * np.eye(3)))
    True
    """

    def __init__(
        self,
        gain: float = 1.0,
        seed: int | None = None,
        dtype: npt.DTypeLike | None = "float32",
    ) -> None:
        super().__init__(seed, dtype)
        self.gain: int | float = real(gain, "gain")

    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least two axes, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q = _orthonormal(random.standard_normal((max(rows, columns), min(rows, columns))))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


# Q R is unique up to the signs of R's diagonal: with positive ones Q is uniformly distributed
# (Mezzadri 2007, arXiv:math-ph/0609050). The products give the same Q as the reflections, up to
# rounding, and take a fraction of the time.

_LARGE = 256  # columns; reflections take milliseconds for fewer
_BLOCK = 128
_CHECKED = 32
_ORTHONORMAL = 1e-14  # the largest error of Q^T Q; reflections leave some 1e-15


def _orthonormal(matrix: np.ndarray) -> np.ndarray:
    """The Q of matrix = Q R, where the diagonal of R is positive; not more columns than rows."""
    rows, columns = matrix.shape
    if columns >= _LARGE and rows >= 4 * columns:
        q = _orthonormal_by_products(matrix)
        if q is not None:
            return q
    q, r = np.linalg.qr(matrix)  # Householder's reflections
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def _orthonormal_by_products(matrix: np.ndarray) -> np.ndarray | None:
    """The same from matrix^T matrix = R^T R, as Cholesky factors it; None where that is inaccurate.

    What is lost to rounding grows with the square of the condition number, which is 9 for a random
    matrix that is four times as tall as wide.
    """
    columns = matrix.shape[1]
    try:
        lower = np.linalg.cholesky(matrix.T @ matrix)  # R^T
    except np.linalg.LinAlgError:
        return None
    q = np.empty(matrix.shape[::-1])  # Q^T, so that blocks are whole rows
    for start in range(0, columns, _BLOCK):
        block = slice(start, min(start + _BLOCK, columns))
        rest = matrix[:, block].T - lower[block, :start] @ q[:start]
        q[block] = np.linalg.inv(lower[block, block]) @ rest
    # Each column suffers from what those before it have lost, so the last ones show the most.
    error = q @ q[-_CHECKED:].T - np.eye(columns, _CHECKED, _CHECKED - columns)
    return q.T if np.abs(error).max() <= _ORTHONORMAL else None


def standard_truncated_normal(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Draw standard normal numbers, those beyond 2 again until there are none."""
    values = random.standard_normal(shape)
    beyond = np.abs(values) > 2
    while np.any(beyond):
        values[beyond] = random.standard_normal(int(np.count_nonzero(beyond)))
        beyond = np.abs(values) > 2
    return values
