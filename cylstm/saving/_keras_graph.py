"""Architectures from every Keras as cylstm writes them, and back: models and who calls whom.

A model in a file is a Sequential, a list of layers, or a graph: layers, each with the calls that
were made of it. A call names its inputs by layer, number of the call and number of the output.
Keras 3 writes calls with all their arguments, and masks as layers of their own; Keras 1 and 2 count
the calls of a model within a model from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cylstm.saving._keras_config import (
    CYLSTM,
    KERAS_3,
    Origin,
    check_activations,
    class_name_of,
    entry_from,
    origin_of,
    own_entry,
)

__all__ = ["architecture", "model_from", "written"]

_MODELS = ("Sequential", "Model")
_OPERATIONS = "keras.src.ops."  # the module of what is no layer in a graph of Keras 3
_SAME_MASK = ("ExpandDims", "Any", "All", "LogicalOr", "LogicalAnd", "Concatenate")
_NO_MASK = ("ZerosLike", "OnesLike")


def architecture(document: Any) -> dict[str, Any]:
    """What `models.model_from_config` takes, from the JSON of any Keras or of cylstm.

    Parameters
    ----------
    document : dict
        As parsed; it may be hostile.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": ..., "name": ...}``; the name may be None.

    Raises
    ------
    ValueError
        If it describes no model, or what cannot be honoured.
    """
    if not isinstance(document, Mapping):
        raise ValueError("the architecture is no JSON object")
    if str(document.get("backend")).startswith("cylstm"):
        return model_from(document, CYLSTM)
    version = document.get("keras_version")
    if version is None:
        version = "3" if "module" in document else "1"
    return model_from(document, origin_of(version))


def model_from(entry: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """The model that an entry describes, as `architecture` returns it.

    Parameters
    ----------
    entry : dict
        With class_name and config.
    origin : str
        Of `origin_of`.

    Raises
    ------
    ValueError
        As for `architecture`.
    """
    name = class_name_of(entry)
    config = entry["config"]

    def nested(entry: Mapping[str, Any]) -> dict[str, Any]:
        if _is_operation(entry, origin):
            return {"class_name": entry["class_name"], "config": {}, "operation": True}
        if class_name_of(entry) in _MODELS:
            return model_from(entry, origin)
        if origin == CYLSTM:
            return own_entry(entry, nested)
        return entry_from(entry, origin, nested)

    def layer(entry: Any) -> dict[str, Any]:
        if not isinstance(entry, Mapping):
            raise ValueError("a layer is no JSON object")
        found = nested(entry)
        own = found["config"]
        name = found.get("name") or entry.get("name")
        if name is None and isinstance(own, dict):
            name = own.get("name")
        return {**found, "name": name} if name is not None else found

    if isinstance(config, list):  # a Sequential of Keras 1 and 2
        return {"class_name": name, "config": [layer(e) for e in config], "name": entry.get("name")}
    entries = config.get("layers")
    if not isinstance(entries, list):
        raise ValueError(f"the configuration of a {name} holds no list of layers")
    title = config.get("name")
    if "input_layers" not in config:
        stack = [layer(e) for e in entries]
        _tell_shape(stack, config.get("build_input_shape"))
        return {"class_name": name, "config": stack, "name": title}
    calls = _without_masks([_Calls.of(entry, layer(entry)) for entry in entries])
    graph = _counted_from_0(calls, [config.get("input_layers"), config.get("output_layers")])
    return {"class_name": name, "config": {"name": title, **graph}, "name": title}


def _tell_shape(stack: list[dict[str, Any]], shape: Any) -> None:
    """Give the first layer the shape that a Sequential was built for, where only that says it."""
    first = stack[0]["config"] if stack else None
    if isinstance(shape, list) and isinstance(first, dict) and "layers" not in first:
        first.setdefault("batch_input_shape", shape)


def _is_operation(entry: Mapping[str, Any], origin: Origin) -> bool:
    """Whether Keras 3 wrote an operation, which is no layer; in HDF5 it does not say the module."""
    if origin != KERAS_3:
        return False
    if str(entry.get("module")).startswith(_OPERATIONS):
        return True
    config = entry.get("config")
    known = entry.get("class_name") in ("NotEqual", *_SAME_MASK, *_NO_MASK)
    return known and isinstance(config, Mapping) and "trainable" not in config


class _Calls:
    """A layer of a graph, and its calls: the tensors and the other arguments of each."""

    def __init__(
        self, entry: dict[str, Any], name: str, calls: list[tuple[list[Any], Any]]
    ) -> None:
        self.entry = entry
        self.name = name
        self.calls = calls

    @classmethod
    def of(cls, given: Mapping[str, Any], entry: dict[str, Any]) -> _Calls:
        name = entry.get("name")
        nodes = given.get("inbound_nodes")
        if not isinstance(name, str) or not isinstance(nodes, list):
            raise ValueError(f"layer {name!r} of a graph has no name or no inbound_nodes")
        return cls(entry, name, [_call(node, name) for node in nodes])


def _call(node: Any, layer: str) -> tuple[list[Any], dict[str, Any]]:
    """The tensors and the other arguments of a call."""
    if isinstance(node, Mapping):
        return _call_of_keras_3(node, layer)
    if not isinstance(node, list) or not node:
        raise ValueError(f"layer {layer}: a call is {node!r}")
    if isinstance(node[0], str):
        node = [node]
    tensors: list[Any] = []
    arguments: dict[str, Any] = {}
    for place in node:
        if not _is_place(place):
            raise ValueError(f"layer {layer}: an input of a call is {place!r}")
        tensors.append(place[:3])
        if len(place) > 3 and isinstance(place[3], Mapping):
            arguments.update(place[3])
    states = arguments.pop("initial_state", None)
    if isinstance(states, list) and states and all(map(_is_place, states)):
        tensors += [state[:3] for state in states]
    elif states is not None:
        arguments["initial_state"] = states
    return tensors, _plain_arguments(arguments, layer)


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and all(type(n) is int and n >= 0 for n in value[1:3])
    )


def _call_of_keras_3(node: Mapping[str, Any], layer: str) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = node.get("args"), node.get("kwargs")
    if not isinstance(args, list) or not isinstance(kwargs, Mapping):
        raise ValueError(f"layer {layer}: a call has no args or kwargs")
    kwargs = dict(kwargs)
    tensors: list[Any] = []
    rest = []
    for value in [*args, kwargs.pop("initial_state", None)]:
        found = _tensors(value)
        tensors += found
        if not found and value is not None:
            rest.append(value)
    arguments = {k: _tensors(v) or v for k, v in kwargs.items()}
    if rest:
        arguments["args"] = rest
    return tensors, arguments


def _tensors(value: Any) -> list[Any]:
    """The places that symbolic tensors of Keras 3 stand for; none if it is something else."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        place = config.get("keras_history") if isinstance(config, Mapping) else None
        if not _is_place(place):
            raise ValueError(f"a tensor is at {place!r}")
        return [place]
    if isinstance(value, list) and value:
        found = [_tensors(entry) for entry in value]
        return [place for places in found for place in places] if all(found) else []
    return []


