"""Architectures and training as Keras 3 writes them.

What Keras 3 does not have, or does in another way, is refused by name: a layer, an activation, an
argument. Of optimizers it has no `decay`, and its Nadam is that of ``schedule_decay=1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cylstm import _warning
from cylstm.graph import SymbolicTensor
from cylstm.layers import Bidirectional, InputLayer
from cylstm.layers import serialization as layers
from cylstm.layers.recurrent import Recurrent
from cylstm.models import Model, Sequential
from cylstm.saving._translation import activation_to

__all__ = ["compiled", "model_to"]

_NOT_THERE = ("ThresholdedReLU", "Lambda")
_KINDS = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
}
_DROPPED = ("implementation", "batch_input_shape", "input_length")
_DISTRIBUTIONS = {"normal": "truncated_normal"}
_LOSSES = {
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "cosine": None,
    "cosine_proximity": None,
}
_ELSEWHERE = ("RMSprop", "Adagrad")  # where Keras 3 adds epsilon under the root


def model_to(model: Any) -> dict[str, Any]:
    """The config.json of a built model, without what it was compiled with.

    Raises
    ------
    ValueError
        If Keras 3 has no such layer, activation or argument.
    """
    if isinstance(model, Sequential):
        entries = [_input_to(model.inputs[0])] + [_layer_to(layer) for layer in model.layers]
        config = {"name": model.name, "trainable": True, "layers": entries}
        return _entry("keras", "Sequential", config)
    if type(model) is not Model:
        raise ValueError(
            f"{type(model).__name__} {model.name} is a class of its own, which Keras 3 cannot make "
            "again: save it as .safetensors, or its weights as .weights.h5."
        )
    return _graph_to(model)


def _entry(module: str | None, name: str, config: dict[str, Any]) -> dict[str, Any]:
    registered = name if module is None else None
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def _input_to(tensor: SymbolicTensor) -> dict[str, Any]:
    config = {
        "batch_shape": list(tensor.shape),
        "dtype": tensor.layer.dtype,
        "sparse": False,
        "name": tensor.layer.name,
    }
    return _entry("keras.layers", "InputLayer", config)


def _layer_to(layer: Any) -> dict[str, Any]:
    if isinstance(layer, Model):
        return model_to(layer)
    if isinstance(layer, InputLayer):
        return _input_to(layer.inbound_nodes[0].output_tensors[0])
    if isinstance(layer, Bidirectional):
        _warn_of_zeros(layer)
    return _object_to(layers.serialize(layer))


def _warn_of_zeros(layer: Bidirectional) -> None:
    """Say that Keras 3 has no choice of what masked timesteps give."""
    masked = any(node.input_tensors[0].mask is not None for node in layer.inbound_nodes)
    if masked and layer.return_sequences and not layer.zero_output_for_mask:
        _warning.warn(
            f"Bidirectional of Keras 3 gives zeros at masked timesteps, and layer {layer.name} the "
            "outputs before them: what does not heed the mask will be given other numbers there."
        )


def _object_to(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A layer or cell, from its class name and configuration."""
    name, config = entry["class_name"], dict(entry["config"])
    title = str(config.get("name"))
    if name in _NOT_THERE:
        raise ValueError(f"Layer {title} is a {name}, which Keras 3 does not have.")
    if layers.is_registered(name):
        module: str | None = "keras.layers"
        config = {k: v for k, v in config.items() if k not in _DROPPED}
        if name == "LeakyReLU":
            config["negative_slope"] = config.pop("alpha")
        if name == "SpatialDropout1D":
            config = {k: v for k, v in config.items() if k in ("name", "dtype", "rate")}
    else:
        module = None
    found = {key: _value_to(key, value, title) for key, value in config.items()}
    if name == "Bidirectional":
        # Keras 3 says so of itself, whatever stands here; cylstm heeds it.
        found["layer"]["config"]["zero_output_for_mask"] = found.pop("zero_output_for_mask", False)
        found["backward_layer"] = _reversed(found["layer"])
    return _entry(module, name, found)


def _reversed(entry: dict[str, Any]) -> dict[str, Any]:
    """The layer that reads the other way, which Keras 3 does not derive where the first does."""
    config = entry["config"]
    name = f"backward_{config['name']}"
    other = {**config, "name": name, "go_backwards": not config["go_backwards"]}
    return {**entry, "config": other}


