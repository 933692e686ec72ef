"""Attention as Keras 2 scripts write it: of layers, as a layer, Luong's and Bahdanau's."""

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model
from cylstm import backend as K
from cylstm.layers import (
    LSTM,
    Activation,
    Concatenate,
    Dense,
    Flatten,
    Lambda,
    Layer,
    Masking,
    Permute,
    RepeatVector,
    TimeDistributed,
    multiply,
)
from cylstm.testing import gradient_error

RNG = np.random.default_rng(10)
X = RNG.normal(size=(3, 5, 4))
PADDED = X.copy()
PADDED[0, 3:] = PADDED[2, 1:] = 0
UNITS = 3


def lstm(dtype):
    return LSTM(UNITS, return_sequences=True, recurrent_activation="sigmoid", dtype=dtype)


def of_layers(dtype):
    """Scores by a Dense layer, repeated for every unit."""
    x = Input((5, 4), dtype=dtype)
    states = lstm(dtype)(x)
    scores = Flatten(dtype=dtype)(Dense(1, activation="tanh", dtype=dtype)(states))
    weights = RepeatVector(UNITS, dtype=dtype)(Activation("softmax", dtype=dtype)(scores))
    weighted = multiply([states, Permute([2, 1], dtype=dtype)(weights)])
    pooled = Lambda(lambda xin: K.sum(xin, axis=-2), output_shape=(UNITS,), dtype=dtype)(weighted)
    return Model(x, Dense(2, activation="sigmoid", dtype=dtype)(pooled))


