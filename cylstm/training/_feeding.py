"""Where batches come from: arrays that are cut up, generators, and `Sequence`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _checks, _random
from cylstm.training._data import Order, Samples
from cylstm.utils.sequence import Sequence

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ArrayFeed", "ItemFeed", "inputs_of_item", "is_generated", "parts_of_item"]

Sized = tuple[int, Any]


def is_generated(data: Any) -> bool:
    """Whether data is a generator (or another iterator) or a `Sequence`, and not arrays."""
    return isinstance(data, Sequence) or hasattr(data, "__next__")


class ArrayFeed:
    """Batches cut from arrays, or with `steps` all of the arrays so many times.

    Parameters
    ----------
    samples : Samples
        The arrays.
    batch_size : int
        How many samples make a batch.
    shuffle : bool or "batch", default False
        See `Order`.
    steps : int, optional
        How often an epoch takes all samples at once. Keras' averages count each time as 1.

    Attributes
    ----------
    count : int or None
        How many samples an epoch has; None where it has steps.
    steps : int or None
        How many steps it has, if that was given.
    batches : int
        How many batches.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> None:
        self.samples = samples
        self.steps = steps
        self.count: int | None = samples.size if steps is None else None
        self.batches: int = -(-samples.size // batch_size) if steps is None else steps
        self._order = Order(samples.size, batch_size, shuffle)

    def epoch(self) -> Iterator[Sized]:
        """Yield what each batch of an epoch counts, and the batch."""
        if self.steps is not None:
            for _ in range(self.steps):
                yield 1, self.samples
            return
        for which in self._order.epoch():
            batch = self.samples.take(which)
            yield batch.size, batch


class ItemFeed:
    """Batches made by a generator or a `Sequence`, the next epoch from where the last stopped.

    Parameters
    ----------
    items : iterator or Sequence
        What makes the items.
    steps : int, optional
        How many items make an epoch; for a Sequence all of them by default.
    unpack : callable
        From an item to a batch with a ``size``.
    shuffle : bool, default False
        Whether the items of a Sequence come in another order each time; its samples stay
        together.
    workers : int, default 1
        How many threads make the items of a Sequence in advance; with one, and for a generator,
        each is made when it is needed.
    max_queue_size : int, default 10
        How many are made in advance.

    Raises
    ------
    ValueError
        If `steps` is missing or below 1, or a Sequence is empty.
    TypeError
        If `items` is neither kind, or a number is no integer.
    """

    count = None

    def __init__(
        self,
        items: Any,
        steps: int | None,
        unpack: Callable[[Any], Any],
        *,
        shuffle: bool = False,
        workers: int = 1,
        max_queue_size: int = 10,
    ) -> None:
        if not is_generated(items):
            raise TypeError(f"Expected a generator or a Sequence, got {type(items).__name__}.")
        self._sequence = items if isinstance(items, Sequence) else None
        if self._sequence is not None and not len(items):
            raise ValueError("The Sequence has no batches.")
        if steps is None and self._sequence is None:
            raise ValueError(
                "A generator has no length: say by steps_per_epoch (validation_steps, steps) how "
                "many batches to take."
            )
        self.steps: int = _checks.positive_int(len(items) if steps is None else steps, "steps")
        self.batches: int = self.steps
        self._unpack = unpack
        self._items = items
        if self._sequence is not None:
            ahead = _checks.positive_int(max_queue_size, "max_queue_size") if workers > 1 else 0
            self._items = _endless(items, shuffle, workers, ahead)
            self._left = len(items)

    def epoch(self) -> Iterator[Sized]:
        """Yield how many samples each batch of an epoch has, and the batch."""
        for done in range(self.steps):
            try:
                item = next(self._items)
            except StopIteration:
                raise ValueError(
                    f"The generator ended after {done} of {self.steps} batches of an epoch; the "
                    "weights are as after the last batch. Let it go on for ever, or ask for fewer "
                    "steps."
                ) from None
            batch = self._unpack(item)
            if not batch.size:
                raise ValueError("A batch must have at least one sample, got an empty one.")
            yield batch.size, batch
            self._count_down()

    def _count_down(self) -> None:
        """Tell a Sequence when all its batches were used: they may be views of what it changes."""
        if self._sequence is None:
            return
        self._left -= 1
        if not self._left:
            self._sequence.on_epoch_end()
            self._left = len(self._sequence)

    def close(self) -> None:
        """Stop making items in advance."""
        if self._sequence is not None:
            self._items.close()


def _endless(sequence: Sequence, shuffle: bool, workers: int, ahead: int) -> Iterator[Any]:
    """The items of a Sequence, again and again."""
    while True:
        places = np.arange(len(sequence))
        if shuffle:
            _random.default_generator().shuffle(places)
        if ahead:
            yield from _made_ahead(sequence, places.tolist(), workers, ahead)
        else:
            for place in places.tolist():
                yield sequence[place]


def _made_ahead(sequence: Sequence, places: list[int], workers: int, ahead: int) -> Iterator[Any]:
    """The items in the order of `places`, made by threads while earlier ones are used."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            for place in places:
                waiting.append(pool.submit(sequence.__getitem__, place))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def parts_of_item(item: Any, what: str = "A generator yields tuples") -> tuple[Any, Any, Any]:
    """Return inputs, targets and sample weights of what a generator yields to train or test.

    Parameters
    ----------
    item : tuple of two or three
        The inputs, the targets, and maybe the sample weights.
    what : str
        How an error begins.

    Raises
    ------
    ValueError
        If it is not a tuple of two or three.
    """
    if isinstance(item, list | tuple) and len(item) in (2, 3):
        x, y, *weights = item
        return x, y, weights[0] if weights else None
    raise ValueError(
        f"{what} (inputs, targets) or (inputs, targets, sample_weights), got {_described(item)}."
    )


def inputs_of_item(item: Any) -> Any:
    """Return the inputs of what a generator yields to predict: alone, or first in a tuple."""
    if not isinstance(item, tuple):
        return item
    if not item:
        raise ValueError("A generator yields inputs, or tuples that begin with them, got ().")
    return item[0]


def _described(item: Any) -> str:
    if isinstance(item, list | tuple):
        return f"a {type(item).__name__} of {len(item)}"
    return f"a {type(item).__name__}"
