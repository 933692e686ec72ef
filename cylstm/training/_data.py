"""Samples: inputs, targets and weights as a model takes them, checked once, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _checks, _random
from cylstm.layers.input_spec import axes_advice
from cylstm.training._reading import as_column, fits, listed, numbers
from cylstm.training._trainable import Trainable

if TYPE_CHECKING:
    from cylstm.training._objective import Goal

__all__ = [
    "BATCH_SIZE",
    "Order",
    "Samples",
    "batch_size_of",
    "check_batches",
    "check_multiple",
    "inputs_of",
    "samples_of",
    "split",
]

BATCH_SIZE = 32  # Keras' default


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays that have one entry for each sample along their first axis.

    Attributes
    ----------
    inputs : list of ndarray
        One for each input of the model.
    targets : list of ndarray
        One for each output that has a loss.
    weights : list of (ndarray or None)
        What the samples count, likewise.
    rows : slice or array, optional
        Which rows of what the user gave they are, where they are not all of them.
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    weights: list[np.ndarray | None]
    rows: slice | np.ndarray | None = None

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.inputs[0])

    def take(self, which: slice | np.ndarray) -> Samples:
        """Some of the samples: views for a slice, copies for an array of numbers."""
        return Samples(
            [array[which] for array in self.inputs],
            [array[which] for array in self.targets],
            [None if array is None else array[which] for array in self.weights],
            which,
        )

    def row(self, place: int) -> int:
        """The number that the user has for the sample at a place."""
        if self.rows is None:
            return place
        return place + self.rows.start if isinstance(self.rows, slice) else int(self.rows[place])


class Order:
    """In which order the samples come, epoch after epoch.

    Parameters
    ----------
    count : int
        How many samples there are.
    batch_size : int
        How many of them make a batch; the last one takes what is left.
    shuffle : bool or "batch", default False
        Whether each epoch has its own order: of the samples, or of whole batches (neighbours
        then stay together, and the batches are views).

    Raises
    ------
    ValueError
        For another value of `shuffle`.

    Examples
    --------
    >>> list(Order(5, 2).epoch())
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """

    def __init__(self, count: int, batch_size: int, shuffle: bool | str = False) -> None:
        if shuffle not in (True, False, "batch"):
            raise ValueError(f"shuffle must be True, False or 'batch', got {shuffle!r}.")
        self.count = count
        self.batch_size = batch_size
        self.shuffle = shuffle if shuffle == "batch" else bool(shuffle)
        places = {True: count, "batch": count // batch_size}
        self._places = np.arange(places.get(self.shuffle, 0))

    def epoch(self) -> Iterator[slice | np.ndarray]:
        """Yield which samples make up each batch of one epoch."""
        size, count = self.batch_size, self.count
        if self.shuffle:
            _random.default_generator().shuffle(self._places)
        if self.shuffle == "batch":
            for place in self._places.tolist():
                yield slice(place * size, (place + 1) * size)
            if count % size:
                yield slice(count - count % size, count)
            return
        for start in range(0, count, size):
            stop = min(start + size, count)
            yield self._places[start:stop] if self.shuffle else slice(start, stop)


def inputs_of(model: Trainable, x: Any) -> list[np.ndarray]:
    """Return the inputs of a model as a list of arrays that fit them, but for the batch axis.

    Parameters
    ----------
    model : Model
        A built one.
    x : array, list or dict
        One array for each input; for a single input the array itself. An array of one axis
        becomes a column.

    Raises
    ------
    ValueError
        If the number of arrays, a shape, or the numbers of samples do not fit.
    TypeError
        If an array does not consist of real numbers.
    """
    shapes = [(None, *tensor.shape[1:]) for tensor in model.inputs]
    names = model.input_names
    checked = []
    for given, expected, name in zip(
        listed(x, names, shapes, f"Model {model.name}", "inputs"), shapes, names, strict=True
    ):
        what = f"Input {name} of model {model.name}"
        array = as_column(numbers(given, what))
        if not fits(array.shape, expected):
            raise ValueError(
                f"{what} must have the shape {expected}, got {array.shape}."
                f"{_hint_of_shape(given, array.shape, expected)}"
            )
        checked.append(array)
    if len(names) > 1:
        _check_lengths(dict(zip(names, checked, strict=True)))
    return checked


def samples_of(
    model: Trainable,
    goals: Sequence[Goal],
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> Samples:
    """Return inputs, targets and weights that fit a model and its losses.

    Parameters
    ----------
    model : Model
        A built one.
    goals : list of Goal
        What its outputs are trained for.
    x, y : array, list or dict
        The inputs and the targets; an array of one axis becomes a column.
    sample_weight : array, list or dict, optional
        What each sample counts, for each output.
    class_weight : dict, or list or dict of dicts, optional
        What the samples of each class count, for each output.

    Raises
    ------
    ValueError
        If a shape or a number of samples does not fit, or targets do not fit their loss.
    TypeError
        If an array does not consist of real numbers.
    """
    from cylstm.training._weighting import per_output, standardize_weights

    inputs = inputs_of(model, x)
    names = [goal.name for goal in goals]
    shapes = [goal.shape for goal in goals]
    targets = []
    for given, goal in zip(listed(y, names, shapes, "The losses", "targets"), goals, strict=True):
        what = f"The targets of {goal.name}"
        target = as_column(numbers(given, what, are_targets=True))
        try:
            _check_targets(goal, target)
        except ValueError as error:
            raise ValueError(f"{what} in model {model.name} do not fit: {error}") from None
        targets.append(target)
    weights = [
        standardize_weights(target, sample, classes, goal.mode)
        for target, sample, classes, goal in zip(
            targets,
            per_output(sample_weight, names, "sample_weight"),
            per_output(class_weight, names, "class_weight"),
            goals,
            strict=True,
        )
    ]
    lengths = {"the inputs": inputs[0]}
    _check_lengths(
        lengths | {f"the targets of {n}": t for n, t in zip(names, targets, strict=True)}
    )
    return Samples(inputs, targets, weights)


def _hint_of_shape(given: Any, shape: tuple[int, ...], expected: tuple[int | None, ...]) -> str:
    """What may be amiss where an input has another shape."""
    if isinstance(given, list | tuple) and len(given) > 1 and fits(shape[1:], expected):
        return (
            " For a model of one input a list holds samples, and it got a list of "
            f"{len(given)} arrays of many samples: join them by np.concatenate."
        )
    return f" {axes_advice(shape)}" if len(expected) == 3 != len(shape) else ""


def _check_targets(goal: Goal, target: np.ndarray) -> None:
    from cylstm import losses
    from cylstm.losses import _targets

    losses.check_target(goal.loss, target.shape, (len(target), *goal.shape[1:]))
    if goal.loss is losses.sparse_categorical_crossentropy and goal.shape[-1] is not None:
        rows = target.shape[: len(goal.shape) - 1]
        outputs = np.broadcast_to(np.float32(0), (*rows, goal.shape[-1]))
        _targets.class_indices(goal.loss.__name__, target, outputs)


def split(samples: Samples, fraction: float) -> tuple[Samples, Samples]:
    """Take the last samples apart, for validation.

    Parameters
    ----------
    samples : Samples
        All of them.
    fraction : float
        The share to take apart.

    Returns
    -------
    training, validation : Samples
        Views.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, or nothing is left on either side.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split must be at least 0 and below 1, got {fraction!r}.")
    at = int(samples.size * (1 - fraction))
    if not 0 < at < samples.size:
        raise ValueError(
            f"validation_split={fraction} of {samples.size} samples leaves {at} to train on and "
            f"{samples.size - at} to validate on: both must be at least 1."
        )
    return samples.take(slice(0, at)), samples.take(slice(at, None))


