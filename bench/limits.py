"""What cylstm promises without comparing: the costs around the kernel, and of denormal numbers.

    python bench/limits.py [--rounds 15]

- One small call, (1, 1, 32, 64): its time less that of one more step of a long sequence, which is
  the kernel's alone. The same for a step of a stream.
- Numbers too small to be normal, which slow most libraries down 10 to 30 times: the time with such
  states, gradients, and products of inputs and weights, to that with ordinary numbers, alternating.

Prints a line for each figure with its limit, and returns 1 if one is above it.
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from collections.abc import Callable

import numpy as np

import cylstm

OUTSIDE = 5.0  # microseconds
DENORMAL = 1.2  # times an ordinary call
SHAPE = (32, 50, 32, 64)


def median_time(call: Callable[[], object], rounds: int) -> float:
    """Of one call, in seconds."""
    number = max(1, round(0.01 / min(timeit.repeat(call, number=1, repeat=5))))
    return statistics.median(timeit.repeat(call, number=number, repeat=rounds)) / number


def outside_the_kernel(rounds: int) -> dict[str, float]:
    """Microseconds of a call and of a stream's step beyond those of a step in the kernel."""
    layer = cylstm.layers.LSTM(64, recurrent_activation="sigmoid")
    x = np.random.default_rng(0).normal(size=(1, 101, 32)).astype("float32")
    frame = x[:, :1].copy()
    layer(frame)
    stream = layer.stream()
    short = median_time(lambda: layer(frame), rounds)
    step = (median_time(lambda: layer(x), rounds) - short) / 100
    streamed = median_time(lambda: stream(frame[:, 0]), rounds)
    return {
        "a call of (1, 1, 32, 64)": 1e6 * (short - step),
        "a step of a stream of (1, 1, 32, 64)": 1e6 * (streamed - step),
    }


def slowdown(dtype: str, train: bool, rounds: int) -> float:
    """The time with denormal numbers to that with ordinary ones."""
    tiny = float(np.finfo(dtype).smallest_normal) / 1024
    calls = [made_call(dtype, train, 1, 0.2), made_call(dtype, train, tiny, tiny**0.5)]
    times = [[median_time(call, 1) for call in calls] for _ in range(rounds)]
    return statistics.median(tiny / ordinary for ordinary, tiny in times)


def made_call(dtype: str, train: bool, scale: float, root: float) -> Callable[[], object]:
    """A call with states, bias and cotangents of size `scale`, inputs and kernels of `root`."""
    batch, timesteps, input_dim, units = SHAPE
    rng = np.random.default_rng(0)

    def numbers(size: float, *shape: int) -> np.ndarray:
        return (size * rng.normal(size=shape)).astype(dtype)

    layer = cylstm.layers.LSTM(units, dtype=dtype, return_sequences=True)
    layer.build((None, None, input_dim))
    *kernels, bias = layer.get_weights()
    layer.set_weights([*(numbers(root, *w.shape) for w in kernels), numbers(scale, *bias.shape)])
    x, d_outputs = numbers(root, batch, timesteps, input_dim), numbers(scale, *SHAPE[:2], units)
    states = [numbers(scale, batch, units) for _ in range(2)]

    def trained() -> object:
        _, pullback = layer.vjp(x, initial_state=states, training=True)
        return pullback(d_outputs)

    return trained if train else lambda: layer(x, initial_state=states)


def main() -> int:
    """Measure and print; 1 if a figure is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cylstm.set_num_threads(1)
    above = False
    for name, found in outside_the_kernel(rounds).items():
        print(f"{name}: {found:.2f} microseconds outside the kernel (limit {OUTSIDE:g})")
        above |= found > OUTSIDE
    for dtype in ("float32", "float64"):
        for train in (False, True):
            found = slowdown(dtype, train, rounds)
            job = "training on" if train else "a call with"
            print(f"{dtype}, {job} denormal numbers: {found:.2f} times (limit {DENORMAL:g})")
            above |= found > DENORMAL
    return int(above)


if __name__ == "__main__":
    raise SystemExit(main())
