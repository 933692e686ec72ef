"""Where random numbers come from.

Whatever is random and was given no seed of its own - weights, dropout and noise, the order of
samples and batches, windows and skip-grams - asks `default_generator` for a generator, once for
each draw. There are two ways in which that goes:

- Until `set_random_seed` is called, each draw has a generator of its own, whose seed is taken from
  `numpy.random`, as in Keras. So `numpy.random.seed(7)`, early or late in a script, makes what
  follows repeatable; and each draw moves the stream of `numpy.random` on by eight bytes.
- From `set_random_seed(seed)` on, all draws come from one generator that starts from that seed,
  and `numpy.random` is neither read nor changed.

Both may be used from several threads at once; which thread gets which numbers then depends on
their timing. What `seeded` sets is of one thread: others go on as they were.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = ["default_generator", "generator", "seeded", "set_random_seed"]

_default: np.random.Generator | None = None
_within: ContextVar[np.random.Generator | None] = ContextVar("cylstm_generator", default=None)
_drawn: ContextVar[Keyed | None] = ContextVar("cylstm_drawn_by_key", default=None)


def default_generator() -> np.random.Generator:
    """Return the generator for one draw of something that was given no seed.

    It may be used from several threads at once: NumPy locks generators while they draw.

    Returns
    -------
    numpy.random.Generator
        The one of `seeded` or `set_random_seed`, once that was called; before, a new one with a
        seed from `numpy.random`.

    Examples
    --------
    >>> bool(0 <= default_generator().random() < 1)
    True
    """
    keyed = _drawn.get()
    if keyed is not None:
        return keyed.of(None)
    default = _within.get() or _default
    if default is not None:
        return default
    # Keras takes seeds below 10**7, of which two in a few thousand draws are equal: here 64 bits.
    return _seeded(int.from_bytes(np.random.bytes(8), "little"))


def set_random_seed(seed: int) -> None:
    """Start one generator for all that is random, so that what follows can be repeated.

    It fixes initial weights, dropout and shuffling. The generators of `random` and `numpy.random`
    are left alone, and `numpy.random.seed`, which seeds cylstm otherwise, has no say any more.

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
    if _within.get() is not None:
        _within.set(_seeded(seed))
    else:
        _default = _seeded(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within a ``with`` statement all is as after `set_random_seed`, and afterwards as before.

    That holds for the thread that is in it, so that trainings in several threads are each
    repeatable.

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
    >>> with seeded(7):
    ...     first = default_generator().random()
    >>> with seeded(7):
    ...     default_generator().random() == first
    True
    """
    before = _within.set(_seeded(seed))
    try:
        yield
    finally:
        _within.reset(before)


class Keyed:
    """Generators that follow from a key: that of a batch, or of a block of its samples.

    Parameters
    ----------
    key : sequence of int
        None negative.
    """

    def __init__(self, key: tuple[int, ...]) -> None:
        self._key = key
        self._generators: dict[int | None, np.random.Generator] = {}

    def of(self, seed: int | None) -> np.random.Generator:
        """The generator of what has this seed of its own, or none; it goes on from draw to draw."""
        found = self._generators.get(seed)
        if found is None:
            own = () if seed is None else (seed % 2**64,)
            found = np.random.Generator(np.random.PCG64([*self._key, *own]))
            self._generators[seed] = found
        return found


@contextmanager
def drawing_from(source: Keyed | np.random.Generator | None) -> Iterator[None]:
    """Within a ``with`` statement draws come from this; None changes nothing."""
    variable: ContextVar[Any] = _drawn if isinstance(source, Keyed) else _within
    before = variable.set(variable.get() if source is None else source)
    try:
        yield
    finally:
        variable.reset(before)


def keyed(seed: int) -> np.random.Generator | None:
    """The generator for a layer with a seed of its own within `drawing_from`; elsewhere None."""
    found = _drawn.get()
    return None if found is None else found.of(seed)


def generator(seed: int | None = None) -> np.random.Generator:
    """Return a fresh generator for a seed, or that of `default_generator` when there is none.

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