class WithContext(Layer):
    """A weight for each timestep: how near a projection of it is to a learned context."""

    def __init__(self, bias=True, **kwargs):
        self.supports_masking = True
        self.bias = bias
        super().__init__(**kwargs)

    def build(self, input_shape):
        size = input_shape[-1]
        self.W = self.add_weight(name=f"{self.name}_W", shape=(size, size), initializer="normal")
        if self.bias:
            self.b = self.add_weight(name=f"{self.name}_b", shape=(size,), initializer="zero")
        self.u = self.add_weight((size,), initializer="normal", name=f"{self.name}_u")
        super().build(input_shape)

    def compute_mask(self, inputs, mask=None):
        return None

    def call(self, x, mask=None):
        hidden = K.dot(x, self.W)
        if self.bias:
            hidden += self.b
        scores = K.squeeze(K.dot(K.tanh(hidden), K.expand_dims(self.u)), axis=-1)
        weights = K.exp(scores)
        if mask is not None:
            weights *= K.cast(mask, self.dtype)
        weights /= K.cast(K.sum(weights, axis=1, keepdims=True) + K.epsilon(), self.dtype)
        return K.sum(x * K.expand_dims(weights), axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[-1]


def with_context(dtype):
    x = Input((5, 4), dtype=dtype)
    states = lstm(dtype)(Masking(dtype=dtype)(x))
    return Model(x, Dense(2, dtype=dtype)(WithContext(dtype=dtype)(states)))


class Luong(Layer):
    """Scores are products of queries, keys and a matrix; the context beside the query."""

    def build(self, input_shape):
        queries, keys = input_shape
        shape = (queries[-1], keys[-1])
        self.W = self.add_weight(name="W", shape=shape, initializer="glorot_uniform")

    def call(self, inputs, mask=None):
        queries, keys = inputs
        scores = K.batch_dot(K.dot(queries, self.W), keys, axes=[2, 2])
        if mask is not None and mask[1] is not None:
            scores -= 1e9 * (1 - K.expand_dims(K.cast(mask[1], self.dtype), 1))
        weights = K.softmax(scores)
        return K.concatenate([K.batch_dot(weights, keys), queries])

    def compute_output_shape(self, input_shape):
        queries, keys = input_shape
        return (*queries[:2], queries[2] + keys[2])

    def compute_mask(self, inputs, mask=None):
        return None


class Bahdanau(Luong):
    """Scores are a layer of tanh over sums of projections."""

    def build(self, input_shape):
        for name, (*_, size) in zip(("W", "U"), input_shape, strict=True):
            setattr(self, name, self.add_weight(name=name, shape=(size, 6), initializer="normal"))
        self.v = self.add_weight(name="v", shape=(6, 1), initializer="normal")

    def call(self, inputs, mask=None):
        queries, keys = inputs
        hidden = K.expand_dims(K.dot(queries, self.W), 2) + K.expand_dims(K.dot(keys, self.U), 1)
        scores = K.dot(K.tanh(hidden), self.v)[..., 0]
        if mask is not None and mask[1] is not None:
            scores = K.switch(mask[1][:, None], scores, -1e9 * K.ones_like(scores))
        weights = K.softmax(scores)
        return K.concatenate([K.batch_dot(weights, keys), queries])


def encoder_decoder(attention):
    def make(dtype):
        x, previous = Input((5, 4), dtype=dtype), Input((2, 4), dtype=dtype)
        keys = lstm(dtype)(Masking(dtype=dtype)(x))
        queries = lstm(dtype)(previous)
        both = attention(dtype=dtype, name="attention")([queries, keys])
        return Model([x, previous], TimeDistributed(Dense(2, dtype=dtype))(both))

    return make


def by_lambdas(dtype):
    """Luong's, of Lambdas on lists."""
    x, previous = Input((5, 4), dtype=dtype), Input((2, 4), dtype=dtype)
    keys, queries = lstm(dtype)(x), lstm(dtype)(previous)
    weights = Lambda(lambda qk: K.softmax(K.batch_dot(qk[0], qk[1], axes=[2, 2])), dtype=dtype)
    context = Lambda(lambda ak: K.batch_dot(ak[0], ak[1]), dtype=dtype)
    both = Concatenate(dtype=dtype)([context([weights([queries, keys]), keys]), queries])
    return Model([x, previous], Dense(2, dtype=dtype)(both))


MODELS = {
    "of layers": (of_layers, X, (3, 2)),
    "with context": (with_context, X, (3, 2)),
    "luong": (encoder_decoder(Luong), [X, X[:, :2]], (3, 2, 2)),
    "bahdanau": (encoder_decoder(Bahdanau), [X, X[:, :2]], (3, 2, 2)),
    "by lambdas": (by_lambdas, [X, X[:, :2]], (3, 2, 2)),
}


@pytest.fixture(params=MODELS)
def case(request):
    cylstm.utils.set_random_seed(1)
    return MODELS[request.param]


def test_gradients_are_those_of_finite_differences(case):
    make, inputs, _ = case
    assert gradient_error(make("float64"), inputs) < 1e-6


def test_it_trains_in_float32(case):
    make, inputs, shape = case
    model = make("float32")
    assert model.output_shape == (None, *shape[1:])
    model.compile("adam", "mse")
    history = model.fit(inputs, np.ones(shape), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert model.predict(inputs).dtype == "float32"
    assert {w.dtype.name for w in model.get_weights()} == {"float32"}


@pytest.mark.parametrize("attention", [Luong, Bahdanau, WithContext])
def test_masked_steps_are_not_looked_at(attention):
    layer = attention(dtype="float64")
    queries, mask = [] if attention is WithContext else [X[:, :2]], PADDED.any(axis=-1)

    def called(keys, mask, rows=slice(None)):
        if not queries:
            return layer(keys[rows], mask=mask[rows])
        return layer([queries[0][rows], keys[rows]], mask=[None, mask[rows]])

    expected = called(X, mask)
    np.testing.assert_allclose(called(np.where(mask[..., None], X, 9.0), mask), expected)
    np.testing.assert_allclose(called(X[:, :1], mask[:, :1], slice(2, 3)), expected[2:], rtol=1e-6)


@pytest.mark.parametrize("attention", [Luong, Bahdanau])
def test_a_model_hands_the_mask_over(attention):
    model = encoder_decoder(attention)("float64")
    layer = model.get_layer("attention")
    queries, keys = Model(model.inputs, layer.input).predict([PADDED, X[:, :2]])
    expected = layer([queries, keys], mask=[None, PADDED.any(axis=-1)])
    found = Model(model.inputs, layer.output).predict([PADDED, X[:, :2]])
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert gradient_error(layer, [queries, keys], mask=[None, PADDED.any(axis=-1)]) < 1e-6


def test_the_weights_by_hand():
    layer = WithContext(dtype="float64")
    layer(X)
    w, b, u = (RNG.normal(size=v.shape) for v in layer.weights)
    layer.set_weights([w, b, u])
    scores = np.exp(np.tanh(X @ w + b) @ u)
    expected = np.einsum("bt,btf->bf", scores / scores.sum(axis=1, keepdims=True), X)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-6)
    assert gradient_error(layer, X, mask=PADDED.any(axis=-1)) < 1e-6
