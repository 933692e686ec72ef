"""Gradients that stay rows within training: to the last bit what arrays give."""

import copy

import numpy as np
import pytest

import cylstm
from cylstm import Variable, _core, constraints, layers, models, optimizers
from cylstm._rows import Rows

WORDS, WIDTH, STEPS = 50, 6, 7
OPTIMIZERS = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam"]
rng = np.random.default_rng(5)
X = rng.integers(0, WORDS // 2, (12, STEPS))  # half of the rows are never looked up
Y = rng.integers(0, 2, (12, 1)).astype("float64")


@pytest.fixture(autouse=True)
def shared_by_threads():
    """Also of arrays as small as here."""
    least = _core.set_least_elements(0)
    yield
    _core.set_least_elements(least)


def ended(inputs, vectors, dtype):
    """LSTM and Dense on top."""
    h = layers.LSTM(4, dtype=dtype)(vectors)
    return models.Model(inputs, layers.Dense(1, activation="sigmoid", dtype=dtype)(h))


def plain(dtype, **options):
    inputs = layers.Input((STEPS,), dtype="int32")
    return ended(inputs, layers.Embedding(WORDS, WIDTH, dtype=dtype, **options)(inputs), dtype)


def shared(dtype):
    inputs, embedding = layers.Input((STEPS,)), layers.Embedding(WORDS, WIDTH, dtype=dtype)
    backwards = layers.Lambda(lambda x: x[:, ::-1], dtype=dtype)(inputs)
    both = layers.add([embedding(inputs), embedding(backwards)])
    return ended(inputs, both, dtype)


def read_elsewhere(dtype):
    """A layer of the user's own ends in the vectors: a gradient that is an array."""
    inputs, embedding = layers.Input((STEPS,)), layers.Embedding(WORDS, WIDTH, dtype=dtype)
    vectors = embedding(inputs)
    scaled = layers.Lambda(lambda x: x * embedding.embeddings[1:2, :1], dtype=dtype)(vectors)
    return ended(inputs, scaled, dtype)


def within(dtype):
    inner = models.Sequential([layers.Embedding(WORDS, WIDTH, dtype=dtype, input_length=STEPS)])
    inputs = layers.Input((STEPS,))
    return ended(inputs, inner(inputs), dtype)


def each_timestep(dtype):
    inputs = layers.Input((STEPS, 1))
    vectors = layers.TimeDistributed(layers.Embedding(WORDS, WIDTH, dtype=dtype), dtype=dtype)(
        inputs
    )
    return ended(inputs, layers.Reshape((STEPS, WIDTH), dtype=dtype)(vectors), dtype)


MODELS = {
    "plain": plain,
    "masked": lambda dtype: plain(dtype, mask_zero=True),
    "penalised": lambda dtype: plain(dtype, embeddings_regularizer="l2"),
    "activity": lambda dtype: plain(dtype, activity_regularizer="l1"),
    "constrained": lambda dtype: plain(dtype, embeddings_constraint="max_norm"),
    "shared": shared,
    "read elsewhere": read_elsewhere,
    "within": within,
    "each timestep": each_timestep,
}


def trained(build, optimizer, dtype, arrays, monkeypatch, steps=4):
    """The weights and the optimizer's after some steps; by arrays or by rows."""
    cylstm.utils.set_random_seed(3)
    model = build(dtype)
    model.compile(optimizer, "binary_crossentropy")
    x = X[..., None] if len(model.input_shape) == 3 else X
    with monkeypatch.context() as patch:
        if arrays:
            patch.setattr(Rows, "summed", as_an_array)
        losses = [model.train_on_batch(x[i : i + 3], Y[i : i + 3]) for i in range(0, 3 * steps, 3)]
    return [*model.get_weights(), *model.optimizer.get_weights(), np.array(losses)]


def as_an_array(indices, values, length):
    whole = np.zeros((length, values.shape[1]), values.dtype)
    np.add.at(whole, indices, values)
    return whole


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_models_train_as_with_arrays(build, dtype, monkeypatch):
    by_rows = trained(build, optimizers.Adam(0.01), dtype, False, monkeypatch)
    by_arrays = trained(build, optimizers.Adam(0.01), dtype, True, monkeypatch)
    assert_same_bits(by_rows, by_arrays)


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.01}, {"clipvalue": 0.001}], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_train_as_with_arrays(name, clip, monkeypatch):
    momentum = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {}
    made = [getattr(optimizers, name)(**momentum, **clip) for _ in range(2)]
    by_rows = trained(plain, made[0], "float32", False, monkeypatch)
    assert_same_bits(by_rows, trained(plain, made[1], "float32", True, monkeypatch))
    if clip:  # it did clip
        unclipped = getattr(optimizers, name)(**momentum)
        other = trained(plain, unclipped, "float32", False, monkeypatch)
        assert not np.array_equal(other[0], by_rows[0])


def test_an_embedding_gives_rows_to_training_and_arrays_to_everybody_else():
    layer = layers.Embedding(WORDS, WIDTH)
    y, pullback = layer.vjp(X)
    (whole,) = pullback(np.ones_like(y)).weights
    (rows,) = pullback.by_rows(np.ones_like(y)).weights
    assert type(whole) is np.ndarray
    assert isinstance(rows, Rows)
    assert len(rows.indices) == len(np.unique(X))
    assert whole.tobytes() == np.asarray(rows).tobytes()


