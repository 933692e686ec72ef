"""Where random numbers come from: `numpy.random` as in Keras, or `set_random_seed`."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

import cylstm
from cylstm import _random, layers, testing, utils
from cylstm.preprocessing import sequence

# set_random_seed


def test_the_default_generator_restarts_from_a_seed():
    numbers = []
    for seed in (3, 3, 4):
        utils.set_random_seed(seed)
        numbers.append(_random.default_generator().random(4).tolist())
    assert numbers[0] == numbers[1] != numbers[2]


def test_the_default_generator_goes_on():
    utils.set_random_seed(3)
    generator = _random.default_generator()
    first = _random.default_generator().random()
    assert _random.generator() is _random.default_generator() is generator
    assert _random.generator(None).random() != first


def test_seeded_generators_are_fresh():
    utils.set_random_seed(0)
    expected = _random.default_generator().random()
    utils.set_random_seed(0)
    assert _random.generator(5).random() == _random.generator(np.int32(5)).random()
    assert _random.generator(5).random() != _random.generator(6).random()
    assert _random.default_generator().random() == expected


@pytest.mark.parametrize("seed", [-1, -(2**40), 0, 2**63, 2**100])
def test_any_integer_is_a_seed(seed):
    assert _random.generator(seed).random() == _random.generator(seed).random()
    utils.set_random_seed(seed)


@pytest.mark.parametrize("seed", [1.5, "1", [1], None])
def test_other_seeds_are_refused_and_change_nothing(seed):
    utils.set_random_seed(1)
    before = _random.default_generator()
    with pytest.raises(TypeError, match="a seed is an integer"):
        utils.set_random_seed(seed)
    if seed is not None:
        with pytest.raises(TypeError, match="a seed is an integer or None"):
            _random.generator(seed)
    assert _random.default_generator() is before


def test_the_generators_of_numpy_are_left_alone():
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    utils.set_random_seed(8)
    train()
    assert np.random.random() == expected


def test_a_seed_for_a_while():
    with _random.seeded(4):
        first = _random.default_generator().random()
        with pytest.raises(IndexError, match="not there"), _random.seeded(5):
            raise IndexError("not there")
        second = _random.default_generator().random()
    assert _random._default is None
    with _random.seeded(4):
        assert [_random.default_generator().random() for _ in range(2)] == [first, second]


def test_a_gradient_check_leaves_the_seeds_alone():
    layer = layers.Dropout(0.5, dtype="float64")
    testing.gradient_error(layer, np.ones((2, 3)), training=True)
    assert _random._default is None


# numpy.random


def made_model():
    model = cylstm.Sequential(
        [
            layers.Embedding(9, 4, input_length=6),
            layers.GaussianNoise(0.1),
            layers.LSTM(5, dropout=0.25, recurrent_dropout=0.25),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return model


X = np.arange(96).reshape(16, 6) % 9
Y = np.sin(np.arange(16.0))


def train(model=None):
    """The weights at the end, and the losses: what depends on all that is random in training."""
    model = model or made_model()
    history = model.fit(X, Y, batch_size=3, epochs=3, verbose=0)
    return [w.tolist() for w in model.get_weights()], history.history["loss"]


def test_a_seed_before_everything_repeats_a_training():
    results = []
    for seed in (7, 7, 8):
        np.random.seed(seed)
        results.append(train())
    assert results[0] == results[1] != results[2]


def test_a_seed_after_the_model_was_made_repeats_shuffling_and_dropout():
    model = made_model()
    start, results = model.get_weights(), []
    for _ in range(2):
        model.set_weights(start)
        model.compile("adam", "mse")
        np.random.seed(7)
        results.append(train(model))
    model.set_weights(start)
    model.compile("adam", "mse")
    assert results[0] == results[1] != train(model)


PROGRAM = """
import json, sys
import numpy as np
if sys.argv[1] == "early":
    np.random.seed(7)
