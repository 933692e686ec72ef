"""Callbacks that watch training and act: stop, change the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm.callbacks._monitor import Monitor
from cylstm.callbacks.base import Callback, Logs

__all__ = [
    "EarlyStopping",
    "LearningRateScheduler",
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

    _adds = ()

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, so training ends.")
            self.model.stop_training = True


class EarlyStopping(Monitor):
    """Stop training when a number has stopped getting better.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The number.
    min_delta : float, default 0
        By how much it must change for the better to count.
    patience : int, default 0
        After how many epochs in a row without improvement training stops; 0 is as 1.
    verbose : int, default 0
        Whether the end is printed.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" takes names with ``acc`` to be better when greater, and all
        others when less.
    baseline : float, optional
        Epochs that are not better than this count as without improvement.
    restore_best_weights : bool, default False
        Whether the model has the weights of its best epoch when training ends, whether or not it
        was stopped.
    start_from_epoch : int, default 0
        Epochs before this one, counted from 0, are not looked at.

    Warns
    -----
    RuntimeWarning
        If the mode is unknown ("auto" is then used), or the logs do not have the number.

    Examples
    --------
    >>> import types
    >>> callback = EarlyStopping(monitor="loss", patience=2)
    >>> callback.set_model(types.SimpleNamespace(stop_training=False))
    >>> callback.on_train_begin()
    >>> for epoch, loss in enumerate([0.5, 0.6, 0.7]):
    ...     callback.on_epoch_end(epoch, {"loss": loss})
    >>> callback.model.stop_training, callback.stopped_epoch
    (True, 2)
    >>> callback
    EarlyStopping(monitor='loss', patience=2)
    """

    _adds = ()

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode)
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.wait: int = 0
        self.stopped_epoch: int = 0
        self.best: float = self._worst()
        self.best_epoch: int | None = None
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare the number with the best so far."""
        value = self._value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        if self._improves(value, self.min_delta):
            self._remember(epoch, value)
            if self.baseline is None or self._improves(value, self.min_delta, self.baseline):
                self.wait = 0
                return
        elif self.best_epoch is None:  # NaN from the beginning: these weights are the best known
            self._remember(epoch, self.best)
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int, value: float) -> None:
        self.best, self.best_epoch = value, epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say that training was stopped, and put the best weights back."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1:05d}: early stopping")
        if self.best_weights is not None and self.best_epoch is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose > 0:
                print(f"The weights are those after epoch {self.best_epoch + 1}.")


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        From an epoch, counted from 0, to a learning rate, a float. One that needs two arguments is
        given the learning rate so far as well.
    verbose : int, default 0
        Whether the learning rates are printed.

    Raises
    ------
    TypeError
        If the schedule is not callable.
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
    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2, verbose=1)
    >>> halve.set_model(callback.model)
    >>> halve.on_epoch_begin(3)
    Epoch 00004: setting learning rate to 0.0125.
    """

    _adds = ()

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of an epoch, got {schedule!r}.")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        if not hasattr(self.model.optimizer, "lr"):
            raise ValueError(
                f"the optimizer {type(self.model.optimizer).__name__} has no learning rate `lr` "
                "for LearningRateScheduler to set."
            )
        so_far = (float(self.model.optimizer.lr),) if _needs_two(self.schedule) else ()
        rate = self.schedule(epoch, *so_far)
        if not isinstance(rate, float | np.floating):
            raise ValueError(
                f"the schedule of LearningRateScheduler must return a float, got {rate!r} for "
                f"epoch {epoch}."
            )
        self.model.optimizer.lr = float(rate)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1:05d}: setting learning rate to {float(rate)}.")


def _needs_two(function: Callable[..., Any]) -> bool:
    """Whether a function cannot be called with one argument, but with two."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of some that are written in C
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters) == 2


class ReduceLROnPlateau(Monitor):
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
    epsilon, min_delta : float, default 1e-4
        By how much the number must change for the better to count, in the spelling of Keras 2.0
        or that of later versions.
    cooldown : int, default 0
        How many epochs after a reduction are not counted.
    min_lr : float, default 0
        What the learning rate is not reduced below.

    Raises
    ------
    ValueError
        If the factor is 1 or more, or `epsilon` and `min_delta` are both given and differ.

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

    _adds = ("lr",)

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
        min_delta: float | None = None,
    ) -> None:
        if not factor < 1:
            raise ValueError(f"factor must be less than 1, got {factor}.")
        if min_delta is not None and epsilon not in (1e-4, min_delta):
            raise ValueError(
                f"epsilon and min_delta are two names of one number, got {epsilon} and "
                f"{min_delta}: give one of them."
            )
        super().__init__(monitor, mode)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.epsilon: float = epsilon if min_delta is None else min_delta
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best: float = self._worst()
        self.cooldown_counter: int = 0
        self.wait: int = 0

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
            print(f"Epoch {epoch + 1:05d}: reducing learning rate to {reduced}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0
