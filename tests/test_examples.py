"""The README's main job: offline, in seconds, better than the published baseline."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name, *arguments, cwd):
    """Run an example on one core, with the cylstm that is being tested, and return its lines."""
    settings = {
        "PYTHONPATH": str(Path(cylstm.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_japanese_vowels_data():
    with np.load(EXAMPLES / "data" / "japanese_vowels.npz") as arrays:
        train, test = arrays["train_lengths"], arrays["test_lengths"]
        assert (len(train), len(test)) == (270, 370)
        assert (min(train.min(), test.min()), max(train.max(), test.max())) == (7, 29)
        assert arrays["train_frames"].shape == (train.sum(dtype=int), 12)
        assert arrays["test_frames"].shape == (test.sum(dtype=int), 12)
        assert np.bincount(arrays["train_speakers"])[1:].tolist() == [30] * 9
        counts = np.bincount(arrays["test_speakers"])[1:].tolist()
        assert counts == [31, 35, 88, 44, 29, 24, 40, 50, 29]
        # The first frame as it is printed in the source.
        first = [1860936, -207383, 261557, -214562, -171253, -118167]
        assert arrays["train_frames"][0, :6].tolist() == first


def test_japanese_vowels(tmp_path):
    *epochs, result, baseline, picture = run("japanese_vowels.py", cwd=tmp_path)
    assert len(epochs) == 40
    assert all(re.match(r"epoch +\d+/40  loss \d", line) for line in epochs)
    accuracy = float(re.search(r"([\d.]+)%", result)[1])
    published = float(re.search(r"([\d.]+)%", baseline)[1])
    assert published == pytest.approx(94.9)
    assert accuracy > published
    pictures = [path.name for path in tmp_path.iterdir()]
    assert pictures == (["japanese_vowels.png"] if "png" in picture else [])


def test_japanese_vowels_is_repeatable(tmp_path):
    arguments = ("--epochs", "2", "--units", "8", "--seed", "3", "--plot", "course.png")
    first, second = (run("japanese_vowels.py", *arguments, cwd=tmp_path) for _ in range(2))
    without_times = [[re.sub(r" +[\d.]+ s$", "", line) for line in r] for r in (first, second)]
    assert without_times[0] == without_times[1]
