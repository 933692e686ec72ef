"""Ten times the memory of all workers goes through `cylstm.distributed.predict`, on demand:

CYLSTM_DASK=1 python -m pytest -s tests/distributed/test_dask_memory.py
"""

import os
import signal
import threading
import time
import zlib

import dask.array as da
import numpy as np
import pytest
from dask_cases import Cluster, block_of, peak

import cylstm
from cylstm.distributed import predict
from cylstm.layers import LSTM, Dense

LIMIT = 320 * 2**20
ROWS, STEPS, FEATURES = 500, 100, 64
COUNT = 10 * 2 * LIMIT // (ROWS * STEPS * FEATURES * 4) + 1


def made(block_info=None):
    return block_of(block_info[None]["chunk-location"][0], ROWS, STEPS, FEATURES)


@pytest.mark.skipif("CYLSTM_DASK" not in os.environ, reason="6.7 GB and a minute: CYLSTM_DASK=1")
@pytest.mark.parametrize("killed", [False, True])
def test_ten_times_the_limits_of_the_workers(killed):
    """It finishes, in order, and neither process ever has more than its limit; nor if one dies."""
    cylstm.utils.set_random_seed(7)
    model = cylstm.Sequential([LSTM(32, input_shape=(STEPS, FEATURES)), Dense(2)])
    x = da.map_blocks(
        made,
        chunks=((ROWS,) * COUNT, STEPS, FEATURES),
        dtype="f4",
        meta=np.empty((0, 0, 0), "f4"),
    )
    assert x.nbytes >= 10 * 2 * LIMIT
    with Cluster(memory_limit=LIMIT) as client:
        start = time.perf_counter()
        future = client.compute(predict(model, x))
        if killed:
            threading.Event().wait(5)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert not future.done()
        found = future.result()
        seconds, peaks = time.perf_counter() - start, list(client.run(peak).values())
    print(
        f"\n{x.nbytes / 1e9:.2f} GB through 2 x {LIMIT / 2**20:.0f} MiB in {seconds:.1f} s, "
        f"{'one killed, ' if killed else ''}peaks {[round(p / 2**20) for p in peaks]} MiB, "
        f"CRC {zlib.crc32(found.tobytes()):08x}"
    )
    assert max(peaks) < LIMIT
    assert found.shape == (COUNT * ROWS, 2)
    for number in range(0, COUNT, 7):
        part = found[number * ROWS : (number + 1) * ROWS]
        wanted = model.predict(block_of(number, ROWS, STEPS, FEATURES))
        np.testing.assert_array_equal(part, wanted)
