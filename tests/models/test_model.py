import copy
import json
import pickle

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential
from cylstm.layers import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Masking,
    RepeatVector,
    TimeDistributed,
    add,
    concatenate,
)
from cylstm.testing import gradient_error

F8 = {"dtype": "float64"}
GATES = {"recurrent_activation": "sigmoid"} | F8
RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5, 2))
PADDED = X.copy()
PADDED[0, 3:] = PADDED[2, 1:] = 0


def stacked():
    x = Input((None, 2))
    y = LSTM(3, return_sequences=True, **GATES)(x)
    return Model(x, Dense(2, activation="softmax", **F8)(LSTM(4, **GATES)(y))), X


def masked():
    x = Input((None, 2))
    y = LSTM(3, return_sequences=True, **GATES)(Masking(**F8)(x))
    return Model(x, LSTM(2, go_backwards=True, **GATES)(y)), PADDED


def bidirectional():
    x = Input((None, 2))
    y = Bidirectional(LSTM(2, return_sequences=True, **GATES), **F8)(Masking(**F8)(x))
    y = Bidirectional(LSTM(2, **GATES), merge_mode="mul", **F8)(y)
    return Model(x, y), PADDED


def shared():
    a, b = Input((5, 2)), Input((5, 2))
    lstm = LSTM(3, **GATES)
    return Model([a, b], concatenate([lstm(a), lstm(b)], dtype="float64")), [X, -X[::-1]]


def encoder_decoder():
    source, target = Input((None, 2)), Input((None, 2))
    _, h, c = LSTM(3, return_state=True, **GATES)(source)
    y, h, c = LSTM(3, return_sequences=True, return_state=True, **GATES)([target, h, c])
    outputs = [TimeDistributed(Dense(2, **F8), **F8)(y), h, c]
    return Model([source, target], outputs), [X, RNG.normal(size=(3, 4, 2))]


def repeated():
    model = Sequential(
        [
            LSTM(3, input_shape=(5, 2), **GATES),
            RepeatVector(4, **F8),
            LSTM(2, return_sequences=True, **GATES),
        ]
    )
    return model, X


def nested():
    inner, _ = stacked()
    x = Input((5, 2))
    y = inner(x)
    return Model(x, [add([y, Dense(2, **F8)(y)], dtype="float64"), y, y]), X


MODELS = [stacked, masked, bidirectional, shared, encoder_decoder, repeated, nested]


@pytest.mark.parametrize("make", [m for m in MODELS if m not in (masked, bidirectional)])
def test_gradients_through_whole_models(make):
    assert gradient_error(*make()) < 1e-6


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_under_a_mask(bidirectional):
    """The mask is given: with `Masking`, a difference from zero would unmask a timestep."""
    x = Input((5, 2))
    layer = LSTM(3, return_sequences=True, **GATES)
    y = (Bidirectional(layer, **F8) if bidirectional else layer)(x)
    model = Model(x, LSTM(2, go_backwards=True, **GATES)(y))
    assert gradient_error(model, X, mask=PADDED.any(axis=2)) < 1e-6


@pytest.mark.parametrize("make", [masked, bidirectional])
def test_padding_does_not_matter(make):
    model, padded = make()
    cut = model.predict(padded[2:, :1])  # the last row has one timestep that counts
    np.testing.assert_allclose(model.predict(padded)[2:], cut, rtol=1e-12)


@pytest.mark.parametrize("make", MODELS)
def test_models_come_back_from_their_configuration(make):
    model, inputs = make()
    twins = [type(model).from_config(model.get_config())]
    twins.append(cylstm.models.model_from_json(model.to_json()))
    for twin in twins:
        twin.set_weights(model.get_weights())
        assert json.dumps(twin.get_config()) == json.dumps(model.get_config())
        assert_same(twin.predict(inputs), model.predict(inputs))


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_independent(make, copied):
    model, inputs = make()
    expected = model.predict(inputs)
    twin = copied(model)
    assert_same(twin.predict(inputs), expected)
    assert twin.get_config() == model.get_config()
    assert [len(layer.inbound_nodes) for layer in twin.layers] == [
        len(layer.inbound_nodes) for layer in model.layers
    ]
    twin.set_weights([w + 1 for w in twin.get_weights()])
    assert_same(model.predict(inputs), expected)
    twin.compile("sgd", "mse")


