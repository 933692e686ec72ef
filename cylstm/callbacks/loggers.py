"""Callbacks that record what happens: means, history, CSV files, progress."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm.callbacks._progress import Progress, describe
from cylstm.callbacks.base import Callback, Logs

__all__ = ["BaseLogger", "CSVLogger", "History", "ProgbarLogger"]


class BaseLogger(Callback):
    """Put the means of the loss and the metrics over the samples into the logs of an epoch.

    Training puts one before all other callbacks.

    Examples
    --------
    >>> logger, logs = BaseLogger(), {}
    >>> logger.set_params({"metrics": ["loss"]})
    >>> logger.on_epoch_begin(0)
    >>> logger.on_batch_end(0, {"size": 3, "loss": 1.0})
    >>> logger.on_batch_end(1, {"size": 1, "loss": 2.0})
    >>> logger.on_epoch_end(0, logs)
    >>> logs
    {'loss': 1.25}
    """

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start from zero."""
        self.seen = 0
        self.totals: dict[str, float] = {}

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Add the numbers of a batch, times its size."""
        logs = logs or {}
        size = logs.get("size", 0)
        self.seen += size
        for name in self.params["metrics"]:
            if name in logs:
                self.totals[name] = self.totals.get(name, 0.0) + float(logs[name]) * size

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Divide by the number of samples."""
        if logs is not None and self.seen:
            logs.update({name: total / self.seen for name, total in self.totals.items()})


class History(Callback):
    """The logs of all epochs; `fit` returns it.

    Attributes
    ----------
    epoch : list of int
        The epochs, from 0.
    history : dict
        Name to the list of its values, one for each epoch.

    Examples
    --------
    >>> history = History()
    >>> history.on_train_begin()
    >>> for epoch in range(3):
    ...     history.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
    >>> history.epoch, history.history["loss"][:2]
    ([0, 1, 2], [1.0, 0.5])
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start anew."""
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the logs of an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def plot(
        self, names: Sequence[str] | None = None, path: str | os.PathLike[str] | None = None
    ) -> Any:
        """Draw the curves with matplotlib: one panel for each number, with that of validation.

        Parameters
        ----------
        names : sequence of str, optional
            What to draw, such as ``["loss"]``: everything by default.
        path : str or path, optional
            A file for the picture; its suffix gives the format.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; `matplotlib.pyplot.show` shows it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are no epochs, or there is nothing of that name.
        """
        if not self.epoch:
            raise ValueError("there is nothing to plot: no epoch has ended yet.")
        if names is None:
            names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        curves = {name: self._curves(name) for name in names}
        try:
            from matplotlib import pyplot
        except ModuleNotFoundError as error:
            raise ImportError(
                "plot() draws with matplotlib, which is not installed: pip install 'cylstm[plot]'"
            ) from error
        figure, panels = pyplot.subplots(
            1, len(curves), figsize=(4.8 * len(curves), 3.6), squeeze=False, layout="constrained"
        )
        for panel, (name, lines) in zip(panels[0], curves.items(), strict=True):
            for label, (epochs, values) in lines.items():
                panel.plot(epochs, values, label=label, marker="o", markersize=3)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.set_xlabel("epoch")
            panel.set_ylabel(name)
            panel.legend()
        if path is not None:
            figure.savefig(path)
        return figure

    def _curves(self, name: str) -> dict[str, tuple[list[int], list[Any]]]:
        """The epochs, counted from 1, and values of a name and of its validation."""
        found = {
            label: self.history[key]
            for label, key in (("training", name), ("validation", f"val_{name}"))
            if key in self.history
        }
        if not found:
            known = ", ".join(sorted(self.history))
            raise ValueError(f"there is no {name!r} in the history; it has {known}.")
        # What was not in the logs of the first epochs belongs to the last ones.
        epochs = [epoch + 1 for epoch in self.epoch]
        return {label: (epochs[-len(values) :], values) for label, values in found.items()}


class CSVLogger(Callback):
    """Write a row for each epoch to a CSV file: the epoch and its logs, by name.

    Parameters
    ----------
    filename : str or path
        The file.
    separator : str, default ","
        What separates the columns: one character.
    append : bool, default False
        Whether rows are added to a file that exists, or replace it.

    Raises
    ------
    ValueError
        If the separator is not one character.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.csv")
    ...     logger = CSVLogger(path)
    ...     logger.on_train_begin()
    ...     logger.on_epoch_end(0, {"loss": 0.5, "acc": 0.75})
    ...     path.read_text().split()
    ['epoch,acc,loss', '0,0.75,0.5']
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, got {separator!r}.")
        self.filename = filename
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._has_header = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make the file, so that a path that cannot be written fails before training."""
        self.keys = None
        with open(self.filename, "a" if self.append else "w", encoding="utf-8") as file:
            self._has_header = file.tell() > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add a row; what the logs of the first epoch had and these have not is NA."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
        row = {key: _cell(logs[key]) if key in logs else "NA" for key in self.keys}
        with open(self.filename, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *self.keys], delimiter=self.sep)
            if not self._has_header:
                writer.writeheader()
                self._has_header = True
            writer.writerow({"epoch": epoch, **row})


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
        return '"[' + ", ".join(map(str, value)) + ']"'
    return value


class ProgbarLogger(Callback):
    """Show the progress of each epoch on standard output.

    With ``verbose=1`` it is tqdm's bar where tqdm is installed (``pip install
    'cylstm[progress]'``), and otherwise, as with ``verbose=2``, one line for each epoch.
    Training adds one unless ``verbose=0``.

    Parameters
    ----------
    count_mode : {"samples", "steps"}
        What is counted.

    Raises
    ------
    ValueError
        If `count_mode` is neither.

    Examples
    --------
    >>> logger = ProgbarLogger(count_mode="steps")
    >>> logger.set_params({"verbose": 0, "epochs": 1, "steps": 2, "metrics": ["loss"]})
    >>> logger.on_train_begin()
    >>> logger.on_epoch_begin(0)
    >>> logger.on_batch_end(0, {"size": 3, "loss": 1.0})
    >>> logger.on_epoch_end(0, {"loss": 1.0})
    """

    def __init__(self, count_mode: str = "samples") -> None:
        if count_mode not in ("samples", "steps"):
            raise ValueError(f"count_mode must be 'samples' or 'steps', got {count_mode!r}.")
        self.use_steps = count_mode == "steps"
        self._progress: Progress | None = None
        self._means = BaseLogger()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Read what `fit` was asked for."""
        self.verbose = self.params["verbose"]
        self.epochs = self.params["epochs"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin a bar."""
        self._means.set_params(self.params)
        self._means.on_epoch_begin(epoch)
        self._progress = Progress(
            f"Epoch {epoch + 1}/{self.epochs}",
            self.params.get("steps" if self.use_steps else "samples"),
            "batch" if self.use_steps else "sample",
            self.verbose,
        )

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar on, with the means so far."""
        if self._progress is None or self.verbose != 1:
            return
        logs = logs or {}
        self._means.on_batch_end(batch, logs)
        self._progress.update(1 if self.use_steps else logs.get("size", 0), self._means_so_far)

    def _means_so_far(self) -> str:
        means: Logs = {}
        self._means.on_epoch_end(0, means)
        return describe(means.items())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the bar, or print the line, with the numbers of the epoch."""
        logs = logs or {}
        if self._progress is not None:
            shown = [(name, logs[name]) for name in self.params["metrics"] if name in logs]
            self._progress.close(describe(shown))
            self._progress = None
