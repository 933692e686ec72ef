"""Connections: the calls of a graph of layers as a configuration, and back."""

from __future__ import annotations

from collections import deque
from typing import Any

from cylstm import _registry
from cylstm.graph import Node, SymbolicTensor
from cylstm.layers import serialization
from cylstm.layers.layer import Layer

__all__ = ["connect", "describe", "layers_of", "outputs_at"]


def describe(
    name: str,
    layers: list[Layer],
    nodes: list[Node],
    inputs: list[SymbolicTensor],
    outputs: list[SymbolicTensor],
) -> dict[str, Any]:
    """The configuration of a graph, as Keras writes it: layers, and which outputs each reads."""
    kept = {id(node) for node in nodes}
    number = {
        id(node): n
        for layer in layers
        for n, node in enumerate(k for k in layer.inbound_nodes if id(k) in kept)
    }

    def place(tensor: SymbolicTensor) -> list[Any]:
        return [tensor.layer.name, number[id(tensor.node)], tensor.index]

    entries = []
    for layer in layers:
        calls = [
            [place(t) + [_plain(node.arguments)] for t in node.input_tensors]
            for node in layer.inbound_nodes
            if id(node) in kept and node.inbound_nodes
        ]
        entry = serialization.serialize(layer) | {"name": layer.name, "inbound_nodes": calls}
        entries.append(entry)
    return {
        "name": name,
        "layers": entries,
        "input_layers": [place(t) for t in inputs],
        "output_layers": [place(t) for t in outputs],
    }


def _plain(value: Any) -> Any:
    """The arguments of a call as plain JSON values: arrays, of initial states, become lists."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return _registry.plain(value)


def layers_of(
    entries: list[dict[str, Any]], custom_objects: dict[str, Any] | None
) -> dict[str, Layer]:
    """The layers of a configuration, by their names."""
    layers: dict[str, Layer] = {}
    for entry in entries:
        layer = serialization.deserialize(entry, custom_objects)
        layer.name = entry.get("name", layer.name)  # the config of a Sequential has none
        if layer.name in layers:
            raise ValueError(f"Two layers of the configuration are named {layer.name!r}.")
        layers[layer.name] = layer
    return layers


def connect(entries: list[dict[str, Any]], layers: dict[str, Layer]) -> None:
    """Repeat the calls that a configuration lists, each as soon as its inputs exist."""
    waiting = {entry["name"]: deque(entry["inbound_nodes"]) for entry in entries}
    blocked: dict[str, list[str]] = {}  # by the layer that they wait for
    found: dict[str, list[SymbolicTensor]] = {name: [] for name in waiting}  # of the next call
    ready = deque(waiting)
    while ready:
        name = ready.popleft()
        calls = waiting[name]  # they are numbered: none may overtake another
        while calls:
            inputs = found[name]
            for place in calls[0][len(inputs) :]:
                tensor = _find_output(layers, *place[:3])
                if tensor is None:
                    blocked.setdefault(place[0], []).append(name)
                    break
                inputs.append(tensor)
            if len(inputs) < len(calls[0]):
                break
            call, found[name] = calls.popleft(), []
            arguments = call[0][3] if len(call[0]) > 3 else {}
            layers[name](inputs if len(inputs) > 1 else inputs[0], **arguments)
            ready += blocked.pop(name, [])
    for name, calls in waiting.items():
        if calls:
            raise ValueError(f"The inputs of layer {name} do not exist: {calls[0]}.")


def _find_output(
    layers: dict[str, Layer], name: str, node: int, index: int
) -> SymbolicTensor | None:
    if name not in layers:
        raise ValueError(f"The configuration refers to a layer {name!r}, which it does not hold.")
    nodes = layers[name].inbound_nodes
    return nodes[node].output_tensors[index] if node < len(nodes) else None


def outputs_at(layers: dict[str, Layer], places: list[Any]) -> list[SymbolicTensor]:
    """The tensors at places of a configuration: [layer, call, output], or a list of such."""
    places = [places] if isinstance(places[0], str) else places
    found = [_find_output(layers, *place[:3]) for place in places]
    tensors = [tensor for tensor in found if tensor is not None]
    if len(tensors) < len(found):
        raise ValueError(f"The configuration names outputs that do not exist: {places}.")
    return tensors
