"""Configs of layers: which arguments go in, and how their values stand there."""

from __future__ import annotations

import inspect
from typing import Any

from cylstm import _registry

__all__ = ["config_of", "own_arguments"]


def own_arguments(cls: type, root: type) -> list[str]:
    """The named arguments of ``__init__``, from the subclasses of `root`, `Layer`, to `cls`."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        init = vars(base).get("__init__")
        if init is None or base is root or not issubclass(base, root):
            continue
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names[parameter.name] = None
    common = inspect.signature(vars(root)["__init__"]).parameters.keys() - {"activity_regularizer"}
    return [name for name in names if name not in common]


def config_of(layer: Any, root: type) -> dict[str, Any]:
    """The arguments that make the same layer again, read from its attributes."""
    config = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype}
    if layer.batch_input_shape is not None:
        config["batch_input_shape"] = layer.batch_input_shape
    cls = type(layer)
    for name in own_arguments(cls, root):
        if hasattr(layer, name):
            config[name] = _config_value(getattr(layer, name))
        elif cls.get_config is vars(root)["get_config"]:
            raise TypeError(
                f"{cls.__name__}.__init__ takes {name!r} but does not store it as "
                f"self.{name}: store it, or override get_config."
            )
    return config


def _config_value(value: Any) -> Any:
    if callable(value) or hasattr(value, "get_config"):
        return _registry.serialize_object(value)
    return _registry.plain(value)
