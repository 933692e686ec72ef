"""Training: what `Model.compile`, `fit`, `evaluate` and `predict` are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.training.classifier import Classifier
    from cylstm.training.trainer import Trainer
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "classifier": "Classifier",
            "trainer": "Trainer",
        },
    )

__all__ = ["Classifier", "Trainer"]