def batch_size_of(model: Trainable, batch_size: int | None) -> int:
    """Return a checked batch size: by default the one that the model is bound to, or 32.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive integer.
    """
    if batch_size is None:
        return _fixed_size(model) or BATCH_SIZE
    return _checks.positive_int(batch_size, "batch_size")


def check_batches(model: Trainable, count: int, batch_size: int) -> None:
    """Raise ValueError unless a model that is bound to a batch size gets no other one.

    Parameters
    ----------
    model : Model
        Stateful, or with inputs that have a fixed batch axis, or not bound at all.
    count : int
        The number of samples.
    batch_size : int
        How many of them make a batch.
    """
    check_multiple(model, count, batch_size)
    fixed = _fixed_size(model)
    sizes = {min(count, batch_size), count % batch_size or batch_size}
    if fixed is not None and sizes != {fixed}:
        raise ValueError(
            f"Model {model.name} takes batches of {fixed} samples only, got {count} samples in "
            f"batches of {batch_size}."
        )


def check_multiple(model: Trainable, count: int, batch_size: int) -> None:
    """Raise ValueError where a stateful model, built or not, would get a smaller last batch."""
    if model.stateful and count % batch_size:
        raise ValueError(
            f"Model {model.name} is stateful: row i of a batch goes on where row i of the batch "
            f"before stopped, so the number of samples must be a multiple of the batch size "
            f"{batch_size}, got {count} samples."
        )


def _fixed_size(model: Trainable) -> int | None:
    return next((t.shape[0] for t in model.inputs if t.shape[0] is not None), None)


def _check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        counts = ", ".join(f"{len(array)} in {name}" for name, array in arrays.items())
        raise ValueError(f"All arrays must have one number of samples, got {counts}.")
