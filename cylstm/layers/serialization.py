"""Layers by name: how a saved config becomes a layer again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cylstm import _registry
from cylstm._layer_names import LAYERS
from cylstm.layers.layer import Layer

__all__ = ["deserialize", "serialize"]


def is_registered(name: str) -> bool:
    """Whether a layer of the package has this class name."""
    return name in LAYERS


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the class name and the config of a layer.

    Parameters
    ----------
    layer : Layer
        Any layer; the layers within a wrapper or model are part of the config.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": ...}``: what `deserialize` takes, and JSON can hold.

    Examples
    --------
    >>> from cylstm.layers import LSTM, serialize
    >>> serialize(LSTM(4))["class_name"]
    'LSTM'
    """
    config: dict[str, Any] = _registry.serialize_object(layer)
    return config


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """Make a layer from what `serialize` returned, without weights.

    Parameters
    ----------
    config : dict
        ``{"class_name": ..., "config": ...}``.
    custom_objects : dict, optional
        Name to class or function, for what the package does not have: layers, activations, ...
        `cylstm.utils.custom_object_scope` makes them known, too.

    Returns
    -------
    Layer
        Not built yet.

    Raises
    ------
    ValueError
        If a name is unknown, or the config has another form.
    TypeError
        If the config names an argument that the class does not have.

    Examples
    --------
    >>> from cylstm.layers import LSTM, deserialize, serialize
    >>> deserialize(serialize(LSTM(4))).units
    4
    """
    if not isinstance(config, Mapping):
        raise ValueError(
            'a layer is described by {"class_name": ..., "config": {...}}, got ' + repr(config)
        )
    if isinstance(config.get("config"), list):  # a stack of layers, as Keras writes it
        config = {**config, "config": {"layers": config["config"]}}
    try:
        layer: Layer = _registry.deserialize_object(config, LAYERS, custom_objects, "layer")
        return layer
    except (TypeError, ValueError) as error:
        own = config.get("config")
        name = own.get("name") if isinstance(own, Mapping) else None
        if not isinstance(name, str) or type(error) not in (TypeError, ValueError):
            raise
        raise type(error)(f"layer {name}: {error}") from error
