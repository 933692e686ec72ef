"""Training: what `Model.compile`, `fit`, `evaluate` and `predict` are made of."""

from cylstm.training.trainer import Classifier, Trainer

__all__ = ["Classifier", "Trainer"]
