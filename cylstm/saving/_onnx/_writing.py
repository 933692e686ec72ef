"""A model as a graph of ONNX: for each layer the operators that compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm import models
from cylstm._version import __version__
from cylstm.graph import Node as Call
from cylstm.graph import SymbolicTensor, walk
from cylstm.layers import LSTM, Bidirectional, InputLayer, TimeDistributed
from cylstm.saving._limits import Limits, check_count
from cylstm.saving._onnx._document import (
    Dimension,
    Graph,
    Model,
    Node,
    OperatorSet,
    Shape,
    TensorType,
    Type,
    ValueInfo,
)
from cylstm.saving._onnx._emitting import Emitter
from cylstm.saving._onnx._layers import OnnxLengthsMask, OnnxSlice, OnnxZeroPastEnd
from cylstm.saving._onnx._tensors import type_number
from cylstm.saving._onnx._writing_layers import WRITTEN, Layered
from cylstm.saving._onnx._writing_lstm import bidirectional, lstm

__all__ = ["document_of"]

_FORMAT = 8  # of 2021, which every runtime of today reads
OPERATORS = 17
_LARGEST = 2**31 - 2**20  # bytes: protocol buffers end at 2 GiB
_POINTWISE = ("Dense", "Activation", "Dropout", "LeakyReLU", "ELU", "ThresholdedReLU")


def document_of(model: Any) -> Model:
    """The file that describes a model.

    Parameters
    ----------
    model : Model
        A built one.

    Raises
    ------
    ValueError
        If a layer computes what no operator does, or the weights take more than 2 GiB.
    """
    if not model.built:
        raise ValueError(
            f"Model {model.name} is not built, so it has no weights: give its first layer an "
            "input_shape, or call build(input_shape)."
        )
    total = sum(variable.value.nbytes for variable in model.weights)
    if total > _LARGEST:
        raise ValueError(f"The weights take {total} bytes, and ONNX files end at 2 GiB.")
    writer = _Writer()
    inputs = [writer.input(tensor) for tensor in model.inputs]
    writer.calls(model.inputs, model.outputs)
    outputs = []
    for tensor, wanted in zip(model.outputs, model.output_names, strict=True):
        outputs.append(writer.output(tensor, wanted))
    e = writer.emitter
    limits = Limits.of([variable.value for variable in model.weights])
    check_count(len(e.nodes), 4 * limits.objects, "the graph has {} nodes")
    return Model(
        ir_version=_FORMAT,
        producer_name="cylstm",
        producer_version=__version__,
        opset_import=[OperatorSet(domain="", version=OPERATORS)],
        graph=Graph(
            node=e.nodes, name=model.name, initializer=e.tensors, input=inputs, output=outputs
        ),
    )


class _Writer:
    """What is known while a model is written: the names of tensors and lengths."""

    def __init__(self) -> None:
        self.emitter = Emitter()
        self._names: dict[int, str] = {}
        self._lengths: dict[int, str] = {}  # by the identity of the mask that they make
        self._zeroed: set[int] = set()  # tensors of LSTM nodes: zeros past the length

    def input(self, tensor: SymbolicTensor) -> ValueInfo:
        """An input of the graph."""
        name = self.emitter.name(tensor.name, tensor.dtype)
        self._names[id(tensor)] = name
        return _info(name, tensor.dtype, tensor.shape)

    def output(self, tensor: SymbolicTensor, wanted: str) -> ValueInfo:
        """An output of the graph, under the name of its layer."""
        e, source = self.emitter, self._names[id(tensor)]
        e.enter(wanted)
        name = e.name(f"{wanted}/output" if wanted in e.dtypes else wanted, e.dtypes[source])
        e.nodes.append(Node(input=[source], output=[name], name=name, op_type="Identity"))
        return _info(name, e.dtypes[source], tensor.shape)

    def calls(self, inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]) -> None:
        """All calls between inputs and outputs."""
        for call in walk(list(inputs), list(outputs))[0]:
            if isinstance(call.layer, InputLayer):
                continue
            try:
                names = self._called(call)
            except ValueError as error:
                layer = call.layer
                raise ValueError(
                    f"Layer {layer.name} ({type(layer).__name__}) cannot be written as ONNX: "
                    f"{error}."
                ) from None
            for tensor, name in zip(call.output_tensors, names, strict=True):
                self._names[id(tensor)] = name

    def _called(self, call: Call) -> list[str]:
        layer, e = call.layer, self.emitter
        inputs = [self._names[id(tensor)] for tensor in call.input_tensors]
        if isinstance(layer, models.Model):
            for tensor, name in zip(layer.inputs, inputs, strict=True):
                self._names[id(tensor)] = name
            self.calls(layer.inputs, layer.outputs)
            return [self._names[id(tensor)] for tensor in layer.outputs]
        e.enter(layer.name)
        arguments = dict(call.arguments)
        states = [np.asarray(s) for s in arguments.pop("initial_state", None) or []]
        if arguments:
            raise ValueError(f"it is called with {sorted(arguments)}")
        if type(layer) in (LSTM, Bidirectional):
            inputs = [e.cast(name, layer.dtype) for name in inputs]
            names = [e.weight(s, f"{layer.name}/state") for s in states] or inputs[1:]
            return self._recurrent(call, inputs, names)
        if isinstance(layer, OnnxLengthsMask):
            lengths = inputs[1] if call.input_tensors[1].ndim == 1 else e.squeezed(inputs[1], 1)
            self._lengths[id(call.output_tensors[0].mask)] = e.cast(lengths, "int32")
            return inputs[:1]
        if isinstance(layer, OnnxZeroPastEnd):
            if id(call.input_tensors[0]) not in self._zeroed:
                raise ValueError("its input is no sequence of an LSTM with these lengths")
            return inputs[:1]
        return self._plain(call, inputs)

    def _recurrent(self, call: Call, inputs: list[str], states: list[str]) -> list[str]:
        layer, lengths = call.layer, ""
        mask = call.input_tensors[0].mask
        if mask is not None:
            if id(mask) not in self._lengths:
                raise ValueError("its input has a mask, which is no length of each sequence")
            lengths = self._lengths[id(mask)]
            if layer.return_sequences:
                self._note_zeros(call)
        write = lstm if type(layer) is LSTM else bidirectional
        found: list[str] = write(self.emitter, layer, inputs, states, lengths)
        return found

    def _note_zeros(self, call: Call) -> None:
        """Past the length a node gives zeros, and our layer the output before: see that it is one.

        So nothing may read the sequence before OnnxZeroPastEnd, but what turns it round.
        """
        tensor = call.output_tensors[0]
        while True:
            readers = [
                n for n in tensor.layer.outbound_nodes if any(t is tensor for t in n.input_tensors)
            ]
            self._zeroed.add(id(tensor))
            if len(readers) == 1 and isinstance(readers[0].layer, OnnxSlice):
                tensor = readers[0].output_tensors[0]
                continue
            if not readers or not all(isinstance(n.layer, OnnxZeroPastEnd) for n in readers):
                raise ValueError(
                    "it returns a masked sequence: past the end of each, ONNX has zeros there"
                )
            return

    def _plain(self, call: Call, inputs: list[str]) -> list[str]:
        layer, e = call.layer, self.emitter
        shapes = [tensor.shape for tensor in call.input_tensors]
        if isinstance(layer, TimeDistributed) and type(layer.layer).__name__ in _POINTWISE:
            layer = layer.layer  # the same at every timestep as it is
        write = WRITTEN.get(type(layer))
        if write is None:
            raise ValueError("there is no operator for layers of this kind")
        if any(t.mask is not None for t in call.input_tensors) and not layer.supports_masking:
            raise ValueError("its input has a mask")
        name = call.layer.name
        return [write(Layered(e, layer, name, inputs, shapes, call.output_tensors[0].shape))]


def _info(name: str, dtype: str, shape: Sequence[int | None]) -> ValueInfo:
    dims = [
        Dimension(value=size) if size is not None else
        Dimension(name="batch" if axis == 0 else f"{name}_{axis}")
        for axis, size in enumerate(shape)
    ]  # fmt: skip
    kind = TensorType(elem_type=type_number(dtype), shape=Shape(dim=dims))
    return ValueInfo(name=name, type=Type(tensor_type=kind))
