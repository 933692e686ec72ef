"""Streams: one frame in, one frame out, with a state of their own.

`layer.stream()` and `model.stream()` make them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _core, _threads

__all__ = ["ActivationStream", "DenseStream", "FrameStream", "LayerStream", "Stream"]

if TYPE_CHECKING:
    _Stepper = _core.Stepper[np.ndarray]
    _AffineStepper = _core.AffineStepper[np.ndarray]
else:
    _Stepper = _core.Stepper
    _AffineStepper = _core.AffineStepper


class Streaming:
    """What the streams share: a state, how to change it, and that one call does so at a time."""

    claim: _core.Claim

    if TYPE_CHECKING:

        def __call__(self, frame: Any) -> np.ndarray: ...
        def _described(self) -> str: ...
        def copy(self) -> Streaming: ...

    _state: Sequence[np.ndarray] = ()

    @property
    def state(self) -> list[np.ndarray]:
        """Copies of the states after the last frame; assign a list to set them."""
        with self.claim:
            return [array.copy() for array in self._state]

    @state.setter
    def state(self, state: Sequence[npt.ArrayLike]) -> None:
        if len(state) != len(self._state):
            raise ValueError(f"A stream has {len(self._state)} states, got {len(state)}.")
        arrays = []
        for i, (given, own) in enumerate(zip(state, self._state, strict=True)):
            arrays.append(_checks.as_array(given, own.dtype, f"State {i}"))
            if arrays[-1].shape != own.shape:
                raise ValueError(
                    f"State {i} must have the shape {own.shape}, got {arrays[-1].shape}."
                )
        with self.claim:
            for own, array in zip(self._state, arrays, strict=True):
                own[:] = array

    def reset(self) -> None:
        """Start anew: set the states to zero."""
        with self.claim:
            for array in self._state:
                array.fill(0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._described()})"

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.copy()


class Stream(Streaming, _Stepper):
    """An LSTM layer that is fed a frame at a time; `LSTM.stream` makes it.

    A call takes a frame, (batch_size, input_dim), and returns the output, (batch_size, units), as
    a read-only view of the state: the next call overwrites it, so copy what is to be kept. The
    outputs are those of the layer on the whole sequence, to the last bit. A stream keeps the
    weights that the layer had when it was made. It is for one thread at a time: while a call is
    running, any other, and reading or setting the state, raises RuntimeError.

    Parameters
    ----------
    cell : Cell
        Of a compiled engine.
    state : list of ndarray, each (batch_size, units)
        h and c to start from, copied.

    Attributes
    ----------
    state : list of ndarray
        Copies of h and c, (batch_size, units) each; assign to set them.

    Raises
    ------
    ValueError, TypeError
        On a call with a frame that does not fit; the state is then as before.
    RuntimeError
        While another thread uses the stream.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> layer = cylstm.LSTM(4, return_sequences=True)
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    >>> whole = layer(x)
    >>> stream = layer.stream()
    >>> frames = [stream(x[:, t]).copy() for t in range(5)]
    >>> bool(np.all(np.stack(frames, axis=1) == whole))
    True
    """

    def __new__(cls, cell: _core.Cell, state: Sequence[np.ndarray]) -> Self:
        h, c = (np.array(array, order="C") for array in state)
        output = h.view()
        output.flags.writeable = False
        stream = super().__new__(cls, cell, h, c, output, _threads.pool)
        stream._state = h, c
        return stream

    def cast(self, frame: Any) -> np.ndarray:
        """A frame as an array of the dtype and shape that the core takes."""
        h = self._state[0]
        array = _checks.as_array(frame, h.dtype, "A frame")
        shape = len(h), self.cell.input_dim
        if array.shape != shape:
            raise ValueError(
                f"A frame must have the shape (batch_size, input_dim) = {shape}, got {array.shape}."
            )
        return array

    def _described(self) -> str:
        h = self._state[0]
        return f"{len(h)} x {self.cell.input_dim} -> {self.cell.units}, {h.dtype}"

    def copy(self) -> Self:
        """An independent stream with the same weights and state."""
        with self.claim:
            return type(self)(self.cell, self._state)


class LayerStream(Streaming):
    """The same for a recurrent layer that only Python can run: with its own `step`, or activation.

    Parameters
    ----------
    layer : Recurrent
        A built layer, copied.
    state : list of ndarray
        The states to start from, copied.
    """

    def __init__(self, layer: Any, state: Sequence[np.ndarray]) -> None:
        self._layer = copy.deepcopy(layer)
        self._layer.return_sequences, self._layer.return_state = False, True
        self._layer.stateful = False
        self._state = [np.array(array, order="C") for array in state]
        self.claim: _core.Claim = _core.Claim()

    def __call__(self, frame: npt.ArrayLike) -> np.ndarray:
        x = _checks.as_array(frame, self._state[0].dtype, "A frame")
        if x.ndim != 2 or len(x) != len(self._state[0]):
            raise ValueError(
                "A frame must have the shape (batch_size, input_dim) with batch_size = "
                f"{len(self._state[0])}, got {x.shape}."
            )
        with self.claim:
            before = [array.copy() for array in self._state]
            output: np.ndarray
            output, *state = self._layer(x[:, None], initial_state=before)
            for own, new in zip(self._state, state, strict=True):
                own[:] = new
        output.flags.writeable = False
        return output

    def _described(self) -> str:
        return f"{self._layer!r}, {len(self._state[0])} at a time"

    def copy(self) -> Self:
        """An independent stream with the same weights and state."""
        with self.claim:
            return type(self)(self._layer, self._state)


class ActivationStream(Streaming):
    """An activation of single numbers, of one frame after the other.

    Parameters
    ----------
    number : int
        Of `_core.ACTIVATIONS`.
    dtype : dtype
        Of the frames.
    """

    def __init__(self, number: int, dtype: np.dtype) -> None:
        self._number, self._dtype = number, dtype
        self.claim: _core.Claim = _core.Claim()

    def __call__(self, frame: npt.ArrayLike) -> np.ndarray:
        x = _checks.as_array(frame, self._dtype, "A frame")
        y = np.empty_like(x)
        with self.claim:
            _core.activate(self._number, x, y)
        return y

    def _described(self) -> str:
        return next(name for name, n in _core.ACTIVATIONS.items() if n == self._number)

    def copy(self) -> ActivationStream:
        """An independent stream."""
        return type(self)(self._number, self._dtype)


class FrameStream(Streaming):
    """A layer whose outputs at a timestep depend on that timestep alone.

    Parameters
    ----------
    layer : Layer
        A built layer, copied.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = copy.deepcopy(layer)
        self.claim: _core.Claim = _core.Claim()
        spec = layer.input_spec and layer.input_spec[0]
        self._has_time = not (spec and spec.ndim == 2)  # behind an LSTM without return_sequences

    def __call__(self, frame: npt.ArrayLike) -> np.ndarray:
        x = _checks.plain_array(frame, "A frame")
        with self.claim:
            y: np.ndarray = self._layer(x[:, None])[:, 0] if self._has_time else self._layer(x)
        return y

    def _described(self) -> str:
        return repr(self._layer)

    def copy(self) -> FrameStream:
        """A stream with the same weights, for another thread."""
        return type(self)(self._layer)


