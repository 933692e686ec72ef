"""The core once more in NumPy, written to be obvious: same names, arguments, results, exceptions.

It is what the compiled core is tested against, and what runs custom activations: `activation` and
`recurrent_activation` may be callables here, besides the numbers in `ACTIVATIONS`. The notation is
that of `_core`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from cylstm import activations

__all__ = [
    "ACTIVATIONS",
    "gate_product",
    "gate_product_backward",
    "gemm",
    "lstm_backward",
    "lstm_forward",
    "product_gradient",
]

ACTIVATIONS = {
    name: number
    for number, name in enumerate(
        (
            "linear",
            "tanh",
            "sigmoid",
            "hard_sigmoid",
            "relu",
            "elu",
            "selu",
            "softplus",
            "softsign",
            "softmax",
        )
    )
}

_FUNCTIONS: list[Callable[[np.ndarray], np.ndarray]] = [
    getattr(activations, name) for name in ACTIVATIONS
]

Activation = int | Callable[[np.ndarray], np.ndarray]


def _named(activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a number in ACTIVATIONS; a callable as it is."""
    if callable(activation):
        return activation
    if not 0 <= activation < len(_FUNCTIONS):
        raise ValueError(f"{activation} is not the number of an activation in ACTIVATIONS")
    return _FUNCTIONS[activation]


def _function(activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an activation, its results checked: it may be the user's own."""
    return partial(activations.evaluate, _named(activation))


def _derivative(activation: Activation) -> activations.VectorJacobianProduct:
    """The product (x, y, dy) -> dx of an activation."""
    return activations.vjp(_named(activation))


def _expect_arrays(
    dtype: np.dtype,
    inputs: dict[str, tuple[Any, tuple[int, ...]]],
    outputs: dict[str, tuple[Any, tuple[int, ...]]],
    required: set[str],
) -> None:
    """Raise as the core does where an array is not what it should be."""
    for name, (array, shape) in (inputs | outputs).items():
        if array is None and name not in required:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name} must be an array, got {type(array).__name__}")
        dtypes = (np.bool_, np.uint8) if name == "mask" else (dtype,)
        if array.dtype not in dtypes:
            raise ValueError(f"{name} has the dtype {array.dtype}, expected {dtypes[0]}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} is not C-contiguous")
        if name in outputs and not array.flags.writeable:
            raise ValueError(f"{name} is read-only")
        if array.shape != shape:
            raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")


def _sizes(inputs: Any, recurrent_kernel: Any) -> tuple[int, int, int, int]:
    """Batch, timesteps, input_dim and units, once the arrays they are read from can be trusted."""
    floats = (np.dtype(np.float32), np.dtype(np.float64))
    if (
        not isinstance(inputs, np.ndarray)
        or inputs.dtype.newbyteorder("=") not in floats
        or inputs.ndim != 3
    ):
        raise TypeError("inputs must be an array of float32 or float64 with three axes")
    if not isinstance(recurrent_kernel, np.ndarray):
        raise TypeError(f"recurrent_kernel must be an array, got {type(recurrent_kernel).__name__}")
    if recurrent_kernel.ndim != 2:
        raise ValueError(f"recurrent_kernel must have two axes, got {recurrent_kernel.ndim}")
    return *inputs.shape, recurrent_kernel.shape[0]


