import numpy as np
import pytest

from cylstm import Input, Model, regularizers
from cylstm.layers import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Gradients,
    Layer,
    Masking,
    TimeDistributed,
    Wrapper,
    deserialize,
    serialize,
)
from cylstm.testing import gradient_error

RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(3, 5, 4))
GRIDS = RNG.normal(size=(2, 3, 5, 4))
NESTED = np.array([[[1, 0, 0, 0, 0], [0] * 5, [1, 1, 0, 1, 1]]] * 2, bool)


class Power(Layer):
    """A layer as users write them: no mask, no training, an own `vjp`."""

    def __init__(self, exponent=2, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def build(self, input_shape):
        self.factor = self.add_weight("factor", input_shape[-1:], initializer="ones")

    def call(self, inputs):
        return self.factor.value * inputs**self.exponent

    def vjp(self, inputs):
        x = self._as_arrays(inputs)
        self._ensure_built(x)
        outputs = self.call(x)

        def pullback(d):
            slopes = self.exponent * x ** (self.exponent - 1)
            d_factor = (d * x**self.exponent).reshape(-1, x.shape[-1]).sum(axis=0)
            return Gradients(d * self.factor.value * slopes, None, [d_factor])

        return outputs, pullback


@pytest.mark.parametrize(
    "make",
    [
        lambda: Dense(3, activation="tanh"),
        lambda: LSTM(3),
        lambda: LSTM(3, return_sequences=True, go_backwards=True),
        lambda: Bidirectional(LSTM(2)),
        Flatten,
        Power,
    ],
)
def test_each_timestep_goes_through_the_layer(make):
    inner = make()
    y = TimeDistributed(inner)(GRIDS)
    for t in range(GRIDS.shape[1]):
        np.testing.assert_allclose(y[:, t], inner(GRIDS[:, t]), rtol=1e-5, atol=1e-7)
    longer = np.concatenate([GRIDS, GRIDS], axis=1)
    assert TimeDistributed(inner)(longer).shape[1] == 6


def test_the_weights_are_those_of_the_layer():
    inner = Dense(3)
    layer = TimeDistributed(inner)
    layer(SEQUENCES)
    assert layer.weights == inner.weights
    assert layer.count_params() == inner.count_params() == 15
    layer.set_weights([np.ones((4, 3)), np.zeros(3)])
    np.testing.assert_array_equal(inner.kernel.value, np.ones((4, 3)))
    inner.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == inner.weights


def test_initial_weights_of_wrapper_and_layer():
    weights = [np.full((4, 3), 2.0), np.ones(3)]
    outer = TimeDistributed(Dense(3), weights=weights)
    inner = TimeDistributed(Dense(3, weights=weights))
    np.testing.assert_array_equal(outer(SEQUENCES), inner(SEQUENCES))
    np.testing.assert_array_equal(outer.get_weights()[0], weights[0])


def test_a_failed_build_leaves_the_layer_within_as_it_was():
    layer = TimeDistributed(Dense(3), weights=[np.ones((4, 4)), np.zeros(3)])
    with pytest.raises(ValueError, match="kernel"):
        layer(SEQUENCES)
    assert not layer.built
    assert not layer.layer.built
    assert layer.weights == layer.layer.weights == []


def test_layers_of_users():
    assert gradient_error(TimeDistributed(Power(3, dtype="float64")), SEQUENCES) < 1e-6
    layer = TimeDistributed(Power(3))
    layer(SEQUENCES, training=True, mask=np.ones((3, 5), bool))
    twin = deserialize(serialize(layer), custom_objects={"Power": Power})
    assert twin.layer.exponent == 3
    with pytest.raises(ValueError, match="Power"):
        deserialize(serialize(layer))


def test_a_layer_that_cannot_train_says_so():
    class Forward(Layer):
        def call(self, inputs):
            return inputs

    layer = TimeDistributed(Forward())
    assert layer(SEQUENCES).shape == SEQUENCES.shape
    with pytest.raises(TypeError, match="Forward can predict but not train"):
        layer.vjp(SEQUENCES)


def test_training_reaches_the_layer():
    layer = TimeDistributed(Dropout(0.5))
    np.testing.assert_allclose(layer(SEQUENCES), SEQUENCES, rtol=1e-6)
    assert (layer(SEQUENCES, training=True) == 0).any()
    assert (layer.vjp(SEQUENCES, training=True)[0] == 0).any()


def test_masks_over_time_pass_through():
    mask = np.ones((3, 5), bool)
    for layer in (TimeDistributed(Dense(2)), TimeDistributed(Flatten())):
        assert layer.compute_mask(SEQUENCES, mask) is mask
        assert layer.compute_mask(SEQUENCES) is None
        assert layer.vjp(SEQUENCES, mask=mask)[0].shape[:2] == (3, 5)


def test_masks_within_timesteps_reach_the_layer():
    inner = LSTM(3, dtype="float64")
    layer = TimeDistributed(inner)
    y = layer(GRIDS, mask=NESTED)
    for t in range(3):
        np.testing.assert_allclose(y[:, t], inner(GRIDS[:, t], mask=NESTED[:, t]))
    assert not np.allclose(y, layer(GRIDS))
    mask = layer.compute_mask(GRIDS, NESTED)
    assert mask.tolist() == [[True, False, True]] * 2
    inner = LSTM(3, return_sequences=True)
    np.testing.assert_array_equal(
        TimeDistributed(inner).compute_mask(GRIDS, NESTED.tolist()), NESTED
    )
    for refused in (TimeDistributed(Flatten()), TimeDistributed(Flatten()).compute_mask):
        with pytest.raises(TypeError, match="does not support masking"):
            refused(GRIDS, mask=NESTED)


def test_masks_that_the_layer_makes_come_out():
    x = GRIDS * NESTED[..., None]
    np.testing.assert_array_equal(TimeDistributed(Masking()).compute_mask(x), NESTED)
    layer = TimeDistributed(Embedding(4, 3, mask_zero=True))
    words = np.array([[[1, 0], [0, 0], [3, 2]]])
    np.testing.assert_array_equal(layer.compute_mask(words), words != 0)
    assert layer(words).shape == (1, 3, 2, 3)


def test_masks_in_models():
    x = Input((3, 2), dtype="int32")
    vectors = TimeDistributed(Embedding(4, 3, mask_zero=True))(x)
    sentences = TimeDistributed(LSTM(2))(vectors)
    assert (vectors.mask.ndim, sentences.mask.ndim) == (3, 2)
    last = LSTM(2)(sentences)
    model = Model(x, last)
    words = np.array([[[1, 2], [3, 0], [0, 0]]])
    within = model.layers[1](words), words != 0
    expected = model.layers[2](within[0], mask=within[1]), within[1].any(axis=2)
    np.testing.assert_array_equal(model(words), model.layers[3](expected[0], mask=expected[1]))


def test_large_indices_reach_an_embedding_as_they_are():
    layer = TimeDistributed(Embedding(5, 2))
    with pytest.raises(ValueError, match="16777217"):
        layer(np.array([[[2**24 + 1]]]))


def test_activity_is_penalised_once():
    inner = Dense(3, activity_regularizer=regularizers.l2(1.0), dtype="float64")
    layer = TimeDistributed(inner)
    for call in (layer, lambda x: layer.vjp(2 * x)[0]):
        outputs = call(SEQUENCES)
        assert layer.losses == pytest.approx([(outputs**2).sum()])
    assert inner.losses == []
    assert "activity_regularizer" not in layer.get_config()
    twin = deserialize(serialize(layer))
    assert twin.activity_regularizer is twin.layer.activity_regularizer
    own = TimeDistributed(inner, activity_regularizer="l1")
    outputs = own(SEQUENCES)
    assert own.losses == pytest.approx([0.01 * np.abs(outputs).sum()])
    assert deserialize(serialize(own)).get_config() == own.get_config()


def test_what_time_distributed_refuses():
    for wrong in (None, "Dense", Dense):
        with pytest.raises(TypeError, match="TimeDistributed wraps a layer"):
            TimeDistributed(wrong)
    with pytest.raises(ValueError, match="stateful"):
        TimeDistributed(LSTM(2, stateful=True))
    with pytest.raises(ValueError, match="one output"):
        TimeDistributed(LSTM(2, return_state=True))(GRIDS)
    with pytest.raises(ValueError, match="dtype='float64'.*float32"):
        TimeDistributed(Dense(2), dtype="float64")
    with pytest.raises(TypeError, match="no argument 'units'"):
        TimeDistributed(Dense(2), units=3)
    with pytest.raises(ValueError, match="got None"):
        TimeDistributed.from_config({"name": "empty"})


def test_inputs_that_a_built_layer_does_not_take():
    layer = TimeDistributed(Dense(2))
    layer(SEQUENCES)
    with pytest.raises(ValueError, match=layer.name):
        layer(SEQUENCES[..., :3])
    shared = Dense(2)
    shared(np.ones((1, 3)))
    fresh = TimeDistributed(shared)
    with pytest.raises(ValueError, match=rf"{fresh.name} .*{shared.name}"):
        fresh(SEQUENCES)
    assert not fresh.built


def test_configs_hold_the_layer():
    layer = TimeDistributed(Dense(2, name="d"), name="t", input_shape=(5, 4))
    config = layer.get_config()
    assert config["layer"]["class_name"] == "Dense"
    assert config["layer"]["config"]["name"] == "d"
    assert config["batch_input_shape"] == (None, 5, 4)
    kept = dict(config)
    assert TimeDistributed.from_config(config).layer.units == 2
    assert config == kept


def test_wrappers_of_ones_own():
    class Twice(Wrapper):
        def build(self, input_shape):
            self.layer._ensure_built_for(input_shape)

        def forward(self, inputs, mask, training, keep):
            outputs, pullback = self.layer.vjp(inputs)
            weights = self.layer.trainable_weights

            def backward(d):
                gradients = pullback(2 * d)
                return gradients.inputs, dict(zip(weights, gradients.weights, strict=True))

            return 2 * outputs, backward

    assert gradient_error(Twice(Dense(4, dtype="float64")), SEQUENCES) < 1e-6
