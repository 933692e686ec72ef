"""How many times as fast as `torch.nn.LSTM` is `cylstm.torch.LSTM`, swapped in for it?

    python bench/torch_module.py [--threads 2] [--kinds "ragged train"] [--shapes B,T,D,U ...]

Each lives in a process of its own, and they take turns: forward under inference_mode, train
(outputs, then the gradients of inputs and all weights), and both on packed sequences of lengths
from a fifth to all of the timesteps, packing and unpacking by PyTorch included. The shapes are
those of `problems.py`. Results must agree before anything is timed.

The exit status is 1 if a shape is below 1.0, or a geometric mean below what is asked: 1.4 for
train, 2.5 for ragged train.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.machine import cpus_for
from bench.problems import Case, Shape, default_shapes
from bench.runner import PeerProcess, Settings, time_case

KINDS = ("forward", "train", "ragged forward", "ragged train")
ASKED = {"train": 1.4, "ragged train": 2.5}


def cases_of(kind: str, shapes: list[Shape] | None, quick: bool) -> list[Case]:
    """The cases of a kind."""
    mode, ragged = kind.split()[-1], kind.startswith("ragged")
    chosen = shapes or default_shapes(mode, "float32", ragged, quick)
    return [
        Case(mode, s, ragged=ragged)
        for s in chosen
        if not ragged or (s.batch > 1 and s.timesteps > 1)
    ]


def measured(
    kind: str, cases: list[Case], workers: dict[str, PeerProcess], settings: Settings
) -> bool:
    """Print a line for each case and the mean; whether all is as fast as is asked."""
    found = []
    for case in cases:
        result = time_case(case, workers, settings)
        for name, entry in result.items():
            if "seconds" not in entry:
                raise SystemExit(f"{case}: {name}: {entry}")
        theirs, ours = (result[name]["seconds"] for name in workers)
        found.append(theirs / ours)
        print(
            f"{kind:14} {case.shape!s:>16} {1e6 * theirs:11.1f} {1e6 * ours:11.1f} us"
            f" {theirs / ours:6.2f}",
            flush=True,
        )
    mean = math.exp(statistics.mean(map(math.log, found)))
    asked = ASKED.get(kind, 1.0)
    print(f"{kind:14} least {min(found):.2f}, geometric mean {mean:.2f} (asked: 1.00, {asked:.2f})")
    return min(found) >= 1 and mean >= asked


def main() -> int:
    """Measure what the options say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help="by default all")
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, metavar="B,T,D,U")
    parser.add_argument("--quick", action="store_true", help="few shapes, short rounds")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"unknown kinds {sorted(unknown)}; choose from {', '.join(KINDS)}")
    settings = Settings(rounds=arguments.rounds, round_seconds=0.01 if arguments.quick else 0.05)
    with ExitStack() as stack:
        workers = {}
        for name in ("torch", "torch_module"):
            workers[name] = PeerProcess(name, arguments.threads, cpus_for(arguments.threads))
            stack.callback(workers[name].close)
            workers[name].start()
        good = [
            measured(kind, cases_of(kind, arguments.shapes, arguments.quick), workers, settings)
            for kind in kinds
        ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