def _expect_inputs(
    sizes: tuple[int, int, int, int], arrays: dict[str, Any], outputs: dict[str, Any]
) -> None:
    """Raise where the arrays of a call, by their names, do not fit together."""
    batch, timesteps, input_dim, units = sizes
    state, sequence = (batch, units), (batch, timesteps, units)
    shapes = {
        "inputs": (batch, timesteps, input_dim),
        "kernel": (input_dim, 4 * units),
        "recurrent_kernel": (units, 4 * units),
        "bias": (4 * units,),
        "mask": (batch, timesteps),
        "input_masks": (_mask_gates(arrays["input_masks"]), batch, input_dim),
        "recurrent_masks": (_mask_gates(arrays["recurrent_masks"]), batch, units),
        "gates": (batch, timesteps, 4 * units),
        "d_inputs": (batch, timesteps, input_dim),
        "d_kernel": (input_dim, 4 * units),
        "d_recurrent_kernel": (units, 4 * units),
        "d_bias": (4 * units,),
        "outputs": sequence,
        "cells": sequence,
        "hidden": sequence,
        "d_outputs": sequence,
    }
    optional = {
        "bias", "mask", "input_masks", "recurrent_masks", "outputs", "d_outputs", "d_final_h",
        "d_final_c", "d_inputs", "d_bias",
    }  # fmt: skip
    if "gates" in outputs:
        optional |= {"gates", "cells", "hidden"}
    _expect_arrays(
        arrays["inputs"].dtype.newbyteorder("="),
        {name: (array, shapes.get(name, state)) for name, array in arrays.items()},
        {name: (array, shapes.get(name, state)) for name, array in outputs.items()},
        set(arrays | outputs) - optional,
    )


def _mask_gates(masks: Any) -> int:
    """How many gates dropout masks are for: one mask may serve all four."""
    return 1 if masks is not None and np.shape(masks)[:1] == (1,) else 4


def _times(timesteps: int, go_backwards: bool) -> Iterator[tuple[int, int]]:
    """Each step with the time whose input it reads."""
    for s in range(timesteps):
        yield s, timesteps - 1 - s if go_backwards else s


def _gates(columns: np.ndarray) -> list[np.ndarray]:
    """The parts of the last axis for the gates i, f, c, o."""
    return np.split(columns, 4, axis=-1)


def _with_masks(masks: np.ndarray, a: np.ndarray, *columns: np.ndarray) -> Iterator[Any]:
    """Each dropout mask with the columns of its gate; one mask alone has the columns of all gates.

    The masks get an axis of timesteps if a has one.
    """
    if a.ndim == 3:
        masks = masks[:, :, None, :]
    return zip(masks, *(np.split(array, len(masks), axis=-1) for array in columns), strict=True)