class DenseStream(Streaming, _AffineStepper):
    """A dense layer that is fed a frame at a time, without new arrays; `Dense.stream` makes it.

    A call takes a frame, (batch_size, input_dim), and returns a read-only array, (batch_size,
    units), which the next call overwrites. It is for one thread at a time, as `Stream` is.

    Parameters
    ----------
    affine : _core.Affine
        The weights and the activation.
    shape : tuple of int
        The shape of a frame; with windows (batch_size, timesteps, input_dim).
    windows : tuple, optional
        Of a convolution: see `_core.Affine`.
    out : ndarray, optional
        What calls write, a new array by default.
    """

    _made_of: tuple[_core.Affine, tuple[int, ...], Any]

    def __new__(
        cls,
        affine: _core.Affine,
        shape: tuple[int, ...],
        windows: Any = None,
        out: np.ndarray | None = None,
    ) -> Self:
        if out is None:
            rows = shape[:-1] if windows is None else (shape[0], windows[0])
            out = np.empty((*rows, affine.columns), affine.dtype)
        output = out.view()
        output.flags.writeable = False
        stream = super().__new__(cls, affine, shape, windows, out, output, _threads.pool)
        stream._made_of = affine, shape, windows
        return stream

    def cast(self, frame: Any) -> np.ndarray:
        """A frame as an array of the dtype and shape that the core takes."""
        array = _checks.as_array(frame, self.affine.dtype, "A frame")
        if array.shape != self.shape:
            axes = "batch_size, input_dim" if len(self.shape) == 2 else "batch, timesteps, features"
            raise ValueError(
                f"A frame must have the shape ({axes}) = {self.shape}, got {array.shape}."
            )
        return array

    def _described(self) -> str:
        sizes = " x ".join(map(str, self.shape))
        return f"{sizes} -> {self.affine.columns}, {self.affine.dtype}"

    def copy(self) -> Self:
        """An independent stream with the same weights."""
        return type(self)(*self._made_of)
