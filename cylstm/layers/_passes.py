"""The two passes of an LSTM over whole sequences: arrays and threads for the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _core, _reference, _threads, activations

__all__ = ["Run", "activation_number", "are_fused"]

_NUMBERS = {activations.get(name): number for name, number in _core.ACTIVATIONS.items()}
_SOFTMAX = _core.ACTIVATIONS["softmax"]
_FUSED = {f for f, number in _NUMBERS.items() if number != _SOFTMAX}


def activation_number(function: Any) -> Any:
    """The number by which the core knows an activation; a custom function stays what it is."""
    return _NUMBERS.get(function, function)


class Run:
    """One run over a batch of sequences: what both passes read, and what the first leaves.

    Parameters
    ----------
    weights : Weights
        The weights.
    inputs : ndarray, shape (batch, timesteps, input_dim)
        Of the dtype of the weights.
    mask : ndarray or None
        (batch, timesteps) bool.
    states : sequence of ndarray, or None
        h and c to start from, (batch, units) each; None for zeros.
    masks : tuple
        The dropout masks of the inputs and of the state, (1 or 4, batch, size) or None each.
    options : tuple
        activation, recurrent_activation (numbers, or the user's own functions), go_backwards and
        zero_leading, as for `_core.lstm_forward`.
    cache : ndarray, optional
        What a forward pass has left.
    """

    __slots__ = ("cache", "inputs", "mask", "masks", "options", "states", "weights")

    def __init__(
        self,
        weights: _core.Weights,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        states: Any,
        masks: tuple[np.ndarray | None, np.ndarray | None],
        options: tuple[Any, Any, bool, bool],
        cache: np.ndarray | None = None,
    ) -> None:
        self.weights = weights
        self.inputs = inputs
        self.mask = mask
        self.states = states
        self.masks = masks
        self.options = options
        self.cache = cache

    def forward(
        self, sequence: bool, keep: bool
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """Run over the sequence.

        Parameters
        ----------
        sequence : bool
            Whether the output of every timestep is wanted.
        keep : bool
            Whether to keep what `backward` needs.

        Returns
        -------
        outputs : ndarray or None
            (batch, timesteps, units), if wanted.
        final_h, final_c : ndarray
            (batch, units).
        """
        if self._is_quick():
            found = self.weights.forward(
                self.inputs, self.mask, self.states, *self.options, sequence, True, keep,
                _threads.pool,
            )  # fmt: skip
            if found is not None:
                outputs, final_h, final_c, self.cache = found
                return outputs, final_h, final_c
        batch, timesteps, units = self._sizes()
        dtype = self.inputs.dtype
        outputs = _core.empty((batch, timesteps, units), dtype) if sequence else None
        final_h, final_c = np.empty((batch, units), dtype), np.empty((batch, units), dtype)
        self.cache = _core.empty((6 * batch * timesteps * units,), dtype) if keep else None
        self._engine().lstm_forward(
            **self._problem(),
            **self._parts_of_cache(),
            outputs=outputs,
            final_h=final_h,
            final_c=final_c,
            packed=self.weights.packed() if self._is_fused() else None,
            pool=self._pool(),
        )
        return outputs, final_h, final_c

    def backward(
        self,
        d_outputs: np.ndarray | None,
        d_final_h: np.ndarray | None,
        d_final_c: np.ndarray | None,
        states: bool,
    ) -> list[np.ndarray | None]:
        """Back-propagate through the sequence.

        Parameters
        ----------
        d_outputs, d_final_h, d_final_c : ndarray or None
            The gradients of the results of `forward`; None is zero.
        states : bool
            Whether the gradients of the initial states are wanted.

        Returns
        -------
        list of ndarray
            The gradients of the inputs, of both initial states (None if not wanted), of the
            kernel, the recurrent kernel and the bias (None without one).
        """
        found = self.quick_backward(d_outputs, d_final_h, d_final_c, states)
        if found is not None:
            return found
        problem = self._problem()
        gradients = [
            None if problem[name] is None else _core.empty(problem[name].shape, self.inputs.dtype)
            for name in _WITH_GRADIENTS
        ]
        self._engine().lstm_backward(
            **problem,
            **self._parts_of_cache(),
            d_outputs=d_outputs,
            d_final_h=d_final_h,
            d_final_c=d_final_c,
            **{f"d_{name}": d for name, d in zip(_WITH_GRADIENTS, gradients, strict=True)},
            packed=self.weights.transposed() if self._is_fused() else None,
            pool=self._pool(),
        )
        return gradients

    def quick_backward(
        self, d_outputs: Any, d_final_h: Any, d_final_c: Any, states: bool
    ) -> list[np.ndarray | None] | None:
        """`backward` of arguments that nobody checked; None where it takes more than the core."""
        if not self._is_quick():
            return None
        return self.weights.backward(
            self.inputs,
            self.mask,
            self.states,
            *self.options,
            _threads.pool,
            cache=self.cache,
            d_outputs=d_outputs,
            d_final_h=d_final_h,
            d_final_c=d_final_c,
            d_states=states,
        )

    def _is_quick(self) -> bool:
        """Whether the core has a short way for it."""
        x_masks, h_masks = self.masks
        return x_masks is None and h_masks is None and self._is_fused()

    def _is_fused(self) -> bool:
        """Whether the core has fused kernels for it."""
        first, second, _, _ = self.options
        return not (callable(first) or callable(second) or _SOFTMAX in (first, second))

    def _sizes(self) -> tuple[int, int, int]:
        batch, timesteps, _ = self.inputs.shape
        return batch, timesteps, len(self.weights.recurrent_kernel)

    def _pool(self) -> _core.Pool | None:
        batch, timesteps, units = self._sizes()
        return _threads.pool(8.0 * batch * timesteps * units * (self.inputs.shape[2] + units))

    def _engine(self) -> Any:
        """What computes it: the NumPy twin where an activation is the user's own; BLAS, which is
        loaded when first needed, where one is softmax; else the core."""
        if any(map(callable, self.options)):
            return _reference
        if self._is_fused():
            return _core
        from cylstm import _blas

        return _blas

    def _problem(self) -> dict[str, Any]:
        """What both passes of the core are given."""
        batch, _, units = self._sizes()
        states = self.states
        if states is None:
            states = np.zeros((2, batch, units), self.inputs.dtype)
        activation, recurrent_activation, go_backwards, zero_leading = self.options
        return {
            "inputs": self.inputs,
            "kernel": self.weights.kernel,
            "recurrent_kernel": self.weights.recurrent_kernel,
            "bias": self.weights.bias,
            "initial_h": states[0],
            "initial_c": states[1],
            "mask": None if self.mask is None else self.mask.view(np.uint8),
            "input_masks": self.masks[0],
            "recurrent_masks": self.masks[1],
            "activation": activation,
            "recurrent_activation": recurrent_activation,
            "go_backwards": go_backwards,
            "zero_leading": zero_leading,
        }

    def _parts_of_cache(self) -> dict[str, np.ndarray | None]:
        """The cache as the arrays that the core knows it by."""
        if self.cache is None:
            return {"gates": None, "cells": None, "hidden": None}
        batch, timesteps, units = self._sizes()
        part = batch * timesteps * units
        gates, cells, hidden = np.split(self.cache, [4 * part, 5 * part])
        return {
            "gates": gates.reshape(batch, timesteps, 4 * units),
            "cells": cells.reshape(batch, timesteps, units),
            "hidden": hidden.reshape(batch, timesteps, units),
        }


_WITH_GRADIENTS = ("inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias")


def are_fused(*functions: Any) -> bool:
    """Whether the fused kernels have all these activations."""
    return _FUSED.issuperset(functions)
