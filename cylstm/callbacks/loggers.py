"""Callbacks that record what happens: means, CSV files, a server, progress."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from cylstm import _warning
from cylstm.callbacks._progress import Progress, describe
from cylstm.callbacks.base import Callback, Logs

__all__ = ["BaseLogger", "CSVLogger", "ProgbarLogger", "RemoteMonitor"]

_PATIENCE = 10  # seconds that a server has to answer


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

    _adds = ()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start from zero."""
        self.seen: int = 0
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


class CSVLogger(Callback):
    """Write a row for each epoch to a CSV file: the epoch, counted from 0, and its logs, by name.

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
    FileNotFoundError, IsADirectoryError, PermissionError
        Before the first epoch, if the file cannot be written.

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

    on_root_only = True
    _adds = ()

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, got {separator!r}.")
        self.filename: str = os.fspath(filename)
        self.separator = separator
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._has_header = False

    def _check(self, known: Collection[str], complete: bool) -> None:
        """Find out whether the file can be written, and leave it alone: others may be refused."""
        if os.path.exists(self.filename):
            with open(self.filename, "r+b"):
                return
        folder = os.path.dirname(self.filename) or os.curdir
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"CSVLogger is to write {self.filename!r}, but there is no folder {folder!r}; make "
                "it first."
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"CSVLogger cannot write to the folder {folder!r}.")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make the file, so that a path that cannot be written fails before training."""
        self.keys = None
        with open(self.filename, "a" if self.append else "w", encoding="utf-8") as file:
            self._has_header = file.tell() > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add a row; what the logs of the first epoch had and these have not is NA."""
        import csv

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


class RemoteMonitor(Callback):
    """Send the logs of each epoch to a server: a POST of a form whose field holds JSON.

    Training goes on where the server does not answer. Nothing is sent but to `root`.

    Parameters
    ----------
    root : str, default "http://localhost:9000"
        The server: http or https.
    path : str, default "/publish/epoch/end/"
        What follows it.
    field : str, default "data"
        The field of the form; it holds the logs and ``epoch``, which counts from 0.
    headers : dict of str, optional
        Further headers of the request.

    Raises
    ------
    ValueError
        If `root` is not of http or https.

    Warns
    -----
    RuntimeWarning
        If the server is not reached, or refuses.

    Examples
    --------
    >>> RemoteMonitor("http://localhost:8080", field="logs")
    RemoteMonitor(root='http://localhost:8080', field='logs')
    """

    _adds = ()

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not str(root).lower().startswith(("http://", "https://")):
            raise ValueError(f"root must begin with http:// or https://, got {root!r}.")
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send."""
        import json
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        text = json.dumps(
            {"epoch": epoch, **(logs or {})}, default=lambda n: np.asarray(n).tolist()
        )
        form = urlencode({self.field: text}).encode("ascii")
        try:
            with urlopen(
                Request(self.root + self.path, form, dict(self.headers or {})), timeout=_PATIENCE
            ):
                pass
        except (OSError, ValueError) as error:  # of a connection, an answer or an address
            _warning.warn(
                f"RemoteMonitor could not send epoch {epoch} to {self.root}: {error}",
                RuntimeWarning,
            )


class ProgbarLogger(Callback):
    """Show the progress of each epoch on standard output.

    With ``verbose=1`` it is a bar on terminals and in notebooks: tqdm's where tqdm is installed
    (``pip install 'cylstm[progress]'``), and one of plain characters otherwise. Elsewhere, as in
    files, and with ``verbose=2`` it is one line for each epoch. Training adds one unless
    ``verbose=0``.

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

    on_root_only = True
    _adds = ()

    def __init__(self, count_mode: str = "samples") -> None:
        if count_mode not in ("samples", "steps"):
            raise ValueError(f"count_mode must be 'samples' or 'steps', got {count_mode!r}.")
        self.count_mode = count_mode
        self.use_steps: bool = count_mode == "steps"
        self._progress: Progress | None = None
        self._means = BaseLogger()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Read what `fit` was asked for."""
        self.verbose: int = self.params["verbose"]
        self.epochs: int = self.params["epochs"]

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
        if self._progress is None or not self._progress.moves:
            return
        logs = logs or {}
        self._means.on_batch_end(batch, logs)
        self._progress.update(1 if self.use_steps else logs.get("size", 0), self._means_so_far)

    def _means_so_far(self) -> str:
        means: Logs = {}
        self._means.on_epoch_end(0, means)
        return describe(means.items())

    def clear(self) -> None:
        """Take the bar away for what others print; the line of the epoch comes in its place."""
        if self._progress is not None:
            self._progress.clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the bar away, and print the line with the numbers of the epoch."""
        logs = logs or {}
        if self._progress is not None:
            shown = [(name, logs[name]) for name in self.params["metrics"] if name in logs]
            self._progress.close(describe(shown))
            self._progress = None
