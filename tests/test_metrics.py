"""Metrics against what TensorFlow 1.4 gave for them."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm import losses, metrics
from cylstm.losses._differentiable import ALIASES, BUILTINS

RECORD = json.loads((Path(__file__).parent / "data" / "losses.json").read_text("utf-8"))["metrics"]
ACCURACIES = [
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


def test_record_has_every_accuracy():
    assert sorted({case["metric"] for case in RECORD}) == ACCURACIES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACCURACIES)
def test_values_are_those_of_tensorflow(name, dtype):
    for case in RECORD:
        if case["metric"] == name:
            y_true, y_pred = (np.array(case[key], dtype) for key in ("y_true", "y_pred"))
            values = metrics.get(name)(y_true, y_pred, **case["arguments"])
            assert values.dtype == dtype
            np.testing.assert_allclose(values, case["values"], rtol=1e-6)


def test_sparse_metrics_take_targets_without_last_axis():
    numbers = np.array([0, 2, 1])
    y_pred = np.array([[0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.3, 0.4, 0.3]])
    for targets in (numbers, numbers[:, None]):
        assert metrics.sparse_categorical_accuracy(targets, y_pred).tolist() == [1, 0, 1]
        assert metrics.sparse_top_k_categorical_accuracy(targets, y_pred, k=2) == 1


def test_top_k_does_not_count_rows_that_are_not_finite():
    y_true = np.array([[1.0, 0.0], [1.0, 0.0]])
    y_pred = np.array([[0.5, np.inf], [np.nan, 0.5]])
    assert metrics.top_k_categorical_accuracy(y_true, y_pred, k=2) == 0


def test_top_k_keeps_leading_axes():
    y_pred = np.array([[[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], [[0.2, 0.3, 0.5], [0.1, 0.2, 0.7]]])
    y_true = np.broadcast_to([1.0, 0.0, 0.0], y_pred.shape)
    assert metrics.top_k_categorical_accuracy(y_true, y_pred, k=1).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (1.5, TypeError)])
def test_k_is_a_positive_integer(k, error):
    with pytest.raises(error, match="k must be"):
        metrics.top_k_categorical_accuracy(np.eye(3), np.eye(3), k=k)


@pytest.mark.parametrize("name", sorted(BUILTINS) + sorted(ALIASES))
def test_every_loss_is_a_metric(name):
    assert metrics.get(name) is losses.get(name) is getattr(metrics, name)


@pytest.mark.parametrize("name", ACCURACIES)
def test_names_round_trip(name):
    metric = metrics.get(name)
    assert metric is getattr(metrics, name)
    assert metrics.deserialize(metrics.serialize(metric)) is metric


@pytest.mark.parametrize("identifier", ["accurracy", None, 3])
def test_unknown_metrics_raise(identifier):
    with pytest.raises(ValueError, match="metric function"):
        metrics.get(identifier)


@pytest.mark.parametrize(
    ("output_shape", "loss", "name"),
    [
        ((None, 1), "mse", "binary_accuracy"),
        ((None, 1), "sparse_categorical_crossentropy", "binary_accuracy"),
        ((None, 5, 1), "hinge", "binary_accuracy"),
        ((None, 4), "binary_crossentropy", "binary_accuracy"),
        ((None, 4), losses.binary_crossentropy, "binary_accuracy"),
        ((None, 4), "sparse_categorical_crossentropy", "sparse_categorical_accuracy"),
        ((None, 4), "categorical_crossentropy", "categorical_accuracy"),
        ((None, 4), "mse", "categorical_accuracy"),
        ((None, 4), lambda y_true, y_pred: 0, "categorical_accuracy"),
    ],
)
def test_what_accuracy_means(output_shape, loss, name):
    assert metrics.accuracy_for(output_shape, loss).__name__ == name
    assert metrics.resolve("accuracy", output_shape, loss) == ("acc", metrics.get(name))


def test_resolved_names():
    def spread(y_true, y_pred):
        return np.std(y_pred)

    class Custom:
        def __call__(self, y_true, y_pred):
            return np.std(y_pred)

    shape = (None, 3)
    assert metrics.resolve("mse", shape, "mae")[0] == "mean_squared_error"
    assert metrics.resolve("acc", shape, "mae", weighted=True)[0] == "weighted_acc"
    assert metrics.resolve(spread, shape, "mae") == ("spread", spread)
    assert metrics.resolve(Custom(), shape, "mae")[0] == "Custom"
    with pytest.raises(ValueError, match="metric function"):
        metrics.resolve("accuraci", shape, "mae")


@pytest.mark.parametrize("name", ["binary_accuracy", "categorical_accuracy"])
def test_other_shapes_raise(name):
    with pytest.raises(ValueError, match=f"{name} compares"):
        metrics.get(name)(np.zeros((4, 2)), np.zeros((4, 3)))
