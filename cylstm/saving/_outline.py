"""What a file holds, told without making anything of it: neither a layer nor a weight.

So the file may be of a model with layers that cylstm does not have. Names and values are
those of the file, as its format has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

__all__ = ["ArraySpec", "Outline", "Part", "of_arrays", "parts_of", "training_of"]

_DEPTH = 32  # models within models
# What layers have by default, most often, and what says where a class is from.
_SILENT = {
    "batch_size",
    "consume_less",
    "data_format",
    "data_type",
    "dtype",
    "implementation",
    "module",
    "name",
    "registered_name",
    "reset_after",
    "seed",
    "trainable",
    "unit_forget_bias",
    "use_bias",
}


class ArraySpec(NamedTuple):
    """An array of a file.

    Attributes
    ----------
    shape : tuple of int
        Its sizes.
    dtype : str
        As NumPy calls it.
    """

    shape: tuple[int, ...]
    dtype: str


class Part(NamedTuple):
    """A layer of a model, a node of a graph or a module of a state dict.

    Attributes
    ----------
    name : str
        Behind those of the models that it is in, ``encoder/lstm_1``.
    kind : str
        Its class; where it wraps a layer, ``"Bidirectional(LSTM)"``.
    arguments : dict
        Those that are numbers, texts or lists, unless they say nothing.
    """

    name: str
    kind: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Outline:
    """What a file holds.

    Attributes
    ----------
    format : str
        What files of its kind are called.
    holds : {"model", "architecture", "weights", "tensors"}
        An architecture has no weights, weights have layers, tensors have names only.
    producer : str
        What wrote it; empty where the file does not say.
    parts : list of Part
        What it is made of; empty where the file holds arrays only.
    part_is : {"layer", "node", "module"}
        What they are.
    arrays : dict of ArraySpec
        By name, those of the optimizer, too.
    training : dict of str
        What the model was compiled with: optimizer, loss, ...
    """

    format: str
    holds: str
    producer: str = ""
    parts: list[Part] = field(default_factory=list)
    part_is: str = "layer"
    arrays: dict[str, ArraySpec] = field(default_factory=dict)
    training: dict[str, str] = field(default_factory=dict)


def of_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, ArraySpec]:
    """The shapes of arrays."""
    return {name: ArraySpec(array.shape, array.dtype.name) for name, array in arrays.items()}


def parts_of(document: Any) -> list[Part]:
    """The layers of an architecture, as any Keras or cylstm describes it.

    Parameters
    ----------
    document : dict
        Parsed JSON. What is not as it must be is left out.

    Examples
    --------
    >>> lstm = {"class_name": "LSTM", "config": {"name": "a", "units": 4, "dropout": 0.0}}
    >>> parts_of({"class_name": "Sequential", "config": [lstm]})
    [Part(name='a', kind='LSTM', arguments={'units': 4})]
    """
    return list(_parts(document, "", 0))


def _parts(document: Any, path: str, depth: int) -> Iterator[Part]:
    for entry in _layers(document) or []:
        if not isinstance(entry, Mapping):
            continue
        config = entry.get("config")
        given = config if isinstance(config, Mapping) else {}
        name = f"{path}{entry.get('name') or given.get('name') or ''}"
        if _layers(entry) is not None and depth < _DEPTH:
            yield Part(name, _class_name(entry), {})
            yield from _parts(entry, f"{name}/", depth + 1)
            continue
        kind, arguments = _class_name(entry), _arguments(given)
        while isinstance(inner := given.get("layer", given.get("cell")), Mapping):
            kind = f"{kind}({_class_name(inner)})"
            config = inner.get("config")
            given = config if isinstance(config, Mapping) else {}
            arguments.update(_arguments(given))
        yield Part(name, kind, arguments)


def _layers(entry: Any) -> list[Any] | None:
    """The layers that a model is described by; None where it is no model."""
    config = entry.get("config") if isinstance(entry, Mapping) else None
    layers = config.get("layers") if isinstance(config, Mapping) else config
    return layers if isinstance(layers, list) else None


def _class_name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("class_name", "?"))


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and not name.endswith("initializer"):
            value = _called(value) if name.endswith(("activation", "izer", "constraint")) else None
        if name not in _SILENT and value not in (None, False, 0, "") and _is_plain(value):
            found[str(name)] = value
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(entry is None or isinstance(entry, str | int | float) for entry in value)
    return isinstance(value, str | int | float)


def training_of(document: Any) -> dict[str, str]:
    """What a model was compiled with, as any Keras or cylstm describes it, in words.

    Examples
    --------
    >>> training_of({"optimizer": {"class_name": "SGD", "config": {"lr": 0.5}}, "loss": "mse"})
    {'optimizer': 'SGD, lr 0.5', 'loss': 'mse'}
    """
    if not isinstance(document, Mapping):
        return {}
    found = {}
    optimizer = document.get("optimizer_config", document.get("optimizer"))
    if optimizer:
        config = optimizer.get("config") if isinstance(optimizer, Mapping) else None
        rates = config if isinstance(config, Mapping) else {}
        rate = rates.get("lr", rates.get("learning_rate"))
        said = f", lr {rate:.6g}" if isinstance(rate, int | float) else ""
        found["optimizer"] = f"{_called(optimizer)}{said}"
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics", "sample_weight_mode"):
        if document.get(name):
            found[name] = _called(document[name])
    return found


def _called(value: Any, depth: int = 0) -> str:
    """A class or function by its name, also within lists and dicts."""
    if depth > 4:
        return "..."
    if isinstance(value, list):
        return ", ".join(_called(entry, depth + 1) for entry in value)
    if not isinstance(value, Mapping):
        return str(value)
    name = value.get("class_name")
    if name == "function" or (name is None and "config" in value):
        name = value.get("config")
    if isinstance(name, str):
        return name
    return ", ".join(f"{key}: {_called(entry, depth + 1)}" for key, entry in value.items())
