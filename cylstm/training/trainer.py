"""Trainer: what makes a graph of layers trainable - compile, fit, evaluate, predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _checks, _spellings
from cylstm.callbacks import History
from cylstm.callbacks._progress import Progress
from cylstm.training._data import batch_size_of, check_batches, inputs_of, split
from cylstm.training._feeding import is_generated
from cylstm.training._generated import GeneratedTraining
from cylstm.training._interrupts import WatchedInterrupt
from cylstm.training._loops import Fitting, predict_arrays
from cylstm.training._prepared import Prepared, one_or_list
from cylstm.training._steps import Steps, steps_of
from cylstm.training._trainable import Trainable

__all__ = ["Trainer"]


class Trainer:
    """The training of a model, as that of `tf.keras.models.Model` of TensorFlow 1.4.

    A `Model` has one, and its methods that train are those of it. Losses and metrics come back
    as Python floats.

    Parameters
    ----------
    model : Trainable
        What is trained; what `compile` is given is kept there.
    default_epochs : int, default 1
        How many `fit` trains if it is not said.
    steps : Steps, optional
        What the model was compiled to.

    Attributes
    ----------
    generated : GeneratedTraining
        The methods for generators.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> model.compile("adam", "mse")
    >>> history = model.fit(np.ones((8, 5, 3)), np.zeros((8, 4)), epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """

    def __init__(
        self, model: Trainable, default_epochs: int = 1, steps: Steps | None = None
    ) -> None:
        self._model = model
        self._default_epochs = default_epochs
        self._prepared = Prepared(model, steps)
        self.generated: GeneratedTraining = GeneratedTraining(model, self._prepared)

    def of(self, model: Trainable) -> Trainer:
        """The same for a copy of the model."""
        return Trainer(model, self._default_epochs, self._prepared.steps)

    def warn_of_frozen_layers(self) -> None:
        """See `Steps.warn_of_frozen_layers`; nothing before `compile`."""
        if self._prepared.steps is not None:
            self._prepared.steps.warn_of_frozen_layers()

    @_spellings.compiling
    def compile(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        loss_weights: Any = None,
        sample_weight_mode: Any = None,
        weighted_metrics: Any = None,
    ) -> None:
        """Say what to train for, and how. A layer that is frozen later trains until the next one.

        Parameters
        ----------
        optimizer : str or Optimizer
            Such as ``"adam"`` or ``Adam(lr=0.01)``.
        loss : str, callable, list or dict
            One for all outputs, or one for each; an output whose loss is None, or missing in a
            dict, needs no targets.
        metrics, weighted_metrics : list, or dict of lists, optional
            What is reported, for all outputs or for those named; sample weights count in the
            weighted ones only. ``"accuracy"`` is the kind of accuracy that goes with the loss.
        loss_weights : list or dict of float, optional
            What the loss of each output counts in the total; 1 by default.
        sample_weight_mode : {None, "temporal"}, or list or dict of them, optional
            "temporal" for sample weights of the shape (batch, timesteps).

        Raises
        ------
        ValueError
            If a name is unknown, an output has no such name, a list has the wrong length, or
            there is nothing to train for; the model is then as before.
        TypeError
            If an argument is of the wrong kind; likewise.
        """
        from cylstm import optimizers

        made = optimizers.get(optimizer)
        given = {
            "loss": loss,
            "metrics": metrics,
            "loss_weights": loss_weights,
            "sample_weight_mode": sample_weight_mode,
            "weighted_metrics": weighted_metrics,
        }
        objective = self._prepared.objective(given)
        if not objective.goals and not self._model.losses:
            raise ValueError(f"Model {self._model.name} has no loss to train for: give one.")
        for name, value in given.items():
            setattr(self._model, name, value)
        self._model.optimizer = made
        self._model.metrics_names = objective.names
        self._prepared.steps = steps_of(self._model, objective) if self._model.built else None

    @_spellings.fitting
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        *,
        validation_batch_size: int | None = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array, list or dict; generator or Sequence
            The inputs: for several of them a list or a dict of arrays; for a single one an array,
            or a list of samples. A generator or `Sequence` gives batches: (inputs, targets) or
            (inputs, targets, sample weights); see `fit_generator`.
        y : array, list or dict
            The targets of the outputs that have a loss.
        batch_size : int, optional
            How many samples there are to an update: by default 32, or what the model is bound to.
        epochs : int, default 1; of a Sequential, as in TensorFlow, 10
            The number of the epoch to stop before: how many, if `initial_epoch` is 0.
        verbose : {1, 2, 0, "auto"}
            Show a bar, or a line for each epoch, or nothing. Where standard output is neither a
            terminal nor a notebook, 1 is as 2; "auto" is 1.
        callbacks : Callback or list of Callback, optional
            See `cylstm.callbacks`.
        validation_split : float, default 0.0
            The share of the samples, from the end, to validate on instead of training.
        validation_data : tuple, generator or Sequence, optional
            (x, y) or (x, y, sample weights), or batches of them, to validate on after each epoch.
        shuffle : bool or "batch", default True
            Whether samples, or whole batches, come in another order in each epoch.
        class_weight : dict, or list or dict of dicts, optional
            From the number of a class to what its samples count.
        sample_weight : array, list or dict, optional
            What each sample, or timestep, counts.
        initial_epoch : int, default 0
            The epoch to begin with, to go on with earlier training.
        steps_per_epoch : int, optional
            How many batches of a generator make an epoch. With arrays, each step is on all
            samples at once.
        validation_steps : int, optional
            Likewise, for validation.
        validation_batch_size : int, optional
            How many samples to compute at once in the validation: by default `batch_size`.
        max_queue_size, workers, use_multiprocessing
            Of a `Sequence`; see `fit_generator`.

        Returns
        -------
        History
            ``history.history`` maps names to lists, one number for each epoch.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        ValueError, TypeError
            If anything does not fit; nothing is trained. Or in a later batch, if its loss is
            NaN or a generator ends or yields what does not fit: see the class.
        OSError, ImportError
            If a callback could not write where it is to write; nothing is trained.

        Warns
        -----
        UserWarning
            If accuracy is asked for, and the targets are no classes.
        RuntimeWarning
            If a callback watches a number that there will not be.
        """
        if is_generated(x):
            _refuse_with_generator(
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_split=validation_split or None,
                validation_batch_size=validation_batch_size,
            )
            return self._model.fit_generator(
                x,
                steps_per_epoch,
                self._default_epochs if epochs is None else epochs,
                verbose,
                callbacks,
                validation_data,
                validation_steps,
                class_weight,
                max_queue_size,
                workers,
                use_multiprocessing,
                bool(shuffle),
                initial_epoch,
            )
        _refuse_with_arrays(max_queue_size, workers, use_multiprocessing)
        self._prepared.check_compiled()
        size = self._prepared.ready(x, batch_size, steps_per_epoch, "steps_per_epoch")
        steps = self._prepared.compiled()
        samples = self._prepared.samples(x, y, sample_weight, class_weight)
        held_out = None
        if validation_data is None and validation_split:
            samples, held_out = split(samples, validation_split)
        if validation_steps is not None and steps_per_epoch is None:
            if not is_generated(validation_data):
                raise ValueError("validation_steps goes with steps_per_epoch, which is not given.")
        feed = self._prepared.array_feed(samples, size, steps_per_epoch, shuffle)
        at_once = size if validation_batch_size is None else validation_batch_size
        at_once = batch_size_of(self._model, at_once)
        if held_out is not None:
            validation = self._prepared.array_feed(held_out, at_once, validation_steps)
        else:
            validation = self._prepared.validation_feed(validation_data, at_once, validation_steps)
        fitting = Fitting(self._model, steps, feed, validation, callbacks, verbose)
        epochs = self._default_epochs if epochs is None else epochs
        with WatchedInterrupt():
            return fitting.run(epochs, initial_epoch, None if steps_per_epoch else size)

    @_spellings.evaluating
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = 1,
        sample_weight: Any = None,
        steps: int | None = None,
        *,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> float | list[float]:
        """Compute the loss and the metrics; dropout and its kin are off.

        Parameters
        ----------
        x, y, batch_size, sample_weight
            As for `fit`.
        verbose : {1, 2, 0, "auto"}
            Show a bar, or a line at the end, or nothing; see `fit`.
        steps : int, optional
            How many batches of a generator to take; with arrays, how often all samples at once.
        max_queue_size, workers, use_multiprocessing
            Of a `Sequence`; see `fit_generator`.

        Returns
        -------
        float, or list of float
            The means over the samples, in the order of `metrics_names`; one number without
            metrics.

        Raises
        ------
        RuntimeError, ValueError, TypeError
            As for `fit`.
        """
        if is_generated(x):
            _refuse_with_generator(y=y, batch_size=batch_size, sample_weight=sample_weight)
            return self._model.evaluate_generator(
                x, steps, max_queue_size, workers, use_multiprocessing, verbose
            )
        _refuse_with_arrays(max_queue_size, workers, use_multiprocessing)
        self._prepared.check_compiled()
        size = self._prepared.ready(x, batch_size, steps, "steps")
        samples = self._prepared.samples(x, y, sample_weight)
        return self._prepared.average(self._prepared.array_feed(samples, size, steps), verbose)

    @_spellings.predicting
    def predict(
        self,
        x: Any = None,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        *,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> np.ndarray | Any:
        """Compute the outputs, batch by batch; the model need not be compiled.

        Parameters
        ----------
        x : array, list or dict; generator or Sequence
            The inputs.
        batch_size : int, optional
            How many samples to compute at once: by default 32, or what the model is bound to.
        verbose : {0, 1, 2, "auto"}
            Show nothing, or a bar, or a line at the end; see `fit`.
        steps : int, optional
            How many batches of a generator to take; with arrays, how often all samples at once.
        max_queue_size, workers, use_multiprocessing
            Of a `Sequence`; see `fit_generator`.

        Returns
        -------
        ndarray or list of ndarray
            One for each output.

        Raises
        ------
        ValueError, TypeError
            If an input does not fit.
        """
        if is_generated(x):
            _refuse_with_generator(batch_size=batch_size)
            return self._model.predict_generator(
                x, steps, max_queue_size, workers, use_multiprocessing, verbose
            )
        _refuse_with_arrays(max_queue_size, workers, use_multiprocessing)
        size = self._prepared.ready(x, batch_size, steps, "steps")
        inputs = inputs_of(self._model, x)
        if steps is not None:
            _checks.positive_int(steps, "steps")
            outputs = [self._prepared.outputs_for(inputs) for _ in range(steps)]
            return one_or_list([np.concatenate(parts) for parts in zip(*outputs, strict=True)])
        check_batches(self._model, len(inputs[0]), size)
        bar = Progress("Predict", len(inputs[0]), "sample", verbose)
        results = predict_arrays(self._prepared.outputs_for, inputs, size, bar.update)
        bar.close()
        return one_or_list(results)

    @_spellings.on_batch
    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> float | list[float]:
        """Update the weights once.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`: one batch.

        Returns
        -------
        float, or list of float
            From before the update, as `evaluate`.

        Raises
        ------
        RuntimeError, ValueError, TypeError
            As for `fit`; the weights are then unchanged.
        """
        steps = self._prepared.compiled(x)
        return one_or_list(steps.train(self._prepared.batch(x, y, sample_weight, class_weight)))

    @_spellings.on_batch
    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float | list[float]:
        """Compute the loss and the metrics of one batch; all as `evaluate`."""
        steps = self._prepared.compiled(x)
        return one_or_list(steps.test(self._prepared.batch(x, y, sample_weight)))

    def predict_on_batch(self, x: Any) -> np.ndarray | Any:
        """Compute the outputs of one batch; all as `predict`."""
        self._prepared.build_for(x, None)
        inputs = inputs_of(self._model, x)
        check_batches(self._model, len(inputs[0]), len(inputs[0]) or 1)
        return one_or_list(self._prepared.outputs_for(inputs))


def _refuse_with_generator(**arguments: Any) -> None:
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        raise ValueError(
            f"A generator or Sequence makes whole batches with their targets: leave out "
            f"{', '.join(given)}."
        )


def _refuse_with_arrays(max_queue_size: int, workers: int, use_multiprocessing: bool) -> None:
    defaults = {"max_queue_size": 10, "workers": 1, "use_multiprocessing": False}
    values = (max_queue_size, workers, use_multiprocessing)
    given = [n for (n, d), v in zip(defaults.items(), values, strict=True) if v != d]
    if given:
        raise ValueError(
            f"With arrays there are no batches to make ahead: leave out {', '.join(given)}, or "
            "give a Sequence."
        )
