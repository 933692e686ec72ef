"""NumPy masked arrays are refused at every entry: their mask would be lost."""

import numpy as np
import pytest

import cylstm
from cylstm import layers

ADVICE = r"numpy masked array; fill it \(`x.filled\(0\)`\)"
X, H = np.zeros((2, 4, 3), "f"), np.zeros((2, 5), "f")


def masked(*shape, dtype="float32"):
    array = np.ma.masked_array(np.zeros(shape, dtype), np.zeros(shape, bool))
    array[..., 0] = np.ma.masked
    return array


KINDS = {
    "array": lambda *shape: masked(*shape),
    "nothing masked": lambda *shape: np.ma.masked_array(np.zeros(shape, "f")),
    "list of rows": lambda *shape: list(masked(*shape)),
    "nested lists": lambda *shape: [
        [*masked(*shape[1:])] if shape[1:] else np.ma.masked for _ in range(shape[0])
    ],
    "tuple": lambda *shape: tuple(masked(*shape)),
}


@pytest.fixture(params=KINDS)
def bad(request):
    return KINDS[request.param]


def refused(function, *args, **kwargs):
    with pytest.raises(TypeError, match=ADVICE):
        function(*args, **kwargs)


LSTMS = {
    "short way": {},
    "dropout": {"dropout": 0.5},
    "softmax": {"activation": "softmax"},
    "stateful": {"stateful": True},
    "states": {"return_state": True, "return_sequences": True},
}


@pytest.mark.parametrize("name", LSTMS)
def test_lstm(name, bad):
    layer = layers.LSTM(5, **LSTMS[name])
    outputs = layer(X)
    before = layer.get_weights(), [np.array(s) for s in layer.states]
    for training in (False, True):
        for call in (layer, layer.vjp, layer.call):
            refused(call, bad(2, 4, 3), training=training)
            refused(call, [bad(2, 4, 3), H, H], training=training)
            refused(call, [X, bad(2, 5), H], training=training)
            for states in ([bad(2, 5), H], [H, bad(2, 5)], (H, bad(2, 5))):
                refused(call, X, initial_state=states, training=training)
            refused(call, X, mask=bad(2, 4), training=training)
            refused(call, X, mask=[bad(2, 4), None, None], training=training)
    _, pullback = layer.vjp(X)
    if isinstance(outputs, list):
        refused(pullback, [bad(2, 4, 5), None, None])
        refused(pullback, [None, bad(2, 5), None])
    else:
        refused(pullback, bad(2, 5))
    if layer.stateful:
        refused(layer.reset_states, [bad(2, 5), H])
        layer.reset_states()
    for weights, right in zip(layer.get_weights(), before[0], strict=True):
        np.testing.assert_array_equal(weights, right)
    refused(layer.set_weights, [bad(*w.shape) for w in layer.get_weights()])


def test_weights_of_the_constructor(bad):
    shapes = (3, 20), (5, 20), (20,)
    refused(layers.LSTM(5, weights=[bad(*shape) for shape in shapes]), X)


@pytest.mark.parametrize("activation", ["tanh", "softmax"])
def test_streams(activation, bad):
    layer = layers.LSTM(5, activation=activation)
    layer(X)
    stream = layer.stream(2)
    stream(X[:, 0])
    before = stream.state
    refused(stream, bad(2, 3))
    for state in ([bad(2, 5), H], [H, bad(2, 5)]):
        refused(setattr, stream, "state", state)
    np.testing.assert_array_equal(stream.state, before)
    model = cylstm.Sequential([layers.LSTM(2, input_shape=(4, 3)), layers.Dense(2)])
    refused(model.stream(2), bad(2, 3))
    dense = layers.Dense(2)
    dense.build((None, 3))
    refused(dense.stream(2), bad(2, 3))


def test_bidirectional(bad):
    layer = layers.Bidirectional(layers.LSTM(5))
    layer(X)
    for call in (layer, layer.vjp):
        refused(call, bad(2, 4, 3))
        refused(call, X, mask=bad(2, 4))
        refused(call, X, initial_state=[H, H, H, bad(2, 5)])
        refused(call, [X, H, bad(2, 5), H, H])
    refused(layer.vjp(X)[1], bad(2, 10))


