"""Classifier: what a `Sequential` has beyond a `Model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _warning
from cylstm.training.trainer import Trainer

__all__ = ["Classifier"]


class Classifier(Trainer):
    """What a `Sequential` has beyond a `Model`: predictions of classes."""

    _default_epochs = 10

    if TYPE_CHECKING:  # one output

        def predict(
            self,
            x: Any = None,
            batch_size: int | None = None,
            verbose: int | str = 0,
            steps: int | None = None,
            **options: Any,
        ) -> np.ndarray:
            """See `Trainer.predict`."""

        def predict_on_batch(self, x: Any) -> np.ndarray:
            """See `Trainer.predict_on_batch`."""

    def predict_proba(
        self, x: Any, batch_size: int | None = None, verbose: int | str = 0
    ) -> np.ndarray:
        """Compute the outputs as `predict` does, and warn if they are no probabilities."""
        outputs = self.predict(x, batch_size, verbose)
        if outputs.size and not (0 <= outputs.min() and outputs.max() <= 1):
            _warning.warn(
                "The outputs are no probabilities: some are below 0 or above 1. End the model with "
                "a softmax or sigmoid activation.",
            )
        return outputs

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: int | str = 0
    ) -> np.ndarray:
        """Compute the most likely class of each sample.

        Parameters
        ----------
        x, batch_size, verbose
            As for `predict`.

        Returns
        -------
        ndarray of int
            The place of the greatest output along the last axis; of a single output, whether it
            is above 0.5: 1 or 0, with the axis kept.
        """
        outputs = self.predict(x, batch_size, verbose)
        return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")
