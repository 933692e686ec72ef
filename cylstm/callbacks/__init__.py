"""Callbacks: what is done at the beginning and end of training, of epochs, and of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.callbacks.base import Callback, CallbackList, LambdaCallback
    from cylstm.callbacks.checkpoints import ModelCheckpoint
    from cylstm.callbacks.history import History
    from cylstm.callbacks.live import LivePlot
    from cylstm.callbacks.loggers import BaseLogger, CSVLogger, ProgbarLogger, RemoteMonitor
    from cylstm.callbacks.monitors import (
        EarlyStopping,
        LearningRateScheduler,
        ReduceLROnPlateau,
        TerminateOnNaN,
    )
    from cylstm.callbacks.tensorboard import TensorBoard
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "base": "Callback CallbackList LambdaCallback",
            "checkpoints": "ModelCheckpoint",
            "history": "History",
            "live": "LivePlot",
            "loggers": "BaseLogger CSVLogger ProgbarLogger RemoteMonitor",
            "monitors": "EarlyStopping LearningRateScheduler ReduceLROnPlateau TerminateOnNaN",
            "tensorboard": "TensorBoard",
        },
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
    "LivePlot",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "TensorBoard",
    "TerminateOnNaN",
]
