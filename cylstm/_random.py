"""Where random numbers come from: one default generator, and fresh ones for given seeds."""

from __future__ import annotations

import operator
import threading

import numpy as np

__all__ = ["default_generator", "generator", "set_random_seed"]

_lock = threading.Lock()
_default: np.random.Generator | None = None


def default_generator() -> np.random.Generator:
    """Return the generator behind everything random that was given no seed.

    It may be used from several threads at once: NumPy locks it while it draws.

    Returns
    -------
    numpy.random.Generator
        Seeded by the operating system, or by `set_random_seed`.

    Examples
    --------
    >>> bool(0 <= default_generator().random() < 1)
    True
    """
    global _default
    with _lock:
        if _default is None:
            _default = np.random.Generator(np.random.PCG64())
        return _default


def set_random_seed(seed: int) -> None:
    """Restart the default generator from a seed, so that what follows can be repeated.

    It fixes initial weights, dropout and shuffling; the generators of `random` and `numpy.random`
    are left alone.

    Parameters
    ----------
    seed : int
        Any integer.

    Raises
    ------
    TypeError
        If the seed is not an integer.

    Examples
    --------
    >>> from cylstm import initializers
    >>> from cylstm.utils import set_random_seed
    >>> set_random_seed(7)
    >>> first = initializers.get("normal")((2, 3))
    >>> set_random_seed(7)
    >>> bool((initializers.get("normal")((2, 3)) == first).all())
    True
    """
    global _default
    restarted = _seeded(seed)
    with _lock:
        _default = restarted


def generator(seed: int | None = None) -> np.random.Generator:
    """Return a fresh generator for a seed, or the default generator when there is none.

    Parameters
    ----------
    seed : int or None, default None
        Any integer.

    Returns
    -------
    numpy.random.Generator
        The same numbers in the same order for the same seed.

    Raises
    ------
    TypeError
        If the seed is neither an integer nor None.

    Examples
    --------
    >>> bool(generator(5).random() == generator(5).random())
    True
    """
    return default_generator() if seed is None else _seeded(seed)


def checked_seed(seed: int | None) -> int | None:
    """Return a seed as a Python integer, or raise TypeError."""
    if seed is None:
        return None
    try:
        return operator.index(seed)
    except TypeError:
        raise TypeError(f"a seed is an integer or None, got {seed!r}") from None


def _seeded(seed: int) -> np.random.Generator:
    number = checked_seed(seed)
    if number is None:
        raise TypeError("a seed is an integer, got None")
    # NumPy refuses negative seeds, which TensorFlow takes: they wrap around as unsigned ones.
    return np.random.Generator(np.random.PCG64(number % 2**64))
