"""Activations against TensorFlow 1.4.1 and finite differences."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cylstm import activations
from cylstm import backend as K
from cylstm.testing import numerical_gradient

RECORDED = json.loads((Path(__file__).parent / "data" / "numerics.json").read_text())
BUILTINS = {name: activations.get(name) for name in activations.get.__self__.names}
NAMES = activations.get.__self__.names
DTYPES = ["float32", "float64"]
# softmax reaches its bounds by rounding only, the others by definition
BOUNDS = {"softmax": (0, 1), "softsign": (-1, 1), "tanh": (-1, 1), "sigmoid": (0, 1)}
BOUNDS |= {
    "hard_sigmoid": (0, 1),
    "hard_sigmoid_6": (0, 1),
    "relu": (0, np.inf),
    "softplus": (0, np.inf),
}


def asymmetric(shape, seed=4):
    return np.random.default_rng(seed).normal(0.3, 2, shape)


@pytest.mark.parametrize("case", RECORDED["activations"], ids=lambda c: c["name"] + c["dtype"][-2:])
def test_values_and_gradients_of_tensorflow(case):
    x, dy = (np.array(RECORDED[name], case["dtype"]) for name in ("x", "cotangents"))
    function = activations.get(case["name"])
    y = function(x)
    dx = activations.vjp(function)(None, y, dy)
    if case["name"] == "hard_sigmoid":
        # At the corners TensorFlow takes the slope of the ramp; y does not tell them from beyond.
        dx[-1, 1:3] = 0.2 * dy[-1, 1:3]
    tolerance = {"float32": 2e-6, "float64": 1e-12}[case["dtype"]]
    np.testing.assert_allclose(y, case["y"], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dx, case["gradient"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", RECORDED["functions"], ids=lambda c: c["name"])
def test_arguments_of_functions(case):
    y = activations.get(case["name"])(np.array(RECORDED["x"]), **case["arguments"])
    np.testing.assert_allclose(y, case["y"], rtol=1e-12, atol=1e-12)


def test_every_activation_is_recorded():
    # hard_sigmoid_6 is of Keras 3, and compared with it in tests/saving
    assert {case["name"] for case in RECORDED["activations"]} == set(NAMES) - {"hard_sigmoid_6"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4)])
def test_the_derivative_is_that_of_the_values(name, shape):
    function = activations.get(name)
    x, dy = asymmetric(shape), asymmetric(shape, seed=5)
    expected = numerical_gradient(lambda x: float(np.sum(function(x) * dy)), x, 1e-4)
    dx = activations.vjp(function)(None, function(x), dy)
    np.testing.assert_allclose(dx, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_are_kept(name, dtype):
    function = activations.get(name)
    for shape in [(3, 5), (2, 3, 4), (0, 4), (2, 0)]:
        x = asymmetric(shape).astype(dtype)
        before = x.copy()
        y = function(x)
        dx = activations.vjp(function)(None, y, np.ones_like(y))
        assert y.dtype == dx.dtype == dtype
        assert y.shape == dx.shape == shape
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_huge_inputs_give_limits_without_warnings(name, dtype):
    """Warnings are errors here."""
    huge = np.finfo(dtype).max / 2
    x = np.array([[-huge, huge, -1000, 1000, 0]], dtype)
    y = activations.get(name)(x)
    dx = activations.vjp(activations.get(name))(None, y, np.ones_like(y))
    low, high = BOUNDS.get(name, (-np.inf, np.inf))
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(dx))
    assert low <= y.min()
    assert y.max() <= high


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_spreads_without_warnings(name):
    """As in TensorFlow, where the row of a softmax and the softsign of infinity are NaN too."""
    y = activations.get(name)(np.array([[np.inf, -np.inf, np.nan, 1.0]]))
    if name == "softmax":
        assert np.all(np.isnan(y))
    else:
        assert np.isnan(y[0, 2])
        assert np.isfinite(y[0, 3])
        assert np.isnan(y[0, 0]) == (name == "softsign")


@pytest.mark.parametrize(
    ("name", "slope"),
    [("relu", 0.0), ("elu", 1.0), ("selu", 1.0507009873554805 * 1.6732632423543772)],
)
def test_slopes_at_the_kink_are_those_of_tensorflow(name, slope):
    function = activations.get(name)
    y = function(np.array([0.0, -0.0]))
    dx = activations.vjp(function)(None, y, np.ones(2))
    np.testing.assert_allclose(dx, slope, rtol=1e-15)


@given(st.floats(-745, 745))
def test_sigmoid_and_softplus_keep_small_results_exact(x):
    """Relative to the small result itself, and not only to 1."""
    exact_sigmoid = 1 / (1 + np.exp(-x)) if x > -700 else np.exp(x)
    exact_softplus = np.logaddexp(0, x)
    rounding = {"rtol": 4e-15, "atol": 1e-323}
    np.testing.assert_allclose(activations.sigmoid(x), exact_sigmoid, **rounding)
    np.testing.assert_allclose(activations.softplus(x), exact_softplus, **rounding)


def test_softmax_takes_an_axis():
    x = asymmetric((2, 3, 4))
    np.testing.assert_allclose(activations.softmax(x, axis=1).sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(
        activations.softmax(x, axis=1), activations.softmax(x.swapaxes(1, 2)).swapaxes(1, 2)
    )


@pytest.mark.parametrize("shape", [(), (3,)])
def test_softmax_needs_two_axes(shape):
    with pytest.raises(ValueError, match="at least two axes, got shape"):
        activations.softmax(np.ones(shape))


def test_linear_is_no_copy():
    x = asymmetric((2, 3))
    assert activations.linear(x) is x


@pytest.mark.parametrize("name", NAMES)
def test_pickles_and_copies_are_the_function(name):
    function = activations.get(name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    assert activations.get(function) is function
    assert getattr(activations, name) is function


def test_a_derivative_of_its_own_wins():
    def cube(x):
        return x**3

    assert activations.get(cube) is cube
    x, dy = asymmetric((2, 3)), asymmetric((2, 3), seed=5)
    np.testing.assert_allclose(activations.vjp(cube)(x, cube(x), dy), 3 * x**2 * dy)
    cube.derivative = lambda x: 30 * x**2
    np.testing.assert_allclose(activations.vjp(cube)(x, cube(x), dy), 30 * x**2 * dy)


def in_place(x):
    y = x
    y *= x
    return y


OWN = {
    "elementwise": lambda x: x * K.sigmoid(x),
    "numpy": lambda x: np.tanh(x) - 0.3 * x,
    "by_rows": lambda x: K.exp(x) / K.sum(K.exp(x), axis=-1, keepdims=True),
    "in_place": in_place,
    "of_built_ins": lambda x: activations.softmax(2 * x) + activations.relu(x, 0.1, 1.0),
    "with_options": lambda x: activations.elu(x, 0.5) + activations.elu(x, alpha=-0.5) ** 2,
    "softmax_of_columns": lambda x: activations.softmax(x, axis=0) * x,
    **{f"built_in_{name}": lambda x, f=f: f(x) * x for name, f in BUILTINS.items()},
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_of_your_own_is_differentiated(name, dtype):
    function = OWN[name]
    x, dy = asymmetric((2, 3)), asymmetric((2, 3), seed=5)
    before = x.copy()
    y = activations.evaluate(function, x.astype(dtype))
    dx = activations.vjp(function)(x.astype(dtype), y, dy.astype(dtype))
    assert y.dtype == dx.dtype == dtype
    expected = numerical_gradient(
        lambda x: float(np.sum(activations.evaluate(function, x) * dy)), x
    )
    np.testing.assert_allclose(dx, expected, atol=1e-5 if dtype == "float32" else 1e-6)
    assert (x == before).all()


def test_what_changes_the_shape_is_no_activation():
    x = asymmetric((2, 3))
    with pytest.raises(ValueError, match=r"<lambda> returned an array of shape \(2,\) for one of"):
        activations.evaluate(lambda x: K.sum(x, axis=-1), x)
    with pytest.raises(ValueError, match=r"it must keep the shape"):
        activations.vjp(lambda x: K.sum(x, axis=-1))(x, None, x)


def test_without_autograd_an_activation_predicts_and_training_says_what_is_needed(without_autograd):
    x = asymmetric((2, 3))
    np.testing.assert_allclose(activations.evaluate(OWN["elementwise"], x), x / (1 + np.exp(-x)))
    with pytest.raises(TypeError, match=r"<lambda> has no derivative.*package autograd.*`vjp`"):
        activations.vjp(OWN["elementwise"])


def test_a_function_of_your_own_may_have_a_vector_jacobian_product():
    class Centred:
        def __call__(self, x):
            return x - x.mean(axis=-1, keepdims=True)

        def vjp(self, x, y, dy):
            return dy - dy.mean(axis=-1, keepdims=True)

    centred = Centred()
    x, dy = asymmetric((2, 3)), asymmetric((2, 3), seed=5)
    expected = numerical_gradient(lambda x: float(np.sum(centred(x) * dy)), x)
    np.testing.assert_allclose(activations.vjp(centred)(x, centred(x), dy), expected, rtol=1e-8)


def test_with_derivative_marks_the_function_itself():
    def sine(x):
        return np.sin(x)

    assert activations.with_derivative(np.cos)(sine) is sine
    assert sine.derivative is np.cos
    with pytest.raises(TypeError, match="takes no attributes"):
        activations.with_derivative(np.sign)(abs)
    with pytest.raises(TypeError, match=r"a function from x to f'\(x\), got 3"):
        activations.with_derivative(3)