def assert_same(got, expected):
    got, expected = (v if isinstance(v, list) else [v] for v in (got, expected))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_copy_of_a_layer_is_not_connected():
    model, _ = stacked()
    layer = copy.deepcopy(model.layers[1])
    assert layer.inbound_nodes == layer.outbound_nodes == []
    assert layer.built


def test_models_have_the_members_of_layers():
    model, _ = encoder_decoder()
    assert model.input == model.inputs
    assert model.output == model.outputs
    assert model.input_shape == [(None, None, 2), (None, None, 2)]
    assert model.output_shape == [(None, None, 2), (None, 3), (None, 3)]
    assert model.compute_output_shape([(7, 5, 2), (7, 4, 2)]) == [(7, 4, 2), (7, 3), (7, 3)]
    assert model.dtype == "float64"
    assert model.count_params() == sum(w.size for w in model.get_weights())
    model.trainable = False
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == len(model.weights) == 8


def test_freezing_a_layer():
    model, _ = stacked()
    model.layers[1].trainable = False
    assert len(model.trainable_weights) == 5
    assert len(model.weights) == 8


def test_get_layer():
    model, _ = stacked()
    assert model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(model.layers[2].name) is model.layers[2]
    for bad in ({"name": "no"}, {"index": 9}, {}):
        with pytest.raises(ValueError, match="layer"):
            model.get_layer(**bad)


def test_summary():
    model, _ = stacked()
    lines = []
    model.summary(print_fn=lines.append)
    assert "(LSTM)" in lines[3]
    assert "(None, None, 3)" in lines[3]
    assert lines[3].split()[-1] == "72"
    assert lines[-1] == "Parameters: 210, of which trainable: 210"


def test_losses_of_all_layers():
    x = Input((5, 2))
    penalised = LSTM(2, kernel_regularizer="l2", activity_regularizer="l1")
    model = Model(x, penalised(LSTM(2, return_sequences=True, bias_regularizer="l1")(x)))
    assert len(model.losses) == 3
    assert len(model.get_losses_for(None)) == 2


def test_inner_activity_penalties_count():
    """A penalty within an inner model is part of the loss and of its gradient."""

    def compiled(wrapped):
        cylstm.utils.set_random_seed(4)
        x = Input((5, 2))
        inner = Input((5, 2))
        lstm = LSTM(2, activity_regularizer=cylstm.regularizers.l2(0.3))
        y = Model(inner, lstm(inner))(x) if wrapped else lstm(x)
        model = Model(x, Dense(1)(y))
        model.compile(cylstm.optimizers.SGD(lr=0.1), "mse")
        return model

    plain, wrapped = compiled(False), compiled(True)
    wrapped.set_weights(plain.get_weights())
    target = np.ones((3, 1))
    for _ in range(3):
        assert wrapped.train_on_batch(X, target) == pytest.approx(plain.train_on_batch(X, target))
    assert wrapped.test_on_batch(X, target) == pytest.approx(plain.test_on_batch(X, target))


def test_stateful_models():
    x = Input(batch_shape=(3, 5, 2))
    model = Model(x, LSTM(2, stateful=True)(x))
    assert model.stateful
    assert len(model.state_updates) == 2
    first = model.predict(X)
    assert not np.allclose(model.predict(X), first)
    model.reset_states()
    np.testing.assert_array_equal(model.predict(X), first)


def test_masks_given_with_the_data():
    model, _ = stacked()
    mask = np.array([[1, 1, 1, 0, 0], [1] * 5, [1, 0, 0, 0, 0]])
    first = model.layers[1]
    direct = model.layers[3](model.layers[2](first(X, mask=mask), mask=mask))
    np.testing.assert_array_equal(model(X, mask=mask), direct)


def test_integer_inputs_keep_their_values():
    x = Input((3,), dtype="int64")
    model = Model(x, LSTM(2)(Embedding(20, 4, mask_zero=True)(x)))
    assert model.predict(np.array([[1, 2, 0], [19, 0, 0]])).shape == (2, 2)
    with pytest.raises(ValueError, match="20"):
        model.predict(np.array([[1, 2, 20]]))


