"""`cylstm demo listen` as a process, and sounds for it."""

import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from voices import a_minute_of

import cylstm

__all__ = ["RATE", "fetched", "frames_of", "listening", "recorded_speech", "status_of"]

RATE, SAMPLES = 16000, 512
RECORDING = Path(__file__).parent / "data" / "silero.npz"


@contextmanager
def listening(*arguments, browser=None):
    """Run the command, at any port that is free; yield the process and the address of the page."""
    command = [sys.executable, "-m", "cylstm", "demo", "listen", "--port", "0", *arguments]
    settings = {
        "PYTHONPATH": str(Path(cylstm.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
        **({"BROWSER": browser} if browser else {}),
    }
    with subprocess.Popen(
        [str(part) for part in [*command, *([] if browser else ["--no-browser"])]],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("Listening at http://"), process.communicate()
            yield process, line.removeprefix("Listening at ").partition(",")[0]
        finally:
            process.kill()


def fetched(url, **headers):
    """What a browser gets there: headers and text."""
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return dict(answer.headers), answer.read().decode()


def status_of(url, **headers):
    """The status with which a request is refused, and what is said."""
    try:
        fetched(url, **headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    return 200, ""


def frames_of(samples):
    """Samples as the page sends them: a message each 512."""
    whole = np.resize(samples, len(samples) // SAMPLES * SAMPLES).astype("<f4")
    return [frame.tobytes() for frame in whole.reshape(-1, SAMPLES)]


def recorded_speech():
    """Samples and which of them someone speaks in: silence of 3 s, 3.3 s of speech, twice."""
    with np.load(RECORDING) as arrays:
        count = len(arrays["speech"])
        speech = a_minute_of(arrays["speech"])[64:][:count]
    silence = 0.001 * np.random.default_rng(0).normal(size=3 * RATE)
    spoken = np.concatenate([np.zeros(len(silence), bool), np.ones(count, bool)])
    return np.tile(np.concatenate([silence, speech]), 2), np.tile(spoken, 2)
