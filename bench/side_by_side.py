"""Two installed versions of cylstm side by side: is the new one slower anywhere?

    python bench/side_by_side.py OLD_PYTHON [NEW_PYTHON] [--rounds 7] [--isa avx2] [--shapes ...]

Each version is installed in an environment of its own, whose interpreter is given; by default the
new one is the interpreter that runs this. Both live in processes that take turns on the same
weights and inputs. Times are CPU time of one thread, which somebody else's work on the machine
disturbs least: of each round the fastest call counts, of the rounds the fastest, and the median of
the ratios stands beside it.

The exit status is 1 if the new version takes 1/0.97 of the old one's time for a shape by both
figures, or more than the old one in the geometric mean.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.problems import LADDER, PUBLISHED, STEPS, Shape

LIMIT = 0.97
# Answers each line "mode B,T,D,U" with the seconds of the fastest call.
WORKER = """
import sys, time
import numpy as np
import cylstm

cylstm.set_num_threads(1)


def made(mode, shape):
    batch, steps, inputs, units = map(int, shape.split(","))
    rng = np.random.default_rng(0)
    layer = cylstm.layers.LSTM(units, recurrent_activation="sigmoid", return_sequences=True)
    x = rng.normal(size=(batch, steps, inputs)).astype("float32")
    d = rng.normal(size=(batch, steps, units)).astype("float32")
    layer(x[:1, :1])
    if mode == "step":
        stream, frame = layer.stream(batch), x[:, 0].copy()
        return lambda: stream(frame)
    return (lambda: layer.vjp(x)[1](d)) if mode == "train" else lambda: layer(x)


def seconds(call, number):
    start = time.thread_time()
    for _ in range(number):
        call()
    return (time.thread_time() - start) / number


for line in sys.stdin:
    call = made(*line.split())
    number = max(1, round(0.01 / min(seconds(call, 1) for _ in range(3))))
    turns = max(3, round(0.1 / (number * seconds(call, number))))
    print(min(seconds(call, number) for _ in range(turns)), flush=True)
"""


def started(python: str, isa: str) -> subprocess.Popen[str]:
    """A process of this interpreter that answers with times, in a folder without a checkout."""
    environment = os.environ | ({"CYLSTM_ISA": isa} if isa else {})
    return subprocess.Popen(
        [python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, cwd=tempfile.gettempdir(),
    )  # fmt: skip


def asked(process: subprocess.Popen[str], case: str) -> float:
    """The time of a case."""
    questions, answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
    questions.write(f"{case}\n")
    questions.flush()
    return float(answers.readline())


def ratios(old: list[float], new: list[float]) -> tuple[float, float]:
    """How many times as fast the new one is: by the fastest rounds, and by the median round."""
    return min(old) / min(new), statistics.median(a / b for a, b in zip(old, new, strict=True))


def main() -> int:
    """Measure and print a line for each mode and shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="the interpreter of the environment with the old version")
    parser.add_argument("new", nargs="?", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--isa", default="", help="the instruction set of both")
    parser.add_argument("--shapes", nargs="*", type=Shape.parse, default=None)
    arguments = parser.parse_args()
    cases = [f"{mode} {s}" for mode in ("forward", "train") for s in LADDER + PUBLISHED]
    cases += [f"step {s}" for s in STEPS]
    if arguments.shapes is not None:
        cases = [f"{m} {s}" for m in ("step", "forward", "train") for s in arguments.shapes]
    found, slower = [], 0
    with started(arguments.old, arguments.isa) as old, started(arguments.new, arguments.isa) as new:
        for case in cases:
            times: list[list[float]] = [[], []]
            for number in range(arguments.rounds):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(asked((old, new)[which], case))
            fastest, median = ratios(*times)
            found.append(fastest)
            slower += max(fastest, median) < LIMIT
            us = " ".join(f"{1e6 * min(t):11.1f}" for t in times)
            print(f"{case:24} {us} us, old / new {fastest:.3f} ({median:.3f})", flush=True)
    mean = math.exp(statistics.mean(map(math.log, found)))
    print(f"geometric mean {mean:.3f}; below {LIMIT}: {slower}")
    return int(slower > 0 or mean < 1)


if __name__ == "__main__":
    sys.exit(main())
