"""A model as a JSON document, and back: architecture and training, without the arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cylstm import _blank, _registry, _warning, models
from cylstm.layers import serialization
from cylstm.saving import _json
from cylstm.saving._limits import ARRAYS, Limits, check_count

__all__ = [
    "check_training",
    "describe",
    "describe_training",
    "rebuild",
    "rebuild_config",
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
_ENTRY = {"class_name", "config", "name", "inbound_nodes"}
_MAX_TEXT = 2**16
_MAX_RANK = 32  # of arrays in every NumPy
_PER_VALUE = 16  # characters of a text that count as a value
_LAYERS = ("", "config", "layer", "layers")  # where layers are, which are called
_SHAPES = ("shape", "dims", "input_length")  # how the names of shapes end


def describe(model: Any, limits: Limits) -> dict[str, Any]:
    """The architecture of a built model, as `rebuild` takes it.

    Parameters
    ----------
    model : Model
        A built one.
    limits : Limits
        Those of the tensors that go into the file.

    Raises
    ------
    TypeError, ValueError
        If the configuration of a layer holds what a file cannot, or is larger than is ever read.
    """
    document: dict[str, Any] = _json.plain(
        serialization.serialize(model), f"The model {model.name}"
    )
    document["name"] = model.name
    document["input_shapes"] = [list(tensor.shape) for tensor in model.inputs]
    _check_model(document, limits)
    return document


# What it takes to build something: objects to make, inputs and outputs of calls, values to read.
_Work = tuple[int, int, int]


def _check_model(document: dict[str, Any], limits: Limits) -> None:
    """Refuse an architecture that takes more than it holds, or is none in form."""
    entry = {name: part for name, part in document.items() if name != "input_shapes"}
    _check(entry, limits)
    shapes = document.get("input_shapes")
    for shape in shapes if isinstance(shapes, list) else []:
        _check(shape, limits, "input_shape")


def check_training(document: dict[str, Any], outputs: int, limits: Limits) -> None:
    """Refuse what a model is compiled with if it takes more than the file holds.

    Parameters
    ----------
    document : dict
        Of `describe_training`; it may be hostile.
    outputs : int
        How many the model has.
    limits : Limits
        Those of the tensors in the file.

    Raises
    ------
    ValueError
        If it has too many values, or reports too many metrics.
    """
    _check({name: part for name, part in document.items() if name != "state"}, limits)
    for name in ("metrics", "weighted_metrics"):
        metrics = document.get(name)
        if isinstance(metrics, list):
            check_count(outputs * len(metrics), limits.reported, f"there are {{}} {name}")
        elif isinstance(metrics, dict):
            lists = [entry for entry in metrics.values() if isinstance(entry, list)]
            check_count(sum(map(len, lists)), limits.reported, f"there are {{}} {name}")


def _check(value: Any, limits: Limits, key: str = "") -> None:
    """Refuse what takes too much to build, and values that must not reach the classes."""
    objects, calls, values = _work(value, key)
    check_count(calls, limits.calls, "the model calls layers {} times")
    check_count(objects, limits.objects, "the model has {} layers, initializers and the like")
    check_count(values, limits.values, "the configuration holds {} values", ARRAYS)


def _work(value: Any, key: str) -> _Work:
    """What it takes to build an entry of a configuration, which has this key in its parent."""
    if isinstance(value, str):
        return 0, 0, 1 + _checked_length(value) // _PER_VALUE
    if isinstance(value, dict):
        return _work_of_object(value, key)
    if not isinstance(value, list):
        return 0, 0, 1
    if key.endswith(_SHAPES) and len(value) > _MAX_RANK:
        raise ValueError(f"{key} has {len(value)} axes, and arrays have at most {_MAX_RANK}")
    return _sum(value, [key] * len(value))


def _sum(values: Iterable[Any], keys: Iterable[str]) -> _Work:
    objects = calls = 0
    count = 1
    for value, key in zip(values, keys, strict=True):
        kind = type(value)
        if kind is int or kind is float or value is None:
            count += 1
            continue
        more_objects, more_calls, more_values = _work(value, key)
        objects += more_objects
        calls += more_calls
        count += more_values
    return objects, calls, count


def _work_of_object(entry: dict[str, Any], key: str) -> _Work:
    """The same for an object.

    A model that is called k times calls its layers k times; a layer within `Bidirectional` is
    made three times.
    """
    objects, calls, values = _sum(entry.values(), entry)
    values += sum(map(_checked_length, entry)) // _PER_VALUE
    dtype = entry.get("dtype")
    if not isinstance(dtype, str | None) or dtype not in _DTYPES:
        raise ValueError(f"the configuration holds the dtype {dtype!r}")
    for name in ("input_layers", "output_layers"):
        if isinstance(entry.get(name), list):
            calls += len(entry[name])
    if "class_name" not in entry:
        return objects, calls, values
    if not isinstance(entry["class_name"], str):
        raise ValueError(f"the configuration holds the class_name {entry['class_name']!r}")
    if not entry.keys() <= _ENTRY:
        raise ValueError(
            f"an entry for {entry['class_name']!r} has the keys {sorted(entry.keys() - _ENTRY)}, "
            "which are unknown"
        )
    made = 3 if entry["class_name"] == "Bidirectional" else 1
    nodes = entry.get("inbound_nodes")
    inputs = (
        [len(n) if isinstance(n, list) else 1 for n in nodes] if isinstance(nodes, list) else []
    )
    inputs = inputs or [1]
    calls = len(inputs) * made * calls + (sum(inputs) if key in _LAYERS else 0)
    return made * (1 + objects), calls, made * values


def _checked_length(text: str) -> int:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"the configuration holds a text of {len(text)} characters")
    return len(text)


def rebuild(
    document: dict[str, Any], custom_objects: Mapping[str, Any] | None, limits: Limits
) -> Any:
    """The model that a document of `describe` describes, with zeros as weights.

    Parameters
    ----------
    document : dict
        It may be hostile.
    custom_objects : dict, optional
        Name to class or function.
    limits : Limits
        Those of the tensors in the file.

    Raises
    ------
    ValueError
        If a class is unknown, or the document does not describe a model.
    Exception
        What the classes raise when they are given arguments that are not theirs.
    """
    if set(document) != _PARTS:
        raise ValueError(f"the model is described by {list(document)}")
    _check_model(document, limits)
    shapes = document["input_shapes"]
    if not isinstance(shapes, list) or not shapes or not all(map(_is_shape, shapes)):
        raise ValueError(f"the shapes of the inputs are {shapes!r}")
    shapes = [tuple(shape) for shape in shapes]
    model = _built(document, shapes[0], custom_objects, limits)
    if [tuple(tensor.shape) for tensor in model.inputs] != shapes:
        raise ValueError(f"the inputs of the model do not have the shapes {shapes}")
    return model


def rebuild_config(
    config: dict[str, Any], custom_objects: Mapping[str, Any] | None, limits: Limits
) -> Any:
    """The model that a configuration of Keras describes, with zeros as weights.

    Parameters
    ----------
    config : dict
        ``{"class_name": ..., "config": ..., "name": ...}``, of which the name may be None; it may
        be hostile.
    custom_objects, limits
        As for `rebuild`.

    Raises
    ------
    ValueError, Exception
        As `rebuild` does; also if the shapes of the inputs are not part of it.
    """
    _check_model({name: part for name, part in config.items() if part is not None}, limits)
    model = _built(config, None, custom_objects, limits)
    if not model.built:
        raise ValueError(
            "it does not say the shapes of the inputs: make the model, build it, and call its "
            "load_weights(path)"
        )
    return model


def _built(
    document: dict[str, Any],
    shape: tuple[int | None, ...] | None,
    custom_objects: Mapping[str, Any] | None,
    limits: Limits,
) -> Any:
    config = {"class_name": document["class_name"], "config": document["config"]}
    with (
        _registry.custom_object_scope(custom_objects or {}),
        _blank.blank_weights(limits.weights, variables=limits.variables, arrays=limits.arrays),
    ):
        model = models.model_from_config(config)
        if not model.built and shape is not None:
            model.build(shape)
        if document["name"] is not None:
            model.name = document["name"]  # that of a Sequential is not part of its config
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
        _warning.warn(
            f"The state of the optimizer of model {model.name} is not saved: it is that of other "
            "weights than those that are trainable now. Compile the model again after freezing "
            "layers.",
        )
        state, iterations = [], 0
    from cylstm import optimizers

    # Of one that is for several processes, what is within: files say nothing of these.
    optimizer = getattr(model.optimizer, "wrapped", model.optimizer)
    document = {
        "optimizer": optimizers.serialize(optimizer),
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
    document: dict[str, Any],
    state: list[np.ndarray],
    custom_objects: Mapping[str, Any] | None,
    limits: Limits,
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
    limits : Limits
        Those of the tensors in the file.

    Raises
    ------
    ValueError
        If a name is unknown, or the state does not fit.
    Exception
        What the classes raise when they are given arguments that are not theirs.
    """
    from cylstm import optimizers

    if set(document) != {"optimizer", "iterations", *_COMPILED}:
        raise ValueError(f"the training is described by {list(document)}")
    check_training(document, len(model.outputs), limits)
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
