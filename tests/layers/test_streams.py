"""Streams against the layer on the whole sequence."""

import copy
import pickle

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.layers import streams


class Stepwise(cylstm.LSTM):
    """With a step of its own, which Python runs."""

    def step(self, inputs, states):
        output, states = super().step(inputs, states)
        return output, states


def make(batch=1, cls=cylstm.LSTM, units=9, input_dim=7, dtype="float32", **options):
    layer = cls(units, dtype=dtype, return_sequences=True, **options)
    layer.build((None, None, input_dim))
    rng = np.random.default_rng(1)
    layer.set_weights([0.5 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer, rng.normal(size=(batch, 60, input_dim)).astype(dtype)


def stack(stream, x):
    return np.stack([stream(x[:, t]).copy() for t in range(x.shape[1])], axis=1)


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("recurrent_activation", ["hard_sigmoid", "sigmoid", "softplus"])
def test_a_stream_has_the_bits_of_the_whole_sequence(batch, dtype, recurrent_activation):
    layer, x = make(batch, dtype=dtype, recurrent_activation=recurrent_activation)
    stream = layer.stream(batch)
    assert isinstance(stream, streams.Stream)
    np.testing.assert_array_equal(stack(stream, x), layer(x))
    layer.return_state = True
    h, c = layer(x)[1:]
    np.testing.assert_array_equal(stream.state[0], h)
    np.testing.assert_array_equal(stream.state[1], c)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Stepwise, {}),
        (cylstm.LSTM, {"activation": "softmax"}),
        (cylstm.LSTM, {"recurrent_activation": lambda x: np.clip(x, 0, 1)}),
    ],
)
def test_a_stream_of_what_the_fused_kernels_do_not_run(cls, options):
    layer, x = make(2, cls, **options)
    expected = layer(x)
    stream = layer.stream(2)
    half = stack(stream, x[:, :30])
    np.testing.assert_allclose(half, expected[:, :30], rtol=1e-5, atol=1e-6)
    twin = stream.copy()
    for one in (stream, twin):
        rest = stack(one, x[:, 30:])
        np.testing.assert_allclose(rest, expected[:, 30:], rtol=1e-5, atol=1e-6)
    stream.reset()
    np.testing.assert_array_equal(stack(stream, x[:, :30]), half)
    of_python = isinstance(stream, streams.LayerStream)
    message = r"shape \(batch_size, input_dim\) " + ("with batch_size = 2" if of_python else "= ")
    with pytest.raises(ValueError, match=message):
        stream(x[0, 0])


def test_the_weights_are_those_of_the_beginning():
    for cls in (cylstm.LSTM, Stepwise):
        layer, x = make(cls=cls)
        expected, stream = layer(x), layer.stream()
        layer.set_weights([np.zeros(w.shape) for w in layer.get_weights()])
        np.testing.assert_allclose(stack(stream, x), expected, rtol=1e-5, atol=1e-6)


def test_state_reset_and_copy():
    layer, x = make(3)
    stream = layer.stream(3)
    whole = stack(stream, x)
    state = stream.state
    stream.reset()
    np.testing.assert_array_equal(stream.state, np.zeros((2, 3, 9)))
    np.testing.assert_array_equal(stack(stream, x[:, :20]), whole[:, :20])
    twins = [stream.copy(), copy.deepcopy(stream), copy.copy(stream)]
    middle = stream.state
    for twin in twins:
        np.testing.assert_array_equal(stack(twin, x[:, 20:]), whole[:, 20:])
    np.testing.assert_array_equal(stream.state, middle)
    stream.state = [s.tolist() for s in state]
    np.testing.assert_array_equal(stream.state, state)
    given = stream.state
    given[0][:] = 100
    np.testing.assert_array_equal(stream.state, state)


def test_the_output_cannot_be_written_to():
    layer, x = make()
    output = layer.stream()(x[:, 0])
    with pytest.raises(ValueError, match="read-only"):
        output[:] = 0


def test_frames_of_other_types_are_cast():
    layer, x = make(2)
    expected = layer.stream(2)(x[:, 0]).copy()
    strided = np.repeat(x[:, 0], 2, axis=1)[:, ::2]
    others = [x[:, 0].tolist(), x[:, 0].astype("float64"), x[:, 0].astype(">f4"), strided]
    for frame in others:
        np.testing.assert_array_equal(layer.stream(2)(frame), expected)


@pytest.mark.parametrize("frame", [np.zeros(7), np.zeros((1, 7)), np.zeros((2, 6)), 3.0, []])
def test_frames_that_do_not_fit(frame):
    layer, x = make(2)
    stream = layer.stream(2)
    stream(x[:, 0])
    before = stream.state
    with pytest.raises(ValueError, match=r"\(batch_size, input_dim\) = \(2, 7\)"):
        stream(frame)
    with pytest.raises(TypeError):
        stream(np.full((2, 7), "x"))
    np.testing.assert_array_equal(stream.state, before)


@pytest.mark.parametrize("state", [[], [np.zeros((2, 9))], [np.zeros((2, 9)), np.zeros((2, 8))]])
def test_states_that_do_not_fit(state):
    layer, _ = make()
    stream = layer.stream(2)
    with pytest.raises(ValueError, match="state|State"):
        stream.state = state


def test_layers_that_cannot_stream():
    with pytest.raises(ValueError, match="not built"):
        cylstm.LSTM(3).stream()
    layer, _ = make(go_backwards=True)
    with pytest.raises(ValueError, match="backwards"):
        layer.stream()
    layer, _ = make()
    for wrong in (0, 1.5, None):
        with pytest.raises((ValueError, TypeError), match="batch_size must be a positive integer"):
            layer.stream(wrong)


