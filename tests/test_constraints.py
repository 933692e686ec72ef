"""Constraints against TensorFlow 1.4.1."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cylstm import Variable, constraints

RECORDED = json.loads((Path(__file__).parent / "data" / "numerics.json").read_text())
CASES = RECORDED["constraints"]


def constrained_by(case):
    return getattr(constraints, case["name"])(**case["arguments"])


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['name']} {c['arguments']}")
def test_weights_of_tensorflow(case):
    w = np.array(RECORDED["w"])
    result = constrained_by(case)(w)
    np.testing.assert_allclose(result, case["w"], rtol=1e-13, atol=1e-15)
    assert result is not w
    assert w.tolist() == RECORDED["w"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['name']} {c['arguments']}")
def test_config_and_copies(case):
    constraint = constrained_by(case)
    for copied in (
        copy.deepcopy(constraint),
        pickle.loads(pickle.dumps(constraint)),
        constraints.deserialize(json.loads(json.dumps(constraints.serialize(constraint)))),
    ):
        assert copied.get_config() == constraint.get_config()
        np.testing.assert_array_equal(copied(RECORDED["w"]), constraint(RECORDED["w"]))


@pytest.mark.parametrize("name", ["max_norm", "non_neg", "unit_norm", "min_max_norm", "Constraint"])
def test_dtype_is_kept(name):
    w = np.array(RECORDED["w"], "float32")
    w.flags.writeable = False
    for given in (w, Variable(w)):
        result = constraints.get(name)(given)
        assert result.dtype == "float32"
        assert result.shape == w.shape
        assert result.flags.writeable


def test_what_is_not_finite_is_not_hidden():
    assert np.isnan(constraints.NonNeg()(np.array([np.nan]))).all()
    assert constraints.NonNeg()(np.array([np.inf, -np.inf])).tolist() == [np.inf, 0]


def test_lower_case_names():
    assert constraints.max_norm is constraints.MaxNorm
    assert constraints.non_neg is constraints.NonNeg
    assert constraints.unit_norm is constraints.UnitNorm
    assert constraints.min_max_norm is constraints.MinMaxNorm


def test_bad_arguments():
    with pytest.raises(TypeError, match="max_value must be a finite number.*'2'"):
        constraints.MaxNorm("2")
    with pytest.raises(ValueError, match="rate must be a finite number"):
        constraints.MinMaxNorm(rate=np.nan)
    with pytest.raises(TypeError, match="axis must be an integer or a list of integers"):
        constraints.UnitNorm(axis=0.5)
    with pytest.raises(TypeError, match="axis must be an integer or a list of integers"):
        constraints.MaxNorm(axis=[0, None])


@pytest.mark.parametrize("axis", [1, -2, [0, 1]])
def test_an_axis_that_the_weights_do_not_have(axis):
    with pytest.raises(ValueError, match=r"not an axis of weights of shape \(3,\)"):
        constraints.UnitNorm(axis)(np.ones(3))


def test_constraints_of_your_own():
    def halved(w):
        return w / 2

    assert constraints.get(halved) is halved
    assert constraints.serialize(halved) == "halved"
    assert constraints.deserialize("halved", {"halved": halved}) is halved