def test_a_layer_of_ones_own_predicts_and_with_vjp_trains(request):
    class Twice(Layer):
        def call(self, inputs):
            return 2 * inputs

    class TwiceBoth(Twice):
        def vjp(self, inputs):
            array = self._as_arrays(inputs)
            return 2 * array, lambda dy: cylstm.layers.Gradients(2 * dy, None, [])

    for layer in (TwiceBoth(**F8), Twice(**F8)):
        x = Input((2,))
        model = Model(x, layer(Dense(1, **F8)(x)))
        model.compile("sgd", "mse")
        assert model.predict(X[:, 0]).shape == (3, 1)
        if isinstance(layer, TwiceBoth):
            assert model.train_on_batch(X[:, 0], np.ones((3, 1))) > 0
            assert gradient_error(model, X[:, 0]) < 1e-8
            continue
        assert gradient_error(model, X[:, 0]) < 1e-8
        request.getfixturevalue("without_autograd")
        before = model.get_weights()
        with pytest.raises(TypeError, match="autograd.*vjp"):
            model.train_on_batch(X[:, 0], np.ones((3, 1)))
        assert_same(model.get_weights(), before)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 5, 3)), r"(axis 2|shape \(None, None, 2\)), got"),
        (np.ones((3, 5)), r"(3 axes|shape \(None, None, 2\)), got"),
        ([X, X], "3 axes|takes 1 inputs|got a list of 2"),
    ],
)
def test_data_that_do_not_fit(data, message):
    model, _ = stacked()
    for call in (model, model.predict, model.vjp):
        with pytest.raises(ValueError, match=message):
            call(data)


def test_dropout_within_a_model_only_in_training():
    x = Input((4,))
    model = Model(x, Dropout(0.5)(x))
    ones = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(model(ones), ones)
    assert set(np.unique(model(np.ones((50, 4)), training=True))) == {0.0, 2.0}


def test_call_takes_what_calling_takes():
    """`call` itself, too: a list of arrays, nested lists, a dict of names."""
    x, y = Input((5, 2), name="x"), Input((5, 2), name="y")
    model = Model([x, y], add([x, y]))
    total = (X + X).astype("f")
    for given in ([X, X], (X, X), [X.tolist(), X.tolist()], {"x": X, "y": X, "z": 1}):
        np.testing.assert_allclose(model.call(given), total)
        np.testing.assert_allclose(model(given), total)
    single = Model(x, Dense(2, name="d")(x))
    np.testing.assert_array_equal(single.call(X.tolist()), single(X))
    np.testing.assert_array_equal(single.call([X]), single(X))


@pytest.mark.parametrize("method", ["call", "__call__", "vjp"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: [X], "takes a list of 2 inputs, got 1"),
        (lambda: [X, X, X], "takes a list of 2 inputs, got 3"),
        (lambda: X, "takes a list of 2 inputs, got a ndarray"),
        (lambda: {"x": X}, r"inputs of the names \['x', 'y'\], got \['x'\]"),
        (lambda: [X, X[..., 0]], "axes"),
    ],
)
def test_other_inputs_are_refused_by_name(method, given, message):
    x, y = Input((5, 2), name="x"), Input((5, 2), name="y")
    model = Model([x, y], add([x, y]))
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(given())


def test_as_many_masks_as_inputs():
    x, y = Input((5, 2), name="x"), Input((5, 2), name="y")
    model = Model([x, y], add([x, y]))
    with pytest.raises(ValueError, match="takes 2 inputs, got 1 masks"):
        model([X, X], mask=[None])


def test_yaml_is_refused_with_the_reason():
    model, _ = stacked()
    with pytest.raises(TypeError, match="can execute code: use to_json"):
        model.to_yaml()
    with pytest.raises(TypeError, match="can execute code: .*model_from_json"):
        cylstm.models.model_from_yaml("class_name: Model")


def test_the_layers_at_both_ends():
    x = Input((5, 2), name="x")
    model = Model(x, Dense(2, name="d")(x))
    assert [layer.name for layer in model.input_layers + model.output_layers] == ["x", "d"]
