"""ONNX: models of other frameworks with LSTM nodes, and models of ours for other runtimes.

A graph becomes a model of layers, and a model a graph of operators. What no layer computes is
refused, with the node and the reason. Nothing of the package onnx is needed: its files are
protocol buffers, of which `_wire` reads and writes the little that there is.

The modules that read and write are imported when they are used, as most programs use none of them.

An ONNX file holds no training: `load_model` gives a model that is not compiled, and `save` leaves
optimizer, losses and metrics out. It holds no weights without a model, either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cylstm.saving import _weights
from cylstm.saving._errors import reading
from cylstm.saving._files import check_size, opened
from cylstm.saving._onnx._wire import leading_fields
from cylstm.saving._outline import Outline

__all__ = ["encode", "load", "load_weights", "outline", "recognises", "require", "suffixes"]

suffixes: tuple[str, ...] = (".onnx",)

# Of a whole file: their numbers, and how each is encoded.
_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Whether a file may be one, from its beginning: ONNX has no magic number.

    The first field is the version of the format, a small number; then come names, and the graph.

    Examples
    --------
    >>> recognises(bytes([8, 8, 18, 4]) + b"mine" + bytes([58, 2, 10, 0])), recognises(b"PK")
    (True, False)
    """
    if len(head) < 4 or head[0] != 8 or not 3 <= head[1] <= 64:
        return False
    found = leading_fields(head)
    return len(found) > 1 and all(_FIELDS.get(number) == wire for number, wire in found)


def require() -> None:
    """Nothing: no package is needed."""


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Make the model that a file holds; see `cylstm.models.load_model`.

    It is never compiled, as the file holds nothing to compile it with, and has no custom objects.
    """
    from cylstm.saving._onnx._external import Folder
    from cylstm.saving._onnx._reading import model_of

    with reading(path):
        document, size = _read(path, max_size)
        return model_of(document, Folder(path, max_size - size), size)


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    from cylstm.saving._onnx._telling import outline_of

    with reading(path):
        return outline_of(_read(path, max_size)[0])


def _read(path: Path, max_size: int) -> tuple[Any, int]:
    """The document of a file, and how many bytes the file has."""
    from cylstm.saving._onnx._document import decode

    with opened(path) as (file, size):
        check_size(size, max_size)
        return decode(file.read(size)), size


def encode(model: Any, include_optimizer: bool) -> bytes:
    """The file of a model; see `Model.save`. What it is trained with has no place in the format."""
    from cylstm.saving._onnx._writing import document_of

    return document_of(model).encoded()


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of the model that a file holds; see `Model.load_weights`."""
    other = load(path, None, False, max_size)
    stored = [
        _weights.Stored(layer.name, names, [variable.value for variable in variables])
        for layer, names, variables in _weights.named_weights(other)
    ]
    pair = _weights.by_name if by_name else _weights.in_order
    try:
        pairs = pair(model, stored)
    except ValueError as error:
        raise ValueError(f"Cannot load the weights of {os.fspath(path)!r}: {error}.") from None
    _weights.assign(pairs)
