"""Sizes that cannot be had: a MemoryError or ValueError, before anything is written."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import cylstm
from cylstm import _core

UNITS = 4
CUBE = cylstm.activations.with_derivative(lambda x: 3 * x**2)(lambda x: x**3)
TOO_LARGE = (MemoryError, ValueError)
LAYERS = {
    "short way": {},
    "sequences": {"return_sequences": True},
    "dropout": {"dropout": 0.5, "recurrent_dropout": 0.5, "return_sequences": True},
    "softmax": {"activation": "softmax", "return_sequences": True},
    "custom": {"activation": CUBE, "return_sequences": True},
}
# batch and timesteps: products of 2**64 and more, or bytes of 2**63 and more
SHAPES = [(1, 2**60), (2**60, 1), (2**30, 2**30), (1, 2**58), (3, 2**58), (2**57, 1)]


def made(**options):
    layer = cylstm.LSTM(UNITS, **options)
    layer.build((None, None, 1))
    return layer


def spread(batch, timesteps, dtype="float32"):
    """An array of this shape that takes four bytes."""
    return np.broadcast_to(np.zeros((1, 1, 1), dtype), (batch, timesteps, 1))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_layer_writes_past_its_memory(kind, shape):
    layer, x = made(**LAYERS[kind]), spread(*shape)
    for training in (False, True):
        with pytest.raises(TOO_LARGE):
            layer.vjp(x, training=training)
        if layer.return_sequences or shape[0] > 2**31:
            with pytest.raises(TOO_LARGE):
                layer(x, training=training)


@pytest.mark.parametrize(
    ("dtype", "timesteps", "units"), [("float32", 2**60, 8), ("float64", 2**59, 16)]
)
def test_the_product_that_was_zero(dtype, timesteps, units):
    # the cache has 6 * timesteps * units = 3 * 2**64 numbers: as many as no array of 64 bits
    assert 6 * timesteps * units % 2**64 == 0
    layer = cylstm.LSTM(units, dtype=dtype)
    layer.build((None, None, 1))
    with pytest.raises(MemoryError):
        layer.vjp(spread(1, timesteps, dtype))


def test_an_empty_cache_is_not_taken_for_that_of_so_many_steps():
    layer = cylstm.LSTM(8)
    layer.build((None, None, 1))
    with pytest.raises(ValueError, match=r"cache has the shape \(0,\)"):
        layer._current_cell().backward(
            spread(1, 2**60), None, None, None, None, False, False, lambda: None,
            cache=np.empty(0, "f"), d_outputs=None, d_final_h=None, d_final_c=None, d_states=False,
        )  # fmt: skip


def test_a_stream_of_too_many_sequences():
    layers = made(), made(activation="softmax"), made(activation=CUBE)
    for layer in layers:
        for size in (2**44, 2**61, 2**62, 2**63, 2**70):
            with pytest.raises(TOO_LARGE):
                layer.stream(size)


def test_arrays_and_blocks():
    for shape in [(2**40, 2**40), (2**70,), (2**31, 2**31, 2**31), (2**63 - 1, 8), (2**62,)]:
        with pytest.raises(MemoryError, match="no memory for"):
            _core.empty(shape, np.dtype("float32"))
    with pytest.raises(ValueError, match="negative dimensions"):
        _core.empty((-1, 3), np.dtype("float32"))
    with pytest.raises(ValueError, match="a block has at least 0 bytes, got -1"):
        _core.Block(-1)
    assert memoryview(_core.Block(0)).nbytes == 0


@pytest.mark.parametrize("threads", [0, -1, -(2**70), _core.MOST_THREADS + 1, 2**31, 2**70])
def test_a_pool_of_so_many_threads(threads):
    with pytest.raises(ValueError, match=f"a pool has 1 to 256 threads, got {threads}"):
        _core.Pool(threads)


def test_set_num_threads_names_the_most():
    before = cylstm.get_num_threads()
    for count in (257, 2**31, 2**70):
        with pytest.raises(ValueError, match=f"count may be 256 at most, got {count}"):
            cylstm.set_num_threads(count)
    assert cylstm.get_num_threads() == before


@pytest.mark.parametrize("given", ["257", str(2**31)])
def test_the_environment_variable_names_the_most(given):
    program = "import cylstm; cylstm.get_num_threads()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"CYLSTM_NUM_THREADS": given},
        capture_output=True,
        text=True,
    )
    message = f"CYLSTM_NUM_THREADS is '{given}': set it to an integer from 1 to 256"
    assert re.search(message, done.stderr), done.stderr


def test_sizes_that_just_do_not_fit_leave_nothing_behind():
    layer = made(return_sequences=True)
    waiting = _core.kept_bytes()
    for _ in range(20):
        with pytest.raises(MemoryError):
            layer.vjp(spread(1, 2**56))
    assert _core.kept_bytes() <= waiting
    assert layer(np.zeros((2, 3, 1))).shape == (2, 3, UNITS)
