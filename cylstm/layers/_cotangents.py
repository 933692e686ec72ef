"""Cotangents: what a pullback is given, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _checks

__all__ = ["checked_cotangents"]


def checked_cotangents(
    layer: Any, cotangents: Any, shapes: list[tuple[int, ...]]
) -> list[np.ndarray]:
    """One array for each output, of its shape and of the dtype of the layer."""
    if not isinstance(cotangents, list | tuple) or len(cotangents) != len(shapes):
        raise ValueError(
            f"Layer {layer.name} returned a list of {len(shapes)} outputs, and needs a list of "
            f"as many cotangents, got {_described(cotangents)}."
        )
    dtype, arrays = layer._dtype, []
    for i, (cotangent, shape) in enumerate(zip(cotangents, shapes, strict=True)):
        what = f"Cotangent {i} of layer {layer.name}"
        if cotangent is None:
            cotangent = np.zeros(shape, dtype)
        array = _checks.as_array(cotangent, dtype, what)
        if array.shape != shape:
            raise ValueError(f"{what} must be like the output, {shape}, got {array.shape}.")
        arrays.append(array)
    return arrays


def _described(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"
