"""Sequences of numbers: padding, windows of time series, skip-grams."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence as Indexable
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _random, _warning
from cylstm._arguments import NamedArguments, suggesting
from cylstm.utils.sequence import Sequence

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


@suggesting
def pad_sequences(
    sequences: Indexable[Any],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> np.ndarray:
    """Make one array of sequences of different lengths.

    Parameters
    ----------
    sequences : list of sequences
        Each a list or array of numbers, or of samples of one shape.
    maxlen : int, optional
        The length of the result: that of the longest sequence by default.
    dtype : dtype, default "int32"
        The dtype of the result.
    padding : {"pre", "post"}
        Where shorter sequences are filled.
    truncating : {"pre", "post"}
        Where longer sequences are cut.
    value : float, default 0.0
        What fills them.

    Returns
    -------
    array (len(sequences), maxlen, ...)
        The sequences; the axes after the second are those of one sample.

    Raises
    ------
    TypeError
        If `maxlen` is not an integer.
    ValueError
        If `sequences` is not a list of sequences, their samples differ in shape, `maxlen` is
        negative, or `padding` or `truncating` is neither "pre" nor "post".

    Warns
    -----
    UserWarning
        If a dtype of integers, as is the default, cuts off fractions.

    Examples
    --------
    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2).tolist()
    [[2, 3], [0, 4]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"{name} must be 'pre' or 'post', got {side!r}.")
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"sequences must be a list of sequences, got {sequences!r}.")
    for position, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(
                "sequences must be a list of sequences, but what it holds at position "
                f"{position} is {sequence!r}."
            )
    if maxlen is None:
        maxlen = max((len(sequence) for sequence in sequences), default=0)
    length = operator.index(maxlen)
    if length < 0:
        raise ValueError(f"maxlen must not be negative, got {maxlen}.")
    first = next((sequence for sequence in sequences if len(sequence)), ())
    sample_shape = np.shape(first)[1:]
    padded = np.full((len(sequences), length, *sample_shape), value, dtype=dtype)
    cut = False
    for position, sequence in enumerate(sequences):
        count = min(len(sequence), length)
        if not count:
            continue
        kept = sequence[len(sequence) - count :] if truncating == "pre" else sequence[:count]
        samples = np.asarray(kept, dtype=dtype)
        if padded.dtype.kind in "iu" and not cut:
            given = np.asarray(kept)
            cut = given.dtype.kind == "f" and bool(np.any(samples != given))
        if samples.shape[1:] != sample_shape:
            raise ValueError(
                f"sequences must hold samples of one shape: at position {position} it is "
                f"{samples.shape[1:]}, before it was {sample_shape}."
            )
        if padding == "pre":
            padded[position, length - count :] = samples
        else:
            padded[position, :count] = samples
    if cut:
        _warning.warn(
            f"pad_sequences cut off fractions, for the result has the dtype {padded.dtype}: give "
            "dtype='float32'.",
            UserWarning,
        )
    return padded


