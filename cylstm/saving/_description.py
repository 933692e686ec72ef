"""A model as a JSON document, and back: architecture and training, without the arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from cylstm import _blank, _registry, models, optimizers
from cylstm.layers import serialization
from cylstm.saving import _json

__all__ = [
    "describe",
    "describe_training",
    "rebuild",
    "resume_training",
]

_PARTS = {"class_name", "config", "name", "input_shapes"}
_COMPILED = ("loss", "metrics", "loss_weights", "sample_weight_mode", "weighted_metrics")
_DTYPES = {
    None,
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
}
_MAX_CALLS = 4096
_MAX_TEXT = 2**16
# Beyond the stored numbers, for layers that hold some in places that are not weights.
_SPARE_NUMBERS = 2**16


def describe(model: Any) -> dict[str, Any]:
    """The architecture of a built model, as `rebuild` takes it.

    Raises
    ------
    TypeError, ValueError
        If the configuration of a layer holds what a file cannot, or is larger than is ever read.
    """
    document = _json.plain(serialization.serialize(model), f"The model {model.name}")
    document["name"] = model.name
    document["input_shapes"] = [list(tensor.shape) for tensor in model.inputs]
    check(document)
    return document


def check(document: Any) -> None:
    """Refuse an architecture that only takes time, or dtypes that NumPy would have to parse.

    Raises
    ------
    ValueError
        If layers are called too often (calls within calls multiply), a text is too long, or a
        dtype is none.
    """
    calls = _calls(document)
    if calls > _MAX_CALLS:
        raise ValueError(f"the model calls layers {calls} times, and at most {_MAX_CALLS} are read")
    level = [document]
    while level:
        for entry in level:
            if isinstance(entry, str) and len(entry) > _MAX_TEXT:
                raise ValueError(f"the configuration holds a text of {len(entry)} characters")
            if isinstance(entry, dict):
                _check_types(entry)
        level = [
            child
            for entry in level
            if isinstance(entry, dict | list)
            for child in (entry.values() if isinstance(entry, dict) else entry)
        ]


def _check_types(entry: dict[str, Any]) -> None:
    dtype = entry.get("dtype")
    if not isinstance(dtype, str | None) or dtype not in _DTYPES:
        raise ValueError(f"the configuration holds the dtype {dtype!r}")
    if "class_name" in entry and not isinstance(entry["class_name"], str):
        raise ValueError(f"the configuration holds the class_name {entry['class_name']!r}")


def _calls(value: Any) -> int:
    """How often layers are called in all; a model that is called k times calls its layers k times.

    A layer within `Bidirectional` exists twice.
    """
    if isinstance(value, list):
        return sum(map(_calls, value))
    if not isinstance(value, dict):
        return 0
    calls = sum(map(_calls, value.values()))
    if "class_name" not in value:
        return calls
    nodes = value.get("inbound_nodes")
    times = max(1, len(nodes)) if isinstance(nodes, list) else 1
    return times * (2 if value["class_name"] == "Bidirectional" else 1) * (1 + calls)


def rebuild(
    document: Mapping[str, Any], custom_objects: Mapping[str, Any] | None, numbers: int
) -> Any:
    """The model that a document of `describe` describes, with zeros as weights.

    Parameters
    ----------
    document : dict
        It may be hostile.
    custom_objects : dict, optional
        Name to class or function.
    numbers : int
        How many numbers its weights hold.

    Raises
    ------
    ValueError
        If a class is unknown, or the document does not describe a model.
    Exception
        What the classes raise when they are given arguments that are not theirs.
    """
    check(document)
    if set(document) != _PARTS:
        raise ValueError(f"the model is described by {list(document)}")
    shapes = document["input_shapes"]
    if not isinstance(shapes, list) or not shapes or not all(map(_is_shape, shapes)):
        raise ValueError(f"the shapes of the inputs are {shapes!r}")
    shapes = [tuple(shape) for shape in shapes]
    config = {"class_name": document["class_name"], "config": document["config"]}
    with (
        _registry.custom_object_scope(custom_objects or {}),
        _blank.blank_weights(numbers + _SPARE_NUMBERS),
    ):
        model = models.model_from_config(config, custom_objects)
        if not model.built:
            model.build(shapes[0])
        model.name = document["name"]  # that of a Sequential is not part of its config
    if [tuple(tensor.shape) for tensor in model.inputs] != shapes:
        raise ValueError(f"the inputs of the model do not have the shapes {shapes}")
    for layer in [model, *model.layers]:
        if not isinstance(layer.name, str):
            raise ValueError(f"the name of a layer is {layer.name!r}")
    return model


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(n is None or (type(n) is int and n >= 0) for n in shape)


def describe_training(model: Any) -> tuple[dict[str, Any] | None, list[np.ndarray]]:
    """What a model was compiled with, and the state of its optimizer; see `resume_training`.

    Returns
    -------
    document : dict or None
        None if the model is not compiled.
    state : list of ndarray
        Empty before the first update, and where it is not that of the weights that are trainable
        now (a warning says so).
    """
    if model.optimizer is None:
        return None, []
    state, iterations = model.optimizer.get_weights(), model.optimizer.iterations
    if state and [array.shape for array in state] != _shapes_of_state(model):
        warnings.warn(
            f"The state of the optimizer of model {model.name} is not saved: it is that of other "
            "weights than those that are trainable now. Compile the model again after freezing "
            "layers.",
            stacklevel=5,
        )
        state, iterations = [], 0
    document = {
        "optimizer": optimizers.serialize(model.optimizer),
        "iterations": iterations,
        **{name: _by_name(getattr(model, name)) for name in _COMPILED},
    }
    return _json.plain(document, "The training"), state


def _by_name(value: Any) -> Any:
    """Functions and objects within lists and dicts as what finds them again."""
    if isinstance(value, Mapping):
        return {key: _by_name(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_by_name(entry) for entry in value]
    if callable(value) or hasattr(value, "get_config"):
        return _registry.serialize_object(value)
    return value


def _shapes_of_state(model: Any) -> list[tuple[int, ...]]:
    optimizer = model.optimizer
    count = [()] * optimizer.iterations_in_weights
    return count + [v.shape for v in model.trainable_weights] * len(optimizer.slot_names)


def resume_training(
    model: Any,
    document: Mapping[str, Any],
    state: list[np.ndarray],
    custom_objects: Mapping[str, Any] | None,
) -> None:
    """Compile a model as a document of `describe_training` says.

    Parameters
    ----------
    model : Model
        A built one.
    document : dict
        It may be hostile.
    state : list of ndarray
        Of the optimizer; empty before the first update.
    custom_objects : dict, optional
        Name to class or function.

    Raises
    ------
    ValueError
        If a name is unknown, or the state does not fit.
    Exception
        What the classes raise when they are given arguments that are not theirs.
    """
    if set(document) != {"optimizer", "iterations", *_COMPILED}:
        raise ValueError(f"the training is described by {list(document)}")
    check(document)
    with _registry.custom_object_scope(custom_objects or {}):
        optimizer = optimizers.get(optimizers.deserialize(document["optimizer"]))
        model.compile(optimizer, **{name: document[name] for name in _COMPILED})
    optimizer.iterations = document["iterations"]
    if not state:
        return
    if [array.shape for array in state] != _shapes_of_state(model):
        raise ValueError(
            f"the state of the optimizer has the shapes {[a.shape for a in state]}, expected "
            f"{_shapes_of_state(model)}"
        )
    optimizer.set_weights(state)
