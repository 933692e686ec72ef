"""Problems for all engines, those of the compiled core and their NumPy twin, and running them."""

import ctypes
from contextlib import contextmanager

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


def cell_of(engine, problem):
    """The cell of an engine or, where it is the core and there is a softmax, of BLAS."""
    names = "kernel", "recurrent_kernel", "bias", "activation", "recurrent_activation"
    arguments = {name: problem[name] for name in names}
    if engine is _reference:
        return _reference.Cell(**arguments)
    softmax = NUMBERS["softmax"] in (problem["activation"], problem["recurrent_activation"])
    return _core.Cell(**arguments, gemm=_blas.GEMM if engine is _blas or softmax else None)


def common_arguments(problem):
    """What both passes of a cell are given, by name."""
    names = ["inputs", "mask", "input_masks", "recurrent_masks", "go_backwards", "zero_leading"]
    states = problem["initial_h"], problem["initial_c"]
    return {name: problem[name] for name in names} | {"states": states, "pool": lambda: None}


def parts_of_cache(problem, cache):
    """The cache as the arrays that it holds, by time."""
    batch, timesteps, _ = problem["inputs"].shape
    units = len(problem["recurrent_kernel"])
    size = batch * timesteps * units
    gates, cells, hidden = np.split(cache, [4 * size, 5 * size])
    shape = batch, timesteps, units
    return {
        "gates": gates.reshape(batch, timesteps, 4 * units),
        "cells": cells.reshape(shape),
        "hidden": hidden.reshape(shape),
    }


def forward(engine, problem, absent=()):
    """All results, and the cache with its parts; None for what is absent."""
    outputs, h, c, cache = cell_of(engine, problem).forward(
        **common_arguments(problem),
        sequence="outputs" not in absent,
        final_states="final_c" not in absent,
        keep="cache" not in absent,
    )
    results = {"outputs": outputs, "final_h": h, "final_c": c, "cache": cache}
    return results | ({} if cache is None else parts_of_cache(problem, cache))


def backward(engine, problem, cache, cotangents):
    """The gradients by name, given the results of `forward`."""
    gradients = cell_of(engine, problem).backward(
        **common_arguments(problem), cache=cache["cache"], **cotangents, d_states=True
    )
    return {f"d_{name}": d for name, d in zip(GRADIENTS, gradients, strict=True)}


_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_POINTER.restype, _POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_GEMM = ctypes.CFUNCTYPE(
    None, ctypes.c_int, ctypes.c_int, *[ctypes.c_int64] * 3, ctypes.c_void_p, ctypes.c_int64,
    ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64,
)  # fmt: skip


def product(*, a, transpose_a, b, transpose_b, add, c):
    """c = op(a) op(b), or c += op(a) op(b), as BLAS computes it for the engine; rows contiguous."""
    pair = ctypes.cast(_POINTER(_blas.GEMM, b"cylstm._blas.GEMM"), ctypes.POINTER(ctypes.c_void_p))
    gemm = _GEMM(pair[c.itemsize == 8])
    a_stride, b_stride, c_stride = (max(x.shape[1], x.strides[0] // x.itemsize) for x in (a, b, c))
    gemm(transpose_a, transpose_b, *c.shape, a.shape[0 if transpose_a else 1], a.ctypes.data,
         a_stride, b.ctypes.data, b_stride, add, c.ctypes.data, c_stride)  # fmt: skip


@contextmanager
def products_up_to(limit):
    """Let BLAS be given products with so many rows, columns or terms only."""
    before = _blas.set_limit(limit)
    try:
        yield
    finally:
        _blas.set_limit(before)


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
