"""Lookups: an LSTM behind an embedding reads a table, with the results that vectors give."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cylstm
from cylstm import layers, models
from cylstm.layers import _lookups

WORDS, WIDTH, STEPS = 9, 5, 13
rng = np.random.default_rng(8)
X = rng.integers(0, WORDS, (6, STEPS))


@pytest.fixture
def no_tables(monkeypatch):
    """A switch: from its call on vectors are read."""
    return lambda: monkeypatch.setattr(_lookups, "MOST_BYTES", -1)


@pytest.fixture
def tables(monkeypatch):
    """The tables that were made: their words."""
    made, make = [], _lookups.made_table

    def noted(cell, matrix):
        table = make(cell, matrix)
        made.append(None if table is None else len(table))
        return table

    monkeypatch.setattr(_lookups, "made_table", noted)
    return made


def model_of(reader, dtype="float64", words=WORDS, **options):
    cylstm.utils.set_random_seed(3)
    embedding = layers.Embedding(words, WIDTH, input_length=STEPS, dtype=dtype, **options)
    return models.Sequential([embedding, reader])


def lstm(units=4, dtype="float64", **options):
    return layers.LSTM(units, dtype=dtype, **options)


READERS = {
    "last output": lstm,
    "sequences": lambda: lstm(return_sequences=True),
    "backwards": lambda: lstm(go_backwards=True),
    "unrolled": lambda: lstm(unroll=True),
    "without a bias": lambda: lstm(use_bias=False),
    "many units": lambda: lstm(35),
    "both directions": lambda: layers.Bidirectional(lstm(return_sequences=True), dtype="float64"),
    "single precision": lambda: lstm(20, dtype="float32"),
}


def outputs_and_gradients(model, x):
    y, pullback = model.vjp(x)
    d_y = np.cos(np.arange(y.size).reshape(y.shape)).astype(y.dtype)
    return model(x), y, pullback(d_y).weights


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_results_are_those_of_vectors(reader, mask_zero, no_tables, tables):
    layer = reader()
    model = model_of(layer, layer.dtype, mask_zero=mask_zero)
    for weight in model.weights:  # biases that are not all the same
        weight.assign(rng.standard_normal(weight.shape))
    once, y, gradients = outputs_and_gradients(model, X)
    assert set(tables) == {WORDS}
    no_tables()
    of_vectors = outputs_and_gradients(model_like(model, reader, mask_zero), X)
    assert once.tobytes() == y.tobytes() == of_vectors[0].tobytes() == of_vectors[1].tobytes()
    tolerance = 1e-12 if layer.dtype == "float64" else 1e-5
    for one, other in zip(gradients, of_vectors[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def model_like(model, reader, mask_zero):
    layer = reader()
    other = model_of(layer, layer.dtype, mask_zero=mask_zero)
    other.set_weights(model.get_weights())
    return other


def test_gradients_are_those_of_finite_differences(tables):
    model = model_of(lstm(recurrent_activation="sigmoid", return_sequences=True), mask_zero=True)
    cotangent = rng.standard_normal((*X.shape, 4))
    _, pullback = model.vjp(X)
    gradients = pullback(cotangent).weights
    assert tables == [WORDS]
    for variable, gradient in zip(model.trainable_weights, gradients, strict=True):
        value = variable.value
        for place in [(0,) * value.ndim, tuple(n - 1 for n in value.shape), (2,) * value.ndim]:
            sums = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[place] += step
                variable.assign(moved)
                sums.append(float((model(X) * cotangent).sum()))
            variable.assign(value)
            assert gradient[place] == pytest.approx((sums[0] - sums[1]) / 2e-6, rel=1e-6, abs=1e-7)


def test_a_table_is_made_once_as_many_words_have_come_as_it_has(tables):
    model = model_of(lstm(), words=100)
    expected = model_like_vectors(model)
    for call in range(4):
        assert model(X[:3]).tobytes() == expected.tobytes()  # 39 words each
        assert tables == [100] * (call >= 2)
    model.predict(X, batch_size=2)
    assert tables == [100]
    weights = model.layers[1].get_weights()
    model.layers[1].set_weights([2 * w for w in weights])
    assert not np.array_equal(
        model(X[:3]), expected
    )  # the old one does not stand for the new weights
    model.layers[1].set_weights(weights)
    assert model(X[:3]).tobytes() == expected.tobytes()
    model.layers[0].set_weights([2 * model.layers[0].get_weights()[0]])
    assert not np.array_equal(model(X[:3]), expected)
    assert tables == [100]


def model_like_vectors(model):
    embedding, reader = model.layers
    return reader(embedding(X[:3]))


def test_training_does_not_depend_on_calls_before(tables):
    trained = []
    for calls in (0, 5):
        model = model_of(lstm(dtype="float32"), "float32", words=100)
        for _ in range(calls):
            model(X)
        model.compile("sgd", "mse")
        model.train_on_batch(X[:4], np.ones((4, 4)))
        trained.append(model.get_weights())
    assert tables == [100]
    for one, other in zip(*trained, strict=True):
        assert one.tobytes() == other.tobytes()


def test_in_training_the_words_of_a_batch_are_enough(tables, no_tables):
    """Few words of a large vocabulary, such as padding and the most frequent ones."""
    often = np.array([3, 7, 700])[rng.integers(0, 3, (30, STEPS))]
    rare = rng.integers(0, 1000, (30, STEPS))
    model = model_of(lstm(), words=1000)
    found = [pull(model, x) for x in (often, rare)]
    assert tables == [3]
    no_tables()
    for x, gradients in zip((often, rare), found, strict=True):
        for one, other in zip(gradients, pull(model, x), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def pull(model, x):
    y, pullback = model.vjp(x)
    return pullback(np.ones_like(y)).weights


def as_function(embedding, *readers, also=()):
    inputs = layers.Input((STEPS,))
    vectors = embedding(inputs)
    return models.Model(inputs, [reader(vectors) for reader in readers] + [vectors] * bool(also))


class Doubled(layers.Embedding):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Own(layers.LSTM):
    def call(self, inputs, mask=None):
        return super().call(inputs, mask)


def embedding(cls=layers.Embedding, **options):
    return cls(WORDS, WIDTH, dtype="float64", **options)


@pytest.mark.parametrize(
    "build",
    [
        lambda: as_function(embedding(), lstm(activation="softmax")),  # BLAS has no tables
        lambda: as_function(embedding(), lstm(activation=np.tanh)),
        lambda: as_function(embedding(), lstm(), lstm()),  # both read the vectors
        lambda: as_function(embedding(), lstm(), also=[1]),  # they are an output, too
        lambda: as_function(embedding(activity_regularizer="l2"), lstm()),
        lambda: as_function(embedding(Doubled), lstm()),
        lambda: as_function(embedding(), Own(4, dtype="float64")),
        lambda: as_function(embedding(), layers.LSTM(4, dtype="float32")),  # which is cast
    ],
)
def test_others_read_vectors(build, tables):
    model = build()
    expected = model.layers[2](model.layers[1](X))
    found = model(X)
    np.testing.assert_array_equal(found[0] if isinstance(found, list) else found, expected)
    assert WORDS not in tables


def test_dropout_reads_vectors(tables):
    for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
        model = model_of(lstm(**options))
        model(X, training=True)
        model.vjp(X, training=True)
        assert tables == []
        model(X)
        assert tables == [WORDS]
        tables.clear()


def test_a_large_table_is_not_made(tables, monkeypatch):
    monkeypatch.setattr(_lookups, "MOST_BYTES", WORDS * 16 * 8 - 1)
    model = model_of(lstm())
    expected = model_like_vectors(model)
    assert model(X[:3]).tobytes() == expected.tobytes()
    model(X)
    assert set(tables) == {None}
    monkeypatch.setattr(_lookups, "MOST_BYTES", WORDS * 16 * 8)
    model_of(lstm())(X)
    assert tables[-1] == WORDS


def test_states_go_on(tables, no_tables):
    """Of a stateful layer, which returns them, too."""

    def run():
        cylstm.utils.set_random_seed(3)
        inputs = layers.Input(batch_shape=(6, STEPS))
        reader = lstm(stateful=True, return_state=True)
        model = models.Model(inputs, reader(embedding()(inputs)))
        return [array.tobytes() for _ in range(2) for array in model(X)]

    found = run()
    assert tables == [WORDS]
    no_tables()
    assert run() == found


def test_copies_make_their_own(tables):
    model = model_of(lstm())
    expected = model(X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other(X).tobytes() == expected.tobytes()
    assert tables == [WORDS] * 3
    assert len(pickle.dumps(model)) < len(pickle.dumps(model_of(lstm()))) + 200


def test_indices_of_the_caller_are_copied():
    model, x = model_of(lstm()), X.copy()
    y, pullback = model.vjp(x)
    expected = pullback(np.ones_like(y)).weights
    x[:] = 10**9
    for one, other in zip(pullback(np.ones_like(y)).weights, expected, strict=True):
        assert one.tobytes() == other.tobytes()


def test_threads_share_a_model():
    """Also while the table is made."""
    model = model_of(lstm(24, dtype="float32", return_sequences=True), "float32", words=60)
    expected = model.layers[1](model.layers[0](X)).tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert {y.tobytes() for y in pool.map(model, [X] * 40)} == {expected}


def test_gradients_have_the_same_bits_on_any_number_of_threads():
    model = model_of(lstm(64, dtype="float32"), "float32")
    x = rng.integers(0, WORDS, (16, STEPS))
    before, found = cylstm.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            cylstm.set_num_threads(count)
            found.append(b"".join(gradient.tobytes() for gradient in pull(model, x)))
    finally:
        cylstm.set_num_threads(before)
    assert len(set(found)) == 1
