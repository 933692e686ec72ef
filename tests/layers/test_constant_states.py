"""Arrays as initial states of symbolic calls: constants of the model."""

import copy
import json
import pickle

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model
from cylstm.layers import LSTM, Bidirectional, Dense

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 2)).astype("f")
STATES = [0.5 * RNG.normal(size=(4, 3)).astype("f") for _ in range(4)]


def with_constants(cls=LSTM, batch=None, how="argument", **options):
    """A layer on an input with constant states, and the model of it."""
    x = Input(batch_shape=(batch, 5, 2))
    layer = LSTM(3, **options) if cls is LSTM else Bidirectional(LSTM(3, **options))
    states = STATES[:2] if cls is LSTM else STATES
    if how == "lists":
        states = [state.tolist() for state in states]
    y = layer([x, *states]) if how == "inputs" else layer(x, initial_state=states)
    return layer, Model(x, y)


@pytest.mark.parametrize("how", ["argument", "inputs", "lists"])
@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("cls", [LSTM, Bidirectional])
def test_a_model_starts_from_constants(cls, batch, how):
    layer, model = with_constants(cls, batch, how)
    expected = layer(X, initial_state=STATES[:2] if cls is LSTM else STATES)
    assert not np.allclose(expected, layer(X))
    np.testing.assert_array_equal(model.predict(X, batch_size=4), expected)
    np.testing.assert_array_equal(model(X), expected)
    y, pullback = model.vjp(X)
    np.testing.assert_array_equal(y, expected)
    direct = layer.vjp(X, initial_state=STATES[:2] if cls is LSTM else STATES)[1]
    gradients, right = pullback(np.cos(y)), direct(np.cos(y))
    np.testing.assert_array_equal(gradients.inputs, right.inputs)
    for given, weight in zip(gradients.weights, right.weights, strict=True):
        np.testing.assert_array_equal(given, weight)


def test_the_numbers_of_keras():
    # TensorFlow 1.4.1 and Keras 2.0.9 with K.constant and K.variable: the first output
    x = Input(batch_shape=(4, 5, 2))
    layer = LSTM(3, kernel_initializer="ones", recurrent_initializer="zeros")
    states = [np.full((4, 3), 0.5, "f"), np.full((4, 3), 0.25, "f")]
    model = Model(x, layer(x, initial_state=states))
    y = model.predict(np.ones((4, 5, 2)), batch_size=4)
    np.testing.assert_allclose(y[0], [0.899813711643219] * 3, rtol=1e-6)
    assert len(model.weights) == 3


def test_what_becomes_of_the_arrays_afterwards_does_not_matter():
    x = Input((5, 2))
    given = [state.copy() for state in STATES[:2]]
    layer = LSTM(3)
    model = Model(x, layer(x, initial_state=given))
    for state in given:
        state[:] = 100
    np.testing.assert_array_equal(model(X), layer(X, initial_state=STATES[:2]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [LSTM, Bidirectional])
def test_constants_survive_config_files_and_copies(tmp_path, cls, dtype):
    _, model = with_constants(cls, dtype=dtype)
    expected = model(X)
    config = json.loads(json.dumps(model.get_config()))
    again = [Model.from_config(config), cylstm.models.model_from_json(model.to_json())]
    for twin in again:
        twin.set_weights(model.get_weights())
    model.save(tmp_path / "model.safetensors")
    again.append(cylstm.models.load_model(tmp_path / "model.safetensors"))
    again += [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in again:
        np.testing.assert_array_equal(twin(X), expected)


def test_a_model_with_constants_trains():
    x = Input((5, 2))
    layer = LSTM(3)
    model = Model(x, Dense(1)(layer(x, initial_state=STATES[:2])))
    model.compile("sgd", "mse")
    target = np.ones((4, 1))
    before = model.evaluate(X, target, batch_size=4, verbose=0)
    model.fit(X, target, batch_size=4, epochs=5, verbose=0)
    assert model.evaluate(X, target, batch_size=4, verbose=0) < before


def test_another_number_of_rows_is_named():
    layer, model = with_constants()
    with pytest.raises(ValueError, match=f"Initial state 0 of layer {layer.name}.*2"):
        model.predict(X[:2])


@pytest.mark.parametrize(
    ("states", "error", "message"),
    [
        (STATES[:1], ValueError, "has 2 states, got 1"),
        ([STATES[0], STATES[1][:, :2]], ValueError, r"Initial state 1 of layer .*\(4, 2\)"),
        ([STATES[0], STATES[1][:3]], ValueError, r"State 1 of layer .*\(3, 3\)"),
        ([STATES[0], "text"], TypeError, "must hold real numbers"),
        ([np.ma.masked_array(STATES[0]), STATES[1]], TypeError, "masked array"),
        ([Input((3,)), STATES[1]], ValueError, "symbolic tensors and arrays as initial states"),
        ([STATES[0], Input((3,))], ValueError, "symbolic tensors and arrays as initial states"),
    ],
)
def test_constants_that_do_not_fit(states, error, message):
    x, layer = Input((5, 2)), LSTM(3)
    with pytest.raises(error, match=message):
        layer(x, initial_state=states)
    with pytest.raises(error, match=message):
        layer([x, *states])
    assert layer.inbound_nodes == []
    both = Bidirectional(LSTM(3))
    if len(states) == 2:
        with pytest.raises(error, match=message.replace("layer lstm", "layer .*lstm")):
            both(x, initial_state=[*states, *states])


def test_constants_for_another_batch_size():
    x = Input(batch_shape=(2, 5, 2))
    with pytest.raises(ValueError, match="Initial state 0"):
        LSTM(3)(x, initial_state=STATES[:2])


def test_an_array_with_symbolic_states_is_refused():
    with pytest.raises(ValueError, match="make an Input"):
        LSTM(3)(X, initial_state=[Input((3,)), Input((3,))])
