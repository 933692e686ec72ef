"""Regularizers against TensorFlow 1.4.1 and finite differences."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cylstm import Variable, regularizers
from cylstm import backend as K
from cylstm.testing import numerical_gradient

RECORDED = json.loads((Path(__file__).parent / "data" / "numerics.json").read_text())


@pytest.mark.parametrize("case", RECORDED["regularizers"], ids=lambda c: str(c["arguments"]))
def test_penalties_and_gradients_of_tensorflow(case):
    regularizer = regularizers.L1L2(**case["arguments"])
    w = np.array(RECORDED["w"])
    penalty = regularizer(w)
    assert type(penalty) is float
    np.testing.assert_allclose(penalty, case["penalty"], rtol=1e-14)
    np.testing.assert_allclose(regularizers.gradient(regularizer, w), case["gradient"], rtol=1e-14)


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2"])
def test_the_gradient_is_that_of_the_penalty(name):
    regularizer = regularizers.get(name)
    w = np.random.default_rng(2).normal(0.2, 1, (3, 4))
    expected = numerical_gradient(regularizer, w)
    np.testing.assert_allclose(regularizers.gradient(regularizer, w), expected, rtol=1e-8)


def test_dtype_is_kept_and_the_penalty_summed_in_double_precision():
    w = np.full((1000, 1000), 0.1, "float32")
    regularizer = regularizers.l1_l2(0.5, 0.25)
    assert regularizer.gradient(w).dtype == "float32"
    exact = 1e6 * (0.5 * float(w[0, 0]) + 0.25 * float(w[0, 0]) ** 2)
    np.testing.assert_allclose(regularizer(w), exact, rtol=1e-12)
    np.testing.assert_allclose(regularizer(np.float32([1e30])), 0.25e60, rtol=1e-6)


def test_variables_and_lists_are_arrays():
    assert regularizers.l1(0.5)(Variable([1.0, -2.0])) == 1.5
    assert regularizers.l2(0.5)([[1, -2]]) == 2.5
    assert regularizers.gradient(regularizers.l2(0.5), [[1, -2]]).tolist() == [[1, -2]]


def test_defaults_and_keyword_of_keras():
    assert regularizers.l1().get_config() == {"l1": 0.01, "l2": 0.0}
    assert regularizers.l2(l=0.2).get_config() == {"l1": 0.0, "l2": 0.2}
    assert regularizers.l1_l2().get_config() == {"l1": 0.01, "l2": 0.01}
    assert regularizers.L1L2()(np.ones(3)) == 0.0


def test_copies():
    regularizer = regularizers.l1_l2(0.5, 0.25)
    for copied in (copy.deepcopy(regularizer), pickle.loads(pickle.dumps(regularizer))):
        assert copied.get_config() == {"l1": 0.5, "l2": 0.25}


@pytest.mark.parametrize(
    ("value", "error"), [("a", TypeError), (None, TypeError), (np.nan, ValueError)]
)
def test_bad_factors(value, error):
    with pytest.raises(error, match="l1 must be a finite number"):
        regularizers.L1L2(l1=value)
    with pytest.raises(error, match="l2 must be a finite number"):
        regularizers.l2(value)


def test_regularizers_of_your_own():
    def total(w):
        return float(np.sum(w))

    assert regularizers.get(total) is total
    with pytest.raises(TypeError, match="total cannot be followed.*Python number"):
        regularizers.gradient(total, np.ones(3))
    total.gradient = np.ones_like
    assert regularizers.gradient(total, np.zeros(3)).tolist() == [1, 1, 1]
    total.gradient = np.sum
    with pytest.raises(ValueError, match=r"shape \(\), expected \(3,\)"):
        regularizers.gradient(total, np.zeros(3))

    class Cubic(regularizers.Regularizer):
        def __init__(self, factor=1.0):
            self.factor = factor

        def __call__(self, w):
            return self.factor * float(np.sum(np.abs(w) ** 3))

    written = regularizers.serialize(Cubic(2.0))
    assert written == {"class_name": "Cubic", "config": {"factor": 2.0}}
    assert regularizers.deserialize(written, {"Cubic": Cubic})(np.array([-2.0])) == 16
    with pytest.raises(TypeError, match="the regularizer Cubic cannot be followed"):
        regularizers.gradient(Cubic(), np.ones(3))
    with pytest.raises(TypeError, match="abstract"):
        regularizers.Regularizer()


OWN = {
    "lambda": lambda w: 0.01 * K.sum(K.abs(w)),
    "numpy": lambda w: np.sum(np.square(w - 1)) / 2,
    "of_one_element": lambda w: K.reshape(K.sum(w**4), (1,)),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_your_own_are_differentiated(name, dtype):
    w = np.random.default_rng(1).normal(size=(2, 3))
    slopes = regularizers.gradient(OWN[name], w.astype(dtype))
    assert slopes.dtype == dtype
    expected = numerical_gradient(lambda w: regularizers.penalty(OWN[name], w), w)
    np.testing.assert_allclose(slopes, expected, atol=1e-8 if dtype == "float64" else 1e-5)


def test_a_penalty_is_one_number():
    for function in (regularizers.penalty, regularizers.gradient):
        with pytest.raises(ValueError, match=r"<lambda> returned an array of shape \(2,\).*sum it"):
            function(lambda w: K.abs(w), np.ones(2))


def test_without_autograd_there_are_penalties_only(without_autograd):
    assert regularizers.penalty(OWN["lambda"], np.array([1.0, -2.0])) == pytest.approx(0.03)
    with pytest.raises(TypeError, match="no derivative.*autograd.*attribute `gradient`"):
        regularizers.gradient(OWN["lambda"], np.ones(2))
