"""The backend: every function against Keras 2.0.9 on TensorFlow 1.4.1, and exact derivatives."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import backend as K
from cylstm._trace import differentiate
from cylstm.backend import _absent, _control
from cylstm.testing import numerical_gradient

DATA = Path(__file__).parent / "data"
RECORDED = json.loads((DATA / "backend.json").read_text())
ARRAYS = dict(np.load(DATA / "backend.npz"))
INPUTS = {n.split("/")[1]: a for n, a in ARRAYS.items() if n.startswith("inputs/")}

_spec = importlib.util.spec_from_file_location("record_backend", DATA / "record_backend.py")
recorder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recorder)
CASES = recorder.CASES

# No number can be compared for these: each has a test of its own below.
OF_CHANCE = {
    "dropout",
    "random_binomial",
    "random_normal",
    "random_normal_variable",
    "random_uniform",
    "random_uniform_variable",
    "truncated_normal",
}
OURS = {"backend", "learning_phase"}
# Keras' functions without a gradient, or that have plain values.
WITH_INPUTS = sorted(n for n in CASES if recorder.names_of(CASES[n]))
# TensorFlow divides by the factors: NaN where one is zero.
NAN_IN_TENSORFLOW = {"cumprod"}


def floats(results):
    return [r for r in results if isinstance(r, cylstm.Variable | np.ndarray | np.generic)]


def is_tensor(name, number):
    return RECORDED["values"][name][number] is None and f"{name}/{number}" in ARRAYS


def as_array(result):
    return result.value if isinstance(result, cylstm.Variable) else np.asarray(result)


# ---------------------------------------------------------------------- against Keras


@pytest.mark.parametrize("name", sorted(CASES))
def test_values_are_those_of_keras(name, capsys):
    case = CASES[name]
    results = case(K, *[INPUTS[n] for n in recorder.names_of(case)])
    assert len(results) == len(RECORDED["values"][name])
    for number, result in enumerate(results):
        if not is_tensor(name, number):
            assert result == RECORDED["values"][name][number]
            continue
        expected, found = ARRAYS[f"{name}/{number}"], as_array(result)
        assert found.shape == expected.shape, number
        assert found.dtype == expected.dtype, number
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6, err_msg=str(number))


def weighted(results, name):
    """The sum that the recorded gradients are of."""
    total = 0
    for number, result in enumerate(results):
        if is_tensor(name, number) and ARRAYS[f"{name}/{number}"].dtype.kind == "f":
            shape = np.shape(result)
            total = total + K.sum(K.cast(result, result.dtype) * recorder.cotangent(shape))
    return total


def gradients_of(name, inputs):
    case, names = CASES[name], recorder.names_of(CASES[name])
    arguments = [inputs[n] for n in names]
    value, pullback = differentiate(
        lambda *a: weighted(case(K, *a), name) + K.sum(0 * a[0]), arguments
    )
    found = pullback(np.ones_like(value))[0]
    return {n: g for n, g in zip(names, found, strict=True) if g is not None}


DIFFERENTIABLE = sorted({n.split("/")[0] for n in ARRAYS if "/d_" in n} - {"inputs"})


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_of_keras(name, capsys):
    found = gradients_of(name, INPUTS)
    for n, gradient in found.items():
        assert gradient.dtype == np.float32
        assert gradient.shape == INPUTS[n].shape
        expected = ARRAYS.get(f"{name}/d_{n}", np.zeros_like(gradient))
        np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=2e-5, err_msg=n)
