"""Stateful layers in threads: one state has one user at a time."""

import copy
import os
import pickle
import sys
import threading

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Bidirectional, Dense, add
from cylstm.layers._turns import Turn, in_turn

THREADS, CALLS = 4, 400


@pytest.fixture(autouse=True)
def frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Counter(LSTM):
    """A layer whose state counts the steps, in Python."""

    def step(self, inputs, states):
        h, c = states[:2]
        return h + 1, [h + 1, c + 2]


def counting(cls=LSTM, **options):
    """A layer with the states h = c = the number of steps so far, whatever it reads."""
    layer = cls(
        2, activation="linear", recurrent_activation="hard_sigmoid", stateful=True,
        batch_input_shape=(1, None, 3), **options,
    )  # fmt: skip
    layer.build((1, None, 3))
    kernel, recurrent, bias = (np.zeros_like(w) for w in layer.get_weights())
    bias[:] = np.repeat([10, 10, 1, 10], 2)  # i = f = o = 1, g = 1
    layer.set_weights([kernel, recurrent, bias])
    return layer


def run_in_threads(*calls):
    """Each call CALLS times in THREADS threads; what they raised."""
    errors = []
    begin = threading.Barrier(THREADS * len(calls))

    def work(call):
        begin.wait()
        try:
            for _ in range(CALLS):
                call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in calls * THREADS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "the threads wait for each other"
    return errors


X = np.zeros((1, 2, 3), "float32")
ALL = THREADS * CALLS * 2  # the steps of one call in every thread


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}, {"return_sequences": True}], ids=str)
def test_no_update_is_lost(options):
    layer = counting(**options)
    assert run_in_threads(lambda: layer(X)) == []
    np.testing.assert_array_equal(layer.states, np.full((2, 1, 2), ALL))


def test_no_update_of_python_steps_is_lost():
    layer = counting(Counter)
    assert run_in_threads(lambda: layer(X)) == []
    np.testing.assert_array_equal(layer.states[0], [[ALL, ALL]])


def test_calls_gradients_and_resets_take_turns():
    layer = counting()
    assert run_in_threads(lambda: layer(X), lambda: layer.vjp(X)[1](np.ones((1, 2)))) == []
    np.testing.assert_array_equal(layer.states, np.full((2, 1, 2), 2 * ALL))
    seen = []

    def call():
        seen.append(layer(X)[0, 0])

    assert run_in_threads(call, layer.reset_states) == []
    assert {value % 2 for value in seen} == {0}
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), [[2, 2]])


def test_a_bidirectional_layer_is_used_as_a_whole():
    layer = Bidirectional(counting(), batch_input_shape=(1, None, 3))
    layer.build((1, None, 3))
    layer.set_weights(2 * counting().get_weights())
    seen = []

    def call():
        seen.append(layer(X)[0])

    def train():
        seen.append(layer.vjp(X)[0][0])

    assert run_in_threads(call, train) == []
    for layer_within in layer._sublayers():
        np.testing.assert_array_equal(layer_within.states, np.full((2, 1, 2), 2 * ALL))
    assert all((values == values[0]).all() for values in seen)
    assert run_in_threads(call, layer.reset_states) == []
    assert all((values == values[0]).all() for values in seen)


def two_layers():
    """A model that gives how many steps each of its two layers is at."""
    x = cylstm.Input(batch_shape=(1, None, 3))
    return cylstm.Model(x, [counting()(x), counting()(x)])


def test_a_model_is_used_as_a_whole():
    model = two_layers()
    seen = []

    def call():
        first, second = model(X)
        seen.append((first[0, 0], second[0, 0]))

    def train():
        first, second = model.vjp(X)[0]
        seen.append((first[0, 0], second[0, 0]))

    assert run_in_threads(call, train) == []
    assert sorted(seen) == [(n, n) for n in range(2, 4 * ALL // 2 + 2, 2)]
    assert run_in_threads(call, model.reset_states) == []
    assert all(first == second for first, second in seen)


def test_training_steps_take_turns():
    x = cylstm.Input(batch_shape=(1, None, 3))
    layer = counting(trainable=False)
    model = cylstm.Model(x, Dense(1)(layer(x)))
    model.compile("sgd", "mse")
    y = np.zeros((1, 1))
    assert run_in_threads(lambda: model.test_on_batch(X, y), lambda: layer(X)) == []
    np.testing.assert_array_equal(layer.states, np.full((2, 1, 2), 2 * ALL))


def test_a_layer_that_is_shared_does_not_wait_for_itself():
    x, z = (cylstm.Input(batch_shape=(1, None, 3)) for _ in range(2))
    layer = counting()
    inner = cylstm.Model(x, layer(x))
    model = cylstm.Model([x, z], add([layer(x), layer(z), inner(z)]))
    assert run_in_threads(lambda: model([X, X]), lambda: inner(X), lambda: layer(X)) == []
    np.testing.assert_array_equal(layer.states, np.full((2, 1, 2), 5 * ALL))


def test_models_that_share_layers_in_another_order_do_not_wait_for_each_other():
    x = cylstm.Input(batch_shape=(1, None, 3))
    first, second = counting(), counting()
    one = cylstm.Model(x, [first(x), second(x)])
    other = cylstm.Model(x, [second(x), first(x)])
    assert run_in_threads(lambda: one(X), lambda: other(X)) == []
    np.testing.assert_array_equal(first.states, np.full((2, 1, 2), 2 * ALL))


def test_a_call_within_a_call_goes_on():
    class Reentrant(Counter):
        def step(self, inputs, states):
            with in_turn(self):
                return super().step(inputs, states)

    layer = counting(Reentrant)
    layer(X)
    np.testing.assert_array_equal(layer.states[0], [[2, 2]])


def test_copies_have_turns_of_their_own():
    layer = counting()
    layer(X)
    with in_turn(layer):
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            thread = threading.Thread(target=twin, args=(X,), daemon=True)
            thread.start()
            thread.join(20)
            np.testing.assert_array_equal(twin.states[0], [[4, 4]])


def test_layers_without_states_never_wait():
    layer = LSTM(2)
    layer(X)
    with in_turn(layer), in_turn(Dense(1), cylstm.Sequential([layer])):
        thread = threading.Thread(target=layer, args=(X,), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_does_not_wait_for_threads_of_its_parent():
    layer = counting()
    held, done = threading.Event(), threading.Event()

    def hold():
        with in_turn(layer):
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    child = os.fork()
    if child == 0:  # pragma: no cover
        threading.Timer(20, os._exit, (1,)).start()
        os._exit(0 if (layer(X) == 2).all() else 2)
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    thread.join()


def test_turns_are_numbered():
    first, second = Turn(), Turn()
    assert first.number < second.number
