"""Layers around a layer: Wrapper, and TimeDistributed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self, Unpack

import numpy as np

from cylstm import _checks, _registry
from cylstm._phase import training_phase
from cylstm.layers._advice import what_is_no_layer
from cylstm.layers._options import LayerOptions, Penalize
from cylstm.layers.core import Dense
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Layer
from cylstm.layers.nested import Nested, accepted
from cylstm.layers.serialization import deserialize
from cylstm.layers.streams import Streaming

__all__ = ["TimeDistributed", "Wrapper"]


class Wrapper(Nested, Differentiable):
    """The base of the layers that hold another one.

    Parameters
    ----------
    layer : Layer
        What is wrapped. Its weights are the weights of the wrapper, and its dtype that of the
        wrapper.
    dtype : str, optional
        What will be fed in, where the wrapper is the first layer of a model, such as "int32" around
        an `Embedding`. Default: what the layer computes in, which no other float may be.
    **kwargs
        The other arguments of `Layer`.

    Attributes
    ----------
    input_dtype : str
        What will be fed in.

    Raises
    ------
    TypeError
        If `layer` is no layer.
    ValueError
        If `dtype` is neither that of the layer nor one of integers.
    """

    def __init__(self, layer: Layer, **kwargs: Unpack[LayerOptions]) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(self).__name__} wraps a layer, got {what_is_no_layer(layer)}.")
        self.input_dtype: str = self._fed_dtype(layer, kwargs.pop("dtype", None))
        super().__init__(**kwargs | {"dtype": layer.dtype})
        self.layer = layer

    def _fed_dtype(self, layer: Layer, dtype: Any) -> str:
        """The name of the dtype that is fed in; ValueError where the layer does not read it."""
        if dtype is None:
            return layer.dtype
        with suppress(TypeError):  # of what is no dtype at all
            if np.dtype(dtype).kind in "iub":
                name: str = np.dtype(dtype).name
                return name
        if _checks.float_dtype(dtype) != layer.dtype:
            raise ValueError(
                f"{type(self).__name__} was given dtype={dtype!r}, but its layer "
                f"{layer.name} computes in {layer.dtype}: give the dtype to the layer."
            )
        return layer.dtype

    def _sublayers(self) -> list[Layer]:
        return [self.layer]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same wrapper again, with the config of its layer."""
        config = super().get_config() | {"dtype": self.input_dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = _registry.serialize_object(self.activity_regularizer)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """A new wrapper with the configuration that `get_config` returned.

        Parameters
        ----------
        config : dict
            Not changed.
        custom_objects : dict, optional
            Name to class or function, for what the package does not have.
        """
        return cls(**config | {"layer": deserialize(config.get("layer"), custom_objects)})


class TimeDistributed(Wrapper):
    """Apply a layer to each timestep by itself.

    All timesteps of all sequences go through the layer as the rows of one large batch.

    Parameters
    ----------
    layer : Layer
        With one input and one output, and not stateful.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    TypeError
        If `layer` is no layer.
    ValueError
        If it is stateful; when built, if it has several outputs, or does not take what a
        timestep holds.

    Notes
    -----
    Inputs (batch, timesteps, ...), outputs `(batch, timesteps, *output of the layer)`. The number
    of timesteps may change from call to call.

    A mask (batch, timesteps) passes through. One with more axes goes to the layer, if that (of a
    model: each of its layers) supports masks, as in Keras 2.2; TensorFlow 1.4 and Keras 2.0 hand
    none in. Masks that the layer makes
    (Embedding with `mask_zero`, Masking) do not come out, as there: to skip what stands for no
    input within a timestep, put the layer that makes the mask before, without TimeDistributed. An
    `activity_regularizer` of the layer counts, on the output of the wrapper. Behaviour otherwise:
    `tf.keras.layers.TimeDistributed` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import LSTM, Dense, TimeDistributed
    >>> TimeDistributed(Dense(4))(np.ones((2, 5, 3))).shape
    (2, 5, 4)

    Paragraphs of 6 sentences of 5 words, each a vector of 3:

    >>> TimeDistributed(LSTM(4))(np.ones((2, 6, 5, 3))).shape
    (2, 6, 4)
    """

    framewise = True

    def __init__(self, layer: Layer, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **kwargs)
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"TimeDistributed cannot hold the stateful layer {layer.name}: timesteps go "
                "through it as rows of one batch."
            )
        if self.activity_regularizer is None:
            self.activity_regularizer: Penalize = layer.activity_regularizer
        self.supports_masking = True
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=3)]

    def stream(self, batch_size: int = 1) -> Streaming:
        """See `Layer.stream`."""
        dense = isinstance(self.layer, Dense)
        return self.layer.stream(batch_size) if dense else super().stream(batch_size)

    def build(self, input_shape: Any) -> None:
        """Build the layer for what a timestep of (batch, timesteps, ...) holds."""
        self.compute_output_shape(input_shape)
        self.layer._ensure_built_for(_without_time(input_shape))
        self.input_spec = [InputSpec(shape=(None, None, *input_shape[2:]))]
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same wrapper again, with the config of its layer."""
        config = super().get_config()
        if self.activity_regularizer is self.layer.activity_regularizer:
            config.pop("activity_regularizer", None)
        return config

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, timesteps, *output of the layer)`."""
        self._check_shapes([input_shape])
        at_a_timestep = _without_time(input_shape)
        try:
            self.layer._check_shapes([at_a_timestep])
            inner = self.layer.compute_output_shape(at_a_timestep)
        except ValueError as error:
            raise ValueError(
                f"Layer {self.name} hands timesteps to its layer {self.layer.name}: {error}"
            ) from None
        if isinstance(inner, list):
            raise ValueError(
                f"TimeDistributed takes a layer with one output, but {self.layer.name} has "
                f"{len(inner)}."
            )
        return (inner[0], input_shape[1], *inner[1:])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the inputs: as it is, or as the layer passes it on within timesteps.

        A mask with more axes than (batch, timesteps) that ends in the layer is reduced to these: a
        timestep counts if anything in it does.
        """
        inner_mask = self._inner_mask(mask)
        if inner_mask is not None:
            passed = self.layer.compute_mask(_rows(np.asarray(inputs)), inner_mask)
            if passed is not None:
                passed = np.asarray(passed, bool)
                # What stands for a symbolic mask has sizes of 1, not those of the inputs.
                like = mask if len(passed) == len(inner_mask) else inputs
                return passed.reshape(*np.shape(like)[:2], *passed.shape[1:])
        if mask is None or _checks.rank(mask) < 3:
            return mask
        return np.any(mask, axis=tuple(range(2, np.ndim(mask))))

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        layer, rows = self.layer, _rows(inputs)
        given = {"mask": self._inner_mask(mask), "training": training}
        if not keep:
            with training_phase(training):
                outputs = layer._computed(rows, **accepted(layer.call, **given))
            return _in_time(outputs, inputs), None
        recorded = layer._activity_losses
        outputs, pullback = layer.vjp(rows, **accepted(layer.vjp, **given))
        layer._activity_losses = recorded  # the wrapper records its output as a whole
        variables, shape = layer.trainable_weights, outputs.shape

        def backward(d_outputs: np.ndarray) -> Pulled:
            gradients = pullback(d_outputs.reshape(shape))
            d_inputs = gradients.inputs
            return (
                None if d_inputs is None else d_inputs.reshape(inputs.shape),
                dict(zip(variables, gradients.weights, strict=True)),
            )

        return _in_time(outputs, inputs), backward

    def _inner_mask(self, mask: Any) -> np.ndarray | None:
        """The part of a mask that concerns the layer: None where it takes or needs none."""
        if mask is None or _checks.rank(mask) < 3 or not _takes_masks(self.layer):
            return None
        return _rows(_checks.as_bools(mask))

    def _cast(self, value: Any, what: str) -> np.ndarray:
        return self.layer._cast(value, what)


def _takes_masks(layer: Layer) -> bool:
    """Whether a layer, and each that it is made of, supports masks."""
    if isinstance(layer, TimeDistributed):  # it keeps them from a layer that does not
        return True
    return layer.supports_masking and all(map(_takes_masks, layer._sublayers()))


def _without_time(shape: Any) -> tuple[int | None, ...]:
    return (shape[0], *shape[2:])


def _rows(array: np.ndarray) -> np.ndarray:
    """Batch and time as one axis."""
    batch, timesteps, *rest = array.shape
    return array.reshape(batch * timesteps, *rest)


def _in_time(outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The reverse of `_rows`, for the outputs of the layer."""
    return outputs.reshape(*inputs.shape[:2], *outputs.shape[1:])
