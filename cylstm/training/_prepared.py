"""Prepared: a model made ready for data and data for the model, which all ways to train share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cylstm import _checks
from cylstm.callbacks._progress import Progress
from cylstm.training._data import (
    BATCH_SIZE,
    Samples,
    batch_size_of,
    check_batches,
    check_multiple,
    samples_of,
)
from cylstm.training._feeding import ArrayFeed, ItemFeed, is_generated, parts_of_item
from cylstm.training._interrupts import HeldInterrupt
from cylstm.training._loops import average
from cylstm.training._reading import numbers
from cylstm.training._steps import Steps, steps_of
from cylstm.training._trainable import Trainable
from cylstm.utils.sequence import Sequence

if TYPE_CHECKING:
    from cylstm.training._objective import Objective

__all__ = ["Prepared", "one_or_list"]

T = TypeVar("T")


class Prepared:
    """A model, its steps once it is compiled, and what has to be done before them.

    Parameters
    ----------
    model : Trainable
        What is trained.
    steps : Steps, optional
        Of a model that is compiled and built.
    """

    def __init__(self, model: Trainable, steps: Steps | None = None) -> None:
        self._model = model
        self.steps = steps

    def objective(self, given: dict[str, Any]) -> Objective:
        """What the model is trained for; of one that is not built, with unknown shapes."""
        from cylstm.training._objective import Objective

        if self._model.built:
            shapes = [tensor.shape for tensor in self._model.outputs]
            return Objective(self._model.output_names, shapes, **given)
        if not self._model.layers:
            raise ValueError(f"Model {self._model.name} has no layers: add one before compiling.")
        return Objective([self._model.layers[-1].name], [(None,)], **given)

    def check_compiled(self) -> None:
        """Raise RuntimeError unless the model is compiled."""
        if self._model.optimizer is None:
            raise RuntimeError(
                f"Model {self._model.name} is not compiled: call compile(optimizer, loss) before "
                "training or evaluating it."
            )

    def compiled(self, x: Any = None) -> Steps:
        """The steps of a compiled model, which is built for `x` first where it is given."""
        self.check_compiled()
        if x is not None:
            self.build_for(x, None)
        if self.steps is None:
            names = ("loss", "metrics", "loss_weights", "sample_weight_mode", "weighted_metrics")
            objective = self.objective({name: getattr(self._model, name) for name in names})
            self.steps = steps_of(self._model, objective)
        elif self.steps.optimizer is not self._model.optimizer:
            self.steps = steps_of(self._model, self.steps.objective)
        if any(a is not b for a, b in zip(self.steps.outputs, self._model.outputs, strict=True)):
            raise RuntimeError(
                f"Model {self._model.name} was changed after it was compiled: compile it again."
            )
        return self.steps

    def ready(self, x: Any, batch_size: int | None, steps: int | None, argument: str) -> int:
        """Build the model for data on first use, and return the batch size."""
        if steps is not None:
            if batch_size is not None:
                raise ValueError(f"{argument} takes all samples at once: leave batch_size out.")
            _checks.positive_int(steps, argument)
        self.build_for(x, batch_size or (BATCH_SIZE if steps is None else None))
        return batch_size_of(self._model, batch_size)

    def build_for(self, x: Any, batch_size: int | None) -> None:
        """Build a Sequential without an input shape for the data at hand.

        A stateful one is bound to batches of that size from then on; None is all of the data.
        """
        if self._model.built:
            return
        if isinstance(x, Mapping) and len(x) == 1:
            x = next(iter(x.values()))
        if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape"):
            x = x[0]
        shape = numbers(x, f"The inputs of {self._model.name}").shape
        rows = (batch_size or shape[0]) if self._model.stateful else None
        if rows is not None:
            check_multiple(self._model, shape[0], rows)
        self._model.build((rows, *(shape[1:] or (1,))))

    def samples(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> Samples:
        """All samples, checked: at least one."""
        goals = self.compiled().objective.goals
        samples = samples_of(self._model, goals, x, y, sample_weight, class_weight)
        if not samples.size:
            raise ValueError("There are no samples: the arrays are empty.")
        return samples

    def batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Samples:
        """Samples that make one batch."""
        samples = self.samples(x, y, sample_weight, class_weight)
        check_batches(self._model, samples.size, samples.size)
        return samples

    def array_feed(
        self, samples: Samples, batch_size: int, steps: int | None, shuffle: bool | str = False
    ) -> ArrayFeed:
        """Batches of samples."""
        size = batch_size if steps is None else samples.size
        check_batches(self._model, samples.size, size)
        return ArrayFeed(samples, size, shuffle, steps)

    def validation_feed(self, data: Any, batch_size: int | None, steps: int | None) -> Any:
        """Batches to validate on, of what `fit` was given; None without."""
        if data is None:
            return None
        if is_generated(data):
            return self.item_feed(data, steps)
        samples = self.samples(*parts_of_item(data, "validation_data is a tuple"))
        return self.array_feed(samples, batch_size_of(self._model, batch_size), steps)

    def average(self, feed: Any, verbose: int | str) -> float | list[float]:
        """The loss and the metrics over batches."""
        by_step = feed.count is None
        bar = Progress(
            "Evaluate",
            feed.steps if by_step else feed.count,
            "batch" if by_step else "sample",
            verbose,
        )
        test = self.compiled().test

        def tested() -> Iterator[tuple[int, list[float]]]:
            for size, samples in feed.epoch():
                yield size, test(samples)
                bar.update(1 if by_step else samples.size)

        values = average(tested())
        bar.close()
        return one_or_list(values)

    def outputs_for(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs for the inputs of one batch."""
        if not self._model.stateful:  # to hold Ctrl-C back takes longer than a small layer
            return self._outputs_of(inputs)
        with HeldInterrupt():  # states change layer by layer
            return self._outputs_of(inputs)

    def _outputs_of(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        run = self._model._run(inputs, None, False, keep=False)
        return [run.values[id(tensor)] for tensor in self._model.outputs]

    def item_feed(
        self, items: Any, steps: int | None, class_weight: Any = None, **options: Any
    ) -> ItemFeed:
        """Batches that are made one by one."""
        return ItemFeed(
            items, steps, lambda item: self.batch(*parts_of_item(item), class_weight), **options
        )

    def started(self, generator: Any, inputs: Callable[[Any], Any]) -> Any:
        """The generator, after building a model without an input shape for its first batch."""
        if self._model.built:
            return generator
        if isinstance(generator, Sequence):
            if len(generator):
                self.build_for(inputs(generator[0]), None)
            return generator
        for item in generator:
            self.build_for(inputs(item), None)
            return itertools.chain([item], generator)
        return generator


def one_or_list(values: list[T]) -> T | list[T]:
    """The only value, or the list of them."""
    return values[0] if len(values) == 1 else list(values)
