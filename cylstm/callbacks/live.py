"""A callback that draws the curves of a training while it goes on."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from cylstm import _checks, _warning
from cylstm.callbacks.base import Callback, Logs
from cylstm.callbacks.history import History
from cylstm.utils._drawing import pyplot_or_why

__all__ = ["LivePlot"]

_DPI = 144  # dots for an inch of 72 points: two for one, sharp on any screen


class LivePlot(Callback):
    """Draw the curves after each epoch: in a notebook one picture that grows, or a file, or both.

    The pictures are those of `History.plot`. Where drawing takes longer than an epoch, epochs are
    passed over, so that at most half of the time is spent on it; the last one is drawn in any case.

    Parameters
    ----------
    names : sequence of str, optional
        What to draw, such as ``["loss"]``: everything by default.
    every : int, default 1
        After how many epochs to draw.
    path : str or path, optional
        A file for the picture, which each drawing replaces; its suffix gives the format.

    Raises
    ------
    TypeError, ValueError
        If `every` is no positive integer.
    ImportError
        Before the first epoch, if matplotlib is not installed.

    Warns
    -----
    RuntimeWarning
        Before the first epoch, if this is no notebook and there is no path: nothing is drawn.

    Examples
    --------
    >>> LivePlot(["loss"], path="course.png")
    LivePlot(names=['loss'], path='course.png')
    """

    _adds = ()

    def __init__(
        self,
        names: Sequence[str] | None = None,
        every: int = 1,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.names = names
        self.every: int = _checks.positive_int(every, "every")
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self._history = History()
        self._display: Any = None
        self._is_drawn = True
        self._seconds = self._ended = 0.0

    def _check(self, known: Collection[str], complete: bool) -> None:
        """Find out whether there is something to draw with, and on."""
        pyplot_or_why("LivePlot")
        if self.path is None and not _in_notebook():
            _warning.warn(
                "LivePlot shows pictures in notebooks, which this is not, so it draws nothing: "
                "give path='course.png' for a file that is renewed after each epoch",
                RuntimeWarning,
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin another picture."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw, if it is due."""
        self._history.on_epoch_end(epoch, logs)
        self._is_drawn = False
        if (epoch + 1) % self.every == 0 and time.perf_counter() - self._ended >= self._seconds:
            self._draw()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Draw what has not been drawn."""
        if not self._is_drawn:
            self._draw()

    def _draw(self) -> None:
        notebook = _in_notebook()
        if self.path is None and not notebook:
            return
        start = time.perf_counter()
        figure = self._history.plot(self.names)[0].figure
        if self.path is not None:
            path = Path(self.path)
            part = path.with_name(f"{path.name}.part")  # who looks meanwhile sees a whole one
            figure.savefig(part, format=path.suffix[1:].lower() or "png", dpi=_DPI)
            os.replace(part, path)
        if notebook:
            self._show(figure)
        pyplot_or_why("LivePlot").close(figure)
        self._is_drawn = True
        self._ended = time.perf_counter()
        self._seconds = self._ended - start

    def _show(self, figure: Any) -> None:
        """Put the picture into the notebook, in place of the one before."""
        from IPython.display import Image, display

        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=_DPI)
        picture = Image(png.getvalue(), format="png", width=round(figure.get_figwidth() * 72))
        if self._display is None:
            self._display = display(picture, display_id=True)
        else:
            self._display.update(picture)


def _in_notebook() -> bool:
    """Whether IPython runs here with a kernel, which is what shows pictures."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