class TimeseriesGenerator(NamedArguments, Sequence):
    """Batches of windows of a time series, each with the target of the step after it.

    The target at time t goes with the data of the times t - length, t - length + sampling_rate,
    and so on up to t - 1.

    Parameters
    ----------
    data : array (times, ...)
        The series: one entry for each time.
    targets : array (times, ...)
        The target of each time.
    length : int
        How many times before the target a window begins.
    sampling_rate : int, default 1
        The distance of the times within a window.
    stride : int, default 1
        The distance of one window from the next.
    start_index : int, default 0
        The first time that is used.
    end_index : int, optional
        The last time that is used: that of the last entry by default.
    shuffle : bool, default False
        Whether every batch draws `batch_size` windows at random, with replacement and without
        regard to the stride. `numpy.random.seed` makes it repeatable, or
        `cylstm.utils.set_random_seed`.
    reverse : bool, default False
        Whether windows run from the latest time to the earliest.
    batch_size : int, default 128
        How many windows a batch has; the last may have fewer.

    Raises
    ------
    TypeError
        If a length or an index is not an integer.
    ValueError
        If data and targets differ in length, a length is below 1, or no window fits.

    Examples
    --------
    >>> windows = TimeseriesGenerator(np.arange(6), np.arange(6) * 10, length=3, batch_size=2)
    >>> len(windows)
    2
    >>> x, y = windows[0]
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [1, 2, 3]], [30, 40])
    """

    def __init__(
        self,
        data: npt.ArrayLike,
        targets: npt.ArrayLike,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        self.data: np.ndarray = _checks.plain_array(data, "data")
        self.targets: np.ndarray = _checks.plain_array(targets, "targets")
        if len(self.data) != len(self.targets):
            raise ValueError(
                f"data and targets must be equally long, got {len(self.data)} and "
                f"{len(self.targets)}."
            )
        self.length: int = _checks.positive_int(length, "length")
        self.sampling_rate: int = _checks.positive_int(sampling_rate, "sampling_rate")
        self.stride: int = _checks.positive_int(stride, "stride")
        self.batch_size: int = _checks.positive_int(batch_size, "batch_size")
        start = operator.index(start_index)
        last = len(self.data) - 1
        self.end_index: int = last if end_index is None else operator.index(end_index)
        # The first time that has a whole window before it.
        self.start_index: int = start + self.length
        if start < 0 or self.end_index > last:
            raise ValueError(
                f"start_index and end_index must lie between 0 and {last}, got {start} and "
                f"{self.end_index}."
            )
        if self.start_index > self.end_index:
            raise ValueError(
                f"no window of length {self.length} with a target after it fits between "
                f"start_index {start} and end_index {self.end_index}."
            )
        self.shuffle = shuffle
        self.reverse = reverse

    def __len__(self) -> int:
        """Return the number of batches."""
        times = self.end_index - self.start_index + 1
        return math.ceil(times / (self.batch_size * self.stride))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return windows (batch, length // sampling_rate, ...) and targets (batch, ...)."""
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"there are {count} batches, got the index {index}")
        if self.shuffle:
            times = _random.default_generator().integers(
                self.start_index, self.end_index + 1, self.batch_size
            )
        else:
            step = self.batch_size * self.stride
            first = self.start_index + step * (index % count)
            times = np.arange(first, min(first + step, self.end_index + 1), self.stride)
        offsets = np.arange(-self.length, 0, self.sampling_rate)
        if self.reverse:
            offsets = offsets[::-1]
        return self.data[times[:, None] + offsets], self.targets[times]


@suggesting
def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Return the probabilities with which word2vec keeps words, by their rank.

    The word of rank r is taken to have the frequency 1 / (r (log(r) + 0.577) + 1/2 - 1/(12 r)),
    after Zipf's law, and is kept with the probability min(1, sqrt(sampling_factor / frequency)).

    Parameters
    ----------
    size : int
        How many words there are.
    sampling_factor : float, default 1e-5
        The frequency up to which every word is kept.

    Returns
    -------
    array (size,)
        Entry r belongs to the word of rank r; entry 0, which is no word, equals entry 1.

    Raises
    ------
    TypeError, ValueError
        If `size` is not a positive integer.

    References
    ----------
    Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their
    Compositionality", arXiv:1310.4546.

    Examples
    --------
    >>> make_sampling_table(4).round(4).tolist()
    [0.0032, 0.0032, 0.0055, 0.0074]
    """
    rank = np.maximum(np.arange(_checks.positive_int(size, "size")), 1)
    inverse_frequency = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    return np.minimum(1, np.sqrt(sampling_factor * inverse_frequency))


@suggesting
def skipgrams(
    sequence: Indexable[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: npt.ArrayLike | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pair words with their neighbours (label 1) and with random words (label 0).

    Parameters
    ----------
    sequence : list of int
        A text as numbers of words. The number 0 is no word and is left out.
    vocabulary_size : int
        One more than the greatest number of a word.
    window_size : int, default 4
        How far from a word its neighbours are.
    negative_samples : float, default 1.0
        How many random pairs there are for each pair of neighbours.
    shuffle : bool, default True
        Whether the pairs come in random order.
    categorical : bool, default False
        Whether labels are [0, 1] and [1, 0] instead of 1 and 0.
    sampling_table : array (vocabulary_size,), optional
        The probability with which each word gets pairs; see `make_sampling_table`.
    seed : int, optional
        Fixes what is random here. Without it `numpy.random.seed` does, or
        `cylstm.utils.set_random_seed`.

    Returns
    -------
    couples : list of [int, int]
        A word and its neighbour, or a word and a random one.
    labels : list
        The label of each couple.

    Raises
    ------
    TypeError, ValueError
        If `vocabulary_size` is not an integer of at least 2.

    Examples
    --------
    >>> skipgrams([1, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False)
    ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])
    """
    if _checks.positive_int(vocabulary_size, "vocabulary_size") < 2:
        raise ValueError("vocabulary_size must be at least 2: the number 0 is no word.")
    random = _random.generator(seed)
    positive, negative = ([0, 1], [1, 0]) if categorical else (1, 0)
    table = None if sampling_table is None else np.asarray(sampling_table)
    couples: list[list[int]] = []
    for place, word in enumerate(sequence):
        if not word or (table is not None and table[word] < random.random()):
            continue
        nearby = range(max(0, place - window_size), min(len(sequence), place + window_size + 1))
        couples += [[word, sequence[j]] for j in nearby if j != place and sequence[j]]
    labels: list[Any] = [positive] * len(couples)
    count = int(len(couples) * negative_samples)
    if count > 0:
        words = random.permutation([word for word, _ in couples]).tolist()
        strangers = random.integers(1, vocabulary_size, count).tolist()
        couples += [[words[i % len(words)], strangers[i]] for i in range(count)]
        labels += [negative] * count
    if shuffle:
        order = random.permutation(len(couples)).tolist()
        couples, labels = [couples[i] for i in order], [labels[i] for i in order]
    return couples, labels
