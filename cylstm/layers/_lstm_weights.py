"""LSTMWeights: the options and weights that an LSTM and its cell have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import numpy.typing as npt

from cylstm import _checks, activations, constraints, initializers, regularizers
from cylstm.layers._options import Constrain, Initialize, Penalize
from cylstm.variables import Variable

if TYPE_CHECKING:
    from cylstm.layers.layer import Layer as _Base  # what the classes that have it derive from
else:
    _Base = object

__all__ = ["LSTMWeights"]

_MODULES: dict[str, Any] = {
    "activation": activations,
    "constraint": constraints,
    "initializer": initializers,
    "regularizer": regularizers,
}


class _GateView:
    """A gate's part of a weight, as a read-only view of its current value."""

    def __init__(self, weight: str, gate: int) -> None:
        self.weight: str = weight
        self.gate: int = gate
        self.__doc__ = f"Gate {'ifco'[gate]} of `{weight}`: a read-only view."

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: object, owner: type) -> Any: ...
    def __get__(self, layer: Any, owner: type) -> Any:
        if layer is None:
            return self
        variable, units = getattr(layer, self.weight), layer.units
        if variable is None:
            return None
        return variable.value[..., self.gate * units : (self.gate + 1) * units]


class LSTMWeights(_Base):
    """The kernel, the recurrent kernel and the bias, with the gates i, f, c, o side by side."""

    kernel_i: _GateView = _GateView("kernel", 0)
    kernel_f: _GateView = _GateView("kernel", 1)
    kernel_c: _GateView = _GateView("kernel", 2)
    kernel_o: _GateView = _GateView("kernel", 3)
    recurrent_kernel_i: _GateView = _GateView("recurrent_kernel", 0)
    recurrent_kernel_f: _GateView = _GateView("recurrent_kernel", 1)
    recurrent_kernel_c: _GateView = _GateView("recurrent_kernel", 2)
    recurrent_kernel_o: _GateView = _GateView("recurrent_kernel", 3)
    bias_i: _GateView = _GateView("bias", 0)
    bias_f: _GateView = _GateView("bias", 1)
    bias_c: _GateView = _GateView("bias", 2)
    bias_o: _GateView = _GateView("bias", 3)

    units: int
    input_dim: int
    use_bias: bool
    unit_forget_bias: bool
    dropout: float
    recurrent_dropout: float
    activation: activations.Activation
    recurrent_activation: activations.Activation
    kernel_initializer: Initialize
    recurrent_initializer: Initialize
    bias_initializer: Initialize
    kernel_regularizer: Penalize
    recurrent_regularizer: Penalize
    bias_regularizer: Penalize
    kernel_constraint: Constrain
    recurrent_constraint: Constrain
    bias_constraint: Constrain
    kernel: Variable
    recurrent_kernel: Variable
    bias: Variable | None

    def _set_options(
        self,
        *,
        units: Any,
        use_bias: Any,
        unit_forget_bias: Any,
        dropout: Any,
        recurrent_dropout: Any,
        **named: Any,
    ) -> None:
        """Check and store the arguments of ``__init__``; `named` are those that have modules."""
        self.units = _checks.positive_int(units, "units")
        self.use_bias = bool(use_bias)
        self.unit_forget_bias = bool(unit_forget_bias)
        for name, value in named.items():
            setattr(self, name, _MODULES[name.rpartition("_")[2]].get(value))
        self.dropout = _checks.fraction(dropout, "dropout")
        self.recurrent_dropout = _checks.fraction(recurrent_dropout, "recurrent_dropout")

    def _add_weights(self, input_dim: int) -> None:
        """Create the weights for inputs of this size."""
        self.input_dim = _checks.positive_int(input_dim, "input_dim")

        def weight(name: str, shape: tuple[int, ...], prefix: str, initializer: Any) -> Variable:
            return self.add_weight(
                name,
                shape,
                initializer=initializer,
                regularizer=getattr(self, f"{prefix}_regularizer"),
                constraint=getattr(self, f"{prefix}_constraint"),
            )

        self.kernel = weight(
            "kernel",
            (self.input_dim, 4 * self.units),
            "kernel",
            self.kernel_initializer,
        )
        self.recurrent_kernel = weight(
            "recurrent_kernel",
            (self.units, 4 * self.units),
            "recurrent",
            self.recurrent_initializer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = weight("bias", (4 * self.units,), "bias", self._initial_bias)

    def _initial_bias(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> np.ndarray:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        return np.concatenate(
            [
                self.bias_initializer((self.units,), dtype=dtype),
                np.ones(self.units, dtype),
                self.bias_initializer((2 * self.units,), dtype=dtype),
            ]
        )