def _value_to(key: str, value: Any, layer: str) -> Any:
    if key.endswith("activation") and isinstance(value, str):
        return activation_to("keras3", value, layer)
    if isinstance(value, list | tuple):
        return [_value_to(key, entry, layer) for entry in value]
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    kind = key.rpartition("_")[2]
    if kind not in _KINDS:
        return _object_to(value)
    config = {k: v for k, v in value["config"].items() if k != "dtype"}
    if config.get("distribution") in _DISTRIBUTIONS:
        config["distribution"] = _DISTRIBUTIONS[config["distribution"]]
    return _entry(_KINDS[kind], value["class_name"], config)


def _graph_to(model: Any) -> dict[str, Any]:
    kept = {id(node) for node in model._nodes}
    calls = {
        layer: [node for node in layer.inbound_nodes if id(node) in kept]
        for layer in model._every_layer()
    }

    def place(tensor: SymbolicTensor) -> list[Any]:
        layer = tensor.layer
        return [layer.name, calls[layer].index(tensor.node), tensor.index]

    def symbol(tensor: SymbolicTensor) -> dict[str, Any]:
        history = {"shape": list(tensor.shape), "dtype": "float32", "keras_history": place(tensor)}
        return {"class_name": "__keras_tensor__", "config": history}

    def call(layer: Any, node: Any) -> dict[str, Any]:
        symbols = [symbol(tensor) for tensor in node.input_tensors]
        kwargs = dict(node.arguments)
        if isinstance(layer, Recurrent) and len(symbols) > 1:
            symbols, kwargs["initial_state"] = symbols[:1], symbols[1:]
        return {"args": symbols if len(symbols) == 1 else [symbols], "kwargs": kwargs}

    entries = []
    for layer, nodes in calls.items():
        inbound = [call(layer, node) for node in nodes if node.inbound_nodes]
        entries.append({**_layer_to(layer), "name": layer.name, "inbound_nodes": inbound})
    config = {
        "name": model.name,
        "trainable": True,
        "layers": entries,
        "input_layers": [place(tensor) for tensor in model.inputs],
        "output_layers": [place(tensor) for tensor in model.outputs],
    }
    entry = _entry("keras.src.models.functional", "Functional", config)
    return {**entry, "registered_name": "Functional"}


# ---------------------------------------------------------------------------- training


def compiled(document: Mapping[str, Any]) -> dict[str, Any]:
    """The compile_config, from what `_description.describe_training` returned.

    Raises
    ------
    ValueError
        If Keras 3 has no such optimizer or loss.
    """
    return {
        "optimizer": _optimizer_to(document["optimizer"]),
        "loss": _loss_to(document["loss"]),
        "loss_weights": document["loss_weights"],
        "metrics": document["metrics"],
        "weighted_metrics": document["weighted_metrics"],
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _optimizer_to(entry: Mapping[str, Any]) -> dict[str, Any]:
    name, config = entry["class_name"], dict(entry["config"])
    config["learning_rate"] = config.pop("lr", None)
    if config.pop("decay", 0):
        raise ValueError(
            f"{name} has decay={entry['config']['decay']}, which Keras 3 does not have: save with "
            "include_optimizer=False, or compile without it."
        )
    if config.pop("schedule_decay", 1) != 1:
        raise ValueError(
            "Nadam of Keras 3 is that of schedule_decay=1: save with include_optimizer=False, or "
            "compile with Nadam(schedule_decay=1)."
        )
    if "clipnorm" in config:
        config["global_clipnorm"] = config.pop("clipnorm")
    if name in _ELSEWHERE:
        _warning.warn(
            f"{name} of Keras 3 adds epsilon under the root, sqrt(v + epsilon), and here it stands "
            "behind it, sqrt(v) + epsilon: there, training will go on with small differences."
        )
    return _entry("keras.optimizers", name, {"name": name.lower(), **config})


def _loss_to(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _loss_to(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_loss_to(entry) for entry in value]
    found = _LOSSES.get(value, value)
    if value is not None and found is None:
        raise ValueError(
            f"The loss {value} is another one in Keras 3: save with include_optimizer=False."
        )
    return found