def test_rows_reach_the_optimizer(monkeypatch):
    """And where a penalty adds to them, an array does."""
    seen = []

    class Watched(optimizers.Adam):
        def apply(self, gradients, variables):
            seen.append([type(g) for g in gradients])
            super().apply(gradients, variables)

    for options in ({}, {"embeddings_regularizer": "l2"}):
        model = plain("float32", **options)
        model.compile(Watched(), "binary_crossentropy")
        model.train_on_batch(X[:4], Y[:4])  # fewer words than rows: those of all are an array
    assert seen[0][0] is Rows
    assert {t for kinds in (seen[0][1:], seen[1]) for t in kinds} == {np.ndarray}


def test_a_subclass_with_an_update_of_its_own_is_given_arrays():
    class Half(optimizers.Adam):
        def update(self, gradient, state, *numbers):
            assert type(gradient) is np.ndarray
            super().update(gradient, state, *numbers)
            state.delta *= 0.5

    start, gradient = np.ones((4, 3)), np.zeros((4, 3))
    gradient[[1, 2]] = 3.0
    rows = Rows.summed(np.array([1, 2]), np.full((2, 3), 3.0), 4)
    whole, half = (Variable(start, dtype="float64") for _ in range(2))
    optimizers.Adam(0.1).apply([gradient], [whole])
    Half(0.1).apply([rows], [half])
    np.testing.assert_allclose(half.value, 1 - (1 - whole.value) / 2, rtol=1e-12)


def test_rows_are_checked_as_arrays_are():
    rows = Rows.summed(np.array([1]), np.ones((1, 3)), 4)
    with pytest.raises(ValueError, match=r"has shape \(4, 3\), expected \(5, 3\)"):
        optimizers.Adam().apply([rows], [Variable(np.ones((5, 3)), dtype="float64")])
    single = Variable(np.ones((4, 3)))  # of another dtype: as an array would be
    optimizers.SGD(lr=1.0).apply([rows], [single])
    assert single.value.tolist() == [[1.0] * 3, [0.0] * 3, [1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_that_is_nan_changes_nothing(dtype):
    """The loss is a number and its derivative is none."""

    @cylstm.losses.with_gradient(lambda y_true, y_pred: y_pred * np.nan)
    def odd(y_true, y_pred):
        return (y_pred - y_true)[..., 0]

    model = models.Sequential(
        [layers.Embedding(WORDS, 1, dtype=dtype, input_length=STEPS), layers.Flatten(dtype=dtype)]
    )
    model.compile("adam", odd)
    before = model.get_weights()
    with pytest.raises(ValueError, match="gradient of embedding.* holds NaN"):
        model.train_on_batch(X, np.zeros((12, STEPS)))
    assert_same_bits(model.get_weights(), before)
    assert model.optimizer.get_weights() == []


def test_training_goes_on_from_a_state_that_was_saved(tmp_path, monkeypatch):
    cylstm.utils.set_random_seed(3)
    model = plain("float32")
    model.compile(optimizers.Adam(0.01), "binary_crossentropy")
    model.train_on_batch(X[:6], Y[:6])
    model.save(str(tmp_path / "model.safetensors"))
    loaded = models.load_model(str(tmp_path / "model.safetensors"))
    copied = copy.deepcopy(model.optimizer)
    for one in (model, loaded):
        one.train_on_batch(X[6:], Y[6:])
    assert_same_bits(loaded.get_weights(), model.get_weights())
    assert_same_bits(loaded.optimizer.get_weights(), model.optimizer.get_weights())
    assert copied.iterations == 1
    assert not np.array_equal(copied.get_weights()[1], model.optimizer.get_weights()[1])


def test_slots_are_as_before_where_a_constraint_fails():
    """They are overwritten in place only where nothing can fail any more."""
    fails = []

    def constraint(w):
        if fails:
            raise ArithmeticError("no")
        return w

    free, bound = Variable(np.ones((4, 3))), Variable(np.ones(2), constraint=constraint)
    rows = Rows.summed(np.array([1]), np.ones((1, 3), "float32"), 4)
    optimizer = optimizers.Adam()
    optimizer.apply([rows, np.ones(2)], [free, bound])
    before = [free.numpy(), bound.numpy(), *optimizer.get_weights()]
    fails.append(True)
    with pytest.raises(ArithmeticError):
        optimizer.apply([rows, np.ones(2)], [free, bound])
    assert_same_bits([free.numpy(), bound.numpy(), *optimizer.get_weights()], before)


def test_constraints_and_none_give_the_same_slots():
    """In place or not."""
    weights = []
    for constraint in (None, constraints.MaxNorm(1e9)):
        variable = Variable(np.ones((4, 3)), constraint=constraint)
        optimizer = optimizers.Adam(0.1)
        for step in range(3):
            rows = Rows.summed(np.array([1, step]), np.ones((2, 3), "float32"), 4)
            optimizer.apply([rows], [variable])
        weights.append([variable.numpy(), *optimizer.get_weights()])
    assert_same_bits(weights[0][1:], weights[1][1:])
    np.testing.assert_allclose(weights[0][0], weights[1][0], rtol=1e-6)


def test_who_holds_an_old_value_keeps_it():
    variable, optimizer = Variable(np.ones((4, 3))), optimizers.Adam()
    old, copied = variable.value, variable.numpy()
    optimizer.apply([np.ones((4, 3), "float32")], [variable])
    assert_same_bits([old], [copied])
    assert not variable.value.flags.writeable
    assert variable.version == 1
