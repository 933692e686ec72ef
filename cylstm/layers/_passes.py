"""The two passes of an LSTM over whole sequences: arrays and work space for the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _core, _reference, activations

__all__ = ["activation_number", "backward", "forward"]

_NUMBERS = {activations.get(name): number for name, number in _core.ACTIVATIONS.items()}


def activation_number(function: Any) -> Any:
    """The number by which the core knows an activation; a custom function stays what it is."""
    return _NUMBERS.get(function, function)


def forward(
    problem: dict[str, Any], sequence: bool, keep: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, dict[str, Any]]:
    """Run over the sequence.

    Parameters
    ----------
    problem : dict
        What both passes of the core are given: inputs, weights, states, masks, options.
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
    outputs = np.empty((batch, timesteps, units), dtype) if sequence else None
    final_h, final_c = np.empty((batch, units), dtype), np.empty((batch, units), dtype)
    cache: dict[str, Any] = {"gates": None, "cells": None, "hidden": None}
    if keep:
        cache["gates"] = np.empty((batch, timesteps, 4 * units), dtype)
        cache["cells"] = np.empty((batch, timesteps, units), dtype)
        cache["hidden"] = np.empty((batch, timesteps, units), dtype)
    work = np.empty(engine.forward_work_size(**_work_arguments(problem), keep_gates=keep), dtype)
    engine.lstm_forward(
        **problem, outputs=outputs, final_h=final_h, final_c=final_c, **cache, work=work
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
    dtype, _, _ = _sizes_of(problem)
    engine = _engine(problem)
    wanted = ("inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias")
    gradients = {
        name: None if problem[name] is None else np.empty_like(problem[name]) for name in wanted
    }
    work = np.empty(engine.backward_work_size(**_work_arguments(problem)), dtype)
    engine.lstm_backward(
        **problem,
        **cache,
        d_outputs=d_outputs,
        d_final_h=d_final_h,
        d_final_c=d_final_c,
        **{f"d_{name}": gradient for name, gradient in gradients.items()},
        work=work,
    )
    return gradients


def _engine(problem: dict[str, Any]) -> Any:
    """The core, or its NumPy twin where an activation is the user's own."""
    custom = callable(problem["activation"]) or callable(problem["recurrent_activation"])
    return _reference if custom else _core


def _sizes_of(problem: dict[str, Any]) -> tuple[np.dtype, tuple[int, int, int], int]:
    inputs = problem["inputs"]
    return inputs.dtype, inputs.shape, problem["recurrent_kernel"].shape[0]


def _work_arguments(problem: dict[str, Any]) -> dict[str, Any]:
    """What the size of the work space depends on."""
    _, (batch, timesteps, input_dim), units = _sizes_of(problem)
    return {
        "batch": batch,
        "timesteps": timesteps,
        "input_dim": input_dim,
        "units": units,
        "input_masks": problem["input_masks"] is not None,
        "recurrent_masks": problem["recurrent_masks"] is not None,
    }
