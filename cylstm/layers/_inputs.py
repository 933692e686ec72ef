"""The inputs of a layer: arrays of its dtype that fit what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from cylstm.layers._losses import as_list
from cylstm.layers._own_code import is_written_as_call

__all__ = ["Taking", "check_shapes", "checked_arrays"]


class Taking(Protocol):
    """What these functions ask of a layer."""

    name: str
    input_spec: Any  # a list of InputSpec; Keras takes one that is in no list, too

    def _cast(self, value: Any, what: str) -> np.ndarray: ...

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None: ...


def checked_arrays(layer: Taking, inputs: Any) -> Any:
    """The input as an array, or the list of inputs as arrays, cast and of shapes that fit."""
    if not _are_several(layer, inputs):
        array = layer._cast(inputs, f"Input 0 of layer {layer.name}")
        layer._check_shapes([array.shape])
        return array
    if len(inputs) == 1:
        return checked_arrays(layer, inputs[0])
    arrays = [layer._cast(x, f"Input {i} of layer {layer.name}") for i, x in enumerate(inputs)]
    layer._check_shapes([a.shape for a in arrays])
    return arrays


def _are_several(layer: Taking, inputs: Any) -> bool:
    """Whether a list is one of inputs, and not one input as a list of numbers."""
    if not isinstance(inputs, list | tuple):
        return False
    if layer.input_spec is None:
        own = is_written_as_call(type(layer))
        return own and any(getattr(x, "shape", None) for x in inputs)
    return len(as_list(layer.input_spec)) > 1


def check_shapes(layer: Taking, shapes: Sequence[Sequence[int | None]]) -> None:
    """Raise ValueError unless there is one shape for each of `input_spec`, which fits it."""
    if layer.input_spec is None:
        return
    specs = as_list(layer.input_spec)
    if len(shapes) != len(specs):
        only = ": of a layer with return_state=True take the first output"
        raise ValueError(
            f"Layer {layer.name} takes {len(specs)} inputs, got {len(shapes)}"
            f"{only if len(specs) == 1 else ''}."
        )
    for i, (shape, spec) in enumerate(zip(shapes, specs, strict=True)):
        if not spec.fits(shape):
            spec.check(shape, f"Input {i} of layer {layer.name}")
