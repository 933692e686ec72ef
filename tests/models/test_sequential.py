import numpy as np
import pytest

import cylstm
from cylstm import Sequential
from cylstm.layers import LSTM, Dense, InputLayer

X = np.random.default_rng(1).normal(size=(4, 5, 3)).astype("float32")


def test_built_at_once_where_a_shape_is_given():
    model = Sequential([LSTM(4, input_shape=(5, 3), name="a"), Dense(2)])
    assert model.built
    assert model.input_names == ["a_input"]
    assert (model.input_shape, model.output_shape) == ((None, 5, 3), (None, 2))
    assert [type(layer) for layer in model.layers] == [LSTM, Dense]


def test_built_by_the_first_data_otherwise():
    model = Sequential([LSTM(4), Dense(2)])
    assert not model.built
    with pytest.raises(ValueError, match="not built"):
        model.count_params()
    assert model(X).shape == (4, 2)
    assert model.input_shape == (None, 5, 3)


def test_built_by_hand():
    model = Sequential([LSTM(4), Dense(2)])
    with pytest.raises(ValueError, match="input_shape"):
        model.build()
    model.build((None, None, 3))
    assert model.count_params() == 138
    with pytest.raises(ValueError, match="no layers"):
        Sequential().build((None, 3))


def test_an_input_layer_can_come_first():
    model = Sequential([InputLayer((5, 3)), LSTM(4)])
    assert model.output_shape == (None, 4)
    assert len(model.layers) == 1
    with pytest.raises(ValueError, match="first"):
        model.add(InputLayer((5, 3)))


def test_a_model_can_come_first():
    inner = Sequential([LSTM(4, input_shape=(5, 3))])
    assert Sequential([inner, Dense(2)]).output_shape == (None, 2)


@pytest.mark.parametrize(
    ("layer", "error"),
    [
        (LSTM(2), ValueError),  # on a last output
        (LSTM(2, return_state=True, return_sequences=True), ValueError),
        ("dense", TypeError),
        (Dense(2, name="taken"), ValueError),
    ],
)
def test_a_layer_that_does_not_fit_changes_nothing(layer, error):
    model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(2, name="taken")])
    with pytest.raises(error):
        model.add(layer)
    assert len(model.layers) == 2
    assert model(X).shape == (4, 2)


def test_pop():
    model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(2), Dense(7)])
    model.pop()
    assert model.output_shape == (None, 2)
    assert model(X).shape == (4, 2)
    model.add(Dense(3))
    assert model(X).shape == (4, 3)
    for _ in range(3):
        model.pop()
    with pytest.raises(TypeError, match="no layers"):
        model.pop()


def test_stateful_models_are_bound_by_the_first_data():
    model = Sequential([LSTM(4, stateful=True)])
    model(X)
    assert model.input_shape == (4, 5, 3)
    with pytest.raises(ValueError, match="size 4"):
        model(X[:2])


def test_config_is_the_list_of_layers():
    model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(2)])
    config = model.get_config()
    assert [entry["class_name"] for entry in config] == ["LSTM", "Dense"]
    assert cylstm.Sequential.from_config(config).get_config() == config