def gate_product(a: np.ndarray, weights: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """(a * mask_g) weights_g for the gates g side by side; a is (batch, ..., width)."""
    if masks is None:
        return np.matmul(a, weights)
    products = [(a * mask) @ weights_g for mask, weights_g in _with_masks(masks, a, weights)]
    return np.concatenate(products, axis=-1)


def gate_product_backward(
    dz: np.ndarray, weights: np.ndarray, masks: np.ndarray | None
) -> np.ndarray:
    """sum_g mask_g * (dz_g weights_g^T)."""
    if masks is None:
        return np.matmul(dz, weights.T)
    parts = _with_masks(masks, dz, dz, weights)
    return np.sum([mask * (dz_g @ weights_g.T) for mask, dz_g, weights_g in parts], axis=0)


def product_gradient(a: np.ndarray, dz: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """(a * mask_g)^T dz_g for the gates g side by side; a and dz are of one timestep."""
    if masks is None:
        return np.matmul(a.T, dz)
    products = [(a * mask).T @ dz_g for mask, dz_g in _with_masks(masks, a, dz)]
    return np.concatenate(products, axis=-1)


def _weights_gradient(
    a: np.ndarray, dz: np.ndarray, masks: np.ndarray | None, live: np.ndarray
) -> np.ndarray:
    """(a * mask_g)^T dz_g for the gates g side by side; a and dz are (batch, timesteps, ...).

    What a holds where live is false does not count, even if it is not a number.
    """
    if masks is None:
        return np.tensordot(np.where(live, a, 0), dz, axes=((0, 1), (0, 1)))
    parts = _with_masks(masks, a, dz)
    products = [_weights_gradient(a * mask, dz_g, None, live) for mask, dz_g in parts]
    return np.concatenate(products, axis=-1)


def lstm_forward(
    *,
    inputs: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray | None,
    initial_h: np.ndarray,
    initial_c: np.ndarray,
    mask: np.ndarray | None,
    input_masks: np.ndarray | None,
    recurrent_masks: np.ndarray | None,
    activation: Activation,
    recurrent_activation: Activation,
    go_backwards: bool,
    zero_leading: bool,
    outputs: np.ndarray | None,
    final_h: np.ndarray,
    final_c: np.ndarray,
    gates: np.ndarray | None,
    cells: np.ndarray | None,
    hidden: np.ndarray | None,
    packed: object,
    pool: object,
) -> None:
    """Run the sequence: (F1) to (F5). See `cylstm._core.lstm_forward`.

    packed and pool, which speed the core up, have no meaning here.
    """
    sizes = batch, timesteps, _, units = _sizes(inputs, recurrent_kernel)
    _expect_inputs(
        sizes,
        {
            "inputs": inputs,
            "kernel": kernel,
            "recurrent_kernel": recurrent_kernel,
            "bias": bias,
            "initial_h": initial_h,
            "initial_c": initial_c,
            "mask": mask,
            "input_masks": input_masks,
            "recurrent_masks": recurrent_masks,
        },
        {
            "outputs": outputs,
            "final_h": final_h,
            "final_c": final_c,
            "gates": gates,
            "cells": cells,
            "hidden": hidden,
        },
    )
    phi, sigma = _function(activation), _function(recurrent_activation)
    z = np.empty((batch, 4 * units), inputs.dtype)
    h, c, output = initial_h, initial_c, np.zeros_like(initial_h)

    for s, t in _times(timesteps if batch else 0, go_backwards):
        live = True if mask is None else mask[:, t, None] != 0
        z[:] = gate_product(inputs[:, t], kernel, input_masks)  # (F1)
        z += gate_product(h, recurrent_kernel, recurrent_masks)  # (F2)
        if bias is not None:
            z += bias
        z_i, z_f, z_c, z_o = _gates(z)
        i, f, g, o = sigma(z_i), sigma(z_f), phi(z_c), sigma(z_o)  # (F3)
        if hidden is not None:
            hidden[:, t] = h
        if gates is not None:
            gates[:, t] = np.where(live, np.concatenate([i, f, g, o], axis=-1), 0)
        c = np.where(live, f * c + i * g, c)  # (F4)
        h = np.where(live, o * phi(c), h)  # (F5)
        output = np.where(live, h, output) if zero_leading else h
        if cells is not None:
            cells[:, t] = c
        if outputs is not None:
            outputs[:, s] = output
    final_h[:] = h
    final_c[:] = c


def lstm_backward(
    *,
    inputs: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray | None,
    initial_h: np.ndarray,
    initial_c: np.ndarray,
    mask: np.ndarray | None,
    input_masks: np.ndarray | None,
    recurrent_masks: np.ndarray | None,
    activation: Activation,
    recurrent_activation: Activation,
    go_backwards: bool,
    zero_leading: bool,
    gates: np.ndarray,
    cells: np.ndarray,
    hidden: np.ndarray,
    d_outputs: np.ndarray | None,
    d_final_h: np.ndarray | None,
    d_final_c: np.ndarray | None,
    d_inputs: np.ndarray | None,
    d_initial_h: np.ndarray,
    d_initial_c: np.ndarray,
    d_kernel: np.ndarray,
    d_recurrent_kernel: np.ndarray,
    d_bias: np.ndarray | None,
    packed: object,
    pool: object,
) -> None:
    """Back-propagate through the sequence: (B5) to (B1). See `cylstm._core.lstm_backward`.

    packed and pool, which speed the core up, have no meaning here.
    """
    sizes = batch, timesteps, _, units = _sizes(inputs, recurrent_kernel)
    _expect_inputs(
        sizes,
        {
            "inputs": inputs,
            "kernel": kernel,
            "recurrent_kernel": recurrent_kernel,
            "bias": bias,
            "initial_h": initial_h,
            "initial_c": initial_c,
            "mask": mask,
            "input_masks": input_masks,
            "recurrent_masks": recurrent_masks,
            "gates": gates,
            "cells": cells,
            "hidden": hidden,
            "d_outputs": d_outputs,
            "d_final_h": d_final_h,
            "d_final_c": d_final_c,
        },
        {
            "d_inputs": d_inputs,
            "d_initial_h": d_initial_h,
            "d_initial_c": d_initial_c,
            "d_kernel": d_kernel,
            "d_recurrent_kernel": d_recurrent_kernel,
            "d_bias": d_bias,
        },
    )
    phi = _function(activation)
    phi_vjp, sigma_vjp = _derivative(activation), _derivative(recurrent_activation)
    dz = np.empty((batch, timesteps, 4 * units), inputs.dtype)
    if mask is None:
        mask = np.ones((batch, timesteps), bool)
    order = slice(None, None, -1 if go_backwards else 1)
    # the steps whose output is a state; others are constant zeros
    started = np.logical_or.accumulate(mask[:, order], axis=1) | (not zero_leading)
    z = gate_product(inputs, kernel, input_masks)
    z += gate_product(hidden, recurrent_kernel, recurrent_masks)
    if bias is not None:
        z += bias
    dh = np.zeros_like(initial_h) if d_final_h is None else d_final_h
    dc = np.zeros_like(initial_c) if d_final_c is None else d_final_c

    for s, t in reversed(list(_times(timesteps if batch else 0, go_backwards))):
        live = mask[:, t, None] != 0
        z_i, z_f, z_c, z_o = _gates(z[:, t])
        i, f, g, o = _gates(gates[:, t])
        c = cells[:, t]
        c_before = initial_c if s == 0 else cells[:, t + 1 if go_backwards else t - 1]
        if d_outputs is not None:
            dh = dh + np.where(started[:, s, None], d_outputs[:, s], 0)
        activated = phi(c)
        do = dh * activated  # (B5)
        dc_now = dc + phi_vjp(c, activated, dh * o)
        di, df, dg = dc_now * g, dc_now * c_before, dc_now * i  # (B4)
        dz_now = [  # (B3)
            sigma_vjp(z_i, i, di),
            sigma_vjp(z_f, f, df),
            phi_vjp(z_c, g, dg),
            sigma_vjp(z_o, o, do),
        ]
        dz[:, t] = np.where(live, np.concatenate(dz_now, axis=-1), 0)
        dc = np.where(live, dc_now * f, dc)
        dh_before = gate_product_backward(dz[:, t], recurrent_kernel, recurrent_masks)
        dh = np.where(live, dh_before, dh)  # (B2)

    d_initial_h[:] = dh
    d_initial_c[:] = dc
    live = mask[:, :, None] != 0
    d_recurrent_kernel[:] = _weights_gradient(hidden, dz, recurrent_masks, live)
    d_kernel[:] = _weights_gradient(inputs, dz, input_masks, live)  # (B1)
    if d_inputs is not None:
        d_inputs[:] = np.where(live, gate_product_backward(dz, kernel, input_masks), 0)
    if d_bias is not None:
        d_bias[:] = dz.sum(axis=(0, 1))


def gemm(
    *,
    alpha: float,
    a: np.ndarray,
    transpose_a: bool,
    b: np.ndarray,
    transpose_b: bool,
    beta: float,
    c: np.ndarray,
) -> None:
    """c = alpha op(a) op(b) + beta c; c is not read when beta is 0."""
    left, right = a.T if transpose_a else a, b.T if transpose_b else b
    if left.shape[1] != right.shape[0] or c.shape != (left.shape[0], right.shape[1]):
        raise ValueError(
            f"a {left.shape} times b {right.shape} does not give c {c.shape}, after transposition"
        )
    product = np.asarray(alpha, a.dtype) * (left @ right)
    c[:] = product if beta == 0 else product + np.asarray(beta, a.dtype) * c
