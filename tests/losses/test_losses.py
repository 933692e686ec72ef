"""Losses against what TensorFlow 1.4 gave for them, and gradients against finite differences."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cylstm import losses
from cylstm.losses._differentiable import BUILTINS
from cylstm.utils import custom_object_scope

DATA = Path(__file__).parents[1] / "data"
RECORD = json.loads((DATA / "losses.json").read_text("utf-8"))["losses"]
NAMES = sorted(BUILTINS)
SPARSE = "sparse_categorical_crossentropy"


def draw(name, rng, shape=(4, 3, 5), dtype="float64"):
    """Targets and predictions away from every kink."""
    y_pred = rng.uniform(0.1, 0.9, shape)
    if name == SPARSE:
        return rng.integers(0, shape[-1], (*shape[:-1], 1)), y_pred.astype(dtype)
    y_true = rng.uniform(0.1, 0.9, shape)
    y_true += np.where(np.abs(y_true - y_pred) < 0.01, 0.05, 0)
    return y_true.astype(dtype), y_pred.astype(dtype)


def numerical_gradient(function, x, step=1e-4):
    """Four-point central differences of a function from an array to a number."""
    result = np.empty_like(x)
    for place in np.ndindex(x.shape):
        values = []
        for offset in (-2, -1, 1, 2):
            moved = x.copy()
            moved[place] += offset * step
            values.append(function(moved))
        result[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return result


def test_record_has_every_loss_in_both_dtypes():
    recorded = {(case["loss"], case["dtype"]) for case in RECORD}
    assert recorded == {(name, dtype) for name in NAMES for dtype in ("float32", "float64")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_tensorflow(name, dtype):
    loss = losses.get(name)
    # logcosh: TensorFlow forms cosh, whose rounding is 1 ulp of 1 even where the loss is tiny.
    rtol, atol = (5e-6, 3e-6) if dtype == "float32" else (1e-12, 2e-15)
    for case in RECORD:
        if (case["loss"], case["dtype"]) != (name, dtype):
            continue
        y_true, y_pred, upstream, values, slopes = (
            np.array(case[key], dtype)
            for key in ("y_true", "y_pred", "upstream", "values", "gradient")
        )
        computed = loss(y_true, y_pred)
        gradient = losses.gradient(loss, y_true, y_pred, upstream)
        assert computed.dtype == gradient.dtype == dtype
        assert np.isfinite(computed).all()
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(computed, values, rtol, atol)
        np.testing.assert_allclose(gradient, slopes, rtol, atol)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(3)
    loss = losses.get(name)
    y_true, y_pred = draw(name, rng)
    upstream = rng.uniform(0.5, 1.5, y_pred.shape[:-1])
    expected = numerical_gradient(lambda p: np.sum(upstream * loss(y_true, p)), y_pred)
    gradient = losses.gradient(loss, y_true, y_pred, upstream)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_upstream_defaults_to_ones(name):
    y_true, y_pred = draw(name, np.random.default_rng(4))
    ones = np.ones(y_pred.shape[:-1])
    expected = losses.gradient(losses.get(name), y_true, y_pred, ones)
    np.testing.assert_array_equal(losses.gradient(losses.get(name), y_true, y_pred), expected)


@pytest.mark.parametrize("name", NAMES)
def test_operands_stay_as_they_are(name):
    y_true, y_pred = draw(name, np.random.default_rng(5), dtype="float32")
    before = y_true.copy(), y_pred.copy()
    for array in (y_true, y_pred):
        array.flags.writeable = False
    assert losses.get(name)(y_true, y_pred).shape == y_pred.shape[:-1]
    losses.gradient(losses.get(name), y_true, y_pred)
    np.testing.assert_array_equal(y_true, before[0])
    np.testing.assert_array_equal(y_pred, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_odd_layouts_give_the_same_numbers(name):
    y_true, y_pred = draw(name, np.random.default_rng(6))
    loss = losses.get(name)
    expected = loss(y_true, y_pred)
    strided = np.repeat(y_pred, 2, axis=1)[:, ::2]
    swapped = y_pred.astype(y_pred.dtype.newbyteorder())
    for other in (strided, np.asfortranarray(y_pred), swapped):
        np.testing.assert_array_equal(loss(y_true, other), expected)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_values(name):
    y_true = np.zeros((0, 1 if name == SPARSE else 3))
    y_pred = np.zeros((0, 3))
    assert losses.get(name)(y_true, y_pred).shape == (0,)
    assert losses.gradient(losses.get(name), y_true, y_pred).shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_no_warning_for_what_is_not_finite(name):
    y_true = np.zeros((5, 1 if name == SPARSE else 2))
    y_pred = np.array([[np.nan, 1], [np.inf, 1], [-np.inf, 1], [0, 0], [-5, 5]])
    losses.get(name)(y_true, y_pred)
    losses.gradient(losses.get(name), y_true, y_pred)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("hinge", "squared_hinge", "categorical_hinge")]
)
def test_a_nan_prediction_gives_a_nan_loss(name):
    y_true = np.array([[0.0]] if name == SPARSE else [[1.0, 1.0]])
    assert np.isnan(losses.get(name)(y_true, np.array([[np.nan, 0.5]]))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logcosh_of_great_and_small_differences(dtype):
    y_pred = np.array([[1e4], [-1e4], [1e-2]], dtype)
    values = losses.logcosh(np.zeros((3, 1)), y_pred)
    expected = [1e4 - np.log(2), 1e4 - np.log(2), 1e-4 / 2 - 1e-8 / 12]
    np.testing.assert_allclose(values, expected, rtol=2e-3 if dtype == "float32" else 1e-9)
    slopes = losses.gradient(losses.logcosh, np.zeros((3, 1)), y_pred)
    np.testing.assert_allclose(slopes, [[1], [-1], [np.tanh(1e-2)]], rtol=1e-6)


def test_one_hot_and_sparse_crossentropy_agree():
    rng = np.random.default_rng(7)
    y_pred = rng.dirichlet(np.ones(4), size=(3, 2))
    numbers = rng.integers(0, 4, (3, 2))
    one_hot = np.eye(4)[numbers]
    expected = losses.categorical_crossentropy(one_hot, y_pred)
    for targets in (numbers, numbers[..., None], numbers.astype(np.float32)):
        values = losses.sparse_categorical_crossentropy(targets, y_pred)
        np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("mse", "mean_squared_error"),
        ("MSE", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("MAE", "mean_absolute_error"),
        ("mape", "mean_absolute_percentage_error"),
        ("MAPE", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"),
        ("MSLE", "mean_squared_logarithmic_error"),
        ("kld", "kullback_leibler_divergence"),
        ("KLD", "kullback_leibler_divergence"),
        ("cosine", "cosine_proximity"),
    ],
)
def test_aliases(alias, name):
    assert losses.get(alias) is getattr(losses, alias) is getattr(losses, name)
    assert losses.serialize(losses.get(alias)) == name


@pytest.mark.parametrize("name", NAMES)
def test_names_round_trip(name):
    loss = losses.get(name)
    assert loss is getattr(losses, name)
    assert name in losses.__all__
    assert losses.deserialize(losses.serialize(loss)) is loss
    assert pickle.loads(pickle.dumps(loss)) is loss


def test_get_takes_callables_and_none():
    assert losses.get(None) is None
    assert losses.get(abs) is abs


@pytest.mark.parametrize("identifier", ["mean_square_error", 3])
def test_unknown_losses_raise(identifier):
    with pytest.raises(ValueError, match="loss function"):
        losses.get(identifier)


def test_a_near_name_is_suggested():
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


def test_losses_of_ones_own_by_name():
    def triple(y_true, y_pred):
        return 3 * losses.mse(y_true, y_pred)

    with custom_object_scope({"triple": triple}):
        assert losses.get("triple") is triple
    assert losses.deserialize("triple", {"triple": triple}) is triple
    assert losses.serialize(triple) == "triple"


def test_a_loss_of_ones_own_trains_by_its_gradient():
    @losses.with_gradient(lambda y_true, y_pred: 2 * (y_pred - y_true))
    def total(y_true, y_pred):
        return np.sum((y_pred - y_true) ** 2, axis=(1, 2))

    rng = np.random.default_rng(8)
    y_true, y_pred = rng.normal(size=(2, 3, 2, 2))
    upstream = rng.uniform(0.5, 1.5, 3)
    expected = numerical_gradient(lambda p: np.sum(upstream * total(y_true, p)), y_pred)
    np.testing.assert_allclose(losses.gradient(total, y_true, y_pred, upstream), expected, 1e-8)


def test_without_autograd_a_loss_says_how_to_give_it_a_gradient(without_autograd):
    def plain(y_true, y_pred):
        return np.sum(y_pred, axis=-1)

    with pytest.raises(TypeError, match=r"plain has no derivative.*autograd.*with_gradient"):
        losses.gradient(plain, np.zeros((2, 1)), np.zeros((2, 1)))


def test_a_loss_that_does_not_come_from_the_predictions_says_so():
    with pytest.raises(
        TypeError, match=r"the loss <lambda> returned a plain array of shape \(2,\)"
    ):
        losses.gradient(lambda t, p: np.zeros(len(p)), np.zeros((2, 1)), np.zeros((2, 1)))


def test_a_gradient_of_the_wrong_shape_raises():
    @losses.with_gradient(lambda y_true, y_pred: np.zeros(3))
    def wrong(y_true, y_pred):
        return np.zeros(len(y_pred))

    with pytest.raises(ValueError, match=r"shape of y_pred, \(2, 1\), got \(3,\)"):
        losses.gradient(wrong, np.zeros((2, 1)), np.zeros((2, 1)))


def test_an_upstream_of_the_wrong_shape_raises():
    with pytest.raises(ValueError, match="upstream"):
        losses.gradient(losses.mse, np.zeros((2, 1)), np.zeros((2, 1)), np.ones(3))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {SPARSE}))
@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 1), (3, 3), (4, 3, 1)])
def test_other_shapes_raise(name, shape):
    with pytest.raises(ValueError, match=f"{name} compares"):
        losses.get(name)(np.zeros(shape), np.ones((4, 3)))


def test_class_numbers_for_one_hot_loss_hint_at_the_sparse_one():
    with pytest.raises(ValueError, match=r"sparse_categorical_crossentropy.*to_categorical"):
        losses.categorical_crossentropy(np.zeros((4, 1)), np.ones((4, 3)))


def test_a_missing_last_axis_is_hinted_at():
    with pytest.raises(ValueError, match=r"y\[\.\.\., None\]"):
        losses.mse(np.zeros(4), np.ones((4, 1)))


def test_one_hot_targets_for_sparse_loss_hint_at_the_other():
    with pytest.raises(ValueError, match="go with categorical_crossentropy"):
        losses.sparse_categorical_crossentropy(np.zeros((4, 3)), np.ones((4, 3)))


@pytest.mark.parametrize("wrong", [3, -1, 0.5, np.nan, np.inf])
def test_numbers_that_are_no_class_raise(wrong):
    y_true = np.array([[0.0], [wrong]])
    with pytest.raises(ValueError, match="integers from 0 to 2"):
        losses.sparse_categorical_crossentropy(y_true, np.full((2, 3), 1 / 3))


@pytest.mark.parametrize(
    "y_true", [np.zeros((2, 3), complex), np.array([["a"]]), np.ma.zeros((2, 3))]
)
def test_what_is_no_number_raises(y_true):
    with pytest.raises(TypeError, match="y_true of mean_squared_error"):
        losses.mse(y_true, np.zeros((2, 3)))


def test_a_single_number_raises():
    with pytest.raises(ValueError, match="last axis"):
        losses.mse(1.0, 2.0)


def test_check_target_takes_unknown_sizes():
    losses.check_target(losses.mse, (None, None, 3), (None, 5, 3))
    losses.check_target(losses.sparse_categorical_crossentropy, (None, 5, 1), (32, None, 3))
    losses.check_target(losses.sparse_categorical_crossentropy, (32, 5), (32, None, 3))
    with pytest.raises(ValueError, match=r"\(32, 4\) for outputs of shape \(None, 3\)"):
        losses.check_target(losses.hinge, (32, 4), (None, 3))


def test_check_target_leaves_losses_of_ones_own_alone():
    def mean_squared_error(y_true, y_pred):
        return np.zeros(len(y_pred))

    losses.check_target(mean_squared_error, (1, 2, 3), (4,))
