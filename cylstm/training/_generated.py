"""Training, evaluation and prediction on batches that a generator or a `Sequence` makes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _spellings
from cylstm.callbacks import History
from cylstm.callbacks._progress import Progress
from cylstm.training._data import Samples, inputs_of
from cylstm.training._feeding import ItemFeed, inputs_of_item, parts_of_item
from cylstm.training._loops import Fitting
from cylstm.training._prepared import Prepared, one_or_list
from cylstm.training._trainable import Trainable

__all__ = ["GeneratedTraining"]


class GeneratedTraining:
    """The methods of `cylstm.training.Trainer` whose names end in ``_generator``.

    A generator goes on where it was when the next epoch begins. `workers` threads, if more than
    one, make the batches of a `Sequence` ahead of their use, at most `max_queue_size` of them;
    otherwise each batch is made when its turn comes, by the thread that trains.
    `use_multiprocessing` is accepted for Keras' sake: the workers are threads all the same.

    Parameters
    ----------
    model : Trainable
        What is trained.
    prepared : Prepared
        The same, with what all ways to train share.
    """

    def __init__(self, model: Trainable, prepared: Prepared) -> None:
        self._model = model
        self._prepared = prepared

    @_spellings.generated
    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        class_weight: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> History:
        """Train on batches that are made one by one.

        Parameters
        ----------
        generator : generator or Sequence
            Of (inputs, targets) or (inputs, targets, sample weights).
        steps_per_epoch : int, optional
            How many batches make an epoch; of a Sequence by default all.
        epochs, verbose, callbacks, validation_data, validation_steps, class_weight, initial_epoch
            As for `fit`.
        max_queue_size, workers, use_multiprocessing
            See the class.
        shuffle : bool, default True
            Whether the batches of a Sequence come in another order in each epoch.

        Returns
        -------
        History
            As `fit`.

        Raises
        ------
        RuntimeError, ValueError, TypeError
            As `fit`.
        """
        self._prepared.check_compiled()
        generator = self._prepared.started(generator, _inputs_to_fit)
        steps = self._prepared.compiled()
        feed = self._prepared.item_feed(
            generator,
            steps_per_epoch,
            class_weight,
            shuffle=shuffle,
            workers=workers,
            max_queue_size=max_queue_size,
        )
        validation = self._prepared.validation_feed(validation_data, None, validation_steps)
        try:
            fitting = Fitting(self._model, steps, feed, validation, callbacks, verbose)
            return fitting.run(epochs, initial_epoch, None)
        finally:
            feed.close()

    @_spellings.generated
    def evaluate_generator(
        self,
        generator: Any,
        steps: int | None = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
    ) -> float | list[float]:
        """Compute the loss and the metrics of batches that are made one by one.

        Parameters
        ----------
        generator : generator or Sequence
            Of (inputs, targets) or (inputs, targets, sample weights).
        steps : int, optional
            How many batches to take; of a Sequence by default all.
        max_queue_size, workers, use_multiprocessing
            See the class.
        verbose : {0, 1, 2, "auto"}
            Show nothing, or a bar, or a line at the end; see `fit`.

        Returns
        -------
        float, or list of float
            As `evaluate`.

        Raises
        ------
        RuntimeError, ValueError, TypeError
            As `fit`.
        """
        self._prepared.check_compiled()
        feed = self._prepared.item_feed(
            self._prepared.started(generator, _inputs_to_fit),
            steps,
            workers=workers,
            max_queue_size=max_queue_size,
        )
        try:
            return self._prepared.average(feed, verbose)
        finally:
            feed.close()

    @_spellings.generated
    def predict_generator(
        self,
        generator: Any,
        steps: int | None = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
    ) -> np.ndarray | Any:
        """Compute the outputs for inputs that are made batch by batch.

        Parameters
        ----------
        generator : generator or Sequence
            Of inputs, or of tuples that begin with them.
        steps : int, optional
            How many batches to take; of a Sequence by default all.
        max_queue_size, workers, use_multiprocessing
            See the class.
        verbose : {0, 1, 2, "auto"}
            Show nothing, or a bar, or a line at the end; see `fit`.

        Returns
        -------
        ndarray or list of ndarray
            As `predict`.

        Raises
        ------
        ValueError, TypeError
            If something does not fit.
        """
        generator = self._prepared.started(generator, inputs_of_item)

        def unpack(item: Any) -> Samples:
            return Samples(inputs_of(self._model, inputs_of_item(item)), [], [])

        feed = ItemFeed(generator, steps, unpack, workers=workers, max_queue_size=max_queue_size)
        bar = Progress("Predict", feed.steps, "batch", verbose)
        parts = []
        try:
            for _, samples in feed.epoch():
                parts.append(self._prepared.outputs_for(samples.inputs))
                bar.update(1)
        finally:
            feed.close()
        bar.close()
        results = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        return one_or_list(results)


def _inputs_to_fit(item: Any) -> Any:
    return parts_of_item(item)[0]