LAYERS = {
    "Dense": (lambda: layers.Dense(3), (2, 3)),
    "Embedding": (lambda: layers.Embedding(5, 2), (2, 3)),
    "Masking": (lambda: layers.Masking(), (2, 4, 3)),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(2)), (2, 4, 3)),
    "BatchNormalization": (lambda: layers.BatchNormalization(), (2, 3)),
    "Conv1D": (lambda: layers.Conv1D(2, 2), (2, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_other_layers(name, bad):
    make, shape = LAYERS[name]
    layer = make()
    refused(layer, bad(*shape))
    refused(layer.vjp, bad(*shape))


def test_masks_of_other_layers(bad):
    refused(layers.Dense(2), X, mask=bad(2, 4))
    refused(layers.TimeDistributed(layers.Dense(2)), X, mask=bad(2, 4))
    x = np.zeros((2, 3, 4, 3))
    refused(layers.TimeDistributed(layers.LSTM(2)), x, mask=bad(2, 3, 4))
    for merge in (layers.Add(), layers.Concatenate(), layers.Dot(1)):
        refused(merge, [X, X], mask=[None, bad(2, 4)])
        refused(merge, [X, bad(2, 4, 3)])


def two_inputs():
    a, b = cylstm.Input((4, 3)), cylstm.Input((3,))
    model = cylstm.Model([a, b], [layers.LSTM(2)(a), layers.Dense(1)(b)])
    model.compile("sgd", "mse")
    return model


def test_models(bad):
    model, x, y = two_inputs(), [X, np.zeros((2, 3))], [np.zeros((2, 2)), np.zeros((2, 1))]
    weights = model.get_weights()
    wrong = [bad(2, 4, 3), x[1]]
    for call in (model, model.vjp, model.predict, model.predict_on_batch):
        refused(call, wrong)
    refused(model.predict, dict(zip(model.input_names, wrong, strict=True)))
    refused(model, x, mask=[bad(2, 4), None])
    refused(model.vjp(x)[1], [bad(2, 2), y[1]])
    quiet = {"verbose": 0}
    for call, options in (
        (model.fit, quiet), (model.evaluate, quiet),
        (model.train_on_batch, {}), (model.test_on_batch, {}),
    ):  # fmt: skip
        refused(call, wrong, y, **options)
        refused(call, x, [bad(2, 2), y[1]], **options)
        refused(call, x, y, sample_weight=[masked(2), np.ones(2)], **options)
        refused(call, x, y, sample_weight=[[np.ma.masked, 1.0], np.ones(2)], **options)
    refused(model.fit, x, y, validation_data=(wrong, y), **quiet)
    refused(model.set_weights, [bad(*w.shape) if w.ndim > 1 else w for w in weights])
    for now, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, before)


def test_batches_of_generators():
    model = cylstm.Sequential([layers.LSTM(2, input_shape=(4, 3))])
    model.compile("sgd", "mse")
    y = np.zeros((2, 2))
    for batch in ((masked(2, 4, 3), y), (X, masked(2, 2)), (X, y, masked(2))):
        refused(model.fit_generator, iter([batch]), 1, verbose=0)
        refused(model.evaluate_generator, iter([batch]), 1)
    refused(model.predict_generator, iter([masked(2, 4, 3)]), 1)


def test_lists_that_hold_no_masked_array_are_taken():
    layer = layers.LSTM(5)
    expected = layer(X)
    for same in (X.tolist(), list(X), [list(row) for row in X], tuple(X)):
        np.testing.assert_array_equal(layer(same), expected)
    deep = [X]
    for _ in range(100):
        deep = [deep]
    with pytest.raises((ValueError, TypeError)):
        layer(deep)


# Masks --------------------------------------------------------------------------------------------

MASK = [[True, False, True, True], [True, True, True, False]]
WRONG = {
    "None": ([[True, None, True, True]] * 2, TypeError, "must hold real numbers"),
    "None in an array": (np.array([[True, None, 1, 1]] * 2), TypeError, "must hold real numbers"),
    "text": ([["yes"] * 4] * 2, TypeError, "must hold real numbers"),
    "digits": (np.full((2, 4), "1"), TypeError, "must hold real numbers"),
    "NaN": ([[1, np.nan, 1, 1]] * 2, ValueError, "holds NaN"),
}
CALLS = {
    "LSTM": lambda mask: layers.LSTM(2)(X, mask=mask),
    "LSTM in a list": lambda mask: layers.LSTM(2)(X, mask=[mask, None, None]),
    "LSTM.vjp": lambda mask: layers.LSTM(2).vjp(X, mask=mask),
    "Bidirectional": lambda mask: layers.Bidirectional(layers.LSTM(2))(X, mask=mask),
    "Dense": lambda mask: layers.Dense(2)(X, mask=mask),
    "TimeDistributed": lambda mask: layers.TimeDistributed(layers.Dense(2))(X, mask=mask),
    "Add": lambda mask: layers.Add()([X, X], mask=[mask, None]),
    "Concatenate": lambda mask: layers.Concatenate()([X, X], mask=[None, mask]),
    "a mask with more axes": lambda mask: layers.TimeDistributed(layers.LSTM(2))(
        np.zeros((2, 3, 4, 3)), mask=[[row] * 3 for row in np.asarray(mask).tolist()]
    ),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("call", CALLS)
def test_masks_that_are_no_masks(call, kind):
    mask, error, message = WRONG[kind]
    with pytest.raises(error, match=message):
        CALLS[call](mask)


@pytest.mark.parametrize("call", CALLS)
def test_masks_of_numbers(call):
    for mask in (MASK, np.array(MASK), np.array(MASK, int).tolist(), np.array(MASK, float)):
        CALLS[call](mask)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float16"])
def test_a_mask_means_the_same_in_every_dtype(dtype):
    layer = layers.LSTM(2)
    x = np.random.default_rng(0).normal(size=X.shape).astype("f")
    expected = layer(x, mask=np.array(MASK))
    np.testing.assert_array_equal(layer(x, mask=np.array(MASK, dtype)), expected)
