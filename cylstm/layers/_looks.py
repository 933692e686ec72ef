"""How layers look when they are printed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from cylstm import _checks, activations, constraints, initializers, regularizers
from cylstm._registry import Configurable

__all__ = ["described_layer"]

_MODULES = {
    "activation": activations,
    "constraint": constraints,
    "initializer": initializers,
    "regularizer": regularizers,
}


def described_layer(layer: Any, own: Iterable[str]) -> str:
    """The call that makes such a layer: what it needs, what is not the default, and the name.

    Parameters
    ----------
    layer : Layer
        Also one whose ``__init__`` has failed half-way.
    own : iterable of str
        The names of its arguments, without those of `Layer`.
    """
    words = []
    by_position = True
    for name, parameter in inspect.signature(type(layer)).parameters.items():
        if name not in own or name not in vars(layer):
            continue
        needed = parameter.default is parameter.empty
        by_position &= needed and parameter.kind is not parameter.KEYWORD_ONLY
        value = getattr(layer, name)
        if by_position:
            words.append(_shown(value))
        elif needed or not _is_default(name, value, parameter.default):
            words.append(f"{name}={_shown(value)}")
    words += [f"{name}={value!r}" for name, value in _common(vars(layer))]
    return f"{type(layer).__name__}({', '.join(words)})"


def _common(attributes: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """The arguments of `Layer` that are worth showing."""
    shape = attributes.get("batch_input_shape")
    if shape is not None and set(shape) != {None}:
        known = shape[0] is not None
        yield ("batch_input_shape", shape) if known else ("input_shape", shape[1:])
    if attributes.get("trainable") is False:
        yield "trainable", False
    dtype = attributes.get("_dtype")
    if dtype is not None and dtype != "float32":
        yield "dtype", dtype.name
    if "name" in attributes:
        yield "name", attributes["name"]


def _is_default(name: str, value: Any, default: Any) -> bool:
    """Whether an attribute is what the default of its argument stands for."""
    module = _MODULES.get(name.rpartition("_")[2])
    if module is None or not (default is None or isinstance(default, str)):
        return _same(value, default)
    return _shown(value) == _shown(module.get(default))


def _same(value: Any, default: Any) -> bool:
    """Equal, where a tuple of one also is its number, as in ``strides=1``."""
    if isinstance(value, tuple) and len(value) == 1 and not isinstance(default, tuple):
        value = value[0]
    if isinstance(value, int | float) and isinstance(default, int | float):
        return value == default
    return repr(value) == repr(default)


def _shown(value: Any) -> str:
    """A value as it would be written: functions by their names, large arrays by their shapes."""
    if inspect.isroutine(value):
        return repr(value.__name__)
    if isinstance(value, Configurable):
        defaults = inspect.signature(type(value)).parameters
        given = [
            f"{name}={_shown(part)}"
            for name, part in value.get_config().items()
            if name not in defaults or not _same(part, defaults[name].default)
        ]
        return f"{type(value).__name__}({', '.join(given)})"
    return _checks.described(value) if hasattr(value, "shape") else repr(value)