def _plain_arguments(arguments: dict[str, Any], layer: str) -> dict[str, Any]:
    """The arguments that a call has here; None and False of these say nothing."""
    found = {}
    for name, value in arguments.items():
        if value is None or (name == "training" and value is False):
            continue
        if name == "mask" or _mentions_a_place(value):
            raise ValueError(
                f"layer {layer}: a call with {name}={value!r} is not offered: masks come from "
                "Masking and Embedding, and inputs are given in a list"
            )
        found[name] = value
    return found


def _mentions_a_place(value: Any) -> bool:
    if isinstance(value, list):
        return _is_place(value) or any(map(_mentions_a_place, value))
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _without_masks(layers: list[_Calls]) -> list[_Calls]:
    """The graph without what Keras 3 makes of masks: models pass them on by themselves.

    A mask that comes of an Embedding or a Masking stands in the graph as operations on the same
    input, and is handed to the layers that follow.
    """
    masks = _own_masks(layers)
    kept = [layer for layer in layers if layer.name not in masks]
    for layer in kept:
        if layer.entry.get("operation"):
            raise ValueError(
                f"layer {layer.name} is the operation {layer.entry['class_name']} of Keras 3 on a "
                "tensor, which is not offered: write it as a layer with call"
            )
        calls = []
        for tensors, arguments in layer.calls:
            given = arguments.get("mask")
            places = given if isinstance(given, list) else []
            if places and all(_is_place(p) and p[0] in masks for p in places):
                arguments = {k: v for k, v in arguments.items() if k != "mask"}
            if any(tensor[0] in masks for tensor in tensors):
                raise ValueError(f"layer {layer.name}: a mask as an input is not offered")
            calls.append((tensors, _plain_arguments(arguments, layer.name)))
        layer.calls = calls
    return kept


