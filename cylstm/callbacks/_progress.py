"""How far a long job is: a bar on terminals and in notebooks, and one line at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, TextIO

__all__ = ["Progress", "checked_verbose", "describe"]

_EVERY = 0.1  # seconds between two drawings of a line
_WIDTH = 20  # characters of the bar


def describe(values: Iterable[tuple[str, Any]]) -> str:
    """Return named numbers as text: ``loss: 0.1234 - acc: 0.5000``.

    Examples
    --------
    >>> describe([("loss", 0.12345), ("lr", 0.0001)])
    'loss: 0.1235 - lr: 1.0000e-04'
    """
    return " - ".join(f"{name}: {number_text(value)}" for name, value in values)


def number_text(value: Any) -> str:
    """Return a number with four digits; what is none, as `str` has it."""
    if not isinstance(value, Real):
        return str(value)
    value = float(value)
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def checked_verbose(verbose: Any) -> int:
    """Return how much to show: 0, 1 or 2; "auto" is 1.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2, or 'auto', got {verbose!r}.")
    return int(verbose)


class Progress:
    """One job that is shown on standard output.

    Parameters
    ----------
    title : str
        What the job is called, such as ``"Epoch 1/10"``.
    total : int or None
        How many units it has; None where that is unknown.
    unit : str, default "sample"
        What is counted.
    verbose : {0, 1, 2, "auto"}, default 1
        Nothing, a bar, or one line at the end. Where standard output is neither a terminal nor a
        notebook, 1 is as 2; "auto" is 1.

    Raises
    ------
    ValueError
        For another value of `verbose`.

    Examples
    --------
    >>> progress = Progress("Epoch 1/2", total=10, verbose=0)
    >>> progress.update(5, lambda: "loss: 0.5")
    >>> progress.close("loss: 0.5")
    """

    def __init__(
        self, title: str, total: int | None, unit: str = "sample", verbose: int | str = 1
    ) -> None:
        self.title = title
        self.verbose = checked_verbose(verbose)
        self._start = time.perf_counter()
        moves = self.verbose == 1 and _can_move(sys.stdout)
        self._bar = _bar(title, total, unit) if moves else None

    @property
    def moves(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def update(self, count: int, text: Callable[[], str] | None = None) -> None:
        """Move on by a number of units; `text` is called only when the bar is drawn."""
        if self._bar is not None and self._bar.update(count) and text is not None:
            self._bar.set_postfix_str(text())

    def clear(self) -> None:
        """Take the bar away, for what others print: the next line replaces it."""
        if self._bar is not None:
            self._bar.clear()

    def close(self, text: str = "") -> None:
        """Take the bar away, and print the line that stays."""
        if self._bar is not None:
            self._bar.close()
        if self.verbose:
            print(_last_line(self.title, self._start, text), flush=True)


class Line:
    """A bar of characters that draws itself over: what Progress takes where there is no tqdm.

    It has the methods of tqdm that Progress needs, with their meaning.
    """

    def __init__(self, desc: str, total: int | None, unit: str, file: TextIO) -> None:
        self._title, self._total, self._unit, self._file = desc, total, unit, file
        self._done = 0
        self._text = ""
        self._start = time.perf_counter()
        self._drawn_at = self._start
        self._length = 0

    def update(self, count: int) -> bool:
        """Move on, and draw if it is time; whether it was."""
        self._done += count
        now = time.perf_counter()
        if now - self._drawn_at < _EVERY:
            return False
        self._drawn_at = now
        self._draw()
        return True

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Change the text behind the bar."""
        self._text = text
        if refresh:
            self._draw()

    def clear(self) -> None:
        """Empty the line."""
        if self._length:
            self._put("\r" + " " * self._length + "\r")
            self._length = 0

    def close(self) -> None:
        """Take it away."""
        self.clear()

    def _draw(self) -> None:
        import shutil

        # One column less than there are: in the last one some terminals begin a new line.
        line = self._line()[: shutil.get_terminal_size().columns - 1]
        self._put("\r" + line.ljust(self._length))
        self._length = len(line)

    def _line(self) -> str:
        elapsed = time.perf_counter() - self._start
        if not self._total:
            parts = [f"{self._title}: {self._unit} {self._done}", _clock(elapsed)]
        else:
            done = min(self._done, self._total)
            full = _WIDTH * done // self._total
            bar = "=" * full + (">" if full < _WIDTH else "") + "." * (_WIDTH - full - 1)
            left = _clock(elapsed * (self._total - done) / done) if done else "?"
            parts = [f"{self._title} [{bar}] {done}/{self._total}", f"{left} left"]
        return " - ".join([*parts, self._text] if self._text else parts)

    def _put(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def _last_line(title: str, start: float, text: str) -> str:
    seconds = f"{time.perf_counter() - start:.1f}s"
    return " - ".join(part for part in (title, seconds, text) if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _can_move(stream: Any) -> bool:
    """Whether what is written to a stream can be written over: on a terminal, in a notebook."""
    if type(stream).__module__.partition(".")[0] == "ipykernel":
        return True
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # a stand-in for a file; a closed one
        return False


def _bar(title: str, total: int | None, unit: str) -> Any:
    """tqdm's bar on what is standard output now, or a plain one where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return Line(title, total, unit, sys.stdout)
    return tqdm(desc=title, total=total, unit=unit, file=sys.stdout, leave=False)
