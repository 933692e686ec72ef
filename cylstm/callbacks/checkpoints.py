"""A callback that saves the model."""

from __future__ import annotations

import os
from collections.abc import Collection
from string import Formatter

from cylstm import _checks
from cylstm.callbacks._monitor import Monitor
from cylstm.callbacks._names import ByName, missing
from cylstm.callbacks.base import Logs

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Monitor):
    """Save the model after epochs.

    Before the first epoch the path is filled in with example values and checked: its fields, its
    suffix, its folder, whether the package that the format needs is installed, and whether the
    format has all that is in the model.

    Parameters
    ----------
    filepath : str or path
        The file, with fields that are filled from ``epoch`` (which counts from 1) and the logs:
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
    save_freq : {"epoch"}
        What later versions of Keras have in place of `period`; numbers of batches are refused.
    initial_value_threshold : float, optional
        What the number must be better than for the first model to be saved as the best.

    Raises
    ------
    ValueError
        If `period` is below 1 or `save_freq` is not "epoch". Before the first epoch, if
        `filepath` has a field that the logs will not have; where a callback of your own may add
        it to them, at the end of an epoch.
    TypeError
        If `period` is not an integer.
    FileNotFoundError, ValueError, ImportError, ...
        Before the first epoch, what ``model.save`` would raise because of the path or the model.

    Warns
    -----
    RuntimeWarning
        If the mode is unknown ("auto" is then used), or the logs do not have the number.

    Examples
    --------
    >>> import types
    >>> callback = ModelCheckpoint("model-{epoch}.safetensors", period=2)
    >>> callback.set_model(types.SimpleNamespace(save=lambda path, overwrite: print(path)))
    >>> for epoch in range(4):
    ...     callback.on_epoch_end(epoch, {})
    model-2.safetensors
    model-4.safetensors
    """

    on_root_only = True
    _adds = ()

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        period: int = 1,
        save_freq: str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        if save_freq != "epoch":
            raise ValueError(
                f"save_freq must be 'epoch', got {save_freq!r}: the model is saved after epochs "
                "only. Leave it out, and give period=n to save after every n epochs."
            )
        super().__init__(monitor, mode)
        self.filepath: str = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.period: int = _checks.positive_int(period, "period")
        self.save_freq = save_freq
        self.initial_value_threshold = initial_value_threshold
        if initial_value_threshold is not None:
            self.best: float = initial_value_threshold
        self.epochs_since_last_save: int = 0

    def _check(self, known: Collection[str], complete: bool) -> None:
        if self.save_best_only:
            super()._check(known, complete)
        example = ByName((name, 0.0) for name in known)
        if not complete:
            names = [_name(field) for field in _fields(self.filepath)]
            example.update((name, _Anything()) for name in names if name not in example)
        weights = self.save_weights_only
        check = self.model._check_weights_path if weights else self.model._check_path
        check(self._path(0, example))

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
        path = self._path(epoch, logs)
        if why:
            self.best = value
        self._report(epoch, f"{why}saving model to {path}")
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)

    def _path(self, epoch: int, logs: Logs) -> str:
        values = ByName(logs, epoch=epoch + 1)
        for field in _fields(self.filepath):
            if _name(field) not in values:
                raise ValueError(
                    f"filepath {self.filepath!r} has a field {_name(field)!r}, "
                    f"{missing(_name(field), values)}."
                )
        try:
            return self.filepath.format_map(values)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ValueError(f"filepath {self.filepath!r} cannot be filled in: {error}.") from None

    def _report(self, epoch: int, text: str) -> None:
        if self.verbose > 0:
            print(f"Epoch {epoch + 1:05d}: {text}")


class _Anything:
    """Stands for a value that is not known before training, whatever its format."""

    def __format__(self, spec: str) -> str:
        return "0"


def _fields(template: str) -> list[str]:
    """The fields of a template: of ``"{epoch:02d}-{loss}"`` epoch and loss."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"filepath {template!r} is no template: {error}.") from None
    return [field for _, field, _, _ in parsed if field is not None]


def _name(field: str) -> str:
    """The name in a field: that of ``"loss[0]"`` is loss."""
    return field.partition(".")[0].partition("[")[0]
