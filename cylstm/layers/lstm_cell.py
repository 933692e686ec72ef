"""LSTMCell: one timestep of an LSTM, in NumPy, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _reference, activations
from cylstm.layers._lstm_steps import drawn_masks
from cylstm.layers._lstm_weights import LSTMWeights
from cylstm.layers._options import WeightedOptions
from cylstm.layers.cells import StepPullback, recorded
from cylstm.layers.layer import Layer

__all__ = ["LSTMCell"]


class LSTMCell(LSTMWeights, Layer):
    """One timestep of an `LSTM`, for `RNN`: what is computed, and the weights, are the same.

    ``RNN(LSTMCell(n))`` gives the outputs and gradients of ``LSTM(n)``, which is much faster. A
    cell is for stacks (`StackedRNNCells`), and to be called by cells of your own.

    Parameters
    ----------
    units : int
        The size of the output and of both states.
    activation, recurrent_activation : str or callable
        Default "tanh" and "hard_sigmoid". See `LSTM`, also for what follows.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer : str, callable or dict
        Default "glorot_uniform", "orthogonal" and "zeros".
    unit_forget_bias : bool, default True
        Start the bias of the forget gate at one.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : callable, str or dict, optional
        Penalties of the weights.
    kernel_constraint, recurrent_constraint, bias_constraint : callable, str or dict, optional
        Applied to the weights after each update.
    dropout, recurrent_dropout : float, default 0
        The share of the inputs, and of the outputs fed back, that is dropped in training. `RNN`
        draws what is dropped once for a sequence (`draw_dropout`).
    implementation : {1, 2}, default 1
        How dropout is drawn: with 1 for each gate, with 2 for all of them.
    **kwargs
        The arguments of `Layer` without `activity_regularizer`, which is for the `RNN`.

    Attributes
    ----------
    state_size : tuple of int
        The sizes of h and c.
    kernel, recurrent_kernel, bias : Variable
        The weights, once the cell is built.

    Raises
    ------
    ValueError, TypeError
        As for `LSTM`.

    Notes
    -----
    Keras 2.0.9 cannot run a cell with dropout within `RNN` (it draws no masks there), and drops of
    the fed-back outputs the share `dropout`; here `recurrent_dropout` is what it says.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import RNN, LSTMCell
    >>> RNN([LSTMCell(4), LSTMCell(2)])(np.ones((3, 5, 6))).shape
    (3, 2)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = 1,
        **kwargs: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(**kwargs)
        if implementation not in (1, 2):
            raise ValueError(f"implementation of a cell must be 1 or 2, got {implementation!r}.")
        self.implementation: int = int(implementation)
        self._set_options(
            units=units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
        )
        self.state_size: tuple[int, int] = (self.units, self.units)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of a timestep, (batch, input_dim)."""
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        if len(shape) != 2 or shape[1] is None:
            raise ValueError(
                f"Cell {self.name} reads (batch, input_dim) at a timestep, of a known input_dim, "
                f"got {tuple(shape)}."
            )
        self._add_weights(shape[1])
        self.built = True

    def call(
        self,
        inputs: Any,
        states: Sequence[Any],
        training: bool | None = None,
        dropout_masks: Any = None,
    ) -> tuple[Any, list[Any]]:
        """One timestep.

        Parameters
        ----------
        inputs : array, shape (batch, input_dim)
        states : list of array
            h and c, (batch, units) each.
        training : bool, default False
            Whether dropout is applied.
        dropout_masks : optional
            What `draw_dropout` gave for the sequence; by default drawn for this step alone.

        Returns
        -------
        h : array, shape (batch, units)
        states : list of array
            The new h and c.
        """
        given = {"training": training, "dropout_masks": dropout_masks}
        return recorded(self, inputs, states, [], given)

    def draw_dropout(self, batch: int) -> list[np.ndarray | None]:
        """What is dropped of the inputs, and of the outputs fed back, for all timesteps.

        Returns
        -------
        list of (ndarray or None)
            (1 or 4, batch, size) each: zeros and ``1 / (1 - rate)``; None where nothing drops.
        """
        draws = 1 if self.implementation == 2 else 4
        return [
            drawn_masks(self.dropout, (batch, self.input_dim), draws, self._dtype),
            drawn_masks(self.recurrent_dropout, (batch, self.units), draws, self._dtype),
        ]

    def step_vjp(
        self,
        inputs: np.ndarray,
        states: Sequence[np.ndarray],
        training: bool | None = None,
        dropout_masks: Any = None,
    ) -> tuple[tuple[np.ndarray, list[np.ndarray]], StepPullback]:
        """One timestep, and how to pull gradients back through it; see `RNN`."""
        x, (h, c) = inputs, states
        x_masks = h_masks = None
        if training:
            x_masks, h_masks = dropout_masks or self.draw_dropout(len(x))
        kernel, recurrent_kernel = self.kernel.value, self.recurrent_kernel.value
        z = _reference.gate_product(x, kernel, x_masks)
        z += _reference.gate_product(h, recurrent_kernel, h_masks)
        if self.bias is not None:
            z += self.bias.value
        z_gates = np.split(z, 4, axis=-1)
        functions = [self.recurrent_activation] * 2 + [self.activation, self.recurrent_activation]
        i, f, g, o = gates = [
            activations.evaluate(function, z_gate)
            for function, z_gate in zip(functions, z_gates, strict=True)
        ]
        new_c = f * c + i * g
        activated = activations.evaluate(self.activation, new_c)

        def pullback(d_h: np.ndarray, d_states: list[np.ndarray]) -> tuple[Any, ...]:
            d_h = d_h + d_states[0]
            products = {function: activations.vjp(function) for function in functions}
            d_c = d_states[1] + products[self.activation](new_c, activated, d_h * o)
            d_gates = (d_c * g, d_c * c, d_c * i, d_h * activated)
            dz = np.concatenate(
                [
                    products[function](*parts)
                    for function, *parts in zip(functions, z_gates, gates, d_gates, strict=True)
                ],
                axis=-1,
            )
            of_weights = {
                self.kernel: _reference.product_gradient(x, dz, x_masks),
                self.recurrent_kernel: _reference.product_gradient(h, dz, h_masks),
            }
            if self.bias is not None:
                of_weights[self.bias] = dz.sum(axis=0)
            d_x = _reference.gate_product_backward(dz, kernel, x_masks)
            d_h = _reference.gate_product_backward(dz, recurrent_kernel, h_masks)
            return d_x, [d_h, d_c * f], of_weights

        new_h = o * activated
        return (new_h, [new_h, new_c]), pullback
