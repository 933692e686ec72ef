"""Models and weights in HDF5, as Keras 1 and 2, tf.keras and tf_keras have them; also Keras 3's.

The outermost group of a model's file has the attributes ``model_config``, ``training_config`` and
``keras_version``, and the groups ``model_weights`` and ``optimizer_weights``; that of a file of
weights is what ``model_weights`` is: ``layer_names``, and a group for each layer with
``weight_names``, which are the paths of its arrays.

Weights of today's Keras are in HDF5, too (`_keras3`): what is in a file tells.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cylstm.saving import (
    _description,
    _hdf5,
    _json,
    _keras3_tree,
    _keras_graph,
    _keras_training,
    _keras_weights,
    _outline,
    _weights,
)
from cylstm.saving._errors import reading
from cylstm.saving._hdf5 import Contents, Group, require
from cylstm.saving._keras_config import KERAS_1, OURS, origin_of, version_to
from cylstm.saving._limits import Limits
from cylstm.saving._outline import Outline
from cylstm.saving._weights import Stored

__all__ = [
    "encode",
    "encode_weights",
    "load",
    "load_weights",
    "outline",
    "recognises",
    "require",
    "suffixes",
]

suffixes: tuple[str, ...] = (".h5", ".hdf5")

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Whether a file is in HDF5."""
    return head.startswith(_hdf5.MAGIC)


# ---------------------------------------------------------------------------- writing


def encode(model: Any, include_optimizer: bool) -> bytes:
    """The file of a model; see `Model.save`."""
    stored = _keras_weights.as_stored(model)
    architecture, version = version_to({**_keras_graph.written(model), "name": model.name})
    contents = Contents(_version(version), {"model_weights": _contents_of_weights(stored, version)})
    arrays = [array for entry in stored for array in entry.values]
    if include_optimizer:
        training, state = _description.describe_training(model)
        arrays += state
        if training is not None:
            _description.check_training(training, len(model.outputs), Limits.of(arrays))
            names = _keras_training.optimizer_names(training, state)
            contents.attributes["training_config"] = _json.dump(
                _keras_training.training_to(training)
            )
            if state:
                contents.members["optimizer_weights"] = Contents(
                    {"weight_names": names}, dict(zip(names, state, strict=True))
                )
    limits = Limits.of(arrays)
    _description.describe(model, limits)  # refuses what could not be loaded
    text = _json.dump(_json.plain(architecture, f"The model {model.name}"))
    _json.check_count(text, limits.values)
    contents.attributes["model_config"] = text
    return _hdf5.encode(contents)


def encode_weights(model: Any) -> bytes:
    """The file of the weights of a model; see `Model.save_weights`."""
    return _hdf5.encode(_contents_of_weights(_keras_weights.as_stored(model), OURS))


def _version(version: str) -> dict[str, str | list[str]]:
    return {"keras_version": version, "backend": "tensorflow"}


def _contents_of_weights(stored: list[Stored], version: str) -> Contents:
    for entry in stored:
        if not {"", ".", ".."}.isdisjoint(entry.layer.split("/")):
            raise ValueError(
                f"Layer {entry.layer!r} cannot be stored in HDF5, where that is no name: give it "
                "another one."
            )
    return Contents(
        {**_version(version), "layer_names": [entry.layer for entry in stored]},
        {
            entry.layer: Contents(
                {"weight_names": entry.names}, dict(zip(entry.names, entry.values, strict=True))
            )
            for entry in stored
        },
    )


# ---------------------------------------------------------------------------- reading


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Make the model that a file holds; see `cylstm.models.load_model`."""
    with reading(path), _hdf5.opened_tree(path, max_size) as file:
        text = file.text("model_config")
        if text is None or "model_weights" not in file:
            raise ValueError(
                "it holds weights only: make the model and call its load_weights(path)"
            )
        origin = origin_of(file.text("keras_version"))
        stored = _stored(file.group("model_weights"))
        state = _state(file) if compile else []
        arrays = [a for entry in stored for a in entry.values] + [array for _, array in state]
        limits = Limits.of(arrays)
        _json.check_count(text, limits.values)
        document = _keras_graph.model_from(_parsed(text), origin)
        model = _description.rebuild_config(document, custom_objects, limits)
        pairs = _keras_weights.fitted(model, stored, by_name=False, keras_1=origin == KERAS_1)
        _weights.assign(pairs)
        training = file.text("training_config")
        if training is not None:
            _json.check_count(training, limits.values)
        config = None if training is None else _json.parse(training)
        if compile and _keras_training.is_compiled(config):
            found, slots = _keras_training.training_from(config, state, model, stored, origin)
            _description.resume_training(model, found, slots, custom_objects, limits)
        return model


def _parsed(text: str) -> Mapping[str, Any]:
    document = _json.parse(text)
    if not isinstance(document, Mapping):
        raise ValueError("the architecture is no JSON object")
    return document


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of a file; see `Model.load_weights`."""
    with reading(path), _hdf5.opened_tree(path, max_size) as file:
        if _keras3_tree.is_tree(file):
            _weights.assign(_keras3_tree.read(model, file, by_name=by_name))
            return
        group = file.group("model_weights") if "model_weights" in file else file
        stored = _stored(group)
        version = group.text("keras_version") or file.text("keras_version")
        keras_1 = origin_of(version) == KERAS_1
    try:
        pairs = _keras_weights.fitted(model, stored, by_name=by_name, keras_1=keras_1)
    except ValueError as error:
        raise ValueError(f"Cannot load the weights of {os.fspath(path)!r}: {error}.") from None
    _weights.assign(pairs)


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    with reading(path), _hdf5.opened_tree(path, max_size) as file:
        arrays = file.arrays()
        limits = Limits.of(list(arrays.values()))
        texts = [file.text("model_config"), file.text("training_config")]
        for text in texts:
            _json.check_count(text or "", limits.values)
        model, training = [_json.parse(text) if text else None for text in texts]
        outermost = file.group("model_weights") if "model_weights" in file else file
        version, engine = [
            file.text(name) or outermost.text(name) for name in ("keras_version", "backend")
        ]
        return Outline(
            "HDF5 of Keras" + (" 3" if _keras3_tree.is_tree(file) else ""),
            "weights" if model is None else "model",
            ", ".join(filter(None, [version and f"Keras {version}", engine])),
            _outline.parts_of(model),
            arrays=_outline.of_arrays(arrays),
            training=_outline.training_of(training),
        )


def _stored(group: Group) -> list[Stored]:
    """The weights of all layers of a file."""
    layers = group.texts("layer_names")
    if layers is None:
        raise ValueError(f"{group.path or 'the file'} does not list the names of layers")
    _check_unique(layers, group)
    return [Stored(layer, *_arrays(group.group(layer))) for layer in layers]


def _state(file: Group) -> list[tuple[str, np.ndarray]]:
    """The variables of the optimizer, if there are any."""
    if "optimizer_weights" not in file:
        return []
    return list(zip(*_arrays(file.group("optimizer_weights")), strict=True))


def _arrays(group: Group) -> tuple[list[str], list[np.ndarray]]:
    names = group.texts("weight_names")
    if names is None:
        raise ValueError(f"{group.path} does not list the names of weights")
    _check_unique(names, group)
    return names, [group.array(name) for name in names]


def _check_unique(names: list[str], group: Group) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{group.path or 'the file'} lists a name twice")
