"""The phase of training or prediction, as code of the user's own asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["learning_phase", "training_phase"]

_phase: ContextVar[int] = ContextVar("cylstm_learning_phase", default=0)


@contextmanager
def training_phase(training: Any) -> Iterator[None]:
    """Set what `learning_phase` returns for a while: 1 in training, else 0."""
    token = _phase.set(int(bool(training)))
    try:
        yield
    finally:
        _phase.reset(token)


def learning_phase() -> int:
    """1 while a layer of the user's own is called in training, else 0.

    >>> learning_phase()
    0
    """
    return _phase.get()
