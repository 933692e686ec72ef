"""The plain layers: Dense, Activation, ActivityRegularization and Masking."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from cylstm import (
    _checks,
    _spellings,
    activations,
    constraints,
    initializers,
    regularizers,
)
from cylstm._numbers import real
from cylstm.layers import _engines
from cylstm.layers._options import (
    Constrain,
    DenseOptions,
    Initialize,
    LayerOptions,
    Penalize,
    WeightedOptions,
)
from cylstm.layers._products import Product, gradients
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.streams import ActivationStream, DenseStream, FrameStream, Streaming
from cylstm.variables import Variable

__all__ = ["Activation", "ActivityRegularization", "Dense", "Masking"]


class Dense(Differentiable):
    """A layer in which every output reads every input: ``activation(x @ kernel + bias)``.

    Of inputs with more than two axes the last is read, and the others stay as they are: a
    sequence goes through the same weights at each timestep.

    Parameters
    ----------
    units : int
        The size of the output.
    activation : str or callable, optional
        Default: linear. See `cylstm.activations`.
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
        The arguments of `Layer`, and `input_dim`, another way to give `input_shape`.

    Attributes
    ----------
    kernel, bias : Variable
        The weights, (input_dim, units) and (units,), once the layer is built; `bias` is None
        without one.

    Raises
    ------
    ValueError, TypeError
        For `units` that is no positive integer, or an unknown name or argument.

    Notes
    -----
    Inputs (batch, ..., input_dim), outputs (batch, ..., units); masks pass through. Behaviour:
    `tf.keras.layers.Dense` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Dense
    >>> layer = Dense(2, activation="relu", kernel_initializer="ones")
    >>> layer(np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]])).tolist()
    [[6.0, 6.0], [0.0, 0.0]]
    >>> layer(np.ones((4, 5, 3))).shape
    (4, 5, 2)
    """

    framewise = True

    @_spellings.dense
    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Unpack[DenseOptions],
    ) -> None:
        if "input_dim" in kwargs and "input_shape" not in kwargs:
            kwargs["input_shape"] = (kwargs.pop("input_dim"),)
        super().__init__(
            activity_regularizer=activity_regularizer,
            **kwargs,  # type: ignore[misc]  # refuses input_dim beside input_shape
        )
        self.units: int = _checks.positive_int(units, "units")
        self.activation: activations.Activation = activations.get(activation)
        self.use_bias: bool = bool(use_bias)
        self.kernel_initializer: Initialize = initializers.get(kernel_initializer)
        self.bias_initializer: Initialize = initializers.get(bias_initializer)
        self.kernel_regularizer: Penalize = regularizers.get(kernel_regularizer)
        self.bias_regularizer: Penalize = regularizers.get(bias_regularizer)
        self.kernel_constraint: Constrain = constraints.get(kernel_constraint)
        self.bias_constraint: Constrain = constraints.get(bias_constraint)
        self._product = Product()
        self.supports_masking = True
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=2)]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs (batch, ..., input_dim); only input_dim must be known."""
        self._check_shapes([input_shape])
        if input_shape[-1] is None:
            raise ValueError(f"Layer {self.name} needs the last axis of its input to be known.")
        input_dim = _checks.positive_int(input_shape[-1], "input_dim")
        self.kernel: Variable = self.add_weight(
            "kernel",
            (input_dim, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias: Variable | None = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = [InputSpec(min_ndim=2, axes={-1: input_dim})]
        self.built = True

    def stream(self, batch_size: int = 1) -> DenseStream | FrameStream:
        """See `Layer.stream`."""
        self._check_stream(batch_size)
        stream = self._product.stream(self, (batch_size, self.kernel.shape[0]))
        return FrameStream(self) if stream is None else stream

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, ..., units)."""
        self._check_shapes([input_shape])
        return (*input_shape[:-1], self.units)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`: one matrix product for all axes but the last."""
        z, outputs = self._product(self, inputs, keep=keep)
        if not keep:
            return outputs, None
        product, kernel = _engines.vjp(self.activation), self.kernel.value

        def backward(d_outputs: np.ndarray) -> Pulled:
            dz = product(z, outputs, d_outputs).reshape(-1, self.units)
            d_kernel, d_bias, d_x = gradients(inputs.reshape(-1, len(kernel)), kernel, dz)
            of_weights = {self.kernel: d_kernel}
            if self.bias is not None:
                of_weights[self.bias] = d_bias
            return d_x.reshape(inputs.shape), of_weights

        return outputs, backward


class Activation(Differentiable):
    """An activation function as a layer.

    Parameters
    ----------
    activation : str or callable
        A name, or a function of an array; to be trained through, a function of your own needs a
        derivative. See `cylstm.activations`.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        For an unknown name.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. Behaviour:
    `tf.keras.layers.Activation` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Activation
    >>> Activation("relu")(np.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """

    framewise = True

    def __init__(self, activation: Any, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.activation: activations.Activation = activations.get(activation)
        self.supports_masking = True

    def stream(self, batch_size: int = 1) -> Streaming:
        """See `Layer.stream`."""
        number = _engines.elementwise_number(self.activation)
        if number is None:
            return super().stream(batch_size)
        self._check_stream(batch_size)
        return ActivationStream(number, self._dtype)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = activations.evaluate(self.activation, inputs)
        if not keep:
            return outputs, None
        product = activations.vjp(self.activation)
        return outputs, lambda d_outputs: (product(inputs, outputs, d_outputs), {})


class ActivityRegularization(Differentiable):
    """Pass the inputs on, and add a penalty of them to the loss.

    Parameters
    ----------
    l1, l2 : float, default 0.0
        The factors of the absolute values and of the squares, which are summed over all elements.
    **kwargs
        The arguments of `Layer`, without `activity_regularizer`.

    Raises
    ------
    ValueError, TypeError
        For a factor that is not finite or no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import ActivityRegularization
    >>> layer = ActivityRegularization(l1=0.5)
    >>> layer(np.array([[-2.0, 3.0]])).tolist(), layer.losses
    ([[-2.0, 3.0]], [2.5])
    """

    framewise = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Unpack[WeightedOptions]) -> None:
        if "activity_regularizer" in kwargs:
            raise TypeError(
                "ActivityRegularization has no argument 'activity_regularizer': give l1 and l2."
            )
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1: int | float = real(l1, "l1")
        self.l2: int | float = real(l2, "l2")
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        return inputs, lambda d_outputs: (d_outputs, {})


class Masking(Differentiable):
    """Mask the timesteps whose features all have a certain value.

    The layers that follow skip these timesteps, as far as they support masks; here they become
    zero.

    Parameters
    ----------
    mask_value : float, default 0.0
        What every feature of a timestep to be skipped holds.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a `mask_value` that is no number.

    Notes
    -----
    Inputs (batch, timesteps, features), or any shape with at least two axes; outputs of the same
    shape. The mask has the shape without the last axis and is True where a step counts. Behaviour:
    `tf.keras.layers.Masking` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import LSTM, Masking
    >>> x = np.array([[[1.0, 2.0], [9.0, 9.0]]])
    >>> masking = Masking(mask_value=9.0)
    >>> masking(x).tolist(), masking.compute_mask(x).tolist()
    ([[[1.0, 2.0], [0.0, 0.0]]], [[True, False]])

    With arrays the mask is handed on by hand, in a model by itself:

    >>> LSTM(3)(masking(x), mask=masking.compute_mask(x)).shape
    (1, 3)
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.mask_value: int | float = real(mask_value, "mask_value")
        self.supports_masking = True
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=2)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> np.ndarray:
        """Where a feature differs from `mask_value`; a mask of the inputs is not looked at.

        Returns
        -------
        ndarray of bool
            The shape of the inputs without the last axis.
        """
        value = self._dtype.type(self.mask_value)
        kept: np.ndarray = np.any(np.asarray(inputs, self._dtype) != value, axis=-1)
        return kept

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        counts = self.compute_mask(inputs)[..., None]
        return np.where(counts, inputs, self._dtype.type(0)), lambda d_outputs: (
            np.where(counts, d_outputs, self._dtype.type(0)),
            {},
        )
