"""Limits: how much a file may ask for, by what it really holds.

A file of a kilobyte can describe millions of layers, calls or numbers. So whatever costs time or
memory to read has a limit, of two parts: what every file may ask for, which takes less than a
tenth of a second and 30 MB, and a share of its tensors, which a sender has to send. Models
are held to the same limits when they are saved: what can be saved can be loaded.

A model beyond them has more than 512 layers that hold nothing, say, or calls one layer 4,096
times. Give weights to `load_weights` then, and make the model by a program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["ARRAYS", "Limits", "check_count"]

ARRAYS = ": are there large arrays in the arguments of layers?"


@dataclass(frozen=True)
class Limits:
    """What a file may ask for.

    Parameters
    ----------
    size : int
        How many bytes its tensors have.
    tensors : int
        How many of them are not empty.
    numbers : int
        How many numbers they hold.

    Examples
    --------
    >>> Limits.of([np.zeros((3, 4), "float32"), np.zeros(0)])
    Limits(size=48, tensors=1, numbers=12)
    """

    size: int
    tensors: int
    numbers: int

    @classmethod
    def of(cls, tensors: Iterable[np.ndarray]) -> Limits:
        """Those of a file that holds these tensors."""
        full = [array for array in tensors if array.size]
        return cls(sum(a.nbytes for a in full), len(full), sum(a.size for a in full))

    @property
    def values(self) -> int:
        """Values of JSON, in all that is built of them: a long text counts as several."""
        return 2**16 + self.size // 2

    @property
    def stored(self) -> int:
        """Tensors, empty ones included."""
        return 2_048 + self.size // 32

    @property
    def objects(self) -> int:
        """Layers, initializers, regularizers, ... that are made."""
        return 512 + 8 * self.tensors

    @property
    def calls(self) -> int:
        """Inputs and outputs of calls of layers; a call of a model is one of each in it."""
        return 4_096 + self.tensors

    @property
    def variables(self) -> int:
        """Weights; some layers have a few that are not stored."""
        return 64 + self.tensors

    @property
    def weights(self) -> int:
        """Numbers in them."""
        return 2**16 + self.numbers

    @property
    def arrays(self) -> int:
        """Numbers in the arrays that layers make when they are built, beside weights."""
        return 2**23 + 16 * self.numbers

    @property
    def reported(self) -> int:
        """Metrics, of all outputs together."""
        return 4_096


def check_count(count: int, most: int, what: str, hint: str = "") -> None:
    """Refuse what is beyond a limit.

    Parameters
    ----------
    count, most : int
        How many there are, and may be.
    what, hint : str
        The beginning of the error, with braces for the count, and its end.

    Raises
    ------
    ValueError
        If there are more than the limit allows.
    """
    if count > most:
        raise ValueError(
            f"{what.format(count)}, and with tensors of this size at most {most} are stored{hint}"
        )
