"""The numbers in default names: ``lstm_1``, ``lstm_2``, ``dense_1``."""

from __future__ import annotations

import re
import threading
from collections import Counter

__all__ = ["next_number", "restart", "unique_name"]

_lock = threading.Lock()
_numbers: Counter[str] = Counter()


def next_number(prefix: str) -> int:
    """How often a prefix was asked for, this time included."""
    with _lock:
        _numbers[prefix] += 1
        return _numbers[prefix]


def unique_name(class_name: str) -> str:
    """The next free default name of a class: ``lstm_1``, ``lstm_2``, ``time_distributed_1``."""
    snake = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower().lstrip("_")
    return f"{snake}_{next_number(snake)}"


def restart() -> None:
    """Count every prefix from 1 again."""
    with _lock:
        _numbers.clear()
