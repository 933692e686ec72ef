"""Threads that cannot start: calls compute on those that there are, with the same bits."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cylstm
from cylstm import _core, _threads


@pytest.fixture(autouse=True)
def own_pool(monkeypatch):
    """Each test starts without a pool, and every call is worth one."""
    monkeypatch.setattr(_threads, "_pool", None)
    monkeypatch.setattr(_threads, "_count", 1)
    least = _core.set_least_work(0)
    yield
    _core.set_least_work(least)
    cylstm.set_num_threads(1)


def results():
    layer = cylstm.LSTM(70, return_sequences=True)
    layer.build((None, None, 11))
    rng = np.random.default_rng(0)
    layer.set_weights([0.3 * rng.normal(size=w.shape) for w in layer.get_weights()])
    found = []
    for batch in (29, 1):  # whose rows, and whose units, the threads share
        x = rng.normal(size=(batch, 12, 11)).astype("float32")
        y, pullback = layer.vjp(x)
        gradients = pullback(np.cos(y))
        stream = layer.stream(batch)
        frames = [stream(x[:, t]).copy() for t in range(5)]
        found += [layer(x), y, gradients.inputs, *gradients.weights, *frames]
    return found


class Limited:
    """Lets so many threads start, and then fails as the system does."""

    def __init__(self, monkeypatch, allowed, error):
        self.left, self.error, self.tried = allowed, error, 0
        start = threading.Thread.start

        def limited(thread):
            self.tried += 1
            if self.left == 0:
                raise self.error
            self.left -= 1
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)


ERRORS = [RuntimeError("can't start new thread"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=["limit", "memory"])
@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 4])
def test_a_call_computes_on_the_threads_that_started(monkeypatch, count, allowed, error):
    expected = results()
    limited = Limited(monkeypatch, allowed, error)
    cylstm.set_num_threads(count)
    for _ in range(3):
        for result, right in zip(results(), expected, strict=True):
            np.testing.assert_array_equal(result, right)
    assert limited.tried == min(allowed + 1, count - 1)  # no further try at every call
    assert cylstm.get_num_threads() == count
    monkeypatch.undo()
    cylstm.set_num_threads(count)  # another try
    before = threading.enumerate()  # those of earlier pools among them, which are about to end
    results()
    assert len(set(threading.enumerate()) - set(before)) == count - 1


def test_no_memory_for_the_pool(monkeypatch):
    expected = results()
    cylstm.set_num_threads(3)

    def none(threads):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(_core, "Pool", none)
        for result, right in zip(results(), expected, strict=True):
            np.testing.assert_array_equal(result, right)
        assert _threads.pool() is None
    assert _threads.pool().threads == 3


def test_an_interrupt_while_threads_start_reaches_the_caller(monkeypatch):
    expected = results()
    Limited(monkeypatch, 1, KeyboardInterrupt())
    cylstm.set_num_threads(4)
    with pytest.raises(KeyboardInterrupt):
        results()
    for result, right in zip(results(), expected, strict=True):
        np.testing.assert_array_equal(result, right)


# The end of the interpreter, in a process of its own ----------------------------------------------

PROGRAM = """
import atexit, os, threading
import numpy as np, cylstm

cylstm.set_num_threads(4)
layer = cylstm.LSTM(128, return_sequences=True)
x = np.random.default_rng(0).normal(size=(64, 50, 16)).astype("float32")
layer.build(x.shape)
cylstm.set_num_threads(1)
expected = layer(x).tobytes()
cylstm.set_num_threads(4)

def call(layer=layer, x=x, expected=expected, write=os.write):
    write(1, b"same " if layer(x).tobytes() == expected else b"different ")

class Last:
    def __del__(self, call=call):
        call()

{begin}
{end}
"""
BEGINS = {"no threads yet": "", "threads that run": "call()"}
ENDS = {
    "atexit": "atexit.register(call)",
    "a destructor": "last = Last()",
    "a thread that ends later": "threading.Timer(0.2, call).start()",
}


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("end", ENDS)
def test_calls_at_the_end_of_the_interpreter(begin, end):
    program = PROGRAM.format(begin=BEGINS[begin], end=ENDS[end])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["same"] * (2 if BEGINS[begin] else 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_that_may_start_no_threads(monkeypatch):
    cylstm.set_num_threads(2)
    expected = results()
    child = os.fork()
    if child == 0:  # pragma: no cover
        threading.Timer(30, os._exit, (1,)).start()
        Limited(monkeypatch, 0, ERRORS[0])
        os._exit(0 if all(map(np.array_equal, results(), expected)) else 2)
    assert os.waitpid(child, 0)[1] == 0
