"""What the tests of `cylstm.distributed.predict` share with the workers that they start.

Workers import this module, as they have the path of the tests.
"""

import os
import time
from pathlib import Path

import numpy as np
from dask import config
from distributed import Client, LocalCluster

import cylstm
from cylstm.layers import LSTM, Dense, Layer

STEPS, FEATURES = 7, 3


class Counted(Layer):
    """A layer of the user's own that notes in a folder that it was made again, and by whom."""

    def __init__(self, folder, **options):
        super().__init__(**options)
        self.folder = str(folder)

    def call(self, inputs, training=None):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def __setstate__(self, state):
        self.__dict__.update(state)
        noted(self.folder, os.getpid())


def noted(folder, what):
    """Leave a file of its own for each call."""
    (Path(folder) / f"{what}-{time.time_ns()}").touch()


def notes(folder):
    """What was noted, in the order of time."""
    names = sorted((path.name.split("-") for path in Path(folder).iterdir()), key=lambda n: n[1])
    return [int(what) for what, _ in names]


def made_model(*layers, units=8, **options):
    """LSTM and Dense, with layers of a test between."""
    cylstm.utils.set_random_seed(7)
    lstm = LSTM(units, input_shape=(None, FEATURES), **options)
    return cylstm.Sequential([lstm, *layers, Dense(2)])


def block_of(number, rows, steps=STEPS, features=FEATURES):
    """The samples of one chunk, the same whenever they are made."""
    random = np.random.default_rng(number)
    return random.standard_normal((rows, steps, features), dtype="float32")


def made_block(number, folder, seconds):
    """The same, slowly, and noted."""
    noted(folder, number)
    time.sleep(seconds)
    return block_of(number, 20)


def peak(dask_worker):
    """The most memory that a worker's process had, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])


class Cluster:
    """Two worker processes of one thread each, and their client; a context manager."""

    def __init__(self, memory_limit="1GiB", **options):
        quiet = {"distributed.worker.memory.terminate": False, "logging.distributed": "error"}
        self._settings = config.set(quiet)
        self._options = {"memory_limit": memory_limit, "silence_logs": 50} | options

    def __enter__(self):
        self._settings.__enter__()
        self._cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            **self._options,
        )
        self._client = Client(self._cluster)
        return self._client

    def __exit__(self, *exception):
        self._client.close()
        self._cluster.close()
        self._settings.__exit__(*exception)
