"""Which engine computes a layer, and that all of them compute the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import _core, activations
from cylstm.layers import _engines, streams

CHECKOUT = Path(cylstm.__file__).parents[1]
TESTS = Path(__file__).parents[1]
ELEMENTWISE = [name for name, number in _core.ACTIVATIONS.items() if number < _core.ROWWISE]


class Empty(cylstm.LSTM):
    """A subclass without ways of its own."""


class Stepwise(cylstm.LSTM):
    """With a step of its own."""

    def step(self, inputs, states):
        return super().step(inputs, states)


class Called(cylstm.LSTM):
    """With a call of its own, which goes on to the engine."""

    def call(self, inputs, **arguments):
        return super().call(inputs * 1, **arguments)


def cube(x):
    return x * x * x


@pytest.fixture(autouse=True)
def no_engine_is_forced(monkeypatch):
    monkeypatch.setattr(_engines, "_FORCED", "")


@pytest.mark.parametrize(
    ("cls", "options", "engine"),
    [
        *((cylstm.LSTM, {"activation": name}, "fused") for name in ELEMENTWISE),
        *((cylstm.LSTM, {"recurrent_activation": name}, "fused") for name in ELEMENTWISE),
        (cylstm.LSTM, {"activation": None}, "fused"),
        (cylstm.LSTM, {"activation": "softmax"}, "blas"),
        (cylstm.LSTM, {"recurrent_activation": "softmax"}, "blas"),
        (cylstm.LSTM, {"activation": cube}, "reference"),
        (cylstm.LSTM, {"activation": cube, "recurrent_activation": "softmax"}, "reference"),
        (Empty, {}, "fused"),
        (Empty, {"activation": "softmax"}, "blas"),
        (Called, {}, "fused"),
        (Stepwise, {}, "steps"),
        (Stepwise, {"activation": cube}, "steps"),
    ],
)
def test_the_engine_of_a_layer(cls, options, engine):
    assert cls(3, **options).engine == engine


def test_the_engine_follows_the_activation():
    layer = cylstm.LSTM(3)
    layer.activation = activations.softmax
    assert layer.engine == "blas"


@pytest.mark.parametrize("forced", ["fused", "blas", "reference"])
def test_an_engine_is_forced_where_it_can_compute_the_same(monkeypatch, forced):
    monkeypatch.setattr(_engines, "_FORCED", forced)
    assert cylstm.LSTM(3).engine == forced
    assert cylstm.LSTM(3, activation="softmax").engine == ("blas" if forced == "fused" else forced)
    assert cylstm.LSTM(3, activation=cube).engine == "reference"
    assert Stepwise(3).engine == "steps"


def results(layer, x, **given):
    outputs, pullback = layer.vjp(x, **given)
    gradients = pullback([np.cos(y) for y in outputs])
    return [*outputs, gradients.inputs, *gradients.initial_state, *gradients.weights]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 2, 5, 9])
@pytest.mark.parametrize("sequence", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu", "softmax"])
@pytest.mark.parametrize("dropout", [0, 0.5])
def test_engines_agree(monkeypatch, dtype, batch, sequence, activation, dropout):
    rng = np.random.default_rng(batch)
    x = rng.normal(size=(batch, 7, 5)).astype(dtype)
    given = {
        "mask": rng.random((batch, 7)) < 0.7,
        "initial_state": list(rng.normal(size=(2, batch, 19))),
        "training": True,
    }
    found = {}
    for forced in ("fused", "blas", "reference"):
        monkeypatch.setattr(_engines, "_FORCED", forced)
        layer = cylstm.LSTM(
            19, activation, "sigmoid", return_sequences=sequence, return_state=True, dtype=dtype,
            dropout=dropout, recurrent_dropout=dropout, implementation=batch % 3,
            go_backwards=batch == 5,
        )  # fmt: skip
        layer.build((None, None, 5))
        weights = np.random.default_rng(0)
        layer.set_weights([0.4 * weights.normal(size=w.shape) for w in layer.get_weights()])
        cylstm.utils.set_random_seed(1)
        found[forced] = results(layer, x, **given)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for forced in ("fused", "blas"):
        for result, expected in zip(found[forced], found["reference"], strict=True):
            scale = 1 + np.abs(expected).max()
            np.testing.assert_allclose(result / scale, expected / scale, rtol=0, atol=tolerance)


def test_streams_of_the_engines(monkeypatch):
    x = np.random.default_rng(3).normal(size=(2, 6, 4)).astype("float32")
    kinds = {"fused": streams.Stream, "blas": streams.Stream, "reference": streams.LayerStream}
    for forced, kind in kinds.items():
        monkeypatch.setattr(_engines, "_FORCED", forced)
        layer = Empty(5, return_sequences=True)
        whole = layer(x)
        stream = layer.stream(2)
        assert isinstance(stream, kind)
        frames = [stream(x[:, t]).copy() for t in range(6)]
        np.testing.assert_allclose(np.stack(frames, axis=1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masked", [True, False])
def test_threads_change_nothing_where_blas_computes(masked):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(16, 60, 32)).astype("float32")
    given = {"mask": rng.random((16, 60)) < 0.7} if masked else {}
    layer = cylstm.LSTM(64, activation="softmax", return_sequences=True)
    before, found = cylstm.get_num_threads(), []
    least = _core.set_least_work(0)
    try:
        for count in (1, 2, 4, 1, 2):
            cylstm.set_num_threads(count)
            y, pullback = layer.vjp(x, **given)
            gradients = pullback(np.cos(y))
            found.append([y, gradients.inputs, *gradients.weights])
    finally:
        cylstm.set_num_threads(before)
        _core.set_least_work(least)
    for result in found[1:]:
        for pair in zip(result, found[0], strict=True):
            np.testing.assert_array_equal(*pair)


def run(engine, *arguments):
    environment = os.environ | {"CYLSTM_ENGINE": engine, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, cwd=TESTS.parent, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["blas", "reference"])
def test_every_engine_passes_the_essential_tests(engine):
    modules = [TESTS / "test_tensorflow_lstm_cases.py"]
    result = run(engine, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, modules))
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_environment_variable():
    program = "import cylstm; print(cylstm.LSTM(2).engine)"
    for engine in ("fused", "blas", "reference"):
        assert run(engine, "-c", program).stdout == f"{engine}\n"
    assert run("", "-c", program).stdout == "fused\n"
    refused = run("steps", "-c", program)
    assert refused.returncode != 0
    assert "CYLSTM_ENGINE is 'steps': set it to fused, blas or reference" in refused.stderr
