"""The two passes of an LSTM over whole sequences: arrays and work space for the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _core, _memory, _reference, _threads, activations

__all__ = ["Packs", "activation_number", "backward", "forward", "fused_numbers", "quick_forward"]

_NUMBERS = {activations.get(name): number for name, number in _core.ACTIVATIONS.items()}
_SOFTMAX = _core.ACTIVATIONS["softmax"]


def activation_number(function: Any) -> Any:
    """The number by which the core knows an activation; a custom function stays what it is."""
    return _NUMBERS.get(function, function)


class Packs:
    """One value of the weights, and what the core derives from it, packed on first use.

    Nothing of it changes, so threads may share it; two that pack at once do the same work twice.

    Parameters
    ----------
    kernel, recurrent_kernel, bias : ndarray, bias or None
        As the core takes them.
    """

    __slots__ = ("_backward", "_forward", "bias", "kernel", "recurrent_kernel")

    def __init__(
        self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray | None
    ) -> None:
        self.kernel = kernel
        self.recurrent_kernel = recurrent_kernel
        self.bias = bias
        self._forward: _core.PackedWeights | None = None
        self._backward: _core.PackedWeights | None = None

    def forward(self) -> _core.PackedWeights:
        """For the forward pass."""
        packed = self._forward
        if packed is None:
            packed = self._forward = self._pack(transposed=False)
        return packed

    def backward(self) -> _core.PackedWeights:
        """For the backward pass."""
        packed = self._backward
        if packed is None:
            packed = self._backward = self._pack(transposed=True)
        return packed

    def _pack(self, transposed: bool) -> _core.PackedWeights:
        return _core.pack_weights(
            kernel=self.kernel,
            recurrent_kernel=self.recurrent_kernel,
            bias=self.bias,
            transposed=transposed,
        )


def fused_numbers(activation: Any, recurrent_activation: Any) -> tuple[int, int] | None:
    """The numbers of two activations that the fused kernels have; None if one is another."""
    numbers = _NUMBERS.get(activation), _NUMBERS.get(recurrent_activation)
    return None if None in numbers or _SOFTMAX in numbers else numbers


def quick_forward(
    packs: Packs, inputs: np.ndarray, numbers: tuple[int, int], back: bool, sequence: bool
) -> np.ndarray | None:
    """Run over the sequence in the simplest case: zero states, no masks, nothing kept.

    Parameters
    ----------
    packs : Packs
        The weights.
    inputs : ndarray
        Whatever its shape, dtype and layout.
    numbers : tuple of int
        The activation and the recurrent activation; see `fused_numbers`.
    back : bool
        Whether to go backwards.
    sequence : bool
        Whether the output of every timestep is wanted.

    Returns
    -------
    ndarray or None
        The outputs; None, and nothing is done, where the case is not so simple.
    """
    if inputs.ndim != 3 or not inputs.size:
        return None
    batch, timesteps, input_dim = inputs.shape
    kernel = packs.kernel
    units = kernel.shape[1] // 4
    outputs = _memory.empty((batch, timesteps, units) if sequence else (batch, units), kernel.dtype)
    pool = _threads.pool(8.0 * batch * timesteps * units * (input_dim + units))
    return outputs if packs.forward().run(inputs, outputs, *numbers, back, pool) else None


def forward(
    problem: dict[str, Any], sequence: bool, keep: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, dict[str, Any]]:
    """Run over the sequence.

    Parameters
    ----------
    problem : dict
        What both passes of the core are given: inputs, weights, states, masks, options; the
        `Packs` of the weights as "packed".
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
    cache : dict
        For `backward`; of None, if not kept.
    """
    dtype, (batch, timesteps, _), units = _sizes_of(problem)
    engine = _engine(problem)
    outputs = _memory.empty((batch, timesteps, units), dtype) if sequence else None
    final_h, final_c = _memory.empty((batch, units), dtype), _memory.empty((batch, units), dtype)
    cache: dict[str, Any] = {"gates": None, "cells": None, "hidden": None}
    if keep:
        cache["gates"] = _memory.empty((batch, timesteps, 4 * units), dtype)
        cache["cells"] = _memory.empty((batch, timesteps, units), dtype)
        cache["hidden"] = _memory.empty((batch, timesteps, units), dtype)
    engine.lstm_forward(
        **problem | {"packed": problem["packed"].forward() if _is_fused(problem) else None},
        outputs=outputs,
        final_h=final_h,
        final_c=final_c,
        **cache,
        pool=_pool(problem),
    )
    return outputs, final_h, final_c, cache


def backward(
    problem: dict[str, Any],
    cache: dict[str, Any],
    d_outputs: np.ndarray | None,
    d_final_h: np.ndarray | None,
    d_final_c: np.ndarray | None,
) -> dict[str, np.ndarray | None]:
    """Back-propagate through the sequence.

    Parameters
    ----------
    problem, cache : dict
        Of the forward pass.
    d_outputs, d_final_h, d_final_c : ndarray or None
        The gradients of its results; None is zero.

    Returns
    -------
    dict
        The gradients of inputs, initial_h, initial_c, kernel, recurrent_kernel and bias (None
        without one), under these names.
    """
    engine, dtype = _engine(problem), problem["inputs"].dtype
    wanted = ("inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias")
    gradients = {
        name: None if problem[name] is None else _memory.empty(problem[name].shape, dtype)
        for name in wanted
    }
    engine.lstm_backward(
        **problem | {"packed": problem["packed"].backward() if _is_fused(problem) else None},
        **cache,
        d_outputs=d_outputs,
        d_final_h=d_final_h,
        d_final_c=d_final_c,
        **{f"d_{name}": gradient for name, gradient in gradients.items()},
        pool=_pool(problem),
    )
    return gradients


def _engine(problem: dict[str, Any]) -> Any:
    """The core, or its NumPy twin where an activation is the user's own."""
    custom = callable(problem["activation"]) or callable(problem["recurrent_activation"])
    return _reference if custom else _core


def _sizes_of(problem: dict[str, Any]) -> tuple[np.dtype, tuple[int, int, int], int]:
    inputs = problem["inputs"]
    return inputs.dtype, inputs.shape, problem["recurrent_kernel"].shape[0]


def _is_fused(problem: dict[str, Any]) -> bool:
    """Whether the core computes it by its fused kernels, from packed weights."""
    pair = problem["activation"], problem["recurrent_activation"]
    return not any(callable(activation) or activation == _SOFTMAX for activation in pair)


def _pool(problem: dict[str, Any]) -> _core.Pool | None:
    """The threads for a pass."""
    _, (batch, timesteps, input_dim), units = _sizes_of(problem)
    return _threads.pool(8.0 * batch * timesteps * units * (input_dim + units))
