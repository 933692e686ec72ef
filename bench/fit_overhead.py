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
from typing import Any

import numpy as np

import cylstm
from cylstm import _core, layers

LIMIT = 0.10


class MeasuredCell(_core.Cell):
    """A cell of the core, with the time in its two passes and in packing added up."""

    seconds = 0.0

    def forward(self, *args: Any) -> Any:
        """See `_core.Cell`."""
        start = time.perf_counter()
        try:
            return super().forward(*args)
        finally:
            MeasuredCell.seconds += time.perf_counter() - start

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """See `_core.Cell`."""
        start = time.perf_counter()
        try:
            return super().backward(*args, **kwargs)
        finally:
            MeasuredCell.seconds += time.perf_counter() - start


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

    _core.Cell = MeasuredCell
    model = made_model()
    model.fit(x[:64], y[:64], epochs=1, verbose=0)
    shares = []
    for epoch in range(arguments.epochs):
        MeasuredCell.seconds, start = 0.0, time.perf_counter()
        model.fit(x, y, batch_size=32, epochs=1, verbose=0)
        total = time.perf_counter() - start
        outside = total - MeasuredCell.seconds
        shares.append(outside / total)
        print(
            f"epoch {epoch}: {total * 1e3 / arguments.batches:.2f} ms a batch, of which "
            f"{outside * 1e3 / arguments.batches:.2f} outside the core: "
            f"{shares[-1]:.1%}"
        )
    print(f"least share outside the core: {min(shares):.1%} (limit {LIMIT:.0%})")
    return int(min(shares) > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
