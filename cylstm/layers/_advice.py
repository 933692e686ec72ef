"""What the errors of layers say about usual mistakes."""

from __future__ import annotations

from typing import Any

from cylstm import _checks
from cylstm.graph import SymbolicTensor

__all__ = ["likely_reason", "what_is_no_layer"]


def likely_reason(layer: Any, tensor: SymbolicTensor) -> str | None:
    """Why a tensor has not the axes that a layer reads, where it is one of two usual mistakes."""
    shape = tensor.shape
    before: SymbolicTensor | None = tensor
    while before is not None and before.ndim == 2:
        maker = before.layer
        if getattr(maker, "return_sequences", None) is False:
            return (
                f"Layer {layer.name} reads sequences, (samples, timesteps, features), but "
                f"{maker.name} returns its last output only, {before.shape}: give {maker.name} "
                "return_sequences=True."
            )
        inner = before.node.input_tensors if maker is not None and maker.framewise else []
        before = inner[0] if len(inner) == 1 and inner[0] is not before else None
    if layer.batch_input_shape == shape and shape[0] is None:
        given = shape[1:]
        text = (
            f"Layer {layer.name} was given input_shape={given}, but it is to be the shape of one "
            "sample, (timesteps, features)"
        )
        if len(given) == 1:
            return f"{text}: {(*given, 1)} for {given[0]} timesteps of one feature."
        if len(given) == 3:
            return f"{text}, without the axis of the samples: {given[1:]}."
    return None


def what_is_no_layer(value: Any) -> str:
    """What stands where a layer should, for errors, and how to make one of a class."""
    cure = f": make one, {value.__name__}(...)" if isinstance(value, type) else ""
    return _checks.described(value) + cure
