"""The format of this package: a safetensors file with the model in its metadata.

Any reader of safetensors finds the weights, by names such as ``lstm_1/kernel``. The metadata hold
one text, ``cylstm``: a JSON object with

- ``format``: 1, the version of this format; ``cylstm``: the version of the package that wrote it;
- ``model``: class name and config, as `Model.to_json` has them, and the shapes of the inputs; null
  in a file of weights;
- ``layers``: for each layer that has weights, its name and the names of its tensors;
- ``training``: optimizer, losses and metrics, by their names and configs, and the names of the
  tensors that are the state of the optimizer; null where it was not to be saved;
- ``digests``: BLAKE2 of dtype, shape and bytes of each tensor; ``digest``: of all the above.

The format itself has no checksum: the digests are what a flipped bit does not get past. They do
not prove where a file is from.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from cylstm._version import __version__
from cylstm.saving import _description, _json, _outline, _tensors, _weights
from cylstm.saving._errors import reading
from cylstm.saving._limits import Limits
from cylstm.saving._outline import Outline
from cylstm.saving._tensors import require

__all__ = [
    "encode",
    "encode_weights",
    "load",
    "load_weights",
    "outline",
    "recognises",
    "require",
    "suffixes",
    "tensors",
]

suffixes: tuple[str, ...] = (".safetensors",)

_VERSION = 1
_MARK = re.compile(rb'"__metadata__"\s*:\s*\{\s*"cylstm"\s*:')
_KEYS = {"format", "cylstm", "model", "layers", "training", "digests", "digest"}

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray]


def recognises(head: bytes) -> bool:
    """Whether a file may be safetensors that cylstm wrote.

    Examples
    --------
    >>> recognises(b"\\x40" + bytes(7) + b'{"__metadata__":{"cylstm":"')
    True
    """
    return _tensors.recognises(head) and _MARK.search(head) is not None


def encode(model: Any, include_optimizer: bool) -> bytes:
    """The file of a model; see `Model.save`."""
    tensors, layers = _weights_of(model)
    training = None
    if include_optimizer:
        training, state = _description.describe_training(model)
        names = []
        for i, array in enumerate(state):
            names.append(_weights.unused_name(f"optimizer/{i}", tensors))
            tensors[names[-1]] = array
        if training is not None:
            _description.check_training(training, len(model.outputs), Limits.of(tensors.values()))
            training["state"] = names
    description = _description.describe(model, Limits.of(tensors.values()))
    return _encoded(tensors, description, layers, training)


def encode_weights(model: Any) -> bytes:
    """The file of the weights of a model; see `Model.save_weights`."""
    tensors, layers = _weights_of(model)
    return _encoded(tensors, None, layers, None)


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Make the model that a file holds; see `cylstm.models.load_model`."""
    with reading(path):
        tensors, document = _read(path, max_size)
        if document["model"] is None:
            raise ValueError(
                "it holds weights only: make the model and call its load_weights(path)"
            )
        stored = _stored(document, tensors)
        limits = Limits.of(tensors.values())
        model = _description.rebuild(document["model"], custom_objects, limits)
        _weights.assign(_weights.in_order(model, stored, exactly=True))
        training = document["training"]
        if compile and training is not None:
            state = [tensors[name] for name in training.pop("state")]
            _description.resume_training(model, training, state, custom_objects, limits)
        return model


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of a file; see `Model.load_weights`."""
    with reading(path):
        stored = _stored(*reversed(_read(path, max_size)))
    pair = _weights.by_name if by_name else _weights.in_order
    try:
        pairs = pair(model, stored)
    except ValueError as error:
        raise ValueError(f"Cannot load the weights of {os.fspath(path)!r}: {error}.") from None
    _weights.assign(pairs)


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    with reading(path):
        arrays, document = _read(path, max_size)
        return Outline(
            "safetensors of cylstm",
            "weights" if document["model"] is None else "model",
            f"cylstm {document['cylstm']}",
            _outline.parts_of(document["model"]),
            arrays=_outline.of_arrays(arrays),
            training=_outline.training_of(document["training"]),
        )


def tensors(path: Path, max_size: int) -> Arrays:
    """All tensors of a file by name, those of its optimizer, too; read-only."""
    return _read(path, max_size)[0]


def _weights_of(model: Any) -> tuple[Arrays, list[list[Any]]]:
    """The tensors of a model, and the table that says which layer they belong to."""
    groups = _weights.named_weights(model)
    tensors = {
        name: variable.value
        for _, names, variables in groups
        for name, variable in zip(names, variables, strict=True)
    }
    return tensors, [[layer.name, names] for layer, names, _ in groups]


def _encoded(
    tensors: Arrays,
    model: dict[str, Any] | None,
    layers: list[list[Any]],
    training: dict[str, Any] | None,
) -> bytes:
    document = {
        "format": _VERSION,
        "cylstm": __version__,
        "model": model,
        "layers": layers,
        "training": training,
        "digests": {name: _digest_of_array(array) for name, array in tensors.items()},
    }
    text = _json.dump(document)
    document["digest"] = _digest(text.encode())
    return _tensors.encode(tensors, {"cylstm": _json.dump(document)})


def _read(path: Path, max_size: int) -> tuple[Arrays, dict[str, Any]]:
    """The tensors and the document of a file, both whole."""
    tensors, metadata = _tensors.decode(path, max_size)
    if set(metadata) != {"cylstm"}:
        raise ValueError("it is a safetensors file, but cylstm did not write it")
    document = _json.parse(metadata["cylstm"])
    if not isinstance(document, dict) or document.get("format") != _VERSION:
        raise ValueError("it is of another version of the format: a newer cylstm may read it")
    if set(document) != _KEYS:
        raise ValueError(f"its description has the parts {sorted(document)}")
    given = document.pop("digest")
    if given != _digest(_json.dump(document).encode()):
        raise ValueError("its description is damaged: the digest is not what it should be")
    _check_document(document, tensors)
    return tensors, document


def _check_document(document: dict[str, Any], tensors: Arrays) -> None:
    """Check the form of a document, and that it speaks of these tensors and no others."""
    digests, layers, training = document["digests"], document["layers"], document["training"]
    if not isinstance(document["model"], dict | None) or not isinstance(training, dict | None):
        raise ValueError("its model or training is no object")
    if not isinstance(layers, list) or not all(map(_is_layer, layers)):
        raise ValueError("its table of layers is not as it must be")
    state = [] if training is None else training.get("state")
    if not isinstance(state, list) or not _are_texts(state):
        raise ValueError("the state of its optimizer is not named")
    used = {name for _, names in layers for name in names} | set(state)
    if not isinstance(digests, dict) or not tensors.keys() == digests.keys() == used:
        raise ValueError("its tensors are not those that its description speaks of")
    for name, array in tensors.items():
        if digests[name] != _digest_of_array(array):
            raise ValueError(f"tensor {name!r} is damaged: the digest is not what it should be")


def _is_layer(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and _are_texts(entry[1])
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _stored(document: dict[str, Any], tensors: Arrays) -> list[_weights.Stored]:
    return [
        _weights.Stored(layer, names, [tensors[name] for name in names])
        for layer, names in document["layers"]
    ]


def _digest_of_array(array: np.ndarray) -> str:
    what = f"{array.dtype.name} {array.shape}"
    return _digest(what.encode(), np.asarray(array, order="C"))


def _digest(*parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
