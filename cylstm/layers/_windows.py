"""Windows over time: what convolution and pooling have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from cylstm import _checks

__all__ = ["Windows", "padding_name", "single"]


def single(value: Any, name: str) -> tuple[int]:
    """A positive integer, or a list or tuple of one, as a tuple of one: Keras' form of it."""
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise ValueError(f"{name} must be one positive integer, got {value!r}.")
        value = value[0]
    return (_checks.positive_int(value, name),)


def padding_name(value: Any, names: tuple[str, ...]) -> str:
    """The name of a padding in small letters; ValueError unless it is one of `names`."""
    if not isinstance(value, str) or value.lower() not in names:
        raise ValueError(f"padding must be one of {', '.join(map(repr, names))}, got {value!r}.")
    return value.lower()


@dataclass(frozen=True)
class Windows:
    """Windows of `size` timesteps that lie `dilation` apart; they start every `stride` timesteps.

    With padding "valid" they lie within the sequence. With "same" there are as many as the
    sequence has strides, and what is missing is added half before and half after, the odd one
    after, as TensorFlow does; with "causal" it is all added before.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"

    @property
    def span(self) -> int:
        """How many timesteps a window reaches over."""
        return self.dilation * (self.size - 1) + 1

    @overload
    def count(self, timesteps: int, what: str) -> int: ...
    @overload
    def count(self, timesteps: int | None, what: str) -> int | None: ...
    def count(self, timesteps: int | None, what: str) -> int | None:
        """How many windows there are; None where the number of timesteps is not known.

        Raises
        ------
        ValueError
            If not even one lies within the sequence; `what` names the layer.
        """
        if timesteps is None:
            return None
        if self.padding != "valid":
            return -(-timesteps // self.stride)
        if timesteps < self.span:
            raise ValueError(
                f"{what} has windows of {self.span} timesteps, got an input of {timesteps}: give "
                "longer sequences, smaller windows, or padding='same'."
            )
        return (timesteps - self.span) // self.stride + 1

    def margins(self, timesteps: int) -> tuple[int, int]:
        """How many timesteps are added before and after the sequence."""
        if self.padding == "valid":
            return 0, 0
        if self.padding == "causal":
            return self.span - 1, 0
        last_start = (-(-timesteps // self.stride) - 1) * self.stride
        missing = max(last_start + self.span - timesteps, 0)
        return missing // 2, missing - missing // 2

    def for_core(self, timesteps: int, count: int) -> tuple[int, int, int, int]:
        """The windows as `_core.Affine` takes them."""
        return count, self.stride, self.dilation, self.margins(timesteps)[0]

    def padded(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        """The sequences (batch, timesteps, features) with their margins; x itself without."""
        before, after = self.margins(x.shape[1])
        if not before + after:
            return x
        batch, timesteps, features = x.shape
        padded = np.full((batch, before + timesteps + after, features), value, x.dtype)
        padded[:, before : before + timesteps] = x
        return padded

    def taps(self, padded: np.ndarray, count: int) -> list[np.ndarray]:
        """For each place in a window, a view of what lies there: (batch, count, features)."""
        starts = range(0, self.span, self.dilation)
        return [padded[:, k : k + count * self.stride : self.stride] for k in starts]

    def view(self, padded: np.ndarray, count: int) -> np.ndarray:
        """All windows, (batch, count, size, features), as a read-only view."""
        rows, steps, columns = padded.strides
        return np.lib.stride_tricks.as_strided(
            padded,
            (len(padded), count, self.size, padded.shape[2]),
            (rows, steps * self.stride, steps * self.dilation, columns),
            writeable=False,
        )

    def without_margins(self, padded: np.ndarray, timesteps: int) -> np.ndarray:
        """The part of a padded array that the sequence takes: a view."""
        before = self.margins(timesteps)[0]
        return padded[:, before : before + timesteps]

    def margined_zeros(self, x: np.ndarray) -> np.ndarray:
        """Zeros of the shape of `padded(x)`: where gradients of the windows add up."""
        batch, timesteps, features = x.shape
        return np.zeros((batch, timesteps + sum(self.margins(timesteps)), features), x.dtype)
