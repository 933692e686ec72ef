"""Masked and weighted means against TensorFlow 1.4, and the weights that `fit` makes of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm import losses, metrics
from cylstm.training._weighting import (
    per_output,
    standardize_weights,
    weighted_loss,
    weighted_metric,
)

DATA = Path(__file__).parents[1] / "data"
RECORD = json.loads((DATA / "losses.json").read_text("utf-8"))["weighted"]


def optional(value, dtype):
    return None if value is None else np.array(value, dtype)


@pytest.mark.parametrize("case", RECORD, ids=range(len(RECORD)))
def test_means_are_those_of_tensorflow(case):
    dtype = case["dtype"]
    y_true, y_pred = np.array(case["y_true"], dtype), np.array(case["y_pred"], dtype)
    weight, mask = optional(case["sample_weight"], dtype), optional(case["mask"], bool)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    if case["gradient"] is None:
        value = weighted_metric(metrics.get(case["function"]), y_true, y_pred, weight, mask)
    else:
        loss = losses.get(case["function"])
        value, gradient = weighted_loss(loss, y_true, y_pred, weight, mask)
        assert gradient().dtype == dtype
        np.testing.assert_allclose(gradient(), case["gradient"], rtol, rtol / 10)
        np.testing.assert_allclose(gradient(3.0), 3 * gradient(), rtol, 0)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, case["value"], rtol)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("axes", [0, 1, 2])
def test_gradient_is_finite_differences(masked, axes):
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.normal(size=(2, 3, 4, 2))
    mask = rng.random((3, 4)) < 0.6 if masked else None
    weight = rng.random((3, 4)[:axes]) if axes else None

    def value(predictions):
        return weighted_loss(losses.mse, y_true, predictions, weight, mask)[0]

    gradient = weighted_loss(losses.mse, y_true, y_pred, weight, mask)[1]()
    for place in np.ndindex(y_pred.shape):
        moved = [y_pred.copy(), y_pred.copy()]
        moved[0][place] -= 1e-4
        moved[1][place] += 1e-4
        slope = (value(moved[1]) - value(moved[0])) / 2e-4
        assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_a_loss_that_is_one_number():
    @losses.with_gradient(lambda y_true, y_pred: 2 * (y_pred - y_true))
    def total(y_true, y_pred):
        return np.sum((y_pred - y_true) ** 2)

    y_true, y_pred = np.zeros((4, 1)), np.ones((4, 1))
    value, gradient = weighted_loss(total, y_true, y_pred, [1.0, 0.0, 3.0, 0.0])
    assert value == 8  # 4 * mean(weights) / mean(weights != 0)
    np.testing.assert_array_equal(gradient(), np.full((4, 1), 4.0))


def test_nothing_left_to_count_is_nan():
    y = np.ones((2, 3, 1))
    assert np.isnan(weighted_loss(losses.mse, y, y, mask=np.zeros((2, 3)))[0])
    value, gradient = weighted_loss(losses.mse, y, y, sample_weight=np.zeros(2))
    assert np.isnan(value)
    assert np.isnan(gradient()).all()


@pytest.mark.parametrize("mask", [np.ones(3), np.ones((3, 5)), np.ones((3, 4, 2))])
def test_a_mask_of_another_shape_raises(mask):
    y = np.zeros((3, 4, 2))
    with pytest.raises(ValueError, match=r"mask must have the shape \(3, 4\)"):
        weighted_loss(losses.mse, y, y, mask=mask)


@pytest.mark.parametrize("weight", [np.ones(4), np.ones((3, 1)), np.ones((3, 4, 2))])
def test_weights_of_another_shape_raise(weight):
    y = np.zeros((3, 4, 2))
    with pytest.raises(ValueError, match="sample_weight must have the shape"):
        weighted_loss(losses.mse, y, y, sample_weight=weight)


def test_a_loss_without_gradient_still_evaluates(without_autograd):
    value, gradient = weighted_loss(lambda t, p: np.abs(p[:, 0]), np.zeros((2, 1)), np.ones((2, 1)))
    assert value == 1
    with pytest.raises(TypeError, match="gradient"):
        gradient()


def test_no_weights_are_none():
    assert standardize_weights(np.zeros((3, 1))) is None
    assert standardize_weights(np.zeros((3, 4, 1)), sample_weight_mode="temporal") is None


def test_sample_weights():
    weights = standardize_weights(np.zeros((3, 1)), [1, 2, 3])
    assert weights.tolist() == [1, 2, 3]
    assert weights.dtype == np.float32
    double = np.array([1.0, 2.0, 3.0])
    assert standardize_weights(np.zeros((3, 4, 2)), double).dtype == np.float64
    steps = standardize_weights(np.zeros((3, 4, 2)), np.ones((3, 4)), sample_weight_mode="temporal")
    assert steps.shape == (3, 4)


def test_sample_weights_win_over_class_weights():
    assert standardize_weights(np.zeros((1, 1)), [2.0], {0: 5.0}).tolist() == [2]


@pytest.mark.parametrize(
    "y", [np.array([[0], [2], [0]]), np.array([0, 2, 0]), np.eye(3)[[0, 2, 0]]]
)
def test_class_weights(y):
    assert standardize_weights(y, class_weight={0: 0.5, 2: 4, 7: 1}).tolist() == [0.5, 4, 0.5]


def test_float_targets_find_their_class():
    y = np.array([[0.0], [1.0]], dtype=np.float32)
    assert standardize_weights(y, class_weight={0: 0.5, 1: 4}).tolist() == [0.5, 4]


@pytest.mark.parametrize(
    ("shape", "arguments", "error", "message"),
    [
        ((3, 1), {"sample_weight": np.ones(4)}, ValueError, r"the shape \(3,\)"),
        (
            (3, 4, 1),
            {"sample_weight": np.ones((3, 4))},
            ValueError,
            "sample_weight_mode='temporal'",
        ),
        ((3, 1), {"sample_weight": ["a"] * 3}, TypeError, "sample_weight must hold real numbers"),
        ((3, 1), {"sample_weight_mode": "steps"}, ValueError, "None or 'temporal', got 'steps'"),
        ((3, 1), {"sample_weight_mode": "temporal"}, ValueError, "three"),
        (
            (3, 4, 1),
            {"sample_weight_mode": "temporal", "sample_weight": np.ones(3)},
            ValueError,
            r"the shape \(3, 4\)",
        ),
        ((3, 4, 2), {"class_weight": {0: 1.0}}, ValueError, "up to two axes"),
        ((3, 1), {"class_weight": {1: 1.0}}, ValueError, r"it has none for \[0.0\]"),
        ((3, 1), {"class_weight": [1.0, 2.0]}, TypeError, "must be a dict"),
    ],
)
def test_weights_that_do_not_fit_raise(shape, arguments, error, message):
    with pytest.raises(error, match=message):
        standardize_weights(np.zeros(shape), **arguments)


def test_per_output():
    weights = np.ones(3)
    assert per_output(None, ["a", "b"], "sample_weight") == [None, None]
    assert per_output({}, ["a"], "class_weight") == [None]
    assert per_output(weights, ["a"], "sample_weight")[0] is weights
    assert per_output([weights], ["a"], "sample_weight")[0] is weights
    assert per_output({"a": weights}, ["a"], "sample_weight")[0] is weights
    assert per_output([{0: 1.0}], ["a"], "class_weight") == [{0: 1.0}]
    assert per_output([0.5], ["a"], "sample_weight") == [[0.5]]
    assert per_output([None, weights], ["a", "b"], "sample_weight")[1] is weights
    assert per_output({"b": weights}, ["a", "b"], "sample_weight")[0] is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1], ValueError, "one entry for each of the 2 outputs, got 1"),
        ({"c": 1}, ValueError, r"names the outputs \['c'\]"),
        (np.ones(3), TypeError, "must be a list or a dict of them, got ndarray"),
    ],
)
def test_per_output_of_the_wrong_kind_raises(value, error, message):
    with pytest.raises(error, match=message):
        per_output(value, ["a", "b"], "sample_weight")
