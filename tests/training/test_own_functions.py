"""Losses, metrics, regularizers and constraints of the user's own, in models that train."""

import subprocess
import sys

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential, losses, metrics
from cylstm import backend as K
from cylstm.layers import LSTM, Dense, Lambda, Masking, TimeDistributed
from cylstm.testing import numerical_gradient

RNG = np.random.default_rng(10)
X, Y = RNG.normal(size=(6, 4, 3)), RNG.normal(size=(6, 2))
SEQUENCES = RNG.normal(size=(6, 4, 2))


def squared(y_true, y_pred):
    return K.mean(K.square(y_pred - y_true), axis=-1)


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, y_true, y_pred):
        return self.factor * squared(y_true, y_pred)


def one_number(y_true, y_pred):
    return K.sum(K.abs(y_true - y_pred) ** 3)


def in_place(y_true, y_pred):
    y_pred -= y_true
    return np.mean(y_pred * y_pred, axis=-1)


def of_built_ins(y_true, y_pred):
    return losses.mse(y_true, y_pred) + 0.5 * losses.logcosh(y_true, y_pred)


def weighted_classes(y_true, y_pred):
    return -K.sum(K.constant([1.0, 3.0]) * y_true * K.log(K.softmax(y_pred)), axis=-1)


OWN = [squared, Scaled(3.0), one_number, in_place, of_built_ins, weighted_classes]
OWN += [
    lambda t, p: np.log(np.cosh(p - t)),
    lambda t, p: losses.binary_crossentropy(t, K.sigmoid(p)),
]


def made(timesteps=False, dtype="float64", masked=False):
    layers = [Masking(input_shape=(4, 3), dtype=dtype)] if masked else []
    layers += [
        LSTM(3, return_sequences=timesteps, input_shape=(4, 3), dtype=dtype),
        Dense(2, dtype=dtype),
    ]
    cylstm.utils.set_random_seed(1)
    return Sequential(layers)


def worst_step(model, inputs, targets, weights=None):
    """How far one step of gradient descent is from the finite differences of the loss."""
    before = model.get_weights()

    def value(k):
        def at(w):
            model.set_weights([*before[:k], w, *before[k + 1 :]])
            return float(np.ravel(model.test_on_batch(inputs, targets, sample_weight=weights))[0])

        return at

    slopes = [numerical_gradient(value(k), w) for k, w in enumerate(before)]
    model.set_weights(before)
    model.train_on_batch(inputs, targets, sample_weight=weights)
    after = model.get_weights()
    return max(np.abs(b - a - s).max() for b, a, s in zip(before, after, slopes, strict=True))


@pytest.mark.parametrize("loss", OWN)
@pytest.mark.parametrize("timesteps", [False, True])
def test_a_loss_of_ones_own_trains(loss, timesteps):
    model = made(timesteps)
    model.compile(cylstm.optimizers.SGD(lr=1.0), loss)
    targets = SEQUENCES if timesteps else Y
    assert worst_step(model, X, targets) < 1e-6
    float32 = made(timesteps, "float32")
    float32.compile("sgd", loss, metrics=[loss])
    values = float32.train_on_batch(X, targets)
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert {w.dtype.name for w in float32.get_weights()} == {"float32"}


@pytest.mark.parametrize("loss", [squared, one_number, in_place])
def test_with_sample_weights(loss):
    model = made()
    model.compile(cylstm.optimizers.SGD(lr=1.0), loss)
    assert worst_step(model, X, Y, np.array([1.0, 0.0, 2.0, 0.5, 0.0, 1.0])) < 1e-6


@pytest.mark.parametrize("loss", [squared, in_place])
def test_with_masks_and_weighted_timesteps(loss):
    inputs = X.copy()
    inputs[:3, 2:] = 0
    model = made(timesteps=True, masked=True)
    model.compile(cylstm.optimizers.SGD(lr=1.0), loss, sample_weight_mode="temporal")
    assert worst_step(model, inputs, SEQUENCES) < 1e-6
    assert worst_step(model, inputs, SEQUENCES, RNG.uniform(0.5, 2, (6, 4))) < 1e-6


