"""The numbers in default names: ``lstm_1``, ``lstm_2``, ``dense_1``."""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["next_number", "restart"]

_lock = threading.Lock()
_numbers: Counter[str] = Counter()


def next_number(prefix: str) -> int:
    """How often a prefix was asked for, this time included."""
    with _lock:
        _numbers[prefix] += 1
        return _numbers[prefix]


def restart() -> None:
    """Count every prefix from 1 again."""
    with _lock:
        _numbers.clear()
