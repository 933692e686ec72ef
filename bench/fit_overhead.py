"""How much of an epoch of training is spent outside the compiled core.

    python bench/fit_overhead.py [--batches 40] [--epochs 5]

The model is LSTM(128) + Dense(10) on batches of 32 sequences of 100 steps of 64 numbers, float32,
trained with Adam on shuffled arrays. The time within the calls of the core is measured around
them; what is left is Python and NumPy: batches, the dense layer, loss, metrics, optimizer,
callbacks. The least share of all epochs counts: other programs only ever add to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import cylstm
from cylstm import layers
from cylstm.layers import _passes

LIMIT = 0.10


class Stopwatch:
    """Adds up the time within the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return measured


def measured_core(stopwatch: Stopwatch) -> SimpleNamespace:
    """The core with its two passes, and the packing of weights for them, measured."""
    names = [name for name in dir(_passes._core) if not name.startswith("__")]
    core = {name: getattr(_passes._core, name) for name in names}
    for name in ("lstm_forward", "lstm_backward", "pack_weights"):
        core[name] = stopwatch.around(core[name])
    return SimpleNamespace(**core)


def made_model() -> cylstm.Sequential:
    """The model of the benchmark, compiled."""
    model = cylstm.Sequential(
        [layers.LSTM(128, input_shape=(100, 64)), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> int:
    """Measure, print a line for each epoch, and return 1 if the share is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    count = 32 * arguments.batches
    x = rng.normal(size=(count, 100, 64)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, count)]

    stopwatch = Stopwatch()
    _passes._core = measured_core(stopwatch)
    model = made_model()
    model.fit(x[:64], y[:64], epochs=1, verbose=0)
    shares = []
    for epoch in range(arguments.epochs):
        stopwatch.seconds, start = 0.0, time.perf_counter()
        model.fit(x, y, batch_size=32, epochs=1, verbose=0)
        total = time.perf_counter() - start
        shares.append(1 - stopwatch.seconds / total)
        print(
            f"epoch {epoch}: {total * 1e3 / arguments.batches:.2f} ms a batch, of which "
            f"{(total - stopwatch.seconds) * 1e3 / arguments.batches:.2f} outside the core: "
            f"{shares[-1]:.1%}"
        )
    print(f"least share outside the core: {min(shares):.1%} (limit {LIMIT:.0%})")
    return int(min(shares) > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
