"""ChainStream: a model that is fed one frame after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cylstm import _core
from cylstm.layers.streams import Streaming

__all__ = ["ChainStream"]


class ChainStream(Streaming):
    """Streams one after the other, each fed with what the one before gives; of a model.

    Parameters
    ----------
    streams : list
        At least one.

    Attributes
    ----------
    state : list of ndarray
        Copies of the states of all streams, in their order; assign to set them.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.layers import LSTM, Dense
    >>> model = cylstm.Sequential([LSTM(4, input_shape=(None, 3)), Dense(2)])
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    >>> stream = model.stream()
    >>> for t in range(5):
    ...     y = stream(x[:, t])
    >>> bool(np.allclose(y, model.predict(x), atol=1e-6))
    True
    """

    def __init__(self, streams: Sequence[Any]) -> None:
        self._streams = list(streams)
        self._state = [array for stream in self._streams for array in stream._state]
        self.claim: _core.Claim = _core.Claim()

    def __call__(self, frame: npt.ArrayLike) -> np.ndarray:
        y: Any = frame
        with self.claim:
            for stream in self._streams:
                y = stream(y)
        array: np.ndarray = y
        return array

    def _described(self) -> str:
        return ", ".join(map(repr, self._streams))

    def copy(self) -> Self:
        """An independent stream with the same weights and state."""
        with self.claim:
            return type(self)([stream.copy() for stream in self._streams])
