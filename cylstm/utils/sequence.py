"""Sequence: batches that are made when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

__all__ = ["Sequence"]


class Sequence(ABC):
    """Base of data sets that make their batches one by one, in any order.

    A subclass defines ``__getitem__`` (a whole batch: inputs and targets, or inputs, targets and
    sample weights) and ``__len__`` (the number of batches), and may define `on_epoch_end`.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.utils import Sequence
    >>> class Squares(Sequence):
    ...     def __len__(self):
    ...         return 2
    ...     def __getitem__(self, index):
    ...         x = np.arange(3 * index, 3 * index + 3)
    ...         return x, x**2
    >>> [y.tolist() for x, y in Squares()]
    [[0, 1, 4], [9, 16, 25]]
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Return the batch at an index from 0 to ``len(self) - 1``."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches."""

    def on_epoch_end(self) -> None:  # noqa: B027 - optional
        """Change the order of the samples, or whatever is to happen after each epoch."""

    def __iter__(self) -> Iterator[Any]:
        """Yield every batch once, in order."""
        return (self[index] for index in range(len(self)))
