"""Gradients: what a pullback returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Gradients"]


class Gradients(NamedTuple):
    """What a pullback returns: the gradients of ``sum(outputs * cotangents)``.

    Attributes
    ----------
    inputs : ndarray or list of ndarray
        Like the inputs of the call.
    initial_state : list of ndarray, or None
        Like the initial states of the call; None where none were given.
    weights : list of ndarray
        In the order of the layer's ``trainable_weights``.
    """

    inputs: Any
    initial_state: list[np.ndarray] | None
    weights: list[np.ndarray]
