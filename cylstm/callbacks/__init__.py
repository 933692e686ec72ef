"""Callbacks: what is done at the beginning and end of training, of epochs, and of batches."""

from cylstm.callbacks.base import Callback, CallbackList, LambdaCallback
from cylstm.callbacks.checkpoints import ModelCheckpoint
from cylstm.callbacks.history import History
from cylstm.callbacks.loggers import BaseLogger, CSVLogger, ProgbarLogger
from cylstm.callbacks.monitors import (
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

__all__ = [
    "BaseLogger",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
