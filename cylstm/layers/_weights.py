"""WeightHolder: the members of a layer that have to do with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _blank, _checks, _spellings, constraints, initializers, regularizers
from cylstm.variables import Variable

__all__ = ["WeightHolder"]


class WeightHolder:
    """The weights of a layer: `build` adds them."""

    def __init__(self) -> None:
        super().__init__()
        self._variables: list[Variable] = []

    @_spellings.add_weight
    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike = None,
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

    def add_variable(self, name: str, shape: Sequence[int], **kwargs: Any) -> Variable:
        """The same as `add_weight`: TensorFlow's name for it."""
        return self.add_weight(name, shape, **kwargs)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training updates: none while the layer is frozen."""
        return [v for v in self._variables if v.trainable] if self.trainable else []

    @trainable_weights.setter
    def trainable_weights(self, weights: Sequence[Variable]) -> None:
        self._replace_weights(weights, trainable=True)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone; those of a frozen layer all are."""
        fixed = [v for v in self._variables if not v.trainable]
        return fixed if self.trainable else [v for v in self._variables if v.trainable] + fixed

    @non_trainable_weights.setter
    def non_trainable_weights(self, weights: Sequence[Variable]) -> None:
        self._replace_weights(weights, trainable=False)

    def _replace_weights(self, weights: Sequence[Variable], trainable: bool) -> None:
        """Take variables that `build` made by itself, with `cylstm.backend.variable`."""
        for weight in weights:
            if not isinstance(weight, Variable):
                raise TypeError(
                    f"The weights of a layer are variables, got {_checks.described(weight)}: make "
                    "them by add_weight, or by cylstm.backend.variable."
                )
            weight.trainable = trainable
        given = {id(v) for v in weights}
        kept = [v for v in self._variables if v.trainable != trainable and id(v) not in given]
        self._variables = [*weights, *kept] if trainable else [*kept, *weights]

    @property
    def weights(self) -> list[Variable]:
        """All weights, the trainable ones first."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
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
            raise TypeError(
                f"Weights are given as a list of arrays, got {_checks.described(weights)}."
            )
        if len(weights) != len(variables):
            shapes = [f"{v.name} {v.shape}" for v in variables[:9]]
            shapes += ["..."] if len(variables) > 9 else []
            built = f"they are {', '.join(shapes)}" if shapes else "it has none"
            note = built if self.built else "it is not built yet: call it, or `build` it"
            raise ValueError(
                f"Layer {self.name} has {len(variables)} weights, but was given {len(weights)}; "
                f"{note}."
            )
        values = [v.checked(w) for v, w in zip(variables, weights, strict=True)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
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
