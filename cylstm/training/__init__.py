"""Training: what `Model.compile`, `fit`, `evaluate` and `predict` are made of."""

from cylstm.training.classifier import Classifier
from cylstm.training.trainer import Trainer

__all__ = ["Classifier", "Trainer"]