def _own_masks(layers: list[_Calls]) -> dict[str, Any]:
    """The operations that compute the mask of an Embedding or a Masking, and of which.

    Operations that join several masks are none of them: Keras 3 joins them in other ways.
    """
    values: dict[str, list[Any]] = {}  # by what is masked, the values that are
    for layer in layers:
        config, kind = layer.entry["config"], layer.entry["class_name"]
        if kind == "Masking" or (kind == "Embedding" and config.get("mask_zero")):
            for tensors, _ in layer.calls:
                known = values.setdefault(repr(tensors), [])
                value = [config.get("mask_value", 0)]
                known += [] if value in known else [value]
    found: dict[str, Any] = {}
    nothing: set[str] = set()
    for layer in layers:  # each stands behind those that it reads
        if not layer.entry.get("operation") or len(layer.calls) != 1:
            continue
        tensors, arguments = layer.calls[0]
        kind = layer.entry["class_name"]
        if kind in _NO_MASK:
            nothing.add(layer.name)
        elif kind == "NotEqual" and arguments.get("args") in values.get(repr(tensors), []):
            found[layer.name] = tensors
        elif kind in _SAME_MASK and all(t[0] in found or t[0] in nothing for t in tensors):
            of = [found[t[0]] for t in tensors if t[0] in found]
            if of and all(one == of[0] for one in of):
                found[layer.name] = of[0]
    return found | dict.fromkeys(nothing if found else ())


# ---------------------------------------------------------------------------- numbers of calls


def _counted_from_0(layers: list[_Calls], ends: list[Any]) -> dict[str, Any]:
    """The graph as a configuration, with the calls of inner models counted from 0."""
    inner = {layer.name for layer in layers if layer.entry["class_name"] in _MODELS}
    inputs, outputs = ([place[:3] for place in _places(end)] for end in ends)
    every = (
        [t for layer in layers for tensors, _ in layer.calls for t in tensors] + inputs + outputs
    )
    at_0 = {place[0] for place in every if place[1] == 0}

    def moved(place: list[Any]) -> list[Any]:
        name, call, output = place
        return [name, call - (name in inner and name not in at_0), output]

    return {
        "layers": [
            {
                **layer.entry,
                "inbound_nodes": [
                    [[*moved(tensor), arguments] for tensor in tensors]
                    for tensors, arguments in layer.calls
                ],
            }
            for layer in layers
        ],
        "input_layers": [moved(place) for place in inputs],
        "output_layers": [moved(place) for place in outputs],
    }


def _places(value: Any) -> list[Any]:
    """The places of the inputs or outputs of a model: one, a list, or a dict of such."""
    if isinstance(value, Mapping):
        value = list(value.values())
    places = [value] if _is_place(value) else value
    if not isinstance(places, list) or not all(map(_is_place, places)):
        raise ValueError(f"the inputs or outputs of a model are at {value!r}")
    return places


# ---------------------------------------------------------------------------- writing


def written(model: Any) -> dict[str, Any]:
    """The architecture of a model as Keras 2 writes it.

    Parameters
    ----------
    model : Model
        Any.

    Raises
    ------
    ValueError
        If Keras 2 means another function by the name of an activation, or has none.
    """
    config = _as_in_keras_2(model.get_config())
    return {"class_name": type(model).__name__, "config": config}


def _as_in_keras_2(config: Any) -> Any:
    """The configuration of a model, with the calls of models within it counted from 1."""
    if isinstance(config, list):
        return [_entry_as_in_keras_2(entry) for entry in config]
    inner = {e["name"] for e in config["layers"] if e["class_name"] in _MODELS}

    def moved(place: list[Any]) -> list[Any]:
        return [place[0], place[1] + (place[0] in inner), *place[2:]]

    layers = [
        {
            **_entry_as_in_keras_2(entry),
            "inbound_nodes": [[moved(place) for place in call] for call in entry["inbound_nodes"]],
        }
        for entry in config["layers"]
    ]
    ends = {k: [moved(p) for p in config[k]] for k in ("input_layers", "output_layers")}
    return {**config, "layers": layers, **ends}


def _entry_as_in_keras_2(entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry["class_name"] in _MODELS:
        return {**entry, "config": _as_in_keras_2(entry["config"])}
    check_activations(entry, "keras2")
    return own_entry(entry, _entry_as_in_keras_2)
