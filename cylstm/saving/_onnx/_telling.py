"""What an ONNX file holds, told without making a model of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cylstm.saving._onnx._document import Attribute, Model, Node, Tensor, ValueInfo
from cylstm.saving._onnx._tensors import DTYPES
from cylstm.saving._outline import ArraySpec, Outline, Part

__all__ = ["outline_of"]


def outline_of(document: Model) -> Outline:
    """The inputs, nodes, outputs and arrays of the outermost graph.

    Parameters
    ----------
    document : Model
        It may be hostile.

    Raises
    ------
    ValueError
        If there is no graph.
    """
    graph = document.graph
    if graph is None or not graph.node:
        raise ValueError("it is no ONNX model: it holds no graph of nodes")
    arrays = {tensor.name or "": _shape(tensor) for tensor in graph.initializer}
    parts = [_end(info, "input") for info in graph.input if info.name not in arrays]
    parts += [Part(node.name or "", node.op_type or "?", _arguments(node)) for node in graph.node]
    parts += [_end(info, "output") for info in graph.output]
    written = filter(None, [document.producer_name, document.producer_version])
    return Outline(_title(document), "model", " ".join(written), parts, "node", arrays)


def _title(document: Model) -> str:
    sets = {entry.domain or "ai.onnx": entry.version for entry in document.opset_import}
    return ", ".join(["ONNX", *(f"{domain} {version}" for domain, version in sets.items())])


def _shape(tensor: Tensor) -> ArraySpec:
    number = tensor.data_type
    return ArraySpec(tuple(tensor.dims), DTYPES.get(number or 0, f"type {number}"))


def _end(info: ValueInfo, kind: str) -> Part:
    tensor = info.type.tensor_type if info.type is not None else None
    if tensor is None or tensor.shape is None:
        return Part(info.name or "", kind, {})
    sizes = [d.name if d.value is None else d.value for d in tensor.shape.dim]
    return Part(info.name or "", kind, {"shape": sizes})


def _arguments(node: Node) -> dict[str, Any]:
    return dict(_values(node.attribute))


def _values(attributes: Iterable[Attribute]) -> Iterable[tuple[str, Any]]:
    for attribute in attributes:
        for value in (attribute.i, attribute.f, attribute.s, attribute.ints, attribute.strings):
            if value is not None and not (isinstance(value, list) and not value):
                yield attribute.name or "", _text(value)
                break


def _text(value: Any) -> Any:
    """Numbers as they are; bytes as text."""
    if isinstance(value, list):
        return [_text(entry) for entry in value]
    if isinstance(value, int | float):
        return value
    return bytes(value).decode("utf-8", "replace")
