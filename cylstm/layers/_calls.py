"""What a layer tells of its nodes: functions that `Layer` has as methods, or reads itself by.

A node is one symbolic call: its ``input_tensors`` and ``output_tensors``, each with a ``shape``
and a ``mask``. `input`, `output`, ... speak of the only node; the methods that end in ``_at``
take the number of a node, in the order of the calls.
"""

from __future__ import annotations

from typing import Any, Protocol

from cylstm._methods import member
from cylstm.graph import Node, NotConnectedError, SymbolicTensor

__all__ = [
    "Called",
    "get_input_at",
    "get_input_mask_at",
    "get_input_shape_at",
    "get_output_at",
    "get_output_mask_at",
    "get_output_shape_at",
    "of_all_calls",
    "of_the_call",
]


class Called(Protocol):
    """What these functions read of a layer."""

    name: str
    inbound_nodes: list[Node]


@member
def get_input_at(self: Called, node_index: int) -> Any:
    """The input tensor, or list of tensors, of a call.

    Raises
    ------
    RuntimeError
        If the layer has no nodes.
    ValueError
        If it has fewer.
    """
    return _one_or_list(_node_at(self, node_index, "input").input_tensors)


@member
def get_output_at(self: Called, node_index: int) -> Any:
    """The output tensor, or list of tensors, of a call; errors as `get_input_at`."""
    return _one_or_list(_node_at(self, node_index, "output").output_tensors)


@member
def get_input_shape_at(self: Called, node_index: int) -> Any:
    """The input shape, or list of shapes, of a call; errors as `get_input_at`."""
    return _each("shape", _node_at(self, node_index, "input shape").input_tensors)


@member
def get_output_shape_at(self: Called, node_index: int) -> Any:
    """The output shape, or list of shapes, of a call; errors as `get_input_at`."""
    return _each("shape", _node_at(self, node_index, "output shape").output_tensors)


@member
def get_input_mask_at(self: Called, node_index: int) -> Any:
    """The input mask (None without one), or list of masks, of a call; errors likewise."""
    return _each("mask", _node_at(self, node_index, "input mask").input_tensors)


@member
def get_output_mask_at(self: Called, node_index: int) -> Any:
    """The output mask (None without one), or list of masks, of a call; errors likewise."""
    return _each("mask", _node_at(self, node_index, "output mask").output_tensors)


def of_the_call(layer: Called, end: str, what: str = "") -> Any:
    """The tensor, or list of tensors, at an end of the only call; or its `what`: the mask.

    Raises
    ------
    AttributeError
        If the layer has no node, or several.
    """
    name = f"{end} {what}".strip()
    node = _node_at(layer, 0, name)
    if len(layer.inbound_nodes) > 1:
        raise AttributeError(
            f"Layer {layer.name} was called {len(layer.inbound_nodes)} times, so its {name} is "
            f"ambiguous: use get_{name.replace(' ', '_')}_at(index)."
        )
    tensors = _tensors(node, end)
    return _each(what, tensors) if what else _one_or_list(tensors)


def of_all_calls(layer: Called, end: str) -> Any:
    """The shape, or list of shapes, at an end of every call.

    Raises
    ------
    AttributeError
        If the layer has no node, or nodes of different shapes.
    """
    _node_at(layer, 0, f"{end} shape")
    shapes = [_each("shape", _tensors(node, end)) for node in layer.inbound_nodes]
    if any(shape != shapes[0] for shape in shapes):
        raise AttributeError(
            f"Layer {layer.name} was called with different shapes, so its {end} shape is "
            f"ambiguous: use get_{end}_shape_at(index)."
        )
    return shapes[0]


def _node_at(layer: Called, index: int, what: str) -> Node:
    if not layer.inbound_nodes:
        raise NotConnectedError(
            f"Layer {layer.name} has no {what}: it was never called on symbolic tensors."
        )
    if not 0 <= index < len(layer.inbound_nodes):
        raise ValueError(
            f"Asked for the {what} of call {index} of layer {layer.name}, which has "
            f"{len(layer.inbound_nodes)}, counted from 0."
        )
    return layer.inbound_nodes[index]


def _tensors(node: Node, end: str) -> list[SymbolicTensor]:
    return node.input_tensors if end == "input" else node.output_tensors


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _each(attribute: str, tensors: list[SymbolicTensor]) -> Any:
    return _one_or_list([getattr(tensor, attribute) for tensor in tensors])
