"""Layers of the user's own, written as `call`: Keras 2's way, and what it leads to here."""

import subprocess
import sys

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential, initializers
from cylstm import backend as K
from cylstm.layers import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Gradients,
    InputSpec,
    Lambda,
    Layer,
    Masking,
    TimeDistributed,
)
from cylstm.layers.layer import as_list
from cylstm.models import load_model
from cylstm.testing import gradient_error

RNG = np.random.default_rng(10)
X, Z = RNG.normal(size=(3, 5, 4)), RNG.normal(size=(3, 5, 2))
F8 = {"dtype": "float64"}


class MyDense(Layer):
    """As in the documentation of Keras 2."""

    def __init__(self, output_dim, **kwargs):
        self.output_dim = output_dim
        super(MyDense, self).__init__(**kwargs)  # noqa: UP008

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.output_dim),
            initializer="uniform",
            regularizer=lambda w: 0.1 * K.sum(w**2),
            trainable=True,
        )
        self.bias = self.add_weight(name="b", shape=(self.output_dim,), initializer="normal")
        super(MyDense, self).build(input_shape)  # noqa: UP008

    def call(self, x):
        return K.tanh(K.dot(x, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)


class OldDense(Layer):
    """As scripts for Keras 1 make weights."""

    def __init__(self, **kwargs):
        self.init = initializers.get("glorot_uniform")
        super().__init__(**kwargs)

    def build(self, input_shape):
        assert len(input_shape) == 3
        self.W = K.variable(self.init((input_shape[-1], 1)), dtype=self.dtype)
        self.trainable_weights = [self.W]

    def call(self, x, mask=None):
        return x * K.sigmoid(K.dot(x, self.W))


class Gate(Layer):
    """Two inputs, two outputs."""

    def build(self, input_shape):
        wide, narrow = input_shape
        self.W = self.add_weight(name="W", shape=(narrow[-1], wide[-1]), initializer="normal")

    def call(self, inputs):
        x, z = inputs
        gate = K.sigmoid(K.dot(z, self.W))
        return [x * gate, K.sum(gate, axis=-1)]

    def compute_output_shape(self, input_shape):
        return [input_shape[0], input_shape[0][:-1]]


class Noisy(Layer):
    def call(self, x, training=None):
        return K.in_train_phase(lambda: 2 * x, x, training=training)


class Numbers(Layer):
    """With NumPy alone, and in place."""

    def build(self, input_shape):
        self.scale = self.add_weight("scale", (1,), initializer="ones")

    def call(self, x):
        x *= self.scale
        return np.maximum(x, 0.1 * x) + np.einsum("btf,f->bt", x, np.arange(4.0))[..., None]


def test_every_built_in_layer_has_a_derivative_of_its_own():
    from cylstm.layers import serialization
    from cylstm.layers._own_code import is_written_as_call

    followed = {n for n, cls in serialization.LAYERS.items() if is_written_as_call(cls)}
    cells_and_inputs = {"InputLayer", "LSTMCell", "StackedRNNCells"}  # of which none is run
    assert followed - cells_and_inputs == {"Lambda"}
    assert is_written_as_call(MyDense)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (lambda **k: MyDense(3, **k), X),
        (OldDense, X),
        (Gate, [X, Z]),
        (Numbers, X),
        (lambda **k: TimeDistributed(MyDense(3, **k)), X),
        (lambda **k: TimeDistributed(TimeDistributed(MyDense(3, **k))), X[None]),
    ],
)
def test_gradients_of_inputs_and_weights(layer, inputs):
    assert gradient_error(layer(**F8), inputs) < 1e-6
    narrow = layer()
    before = [np.copy(x) for x in inputs]
    outputs, pullback = narrow.vjp(inputs)
    gradients = pullback(outputs)
    for group in (outputs, gradients.inputs, gradients.weights):
        assert all(y.dtype == "float32" for y in as_list(group))
    assert gradients.weights
    assert all(g.any() for g in gradients.weights)
    for x, was in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, was)
    plain = narrow(inputs)
    for a, b in zip(as_list(plain), as_list(outputs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_in_a_model_it_trains_and_is_saved(tmp_path):
    x, z = Input((5, 4)), Input((5, 2))
    gated, weights = Gate()([x, z])
    y = Dense(1)(MyDense(3)(LSTM(3, return_sequences=True)(gated)))
    model = Model([x, z], [y, weights])
    assert y.shape == (None, 5, 1)
    assert weights.shape == (None, 5)
    model.compile("adam", "mse")
    history = model.fit([X, Z], [X[..., :1], X[..., 0]], epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert len(model.losses) == 1
    model.save(tmp_path / "model.safetensors")
    twin = load_model(
        tmp_path / "model.safetensors", {"Gate": Gate, "MyDense": MyDense}, compile=False
    )
    for a, b in zip(twin.predict([X, Z]), model.predict([X, Z]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_through_a_model():
    x, z = Input((5, 4), **F8), Input((5, 2), **F8)
    gated, _ = Gate(**F8)([x, z])
    model = Model([x, z], LSTM(2, **F8)(OldDense(**F8)(gated)))
    assert gradient_error(model, [X, Z]) < 1e-6


def test_the_derivative_by_hand_wins():
    class ByHand(Layer):
        def call(self, x):
            return 2 * x

        def vjp(self, inputs, **kwargs):
            return self(inputs), lambda dy: Gradients(100 * dy, None, [])

    assert ByHand().vjp(X)[1](np.ones(X.shape)).inputs.max() == 100


def test_a_subclass_of_a_built_in_layer_that_changes_call():
    class Squashed(Dense):
        def call(self, inputs, mask=None, training=None):
            return K.tanh(2 * super().call(inputs, mask, training))

    assert gradient_error(Squashed(3, activation="sigmoid", **F8), X) < 1e-6


def test_the_phase_of_training():
    layer = Noisy(**F8)
    np.testing.assert_array_equal(layer(X), X)
    np.testing.assert_array_equal(layer(X, training=True), 2 * X)
    np.testing.assert_array_equal(layer.vjp(X, training=True)[0], 2 * X)
    model = Sequential([Noisy(input_shape=(5, 4), **F8)])
    np.testing.assert_array_equal(model.predict(X), X)
    model.compile("sgd", lambda t, p: K.mean(p))
    assert model.train_on_batch(X, X) == pytest.approx(2 * X.mean())
    assert model.test_on_batch(X, X) == pytest.approx(X.mean())


def test_arguments_of_call_by_position():
    class Scaled(Layer):
        def call(self, inputs, factor, shift=0.0):
            return inputs * factor + shift

    y, pullback = Scaled(**F8).vjp(X, 3.0, shift=1.0)
    np.testing.assert_array_equal(y, Scaled(**F8)(X, 3.0, shift=1.0))
    np.testing.assert_array_equal(pullback(np.ones_like(y)).inputs, np.full_like(X, 3.0))


def test_masks_reach_call_and_pass():
    class Count(Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, x, mask=None):
            return x if mask is None else x * K.cast(K.expand_dims(mask), self.dtype)

        def compute_mask(self, inputs, input_mask=None):
            return input_mask

    x = Input((5, 4), **F8)
    y = Count(**F8)(Masking(**F8)(x))
    assert y.mask is not None
    model = Model(x, LSTM(2, **F8)(y))
    inputs = X.copy()
    inputs[1, 2:] = 0
    reference = LSTM(2, **F8)
    reference(inputs)
    reference.set_weights(model.get_weights())
    mask = np.any(inputs, axis=-1)
    np.testing.assert_allclose(model.predict(inputs), reference(inputs, mask=mask), rtol=1e-12)


# ---------------------------------------------------------------------- layers within layers


class Block(Layer):
    """Holds layers; as in Keras 2.0.9 their weights are not its own unless it says so."""

    def __init__(self, inner, tracked=False, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.tracked = inner, tracked

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.inner.built = True
        if self.tracked:
            self.trainable_weights = self.inner.trainable_weights
        self.factor = self.add_weight(name="factor", shape=(1,), initializer="ones")

    def call(self, x):
        return self.inner(x * self.factor) * self.factor

    def compute_output_shape(self, input_shape):
        return self.inner.compute_output_shape(input_shape)


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(
    "inner",
    [
        lambda: Dense(3, activation="tanh", **F8),
        lambda: MyDense(3, **F8),
        lambda: LSTM(3, recurrent_activation="sigmoid", **F8),
        lambda: Bidirectional(LSTM(2, recurrent_activation="sigmoid", **F8)),
        lambda: TimeDistributed(Dense(3, **F8)),
        lambda: Lambda(lambda x: x**2, **F8),
        lambda: Flatten(**F8),
    ],
)
def test_layers_called_within_call(inner, tracked):
    layer = Block(inner(), tracked, **F8)
    assert gradient_error(layer, X) < 1e-6
    assert len(layer.trainable_weights) == 1 + tracked * len(layer.inner.trainable_weights)


def test_dropout_within_call_follows_the_phase():
    layer = Block(Dropout(0.5, **F8), **F8)
    np.testing.assert_array_equal(layer(X), X)
    assert (layer(X, training=True) == 0).any()
    outputs, pullback = layer.vjp(X, training=True)
    kept = outputs != 0
    assert not kept.all()
    np.testing.assert_allclose(pullback(np.ones(X.shape)).inputs, 2.0 * kept)


def test_a_model_within_call():
    inner = Sequential([Dense(3, activation="tanh", input_shape=(4,), **F8), Dense(2, **F8)])

    class Around(Layer):
        def call(self, x):
            return inner(x[:, 0]) * inner(x[:, 1])

        def compute_output_shape(self, shape):
            return shape[0], 2

    assert gradient_error(Around(**F8), X) < 1e-6


def test_integers_within_call():
    class Named(Layer):
        def build(self, input_shape):
            self.table = Embedding(6, 3, **F8)

        def call(self, x):
            return self.table(K.argmax(x, axis=-1)) * K.max(x, axis=-1, keepdims=True)

        def compute_output_shape(self, shape):
            return (*shape[:-1], 3)

    assert gradient_error(Named(**F8), X) < 1e-6


# ---------------------------------------------------------------------- mistakes


def test_a_shape_that_is_not_the_declared_one():
    class Shorter(Layer):
        def call(self, x):
            return x[..., :2]

    assert Shorter()(X).shape == (3, 5, 2)  # nothing was declared
    x = Input((5, 4))
    model = Model(x, Shorter(name="s")(x))
    with pytest.raises(ValueError, match=r"s returned \(3, 5, 2\) for .*\(3, 5, 4\).*define comp"):
        model.predict(X)


def test_several_inputs_need_a_shape():
    class Both(Layer):
        def call(self, inputs):
            return inputs[0] + inputs[1]

    np.testing.assert_allclose(Both(**F8)([X, X]), 2 * X)
    with pytest.raises(ValueError, match=r"takes 2 inputs.*define compute_output_shape"):
        Both()([Input((3,)), Input((3,))])


def test_losses_of_what_call_computes_are_refused_by_name():
    class Penalised(Layer):
        def call(self, x):
            self.add_loss(K.sum(x))
            return x

    for run in (Penalised(), Penalised().vjp):
        with pytest.raises(TypeError, match="add_loss does not take what `call`.*activity"):
            run(X)


def test_weights_are_variables():
    layer = Layer()
    with pytest.raises(TypeError, match=r"variables, got .*cylstm.backend.variable"):
        layer.trainable_weights = [np.ones(3)]
    fixed = K.variable([1.0])
    layer.non_trainable_weights = [fixed]
    assert layer.weights == layer.non_trainable_weights == [fixed]
    layer.trainable_weights = [fixed]
    assert layer.trainable_weights == layer.weights == [fixed]


def test_an_input_spec_in_no_list():
    class Picky(Layer):
        def build(self, input_shape):
            self.input_spec = InputSpec(ndim=3)

        def call(self, x):
            return x

    layer = Picky()
    layer(X)
    with pytest.raises(ValueError, match="3 axes"):
        layer(X[0])


def test_a_list_for_a_shape():
    class Listed(Layer):
        def call(self, x):
            return K.sum(x, axis=1)

        def compute_output_shape(self, shape):
            return [shape[0], shape[2]]

    x = Input((5, 4))
    y = Listed()(x)
    assert y.shape == (None, 4)
    assert Model(x, y).predict(X).shape == (3, 4)


def test_shapes_as_scripts_read_them():
    seen = []

    class Reads(Layer):
        def call(self, x):
            seen.append((K.int_shape(x), x.get_shape().as_list(), x._keras_shape, x.shape[1]))
            return x

    Reads()(X)
    Reads().vjp(X)
    assert seen == [((3, 5, 4), [3, 5, 4], (3, 5, 4), 5)] * 2
    x = Input((5, 4))
    assert x.get_shape().as_list() == x.shape.as_list() == [None, 5, 4]
    assert x._keras_shape == K.int_shape(x) == (None, 5, 4)
    assert int(x.shape[1]) == 5


@pytest.mark.parametrize("change", ["frozen", "unfrozen"])
def test_frozen_weights(change):
    layer = MyDense(3, **F8)
    layer.trainable = change == "unfrozen"
    _, pullback = layer.vjp(X)
    assert len(pullback(np.ones((3, 5, 3))).weights) == (2 if change == "unfrozen" else 0)


def test_without_autograd_it_predicts():
    program = """
import sys
sys.modules["autograd"] = None
import numpy as np
from cylstm import Sequential, backend as K
from cylstm.layers import Dense, Layer

class Scale(Layer):
    def build(self, input_shape):
        self.w = self.add_weight(name="w", shape=(input_shape[-1],), initializer="ones")
    def call(self, x):
        return K.softmax(x * self.w)

model = Sequential([Dense(2, input_shape=(3,)), Scale()])
model.compile("sgd", "mse")
assert model.predict(np.ones((4, 3))).shape == (4, 2)
assert model.evaluate(np.ones((4, 3)), np.ones((4, 2)), verbose=0) > 0
try:
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
except TypeError as error:
    assert "layer scale_1 has no derivative" in str(error), error
    assert "cylstm[autograd]" in str(error) and "vjp" in str(error), error
else:
    raise AssertionError("trained")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert cylstm.layers.Layer is Layer
