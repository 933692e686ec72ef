"""Loops over batches: fit, evaluate and predict, with their callbacks and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from cylstm import _checks, _warning
from cylstm import callbacks as callbacks_module
from cylstm.callbacks import History
from cylstm.callbacks._names import ByName
from cylstm.callbacks._progress import checked_verbose
from cylstm.training._data import Order
from cylstm.training._steps import NaNError, Steps
from cylstm.training._trainable import Trainable

__all__ = ["Fitting", "average", "predict_arrays"]


class Fitting:
    """One call of `fit`: epochs of batches, callbacks, validation.

    Parameters
    ----------
    model : Model
        What is trained.
    steps : Steps
        Its steps.
    feed : ArrayFeed or ItemFeed
        The batches to train on.
    validation_feed : ArrayFeed or ItemFeed, optional
        The batches to validate on after each epoch.
    callbacks : Callback or list of Callback, optional
        Called at each point, after the average of an epoch is known.
    verbose : {0, 1, 2, "auto"}, default 0
        Whether to show progress.

    Raises
    ------
    ValueError
        For another value of `verbose`.
    TypeError
        If something among `callbacks` is no callback.
    """

    def __init__(
        self,
        model: Trainable,
        steps: Steps,
        feed: Any,
        validation_feed: Any = None,
        callbacks: Any = None,
        verbose: int | str = 0,
    ) -> None:
        self._model, self._steps = model, steps
        self._feed, self._validation = feed, validation_feed
        self._verbose = checked_verbose(verbose)
        self.history = History()
        listed = [callbacks_module.BaseLogger(), *_given(callbacks), self.history]
        self._bar = callbacks_module.ProgbarLogger("samples" if feed.steps is None else "steps")
        if self._verbose:
            listed.append(self._bar)
        # Whoever asks for training to stop at a NaN wants no error.
        stops = callbacks_module.TerminateOnNaN
        self._stops_at_nan = any(isinstance(callback, stops) for callback in listed)
        self._listed = steps.called(listed)
        self._callbacks = callbacks_module.CallbackList(self._listed)

    def run(self, epochs: int, initial_epoch: int, batch_size: int | None) -> History:
        """Train from one epoch to another, and return the history."""
        epochs, initial_epoch = _count(epochs, "epochs"), _count(initial_epoch, "initial_epoch")
        model, callbacks = self._model, self._callbacks
        model.history = self.history
        callbacks.set_model(model)
        parameters = self._parameters(epochs, batch_size)
        callbacks.set_params(parameters)
        callbacks.check(parameters["metrics"])
        self._steps.warn_of_frozen_layers()
        for callback in self._listed:
            callback.validation_data = _validation_data(self._validation)
            if getattr(callback, "_examines", False):
                held_out = getattr(self._validation, "samples", None)
                callback._examine = held_out and partial(self._steps.examine, held_out)
        self._steps.begin(self._feed, self._listed)
        callbacks.on_train_begin()
        model.stop_training = False
        self._doubted = False
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            try:
                logs = self._validated() if self._run_batches() else ByName()
            finally:
                self._bar.clear()
            callbacks.on_epoch_end(epoch, logs)
            if self._steps.stopped():
                break
        callbacks.on_train_end()
        return self.history

    def _parameters(self, epochs: int, batch_size: int | None) -> dict[str, Any]:
        labels = self._steps.objective.labels
        validated = [f"val_{label}" for label in labels] if self._validation is not None else []
        return {
            "batch_size": batch_size,
            "epochs": epochs,
            "steps": self._feed.steps,
            "samples": self._feed.count,
            "verbose": self._verbose,
            "do_validation": self._validation is not None,
            "metrics": labels + validated,
        }

    def _run_batches(self) -> bool:
        """Train on the batches of one epoch; whether none of them stopped it."""
        labels = self._steps.objective.labels
        for index, (size, batch) in enumerate(self._steps.epoch(self._feed)):
            logs = ByName(batch=index, size=size)
            self._warn(batch)
            self._callbacks.on_batch_begin(index, logs)
            logs.update(zip(labels, self._train(batch), strict=True))
            logs["size"] = self._steps.counted(size)
            self._callbacks.on_batch_end(index, logs)
            if self._steps.stopped(in_epoch=True):
                return False
        return True

    def _warn(self, batch: Any) -> None:
        """Tell of likely mistakes, once, as soon as there are targets to look at."""
        if not self._doubted:
            self._doubted = True
            for text in self._steps.objective.doubts(batch.targets):
                _warning.warn(text, UserWarning)

    def _train(self, batch: Any) -> list[float]:
        try:
            return self._steps.train(batch)
        except NaNError as error:
            if not self._stops_at_nan:
                raise
            return error.values

    def _validated(self) -> ByName:
        if self._validation is None:
            return ByName()
        values = average(self._steps.tested(self._validation.epoch()))
        labels = self._steps.objective.labels
        return ByName(zip([f"val_{label}" for label in labels], values, strict=True))


def _given(callbacks: Any) -> list[Any]:
    """The callbacks that `fit` was given: one, several or none."""
    if callbacks is None:
        return []
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if isinstance(callback, type):
            name = callback.__name__
            raise TypeError(f"callbacks holds the class {name}; make a callback: {name}(...).")
        if not hasattr(callback, "on_epoch_end"):
            raise TypeError(f"callbacks must be a list of Callback objects, got {callback!r}.")
    return listed


def _count(value: Any, name: str) -> int:
    return 0 if value == 0 else _checks.positive_int(value, name)


def _validation_data(feed: Any) -> list[np.ndarray] | None:
    """What Keras lets callbacks read: inputs, targets and weights of the validation samples."""
    samples = getattr(feed, "samples", None)
    if samples is None:
        return None
    weights = [
        np.ones(len(target), np.float32) if weight is None else weight
        for target, weight in zip(samples.targets, samples.weights, strict=True)
    ]
    return [*samples.inputs, *samples.targets, *weights]


def average(tested: Iterable[tuple[int, list[float]]]) -> list[float]:
    """Return the loss and the metrics over batches, of which there are the size and the values."""
    total, seen = np.zeros(1), 0
    for size, values in tested:
        total = total + size * np.array(values)
        seen += size
    averages: list[float] = (total / seen).tolist()
    return averages


def predict_arrays(
    run: Callable[[list[np.ndarray]], list[np.ndarray]],
    inputs: list[np.ndarray],
    batch_size: int,
    report: Callable[[int], Any],
) -> list[np.ndarray]:
    """Run a model over arrays in batches, into arrays that are allocated once.

    Parameters
    ----------
    run : callable
        From the inputs of a batch to its outputs.
    inputs : list of ndarray
        All inputs.
    batch_size : int
        How many samples make a batch.
    report : callable
        Called with the number of samples of each batch that is done.

    Returns
    -------
    list of ndarray
        One for each output.
    """
    count = len(inputs[0])
    results: list[np.ndarray] = []
    # Without samples, an empty batch still tells the shapes.
    for which in Order(count, batch_size).epoch() if count else [slice(0, 0)]:
        outputs = run([array[which] for array in inputs])
        if not results:
            results = [np.empty((count, *y.shape[1:]), y.dtype) for y in outputs]
        for result, output in zip(results, outputs, strict=True):
            result[which] = output
        report(len(outputs[0]))
    return results
