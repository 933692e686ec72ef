"""Random numbers, from the generators of the package (`cylstm.utils.set_random_seed`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _random
from cylstm.backend._operands import FLOATX, sizes
from cylstm.backend._values import variable

__all__ = [
    "random_binomial",
    "random_normal",
    "random_normal_variable",
    "random_uniform",
    "random_uniform_variable",
    "truncated_normal",
]


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution.

    >>> random_normal((2, 3), seed=1).shape
    (2, 3)
    """
    drawn = _random.generator(seed).normal(mean, stddev, sizes(shape))
    return drawn.astype(dtype or FLOATX)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers that are equally likely from `minval` to below `maxval`.

    >>> bool(0 <= random_uniform((), seed=1) < 1)
    True
    """
    kind = np.dtype(dtype or FLOATX)
    generator = _random.generator(seed)
    if kind.kind in "iu":
        return generator.integers(int(minval), int(maxval), sizes(shape)).astype(kind)
    drawn = generator.uniform(minval, maxval, sizes(shape)).astype(kind)
    # rounding to float32 may reach maxval
    below = np.nextafter(kind.type(maxval), kind.type(minval))
    return np.minimum(drawn, below) if maxval > minval else drawn


def random_binomial(shape: Any, p: float = 0.0, dtype: Any = None, seed: int | None = None) -> Any:
    """1 with the probability p, else 0.

    >>> random_binomial((3,), p=1.0).tolist()
    [1.0, 1.0, 1.0]
    """
    return (_random.generator(seed).random(sizes(shape)) < p).astype(dtype or FLOATX)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution, those beyond two standard deviations drawn again.

    >>> bool((abs(truncated_normal((99,), seed=1)) <= 2).all())
    True
    """
    generator, size = _random.generator(seed), sizes(shape)
    drawn = np.asarray(generator.standard_normal(size))
    while (far := np.abs(drawn) > 2).any():
        drawn[far] = generator.standard_normal(int(far.sum()))
    return (mean + stddev * drawn).astype(dtype or FLOATX)


def random_normal_variable(
    shape: Any,
    mean: float,
    scale: float,
    dtype: Any = None,
    name: str | None = None,
    seed: int | None = None,
) -> Any:
    """A variable of `random_normal`.

    >>> random_normal_variable((2,), 0, 1).shape
    (2,)
    """
    return variable(random_normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Any,
    low: float,
    high: float,
    dtype: Any = None,
    name: str | None = None,
    seed: int | None = None,
) -> Any:
    """A variable of `random_uniform`.

    >>> random_uniform_variable((2,), 0, 1).shape
    (2,)
    """
    return variable(random_uniform(shape, low, high, dtype, seed), dtype, name)
