"""ONNX files in a few lines, good and bad ones."""

import numpy as np

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
    attribute,
)
from cylstm.saving._onnx._tensors import tensor_of

__all__ = ["graph", "info", "lstm_weights", "model", "node"]


def info(name, shape=("batch", None, 3), kind=1):
    """An input or output: a size that is a text or None is not known."""
    dims = [Dimension(value=n) if isinstance(n, int) else Dimension(name=n) for n in shape]
    tensor = TensorType(elem_type=kind, shape=Shape(dim=dims))
    return ValueInfo(name=name, type=Type(tensor_type=tensor))


def node(op, inputs, outputs="y", **attributes):
    """A node; inputs and outputs are texts of names between spaces, a dot for one left out."""
    entries = [attribute(name, value) for name, value in attributes.items()]
    names = ["" if name == "." else name for name in inputs.split()]
    return Node(
        input=names, output=outputs.split(), name=f"the_{op}", op_type=op, attribute=entries
    )


def graph(nodes, tensors=None, inputs=None, outputs="y", name="graph"):
    """A graph; `tensors` are arrays by name."""
    return Graph(
        node=nodes,
        initializer=[tensor_of(np.asarray(a), n) for n, a in (tensors or {}).items()],
        input=[info("x")] if inputs is None else inputs,
        output=[info(n) for n in outputs.split()],
        name=name,
    )


def model(nodes, tensors=None, inputs=None, outputs="y", version=17):
    """A file as a message."""
    return Model(
        ir_version=8,
        producer_name="tests",
        graph=graph(nodes, tensors, inputs, outputs),
        opset_import=[OperatorSet(domain="", version=version)],
    )


def lstm_weights(units=2, width=3, directions=1, dtype="float32"):
    """W, R and B of an LSTM node, by these names."""
    chance = np.random.default_rng(1)
    shapes = {"W": (4 * units, width), "R": (4 * units, units), "B": (8 * units,)}
    return {n: chance.normal(0, 0.5, (directions, *s)).astype(dtype) for n, s in shapes.items()}
