"""``bench``: how fast an LSTM is on this machine, for shapes of one's own."""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cylstm import _threads
from cylstm._version import __version__
from cylstm.cli import _machine
from cylstm.cli._arguments import add_json, number, whole
from cylstm.cli._text import Rows, UsageError, json_text, say, show
from cylstm.layers import LSTM, _engines

__all__ = ["add_to", "run"]

_SHAPES = ("1,100,64,128", "32,100,64,128", "64,50,256,512")
_MODES = ("step", "forward", "train")
_ROUNDS = 9  # at least, and an odd number: the median is one of them
_SHORTEST = 0.002  # seconds of a round: far more than the clock's own
_UNSTEADY = 1.25  # the slow quarter of the rounds to the median, from which on it is said


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Measure an LSTM on this machine: `step`, one frame through a stream; "
        "`forward`, whole sequences, with all outputs; `train`, those and the gradients of inputs "
        "and weights. A time is the median of rounds. The last column compares the rate of "
        "multiply-adds with that of NumPy's product of two large matrices, on as many threads: the "
        "CPU can do at least that, perhaps some more. The comparison with other libraries is "
        "in bench/ of the sources."
    )
    parser.epilog = (
        "examples: cylstm bench; cylstm bench 1,1,40,256 --mode step; cylstm bench "
        "32,100,64,128 --threads 1 --dtype float64 --json"
    )
    parser.add_argument(
        "shapes",
        nargs="*",
        metavar="B,T,D,U",
        help=f"batch, timesteps, features, units; default {' '.join(_SHAPES)}",
    )
    parser.add_argument(
        "--mode", choices=_MODES, action="append", help="may be given several times; default all"
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="default: as many as calls use, see `cylstm info`",
    )
    parser.add_argument(
        "--seconds",
        type=number(1e-3, 3600),
        default=1.0,
        help="of each measurement, at least; default 1",
    )
    add_json(parser)
    parser.set_defaults(run=run)


class _Shape(NamedTuple):
    batch: int
    timesteps: int
    features: int
    units: int

    def operations(self, mode: str) -> int:
        """Multiplications and additions of the products."""
        steps = 1 if mode == "step" else self.timesteps
        once = 2 * self.batch * steps * 4 * self.units * (self.features + self.units)
        return 3 * once if mode == "train" else once


def run(options: argparse.Namespace) -> None:
    """Measure, and print."""
    shapes = [_parsed(text) for text in options.shapes or _SHAPES]
    before = _threads.get_num_threads()
    threads = before if options.threads is None else options.threads
    _threads.set_num_threads(threads)
    try:
        rate = _machine.product_rate(options.dtype, threads, min(options.seconds, 1.0))
        results = [
            _measured(shape, mode, options.dtype, options.seconds, rate)
            for shape in shapes
            for mode in dict.fromkeys(options.mode or _MODES)
        ]
    finally:
        _threads.set_num_threads(before)
    facts = {
        "cylstm": __version__,
        "cpu": _machine.cpu_name(),
        "instruction_set": _engines.instruction_sets()[0],
        "engine": LSTM(1).engine,
        "threads": threads,
        "dtype": options.dtype,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "numpy_product": rate,
    }
    if options.json:
        print(json_text({**facts, "results": results}))
    else:
        _show(facts, results)


def _parsed(text: str) -> _Shape:
    words = text.split(",")
    if len(words) != 4 or not all(w.isascii() and w.isdigit() and int(w) for w in words):
        raise UsageError(f"a shape is four positive integers B,T,D,U, got {text!r}")
    return _Shape(*map(int, words))


def _measured(shape: _Shape, mode: str, dtype: str, seconds: float, rate: float) -> dict[str, Any]:
    call = _prepared(shape, mode, dtype)
    times = _times(call, seconds)
    median = statistics.median(times)
    operations = shape.operations(mode) / median
    return {
        "shape": list(shape),
        "mode": mode,
        "seconds": median,
        "slow_quarter": statistics.quantiles(times, n=4)[2],
        "rounds": len(times),
        "operations_per_second": operations,
        "share_of_numpy_product": operations / rate,
    }


def _prepared(shape: _Shape, mode: str, dtype: str) -> Callable[[], Any]:
    """A call to be timed, of a layer of its own."""
    random = np.random.default_rng(1)
    layer = LSTM(shape.units, recurrent_activation="sigmoid", return_sequences=True, dtype=dtype)
    layer.build((None, None, shape.features))
    x = random.normal(size=(shape.batch, shape.timesteps, shape.features)).astype(dtype)
    if mode == "step":
        stream, frame = layer.stream(batch_size=shape.batch), np.ascontiguousarray(x[:, 0])
        return lambda: stream(frame)
    if mode == "forward":
        return lambda: layer(x)
    d_outputs = random.normal(size=(shape.batch, shape.timesteps, shape.units)).astype(dtype)

    def train() -> None:
        _, pullback = layer.vjp(x, training=True)
        pullback(d_outputs)

    return train


def _times(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of a call, of each round."""
    calls, spent = 1, _spent(call, 1)
    while spent < _SHORTEST:
        calls *= 2
        spent = _spent(call, calls)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _ROUNDS or time.perf_counter() < end:
        times.append(_spent(call, calls) / calls)
    return times


def _spent(call: Callable[[], Any], calls: int) -> float:
    was_enabled = gc.isenabled()
    gc.disable()  # its turns are not those of the calls
    try:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start
    finally:
        if was_enabled:
            gc.enable()


def _show(facts: dict[str, Any], results: list[dict[str, Any]]) -> None:
    rows = [
        [
            ",".join(map(str, found["shape"])),
            found["mode"],
            _duration(found["seconds"]),
            _duration(found["slow_quarter"]),
            f"{found['operations_per_second'] / 1e9:.1f}",
            f"{found['share_of_numpy_product']:.0%}",
        ]
        for found in results
    ]
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    show(
        f"{facts['cpu']}, {facts['instruction_set']}, {threads}, {facts['dtype']}",
        f"NumPy's product of two large matrices: {facts['numpy_product'] / 1e9:.1f} GFLOP/s",
        Rows(rows, ["B,T,D,U", "Mode", "Median", "Slow quarter", "GFLOP/s", "Of NumPy's product"]),
    )
    if any(found["slow_quarter"] > _UNSTEADY * found["seconds"] for found in results):
        say("Times vary: something else runs on the machine, so take them as too long.")


def _duration(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.2f} {name}"
    return f"{seconds * 1e6:.2f} us"
