"""How far a long job is: tqdm's bar where tqdm is installed, otherwise one line at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Progress", "describe"]


def describe(values: Iterable[tuple[str, float]]) -> str:
    """Return named numbers as text: ``loss: 0.1234 - acc: 0.5000``.

    Examples
    --------
    >>> describe([("loss", 0.12345), ("lr", 0.0001)])
    'loss: 0.1235 - lr: 1.0000e-04'
    """
    return " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 else f"{name}: {value:.4e}"
        for name, value in values
    )


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
    verbose : {0, 1, 2}, default 1
        Nothing, a bar, or one line at the end. Without tqdm, 1 is as 2.

    Examples
    --------
    >>> progress = Progress("Epoch 1/2", total=10, verbose=0)
    >>> progress.update(5, lambda: "loss: 0.5")
    >>> progress.close("loss: 0.5")
    """

    def __init__(
        self, title: str, total: int | None, unit: str = "sample", verbose: int = 1
    ) -> None:
        self.title = title
        self.verbose = verbose
        self._start = time.perf_counter()
        self._bar = _bar(title, total, unit) if verbose == 1 else None

    def update(self, count: int, text: Callable[[], str] | None = None) -> None:
        """Move on by a number of units; `text` is called only when the bar is drawn."""
        if self._bar is not None and self._bar.update(count) and text is not None:
            self._bar.set_postfix_str(text())

    def close(self, text: str = "") -> None:
        """Leave the bar with a last text, or print the line."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.close()
        elif self.verbose:
            seconds = f"{time.perf_counter() - self._start:.1f}s"
            print(" - ".join(part for part in (self.title, seconds, text) if part), flush=True)


def _bar(title: str, total: int | None, unit: str) -> Any:
    """tqdm's bar on what is standard output now, or None where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return None
    return tqdm(desc=title, total=total, unit=unit, file=sys.stdout)
