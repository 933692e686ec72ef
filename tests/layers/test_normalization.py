"""Normalization: numbers are in test_tensorflow_merge_conv_pool_norm.py; here the rest."""

import numpy as np
import pytest

from cylstm.layers import BatchNormalization, Input, LayerNormalization
from cylstm.testing import gradient_error


def some(*shape):
    return 2 * np.random.default_rng(0).normal(size=shape) + 3


def names(variables):
    return [v.name.split("/")[-1] for v in variables]


def test_weights_are_in_the_order_of_tensorflow():
    layer = BatchNormalization()
    layer.build((None, None, 3))
    assert names(layer.weights) == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert names(layer.trainable_weights) == ["gamma", "beta"]
    layer.trainable = False
    assert names(layer.weights) == ["gamma", "beta", "moving_mean", "moving_variance"]
    layer = LayerNormalization(axis=[1, 2])
    layer.build((None, 5, 3))
    assert [(v.name.split("/")[-1], v.shape) for v in layer.weights] == [
        ("gamma", (5, 3)),
        ("beta", (5, 3)),
    ]


def randomized(layer, shape):
    """The layer built for this shape, with weights that are neither zeros nor ones."""
    layer.build(shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((5, 3), {}),
        ((2, 4, 3), {"axis": 1}),
        ((2, 4, 3), {"axis": 0}),
        ((2, 4, 3), {"scale": False}),
        ((2, 4, 3), {"center": False, "epsilon": 0.1}),
        ((2, 4, 3), {"center": False, "scale": False}),
        ((2, 3, 2, 3), {}),
        ((2, 3, 2, 2, 2), {"axis": 2}),
    ],
)
def test_gradients_of_batch_normalization(training, shape, arguments):
    layer = randomized(BatchNormalization(dtype="float64", **arguments), shape)
    assert gradient_error(layer, some(*shape), training=training) < 1e-8


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((2, 4), {}),
        ((2, 4, 3), {"axis": 1, "scale": False}),
        ((2, 4, 3), {"axis": [1, 2]}),
        ((2, 4, 3), {"axis": (2, 1), "center": False}),
        ((2, 4, 3), {"axis": 0, "center": False, "scale": False}),
        ((2, 3, 2, 3), {"axis": [-1, 1], "epsilon": 0.1}),
    ],
)
def test_gradients_of_layer_normalization(shape, arguments):
    layer = randomized(LayerNormalization(dtype="float64", **arguments), shape)
    assert gradient_error(layer, some(*shape)) < 1e-8


def test_training_moves_the_averages_and_nothing_else_does():
    x = some(50, 4, 2)
    layer = BatchNormalization(momentum=0.5, dtype="float64")
    layer(x)
    layer.vjp(x)
    assert [w.tolist() for w in layer.get_weights()[2:]] == [[0, 0], [1, 1]]
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.value, mean / 2)
    np.testing.assert_allclose(layer.moving_variance.value, (1 + variance) / 2)
    _, pullback = layer.vjp(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.value, mean * 0.75)
    before = layer.get_weights()
    pullback(x)
    layer(np.ones((0, 4, 2)), training=True)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_symbolic_calls_note_their_updates():
    x, layer = Input((3,)), BatchNormalization()
    layer(x)
    assert layer.updates == [layer.moving_mean, layer.moving_variance]
    assert layer.get_updates_for(x) == layer.updates
    assert layer.get_updates_for(None) == []
    layer(Input((3,)), training=False)
    assert len(layer.updates) == 2


def test_prediction_uses_the_averages():
    x = some(50, 2)
    layer = BatchNormalization(momentum=0, epsilon=1e-9, dtype="float64")
    in_training = layer(x, training=True)
    np.testing.assert_allclose(layer(x), in_training, atol=1e-12)
    np.testing.assert_allclose(layer(x[:1]), in_training[:1], atol=1e-12)


def test_a_frozen_layer_is_still_in_training_as_in_tensorflow_1():
    x = some(50, 2)
    layer = BatchNormalization(trainable=False, dtype="float64")
    outputs, pullback = layer.vjp(x, training=True)
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(layer.moving_mean.value, 0.01 * x.mean(0))
    assert pullback(outputs).weights == []


def test_regularized_weights_take_the_plain_path_on_four_axes():
    x = some(2, 3, 2, 4)
    fused, plain = BatchNormalization(momentum=0), BatchNormalization(
        momentum=0, gamma_regularizer="l2"
    )  # fmt: skip
    fused(x, training=True)
    plain(x, training=True)
    np.testing.assert_allclose(plain.moving_variance.value, x.var((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(fused.moving_variance.value, x.var((0, 1, 2), ddof=1), rtol=1e-5)


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization])
def test_masks_pass_through(cls):
    mask = np.array([[True, False], [True, True]])
    layer = cls()
    assert layer.compute_mask(some(2, 2, 3), mask) is mask
    np.testing.assert_array_equal(layer(some(2, 2, 3), mask=mask), layer(some(2, 2, 3)))
    assert layer.compute_output_shape((None, 2, 3)) == (None, 2, 3)


def test_layer_normalization_of_each_sample():
    y = LayerNormalization(axis=[1, 2], epsilon=0, dtype="float64")(some(4, 5, 3))
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((1, 2)), 1, rtol=1e-12)


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"axis": 1.5}, TypeError, "axis must be an integer, got 1.5"),
        ({"axis": None}, TypeError, "axis must be an integer, got None"),
        ({"epsilon": -1}, ValueError, "epsilon must be .* at least 0, got -1"),
        ({"epsilon": "small"}, TypeError, "epsilon must be"),
        ({"beta_initializer": "two"}, ValueError, "two"),
        ({"renorm": True}, (ValueError, TypeError), "renorm"),
    ],
)
def test_arguments_that_are_refused(cls, arguments, error, message):
    with pytest.raises(error, match=message):
        cls(**arguments)


def test_further_arguments_that_are_refused():
    with pytest.raises(ValueError, match="momentum must be .* at most 1, got 1.5"):
        BatchNormalization(momentum=1.5)
    with pytest.raises(TypeError, match="axis must be an integer"):
        BatchNormalization(axis=[1, 2])
    with pytest.raises(ValueError, match="at least one, got none"):
        LayerNormalization(axis=[])


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization])
@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (3, (2, 4, 3), "axis 3, out of range"),
        (-4, (2, 4, 3), "axis -4, out of range"),
        (-1, (2, 4, None), "size of axis -1"),
        (-1, (2, 4, 0), "size of axis -1"),
    ],
)
def test_shapes_that_are_refused(cls, axis, shape, message):
    layer = cls(axis=axis)
    with pytest.raises(ValueError, match=message):
        layer.build(shape)
    assert layer.weights == []
    assert not layer.built


def test_an_axis_given_twice():
    with pytest.raises(ValueError, match="axis twice"):
        LayerNormalization(axis=[1, -1])(some(2, 3))


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization])
def test_other_inputs_than_it_was_built_for(cls):
    layer = cls()
    layer(some(2, 4, 3))
    assert layer(some(5, 7, 3)).shape == (5, 7, 3)
    with pytest.raises(ValueError, match="size 3 along axis 2"):
        layer(some(2, 4, 4))
    with pytest.raises(ValueError, match="expected 3 axes"):
        layer(some(2, 3))
