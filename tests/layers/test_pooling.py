"""Pooling: numbers are in test_tensorflow_merge_conv_pool_norm.py; here the rest."""

import numpy as np
import pytest

from cylstm import layers
from cylstm.layers import (
    AveragePooling1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from cylstm.testing import gradient_error

WINDOWED = [MaxPooling1D, AveragePooling1D]
GLOBAL = [GlobalMaxPooling1D, GlobalAveragePooling1D]


def distinct(*shape):
    """Numbers that differ by far more than the step of the finite differences."""
    values = np.random.default_rng(0).permutation(np.prod(shape))
    return values.reshape(shape) / 10


def test_aliases():
    assert layers.MaxPool1D is MaxPooling1D
    assert layers.AvgPool1D is AveragePooling1D
    assert layers.GlobalMaxPool1D is GlobalMaxPooling1D
    assert layers.GlobalAvgPool1D is GlobalAveragePooling1D


@pytest.mark.parametrize("cls", WINDOWED)
def test_arguments_read_as_in_tensorflow(cls):
    layer = cls([3], padding="SAME")
    assert (layer.pool_size, layer.strides, layer.padding) == ((3,), (3,), "same")
    assert cls().get_config()["strides"] in ((2,), [2])


@pytest.mark.parametrize("cls", WINDOWED)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool_size", "strides"), [(1, 1), (2, 2), (3, 1), (2, 3), (4, 2), (7, 7)])
def test_gradients(cls, padding, pool_size, strides):
    layer = cls(pool_size, strides, padding, dtype="float64")
    assert gradient_error(layer, distinct(2, 7, 3)) < 1e-9


@pytest.mark.parametrize("cls", WINDOWED)
@pytest.mark.parametrize("pool_size", [8, 9, 20])
def test_gradients_of_windows_longer_than_the_sequence(cls, pool_size):
    # where TensorFlow 1.4's own gradient of the mean is wrong
    layer = cls(pool_size, 2, "same", dtype="float64")
    assert gradient_error(layer, distinct(2, 7, 3)) < 1e-9


@pytest.mark.parametrize("cls", GLOBAL)
def test_gradients_of_global_pooling(cls):
    assert gradient_error(cls(dtype="float64"), distinct(2, 7, 3)) < 1e-9


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (MaxPooling1D(3, 1), [0.0, 2.0, 1.0, 0.0, 0.0]),
        (MaxPooling1D(3, 1, "same"), [0.0, 3.0, 1.0, 0.0, 1.0]),
        (GlobalMaxPooling1D(), [0.0, 1 / 3, 1 / 3, 0.0, 1 / 3]),
    ],
)
def test_gradients_at_ties_are_those_of_tensorflow(layer, expected):
    x = np.array([1.0, 2.0, 2.0, 1.0, 2.0]).reshape(1, 5, 1)
    outputs, pullback = layer.vjp(x)
    gradient = pullback(np.ones_like(outputs)).inputs
    np.testing.assert_allclose(gradient.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("cls", WINDOWED)
def test_values_outside_do_not_count(cls):
    x = np.full((1, 5, 1), -3.0)
    assert cls(4, 2, "same")(x).ravel().tolist() == [-3.0] * 3


def test_the_mean_knows_how_many_timesteps_a_window_has():
    x = np.arange(1.0, 6.0).reshape(1, 5, 1)
    layer = AveragePooling1D(3, 1, "same")
    assert layer(x).ravel().tolist() == [1.5, 2.0, 3.0, 4.0, 4.5]


def test_nan_is_passed_on():
    x = np.array([[[1.0], [np.nan], [2.0], [3.0]]])
    for cls in (*WINDOWED, *GLOBAL):
        outputs, pullback = cls().vjp(x)
        assert np.isnan(outputs.ravel()[0])
        pullback(np.ones_like(outputs))
    assert MaxPooling1D()(x)[0, 1, 0] == 3


@pytest.mark.parametrize("cls", WINDOWED)
def test_shapes(cls):
    assert cls().compute_output_shape((None, None, 3)) == (None, None, 3)
    assert cls(3, 2).compute_output_shape((4, 8, None)) == (4, 3, None)
    assert cls(3, 2, "same").compute_output_shape((4, 8, 3)) == (4, 4, 3)
    assert cls(3, padding="same")(np.ones((2, 0, 3))).shape == (2, 0, 3)
    assert cls()(np.ones((0, 4, 3))).shape == (0, 2, 3)


@pytest.mark.parametrize("cls", WINDOWED)
@pytest.mark.parametrize("timesteps", [0, 1, 2])
def test_a_valid_window_must_fit(cls, timesteps):
    layer = cls(3)
    with pytest.raises(ValueError, match=f"windows of 3 timesteps, got an input of {timesteps}:"):
        layer(np.ones((1, timesteps, 3)))
    with pytest.raises(ValueError, match="give longer sequences"):
        layer.compute_output_shape((None, timesteps, 3))


@pytest.mark.parametrize("cls", GLOBAL)
def test_no_timesteps(cls):
    assert cls().compute_output_shape((None, None, 3)) == (None, 3)
    with pytest.raises(ValueError, match=r"at least one timestep, got the shape \(2, 0, 3\)"):
        cls()(np.ones((2, 0, 3)))


@pytest.mark.parametrize("cls", WINDOWED)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pool_size": 0}, ValueError, "pool_size must be a positive integer, got 0"),
        ({"pool_size": (2, 2)}, ValueError, "pool_size must be one"),
        ({"strides": -1}, ValueError, "strides must be a positive integer, got -1"),
        ({"strides": 1.5}, TypeError, "strides must be a positive integer, got 1.5"),
        ({"padding": "causal"}, ValueError, "'valid', 'same', got 'causal'"),
        ({"size": 2}, TypeError, "no argument 'size'"),
    ],
)
def test_arguments_that_are_refused(cls, arguments, error, message):
    with pytest.raises(error, match=message):
        cls(**arguments)


@pytest.mark.parametrize("cls", [*WINDOWED, *GLOBAL])
def test_inputs_that_are_refused(cls):
    with pytest.raises(ValueError, match="expected 3 axes"):
        cls()(np.ones((2, 8)))
    with pytest.raises(ValueError, match="expected 3 axes"):
        cls().compute_output_shape((2, 8))
    with pytest.raises(TypeError, match="does not support masking"):
        cls()(np.ones((2, 8, 3)), mask=np.ones((2, 8), bool))
