"""Callbacks that watch training and act: stop, save, change the learning rate."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm.callbacks.base import Callback, Logs

__all__ = [
    "EarlyStopping",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


class TerminateOnNaN(Callback):
    """Stop training when the loss of a batch is NaN or infinite.

    Examples
    --------
    >>> import types
    >>> callback = TerminateOnNaN()
    >>> callback.set_model(types.SimpleNamespace(stop_training=False))
    >>> callback.on_batch_end(3, {"loss": float("nan")})
    Batch 3: the loss is nan, so training ends.
    >>> callback.model.stop_training
    True
    """

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, so training ends.")
            self.model.stop_training = True


class _Monitor(Callback):
    """What watches one number of the logs for getting better."""

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor = monitor
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} knows the modes 'auto', 'min' and 'max', got {mode!r}; "
                "it goes on with 'auto'",
                RuntimeWarning,
                stacklevel=3,
            )
            mode = "auto"
        if mode == "auto":
            mode = "max" if "acc" in monitor or monitor.startswith("fmeasure") else "min"
        self.mode = mode
        self.best = self._worst()

    def _worst(self) -> float:
        return -math.inf if self.mode == "max" else math.inf

    def _improves(self, value: float, margin: float = 0.0) -> bool:
        """Whether a value is better than the best by more than a margin; NaN never is."""
        if self.mode == "max":
            return bool(value - margin > self.best)
        return bool(value + margin < self.best)

    def _value(self, logs: Logs) -> Any:
        """The number that is watched, or None, with a warning, where the logs lack it."""
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which the logs do not have; "
                f"they have: {', '.join(sorted(logs))}",
                RuntimeWarning,
                stacklevel=3,
            )
        return value


class EarlyStopping(_Monitor):
    """Stop training when a number has stopped getting better.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The number.
    min_delta : float, default 0
        By how much it must change for the better to count.
    patience : int, default 0
        How many epochs without improvement are borne.
    verbose : int, default 0
        Whether the end is printed.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" takes names with ``acc`` to be better when greater, and all
        others when less.

    Warns
    -----
    RuntimeWarning
        If the mode is unknown ("auto" is then used), or the logs do not have the number.

    Examples
    --------
    >>> import types
    >>> callback = EarlyStopping(monitor="loss", patience=1)
    >>> callback.set_model(types.SimpleNamespace(stop_training=False))
    >>> callback.on_train_begin()
    >>> for epoch, loss in enumerate([0.5, 0.6, 0.7]):
    ...     callback.on_epoch_end(epoch, {"loss": loss})
    >>> callback.model.stop_training, callback.stopped_epoch
    (True, 2)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.wait = 0
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best = self._worst()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare the number with the best so far."""
        value = self._value(logs or {})
        if value is None:
            return
        if self._improves(value, self.min_delta):
            self.best = value
            self.wait = 0
            return
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
        self.wait += 1

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say that training was stopped."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch:05d}: early stopping")


class ModelCheckpoint(_Monitor):
    """Save the model after epochs.

    Parameters
    ----------
    filepath : str or path
        The file, with fields that are filled from ``epoch`` (which counts from 0) and the logs:
        ``"weights.{epoch:02d}-{val_loss:.2f}.safetensors"``.
    monitor : str, default "val_loss"
        The number that says which model is best.
    verbose : int, default 0
        Whether each epoch is reported.
    save_best_only : bool, default False
        Whether the model is saved only when the number is better than ever.
    save_weights_only : bool, default False
        Whether ``model.save_weights`` is called instead of ``model.save``.
    mode : {"auto", "min", "max"}
        Which way is better, as in `EarlyStopping`.
    period : int, default 1
        Every how many epochs it acts.

    Raises
    ------
    ValueError
        At the end of an epoch, if `filepath` has a field that the logs do not have.

    Warns
    -----
    RuntimeWarning
        If the mode is unknown ("auto" is then used), or the logs do not have the number.

    Examples
    --------
    >>> import types
    >>> callback = ModelCheckpoint("model-{epoch}.h5", period=2)
    >>> callback.set_model(types.SimpleNamespace(save=lambda path, overwrite: print(path)))
    >>> for epoch in range(4):
    ...     callback.on_epoch_end(epoch, {})
    model-1.h5
    model-3.h5
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        period: int = 1,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.period = period
        self.epochs_since_last_save = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save the model, if it is its turn."""
        logs = logs or {}
        self.epochs_since_last_save += 1
        if self.epochs_since_last_save < self.period:
            return
        self.epochs_since_last_save = 0
        why = ""
        if self.save_best_only:
            value = self._value(logs)
            if value is None:
                return
            if not self._improves(value):
                self._report(epoch, f"{self.monitor} did not improve")
                return
            why = f"{self.monitor} improved from {self.best:.5f} to {value:.5f}, "
            self.best = value
        path = self._path(epoch, logs)
        self._report(epoch, f"{why}saving model to {path}")
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(**{**logs, "epoch": epoch})
        except KeyError as error:
            known = ", ".join(["epoch", *sorted(logs)])
            raise ValueError(
                f"filepath {self.filepath!r} has a field {error}, which the logs do not have; they "
                f"have: {known}."
            ) from None

    def _report(self, epoch: int, text: str) -> None:
        if self.verbose > 0:
            print(f"Epoch {epoch:05d}: {text}")


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        From an epoch, counted from 0, to a learning rate, a float.

    Raises
    ------
    ValueError
        Before an epoch, if the schedule returns anything but a float, or the optimizer has no
        learning rate ``lr``.

    Examples
    --------
    >>> import types
    >>> optimizer = types.SimpleNamespace(lr=0.1)
    >>> callback = LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    >>> callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    >>> callback.on_epoch_begin(2)
    >>> optimizer.lr
    0.025
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        if not hasattr(self.model.optimizer, "lr"):
            raise ValueError(
                f"the optimizer {type(self.model.optimizer).__name__} has no learning rate `lr` "
                "for LearningRateScheduler to set."
            )
        rate = self.schedule(epoch)
        if not isinstance(rate, float | np.floating):
            raise ValueError(
                f"the schedule of LearningRateScheduler must return a float, got {rate!r} for "
                f"epoch {epoch}."
            )
        self.model.optimizer.lr = float(rate)


class ReduceLROnPlateau(_Monitor):
    """Reduce the learning rate when a number has stopped getting better.

    It also puts the learning rate into the logs, as ``lr``.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The number.
    factor : float, default 0.1
        What the learning rate is multiplied by: less than 1.
    patience : int, default 10
        How many epochs without improvement are borne.
    verbose : int, default 0
        Whether reductions are printed.
    mode : {"auto", "min", "max"}
        Which way is better, as in `EarlyStopping`.
    epsilon : float, default 1e-4
        By how much the number must change for the better to count.
    cooldown : int, default 0
        How many epochs after a reduction are not counted.
    min_lr : float, default 0
        What the learning rate is not reduced below.

    Raises
    ------
    ValueError
        If the factor is 1 or more.

    Warns
    -----
    RuntimeWarning
        If the mode is unknown ("auto" is then used), or the logs do not have the number.

    Examples
    --------
    >>> import types
    >>> optimizer = types.SimpleNamespace(lr=0.5)
    >>> callback = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1)
    >>> callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    >>> callback.on_train_begin()
    >>> for epoch, loss in enumerate([0.5, 0.6, 0.7]):
    ...     callback.on_epoch_end(epoch, {"loss": loss})
    >>> optimizer.lr
    0.25
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        epsilon: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0,
    ) -> None:
        if not factor < 1:
            raise ValueError(f"factor must be less than 1, got {factor}.")
        super().__init__(monitor, mode)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.epsilon = epsilon
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best = self._worst()
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the latest reduction is too recent for another."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare the number with the best so far."""
        logs = {} if logs is None else logs
        logs["lr"] = float(self.model.optimizer.lr)
        value = self._value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.epsilon):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            if self.wait >= self.patience:
                self._reduce(epoch, logs["lr"])
            self.wait += 1

    def _reduce(self, epoch: int, rate: float) -> None:
        if rate <= self.min_lr * (1 + 1e-4):  # there but for rounding
            return
        reduced = max(rate * self.factor, self.min_lr)
        self.model.optimizer.lr = reduced
        if self.verbose > 0:
            print(f"Epoch {epoch:05d}: reducing learning rate to {reduced}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0
