"""LSTMSteps: the members of an LSTM that draw dropout and compute single steps in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm import _checks, _random, _trace, activations
from cylstm.layers._lstm_weights import LSTMWeights

__all__ = ["LSTMSteps", "drawn_masks"]


class LSTMSteps(LSTMWeights):
    """Dropout masks, and one step at a time: what a subclass of `LSTM` may override."""

    implementation: int

    def get_constants(self, inputs: np.ndarray, training: bool | None = None) -> list[Any]:
        """The scaled dropout masks: [of the inputs, of the outputs fed back], for i, f, c, o.

        A subclass that overrides it decides the masks. Each is an array, (batch, input_dim) or
        (batch, units), or 1. With `implementation` 2 the first serves all gates; with 0 those of
        the inputs are drawn by `preprocess_input` instead, as in TensorFlow.
        """
        batch = len(inputs)
        rate = self.dropout if training and self.implementation != 0 else 0.0
        recurrent_rate = self.recurrent_dropout if training else 0.0
        return [
            self._drawn_masks(rate, (batch, inputs.shape[-1])),
            self._drawn_masks(recurrent_rate, (batch, self.units)),
        ]

    def _drawn_masks(self, rate: float, shape: tuple[int, int]) -> list[Any]:
        """Four masks of zeros and ``1 / (1 - rate)``, or four times the same, or four ones."""
        masks = drawn_masks(rate, shape, 1 if self.implementation == 2 else 4, self._dtype)
        if masks is None:
            return [self._dtype.type(1)] * 4
        return list(masks) if len(masks) == 4 else [masks[0]] * 4

    def _dropout_masks(
        self, x: np.ndarray, training: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The masks as the core takes them: (1 or 4, batch, size), or None where all are 1."""
        drops = training and (self.dropout > 0 or self.recurrent_dropout > 0)
        if not drops and type(self).get_constants is LSTMSteps.get_constants:
            return None, None
        of_inputs, of_states = self.get_constants(x, training)
        if self.implementation == 0:
            rate = self.dropout if training else 0.0
            of_inputs = self._drawn_masks(rate, (len(x), self.input_dim))
        return (
            self._stacked(of_inputs, (len(x), self.input_dim), "input"),
            self._stacked(of_states, (len(x), self.units), "recurrent"),
        )

    def _stacked(
        self, masks: Sequence[Any], shape: tuple[int, int], kind: str
    ) -> np.ndarray | None:
        if len(masks) != 4:
            raise ValueError(f"Expected 4 {kind} dropout masks of get_constants, got {len(masks)}.")
        shared = self.implementation == 2 or all(m is masks[0] for m in masks)
        masks = list(masks[:1]) if shared else list(masks)
        if all(np.ndim(m) == 0 and m == 1 for m in masks):
            return None
        stack = np.empty((len(masks), *shape), self._dtype)
        for place, mask in zip(stack, masks, strict=True):
            place[:] = _checks.as_array(mask, self._dtype, f"The {kind} dropout mask")
        return stack

    # ------------------------------------------------------------------ one step at a time

    def preprocess_input(self, inputs: np.ndarray, training: bool | None = None) -> np.ndarray:
        """What `step` reads: with `implementation` 0 the input product of all timesteps.

        Returns
        -------
        ndarray
            (batch, timesteps, 4 units) with `implementation` 0, else `inputs`.
        """
        if self.implementation != 0:
            return inputs
        x = inputs
        if not _trace.is_traced(x):
            x = _checks.as_array(inputs, self._dtype, f"Input 0 of layer {self.name}")
        rate = self.dropout if training else 0.0
        masks = self._drawn_masks(rate, (len(x), self.input_dim))
        kernels = (self.kernel_i, self.kernel_f, self.kernel_c, self.kernel_o)
        product: np.ndarray = np.concatenate(
            [
                (x if np.ndim(m) == 0 else x * m[:, None]) @ w
                for m, w in zip(masks, kernels, strict=True)
            ],
            axis=2,
        )
        return product if self.bias is None else product + self.bias.value

    def step(self, inputs: np.ndarray, states: list[Any]) -> tuple[np.ndarray, list[Any]]:
        """One timestep in NumPy, for subclasses; the layer itself runs the compiled core.

        Parameters
        ----------
        inputs : ndarray, shape (batch, input_dim), or (batch, 4 units) with implementation 0
            A timestep of what `preprocess_input` returned.
        states : list
            h and c, (batch, units) each, then the two lists of `get_constants`.

        Returns
        -------
        h : ndarray, shape (batch, units)
        states : list of ndarray
            The new h and c.
        """
        h, c, input_masks, recurrent_masks = states
        gates = []
        for g in range(4):
            mask = 0 if self.implementation == 2 else g
            part = slice(g * self.units, (g + 1) * self.units)
            if self.implementation == 0:
                z = inputs[:, part]
            else:
                z = (inputs * input_masks[mask]) @ self.kernel.value[:, part]
                z = z + (0 if self.bias is None else self.bias.value[part])
            gates.append(z + (h * recurrent_masks[mask]) @ self.recurrent_kernel.value[:, part])
        i, f, o = (_activated(self.recurrent_activation, gates[g]) for g in (0, 1, 3))
        c = f * c + i * _activated(self.activation, gates[2])
        h = o * _activated(self.activation, c)
        return h, [h, c]


def drawn_masks(
    rate: float, shape: tuple[int, int], draws: int, dtype: np.dtype
) -> np.ndarray | None:
    """Dropout masks of zeros and ``1 / (1 - rate)``, (draws, *shape); None where nothing drops."""
    if not 0 < rate < 1:
        return None
    kept = _random.default_generator().random((draws, *shape)) >= rate
    masks: np.ndarray = kept.astype(dtype) * dtype.type(1 / (1 - rate))
    return masks


def _activated(activation: Any, x: Any) -> Any:
    """An activation of an array, traced or not; a derivative that came with it wins."""
    if not _trace.is_traced(x):
        return activations.evaluate(activation, x)
    if activations._own_vjp(activation) is None:
        return activation(x)

    def step(x: np.ndarray) -> tuple[np.ndarray, Callable[..., Any]]:
        y, product = activations.evaluate(activation, x), activations.vjp(activation)
        return y, lambda dy: ([product(x, y, dy)], [])

    return _trace.record(step, [x])
