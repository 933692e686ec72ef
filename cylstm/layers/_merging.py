"""Merge: what all layers of several inputs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Unpack

import numpy as np

from cylstm import _checks
from cylstm.layers._options import LayerOptions
from cylstm.layers.differentiable import Differentiable

__all__ = ["Merge", "Shape"]

Shape = Sequence[int | None]


class Merge(Differentiable):
    """The frame of a layer that takes a list of inputs."""

    greatest_number: float = np.inf

    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Check the list of input shapes; there are no weights."""
        self.compute_output_shape(input_shape)
        self.built = True

    def _as_arrays(self, inputs: Any) -> list[np.ndarray]:
        if not isinstance(inputs, list | tuple):
            raise ValueError(
                f"Layer {self.name} merges several inputs: call it on a list of them, got a "
                f"{type(inputs).__name__}."
            )
        arrays = [
            _checks.as_array(x, self._dtype, f"Input {i} of layer {self.name}")
            for i, x in enumerate(inputs)
        ]
        self._check_shapes([array.shape for array in arrays])
        return arrays

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        self.compute_output_shape(list(shapes))

    def _counted(self, shapes: Any) -> list[tuple[int | None, ...]]:
        """The shapes of the inputs as tuples, as many as the layer takes."""
        if not isinstance(shapes, list | tuple) or any(_is_size(shape) for shape in shapes):
            raise ValueError(
                f"Layer {self.name} merges several inputs: expected a list of shapes, got "
                f"{shapes!r}."
            )
        if not 2 <= len(shapes) <= self.greatest_number:
            expected = "2" if self.greatest_number == 2 else "at least 2"
            raise ValueError(f"Layer {self.name} merges {expected} inputs, got {len(shapes)}.")
        if any(len(shape) == 0 for shape in shapes):
            raise ValueError(f"Layer {self.name} needs inputs with a batch axis, got a number.")
        return [tuple(shape) for shape in shapes]

    def _mismatch(self, shapes: Sequence[Shape], expected: str) -> ValueError:
        return ValueError(
            f"Layer {self.name} cannot merge inputs of shapes {', '.join(map(str, shapes))}: "
            f"{expected}."
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> np.ndarray | None:
        """The mask of the outputs: True where all given masks are.

        Parameters
        ----------
        inputs : list of ndarray
            As for calling the layer.
        mask : list of (ndarray or None), optional
            One for each input.

        Returns
        -------
        ndarray of bool, or None
            None where no input has a mask.

        Raises
        ------
        ValueError
            If `mask` is no list with an entry for each input, or its shapes do not fit.
        """
        masks = self._checked_masks(inputs, mask)
        return self._all_of([m for m in masks if m is not None])

    def _checked_masks(self, inputs: Any, mask: Any) -> list[Any]:
        if mask is None:
            return []
        if not isinstance(inputs, list | tuple):
            raise ValueError(
                f"Layer {self.name} merges a list of inputs, got one {type(inputs).__name__}."
            )
        if not isinstance(mask, list | tuple) or len(mask) != len(inputs):
            given = f"{len(mask)}" if isinstance(mask, list | tuple) else type(mask).__name__
            raise ValueError(
                f"Layer {self.name} needs a list of masks, an array or None for each of its "
                f"{len(inputs)} inputs, got {given}."
            )
        return [None if m is None else _checks.as_bools(m) for m in mask]

    def _all_of(self, masks: list[np.ndarray]) -> np.ndarray | None:
        """True where all masks are; axes of size 1 are repeated, as those of inputs are."""
        self._common_shape_of([m.shape for m in masks])
        return reduce(np.logical_and, masks) if masks else None

    def _common_shape_of(self, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        try:
            if len(set(map(len, shapes))) > 1:
                raise ValueError
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(
                f"Layer {self.name} cannot merge masks of shapes {', '.join(map(str, shapes))}."
            ) from None


def _is_size(value: Any) -> bool:
    return value is None or isinstance(value, int | np.integer)
