"""Callbacks: what is done at the beginning and end of training, of epochs, and of batches."""

from cylstm.callbacks.base import Callback, CallbackList, LambdaCallback
from cylstm.callbacks.loggers import BaseLogger, CSVLogger, History, ProgbarLogger
from cylstm.callbacks.monitors import (
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
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
