"""Pooling over time: the largest or the mean value of each window, or of the whole sequence."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from cylstm import _spellings
from cylstm.layers._options import LayerOptions
from cylstm.layers._windows import Windows, padding_name, single
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec

__all__ = [
    "AveragePooling1D",
    "AvgPool1D",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "MaxPool1D",
    "MaxPooling1D",
]


class _Pooling1D(Differentiable):
    """The arguments and shapes of pooling over windows."""

    @_spellings.pooling1d
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size: tuple[int] = single(pool_size, "pool_size")
        self.strides: tuple[int] = self.pool_size if strides is None else single(strides, "strides")
        self.padding: str = padding_name(padding, ("valid", "same"))
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """(batch, windows, features) for an input of (batch, timesteps, features).

        Raises
        ------
        ValueError
            If the input has not three axes, or is shorter than a window with padding "valid".
        """
        self._check_shapes([input_shape])
        batch, timesteps, features = input_shape
        return batch, self._windows().count(timesteps, f"Layer {self.name}"), features

    def _windows(self) -> Windows:
        return Windows(self.pool_size[0], self.strides[0], padding=self.padding)


class MaxPooling1D(_Pooling1D):
    """The largest value of each window over time, feature by feature.

    Parameters
    ----------
    pool_size : int, default 2
        How many timesteps a window has.
    strides : int, optional
        How many timesteps lie between the starts of windows. Default: `pool_size`.
    padding : {"valid", "same"}, default "valid"
        "valid": windows lie within the sequence, and timesteps that fill none are dropped.
        "same": there are ceil(timesteps / strides) windows, which reach over both ends as in
        TensorFlow; what lies outside does not count.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a size or stride that is no positive integer, or an unknown padding; when called, for
        an input that is not (batch, timesteps, features), or too short for one window. A masked
        input is refused, as in Keras.

    Notes
    -----
    Inputs are (batch, timesteps, features), outputs (batch, windows, features). The gradient goes
    to the first of equal values. `pool_size` and `strides` read as tuples of one, as in
    TensorFlow 1.4, whose behaviour this is.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import MaxPooling1D
    >>> x = np.array([[[1.0], [5.0], [2.0], [4.0], [3.0]]])
    >>> MaxPooling1D(2)(x).ravel().tolist()
    [5.0, 4.0]
    >>> MaxPooling1D(2, padding="same")(x).ravel().tolist()
    [5.0, 4.0, 3.0]
    """

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Reduce each window; see the class."""
        windows = self._windows()
        count = windows.count(inputs.shape[1], f"Layer {self.name}")
        padded = windows.padded(inputs, -np.inf)
        outputs = windows.view(padded, count).max(axis=2)

        def backward(d_outputs: np.ndarray) -> Pulled:
            d_padded = windows.margined_zeros(inputs)
            unclaimed = np.ones(outputs.shape, bool)
            for x, d_x in zip(
                windows.taps(padded, count), windows.taps(d_padded, count), strict=True
            ):
                first = (x == outputs) & unclaimed
                d_x += d_outputs * first  # a product takes a quarter of the time of np.where
                unclaimed ^= first
            return windows.without_margins(d_padded, inputs.shape[1]), {}

        return outputs, backward


class AveragePooling1D(_Pooling1D):
    """The mean of each window over time, feature by feature.

    Parameters
    ----------
    pool_size : int, default 2
        How many timesteps a window has.
    strides : int, optional
        How many timesteps lie between the starts of windows. Default: `pool_size`.
    padding : {"valid", "same"}, default "valid"
        "valid": windows lie within the sequence, and timesteps that fill none are dropped.
        "same": there are ceil(timesteps / strides) windows, which reach over both ends as in
        TensorFlow; the mean is that of the timesteps inside.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        As `MaxPooling1D`.

    Notes
    -----
    Inputs are (batch, timesteps, features), outputs (batch, windows, features). Behaviour:
    TensorFlow 1.4, except where windows are longer than the sequence: its gradient is then not
    that of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import AveragePooling1D
    >>> x = np.array([[[1.0], [5.0], [2.0], [4.0], [3.0]]])
    >>> AveragePooling1D(2, padding="same")(x).ravel().tolist()
    [3.0, 3.0, 3.0]
    """

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Reduce each window; see the class."""
        windows = self._windows()
        count = windows.count(inputs.shape[1], f"Layer {self.name}")
        inside = windows.padded(np.ones((1, inputs.shape[1], 1), inputs.dtype))
        sizes = windows.view(inside, count).sum(axis=2)
        outputs = windows.view(windows.padded(inputs), count).sum(axis=2)
        outputs /= sizes

        def backward(d_outputs: np.ndarray) -> Pulled:
            d_padded = windows.margined_zeros(inputs)
            share = d_outputs / sizes
            for d_x in windows.taps(d_padded, count):
                d_x += share
            return windows.without_margins(d_padded, inputs.shape[1]), {}

        return outputs, backward


class _GlobalPooling1D(Differentiable):
    """The shapes of pooling over the whole sequence."""

    @_spellings.global_pooling1d
    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """(batch, features) for an input of (batch, timesteps, features).

        Raises
        ------
        ValueError
            If the input has not three axes, or no timesteps.
        """
        self._check_shapes([input_shape])
        batch, timesteps, features = input_shape
        if timesteps == 0:
            raise ValueError(
                f"Layer {self.name} needs at least one timestep, got the shape "
                f"{tuple(input_shape)}."
            )
        return batch, features


class GlobalMaxPooling1D(_GlobalPooling1D):
    """The largest value over all timesteps, feature by feature.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for an input that is not (batch, timesteps, features), or has no timesteps.
    TypeError
        For a masked input, as in Keras.

    Notes
    -----
    Inputs are (batch, timesteps, features), outputs (batch, features). Equal largest values share
    the gradient, as in TensorFlow (there it is only `MaxPooling1D` that prefers the first).

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import GlobalMaxPooling1D
    >>> GlobalMaxPooling1D()(np.array([[[1.0, 8.0], [5.0, 2.0]]])).tolist()
    [[5.0, 8.0]]
    """

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Reduce over time; see the class."""
        self.compute_output_shape(inputs.shape)
        outputs = inputs.max(axis=1)

        def backward(d_outputs: np.ndarray) -> Pulled:
            largest = inputs == outputs[:, None]
            sharing = np.maximum(largest.sum(axis=1), 1)  # 0 where a NaN is the largest
            share = d_outputs / sharing.astype(inputs.dtype)
            return largest * share[:, None], {}

        return outputs, backward


class GlobalAveragePooling1D(_GlobalPooling1D):
    """The mean over all timesteps, feature by feature.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for an input that is not (batch, timesteps, features), or has no timesteps.
    TypeError
        For a masked input, as in Keras 2.0; later versions leave masked timesteps out.

    Notes
    -----
    Inputs are (batch, timesteps, features), outputs (batch, features). Behaviour: TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import GlobalAveragePooling1D
    >>> GlobalAveragePooling1D()(np.array([[[1.0, 8.0], [5.0, 2.0]]])).tolist()
    [[3.0, 5.0]]
    """

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Reduce over time; see the class."""
        self.compute_output_shape(inputs.shape)

        def backward(d_outputs: np.ndarray) -> Pulled:
            share = d_outputs / d_outputs.dtype.type(inputs.shape[1])
            return np.repeat(share[:, None], inputs.shape[1], axis=1), {}

        return inputs.mean(axis=1), backward


MaxPool1D = MaxPooling1D
AvgPool1D = AveragePooling1D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalAvgPool1D = GlobalAveragePooling1D
