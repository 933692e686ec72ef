"""Architectures in JSON, ``.json``: what `Model.to_json` returns, of every Keras.

It is written as Keras 2 does. A model that is read from such a file has initial weights, and is not
compiled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NoReturn

from cylstm import models
from cylstm.saving import _description, _json, _keras_graph, _outline
from cylstm.saving._errors import FormatError, reading
from cylstm.saving._files import check_size, opened
from cylstm.saving._limits import Limits
from cylstm.saving._outline import Outline

__all__ = ["encode", "load", "load_weights", "outline", "recognises", "require", "suffixes"]

suffixes: tuple[str, ...] = (".json",)

_LARGEST = 2**22  # bytes; what a safetensors header may have

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Whether a file begins as the JSON of a model."""
    return head.lstrip()[:1] == b"{" and b'"class_name"' in head


def require() -> None:
    """Nothing is missing."""


def encode(model: Any, include_optimizer: bool) -> bytes:
    """The file of the architecture of a model; see `Model.save`."""
    text: str = model.to_json()
    return text.encode()


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Make the model that a file describes; see `cylstm.models.load_model`."""
    with reading(path):
        limits = _limits(max_size)
        config = _keras_graph.architecture(_parsed(path, max_size))
        # Without numbers first: to see that it is a model, and no larger than allowed.
        _description.rebuild_config(config, custom_objects, limits)
        return models.model_from_config(config, dict(custom_objects or {}))


def outline(path: Path, max_size: int) -> Outline:
    """Tell which layers a file describes."""
    with reading(path):
        document = _parsed(path, max_size)
        if not isinstance(document, Mapping) or "class_name" not in document:
            raise ValueError("it describes no model")
        version = document.get("keras_version")
        producer = f"Keras {version}" if isinstance(version, str) else ""
        parts = _outline.parts_of(document)
        return Outline("JSON of a Keras model", "architecture", producer, parts)


def _parsed(path: Path, max_size: int) -> Any:
    with opened(path) as (file, size):
        check_size(size, min(max_size, _LARGEST))
        text = file.read(size)
    _json.check_count(text, _limits(max_size).values)
    return _json.parse(text)


def _limits(max_size: int) -> Limits:
    return Limits(max_size, max_size // 2**12, max_size // 4)


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> NoReturn:
    """Refused: such a file holds no weights."""
    raise FormatError(f"Cannot read {os.fspath(path)!r}: it holds an architecture without weights")
