"""Convolution over time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _spellings, activations, constraints, initializers, regularizers
from cylstm.layers._options import Constrain, Initialize, Penalize, WeightedOptions
from cylstm.layers._products import Product, gradients
from cylstm.layers._windows import Windows, padding_name, single
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec
from cylstm.variables import Variable

__all__ = ["Conv1D", "Convolution1D"]


class Conv1D(Differentiable):
    """Convolution over time: a `Dense` layer that sees a window of timesteps at a time.

    With x the input, W the kernel and b the bias, output t is ::

        y[t] = activation(sum over k of x[t * strides + k * dilation_rate] W[k] + b)

    (a correlation, as in all libraries of neural networks: W is not reversed).

    Parameters
    ----------
    filters : int
        The size of the output at each timestep.
    kernel_size : int
        How many timesteps a window has.
    strides : int, default 1
        How many timesteps lie between the starts of windows.
    padding : {"valid", "same", "causal"}, default "valid"
        "valid": windows lie within the sequence. "same": there are ceil(timesteps / strides)
        outputs, and zeros are added to both ends, the odd one to the last, as in TensorFlow.
        "causal": as many outputs, but all zeros come first, so that no output sees what is later.
    dilation_rate : int, default 1
        How many timesteps lie between those that a window sees.
    activation : str or callable, optional
        None is linear. See `cylstm.activations`.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer, bias_initializer : str, callable or dict
        Default "glorot_uniform" and "zeros". See `cylstm.initializers`.
    kernel_regularizer, bias_regularizer : callable, str or dict, optional
        Penalties of the weights. See `cylstm.regularizers`.
    activity_regularizer : callable, str or dict, optional
        Penalty of the outputs.
    kernel_constraint, bias_constraint : callable, str or dict, optional
        Applied to the weights after each update. See `cylstm.constraints`.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    kernel : Variable
        (kernel_size, input_dim, filters), once the layer is built.
    bias : Variable or None
        (filters,), once the layer is built.

    Raises
    ------
    ValueError
        For an unknown name, a size below 1, or a stride together with a dilation; when called,
        for an input that is not (batch, timesteps, input_dim), or too short for one window.
    TypeError
        For an unknown argument, or one of a wrong type; for a masked input, as in Keras.

    Notes
    -----
    Inputs are (batch, timesteps, input_dim), outputs (batch, windows, filters). Behaviour:
    TensorFlow 1.4, and for "causal", which that version documents and then refuses, Keras 2.0.
    `kernel_size`, `strides` and `dilation_rate` read as tuples of one, as there.

    References
    ----------
    Causal and dilated convolution: A. van den Oord et al., "WaveNet", arXiv:1609.03499.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Conv1D
    >>> layer = Conv1D(1, 2, kernel_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0], [4.0]]])).ravel().tolist()
    [3.0, 6.0]
    >>> Conv1D(4, 3, padding="causal", dilation_rate=2)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    @_spellings.conv1d
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters: int = _checks.positive_int(filters, "filters")
        self.kernel_size: tuple[int] = single(kernel_size, "kernel_size")
        self.strides: tuple[int] = single(strides, "strides")
        self.padding: str = padding_name(padding, ("valid", "same", "causal"))
        self.dilation_rate: tuple[int] = single(dilation_rate, "dilation_rate")
        if self.strides[0] > 1 and self.dilation_rate[0] > 1:
            raise ValueError(
                f"strides ({self.strides[0]}) and dilation_rate ({self.dilation_rate[0]}) cannot "
                "both be greater than 1."
            )
        self.activation: activations.Activation = activations.get(activation)
        self.use_bias: bool = bool(use_bias)
        self.kernel_initializer: Initialize = initializers.get(kernel_initializer)
        self.bias_initializer: Initialize = initializers.get(bias_initializer)
        self.kernel_regularizer: Penalize = regularizers.get(kernel_regularizer)
        self.bias_regularizer: Penalize = regularizers.get(bias_regularizer)
        self.kernel_constraint: Constrain = constraints.get(kernel_constraint)
        self.bias_constraint: Constrain = constraints.get(bias_constraint)
        self._product = Product()
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (batch, timesteps, input_dim); input_dim must be known."""
        self._check_shapes([input_shape])
        if input_shape[2] is None:
            raise ValueError(f"Layer {self.name} needs the last axis of its input to be known.")
        input_dim = _checks.positive_int(input_shape[2], "input_dim")
        self.kernel: Variable = self.add_weight(
            "kernel",
            (*self.kernel_size, input_dim, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias: Variable | None = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = [InputSpec(shape=(None, None, input_dim))]
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """(batch, windows, filters) for an input of (batch, timesteps, input_dim).

        Raises
        ------
        ValueError
            If the input has not three axes, or is shorter than a window with padding "valid".
        """
        self._check_shapes([input_shape])
        count = self._windows().count(input_shape[1], f"Layer {self.name}")
        return input_shape[0], count, self.filters

    def prepared(
        self, batch_size: int, timesteps: int, out: np.ndarray | None = None
    ) -> Callable[[npt.ArrayLike], np.ndarray]:
        """A function that computes the layer for inputs of one shape, without new arrays.

        For code that calls it thousands of times a second: it takes 0.3 microseconds more than the
        arithmetic.

        Parameters
        ----------
        batch_size, timesteps : int
            Of the inputs.
        out : ndarray, optional
            (batch_size, windows, filters), of the dtype of the layer: what each call writes, a new
            array by default. It may be a part of a larger one, as far as the windows of a sequence
            lie side by side.

        Returns
        -------
        callable
            Called with (batch_size, timesteps, input_dim), it returns what it has written, which
            the next call overwrites. It keeps the weights of this moment.

        Raises
        ------
        ValueError
            If the layer is not built, or a size or `out` does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from cylstm.layers import Conv1D
        >>> layer = Conv1D(1, 2, kernel_initializer="ones", input_shape=(3, 1))
        >>> layer.build((None, 3, 1))
        >>> compute = layer.prepared(1, 3)
        >>> compute(np.array([[[1.0], [2.0], [4.0]]])).ravel().tolist()
        [3.0, 6.0]
        """
        self._check_stream(batch_size)
        windows, features = self._windows(), self.kernel.shape[1]
        count = windows.count(_checks.positive_int(timesteps, "timesteps"), f"Layer {self.name}")
        shape, written = (batch_size, timesteps, features), (batch_size, count, self.filters)
        if out is None:
            out = np.empty(written, self._dtype)
        elif (out.shape, out.dtype) != (written, self._dtype) or not out[0].flags.c_contiguous:
            raise ValueError(
                f"out must have the shape {written} and the dtype {self.dtype}, the windows of a "
                f"sequence side by side; got {out.shape} and {out.dtype}, strides {out.strides}."
            )
        stream = self._product.stream(self, shape, windows.for_core(timesteps, count), out)
        if stream is not None:
            return stream
        layer = copy.deepcopy(self)  # Python computes a part of it

        def compute(inputs: npt.ArrayLike) -> np.ndarray:
            out[...] = layer(inputs)
            return out

        return compute

    def _windows(self) -> Windows:
        return Windows(self.kernel_size[0], self.strides[0], self.dilation_rate[0], self.padding)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """One matrix product of all windows and the kernel; see the class."""
        slopes = activations.vjp(self.activation if keep else activations.linear)  # may raise
        windows = self._windows()
        batch, filters = len(inputs), self.filters
        count = windows.count(inputs.shape[1], f"Layer {self.name}")
        z, outputs = self._product(self, inputs, windows.for_core(inputs.shape[1], count), keep)
        kernel = self.kernel.value.reshape(-1, filters)

        def backward(d_outputs: np.ndarray) -> Pulled:
            dz = slopes(z, outputs, d_outputs).reshape(batch * count, filters)
            unfolded = windows.view(windows.padded(inputs), count).reshape(len(dz), len(kernel))
            d_kernel, d_bias, d_x = gradients(unfolded, kernel, dz)
            d_weights = {self.kernel: d_kernel.reshape(self.kernel.shape)}
            if self.bias is not None:
                d_weights[self.bias] = d_bias
            d_windows = d_x.reshape(batch, count, windows.size, inputs.shape[2])
            d_padded = windows.margined_zeros(inputs)
            for k, d_x in enumerate(windows.taps(d_padded, count)):
                d_x += d_windows[:, :, k]
            return windows.without_margins(d_padded, inputs.shape[1]), d_weights

        return outputs, backward


Convolution1D = Conv1D
