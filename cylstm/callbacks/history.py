"""A callback that keeps the logs of all epochs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from cylstm.callbacks._names import ByName
from cylstm.callbacks._progress import describe, number_text
from cylstm.callbacks.base import Callback, Logs
from cylstm.utils._drawing import pyplot_or_why

__all__ = ["History"]

_ROWS_SHOWN = 20  # of the table for notebooks
_FIRST_SHOWN = 5


class History(Callback):
    """The logs of all epochs; `fit` returns it.

    Attributes
    ----------
    epoch : list of int
        The epochs, from 0.
    history : dict
        Name to the list of its values, one for each epoch. It has the names of Keras 2 (``acc``,
        ``lr``), and can be read by those of today (``history["accuracy"]``) as well.

    Examples
    --------
    >>> history = History()
    >>> history.on_train_begin()
    >>> for epoch in range(3):
    ...     history.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
    >>> history.epoch, history.history["loss"][:2]
    ([0, 1, 2], [1.0, 0.5])
    >>> history
    <History of 3 epochs: loss: 0.3333>
    """

    _adds = ()

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = ByName()

    def __repr__(self) -> str:
        """How many epochs there were, and the numbers of the last one."""
        count = f"{len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}"
        last = describe((name, values[-1]) for name, values in self.history.items() if values)
        return f"<History of {': '.join(part for part in (count, last) if part)}>"

    def _repr_html_(self) -> str:
        """A table for notebooks: a row for each epoch, or for the first and the last ones."""
        import html

        names = [html.escape(str(name)) for name in self.history]
        rows = [_html_row("th", ["epoch", *names])]
        # What was not in the logs of the first epochs belongs to the last ones.
        columns = [
            [""] * (len(self.epoch) - len(values)) + [html.escape(number_text(v)) for v in values]
            for values in self.history.values()
        ]
        cells = list(zip([str(epoch + 1) for epoch in self.epoch], *columns, strict=False))
        if len(cells) > _ROWS_SHOWN:
            cells[_FIRST_SHOWN : _FIRST_SHOWN - _ROWS_SHOWN] = [("…",) * (len(names) + 1)]
        rows += [_html_row("td", row) for row in cells]
        return "<table>\n" + "\n".join(rows) + "\n</table>"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start anew."""
        self.epoch = []
        self.history = ByName()

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
        ndarray of matplotlib.axes.Axes
            One for each number. Notebooks show them; elsewhere `matplotlib.pyplot.show` does. Each
            has the ``figure``.

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
        figure, panels = pyplot_or_why("plot()").subplots(
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
        return panels[0]

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


def _html_row(cell: str, texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{text}</{cell}>" for text in texts) + "</tr>"
