"""Problems for all engines, those of the compiled core and their NumPy twin, and running them."""

import numpy as np

from cylstm import _blas, _core, _reference

ENGINES = [_core, _blas, _reference]
NAMES = list(_core.ACTIVATIONS)
NUMBERS = _core.ACTIVATIONS
GRADIENTS = ["inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias"]
CACHE = ["gates", "cells", "hidden"]
MASK = np.array([[0, 1, 1, 0], [1, 0, 1, 1]], bool)


def make_problem(
    rng,
    batch=2,
    timesteps=4,
    input_dim=2,
    units=3,
    dtype="float64",
    bias=True,
    mask=None,
    input_gates=None,
    recurrent_gates=None,
    activation="tanh",
    recurrent_activation="sigmoid",
    go_backwards=False,
    zero_leading=False,
    spread=0.6,
):
    """What both passes read: random arrays in which nothing equals anything else."""

    def array(*shape):
        return (spread * rng.normal(size=shape)).astype(dtype)

    def dropout(gates, width):
        return None if gates is None else 1 + array(gates, batch, width)

    return {
        "inputs": array(batch, timesteps, input_dim),
        "kernel": array(input_dim, 4 * units),
        "recurrent_kernel": array(units, 4 * units),
        "bias": array(4 * units) if bias else None,
        "initial_h": array(batch, units),
        "initial_c": array(batch, units),
        "mask": mask,
        "input_masks": dropout(input_gates, input_dim),
        "recurrent_masks": dropout(recurrent_gates, units),
        "activation": NUMBERS[activation],
        "recurrent_activation": NUMBERS[recurrent_activation],
        "go_backwards": go_backwards,
        "zero_leading": zero_leading,
    }


def empty(problem, *shape):
    """An array to be written, so full of NaN that nothing forgotten goes unseen."""
    return np.full(shape, np.nan, problem["inputs"].dtype)


def forward_outputs(problem, absent=()):
    batch, timesteps, _ = problem["inputs"].shape
    state = batch, problem["initial_h"].shape[1]
    sequence = batch, timesteps, state[1]
    results = {
        "outputs": empty(problem, *sequence),
        "final_h": empty(problem, *state),
        "final_c": empty(problem, *state),
        "gates": empty(problem, batch, timesteps, 4 * state[1]),
        "cells": empty(problem, *sequence),
        "hidden": empty(problem, *sequence),
    }
    results |= dict.fromkeys(absent)
    return results | {"packed": None, "pool": None}


def backward_outputs(problem, absent=()):
    results = {f"d_{name}": empty(problem, *np.shape(problem[name])) for name in GRADIENTS[:-1]}
    results["d_bias"] = empty(problem, 4 * problem["initial_h"].shape[1])
    results |= dict.fromkeys(absent)
    return results | {"packed": None, "pool": None}


def engine_for(engine, problem):
    """The engine, or where it is the core and there is a softmax: BLAS, as layers choose it."""
    softmax = NUMBERS["softmax"] in (problem["activation"], problem["recurrent_activation"])
    return _blas if engine is _core and softmax else engine


def forward(engine, problem, absent=()):
    results = forward_outputs(problem, absent)
    engine_for(engine, problem).lstm_forward(**problem, **results)
    del results["packed"], results["pool"]
    return results


def backward(engine, problem, cache, cotangents, absent=()):
    results = backward_outputs(problem, absent)
    cache = {name: cache[name] for name in CACHE}
    engine_for(engine, problem).lstm_backward(**problem, **cache, **cotangents, **results)
    del results["packed"], results["pool"]
    return results


def make_cotangents(rng, problem, absent=()):
    batch, timesteps, _ = problem["inputs"].shape
    units = problem["initial_h"].shape[1]
    shapes = {
        "d_outputs": (batch, timesteps, units),
        "d_final_h": (batch, units),
        "d_final_c": (batch, units),
    }
    return {
        name: None if name in absent else rng.normal(size=shape).astype(problem["inputs"].dtype)
        for name, shape in shapes.items()
    }
