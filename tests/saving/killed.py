"""Processes that are killed while they save: whatever file is left loads.

    python tests/saving/killed.py keras 200 [--seed 1]
    python tests/saving/killed.py all 200

A child saves a model over the one before, and is killed by SIGKILL at a random moment, from its
beginning to a little after its usual end. What is under the name then must be whole: the model of
that save or of the one before, all weights of the same one. Prints how many were killed, and which
model was there; fails at the first file that is damaged. Temporary files of the killed are gone
after the next save that ends. The writers: those of models, of weights, and of tensors.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cylstm
from cylstm import saving
from cylstm.layers import LSTM, Dense
from cylstm.models import load_model

MOST = 20  # saves, of one that is killed
FRESH = 10  # every how many saves there is no file to replace
PRACTICE = 5  # saves, the last that ended, that tell how long one takes
POLL = 0.0002  # seconds

Read = Callable[[Path], Any]


def made() -> cylstm.Model:
    """A model of some 400 KB."""
    model = cylstm.Sequential(
        [LSTM(128, input_shape=(None, 64), recurrent_activation="sigmoid"), Dense(4)]
    )
    model.compile("adam", "mse")
    return model


MODEL = made()


def as_model(path: Path) -> list[np.ndarray]:
    return load_model(path).get_weights()


def as_weights(path: Path) -> list[np.ndarray]:
    other = made()
    other.load_weights(path)
    return other.get_weights()


def as_tensors(path: Path) -> list[np.ndarray]:
    return list(saving.load_tensors(path).values())


def as_architecture(path: Path) -> list[np.ndarray]:
    """It has no weights: that it is the model's own is all there is to see."""
    assert load_model(path).to_json() == MODEL.to_json()
    return []


def save_tensors(path: Path) -> None:
    saving.save_tensors({f"{i}": array for i, array in enumerate(MODEL.get_weights())}, path)


# Name: the suffix, what saves and what reads.
WRITERS: dict[str, tuple[str, Callable[[Path], None], Read]] = {
    "native": (".safetensors", MODEL.save, as_model),
    "h5": (".h5", MODEL.save, as_model),
    "keras": (".keras", MODEL.save, as_model),
    "onnx": (".onnx", MODEL.save, as_model),
    "json": (".json", MODEL.save, as_architecture),
    "native weights": (".safetensors", MODEL.save_weights, as_weights),
    "h5 weights": (".h5", MODEL.save_weights, as_weights),
    "keras weights": (".weights.h5", MODEL.save_weights, as_weights),
    "npz": (".npz", MODEL.save_weights, as_weights),
    "tensors": (".safetensors", save_tensors, as_tensors),
}


def fill(number: int) -> None:
    """Let all weights be that number."""
    MODEL.set_weights([np.full_like(array, number) for array in MODEL.get_weights()])


def number_in(path: Path, read: Read) -> int | None:
    """The number that all weights of a file are; None where it has none."""
    numbers = {float(n) for array in read(path) for n in np.unique(array)}
    assert len(numbers) < 2, f"{path} is of several saves: {sorted(numbers)[:5]}"
    return int(numbers.pop()) if numbers else None


def saved(save: Callable[[Path], None], path: Path, seconds: float) -> float | None:
    """Save in a child, and say how long it took; None where it was killed, after so long."""
    ready, begin = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.write(begin, b"1")
            save(path)
            status = 0
        finally:
            os._exit(status)
    os.read(ready, 1)
    start = time.perf_counter()
    ended = 0
    while not ended and time.perf_counter() < start + seconds:
        time.sleep(POLL)
        ended, status = os.waitpid(child, os.WNOHANG)
    took = time.perf_counter() - start
    if not ended:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(begin)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it could not be saved"
    return None if os.WIFSIGNALED(status) else took


def run(writer: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """Save until so many were killed; some end before they are.

    Raises
    ------
    AssertionError, FormatError
        If what is left does not load, or is neither the model of that save nor the one before.
    """
    suffix, save, read = WRITERS[writer]
    path = folder / f"model{suffix}"
    save(path)  # what is imported on first use is, then
    times = deque((saved(save, path, np.inf) for _ in range(PRACTICE)), PRACTICE)
    draw = random.Random(seed)
    found: Counter[str] = Counter()
    before: int | None = None
    for number in itertools.count(1):
        if found["killed"] == count:
            break
        assert number <= MOST * count, f"most saves end: {found}"
        if number % FRESH == 1:
            path.unlink(missing_ok=True)
            before = None
        elif before is None:
            before = -number
            fill(before)
            save(path)
        fill(number)
        took = saved(save, path, draw.uniform(0, 1.1 * statistics.median(times)))
        was_killed = took is None
        found["killed" if was_killed else "ended"] += 1
        if took is not None:
            times.append(took)
        if not path.exists():
            assert before is None, f"{path} is gone"
            assert was_killed
            found["none, as before"] += 1
            continue
        left = number_in(path, read)
        assert left in (None, number, before), f"{path} has {left}, after {before} and {number}"
        assert was_killed or left in (None, number)
        found["no numbers" if left is None else "new" if left == number else "old"] += 1
        before = number if left is None else left
    found["temporary files"] = len(os.listdir(folder)) - path.exists()
    save(path)
    assert os.listdir(folder) == [path.name], os.listdir(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("writer", choices=[*WRITERS, "all"])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for writer in WRITERS if args.writer == "all" else [args.writer]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            found = run(writer, args.count, args.seed, Path(folder))
            print(f"{writer}: {dict(found)}, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
