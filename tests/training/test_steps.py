"""One batch: its gradients, what stays as it was after an error, and Ctrl-C while it runs."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.callbacks import LambdaCallback, TerminateOnNaN
from cylstm.training._interrupts import HeldInterrupt, WatchedInterrupt

X = np.sin(np.arange(96.0)).reshape(8, 4, 3)
Y = np.cos(np.arange(16.0)).reshape(8, 2)
F = {"dtype": "float64"}


def made_model(units=2, loss="mse", optimizer="sgd", **options):
    model = cylstm.Sequential(
        [
            layers.LSTM(3, input_shape=(None, 3), dtype="float64", name="lstm"),
            layers.Dense(units, dtype="float64", name="dense", **options.pop("dense", {})),
        ]
    )
    model.compile(optimizer, loss, **options)
    return model


def stateful_model(**options):
    model = cylstm.Sequential(
        [
            layers.LSTM(2, stateful=True, batch_input_shape=(4, 4, 3), dtype="float64"),
            layers.BatchNormalization(dtype="float64"),
        ]
    )
    model.compile("sgd", "mse", **options)
    return model


def everything(model):
    """All that a failed batch must leave alone."""
    states = [s.copy() for x in model.layers if getattr(x, "stateful", False) for s in x.states]
    return [*model.get_weights(), *states, np.array(model.optimizer.iterations)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------------- gradients


def numerical(function, variable):
    """Central differences with four points, for each element of a variable."""
    value, step = variable.numpy(), 1e-3
    result = np.empty_like(value)
    for place in np.ndindex(value.shape):
        total = 0.0
        for shift, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            moved = value.copy()
            moved[place] += shift * step
            variable.assign(moved)
            total += factor * function()
        result[place] = total / (12 * step)
    variable.assign(value)
    return result


def penalised():
    x = cylstm.Input((4, 3), **F)
    lstm = layers.LSTM(2, kernel_regularizer="l2", activity_regularizer="l2", **F)
    return cylstm.Model(x, layers.Dense(2, bias_regularizer="l1_l2", **F)(lstm(x)))


def within():
    """A model within a model, called twice, with penalties of activities."""
    a = cylstm.Input((3, 2), **F)
    h = layers.LSTM(2, return_sequences=True, activity_regularizer="l2", **F)(a)
    inner = cylstm.Model(a, h)
    x = cylstm.Input((3, 2), **F)
    h = inner(inner(layers.Masking(**F)(x)))
    return cylstm.Model(x, layers.LSTM(2, **F)(h))


def branching():
    a, b = cylstm.Input((3, 2), **F), cylstm.Input((3, 2), **F)
    shared = layers.Bidirectional(
        layers.LSTM(2, return_sequences=True, **F), merge_mode="sum", activity_regularizer="l2"
    )
    h = layers.Add(**F)([shared(a), shared(b)])
    first = layers.TimeDistributed(layers.Dense(2, **F), name="first")(h)
    encoded, *states = layers.LSTM(2, return_state=True, **F)(h)
    decoded = layers.LSTM(2, **F)(layers.RepeatVector(3, **F)(encoded), initial_state=states)
    return cylstm.Model([a, b], [first, decoded])


@pytest.mark.parametrize("make", [penalised, within, branching])
def test_gradients_of_the_whole_loss(make):
    cylstm.utils.set_random_seed(5)
    model = make()
    model.compile(cylstm.optimizers.SGD(lr=1.0), "logcosh")
    rng = np.random.default_rng(2)
    x = [rng.normal(size=(3, *shape.shape[1:])) for shape in model.inputs]
    x[0][1, 2:] = 0
    y = [rng.normal(size=(3, *shape.shape[1:])) for shape in model.outputs]
    weight = [np.array([1.0, 0.5, 2.0]) for _ in y]

    def loss():
        value = model.test_on_batch(x, y, weight)
        return value[0] if isinstance(value, list) else value

    expected = [numerical(loss, variable) for variable in model.trainable_weights]
    before = model.get_weights()
    model.train_on_batch(x, y, weight)
    for old, new, gradient in zip(before, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, rtol=1e-7, atol=1e-9)


# ---------------------------------------------------------------------- NaN


def with_nan():
    x = X.copy()
    x[5, 1, 1] = np.nan
    return x


def test_a_loss_that_is_nan_is_an_error_and_changes_nothing():
    model = stateful_model()
    model.fit(X, Y, verbose=0, epochs=1)
    before = everything(model)
    with pytest.raises(ValueError, match="The loss is NaN; the weights are as before this batch"):
        model.train_on_batch(with_nan()[4:], Y[4:])
    assert_same(before, everything(model))


def test_fit_keeps_what_it_learned_before_a_nan():
    model, other = made_model(), made_model()
    other.set_weights(model.get_weights())
    with pytest.raises(ValueError, match="The loss is NaN"):
        model.fit(with_nan(), Y, batch_size=4, shuffle=False, verbose=0)
    other.train_on_batch(X[:4], Y[:4])
    assert_same(everything(other), everything(model))


def test_terminate_on_nan_ends_training_without_an_error(capsys):
    model, other = made_model(), made_model()
    other.set_weights(model.get_weights())
    history = model.fit(
        with_nan(), Y, batch_size=4, shuffle=False, verbose=0, callbacks=[TerminateOnNaN()]
    )
    assert np.isnan(history.history["loss"]).tolist() == [True]
    assert "loss is nan" in capsys.readouterr().out
    other.train_on_batch(X[:4], Y[:4])
    assert_same(everything(other), everything(model))


def test_a_gradient_that_is_nan():
    @cylstm.losses.with_gradient(lambda t, p: np.full_like(p, np.nan))
    def flat(y_true, y_pred):
        return np.zeros(len(y_pred))

    model = made_model(loss=flat)
    before = everything(model)
    with pytest.raises(ValueError, match=r"The gradient of \w+/\w+ holds NaN at a loss of 0\.0"):
        model.train_on_batch(X, Y)
    assert_same(before, everything(model))


def test_evaluating_nan_is_no_error():
    assert np.isnan(made_model().evaluate(with_nan(), Y, verbose=0))


# ---------------------------------------------------------------------- whatever else fails


def test_an_error_within_a_batch_leaves_states_and_moving_statistics():
    def failing(y_true, y_pred):
        raise OSError("disk full")

    for train in ("train_on_batch", "test_on_batch"):
        model = stateful_model(metrics=[failing])
        before = everything(model)
        with pytest.raises(OSError, match="disk full"):
            getattr(model, train)(X[:4], Y[:4])
        assert_same(before, everything(model))


def test_a_constraint_that_fails_leaves_all_weights():
    def failing(w):
        raise ArithmeticError("no such projection")

    model = made_model(dense={"bias_constraint": failing})
    before = everything(model)
    with pytest.raises(ArithmeticError, match="no such projection"):
        model.train_on_batch(X, Y)
    assert_same(before, everything(model))


def test_a_loss_without_a_gradient_evaluates_and_does_not_train(without_autograd):
    model = made_model(loss=lambda t, p: np.abs(t - p).max(axis=-1))
    assert model.evaluate(X, Y, verbose=0) > 0
    before = everything(model)
    with pytest.raises(TypeError, match="has no derivative"):
        model.fit(X, Y, verbose=0)
    assert_same(before, everything(model))


# ---------------------------------------------------------------------- Ctrl-C

WEIGHTS = [np.cos(np.arange(n)).reshape(s) for n, s in [(36, (3, 12)), (36, (3, 12)), (12, 12)]]


@pytest.fixture(autouse=True)
def _restored_handler():
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c(*arguments):
    signal.raise_signal(signal.SIGINT)
    return np.zeros(1)


def interrupted_model(metrics=None):
    model = cylstm.Sequential(
        [layers.LSTM(3, input_shape=(4, 3), weights=WEIGHTS, dtype="float64")]
    )
    model.add(layers.Dense(2, kernel_initializer="ones", dtype="float64"))
    model.compile("adam", "mse", metrics=metrics)
    return model


def weights_after(batches):
    """The weights after so many batches of two, taken in order."""
    model = interrupted_model()
    for number in range(batches):
        rows = slice(2 * (number % 4), 2 * (number % 4) + 2)
        model.train_on_batch(X[rows], Y[rows])
    return model.get_weights()


def assert_trained(model, batches):
    assert model.optimizer.iterations == batches
    for got, expected in zip(model.get_weights(), weights_after(batches), strict=True):
        np.testing.assert_array_equal(got, expected)


def fit(model, **options):
    model.fit(X, Y, batch_size=2, shuffle=False, verbose=0, **options)


def test_the_batch_at_hand_is_finished():
    model = interrupted_model([press_ctrl_c])
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=3)
    assert_trained(model, 1)
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_history_has_the_epochs_that_ended():
    model = interrupted_model()

    def press_in_the_third(epoch, logs):
        if epoch == 2:
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=5, callbacks=[LambdaCallback(on_epoch_begin=press_in_the_third)])
    assert model.history.epoch == [0, 1]
    assert_trained(model, 8)
    fit(model, epochs=1)
    assert_trained(model, 12)


def test_training_on_one_batch():
    model = interrupted_model([press_ctrl_c])
    with pytest.raises(KeyboardInterrupt):
        model.train_on_batch(X[:2], Y[:2])
    assert_trained(model, 1)


def test_between_batches_ctrl_c_is_not_held():
    def stuck():
        yield X[:2], Y[:2]
        press_ctrl_c()
        raise AssertionError("Ctrl-C waited for the generator")

    model = interrupted_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(stuck(), steps_per_epoch=5, verbose=0)
    assert_trained(model, 1)


@pytest.mark.parametrize("delay", [0.003, 0.01, 0.02, 0.05])
def test_a_signal_at_any_time_leaves_whole_batches(delay):
    model = interrupted_model()
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    begin = LambdaCallback(on_train_begin=lambda logs: timer.start())
    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=10**6, callbacks=[begin])
    timer.join()
    assert_trained(model, model.optimizer.iterations)


def test_a_handler_of_ones_own_is_called_after_the_batch():
    seen = []
    model = interrupted_model([press_ctrl_c])
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(model.optimizer.iterations))
    fit(model, epochs=1)
    assert seen == [1, 2, 3, 4]


def test_ctrl_c_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model = interrupted_model([press_ctrl_c])
    fit(model, epochs=1)
    assert_trained(model, 4)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_an_error_of_the_batch_is_the_context_of_the_interrupt():
    def failing(y_true, y_pred):
        press_ctrl_c()
        raise OSError("disk full")

    with pytest.raises(KeyboardInterrupt) as caught:
        fit(interrupted_model([failing]))
    assert isinstance(caught.value.__context__, OSError)


def test_held_interrupts_nest():
    reached = []

    def nested():
        with HeldInterrupt():
            with HeldInterrupt():
                press_ctrl_c()
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert reached == [True]


def test_what_is_not_held_interrupts_at_once():
    handler = signal.getsignal(signal.SIGINT)
    reached = []

    def watched():
        with WatchedInterrupt():
            with HeldInterrupt():
                reached.append("held")
            press_ctrl_c()
            reached.append("too late")

    with pytest.raises(KeyboardInterrupt):
        watched()
    assert reached == ["held"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert WatchedInterrupt.current is None


def test_a_handler_that_a_callback_installs_stays():
    def own(*arguments):
        raise AssertionError

    before = signal.getsignal(signal.SIGINT)
    try:
        with WatchedInterrupt():
            signal.signal(signal.SIGINT, own)
            with HeldInterrupt():
                pass
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_train_without_touching_handlers():
    model, done = interrupted_model(), []

    def train():
        fit(model, epochs=2)
        done.append(True)

    thread = threading.Thread(target=train)
    handler = signal.getsignal(signal.SIGINT)
    thread.start()
    while thread.is_alive():
        assert signal.getsignal(signal.SIGINT) is handler
        time.sleep(0.001)
    assert done == [True]
    assert_trained(model, 8)


def test_states_are_whole_after_an_interrupted_prediction():
    class Pressing(layers.Layer):
        def call(self, inputs):
            press_ctrl_c()
            return inputs

    def made():
        first = layers.LSTM(2, stateful=True, return_sequences=True, batch_input_shape=(8, 4, 3))
        return cylstm.Sequential([first, Pressing(), layers.LSTM(2, stateful=True)])

    model = made()
    with pytest.raises(KeyboardInterrupt):
        model.predict(X)
    for layer in (model.layers[0], model.layers[2]):
        assert np.all(layer.states[0] != 0)
