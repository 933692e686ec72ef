"""Steps: what happens to a model in one batch - all of it, or, where something fails, nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _warning, regularizers
from cylstm._rows import Rows
from cylstm.graph import SymbolicTensor
from cylstm.layers._own_code import training_of
from cylstm.layers._turns import in_turn
from cylstm.training._data import Order, Samples
from cylstm.training._interrupts import HeldInterrupt
from cylstm.training._reading import first_bad_row
from cylstm.training._trainable import Pass, Trainable
from cylstm.variables import Change, Variable, set_at_once

if TYPE_CHECKING:
    from cylstm.training._objective import Objective

__all__ = ["NaNError", "Steps", "steps_of"]


class NaNError(ValueError):
    """The loss or a gradient is not a number; the weights are as before the batch.

    Attributes
    ----------
    values : list of float
        The loss and the metrics of the batch.
    """

    def __init__(self, message: str, values: list[float]) -> None:
        super().__init__(message)
        self.values = values

    @classmethod
    def of_loss(cls, values: list[float], why: str) -> NaNError:
        """The error for a loss that is NaN."""
        return cls(f"The loss is NaN; the weights are as before this batch. {why}", values)


class Steps:
    """The steps of a compiled model: train and test it on a batch.

    What is trained is settled when the object is made, as by Keras' `compile`: a layer that is
    frozen afterwards goes on being trained here.

    Parameters
    ----------
    model : Model
        A built model with an optimizer.
    objective : Objective
        What it is trained for.
    """

    def __init__(self, model: Trainable, objective: Objective) -> None:
        self.objective = objective
        self.optimizer: Any = model.optimizer
        self.outputs: list[SymbolicTensor] = list(model.outputs)
        self._model = model
        self._layers = list({id(layer): layer for layer in _all_layers(model)}.values())
        self._flags = [layer.trainable for layer in self._layers]
        self._variables: list[Variable] = list(model.trainable_weights)
        self._weights: list[Variable] = list(model.weights)
        self._penalised: list[Variable] = model._penalised_weights()
        # What holds stateful layers has no states of its own.
        self._stateful = [
            layer
            for layer in self._layers
            if getattr(layer, "stateful", False) and not layer._sublayers()
        ]

    def train(self, samples: Samples) -> list[float]:
        """Update the weights once, and return the loss and the metrics from before the update.

        Raises
        ------
        NaNError
            If the loss or a gradient is NaN. After this or any other error the weights and the
            states of the layers are as before.
        """
        with HeldInterrupt(), in_turn(self._model), self._all_or_nothing():
            values, gradients = self._evaluate(samples)
            # Last of all: after it there is nothing that can fail.
            self._model.optimizer.apply(gradients, self._variables)
        return values

    def warn_of_frozen_layers(self) -> None:
        """Warn where layers were frozen or thawed after compiling: that takes another compile."""
        changed = [
            layer.name
            for layer, flag in zip(self._layers, self._flags, strict=True)
            if layer.trainable != flag
        ]
        if changed:
            _warning.warn(
                f"`trainable` of {', '.join(changed)} was set after the model was compiled, so "
                "training goes on as before: compile it again for the change to take effect.",
                UserWarning,
            )

    def _evaluate(self, samples: Samples) -> tuple[list[float], list[np.ndarray | Rows]]:
        """The loss and the metrics, and the gradient of each variable, none of them NaN."""
        with self._as_compiled(), training_of(self._variables) as of_others:
            run = self._model._run(samples.inputs, None, True, keep=True)
            values, gradients_of_outputs = self._assess(run, samples)
            if math.isnan(values[0]):
                raise NaNError.of_loss(values, self._why_nan(samples))
            gradients = self._gradients(run, gradients_of_outputs, of_others)
            gradients = self._with_penalties(gradients)
            self._check_gradients(gradients, values)
            return values, gradients

    def _check_gradients(self, gradients: list[Any], values: list[float]) -> None:
        for variable, gradient in zip(self._variables, gradients, strict=True):
            if _has_nan(gradient.values if isinstance(gradient, Rows) else gradient):
                raise NaNError(
                    f"The gradient of {variable.name} holds NaN at a loss of {values[0]}; the "
                    "weights are as before this batch. Lower the learning rate, or scale the "
                    "data.",
                    values,
                )

    def _why_nan(self, samples: Samples) -> str:
        """What to tell of a loss that is NaN: the row that holds one, or what else to look for."""
        goals = [goal.name for goal in self.objective.goals]
        arrays: dict[str, np.ndarray | None] = {}
        for kind, names, given in (
            ("input", self._model.input_names, samples.inputs),
            ("the targets of", goals, samples.targets),
            ("the sample weights of", goals, samples.weights),
        ):
            arrays |= {f"{kind} {n}": array for n, array in zip(names, given, strict=True)}
        found = first_bad_row(arrays, samples.row)
        if found is not None:
            name, row, what = found
            return (
                f"Row {row} of {name} holds {what}. Find all such rows by "
                "~np.isfinite(x).all(axis=tuple(range(1, x.ndim))), and leave them out or fill "
                "them in."
            )
        return (
            "There is no NaN in the data of this batch: look for samples that are masked "
            "throughout or weighted 0; or lower the learning rate, or give the optimizer a "
            "clipnorm."
        )

    def test(self, samples: Samples) -> list[float]:
        """Return the loss and the metrics; only the states of stateful layers change."""
        with HeldInterrupt(), in_turn(self._model), self._all_or_nothing():
            run = self._model._run(samples.inputs, None, False, keep=False)
            return self._assess(run, samples)[0]

    def examine(
        self, samples: Samples, tensors: list[SymbolicTensor], batch_size: int, gradients: bool
    ) -> tuple[list[np.ndarray], list[tuple[Variable, np.ndarray]]]:
        """The values of tensors within the model, and the gradients of the loss, as in a test.

        Nothing changes, not even states. Gradients are the mean over the batches, each counted by
        its size; without `gradients` there are none.
        """
        values: list[list[np.ndarray]] = [[] for _ in tensors]
        totals = [np.zeros(v.shape) for v in self._variables] if gradients else []
        states = [list(layer.states) for layer in self._stateful]
        with HeldInterrupt(), in_turn(self._model):
            try:
                for which in Order(samples.size, batch_size).epoch():
                    batch = samples.take(which)
                    with self._as_compiled(), training_of(self._variables) as of_others:
                        run = self._model._run(batch.inputs, None, False, keep=gradients)
                        for found, tensor in zip(values, tensors, strict=True):
                            found.append(np.array(run.values[id(tensor)]))
                        if gradients:
                            _, of_outputs = self._assess(run, batch)
                            found_now = self._gradients(run, of_outputs, of_others)
                            for total, g in zip(totals, found_now, strict=True):
                                total += np.asarray(g) * (batch.size / samples.size)
            finally:
                before = zip(self._stateful, states, strict=True)
                set_at_once([(layer, "states", state) for layer, state in before])
        found_gradients = list(zip(self._variables, totals, strict=False))
        return [np.concatenate(parts) for parts in values], found_gradients

    # ------------------------------------------------------------------ of several processes
    # `cylstm.distributed` trains by them: these methods say what one does where there are others.

    def called(self, listed: list[Any]) -> list[Any]:
        """Those of the callbacks that this process calls."""
        return listed

    def begin(self, feed: Any, listed: list[Any]) -> None:
        """Called before the first epoch."""

    def epoch(self, feed: Any) -> Iterator[tuple[int, Samples]]:
        """The batches of an epoch, and what each counts."""
        found: Iterator[tuple[int, Samples]] = feed.epoch()
        return found

    def counted(self, size: int) -> int:
        """What the batch that was trained on counts in all, of which this process has so much."""
        return size

    def stopped(self, in_epoch: bool = False) -> bool:
        """Whether training is to stop."""
        return bool(self._model.stop_training)

    def tested(self, batches: Iterable[tuple[int, Samples]]) -> Iterator[tuple[int, list[float]]]:
        """What each batch counts, and its loss and metrics."""
        return ((size, self.test(batch)) for size, batch in batches)

    # ------------------------------------------------------------------ one batch

    def _assess(self, run: Pass, samples: Samples) -> tuple[list[float], Any]:
        outputs = [run.values[id(t)] for t in self.outputs]
        masks = [run.masks[id(t)] for t in self.outputs]
        values, gradients = self.objective.assess(outputs, masks, samples.targets, samples.weights)
        values[0] += self._weight_penalties()
        values[0] += sum(run.activity_penalties())
        values[0] += self._constant_losses()
        return values, gradients

    def _weight_penalties(self) -> float:
        return sum(
            regularizers.penalty(v.regularizer, v.value)
            for v in self._penalised
            if v.regularizer is not None
        )

    def _constant_losses(self) -> float:
        return sum(
            float(loss)
            for layer in self._layers
            for loss, _ in layer._losses
            if isinstance(loss, float | int | np.floating)
        )

    def _gradients(
        self, run: Pass, of_outputs: Callable[..., Any], read: list[tuple[Variable, np.ndarray]]
    ) -> list[np.ndarray | Rows]:
        """The gradient of the loss for each variable, without the penalties of the weights.

        What the user's code reads of them, in losses and in layers that they are not of, adds to
        `read`.
        """
        cotangents: dict[int, np.ndarray] = {}
        gradients_of_outputs = of_outputs(self._variables, lambda v, g: read.append((v, g)))
        for goal, gradient in zip(self.objective.goals, gradients_of_outputs, strict=True):
            key = id(self.outputs[goal.index])
            cotangents[key] = cotangents[key] + gradient if key in cotangents else gradient
        found = run.backward(cotangents, penalties=True, training=True)
        for variable, gradient in read:
            found.add(variable, gradient)
        return [found.of(variable) for variable in self._variables]

    def _with_penalties(self, gradients: list[np.ndarray | Rows]) -> list[np.ndarray | Rows]:
        penalised = {id(v) for v in self._penalised}
        return [
            gradient + regularizers.gradient(variable.regularizer, variable.value)
            if variable.regularizer is not None and id(variable) in penalised
            else gradient
            for variable, gradient in zip(self._variables, gradients, strict=True)
        ]

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Put weights (moving statistics among them) and states back after an error."""
        values = [v.value for v in self._weights]
        states = [list(layer.states) for layer in self._stateful]
        try:
            yield
        except BaseException:
            # Without a copy of anything: memory may be what there was not enough of.
            changes: list[Change] = [
                (layer, "states", before)
                for layer, before in zip(self._stateful, states, strict=True)
            ]
            for variable, value in zip(self._weights, values, strict=True):
                if variable.value is not value:
                    changes += variable.replacement(value)
            set_at_once(changes)
            raise

    @contextmanager
    def _as_compiled(self) -> Iterator[None]:
        """Freeze and unfreeze layers to what they were when the model was compiled."""
        now = [layer.trainable for layer in self._layers]
        if now == self._flags:
            yield
            return
        try:
            _set_trainable(self._layers, self._flags)
            yield
        finally:
            _set_trainable(self._layers, now)


def steps_of(model: Trainable, objective: Objective) -> Steps:
    """The steps of a model, of the kind that its optimizer asks for."""
    made: Steps = getattr(model.optimizer, "make_steps", Steps)(model, objective)
    return made


def _has_nan(array: np.ndarray) -> bool:
    """Whether there is one: the least element is NaN then. It needs no array, as `isnan` does."""
    return bool(np.isnan(array.min(initial=0.0)))


def _set_trainable(layers: list[Any], flags: list[bool]) -> None:
    for layer, flag in zip(layers, flags, strict=True):
        layer.trainable = flag


def _all_layers(layer: Any) -> Iterator[Any]:
    """A layer and those that it is made of; a shared one as often as it is met."""
    yield layer
    for inner in layer._sublayers():
        yield from _all_layers(inner)
