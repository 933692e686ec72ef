import numpy as np
import pytest

from cylstm import Input, Model, Sequential, regularizers
from cylstm.layers import (
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalMaxPooling1D,
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


def model_of_grids():
    return Sequential([Conv1D(2, 3, input_shape=(5, 4)), GlobalMaxPooling1D()])


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


def test_a_layer_that_cannot_train_says_so(without_autograd):
    class Forward(Layer):
        def call(self, inputs):
            return inputs

    layer = TimeDistributed(Forward())
    assert layer(SEQUENCES).shape == SEQUENCES.shape
    with pytest.raises(TypeError, match="forward_1 has no derivative.*predict but not train.*vjp"):
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


@pytest.mark.parametrize(
    "make", [Flatten, lambda: Conv1D(2, 3), GlobalMaxPooling1D, model_of_grids]
)
def test_layers_that_take_no_masks_are_not_given_those_within_timesteps(make):
    layer = TimeDistributed(make())
    expected = layer(GRIDS)
    np.testing.assert_array_equal(layer(GRIDS, mask=NESTED), expected)
    np.testing.assert_array_equal(layer.vjp(GRIDS, mask=NESTED)[0], expected)
    assert layer.compute_mask(GRIDS, NESTED).tolist() == [[True, False, True]] * 2


def test_masks_that_the_layer_makes_stay_inside():
    words = np.array([[[1, 0], [0, 0], [3, 2]]])
    over_time = np.array([[True, False, True]])
    for layer, x in [
        (TimeDistributed(Masking()), GRIDS[:1] * NESTED[:1, ..., None]),
        (TimeDistributed(Embedding(4, 3, mask_zero=True)), words),
    ]:
        assert layer(x).shape[:2] == (1, 3)
        assert layer.compute_mask(x) is None
        assert layer.compute_mask(x, over_time) is over_time


def test_masks_in_models():
    x = Input((3, 2), dtype="int32")
    vectors = Embedding(4, 3, mask_zero=True)(x)
    sentences = TimeDistributed(LSTM(2))(vectors)
    assert (vectors.mask.ndim, sentences.mask.ndim) == (3, 2)
    last = LSTM(2)(sentences)
    model = Model(x, last)
    words = np.array([[[1, 2], [3, 0], [0, 0]]])
    within = model.layers[1](words), words != 0
    expected = model.layers[2](within[0], mask=within[1]), within[1].any(axis=2)
    np.testing.assert_array_equal(model(words), model.layers[3](expected[0], mask=expected[1]))


@pytest.mark.parametrize("inner", [lambda: Dense(2), lambda: Masking(), lambda: LSTM(2)])
@pytest.mark.parametrize("depth", [1, 2])
def test_masks_within_timesteps_in_models(inner, depth):
    layer = inner()
    for _ in range(depth):
        layer = TimeDistributed(layer)
    shape = (3, 4, 5)[-depth - 1 :]
    x = Input(shape, dtype="int32")
    embedding = Embedding(6, 3, mask_zero=True)
    y = layer(embedding(x))
    indices = RNG.integers(0, 6, (2, *shape))
    vectors, mask = embedding(indices), indices != 0
    expected = layer.compute_mask(vectors, mask)
    assert y.mask.ndim == expected.ndim
    np.testing.assert_array_equal(Model(x, y).compute_mask(indices), expected)
    np.testing.assert_array_equal(Model(x, y).predict(indices), layer(vectors, mask=mask))


def test_convolutions_in_two_wrappers_leave_masks_alone():
    x = Input((3, 4, 5), dtype="int32")
    y = TimeDistributed(TimeDistributed(Conv1D(2, 3)))(Embedding(6, 3, mask_zero=True)(x))
    indices = RNG.integers(0, 2, (2, 3, 4, 5))
    model = Model(x, y)
    assert model.predict(indices).shape == (2, 3, 4, 3, 2)
    np.testing.assert_array_equal(model.compute_mask(indices), (indices != 0).any(axis=3))


def test_a_model_at_each_timestep_has_masks_of_its_own():
    inner = Sequential([Embedding(4, 3, mask_zero=True, input_length=2), LSTM(2)])
    x = Input((None, 2), dtype="int32")
    sentences = TimeDistributed(inner)(x)
    assert sentences.mask is None
    words = np.array([[[1, 0], [3, 2]]])
    outputs = Model(x, sentences).predict(words)
    np.testing.assert_allclose(outputs[0], inner.predict(words[0]), rtol=1e-6)
    unmasked = inner.layers[1](inner.layers[0](words[0]))
    assert not np.allclose(outputs[0, 0], unmasked[0])
    np.testing.assert_allclose(outputs[0, 1], unmasked[1], rtol=1e-6)


@pytest.mark.parametrize("length", [10, (10,), [None]])
def test_an_embedding_with_a_length(length):
    layer = TimeDistributed(Embedding(30, 8, input_length=length))
    indices = np.arange(240).reshape(4, 6, 10) % 30
    outputs = layer(indices)
    np.testing.assert_array_equal(outputs, layer.layer.embeddings.value[indices])
    assert layer.vjp(indices)[0].shape == (4, 6, 10, 8)
    x = Input((None, 10))
    y = layer(x)
    assert y.shape == (None, None, 10, 8)
    np.testing.assert_array_equal(Model(x, y).predict(indices), outputs)


@pytest.mark.parametrize("known", [9, None])
def test_timesteps_of_another_length_than_that_of_the_embedding(known):
    layer = TimeDistributed(Embedding(30, 8, input_length=10))
    if known:
        with pytest.raises(ValueError, match=rf"{layer.name} .*{layer.layer.name} has the input_l"):
            layer(Input((None, known)))
        assert not layer.built
    else:
        assert layer(Input((None, known))).shape == (None, None, 10, 8)
    for method in (layer, layer.vjp):
        with pytest.raises(ValueError, match=rf"{layer.layer.name} has the input_length 10"):
            method(np.zeros((4, 6, 9)))


@pytest.mark.parametrize("dtype", ["int32", np.int64, np.dtype("uint8"), "bool"])
def test_the_dtype_that_is_fed_to_the_first_layer(dtype):
    name = np.dtype(dtype).name
    layer = TimeDistributed(Embedding(6, 3), input_shape=(4, 5), dtype=dtype)
    assert (layer.input_dtype, layer.dtype) == (name, "float32")
    model = Sequential([layer, TimeDistributed(LSTM(2))])
    assert model.inputs[0].dtype == name
    assert model.predict(np.ones((2, 4, 5), dtype)).dtype == "float32"
    config = layer.get_config()
    assert config["dtype"] == name
    assert deserialize(serialize(layer)).get_config() == config
    assert TimeDistributed(Dense(2, dtype="float64")).get_config()["dtype"] == "float64"


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
    for wrong in ("float16", "words", 7, "complex64"):
        with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64'"):
            TimeDistributed(Embedding(4, 2), dtype=wrong)
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
