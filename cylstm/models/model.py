"""Model: a graph of layers that runs forward and backward, and trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

import numpy as np

from cylstm import _checks, _spellings
from cylstm._arguments import near
from cylstm._methods import delegated
from cylstm._storage import storage
from cylstm._version import __version__
from cylstm.graph import Node, SymbolicTensor, walk
from cylstm.layers._losses import as_list
from cylstm.layers._turns import in_turn
from cylstm.layers.input_layer import InputLayer
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.nested import Nested
from cylstm.models import _savable
from cylstm.models._chain_stream import ChainStream
from cylstm.models._connections import connect, describe, layers_of, outputs_at
from cylstm.models._execution import Run, added_up
from cylstm.models._looks import as_html, as_text
from cylstm.models._looks import plot as _plot
from cylstm.models._savable import load_weights as _load_weights
from cylstm.models._savable import save as _save
from cylstm.models._savable import save_weights as _save_weights
from cylstm.training._generated import GeneratedTraining
from cylstm.training.trainer import Trainer
from cylstm.utils import print_summary

__all__ = ["Model"]


class Model(Nested):
    """A graph of layers, from symbolic inputs to symbolic outputs; itself a layer.

    It is trained as `tf.keras.models.Model` of TensorFlow 1.4: `compile`, then `fit`. Whatever
    raises an error leaves the weights, moving statistics and states as they were before the batch
    at hand. A loss or gradient that is NaN is such an error, unless a `TerminateOnNaN` is among
    the callbacks: then the update is left out and training ends. Ctrl-C waits for the end of a
    batch that has begun, and then raises KeyboardInterrupt; ``model.history`` has the epochs
    until then.

    Parameters
    ----------
    inputs : SymbolicTensor or list of SymbolicTensor
        From `Input`.
    outputs : SymbolicTensor or list of SymbolicTensor
        What layers returned, computed from the inputs.
    name : str, optional
        Default: ``model_1``, ``model_2``, ...

    Raises
    ------
    ValueError
        If an input is not from `Input`, an output cannot be computed from the inputs, or two
        layers have the same name.
    TypeError
        If an input or output is not symbolic.

    Attributes
    ----------
    optimizer : Optimizer
        From `compile`; None before.
    metrics_names : list of str
        What `evaluate` and the methods that end in ``_on_batch`` return.
    history : History
        Of the last `fit`.
    stop_training : bool
        Set it to True, in a callback, to end training after the batch or epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.layers import LSTM, Dense
    >>> x = cylstm.Input((None, 3))
    >>> model = cylstm.Model(x, Dense(2)(LSTM(4)(x)))
    >>> model.predict(np.ones((5, 7, 3))).shape
    (5, 2)
    """

    # What `compile` was given, and what `fit` tells: callbacks read and set them too.
    optimizer: Any = None
    loss: Any = None
    metrics: Any = None
    loss_weights: Any = None
    sample_weight_mode: Any = None
    weighted_metrics: Any = None
    metrics_names: list[str]
    history: Any = None
    stop_training = False

    @_spellings.model
    def __init__(
        self,
        inputs: SymbolicTensor | Sequence[SymbolicTensor],
        outputs: SymbolicTensor | Sequence[SymbolicTensor],
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._trainer = Trainer(self)
        self._connect_graph(as_list(inputs), as_list(outputs))

    def _connect_graph(self, inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]) -> None:
        for kind, tensors in (("input", inputs), ("output", outputs)):
            for tensor in tensors:
                if not isinstance(tensor, SymbolicTensor):
                    raise TypeError(
                        f"A model's {kind}s are symbolic tensors, got {_checks.described(tensor)}"
                        f"{_how_to_call(tensor)}."
                    )
        for tensor in inputs:
            if not isinstance(tensor.layer, InputLayer):
                raise ValueError(f"{tensor!r} is no input: a model begins with `Input`.")
        if len({id(tensor) for tensor in inputs}) != len(inputs):
            raise ValueError("An input is given twice.")
        nodes, layers = walk(inputs, outputs)
        for name, count in Counter(layer.name for layer in layers).items():
            if count > 1:
                raise ValueError(f"Two layers of the model are named {name!r}.")
        self.inputs: list[SymbolicTensor] = inputs
        self.outputs: list[SymbolicTensor] = outputs
        self._nodes, self._layers = nodes, layers
        self._dtype = np.dtype(layers[-1].dtype)
        self.supports_masking = True
        self.built = True

    def __getstate__(self) -> dict[str, Any]:
        kept = {id(node) for node in self._nodes}
        calls = [[n for n in layer.inbound_nodes if id(n) in kept] for layer in self._every_layer()]
        return super().__getstate__() | {"_calls": calls}

    def __setstate__(self, state: dict[str, Any]) -> None:
        calls = state.pop("_calls")
        self.__dict__.update(state)
        self._trainer = self._trainer.of(self)  # `copy.copy` gives that of the original
        for layer, nodes in zip(self._every_layer(), calls, strict=True):
            for node in nodes:
                node.enter()
                layer._note_call(node)

    def _every_layer(self) -> list[Layer]:
        """The layers, and those of the inputs, which `Sequential` does not list."""
        return list(dict.fromkeys([t.layer for t in self.inputs] + self._layers))

    # ------------------------------------------------------------------ layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, from the inputs to the outputs."""
        return list(self._layers)

    def _sublayers(self) -> list[Layer]:
        return self._layers

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, which dicts of data go by."""
        return [layer.name for layer in self.input_layers]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that give the outputs, which dicts of targets go by."""
        return [layer.name for layer in self.output_layers]

    @property
    def input_layers(self) -> list[Layer]:
        """The layers of the inputs."""
        return [tensor.layer for tensor in self.inputs]

    @property
    def output_layers(self) -> list[Layer]:
        """The layers that give the outputs."""
        return [tensor.layer for tensor in self.outputs]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name, or by its place in `layers`.

        Raises
        ------
        ValueError
            If there is no such layer, or neither is given.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"The model has {len(self.layers)} layers: no layer {index}.")
            return self.layers[index]
        if name is None:
            raise ValueError("Give the name or the index of a layer.")
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in self.layers]
        found = near(name, known)
        hint = f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
        raise ValueError(f"No layer is named {name!r}; there are {', '.join(known)}.{hint}")

    @property
    def input(self) -> Any:
        """The symbolic input, or list of inputs."""
        return _one_or_list(self.inputs)

    @property
    def output(self) -> Any:
        """The symbolic output, or list of outputs."""
        return _one_or_list(self.outputs)

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or list of shapes."""
        return _one_or_list([tensor.shape for tensor in self.inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or list of shapes."""
        return _one_or_list([tensor.shape for tensor in self.outputs])

    @property
    def updates(self) -> list[Any]:
        """The updates of the calls that the model is made of, and those that belong to no call.

        A layer that was called elsewhere as well has more.
        """
        found = self.get_updates_for(None)
        kept = {id(node) for node in self._nodes}
        for layer in self._every_layer():
            for node in layer.inbound_nodes:
                if id(node) in kept and node.input_tensors:
                    found += layer.get_updates_for(node.input_tensors)
        return found

    def _note_call(self, node: Node) -> None:
        super()._note_call(node)
        calls = self.updates[len(self.get_updates_for(None)) :]
        self.add_update(calls, inputs=node.input_tensors)

    @property
    def state_updates(self) -> list[Any]:
        """The updates of the states of stateful layers."""
        stateful = [layer for layer in self.layers if getattr(layer, "stateful", False)]
        return [
            update
            for layer in stateful
            for update in (layer.state_updates if isinstance(layer, Model) else layer.updates)
        ]

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return as_html(self)

    # ------------------------------------------------------------------ running

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape, or list of shapes, of the outputs for inputs of these shapes."""
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        found = {id(t): tuple(shape) for t, shape in zip(self.inputs, shapes, strict=True)}
        for node in self._nodes:
            given = [found[id(t)] for t in node.input_tensors]
            results = node.layer.compute_output_shape(_one_or_list(given))
            results = results if isinstance(results, list) else [results]
            found |= {id(t): tuple(s) for t, s in zip(node.output_tensors, results, strict=True)}
        return _one_or_list([found[id(t)] for t in self.outputs])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask, or list of masks, of the outputs for these inputs."""
        run = self._run(self._as_arrays(inputs), mask, False, keep=False)
        return _one_or_list([run.masks[id(t)] for t in self.outputs])

    def _symbolic_masks(self, tensors: Any, outputs: Any) -> list[SymbolicTensor | None]:
        return [t.mask for t in self.outputs]

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Run the graph on arrays.

        Parameters
        ----------
        inputs : ndarray or list of ndarray
            One for each input.
        mask : ndarray or list of ndarray, optional
            The masks of the inputs.
        training : bool, default False
            Whether dropout and its kin are active.

        Returns
        -------
        ndarray or list of ndarray
            One for each output.

        Raises
        ------
        ValueError, TypeError
            If the number of inputs or masks is another, or one does not fit.
        """
        if not _are_arrays(inputs, len(self.inputs)):
            inputs = self._as_arrays(inputs)
        run = self._run(inputs, mask, bool(training), keep=False)
        return _one_or_list(run.results())

    def vjp(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Run the graph, and return how to pull gradients back through it; see `Layer.vjp`."""
        run = self._run(self._as_arrays(inputs), mask, bool(training), keep=True)
        outputs = run.results()
        variables = self.trainable_weights

        def pullback(cotangents: Any) -> Gradients:
            values = list(cotangents) if len(outputs) > 1 else [cotangents]
            gradients = run.backward(added_up(self.outputs, values))
            return Gradients(
                _one_or_list([gradients.by_identity.get(id(t)) for t in self.inputs]),
                None,
                [gradients.of(v) for v in variables],
            )

        return _one_or_list(outputs), pullback

    def stream(self, batch_size: int = 1) -> ChainStream:
        """A stream: called with one timestep after the other, it goes through the layers.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.

        Returns
        -------
        ChainStream
            Called with (batch_size, features), it returns what the model gives at the last of the
            timesteps so far, starting from zeros.

        Raises
        ------
        ValueError
            If the model is not built or not a chain of layers, or a layer needs more than one
            timestep at a time: LSTM, Dense, Embedding, activations, normalizations and what acts in
            training only do not.
        """
        self._check_stream(batch_size)
        layers, tensor = [], self.inputs[0]
        for node in self._nodes:
            if isinstance(node.layer, InputLayer):
                continue
            if [id(t) for t in node.input_tensors] != [id(tensor)] or node.arguments:
                raise ValueError(f"Model {self.name} cannot stream: it is not a chain of layers.")
            layers.append(node.layer)
            tensor = node.output_tensors[0]
        if len(self.inputs) > 1 or [id(t) for t in self.outputs] != [id(tensor)]:
            raise ValueError(f"Model {self.name} cannot stream: it is not a chain of layers.")
        return ChainStream([layer.stream(batch_size) for layer in layers])

    def _run(self, inputs: Any, mask: Any, training: bool, *, keep: bool) -> Run:
        arrays = inputs if isinstance(inputs, list) else [inputs]
        masks = as_list(mask) if mask is not None else [None] * len(arrays)
        if len(masks) != len(self.inputs):
            raise ValueError(
                f"Model {self.name} takes {len(self.inputs)} inputs, got {len(masks)} masks."
            )
        with in_turn(self):
            return Run(self._nodes, self.inputs, self.outputs, arrays, masks, training, keep)

    def _inner_run(self, inputs: Any, mask: Any, training: bool, keep: bool) -> Run:
        return self._run(self._as_arrays(inputs), mask, training, keep=keep)

    def _as_arrays(self, inputs: Any) -> list[np.ndarray]:
        """One array for each input, of its shape; layers cast them to their own dtypes."""
        if isinstance(inputs, dict):
            if not inputs.keys() >= set(self.input_names):
                raise ValueError(
                    f"Model {self.name} takes inputs of the names {self.input_names}, got "
                    f"{list(inputs)}."
                )
            inputs = [inputs[name] for name in self.input_names]
            inputs = inputs if len(inputs) > 1 else inputs[0]
        given = inputs if len(self.inputs) > 1 else [inputs]
        if len(self.inputs) == 1 and isinstance(inputs, list) and len(inputs) == 1:
            if _checks.rank(inputs[0]) == self.inputs[0].ndim:
                given = inputs
        if not isinstance(given, list | tuple) or len(given) != len(self.inputs):
            what = len(given) if isinstance(given, list | tuple) else f"a {type(given).__name__}"
            raise ValueError(
                f"Model {self.name} takes a list of {len(self.inputs)} inputs, got {what}."
            )
        arrays = []
        for array, tensor in zip(given, self.inputs, strict=True):
            what = f"Input {tensor.layer.name} of model {self.name}"
            array = _checks.real_array(array, what)
            InputSpec(shape=tensor.shape).check(array.shape, what)
            arrays.append(array)
        return arrays

    # ------------------------------------------------------------------ training

    @delegated(Trainer.compile)
    def compile(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.fit)
    def fit(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.evaluate)
    def evaluate(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.predict)
    def predict(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.train_on_batch)
    def train_on_batch(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.test_on_batch)
    def test_on_batch(self) -> Trainer:
        return self._trainer

    @delegated(Trainer.predict_on_batch)
    def predict_on_batch(self) -> Trainer:
        return self._trainer

    @delegated(GeneratedTraining.fit_generator)
    def fit_generator(self) -> GeneratedTraining:
        return self._trainer.generated

    @delegated(GeneratedTraining.evaluate_generator)
    def evaluate_generator(self) -> GeneratedTraining:
        return self._trainer.generated

    @delegated(GeneratedTraining.predict_generator)
    def predict_generator(self) -> GeneratedTraining:
        return self._trainer.generated

    # ------------------------------------------------------------------ files

    save = _save
    save_weights = _save_weights
    load_weights = _load_weights
    _check_path = _savable.check_path
    _check_weights_path = _savable.check_weights_path

    # ------------------------------------------------------------------ config

    def get_config(self) -> dict[str, Any]:
        """The layers, their configurations and how they are connected, as plain JSON values."""
        return describe(self.name, self.layers, self._nodes, self.inputs, self.outputs)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """A new model, without its weights, from what `get_config` returned.

        Raises
        ------
        ValueError
            If a layer is unknown, or connected to one that does not exist.
        """
        layers = layers_of(config["layers"], custom_objects)
        connect(config["layers"], layers)
        inputs = outputs_at(layers, config["input_layers"])
        outputs = outputs_at(layers, config["output_layers"])
        return cls(inputs, outputs, name=config.get("name"))

    def to_json(self, **options: Any) -> str:
        """The architecture as a JSON text of Keras 2; `options` go to `json.dumps`."""
        import json

        content = {
            **storage().config_to_json(self),
            "keras_version": "2.0.8-tf",
            "backend": f"cylstm {__version__}",
        }
        return json.dumps(content, **options)

    def to_yaml(self, **options: Any) -> NoReturn:
        """Refused: reading YAML can execute what stands in it. See `to_json`.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "YAML is not written, since reading it can execute code: use to_json(), and "
            "cylstm.models.model_from_json(text)."
        )

    @_spellings.summary
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
    ) -> None:
        """Print the layers, their output shapes and numbers of parameters.

        Parameters
        ----------
        line_length, positions, print_fn
            As for `cylstm.utils.print_summary`.
        """
        if not self.built:
            raise ValueError(
                f"Model {self.name} is not built, so its shapes are not known: give its first "
                "layer an input_shape, or call build(input_shape)."
            )
        self._trainer.warn_of_frozen_layers()
        print_summary(self, line_length, positions, print_fn)

    plot = _plot


def _are_arrays(inputs: Any, number: int) -> bool:
    """Whether inputs are what `_as_arrays` makes of them, which calling the model has done."""
    return (
        type(inputs) is list
        and len(inputs) == number
        and all(type(array) is np.ndarray for array in inputs)
    )


def _how_to_call(value: Any) -> str:
    return f": call it on one, {type(value).__name__}(...)(x)" if isinstance(value, Layer) else ""


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)
