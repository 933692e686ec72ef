"""Data on several ranks: each takes its part, and results come together in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from cylstm.distributed._ranks import Ranks, ranks_of
from cylstm.training._data import Order, inputs_of
from cylstm.training._feeding import inputs_of_item, is_generated
from cylstm.training._loops import average
from cylstm.training._prepared import one_or_list
from cylstm.utils.sequence import Sequence

__all__ = ["evaluate_in_parts", "gather", "predict_in_parts", "shard"]

T = TypeVar("T")


def shard(data: Any, comm: Any = None) -> Any:
    """The part of this rank: every so-manieth sample, or batch, beginning with its own number.

    Parameters
    ----------
    data : array, list, tuple, dict, Sequence, generator or None
        Of an array the samples are taken, as a view, and of a list or dict of arrays those of each;
        of a `cylstm.utils.Sequence` the batches, of a generator what it yields. None is None.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks: by default all of the job.

    Returns
    -------
    of the kind of the data
        Rank r of n has ``data[r::n]``.

    Raises
    ------
    TypeError
        For other data.

    Examples
    --------
    >>> from cylstm.distributed import shard
    >>> shard(np.arange(3))  # of one rank
    array([0, 1, 2])
    """
    ranks = ranks_of(comm)
    if data is None:
        return None
    if isinstance(data, Sequence):
        return _Every(data, ranks)
    if isinstance(data, Mapping):
        return {name: shard(value, comm) for name, value in data.items()}
    if isinstance(data, list | tuple) and data and hasattr(data[0], "shape"):
        return type(data)(shard(value, comm) for value in data)
    if hasattr(data, "__next__"):
        return islice(data, ranks.rank, None, ranks.size)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return data[ranks.rank :: ranks.size]
    raise TypeError(
        f"shard takes arrays, lists or dicts of them, a Sequence or a generator, got {data!r}."
    )


class _Every(Sequence):
    """Batches of another Sequence, which hears of the end of each epoch."""

    def __init__(self, whole: Sequence, ranks: Ranks) -> None:
        self._whole, self._first, self._step = whole, ranks.rank, ranks.size

    def __len__(self) -> int:
        return len(range(self._first, len(self._whole), self._step))

    def __getitem__(self, index: int) -> Any:
        return self._whole[self._first + index * self._step]

    def on_epoch_end(self) -> None:
        self._whole.on_epoch_end()


def gather(values: Any, comm: Any = None) -> Any:
    """Put together, on every rank, what each has for its samples: the inverse of `shard`.

    Parameters
    ----------
    values : ndarray, or list of ndarray
        Such as ``model.predict(shard(x))``.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks: by default all of the job.

    Returns
    -------
    ndarray, or list of ndarray
        Sample i of rank r of n is that of number ``r + i * n``.

    Raises
    ------
    ValueError
        If the numbers of samples are not those of `shard`.

    Examples
    --------
    >>> from cylstm.distributed import gather, shard
    >>> gather(shard(np.arange(3)))
    array([0, 1, 2])
    """
    if isinstance(values, list):
        return [gather(value, comm) for value in values]
    parts = [np.asarray(part) for part in ranks_of(comm).gather(values)]
    count, size = sum(map(len, parts)), len(parts)
    lengths = [len(range(rank, count, size)) for rank in range(size)]
    if [len(part) for part in parts] != lengths:
        raise ValueError(
            f"gather takes the results for what shard gave: {lengths} of {count} samples, got "
            f"{[len(part) for part in parts]}."
        )
    whole = np.empty((count, *parts[0].shape[1:]), parts[0].dtype)
    for rank, part in enumerate(parts):
        whole[rank::size] = part
    return whole


def evaluate_in_parts(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    sample_weight: Any = None,
    comm: Any = None,
) -> float | list[float]:
    """`Model.evaluate`, each rank on some of the batches; the result is that of one process.

    Parameters
    ----------
    model : Model
        The same one on every rank, and compiled.
    x, y, batch_size, sample_weight
        As for `Model.evaluate`, the same on every rank; x may be a `Sequence`.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks: by default all of the job.

    Returns
    -------
    float, or list of float
        On every rank; the same numbers as of one process, to the last bit.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `Model.evaluate`; or if the model is stateful.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.distributed import evaluate_in_parts
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((8, 5, 3)), np.zeros((8, 4))
    >>> evaluate_in_parts(model, x, y) == model.evaluate(x, y, verbose=0)
    True
    """
    ranks, prepared = ranks_of(comm), _stateless(model)._trainer._prepared
    if is_generated(x):
        items = ((n, prepared.batch(*item)) for n, item in _own(_batches_of(x), ranks))
    else:
        prepared.check_compiled()
        size = prepared.ready(x, batch_size, None, "steps")
        feed = prepared.array_feed(prepared.samples(x, y, sample_weight), size, None)
        items = ((n, batch) for n, (_, batch) in _own(feed.epoch(), ranks))
    test = prepared.compiled().test
    tested = [(number, batch.size, test(batch)) for number, batch in items]
    return one_or_list(average((size, values) for _, size, values in _in_order(tested, ranks)))


def predict_in_parts(
    model: Any, x: Any, batch_size: int | None = None, comm: Any = None
) -> np.ndarray | Any:
    """`Model.predict`, each rank on some of the batches; the result is that of one process.

    Parameters
    ----------
    model : Model
        The same one on every rank.
    x, batch_size
        As for `Model.predict`, the same on every rank; x may be a `Sequence`.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks: by default all of the job.

    Returns
    -------
    ndarray or list of ndarray
        On every rank, in the order of the samples; the same numbers as of one process.

    Raises
    ------
    ValueError, TypeError
        As `Model.predict`; or if the model is stateful.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.distributed import predict_in_parts
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> predict_in_parts(model, np.ones((8, 5, 3))).shape
    (8, 4)
    """
    ranks, prepared = ranks_of(comm), _stateless(model)._trainer._prepared
    if is_generated(x):
        items = _own(_batches_of(x), ranks)
        found = [(n, model.predict_on_batch(inputs_of_item(item))) for n, item in items]
    else:
        size = prepared.ready(x, batch_size, None, "steps")
        inputs = inputs_of(model, x)
        if not len(inputs[0]):
            return model.predict(x, batch_size)
        cuts = _own(Order(len(inputs[0]), size).epoch(), ranks)
        found = [(n, prepared.outputs_for([array[cut] for array in inputs])) for n, cut in cuts]
    outputs = [_listed(part) for _, part in _in_order(found, ranks)]
    return one_or_list([np.concatenate(parts) for parts in zip(*outputs, strict=True)])


def _stateless(model: Any) -> Any:
    if model.stateful:
        raise ValueError(
            f"Model {model.name} is stateful, so its batches depend on each other: give each rank "
            "its own streams, and gather what its predict returns."
        )
    return model


def _batches_of(x: Any) -> Sequence:
    if not isinstance(x, Sequence):
        raise TypeError(f"Of arrays or a Sequence each rank can take its part, got {x!r}.")
    return x


def _own(items: Iterable[T], ranks: Ranks) -> Iterator[tuple[int, T]]:
    """The items of this rank, with their numbers."""
    if isinstance(items, Sequence):
        places = range(ranks.rank, len(items), ranks.size)
        yield from ((number, items[number]) for number in places)
    else:
        yield from islice(enumerate(items), ranks.rank, None, ranks.size)


def _in_order(found: list[Any], ranks: Ranks) -> list[Any]:
    """What all ranks have found, by its number."""
    every = (entry for part in ranks.gather(found) for entry in part)
    return sorted(every, key=lambda entry: int(entry[0]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
