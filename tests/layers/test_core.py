import numpy as np
import pytest

from cylstm import Sequential, activations, initializers
from cylstm import backend as K
from cylstm.layers import Activation, ActivityRegularization, Dense, Masking
from cylstm.testing import gradient_error

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))


def test_dense_is_a_product_a_sum_and_an_activation():
    layer = Dense(2, activation="tanh", bias_initializer="glorot_uniform", dtype="float64")
    x = RNG.normal(size=(3, 5, 4))
    y = layer(x)
    np.testing.assert_allclose(
        y, np.tanh(np.einsum("bti,iu->btu", x, layer.kernel.value) + layer.bias.value), rtol=1e-12
    )
    assert [w.name for w in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]
    assert [w.shape for w in layer.weights] == [(4, 2), (2,)]


def test_dense_builds_from_a_partly_unknown_shape():
    layer = Dense(2)
    layer.build((None, None, 4))
    assert layer(np.ones((1, 3, 4))).shape == (1, 3, 2)
    assert layer(np.ones((5, 4))).shape == (5, 2)
    with pytest.raises(ValueError, match=rf"{layer.name}.*size 4 along axis -1"):
        layer(np.ones((5, 3)))
    with pytest.raises(ValueError, match="last axis"):
        Dense(2).build((None, None))
    with pytest.raises(ValueError, match="input_dim"):
        Dense(2)(np.ones((5, 0)))


def test_dense_takes_input_dim():
    assert Dense(2, input_dim=3).batch_input_shape == (None, 3)
    with pytest.raises(TypeError, match="input_dim"):
        Dense(2, input_dim=3, input_shape=(3,))


def test_dense_without_bias():
    layer = Dense(2, use_bias=False)
    layer(X)
    assert layer.bias is None
    assert len(layer.weights) == 1


def test_dense_passes_its_arguments_to_the_weights():
    layer = Dense(
        2, kernel_initializer="ones", bias_initializer=initializers.Constant(3.0),
        kernel_regularizer="l2", bias_constraint="non_neg", trainable=False,
    )  # fmt: skip
    layer(X)
    assert layer.kernel.value.tolist() == [[1, 1]] * 4
    assert layer.bias.value.tolist() == [3, 3]
    assert layer.losses == pytest.approx([0.08])
    assert layer.kernel.constraint is None
    assert layer.bias.constraint is not None


@pytest.mark.parametrize(
    ("units", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (None, TypeError)]
)
def test_units_that_dense_refuses(units, error):
    with pytest.raises(error, match="units must be a positive integer"):
        Dense(units)


def test_frozen_weights_of_dense_get_no_gradient():
    layer = Dense(2, dtype="float64")
    layer(X)
    layer.bias.trainable = False
    outputs, pullback = layer.vjp(X)
    (d_kernel,) = pullback(np.ones_like(outputs)).weights
    np.testing.assert_allclose(d_kernel, X.T @ np.ones((3, 2)))


def test_activity_of_dense_is_penalised():
    layer = Dense(2, activity_regularizer="l1", dtype="float64")
    outputs, _ = layer.vjp(X)
    assert layer.losses == pytest.approx([0.01 * np.abs(outputs).sum()])
    assert layer.get_config()["activity_regularizer"]["class_name"] == "L1L2"


@pytest.mark.parametrize("make", [Activation, lambda f, **kwargs: Dense(3, f, **kwargs)])
def test_activations_of_ones_own(make):
    @activations.with_derivative(lambda x: 3 * x**2)
    def cube(x):
        return x**3

    assert gradient_error(make(cube, dtype="float64"), X) < 1e-6
    assert gradient_error(make(lambda x: x * K.sigmoid(x), dtype="float64"), X) < 1e-6
    assert make(lambda x: x * K.sigmoid(x)).vjp(X)[0].dtype == "float32"


@pytest.mark.parametrize("make", [Activation, lambda f, **kwargs: Dense(3, f, **kwargs)])
def test_without_autograd_such_activations_predict(make, without_autograd):
    layer = make(lambda x: 2 * x, dtype="float64")
    layer(X)
    with pytest.raises(TypeError, match="no derivative.*autograd"):
        layer.vjp(X)


def test_activation_configs():
    assert Activation(None).get_config()["activation"] == "linear"
    assert Activation("tanh").get_config()["activation"] == "tanh"
    with pytest.raises(ValueError, match="tanhh"):
        Activation("tanhh")


def test_activity_regularization_adds_to_the_loss():
    layer = ActivityRegularization(0.5, 0.25, dtype="float64")
    assert layer(X) is X
    penalty = 0.5 * np.abs(X).sum() + 0.25 * (X**2).sum()
    assert layer.losses == pytest.approx([penalty])
    model = Sequential([Dense(3, input_shape=(4,)), ActivityRegularization(l1=0.5)])
    model.compile("sgd", "mse")
    outputs = model.predict(X)
    expected = 0.5 * np.abs(outputs).sum()
    assert model.test_on_batch(X, outputs) == pytest.approx(expected, rel=1e-5)
    before = np.abs(outputs).sum()
    for _ in range(5):
        model.train_on_batch(X, model.predict(X))
    assert np.abs(model.predict(X)).sum() < before


def test_what_activity_regularization_refuses():
    for arguments in ({"l1": np.nan}, {"l2": "much"}, {"l1": None}):
        with pytest.raises((TypeError, ValueError), match="must be a finite number"):
            ActivityRegularization(**arguments)
    with pytest.raises(TypeError, match="activity_regularizer.*l1 and l2"):
        ActivityRegularization(activity_regularizer="l1")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masking_compares_in_the_dtype_of_the_layer(dtype):
    layer = Masking(0.1, dtype=dtype)
    x = np.array([[[0.1, 0.1], [0.1, 0.2]]])
    assert layer.compute_mask(x).tolist() == [[False, True]]
    np.testing.assert_array_equal(layer(x), np.array([[[0, 0], [0.1, 0.2]]], dtype))


def test_masking_makes_its_mask_anew():
    x = np.ones((1, 2, 3))
    assert Masking().compute_mask(x, mask=np.zeros((1, 2))).tolist() == [[True, True]]
    assert Masking()(x, mask=np.zeros((1, 2), bool)).tolist() == x.tolist()


@pytest.mark.parametrize("value", [None, "zero", np.nan])
def test_mask_values_that_masking_refuses(value):
    with pytest.raises((TypeError, ValueError), match="mask_value must be a finite number"):
        Masking(value)


@pytest.mark.parametrize(
    "make", [lambda: Dense(2), lambda: Activation("tanh"), ActivityRegularization]
)
def test_masks_pass_through_as_they_are(make):
    mask = np.ones((3, 4), bool)
    assert make().compute_mask(np.ones((3, 4, 2)), mask) is mask