import cylstm
from cylstm.layers import LSTM, Dense
if sys.argv[1] == "late":
    np.random.seed(7)
model = cylstm.Sequential([LSTM(4, input_shape=(5, 2), dropout=0.5), Dense(1)])
model.compile("sgd", "mse")
x = np.sin(np.arange(160.0)).reshape(16, 5, 2)
model.fit(x, x[:, 0, :1], batch_size=4, epochs=2, verbose=0)
json.dump([w.tolist() for w in model.get_weights()], sys.stdout)
"""


def run_program(seeding):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, seeding], capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def test_seeds_repeat_a_training_in_another_process():
    early = run_program("early")
    assert early == run_program("early") == run_program("late")
    assert early != run_program("never")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: cylstm.initializers.get("orthogonal")((3, 4)).tolist(),
        lambda: cylstm.initializers.get("truncated_normal")((3, 4)).tolist(),
        lambda: layers.Dropout(0.5)(np.ones((5, 8)), training=True).tolist(),
        lambda: layers.SpatialDropout1D(0.5)(np.ones((5, 3, 8)), training=True).tolist(),
        lambda: layers.GaussianNoise(0.5)(np.ones((5, 8)), training=True).tolist(),
        lambda: sequence.skipgrams(range(1, 9), 9),
        lambda: sequence.TimeseriesGenerator(X, X, 2, shuffle=True, batch_size=8)[0][0].tolist(),
    ],
    ids="orthogonal truncated dropout spatial noise skipgrams windows".split(),
)
def test_each_draw_takes_its_seed_from_numpy(draw):
    results = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        results.append([draw(), draw()])
    assert results[0] == results[1] != results[2]
    assert results[0][0] != results[0][1]


class Batches(utils.Sequence):
    def __init__(self):
        self.seen = []

    def __len__(self):
        return 8

    def __getitem__(self, index):
        self.seen.append(index)
        return X[index : index + 2], Y[index : index + 2]


def test_the_order_of_a_sequence_takes_its_seed_from_numpy():
    orders = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        batches = Batches()
        made_model().fit_generator(batches, epochs=2, verbose=0)
        orders.append(batches.seen)
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted([*range(8), *range(8)])


def test_a_draw_moves_the_stream_of_numpy_on_by_eight_bytes():
    np.random.seed(5)
    np.random.bytes(8)
    expected = np.random.random()
    np.random.seed(5)
    _random.default_generator().random(1000)
    assert np.random.random() == expected


def test_what_draws_nothing_leaves_the_stream_of_numpy_alone():
    model = made_model()
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    model.predict(X)
    model.evaluate(X, Y, verbose=0)
    cylstm.initializers.Orthogonal(seed=3)((2, 3))
    layers.Dropout(0.5, seed=3)(np.ones((2, 3)), training=True)
    assert np.random.random() == expected


def test_threads_draw_different_numbers():
    barrier = threading.Barrier(8)
    seen = []

    def work():
        barrier.wait()
        seen.extend(_random.default_generator().random() for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1600


def test_threads_share_the_generator_of_a_seed():
    utils.set_random_seed(1)
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(_random.default_generator())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(generator) for generator in seen}) == 1


def test_a_seed_within_a_with_statement_is_of_one_thread():
    """So that trainings in several threads are each repeatable."""
    inside, outside = threading.Event(), threading.Event()
    drawn = []

    def other():
        inside.wait(10)
        with _random.seeded(4):
            drawn.append(_random.default_generator().random())
            _random.set_random_seed(5)
            drawn.append(_random.default_generator().random())
        outside.set()

    thread = threading.Thread(target=other)
    thread.start()
    with _random.seeded(4):
        first = _random.default_generator().random()
        inside.set()
        assert outside.wait(10)
        second = _random.default_generator().random()
    thread.join()
    generator = _random.generator(4)
    assert [first, second] == [generator.random(), generator.random()]
    assert drawn == [first, _random.generator(5).random()]
    assert _random._default is None
