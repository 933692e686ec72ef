"""Conv1D: numbers are in test_tensorflow_merge_conv_pool_norm.py; here the rest."""

import numpy as np
import pytest

from cylstm import activations, layers, regularizers
from cylstm.layers import Conv1D
from cylstm.testing import gradient_error


def test_arguments_read_as_in_tensorflow():
    layer = Conv1D(4, 3, strides=[2], padding="Same", activation="relu")
    assert (layer.kernel_size, layer.strides, layer.dilation_rate) == ((3,), (2,), (1,))
    assert layer.padding == "same"
    config = layer.get_config()
    assert config["kernel_initializer"]["class_name"] == "VarianceScaling"
    assert config["activation"] == "relu"
    assert layers.Convolution1D is Conv1D


def test_a_window_of_one_is_a_dense_layer():
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer = Conv1D(4, 1, activation="tanh", dtype="float64")
    outputs = layer(x)
    np.testing.assert_allclose(outputs, np.tanh(x @ layer.kernel.value[0]), rtol=1e-12)


@pytest.mark.parametrize("dilation", [1, 2])
def test_causal_outputs_do_not_see_what_is_later(dilation):
    x = np.random.default_rng(0).normal(size=(1, 8, 2))
    layer = Conv1D(3, 3, padding="causal", dilation_rate=dilation, dtype="float64")
    before = layer(x)
    x[:, 5:] += 1
    np.testing.assert_array_equal(layer(x)[:, :5], before[:, :5])
    assert np.all(layer(x)[:, 5:] != before[:, 5:])


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (5, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("kernel_size", [1, 2, 3])
def test_gradients(padding, strides, dilation, kernel_size):
    layer = Conv1D(
        4, kernel_size, strides, padding, dilation, "tanh", bias_initializer="ones", dtype="float64"
    )
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    assert gradient_error(layer, x) < 1e-9
    assert layer.compute_output_shape((2, 7, 3)) == layer(x).shape


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_sequences_shorter_than_the_window(padding):
    layer = Conv1D(2, 5, padding=padding, dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 2, 3))
    assert gradient_error(layer, x) < 1e-9
    assert layer(np.ones((2, 0, 3))).shape == (2, 0, 2)
    assert layer(np.ones((0, 4, 3))).shape == (0, 4, 2)


@pytest.mark.parametrize(("dilation", "timesteps"), [(1, 2), (2, 4)])
def test_a_valid_window_must_fit(dilation, timesteps):
    layer = Conv1D(2, 3, dilation_rate=dilation)
    with pytest.raises(ValueError, match=rf"windows of {timesteps + 1} .* input of {timesteps}:"):
        layer(np.ones((1, timesteps, 3)))
    assert layer(np.ones((1, timesteps + 1, 3))).shape == (1, 1, 2)


