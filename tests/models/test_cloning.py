"""clone_model: the same layers and connections, other weights."""

import numpy as np
import pytest

from cylstm import LSTM, Input, Model, Sequential
from cylstm.layers import Dense, InputLayer, TimeDistributed, concatenate
from cylstm.models import clone_model


def twins(inputs=None):
    """A model with a shared layer, an inner model and a state as an input."""
    a, b = Input((5, 3), name="a"), Input((4, 3), name="b")
    shared = LSTM(4, return_state=True, name="shared")
    first = shared(a)
    second = shared(b, initial_state=first[1:])
    inner = Sequential([Dense(3, input_shape=(8,)), Dense(2)], name="inner")
    return Model([a, b], inner(concatenate([first[0], second[0]])), name="twins")


def arrays(rng=None):
    rng = np.random.default_rng(7)
    return [rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4, 3))]


def test_a_clone_computes_the_same_with_the_same_weights():
    model = twins()
    clone = clone_model(model)
    before = model.get_weights()
    assert type(clone) is Model
    assert clone.name == "twins"
    assert clone.to_json() == model.to_json()
    assert not {id(v) for v in clone.weights} & {id(v) for v in model.weights}
    assert not np.allclose(clone.predict(arrays()), model.predict(arrays()))
    clone.set_weights(before)
    np.testing.assert_array_equal(clone.predict(arrays()), model.predict(arrays()))
    clone.set_weights([w + 1 for w in before])
    for was, value in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, value)
    assert clone.optimizer is None


def test_a_clone_upon_given_inputs():
    model = twins()
    a, b = Input((5, 3), name="c"), Input((4, 3), name="d")
    clone = clone_model(model, [a, b])
    assert clone.input_names == ["c", "d"]
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(arrays()), model.predict(arrays()))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [LSTM(4, input_shape=(None, 3)), Dense(2)],
        lambda: [InputLayer(input_shape=(5, 3)), TimeDistributed(Dense(2)), LSTM(4)],
        lambda: [Sequential([LSTM(4, input_shape=(5, 3))]), Dense(2)],
    ],
)
def test_a_clone_of_a_sequential(layers):
    model = Sequential(layers(), name="stack")
    clone = clone_model(model)
    assert type(clone) is Sequential
    assert clone.name == "stack"
    assert clone.to_json() == model.to_json()
    assert clone.output_shape == model.output_shape
    assert [type(layer) for layer in clone.layers] == [type(layer) for layer in model.layers]
    x = arrays()[0]
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(x), model.predict(x))
    other = clone_model(model, Input((5, 3), name="given"))
    assert other.input_names == ["given"]
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def test_a_clone_of_a_sequential_that_is_not_built():
    clone = clone_model(Sequential([LSTM(4), Dense(2)]))
    assert not clone.built
    assert clone.predict(np.ones((2, 5, 3))).shape == (2, 2)


def test_what_cannot_be_cloned():
    model = twins()
    with pytest.raises(TypeError, match="takes a model"):
        clone_model(model.layers[0])
    with pytest.raises(ValueError, match="has 2 inputs, got 1"):
        clone_model(model, [Input((5, 3))])
    with pytest.raises(TypeError, match="symbolic"):
        clone_model(model, arrays())
    with pytest.raises(ValueError, match="is no input"):
        clone_model(model, [LSTM(3, return_sequences=True)(Input((5, 3))), Input((4, 3))])
    with pytest.raises(ValueError, match="expected 3 axes|last axis|axis"):
        clone_model(model, [Input((5, 4)), Input((4, 3))])