def test_the_numbers_are_those_of_the_built_in_loss():
    found = []
    for loss in ("mse", squared):
        model = made()
        model.compile("adam", loss)
        found.append(model.fit(X, Y, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


def test_several_outputs():
    x = Input((4, 3), dtype="float64")
    states = LSTM(3, dtype="float64")(x)
    model = Model(
        x, [Dense(2, dtype="float64", name="a")(states), Dense(1, dtype="float64")(states)]
    )
    model.compile(
        cylstm.optimizers.SGD(lr=1.0),
        [squared, lambda t, p: K.abs(t - p)],
        loss_weights=[1.0, 0.3],
        metrics={"a": [squared, "mae"]},
        weighted_metrics=[one_number],
    )
    assert worst_step(model, X, [Y, Y[:, :1]]) < 1e-6
    values = dict(
        zip(model.metrics_names, model.evaluate(X, [Y, Y[:, :1]], verbose=0), strict=True)
    )
    assert values["a_squared"] == pytest.approx(values["a_loss"])


def test_a_loss_may_read_the_weights_that_it_trains():
    model = made()
    kernel = model.layers[-1].kernel
    assert kernel.shape == (3, 2)
    model.compile(
        cylstm.optimizers.SGD(lr=1.0),
        lambda t, p: squared(t, p) + 0.3 * K.sum(K.square(kernel)) * K.mean(p),
    )
    assert worst_step(model, X, Y) < 1e-6
    model.layers[-1].trainable = False
    model.compile("sgd", lambda t, p: squared(t, p) + K.sum(K.square(kernel)))
    before = kernel.numpy()
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(kernel.value, before)


def test_variables_that_are_not_of_the_model_are_constants():
    factor = K.variable(2.0)
    model = made()
    model.compile("sgd", lambda t, p: factor * squared(t, p), metrics=[squared])
    loss, metric = model.train_on_batch(X, Y)
    assert loss == pytest.approx(2 * metric)
    K.set_value(factor, 5.0)
    loss, metric = model.test_on_batch(X, Y)
    assert loss == pytest.approx(5 * metric)
    assert K.get_value(factor) == 5


def test_the_gradient_of_its_own_wins():
    loss = losses.with_gradient(lambda t, p: np.zeros_like(p))(lambda t, p: squared(t, p))
    model = made()
    model.compile("sgd", loss)
    before = model.get_weights()
    model.train_on_batch(X, Y)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "loss",
    [
        lambda t, p: K.sum(K.cast(K.argmax(p), "float32")),
        lambda t, p: K.mean(K.equal(K.round(p), t)),
        lambda t, p: K.mean(t),
        lambda t, p: K.stop_gradient(K.mean(p)),
    ],
    ids=["argmax", "equal", "targets", "stopped"],
)
def test_a_loss_that_nothing_changes_does_not_train(loss):
    """In Keras such a loss ends in an error, too; its gradient would be zero for ever."""
    model = Sequential([Dense(2, input_shape=(3,))])
    model.compile("sgd", loss)
    x, y = np.ones((4, 3)), np.ones((4, 2))
    before = model.get_weights()
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    with pytest.raises(TypeError, match="has no gradient: nothing that it was given changes"):
        model.fit(x, y, epochs=1, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_targets_have_no_gradient_in_built_in_losses():
    model = made()
    model.compile("sgd", lambda t, p: losses.mse(p, t))
    with pytest.raises(
        TypeError, match="mean_squared_error as its targets, which have no gradient"
    ):
        model.train_on_batch(X, Y)


def test_metrics_with_the_backend_and_with_numpy():
    def f1(y_true, y_pred):
        hits = K.sum(K.round(K.clip(y_true * y_pred, 0, 1)))
        return 2 * hits / (K.sum(K.round(K.clip(y_pred, 0, 1))) + K.sum(y_true) + K.epsilon())

    def spoils(y_true, y_pred):
        assert type(y_pred) is np.ndarray
        y_pred += 1
        y_true += 1
        return y_pred - y_true

    def accuracy_of_two(y_true, y_pred):
        return metrics.top_k_categorical_accuracy(y_true, y_pred, k=1)

    model = made()
    model.add(Dense(2, activation="sigmoid", dtype="float64"))
    model.compile("sgd", "mse", metrics=[spoils, f1, "mse", accuracy_of_two])
    targets = np.eye(2)[RNG.integers(0, 2, 6)]
    before = targets.copy()
    found = model.evaluate(X, targets, verbose=0)
    outputs = model.predict(X)
    hits = np.sum(np.round(targets * outputs))
    assert found[0] == pytest.approx(found[3])
    assert found[2] == pytest.approx(2 * hits / (np.round(outputs).sum() + 6 + 1e-7))
    assert found[4] == np.mean(outputs.argmax(1) == targets.argmax(1))
    np.testing.assert_array_equal(targets, before)


# ---------------------------------------------------------------------- penalties, projections


def l1(w):
    return 0.01 * K.sum(K.abs(w))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_regularizer": l1},
        {"bias_regularizer": lambda w: K.sum(K.square(w - 1))},
        {"activity_regularizer": lambda y: 0.1 * K.sum(y**4)},
        {"kernel_regularizer": l1, "activity_regularizer": lambda y: 0.1 * np.sum(np.tanh(y) ** 2)},
    ],
)
def test_regularizers_of_ones_own_train(options):
    x = Input((4, 3), dtype="float64")
    hidden = LSTM(3, return_sequences=True, dtype="float64", **options)(x)
    model = Model(x, TimeDistributed(Dense(2, dtype="float64", **options))(hidden))
    model.compile(cylstm.optimizers.SGD(lr=1.0), squared)
    plain = made(timesteps=True)
    plain.compile("sgd", squared)
    plain.set_weights(model.get_weights())
    assert model.test_on_batch(X, SEQUENCES) > plain.test_on_batch(X, SEQUENCES)
    assert worst_step(model, X, SEQUENCES) < 1e-6


