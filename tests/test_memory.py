"""Memory that is used again: nothing is shared while it is in use, and what waits is bounded."""

import gc
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import _core

FLOAT = np.dtype("float32")
LIMIT = 256 * 2**20

# In a process of its own: how much its peak grows by a call, in numbers per step, row and unit.
GROWTH = """
import resource, sys
import numpy as np, cylstm

def peak():
    try:  # a new process of Linux inherits the other number
        lines = open("/proc/self/status").read().split("VmHWM:")[1].split()
        return 1024 * int(lines[0])
    except OSError:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else 1024 * size

def infer(x):
    layer(x)

def train(x):
    y, pullback = layer.vjp(x, training=True)
    pullback(y)

layer = cylstm.LSTM(64)
x = np.ones((32, 2000, 4), "float32")
run = {"infer": infer, "train": train}[sys.argv[1]]
run(x[:, :5].copy())
before = peak()
run(x)
print((peak() - before) / (32 * 2000 * 64 * 4))
"""


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def nothing_kept():
    """Fill the list of waiting blocks with the smallest ones: none that a test wants is there."""
    blocks = [_core.Block(_core.LARGE) for _ in range(64)]
    del blocks


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5, 7), (100, 1000), (600, 1000)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_is_as_numpy_makes_it(shape, dtype):
    array = _core.empty(shape, np.dtype(dtype))
    assert (type(array), array.shape, array.dtype.name) == (np.ndarray, shape, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    array[...] = 3
    assert np.all(array == 3)


def test_the_next_array_of_nearly_that_size_has_the_memory():
    first = _core.empty((300, 1000), FLOAT)
    place = address(first)
    assert place % 64 == 0
    view = first[5:]
    del first
    other = _core.empty((300, 1000), FLOAT)
    assert address(other) != place  # a view still needs it
    del view
    assert address(_core.empty((290, 1000), FLOAT)) == place
    assert address(_core.empty((100, 1000), FLOAT)) != place


def test_what_waits_is_bounded():
    for size in (LIMIT + 4, LIMIT // 2 + 4, LIMIT // 3, LIMIT // 4, LIMIT // 5, LIMIT // 6):
        _core.Block(size)
        assert _core.kept_bytes() <= LIMIT
    _core.Block(LIMIT + 4)
    assert _core.kept_bytes() == 0
    blocks = [_core.Block(_core.LARGE + 4096 * i) for i in range(200)]
    del blocks
    assert 0 < _core.kept_bytes() <= 64 * (_core.LARGE + 4096 * 200)


def test_what_nobody_asks_for_is_freed():
    _core.Block(LIMIT // 2)
    waiting = _core.kept_bytes()
    assert waiting >= LIMIT // 2
    for _ in range(300):
        _core.Block(_core.LARGE)
    assert _core.kept_bytes() < LIMIT // 2


def test_sizes_that_cannot_be_had():
    for size in (2**62, 2**63 - 1):
        with pytest.raises(MemoryError, match=f"no memory for {size} bytes"):
            _core.Block(size)
    with pytest.raises(MemoryError, match=f"no memory for {2**64} elements"):
        _core.Block(2**64)
    with pytest.raises(TypeError, match="belongs to one process"):
        pickle.dumps(_core.Block(3))


def test_repeated_training_allocates_nothing_that_grows():
    layer = cylstm.LSTM(40, return_sequences=True)
    x = np.ones((20, 60, 30), FLOAT)

    def train():
        y, pullback = layer.vjp(x, training=True)
        return address(y), pullback(y).inputs.shape

    train()
    gc.collect()
    waiting = _core.kept_bytes()
    places = {train()[0] for _ in range(300)}
    assert _core.kept_bytes() <= 2 * waiting
    assert len(places) < 8


@pytest.mark.parametrize(("job", "least", "most"), [("infer", 0, 0.25), ("train", 5, 7)])
def test_what_a_call_needs_beyond_inputs_and_outputs(job, least, most):
    environment = os.environ | {"PYTHONPATH": str(Path(cylstm.__file__).parents[1])}
    command = [sys.executable, "-c", GROWTH, job]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert least <= float(run.stdout) <= most


def test_threads_never_share_memory():
    wrong = []

    def use(number):
        rng = np.random.default_rng(number)
        for _ in range(300):
            array = _core.empty((int(rng.integers(10, 60)), 1000), FLOAT)
            array[...] = number
            if not np.all(array == number):
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_child_of_a_fork_has_its_own():
    array = _core.empty((100, 1000), FLOAT)
    array[...] = 1
    child = os.fork()
    if child == 0:  # pragma: no cover
        array[...] = 2
        del array
        _core.empty((100, 1000), FLOAT)[...] = 3
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert np.all(array == 1)
