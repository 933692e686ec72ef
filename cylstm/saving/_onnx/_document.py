"""What an ONNX file holds, as messages: models, graphs, nodes, attributes, tensors, types.

The field numbers are those of ``onnx.proto``; what is not needed to read or write a model is not
listed.

References
----------
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm.saving._onnx._wire import (
    BYTES,
    DOUBLES,
    FLOAT,
    FLOATS,
    INT,
    INTS,
    TEXT,
    Message,
    Room,
    part,
)

__all__ = [
    "Attribute",
    "Dimension",
    "Entry",
    "Graph",
    "Model",
    "Node",
    "OperatorSet",
    "Shape",
    "Tensor",
    "TensorType",
    "Type",
    "ValueInfo",
    "attribute",
    "attribute_value",
    "decode",
]


class Entry(Message):
    """A pair of texts."""

    key: str | None = part(1, TEXT)
    value: str | None = part(2, TEXT)


class Tensor(Message):
    """An array with a name; its numbers in one of several places."""

    dims: list[int] = part(1, INT, repeated=True)
    data_type: int | None = part(2, INT)
    segment: memoryview | None = part(3, BYTES)
    float_data: np.ndarray | None = part(4, FLOATS)
    int32_data: np.ndarray | None = part(5, INTS)
    string_data: list[memoryview] = part(6, BYTES, repeated=True)
    int64_data: np.ndarray | None = part(7, INTS)
    name: str | None = part(8, TEXT)
    raw_data: Any = part(9, BYTES)
    double_data: np.ndarray | None = part(10, DOUBLES)
    uint64_data: np.ndarray | None = part(11, INTS)
    external_data: list[Entry] = part(13, Entry, repeated=True)
    data_location: int | None = part(14, INT)


class Dimension(Message):
    """A size: a number, a name for one that is not known, or neither."""

    value: int | None = part(1, INT)
    name: str | None = part(2, TEXT)


class Shape(Message):
    """Sizes."""

    dim: list[Dimension] = part(1, Dimension, repeated=True)


class TensorType(Message):
    """What numbers, and how many."""

    elem_type: int | None = part(1, INT)
    shape: Shape | None = part(2, Shape)


class Type(Message):
    """The type of a value: of those that there are, only tensors are known here."""

    tensor_type: TensorType | None = part(1, TensorType)


class ValueInfo(Message):
    """The name and the type of an input or output of a graph."""

    name: str | None = part(1, TEXT)
    type: Type | None = part(2, Type)


class Attribute(Message):
    """An argument of a node."""

    name: str | None = part(1, TEXT)
    f: float | None = part(2, FLOAT)
    i: int | None = part(3, INT)
    s: Any = part(4, BYTES)
    t: Tensor | None = part(5, Tensor)
    g: Graph | None = part(6, None)
    floats: list[float] = part(7, FLOAT, repeated=True)
    ints: list[int] = part(8, INT, repeated=True)
    strings: list[Any] = part(9, BYTES, repeated=True)
    type: int | None = part(20, INT)
    ref_attr_name: str | None = part(21, TEXT)


class Node(Message):
    """A call of an operator."""

    input: list[str] = part(1, TEXT, repeated=True)
    output: list[str] = part(2, TEXT, repeated=True)
    name: str | None = part(3, TEXT)
    op_type: str | None = part(4, TEXT)
    attribute: list[Attribute] = part(5, Attribute, repeated=True)
    domain: str | None = part(7, TEXT)

    @property
    def title(self) -> str:
        """What errors call it."""
        return f"node {self.name or ', '.join(self.output)!r} ({self.op_type})"


class Graph(Message):
    """Nodes, and the constants, inputs and outputs that they connect."""

    # Tensors first: nodes have room by what they hold.
    initializer: list[Tensor] = part(5, Tensor, repeated=True)
    sparse_initializer: list[memoryview] = part(15, BYTES, repeated=True)
    node: list[Node] = part(1, Node, repeated=True)
    name: str | None = part(2, TEXT)
    input: list[ValueInfo] = part(11, ValueInfo, repeated=True)
    output: list[ValueInfo] = part(12, ValueInfo, repeated=True)


# A graph may be an argument of a node in a graph.
Attribute._parts[6] = ("g", Graph, False)


class OperatorSet(Message):
    """The version of the operators of a domain; none stands for ONNX's own."""

    domain: str | None = part(1, TEXT)
    version: int | None = part(2, INT)


class Model(Message):
    """A whole file."""

    ir_version: int | None = part(1, INT)
    producer_name: str | None = part(2, TEXT)
    producer_version: str | None = part(3, TEXT)
    graph: Graph | None = part(7, Graph)
    opset_import: list[OperatorSet] = part(8, OperatorSet, repeated=True)
    metadata_props: list[Entry] = part(14, Entry, repeated=True)


def decode(data: bytes) -> Model:
    """The model that the bytes of a file hold.

    Raises
    ------
    ValueError
        If they are none.
    """
    return Model.decoded(memoryview(data), Room())


_SIMPLE = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g"}
_LISTS = {6: "floats", 7: "ints", 8: "strings"}


def attribute_value(attribute: Attribute, where: str) -> Any:
    """The value of an attribute: a number, text, tensor or graph, or a list of such.

    Raises
    ------
    ValueError
        If it has another type, or no value.
    """
    kind = attribute.type
    if kind in _LISTS:
        values = getattr(attribute, _LISTS[kind])
        return [_plain(v, where) for v in values]
    value = getattr(attribute, _SIMPLE[kind]) if kind in _SIMPLE else None
    if kind in (1, 2) and value is None:
        value = 0  # as other writers leave zeros out
    if value is None:
        raise ValueError(f"{where} has an attribute {attribute.name!r} of the type {kind}")
    return _plain(value, where)


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, memoryview | bytes):
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{where} has an attribute that is no text") from None
    return value


def attribute(name: str, value: Any) -> Attribute:
    """An attribute that holds a value: a number, text, tensor or graph, or a list of such."""
    if isinstance(value, list | tuple):
        kind = 8 if isinstance(value[0], str) else 6 if isinstance(value[0], float) else 7
        content: Any = [v.encode() for v in value] if kind == 8 else list(value)
        return Attribute(name=name, type=kind, **{_LISTS[kind]: content})
    kinds = ((float, 1), (int, 2), (str, 3), (Tensor, 4), (Graph, 5))
    kind = next(number for cls, number in kinds if isinstance(value, cls))
    content = value.encode() if kind == 3 else value
    return Attribute(name=name, type=kind, **{_SIMPLE[kind]: content})
