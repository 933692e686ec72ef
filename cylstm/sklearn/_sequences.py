"""What estimators are given as X: arrays, or lists of sequences, checked once."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from cylstm import _checks, _random
from cylstm.utils import Sequence

__all__ = ["PaddedBatches", "Ragged", "checked", "fill_value"]


def fill_value(dtype: Any) -> float:
    """What fills batches up behind short sequences: a number that no sequence may hold."""
    return float(np.finfo(dtype).max)


class Ragged:
    """Sequences of different lengths, one behind the other in one array.

    Parameters
    ----------
    steps : ndarray, shape (all steps, features)
        The steps of all sequences.
    starts, lengths : ndarray of int, shape (samples,)
        Where in it each sequence begins, and how many steps it has.
    """

    def __init__(self, steps: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> None:
        self.steps = steps
        self.starts = starts
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        """Some of the sequences; the steps are shared."""
        return type(self)(self.steps, self.starts[rows], self.lengths[rows])

    def padded(self) -> np.ndarray:
        """As an array of (samples, steps of the longest, features), filled up at the end."""
        shape = (len(self), int(self.lengths.max()), self.steps.shape[1])
        array = np.full(shape, fill_value(self.steps.dtype), self.steps.dtype)
        places = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        for row, (start, length) in enumerate(places):
            array[row, :length] = self.steps[start : start + length]
        return array


class PaddedBatches(Sequence):
    """Batches of sequences, each filled up to the longest in it; for `Model.fit` and `predict`.

    Parameters
    ----------
    x : Ragged
        The sequences.
    y, weights : ndarray, optional
        Their targets, and what they count.
    batch_size : int
        How many of them make a batch; the last one takes what is left.
    shuffle : bool, default False
        Whether each epoch has an order of its own.
    """

    def __init__(
        self,
        x: Ragged,
        y: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        *,
        batch_size: int,
        shuffle: bool = False,
    ) -> None:
        self._x = x
        self._others = [array for array in (y, weights) if array is not None]
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._order = np.arange(len(x))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._x) // self._batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        inputs = self._x[rows].padded()
        return (inputs, *(array[rows] for array in self._others)) if self._others else inputs

    def on_epoch_end(self) -> None:
        """Put the samples into another order."""
        if self._shuffle:
            _random.default_generator().shuffle(self._order)


def checked(estimator: Any, X: Any, dtype: str, *, reset: bool) -> np.ndarray | Ragged:
    """X as an array of (samples, steps, features), or as sequences, in the dtype of the model.

    Parameters
    ----------
    estimator : LSTMEstimator
        Whose attributes ``n_features_in_`` and ``feature_names_in_`` are set, or compared.
    X : array-like or list
        As for `LSTMClassifier.fit`.
    dtype : str
        "float32" or "float64".
    reset : bool
        Whether the estimator is fitted afresh.

    Raises
    ------
    ValueError, TypeError
        If X does not consist of finite numbers, or has not the form of what was fitted.
    """
    X = _checks.handed_out(X)
    sequences = _sequences_in(X)
    axes = 0 if sequences is not None else _axes(X)
    in_columns = estimator._in_columns if not reset else axes not in (0, 3)
    if in_columns and axes in (0, 3):
        raise ValueError(
            f"X is {'a list of sequences' if axes == 0 else 'an array of three axes'}, but "
            f"{type(estimator).__name__} was fitted on an array of (samples, "
            f"{estimator.n_features_in_} steps): give X as such a one, or fit on sequences."
        )
    found: np.ndarray | Ragged
    if in_columns:
        found = validate_data(estimator, X, dtype=dtype, reset=reset)[..., np.newaxis]
    else:
        found = (
            _joined(sequences, dtype) if sequences is not None else _of_axes(X, axes, dtype, reset)
        )
        _compare_features(estimator, found, reset)
    numbers = found.steps if isinstance(found, Ragged) else found
    if numbers.max() >= fill_value(dtype):
        raise ValueError(f"X holds a value too large for dtype('{dtype}'): {numbers.max()}.")
    if reset:
        estimator._in_columns = in_columns
    return found


def _axes(X: Any) -> int:
    axes = getattr(X, "ndim", None)
    return int(axes) if axes is not None else np.asarray(X).ndim


def _sequences_in(X: Any) -> list[Any] | None:
    """The sequences that X is a list of; None where it is an array, or a list that is like one."""
    if getattr(X, "ndim", None) == 1 and getattr(X, "dtype", None) == np.dtype(object):
        X = list(X)
    elif not isinstance(X, list | tuple):
        return None
    if any(_checks.rank(sequence) == 0 for sequence in X):
        return None
    if any(hasattr(sequence, "shape") for sequence in X):
        return list(X)
    try:
        np.asarray(X)
    except ValueError:  # of different lengths
        return list(X)
    return None


def _joined(sequences: list[Any], dtype: Any) -> Ragged:
    arrays = [_checks.plain_array(sequence, "X") for sequence in sequences]
    arrays = [array[:, np.newaxis] if array.ndim == 1 else array for array in arrays]
    for place, array in enumerate(arrays):
        if array.ndim != 2 or 0 in array.shape or array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                "X is a list of sequences, each an array of (steps, features) with at least one "
                "step and as many features as the others, or of (steps,). Sequence 0 has the shape "
                f"{arrays[0].shape}, and sequence {place} the shape {np.shape(sequences[place])}."
            )
    steps = check_array(np.concatenate(arrays), dtype=dtype, input_name="X")
    lengths = np.array([len(array) for array in arrays])
    return Ragged(steps, np.cumsum(lengths) - lengths, lengths)


def _of_axes(X: Any, axes: int, dtype: Any, reset: bool) -> np.ndarray:
    """An array of three axes; or, of an estimator that was fitted on sequences, of two."""
    array: np.ndarray = check_array(X, dtype=dtype, allow_nd=True, input_name="X")
    if 0 in array.shape:
        raise ValueError(
            f"Found array with {array.shape[-1]} feature(s) in {array.shape[1]} steps "
            f"(shape={array.shape}) while a minimum of 1 is required."
        )
    if axes == 3:
        return array
    if axes == 2:
        return array[..., np.newaxis]
    raise ValueError(
        f"X has {axes} axes: expected an array of (samples, steps, features) or (samples, steps), "
        "or a list of sequences."
    )


def _compare_features(estimator: Any, found: np.ndarray | Ragged, reset: bool) -> None:
    features = (found.steps if isinstance(found, Ragged) else found).shape[-1]
    if reset:
        estimator.n_features_in_ = features
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input: (samples, steps, "
            f"{estimator.n_features_in_}). A single sequence of (steps, features) is X[np.newaxis]."
        )
