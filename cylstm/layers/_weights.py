"""The weights of a layer: functions that `Layer` has as methods, or reads itself by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cylstm import _blank, _checks, _spellings, constraints, initializers, regularizers
from cylstm._methods import member
from cylstm.variables import Variable

__all__ = [
    "Weighted",
    "add_variable",
    "add_weight",
    "count_params",
    "fixed",
    "get_weights",
    "replace",
    "set_weights",
    "trained",
]


class Weighted(Protocol):
    """What these functions read of a layer."""

    name: str
    trainable: bool
    built: bool
    _variables: list[Variable]  # its own, as `build` added them

    @property
    def dtype(self) -> str:
        """The name of its dtype."""

    @property
    def add_weight(self) -> Callable[..., Variable]:
        """How it is given one more."""

    @property
    def weights(self) -> list[Variable]:
        """All of its weights, those of layers within included."""


@member
@_spellings.add_weight
def add_weight(
    self: Weighted,
    name: str,
    shape: Sequence[int],
    dtype: npt.DTypeLike | None = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    constraint: Any = None,
) -> Variable:
    """Create a weight.

    Parameters
    ----------
    name : str
        Its name within the layer.
    shape : tuple of int
        Its shape.
    dtype : str, optional
        Default: the dtype of the layer.
    initializer : callable, str or dict, default "glorot_uniform"
        Called with the shape and the dtype.
    regularizer, constraint : callable, str or dict, optional
        See `cylstm.regularizers`, `cylstm.constraints`.
    trainable : bool, default True
        Whether it is to be trained (while the layer is).

    Returns
    -------
    Variable
    """
    dtype = self.dtype if dtype is None else dtype
    initializer = initializers.get(initializer or "glorot_uniform")
    shape = tuple(shape)
    value = _blank.blank(shape, dtype)
    if value is None:
        value = np.asarray(initializer(shape, dtype=dtype))
    if value.shape != shape:
        raise ValueError(
            f"The initializer of {name} returned the shape {value.shape}, not {shape}."
        )
    variable = Variable(
        value,
        name=f"{self.name}/{name}",
        trainable=bool(trainable),
        regularizer=regularizers.get(regularizer),
        constraint=constraints.get(constraint),
        dtype=dtype,
    )
    self._variables.append(variable)
    return variable


@member
def add_variable(self: Weighted, name: str, shape: Sequence[int], **kwargs: Any) -> Variable:
    """The same as `add_weight`: TensorFlow's name for it."""
    return self.add_weight(name, shape, **kwargs)


def trained(layer: Weighted) -> list[Variable]:
    """The weights of its own that training updates: none while the layer is frozen."""
    return [v for v in layer._variables if v.trainable] if layer.trainable else []


def fixed(layer: Weighted) -> list[Variable]:
    """The weights of its own that training leaves alone; those of a frozen layer all are."""
    found = [v for v in layer._variables if not v.trainable]
    return found if layer.trainable else [v for v in layer._variables if v.trainable] + found


def replace(layer: Weighted, weights: Sequence[Variable], *, trainable: bool) -> None:
    """Take variables that `build` made by itself, with `cylstm.backend.variable`."""
    for weight in weights:
        if not isinstance(weight, Variable):
            raise TypeError(
                f"The weights of a layer are variables, got {_checks.described(weight)}: make "
                "them by add_weight, or by cylstm.backend.variable."
            )
        weight.trainable = trainable
    given = {id(v) for v in weights}
    kept = [v for v in layer._variables if v.trainable != trainable and id(v) not in given]
    layer._variables = [*weights, *kept] if trainable else [*kept, *weights]


@member
def get_weights(self: Weighted) -> list[np.ndarray]:
    """Copies of all weights, in the order of `weights`."""
    return [v.numpy() for v in self.weights]


@member
def set_weights(self: Weighted, weights: Sequence[npt.ArrayLike]) -> None:
    """Replace all weights.

    Parameters
    ----------
    weights : list of array_like
        One for each of `weights`, of the same shape.

    Raises
    ------
    ValueError
        If the number or a shape differs; all weights are then as before.
    TypeError
        If a value does not consist of real numbers; likewise.
    """
    variables = self.weights
    if not isinstance(weights, Sequence | np.ndarray) or isinstance(weights, str):
        raise TypeError(f"Weights are given as a list of arrays, got {_checks.described(weights)}.")
    if len(weights) != len(variables):
        shapes = [f"{v.name} {v.shape}" for v in variables[:9]]
        shapes += ["..."] if len(variables) > 9 else []
        built = f"they are {', '.join(shapes)}" if shapes else "it has none"
        note = built if self.built else "it is not built yet: call it, or `build` it"
        raise ValueError(
            f"Layer {self.name} has {len(variables)} weights, but was given {len(weights)}; {note}."
        )
    values = [v.checked(w) for v, w in zip(variables, weights, strict=True)]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@member
def count_params(self: Weighted) -> int:
    """How many numbers the weights hold.

    Raises
    ------
    ValueError
        If the layer is not built, and so has no weights yet.
    """
    if not self.built:
        raise ValueError(
            f"Layer {self.name} is not built: call it, or `build` it with an input shape."
        )
    return sum(v.value.size for v in self.weights)
