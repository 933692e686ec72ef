"""The arguments that layers pass on to their bases by ``**kwargs``, for type checkers.

`Layer` and `Recurrent` have them in their signatures, with the defaults; a test compares. There
are several classes since a name cannot be in a signature and in the options that it unpacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

__all__ = [
    "Constrain",
    "DenseOptions",
    "Initialize",
    "LSTMOptions",
    "LayerOptions",
    "Penalize",
    "RecurrentOptions",
    "WeightedOptions",
    "WrapperOptions",
]

# What initializers, regularizers and constraints are found as.
Initialize = Callable[..., np.ndarray]
Penalize = Callable[[np.ndarray], float] | None
Constrain = Callable[[np.ndarray], np.ndarray] | None


class _Options(TypedDict, total=False):
    trainable: bool
    name: str | None
    dtype: npt.DTypeLike | None
    input_shape: Sequence[int | None] | None
    batch_input_shape: Sequence[int | None] | None
    batch_size: int | None


class WrapperOptions(_Options, total=False):
    """Of `Layer`, without `weights`."""

    activity_regularizer: Any


class WeightedOptions(_Options, total=False):
    """Of `Layer`, without `activity_regularizer`."""

    weights: Sequence[npt.ArrayLike] | None


class LayerOptions(WeightedOptions, total=False):
    """All of `Layer`."""

    activity_regularizer: Any


class DenseOptions(WeightedOptions, total=False):
    """Those of `WeightedOptions`, and another way to give `input_shape`."""

    input_dim: int | None


class RecurrentOptions(LayerOptions, total=False):
    """All of `Layer`, and another way to give `input_shape`."""

    input_dim: int | None
    input_length: int | None


class LSTMOptions(DenseOptions, total=False):
    """Of `Recurrent`, without `activity_regularizer`."""

    input_length: int | None
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    unroll: bool
    implementation: int
