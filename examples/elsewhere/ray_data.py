"""Ray Data: sequences go through a model in two processes, each of which loads it once.

    pip install 'ray[data]'
    python examples/elsewhere/ray_data.py [--samples 20000]

The samples are made block by block, so that no process has all of them; in their place would stand
`ray.data.read_parquet` and its kin. Ray gives each process one CPU, and the model one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import ray

import cylstm
from cylstm.layers import LSTM, Dense

STEPS, FEATURES = 24, 4


def samples(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The samples of these numbers: waves of different lengths."""
    steps = np.arange(STEPS)[:, np.newaxis] / np.arange(2, 2 + FEATURES)
    number = batch["id"][:, np.newaxis, np.newaxis]
    return {"id": batch["id"], "x": np.sin(steps + number).astype("float32")}


class Predictor:
    """An actor of Ray: made once, then called with one batch after the other."""

    def __init__(self, path: str) -> None:
        cylstm.set_num_threads(1)
        self.model = cylstm.models.load_model(path, compile=False)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"id": batch["id"], "y": self.model.predict(batch["x"])}


def main() -> None:
    """Predict, and compare with one process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    count = parser.parse_args().samples
    model = cylstm.Sequential([LSTM(32, input_shape=(STEPS, FEATURES)), Dense(2)])
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.safetensors")
        model.save(path)
        data = ray.data.range(count).map_batches(samples, batch_size=1000)
        data = data.map_batches(
            Predictor, fn_constructor_args=[path], concurrency=2, batch_size=1000, num_cpus=1
        )
        batches = list(data.iter_batches(batch_size=1000))
    seconds = time.perf_counter() - start
    found = np.concatenate([batch["y"] for batch in batches])
    numbers = np.concatenate([batch["id"] for batch in batches])
    wanted = model.predict(samples({"id": np.arange(count)})["x"])
    print(f"{count} samples in {seconds:.1f} s")
    print(f"In order: {bool((numbers == np.arange(count)).all())}")
    print(f"Largest difference to one process: {np.abs(found - wanted).max():.1e}")
    ray.shutdown()


if __name__ == "__main__":
    main()