def test_a_regularizer_of_ones_own_is_that_of_the_name():
    found = []
    for regularizer in (l1, cylstm.regularizers.l1(0.01)):
        cylstm.utils.set_random_seed(1)
        model = Sequential([Dense(2, input_shape=(2,), kernel_regularizer=regularizer)])
        model.compile("sgd", "mse")
        found.append(model.fit(Y, Y, epochs=3, verbose=0).history["loss"])
        assert len(model.losses) == 1
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_constraints_and_initializers_of_ones_own():
    def not_negative(w):
        w *= K.cast(w >= 0, "float32")
        return w

    model = Sequential(
        [
            Dense(
                5,
                input_shape=(2,),
                kernel_constraint=not_negative,
                kernel_initializer=lambda shape, dtype=None: K.random_normal(shape, dtype=dtype),
                bias_constraint=lambda w: w * K.cast(w >= 0, "float32"),
            ),
            Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    model.train_on_batch(Y, Y)
    kernel, bias = model.get_weights()[:2]
    assert kernel.dtype == bias.dtype == "float32"
    assert kernel.min() == 0 < kernel.max()
    assert bias.min() >= 0


def test_without_autograd_such_a_model_predicts():
    program = """
import sys
sys.modules["autograd"] = None
import numpy as np
from cylstm import Sequential, backend as K
from cylstm.layers import Dense
for options, loss in (
    ({}, lambda t, p: K.mean(K.square(t - p))),
    ({"activation": lambda x: x * K.sigmoid(x)}, "mse"),
    ({"kernel_regularizer": lambda w: K.sum(K.abs(w))}, "mse"),
    ({"activity_regularizer": lambda w: K.sum(K.abs(w))}, "mse"),
):
    model = Sequential([Dense(2, input_shape=(3,), **options)])
    model.compile("sgd", loss, metrics=[lambda t, p: K.mean(K.abs(t - p))])
    x, y = np.ones((4, 3)), np.ones((4, 2))
    assert model.predict(x).shape == (4, 2)
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    before = model.get_weights()
    try:
        model.fit(x, y, verbose=0)
    except TypeError as error:
        assert "autograd" in str(error) and "cylstm[autograd]" in str(error), error
    else:
        raise AssertionError("trained")
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.mark.parametrize("shared", [False, True])
def test_a_loss_may_call_layers(shared):
    """Features of the targets and of the outputs, by a layer that is trained along, or fixed."""
    model = made()
    feature = model.layers[-1] if shared else Dense(3, activation="tanh", dtype="float64")
    model.add(Dense(3, dtype="float64"))
    targets = RNG.normal(size=(6, 3))
    feature(targets)
    losses_of = {True: squared, False: losses.mse}
    model.compile(
        cylstm.optimizers.SGD(lr=1.0), lambda t, p: losses_of[shared](feature(t), feature(p))
    )
    before = feature.get_weights()
    assert worst_step(model, X, targets) < 1e-6
    assert shared is not np.array_equal(feature.get_weights()[0], before[0])


@pytest.mark.parametrize("wrap", [lambda layer: layer, TimeDistributed])
def test_weights_of_another_layer_are_trained_through_a_lambda(wrap):
    """Weights that are tied: outputs are products with the matrix that the inputs came through."""
    first = Dense(4, input_shape=(4, 3), dtype="float64")
    last = Lambda(lambda x: K.dot(K.tanh(x), K.transpose(first.kernel)), dtype="float64")
    model = Sequential([first, wrap(last), Lambda(lambda x: first(x), dtype="float64")])
    model.compile(cylstm.optimizers.SGD(lr=1.0), "mse")
    assert worst_step(model, X, RNG.normal(size=(6, 4, 4))) < 1e-6
