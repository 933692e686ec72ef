"""Sequential: a stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cylstm import _warning
from cylstm.graph import SymbolicTensor
from cylstm.layers import serialization
from cylstm.layers._advice import what_is_no_layer
from cylstm.layers.input_layer import Input, InputLayer
from cylstm.layers.layer import Layer
from cylstm.models._connections import layers_of
from cylstm.models.model import Model
from cylstm.training.trainer import Trainer

__all__ = ["Sequential"]


class Sequential(Model):
    """A stack of layers, each with one input and one output.

    Parameters
    ----------
    layers : list of Layer, optional
        What to `add` at once; the first may be an `Input`.
    name : str, optional
        Default: ``sequential_1``, ...

    Raises
    ------
    TypeError
        If something is no layer.
    ValueError
        If a layer does not fit on the one before, or has several outputs.

    Examples
    --------
    Where the first layer is told the shape of a sample, the model is built at once; otherwise by
    the first data, or by `build`.

    >>> import cylstm
    >>> from cylstm.layers import LSTM, Dense
    >>> model = cylstm.Sequential([LSTM(4, input_shape=(None, 3)), Dense(2)])
    >>> model.count_params()
    138
    """

    _begins_with_input = False
    """Whether the first layer that was given is an input, which `layers` does not list."""

    def __init__(self, layers: Iterable[Layer] | None = None, name: str | None = None) -> None:
        Layer.__init__(self, name=name)
        self._trainer = Trainer(self, default_epochs=10)
        self._layers: list[Layer] = []
        self._nodes: list[Any] = []
        self.inputs: list[SymbolicTensor] = []
        self.outputs: list[SymbolicTensor] = []
        if isinstance(layers, Layer):
            raise TypeError(f"Layers are given in a list, got {layers!r}: put it in [ ].")
        self._extend(list(layers or []))

    def add(self, layer: Layer) -> None:
        """Put a layer on top.

        Raises
        ------
        TypeError, ValueError
            As for the class; the model is then as before.
        """
        self._extend([layer])

    def _extend(self, layers: list[Layer]) -> None:
        """Put layers on top, all at once: one by one, many would take long."""
        layers = [_input_of(layer) for layer in layers]
        names = {known.name for known in self._layers}
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Only layers can be added, got {what_is_no_layer(layer)}.")
            if layer.name in names:
                raise ValueError(f"The model already has a layer named {layer.name!r}.")
            if isinstance(layer, InputLayer) and (i or self._layers or self.inputs):
                raise ValueError("An input can only be the first layer.")
            names.add(layer.name)
        if layers and isinstance(layers[0], InputLayer):
            self.inputs = self.outputs = [layers[0].inbound_nodes[0].output_tensors[0]]
            self._begins_with_input = True
            layers = layers[1:]
        if not layers:
            return
        shape = None if self._layers or self.inputs else _known_shape(layers[0])
        if shape is not None:
            self._start(shape, layers)
        elif self.inputs:
            self._put_on(self.inputs, self.outputs[0], layers)
        else:
            self._layers += layers

    def pop(self) -> None:
        """Take the top layer off.

        Raises
        ------
        TypeError
            If there are no layers.
        """
        if not self._layers:
            raise TypeError("The model has no layers to take off.")
        top = self._layers.pop()
        if not self.outputs:
            return
        node = self.outputs[0].node
        if node is None:
            raise RuntimeError("The output of the model is from no layer.")
        below = node.input_tensors[0]
        top.inbound_nodes.remove(node)
        below.layer.outbound_nodes.remove(node)
        self._nodes.remove(node)
        if self._layers:
            self.outputs = [below]
        else:
            self.inputs, self.outputs = [], []
            self.built: bool = False
            self._begins_with_input = False

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Build all layers for inputs of this shape, with the batch axis.

        Raises
        ------
        ValueError
            If there are no layers, or no shape is known.
        """
        if self.built:
            return
        if not self._layers:
            raise ValueError(f"Model {self.name} has no layers: add one.")
        if input_shape is None:
            raise ValueError(
                f"Model {self.name} is not built: give its first layer an input_shape, or call "
                "build(input_shape)."
            )
        layers, self._layers = self._layers, []
        try:
            self._start(tuple(input_shape), layers)
        except BaseException:
            self._layers = layers
            raise

    def _start(self, shape: tuple[int | None, ...], layers: list[Layer]) -> None:
        dtype = getattr(layers[0], "input_dtype", layers[0].dtype)
        tensor = Input(batch_shape=shape, dtype=dtype, name=f"{layers[0].name}_input")
        self._put_on([tensor], tensor, layers)

    def _put_on(
        self, inputs: list[SymbolicTensor], tensor: SymbolicTensor, layers: list[Layer]
    ) -> None:
        """Connect layers one on another, and take them in if all of them fit."""
        for layer in layers:
            tensor = layer(tensor)
            if isinstance(tensor, list):
                raise ValueError(
                    f"Layer {layer.name} has several outputs, and a Sequential passes on one: "
                    "use Model."
                )
        stack = self._layers + layers
        self._connect_graph(inputs, [tensor])
        self._layers = stack  # without the input

    def _as_arrays(self, inputs: Any) -> list[np.ndarray]:
        if not self.built:
            boxed = isinstance(inputs, list) and len(inputs) == 1 and np.ndim(inputs[0]) > 1
            shape = np.shape(inputs[0] if boxed else inputs)
            self.build(shape if self.stateful else (None, *shape[1:]))
        return super()._as_arrays(inputs)

    # ------------------------------------------------------------------ predictions

    if TYPE_CHECKING:  # one output

        def predict(
            self,
            x: Any = None,
            batch_size: int | None = None,
            verbose: int | str = 0,
            steps: int | None = None,
            **options: Any,
        ) -> np.ndarray:
            """See `Trainer.predict`."""

        def predict_on_batch(self, x: Any) -> np.ndarray:
            """See `Trainer.predict_on_batch`."""

    def predict_proba(
        self, x: Any, batch_size: int | None = None, verbose: int | str = 0
    ) -> np.ndarray:
        """Compute the outputs as `predict` does, and warn if they are no probabilities."""
        outputs = self.predict(x, batch_size, verbose)
        if outputs.size and not (0 <= outputs.min() and outputs.max() <= 1):
            _warning.warn(
                "The outputs are no probabilities: some are below 0 or above 1. End the model with "
                "a softmax or sigmoid activation.",
            )
        return outputs

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: int | str = 0
    ) -> np.ndarray:
        """Compute the most likely class of each sample.

        Parameters
        ----------
        x, batch_size, verbose
            As for `predict`.

        Returns
        -------
        ndarray of int
            The place of the greatest output along the last axis; of a single output, whether it
            is above 0.5: 1 or 0, with the axis kept.
        """
        outputs = self.predict(x, batch_size, verbose)
        return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")

    # ------------------------------------------------------------------ config

    def get_config(  # type: ignore[override]  # a list in Keras, too
        self,
    ) -> list[dict[str, Any]]:
        """The class names and configurations of the layers, from the first to the last."""
        layers = self._every_layer() if self._begins_with_input else self._layers
        return [serialization.serialize(layer) | {"name": layer.name} for layer in layers]

    @classmethod
    def from_config(
        cls, config: list[Any] | dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """A new model, without its weights, from what `get_config` returned."""
        entries = config["layers"] if isinstance(config, dict) else config
        return cls(layers_of(entries, custom_objects).values())


def _input_of(layer: Any) -> Any:
    """The input layer, where `Input` stands in its place; anything else as it is."""
    given = isinstance(layer, SymbolicTensor) and isinstance(layer.layer, InputLayer)
    return layer.layer if given else layer


def _known_shape(layer: Layer) -> tuple[int | None, ...] | None:
    """The batch shape that a layer says it is to be given, or None."""
    if isinstance(layer, Model):
        return layer.inputs[0].shape if layer.built else None
    return layer.batch_input_shape
