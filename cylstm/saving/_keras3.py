"""The format of Keras 3, ``.keras``: a zip archive of an architecture and its weights.

``metadata.json`` says which Keras wrote it, ``config.json`` holds the architecture and, under
``compile_config``, the training; ``model.weights.h5`` the weights and the variables of the
optimizer, in HDF5 (see `_keras3_tree`). tf_keras writes it, too, with the arguments of Keras 2.

What cylstm writes has a key of its own in ``config.json``, ``cylstm``, with what Keras 3 has no
place for, so that training goes on with the same bits.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cylstm.saving import (
    _description,
    _hdf5,
    _json,
    _keras3_config,
    _keras3_tree,
    _keras_graph,
    _keras_training,
    _outline,
    _weights,
    _zip,
)
from cylstm.saving._errors import reading
from cylstm.saving._hdf5 import Contents, Group, require
from cylstm.saving._keras_config import origin_of
from cylstm.saving._limits import Limits
from cylstm.saving._outline import Outline
from cylstm.saving._weights import Stored

__all__ = [
    "encode",
    "load",
    "load_weights",
    "outline",
    "recognises",
    "require",
    "suffixes",
]

suffixes: tuple[str, ...] = (".keras",)

_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_VERSION = {"keras_version": "3.8.0", "date_saved": "1980-01-01@00:00:00"}

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Whether a file begins as such an archive."""
    return _zip.first_name(head) in (_METADATA, _CONFIG, _WEIGHTS)


# ---------------------------------------------------------------------------- writing


def encode(model: Any, include_optimizer: bool) -> bytes:
    """The file of a model; see `Model.save`."""
    require()
    _weights.named_weights(model)  # refuses a model that is not built
    contents = _keras3_tree.groups_of(model)
    arrays = [v.value for v in model.weights]
    config = _keras3_config.model_to(model)
    if include_optimizer:
        training, state = _description.describe_training(model)
        arrays += state
        if training is not None:
            _description.check_training(training, len(model.outputs), Limits.of(arrays))
            config["compile_config"] = _keras3_config.compiled(training)
            config["cylstm"] = training
            contents.members["optimizer"] = _optimizer(model, training, state)
    limits = Limits.of(arrays)
    _description.describe(model, limits)  # refuses what could not be loaded
    text = _json.dump(_json.plain(config, f"The model {model.name}"))
    _json.check_count(text, limits.values)
    members = {
        _METADATA: _json.dump(_VERSION).encode(),
        _CONFIG: text.encode(),
        _WEIGHTS: _hdf5.encode(contents),
    }
    return _zip.encode(members)


def _optimizer(model: Any, training: dict[str, Any], state: list[np.ndarray]) -> Contents:
    """The variables of an optimizer: number of updates, learning rate, slots by variable."""
    rate = training["optimizer"]["config"].get("lr", 0)
    found: list[np.ndarray] = [
        np.array(training["iterations"], np.int64),
        np.array(rate, np.float32),
    ]
    found += _keras_training.interleaved(state, len(model.trainable_weights))
    variables = Contents()
    variables.members.update((str(i), array) for i, array in enumerate(found))
    return Contents(members={"vars": variables})


# ---------------------------------------------------------------------------- reading


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Make the model that a file holds; see `cylstm.models.load_model`."""
    with reading(path), _zip.opened_archive(path, max_size) as archive:
        file = _tree(archive, max_size)
        limits = Limits.of(file.arrays().values())
        document = _architecture(archive, limits)
        origin = origin_of(_version(archive))
        config = _keras_graph.model_from(document, origin)
        model = _description.rebuild_config(config, custom_objects, limits)
        _weights.assign(_keras3_tree.read(model, file))
        training = document.get("compile_config")
        if compile and _keras_training.is_compiled(training):
            state = _state(file)
            stored = [Stored(layer.name, [], []) for layer in model.layers]
            found, slots = _keras_training.training_from(
                _with_own(training, document), state, model, stored, origin
            )
            _description.resume_training(model, found, slots, custom_objects, limits)
        return model


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    with reading(path), _zip.opened_archive(path, max_size) as archive:
        arrays = _tree(archive, max_size).arrays()
        document = _architecture(archive, Limits.of(arrays.values()))
        return Outline(
            "zip archive of Keras 3",
            "model",
            f"Keras {_version(archive)}",
            _outline.parts_of(document),
            arrays=_outline.of_arrays(arrays),
            training=_outline.training_of(document.get("compile_config")),
        )


def _architecture(archive: _zip.Archive, limits: Limits) -> Mapping[str, Any]:
    text = archive.read(_CONFIG)
    _json.check_count(text, limits.values)
    document = _json.parse(text)
    if not isinstance(document, Mapping):
        raise ValueError(f"its {_CONFIG} is no object")
    return document


def _with_own(training: Any, document: Mapping[str, Any]) -> Any:
    """What a model was compiled with, with what cylstm noted where it wrote the file."""
    own = document.get("cylstm")
    if isinstance(own, Mapping) and isinstance(training, Mapping):
        return {**own, "cylstm": {"iterations": own.get("iterations")}}
    return training


def _tree(archive: _zip.Archive, max_size: int) -> Group:
    if _WEIGHTS not in archive.names:
        raise ValueError(
            f"it has no member {_WEIGHTS}; weights in several files or other formats are not read"
        )
    data = archive.read(_WEIGHTS)
    return _hdf5.tree(io.BytesIO(data), len(data), max_size)


def _version(archive: _zip.Archive) -> str:
    text = archive.read(_METADATA)
    _json.check_count(text, 64)
    metadata = _json.parse(text)
    version = metadata.get("keras_version") if isinstance(metadata, Mapping) else None
    if not isinstance(version, str):
        raise ValueError(f"its {_METADATA} does not say which Keras wrote it")
    return version


def _state(file: Group) -> list[tuple[str, np.ndarray]]:
    if "optimizer" not in file:
        return []
    values = _keras3_tree.read_numbered(file.group("optimizer"))
    names = [str(i) if i else "iteration" for i in range(len(values))]
    return list(zip(names, values, strict=True))


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of a file; see `Model.load_weights`."""
    with reading(path), _zip.opened_archive(path, max_size) as archive:
        file = _tree(archive, max_size)
        pairs = _keras3_tree.read(model, file, by_name=by_name)
    _weights.assign(pairs)