def test_symbolic_shapes():
    assert Conv1D(2, 3, 2).compute_output_shape((None, None, 3)) == (None, None, 2)
    assert Conv1D(2, 3, 2).compute_output_shape((None, 8, None)) == (None, 3, 2)
    with pytest.raises(ValueError, match="last axis of its input to be known"):
        Conv1D(2, 3).build((None, 8, None))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"filters": 0}, ValueError, "filters must be a positive integer, got 0"),
        ({"filters": 2.5}, TypeError, "filters must be a positive integer, got 2.5"),
        ({"kernel_size": (3, 3)}, ValueError, r"kernel_size must be one .* got \(3, 3\)"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be a positive integer"),
        ({"strides": "2"}, TypeError, "strides must be a positive integer"),
        ({"padding": "full"}, ValueError, "'valid', 'same', 'causal', got 'full'"),
        ({"padding": None}, ValueError, "padding must be one of"),
        ({"strides": 2, "dilation_rate": 2}, ValueError, "cannot both be greater than 1"),
        ({"activation": "tan"}, ValueError, "tanh"),
        ({"data_format": "channels_first"}, ValueError, "data_format='channels_first' is not"),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Conv1D(**{"filters": 2, "kernel_size": 3, **arguments})


def test_inputs_that_are_refused():
    layer = Conv1D(2, 3)
    with pytest.raises(ValueError, match="expected 3 axes"):
        layer(np.ones((2, 8)))
    layer(np.ones((2, 8, 3)))
    with pytest.raises(ValueError, match="size 3 along axis 2"):
        layer(np.ones((2, 8, 4)))
    with pytest.raises(TypeError, match="does not support masking"):
        layer(np.ones((2, 8, 3)), mask=np.ones((2, 8), bool))


def test_regularizers_and_constraints_are_the_weights():
    layer = Conv1D(
        2, 3, kernel_regularizer="l2", bias_constraint="non_neg", activity_regularizer="l1",
        dtype="float64",
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    y = layer(x)
    penalty = regularizers.get("l2")(layer.kernel.value)
    assert layer.losses == pytest.approx([penalty, 0.01 * np.abs(y).sum()])
    assert layer.bias.constraint is layer.bias_constraint


def test_an_activation_of_ones_own(request):
    def cube(z):
        return z**3

    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer = Conv1D(2, 3, activation=cube, dtype="float64")
    assert layer(x).shape == (2, 3, 2)
    assert gradient_error(layer, x) < 1e-9
    request.getfixturevalue("without_autograd")
    with pytest.raises(TypeError, match="has no derivative"):
        layer.vjp(x)
    layer.activation = activations.with_derivative(lambda z: 3 * z**2)(cube)
    assert gradient_error(layer, x) < 1e-9


def test_a_pullback_keeps_the_weights_it_was_made_with():
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer = Conv1D(2, 3, dtype="float64")
    y, pullback = layer.vjp(x)
    before = pullback(y)
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    np.testing.assert_array_equal(pullback(y).inputs, before.inputs)
    np.testing.assert_array_equal(pullback(y).weights[0], before.weights[0])


@pytest.mark.parametrize("activation", ["relu", "softmax", np.tanh])
@pytest.mark.parametrize(("padding", "strides", "dilation"), [("same", 2, 1), ("causal", 1, 3)])
def test_prepared_computes_the_layer(padding, strides, dilation, activation):
    layer = Conv1D(
        5, 3, strides=strides, padding=padding, dilation_rate=dilation, activation=activation
    )
    layer.build((None, None, 4))
    rng = np.random.default_rng(0)
    compute = layer.prepared(2, 7)
    count = layer.compute_output_shape((2, 7, 4))[1]
    wide = np.zeros((2, count + 1, 5), "float32")
    into = layer.prepared(2, 7, out=wide[:, 1:])
    for _ in range(2):
        x = rng.normal(size=(2, 7, 4)).astype("float32")
        np.testing.assert_array_equal(compute(x), layer(x))
        np.testing.assert_array_equal(into(x.astype("float64")), layer(x))
        np.testing.assert_array_equal(wide[:, 1:], layer(x))
        np.testing.assert_array_equal(wide[:, 0], 0)
    expected = layer(x)
    layer.set_weights([0 * w for w in layer.get_weights()])
    np.testing.assert_array_equal(compute(x), expected)


def test_prepared_refuses_what_does_not_fit():
    layer = Conv1D(5, 3)
    with pytest.raises(ValueError, match="is not built"):
        layer.prepared(1, 7)
    layer.build((None, None, 4))
    with pytest.raises(ValueError, match="windows of 3 timesteps, got an input of 2"):
        layer.prepared(1, 2)
    with pytest.raises(ValueError, match="timesteps must be"):
        layer.prepared(1, 0)
    wide = np.zeros((1, 10, 5), "float32")
    for out in (wide[:, :4], np.zeros((1, 5, 5)), wide[:, ::2]):
        with pytest.raises(ValueError, match=r"out must have the shape \(1, 5, 5\) and the dtype"):
            layer.prepared(1, 7, out=out)
    compute = layer.prepared(1, 7)
    with pytest.raises(ValueError, match=r"\(1, 7, 4\), got|expected"):
        compute(np.zeros((1, 6, 3)))
