"""Building a layer on first use: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Buildable", "build_for", "undo_of"]


class Buildable(Protocol):
    """What these functions ask of a layer."""

    built: bool
    _initial_weights: Any

    def build(self, input_shape: Any) -> None:
        """Create the weights."""

    @property
    def set_weights(self) -> Callable[[Any], None]:
        """How its weights are replaced."""

    def _undo(self) -> Callable[[], None]: ...


def build_for(layer: Buildable, input_shape: Any) -> None:
    """Build for this shape, or list of shapes, on first use, and put in given weights.

    After an error the layer is as it was.
    """
    undo = layer._undo()
    try:
        if not layer.built:
            layer.build(input_shape)
            layer.built = True
        if layer._initial_weights is not None:
            layer.set_weights(layer._initial_weights)
            layer._initial_weights = None
    except BaseException:
        undo()
        raise


def undo_of(layer: object) -> Callable[[], None]:
    """A function that puts the attributes of a layer back to what they are now."""
    attributes = vars(layer)
    before = {k: list(v) if type(v) is list else v for k, v in attributes.items()}

    def undo() -> None:
        attributes.clear()
        attributes.update(before)

    return undo
