"""What callbacks that watch a number share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection
from typing import Any

from cylstm import _warning
from cylstm.callbacks._names import lookup, missing
from cylstm.callbacks.base import Callback, Logs

__all__ = ["Monitor"]


class Monitor(Callback):
    """What watches one number of the logs for getting better."""

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor = monitor
        self._mode = mode
        if mode not in ("auto", "min", "max"):
            _warning.warn(
                f"{type(self).__name__} knows the modes 'auto', 'min' and 'max', got {mode!r}; "
                "it goes on with 'auto'",
                RuntimeWarning,
            )
            mode = "auto"
        if mode == "auto":
            mode = "max" if "acc" in monitor or monitor.startswith("fmeasure") else "min"
        self.mode = mode
        self.best: float = self._worst()

    def _given(self, name: str, parameter: inspect.Parameter) -> Any:
        return self._mode if name == "mode" else super()._given(name, parameter)

    def _worst(self) -> float:
        return -math.inf if self.mode == "max" else math.inf

    def _improves(self, value: float, margin: float = 0.0, than: float | None = None) -> bool:
        """Whether a value is better than the best by more than a margin; NaN never is."""
        best = self.best if than is None else than
        if self.mode == "max":
            return bool(value - margin > best)
        return bool(value + margin < best)

    def _check(self, known: Collection[str], complete: bool) -> None:
        if complete and self.monitor not in known:
            self._warn(known)

    def _value(self, logs: Logs) -> Any:
        """The number that is watched, or None, with a warning, where the logs lack it."""
        value = lookup(logs, self.monitor)
        if value is None:
            self._warn(logs)
        return value

    def _warn(self, known: Collection[str]) -> None:
        _warning.warn(
            f"{type(self).__name__} watches {self.monitor!r}, {missing(self.monitor, known)}",
            RuntimeWarning,
        )
