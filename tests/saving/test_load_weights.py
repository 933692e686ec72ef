"""Weights from files: by order, by name, and what does not fit."""

import re

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Activation, Dense, Layer
from cylstm.saving import FormatError
from cylstm.saving._weights import named_weights, unused_name


def model_of(*layers) -> cylstm.Model:
    return cylstm.Sequential(list(layers))


def first(units: int = 4, **kwargs) -> LSTM:
    return LSTM(units, input_shape=(None, 3), **kwargs)


@pytest.fixture
def path(tmp_path):
    model = model_of(first(name="a"), Activation("relu"), Dense(2, name="b"))
    path = tmp_path / "weights.safetensors"
    model.save_weights(path)
    return path


def test_in_order_other_names_and_layers_without_weights_do_not_matter(path):
    other = model_of(first(), Dense(2))
    other.load_weights(path)
    back = model_of(first(name="a"), Dense(2, name="b"))
    back.load_weights(path, by_name=True)
    for one, two in zip(other.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_by_name_leaves_other_layers_alone(path):
    model = model_of(first(name="a"), Dense(5, name="new"))
    before = model.get_weights()
    model.load_weights(path, by_name=True)
    changed = [bool((x != y).any()) for x, y in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, True, False, False, False]  # a bias starts from what it was saved as


def test_from_the_file_of_a_whole_model(tmp_path):
    model = model_of(first(), Dense(2))
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3, 3)), np.ones((2, 2)))
    model.save(tmp_path / "model.safetensors")
    other = model_of(first(), Dense(2))
    other.load_weights(tmp_path / "model.safetensors")
    for one, two in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_dtype_is_that_of_the_model(path):
    single = model_of(first(), Dense(2))
    single.load_weights(path)
    double = model_of(first(dtype="float64"), Dense(2, dtype="float64"))
    double.load_weights(path)
    for one, two in zip(single.get_weights(), double.get_weights(), strict=True):
        assert two.dtype == np.float64
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("layers", "by_name", "message"),
    [
        ([first(name="a")], False, "2 layers, ['a', 'b'], but the model has 1 layers"),
        ([first(5, name="a"), Dense(2)], False, "a/kernel of layer a has the shape (3, 20)"),
        ([first(name="a"), Dense(3, name="b")], True, "b/kernel of layer b has the shape (4, 3)"),
        ([first(use_bias=False), Dense(2)], False, "has 2 weights, but the file holds 3"),
        ([first(name="x"), Dense(2, name="y")], True, "holds ['a', 'b'], the model has ['x', 'y']"),
    ],
)
def test_what_does_not_fit_changes_nothing(layers, by_name, message, path):
    model = model_of(*layers)
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        model.load_weights(path, by_name=by_name)
    assert caught.type is ValueError
    assert str(path) in str(caught.value)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_damaged_file_changes_nothing(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    model = model_of(first(), Dense(2))
    before = model.get_weights()
    with pytest.raises(FormatError, match="damaged"):
        model.load_weights(path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_weights_only_are_no_model(path):
    with pytest.raises(FormatError, match="weights only.*load_weights"):
        cylstm.models.load_model(path)


def test_what_is_frozen_does_not_change_the_order(tmp_path):
    def make(frozen: bool) -> cylstm.Model:
        inner = model_of(
            first(3, return_sequences=True, trainable=not frozen, name="one"),
            LSTM(3, name="two"),
        )
        return model_of(inner, Dense(1))

    model, other = make(frozen=False), make(frozen=True)
    model.save_weights(tmp_path / "weights.safetensors")
    other.load_weights(tmp_path / "weights.safetensors")
    x = np.random.default_rng(1).standard_normal((2, 4, 3))
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


def test_weights_of_a_layer_go_by_their_names_where_the_order_is_another(tmp_path):
    class Two(Layer):
        def build(self, input_shape):
            for i, name in enumerate("ab"):
                self.add_weight(name, (2,), initializer=cylstm.initializers.Constant(i))
            super().build(input_shape)

    model, other = (model_of(Two(input_shape=(3,))) for _ in range(2))
    model.layers[0].weights[0].trainable = False
    assert [v.name[-1] for v in model.weights] == ["b", "a"]
    model.save_weights(tmp_path / "weights.safetensors")
    for variable in other.weights:
        variable.assign([5, 5])
    other.load_weights(tmp_path / "weights.safetensors")
    assert [w.tolist() for w in other.get_weights()] == [[0, 0], [1, 1]]


def test_the_file_may_not_be_larger_than_allowed(path):
    model = model_of(first(), Dense(2))
    size = path.stat().st_size
    model.load_weights(path, max_size=size)
    with pytest.raises(FormatError, match=f"max_size={size}"):
        model.load_weights(path, max_size=size - 1)


def test_names_are_unique_and_shared_weights_are_stored_once():
    inner = model_of(first(2, name="l"), Dense(2, name="d"))
    x = cylstm.Input((None, 3))
    outer = cylstm.Model(x, cylstm.layers.add([inner(x), inner.layers[0](x)]))
    groups = named_weights(outer)
    names = [name for _, names, _ in groups for name in names]
    assert len(groups) == 2
    assert len(set(names)) == 5
    assert len(names) == 8
    used = {"a", "a_2"}
    assert unused_name("a", used) == "a_3"
    assert unused_name("b", used) == "b"
