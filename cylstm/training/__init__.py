"""Training: what `Model.compile`, `fit`, `evaluate` and `predict` are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.training.trainer import Trainer
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "trainer": "Trainer",
        },
    )

__all__ = ["Trainer"]