def test_a_stream_is_not_pickled():
    with pytest.raises(TypeError, match="belong to one process"):
        pickle.dumps(make()[0].stream())


# Models -------------------------------------------------------------------------------------------


def randomized(model):
    rng = np.random.default_rng(2)
    model.set_weights([np.abs(0.5 * rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


MODELS = {
    "stack": lambda: [
        layers.LSTM(6, return_sequences=True, input_shape=(None, 7)),
        layers.Dropout(0.5),
        layers.LSTM(5, return_sequences=True, recurrent_activation="sigmoid"),
        layers.Dense(4, activation="softmax"),
    ],
    "last output": lambda: [
        layers.Dense(6, activation="relu", input_shape=(None, 7)),
        layers.LSTM(5),
        layers.BatchNormalization(),
        layers.Dense(3, activation=lambda x: x**2, use_bias=False),
    ],
    "framewise": lambda: [
        layers.TimeDistributed(layers.Dense(6), input_shape=(None, 7)),
        layers.TimeDistributed(layers.Activation("tanh")),
        layers.LayerNormalization(),
        layers.SpatialDropout1D(0.2),
        layers.GaussianNoise(1.0),
        layers.LeakyReLU(),
        layers.LSTM(5, return_sequences=True, activation="softmax"),
        layers.Activation("sigmoid"),
    ],
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_streams(name, batch):
    model = randomized(cylstm.Sequential(MODELS[name]()))
    x = np.random.default_rng(1).normal(size=(batch, 8, 7)).astype("float32")
    stream = model.stream(batch)
    for t in range(8):
        expected = model.predict(x[:, : t + 1])
        last = expected if expected.ndim == 2 else expected[:, -1]
        np.testing.assert_allclose(stream(x[:, t]), last, rtol=1e-5, atol=1e-6)


def test_a_model_within_a_model_and_embeddings_stream():
    inner = cylstm.Sequential([layers.LSTM(5, return_sequences=True, input_shape=(None, 3))])
    tokens = cylstm.Input((None,), dtype="int32")
    outputs = layers.Dense(2)(inner(layers.Embedding(10, 3)(tokens)))
    model = randomized(cylstm.Model(tokens, outputs))
    x = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    stream = model.stream(2)
    frames = [stream(x[:, t]).copy() for t in range(5)]
    np.testing.assert_allclose(np.stack(frames, 1), model.predict(x), rtol=1e-5, atol=1e-6)


def test_state_reset_and_copy_of_a_model():
    model = randomized(cylstm.Sequential(MODELS["stack"]()))
    x = np.random.default_rng(1).normal(size=(2, 8, 7)).astype("float32")
    stream = model.stream(2)
    whole = stack(stream, x)
    assert [s.shape for s in stream.state] == [(2, 6), (2, 6), (2, 5), (2, 5)]
    stream.reset()
    np.testing.assert_array_equal(stack(stream, x[:, :4]), whole[:, :4])
    twin, state = stream.copy(), stream.state
    for one in (stream, twin):
        np.testing.assert_array_equal(stack(one, x[:, 4:]), whole[:, 4:])
    stream.state = state
    np.testing.assert_array_equal(stack(stream, x[:, 4:]), whole[:, 4:])
    model.set_weights([0 * w for w in model.get_weights()])
    stream.state = state
    np.testing.assert_array_equal(stack(stream, x[:, 4:]), whole[:, 4:])
    with pytest.raises(ValueError, match="A stream has 4 states, got 1"):
        stream.state = [np.zeros((2, 6))]


def test_frames_that_do_not_fit_a_dense_layer():
    layer = layers.Dense(2)
    layer.build((None, 3))
    stream = layer.stream(2)
    with pytest.raises(ValueError, match=r"\(batch_size, input_dim\) = \(2, 3\), got \(3,\)"):
        stream(np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        stream(np.zeros((2, 3)))[:] = 0


def test_models_that_cannot_stream():
    with pytest.raises(ValueError, match="not built"):
        cylstm.Sequential([layers.LSTM(3)]).stream()
    for layer in (
        layers.Flatten(), layers.Masking(), layers.RepeatVector(2), layers.Conv1D(2, 3),
        layers.BatchNormalization(axis=1), layers.Embedding(4, 2, mask_zero=True),
        layers.Bidirectional(layers.LSTM(2)),
    ):  # fmt: skip
        shape = {"RepeatVector": (4,), "Embedding": (5,)}.get(type(layer).__name__, (5, 4))
        model = cylstm.Sequential([layers.Activation("linear", input_shape=shape), layer])
        with pytest.raises(ValueError, match=f"{layer.name} .*more than one timestep"):
            model.stream()
    x, z = cylstm.Input((None, 3)), cylstm.Input((None, 3))
    branches = layers.add([layers.LSTM(2)(x), layers.LSTM(2)(x)])
    states = layers.LSTM(2, return_state=True)(x)
    two = layers.LSTM(2, return_sequences=True)(x)
    for model in (
        cylstm.Model(x, branches),
        cylstm.Model(x, states),
        cylstm.Model([x, z], layers.add([x, z])),
        cylstm.Model(x, [two, layers.LSTM(2)(two)]),
    ):
        with pytest.raises(ValueError, match="not a chain of layers"):
            model.stream()


def test_a_layer_of_your_own_streams_if_it_says_so():
    class Half(layers.Layer):
        framewise = True

        def call(self, inputs):
            return inputs / 2

    half = Half()
    half(np.zeros((1, 2, 3)))
    assert half.stream()(np.ones((1, 3))).tolist() == [[0.5, 0.5, 0.5]]
