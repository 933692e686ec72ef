"""A stream that one thread uses is refused to all others: nothing is read half written."""

import pickle
import threading
import time

import numpy as np
import pytest

import cylstm
from cylstm import _core, layers
from cylstm.models._chain_stream import ChainStream

IN_USE = "in use by another call: it serves one thread at a time"


def of_core(units=8):
    layer = layers.LSTM(units)
    layer.build((None, None, 3))
    return layer.stream(2)


def of_python(units=8):
    layer = layers.LSTM(units, activation="softmax")
    layer.build((None, None, 3))
    return layer.stream(2)


def of_dense():
    layer = layers.Dense(4)
    layer.build((None, 3))
    return layer.stream(2)


def of_model():
    model = cylstm.Sequential([layers.LSTM(4, input_shape=(None, 3)), layers.Dense(2)])
    return model.stream(2)


MAKERS = {"core": of_core, "python": of_python, "dense": of_dense, "model": of_model}
X = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")


def in_a_thread(function):
    """What a function returns, or raises, in another thread."""
    found = []

    def work():
        try:
            found.append(function())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    return found[0]


USES = {
    "call": lambda stream: stream(X),
    "state": lambda stream: stream.state,
    "set state": lambda stream: setattr(stream, "state", 0 * np.array(stream._state)),
    "reset": lambda stream: stream.reset(),
    "copy": lambda stream: stream.copy(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", MAKERS)
def test_whoever_holds_a_stream_has_it_alone(name, use):
    stream = MAKERS[name]()
    if use == "copy" and name == "dense":
        use = "reset"  # its copy reads nothing that a call writes
    if use == "set state" and name == "model":
        USES["set state"](stream)
    before = [state.copy() for state in stream._state]
    with stream.claim:
        error = in_a_thread(lambda: USES[use](stream))
        assert isinstance(error, RuntimeError)
        assert IN_USE in str(error)
        with pytest.raises(RuntimeError, match=IN_USE):
            USES[use](stream)  # nor does the same thread, in the middle of a step
    for state, right in zip(stream._state, before, strict=True):
        np.testing.assert_array_equal(state, right)
    USES[use](stream)


class Occupied:
    """An activation that waits in the middle of a step until others have tried."""

    def __init__(self):
        self.reached, self.released = threading.Event(), threading.Event()
        self.waits = False

    def __call__(self, x):
        if self.waits:
            self.reached.set()
            self.released.wait(60)
        return x


@pytest.mark.parametrize("kind", ["layer", "dense", "model"])
def test_a_step_that_takes_long(kind):
    slow = Occupied()
    layer = (layers.LSTM if kind == "layer" else layers.Dense)(4, activation=lambda x: x)
    layer.build((None, 3) if kind != "layer" else (None, None, 3))
    layer.set_weights([0.1 * np.ones(w.shape) for w in layer.get_weights()])
    stream = layer.stream(2)
    if kind == "model":
        stream = ChainStream([stream])
    expected = stream.copy()(X).copy()
    for part in [stream, *getattr(stream, "_streams", [])]:
        if hasattr(part, "_activation"):
            part._activation = slow
        if hasattr(part, "_layer"):
            part._layer.activation = slow  # the stream has a copy of the layer
    slow.waits, found = True, []
    thread = threading.Thread(target=lambda: found.append(stream(X)))
    thread.start()
    assert slow.reached.wait(60)
    for use in ("call", "reset", "state", "set state"):
        with pytest.raises(RuntimeError, match=IN_USE):
            USES[use](stream)
    slow.waits = False
    slow.released.set()
    thread.join(60)
    np.testing.assert_array_equal(found[0], expected)


def test_steps_without_the_lock_of_the_interpreter():
    # 8 * 2 * 300 * 303 operations: a step lets other threads run in the meantime
    layer = layers.LSTM(300)
    layer.build((None, None, 3))
    stream, twin = layer.stream(2), layer.stream(2)
    steps, refused = [0] * 4, [0] * 4
    begin, end = threading.Barrier(4), time.monotonic() + 60

    def work(i):
        begin.wait()
        while steps[i] + refused[i] < 50 or not any(refused) and time.monotonic() < end:
            try:
                stream(X * 1)  # a frame that is freed when the call ends
                steps[i] += 1
            except RuntimeError:
                refused[i] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(map(sum, zip(steps, refused, strict=True))) >= 50  # no other error
    assert any(refused)
    for _ in range(sum(steps)):
        twin(X)
    np.testing.assert_array_equal(stream.state, twin.state)


@pytest.mark.parametrize("name", MAKERS)
def test_a_call_that_fails_lets_the_stream_go(name):
    stream = MAKERS[name]()
    with pytest.raises((ValueError, TypeError)):
        stream(np.full((2, 3), "x"))
    with pytest.raises(ValueError, match="A frame must have the shape"):
        stream(np.zeros((5, 5, 5)))
    with stream.claim:
        pass
    stream(X)


def test_claims():
    claim = _core.Claim()
    with claim:
        with pytest.raises(RuntimeError, match=IN_USE), claim:
            pass
        with pickle.loads(pickle.dumps(claim)):  # a copy is nobody's
            pass
    with pytest.raises(KeyError), claim:
        raise KeyError
    with claim:
        pass
