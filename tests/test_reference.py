"""The NumPy twin: what it does beyond the core, which test_core.py compares it with."""

import core_problems
import numpy as np
import pytest

from cylstm import _core, _reference, activations
from cylstm.testing import numerical_gradient

BATCH, TIMESTEPS, INPUT_DIM, UNITS = 2, 4, 2, 3
STATE, SEQUENCE = (BATCH, UNITS), (BATCH, TIMESTEPS, UNITS)
SIZES = {"batch": BATCH, "timesteps": TIMESTEPS, "input_dim": INPUT_DIM, "units": UNITS}
FLAGS = {"input_masks": False, "recurrent_masks": True}
SHAPES = {
    "inputs": (BATCH, TIMESTEPS, INPUT_DIM),
    "initial_h": STATE,
    "initial_c": STATE,
    "kernel": (INPUT_DIM, 4 * UNITS),
    "recurrent_kernel": (UNITS, 4 * UNITS),
    "bias": (4 * UNITS,),
}


def sine(x):
    return np.sin(x)


sine.derivative = np.cos


def centred(x):
    """Not elementwise: every unit less the mean of the units, squared."""
    return np.square(x - x.mean(axis=-1, keepdims=True))


def centred_vjp(x, y, dy):
    inner = 2 * (x - x.mean(axis=-1, keepdims=True)) * dy
    return inner - inner.mean(axis=-1, keepdims=True)


centred.vjp = centred_vjp


def problem(activation, recurrent_activation, dtype="float64"):
    rng = np.random.default_rng(2)
    arrays = {name: (0.6 * rng.normal(size=shape)).astype(dtype) for name, shape in SHAPES.items()}
    return arrays | {
        "mask": np.array([[0, 1, 0, 1], [1, 1, 1, 0]], bool),
        "input_masks": None,
        "recurrent_masks": rng.uniform(1, 2, (4, *STATE)).astype(dtype),
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "go_backwards": True,
        "zero_leading": True,
    }


def forward(case):
    return core_problems.forward(_reference, case)


def cotangents():
    rng = np.random.default_rng(3)
    return {
        "d_outputs": rng.normal(size=SEQUENCE),
        "d_final_h": rng.normal(size=STATE),
        "d_final_c": rng.normal(size=STATE),
    }


def backward(case):
    return core_problems.backward(_reference, case, forward(case), cotangents())


def test_numbers_of_activations_are_those_of_the_core():
    assert _reference.ACTIVATIONS == _core.ACTIVATIONS


@pytest.mark.parametrize("name", _reference.ACTIVATIONS)
def test_a_function_does_what_its_number_does(name):
    other = _reference.ACTIVATIONS["tanh"]
    number, function = _reference.ACTIVATIONS[name], activations.get(name)
    for by_number, by_function in [
        (problem(number, other), problem(function, other)),
        (problem(other, number), problem(activations.tanh, function)),
    ]:
        for run in (forward, backward):
            expected = run(by_number)
            for key, value in run(by_function).items():
                np.testing.assert_array_equal(value, expected[key])


@pytest.mark.parametrize(
    ("activation", "recurrent_activation"),
    [(sine, _core.ACTIVATIONS["sigmoid"]), (sine, centred), (centred, sine)],
)
def test_gradients_of_custom_activations(activation, recurrent_activation):
    case = problem(activation, recurrent_activation)
    gradients = backward(case)

    def loss(name, value):
        results = forward(case | {name: value})
        return sum(float(np.vdot(d, results[k[2:]])) for k, d in cotangents().items())

    for name in SHAPES:
        expected = numerical_gradient(lambda x, n=name: loss(n, x), case[name])
        error = np.max(np.abs(gradients[f"d_{name}"] - expected))
        assert error < 1e-8 * (1 + np.max(np.abs(expected)))


def test_without_a_derivative_there_is_a_forward_pass_only(without_autograd):
    case = problem(np.cos, _core.ACTIVATIONS["sigmoid"])
    assert np.all(np.isfinite(forward(case)["outputs"]))
    with pytest.raises(TypeError, match="the activation cos has no derivative"):
        backward(case)


def test_results_of_a_custom_activation_are_checked():
    for dtype in ("float32", "float64"):
        doubled = forward(problem(lambda x: x.astype(float) * 2, 1, dtype))
        assert doubled["outputs"].dtype == dtype
    with pytest.raises(ValueError, match=r"returned an array of shape \(2, 2\) for one of shape"):
        forward(problem(lambda x: x[:, 1:], 1))
