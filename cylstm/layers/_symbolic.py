"""Symbolic calls of a layer: shapes are checked, and a node is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from cylstm import _blank
from cylstm.graph import Node, SymbolicTensor
from cylstm.layers._advice import likely_reason
from cylstm.layers.input_spec import AxesError

__all__ = ["Connected", "connect", "masks"]


class Connected(Protocol):
    """What these functions ask of a layer."""

    name: str

    @property
    def dtype(self) -> str:
        """The name of its dtype."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs."""

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None: ...

    def _ensure_built_for(self, input_shape: Any) -> None: ...

    def _symbolic_shapes(self, tensors: list[SymbolicTensor], shape: Any) -> Any: ...

    def _symbolic_masks(
        self, tensors: list[SymbolicTensor], outputs: int
    ) -> list[SymbolicTensor | None]: ...

    def _note_call(self, node: Node) -> None: ...


def connect(layer: Connected, tensors: list[SymbolicTensor], arguments: dict[str, Any]) -> Any:
    """Build, record a node, and return symbolic outputs."""
    if arguments.pop("mask", None) is not None:
        raise ValueError("A symbolic mask comes with its input: use Masking or Embedding.")
    for tensor in tensors:
        if not isinstance(tensor, SymbolicTensor):
            raise ValueError(
                f"Layer {layer.name} was called on symbolic tensors together with a "
                f"{type(tensor).__name__}: make an Input for it."
            )
    shapes = [tensor.shape for tensor in tensors]
    shape = shapes if len(shapes) > 1 else shapes[0]
    try:
        layer._check_shapes(shapes)
        layer._ensure_built_for(shape)
        results = layer._symbolic_shapes(tensors, shape)
    except AxesError as error:
        reason = likely_reason(layer, tensors[0]) if tensors else None
        raise (error if reason is None else ValueError(reason)) from None
    several = isinstance(results, list)
    outputs = [
        SymbolicTensor(result, layer.dtype, layer.name)
        for result in (results if several else [results])
    ]
    found = layer._symbolic_masks(tensors, len(outputs))
    for output, mask in zip(outputs, found, strict=True):
        output.mask = mask
    layer._note_call(Node(layer, tensors, outputs, arguments))
    return outputs if several else outputs[0]


def masks(
    layer: Connected, tensors: list[SymbolicTensor], outputs: int
) -> list[SymbolicTensor | None]:
    """What stands for the masks of the outputs: found by asking with small arrays."""
    samples = [_sample(tensor, tensor.dtype) for tensor in tensors]
    given = [t.mask and _sample(t.mask, "bool") for t in tensors]
    several = len(tensors) > 1
    results = layer.compute_mask(samples if several else samples[0], given if several else given[0])
    results = results if isinstance(results, list) else [results] * outputs
    found: list[SymbolicTensor | None] = []
    for result in results:
        passed = [t.mask for t, m in zip(tensors, given, strict=True) if m is result]
        if result is None:
            found.append(None)
        elif passed:
            found.append(passed[0])
        else:
            found.append(SymbolicTensor([None] * np.ndim(result), "bool", f"{layer.name}/mask"))
    return found


def _sample(tensor: SymbolicTensor, dtype: str) -> np.ndarray:
    """A small array of the shape of a symbolic tensor, 1 standing for what is unknown."""
    shape = [1 if n is None else n for n in tensor.shape]
    _blank.claim(shape)
    return np.zeros(shape, dtype)
