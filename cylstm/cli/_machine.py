"""The machine that a command runs on: its CPU, and how fast NumPy multiplies matrices on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["PRODUCT", "cpu_name", "product_rate"]

PRODUCT = 512  # rows and columns of the matrices
_PROGRAM = f"""
import sys, time
import numpy as np
a = np.ones(({PRODUCT}, {PRODUCT}), sys.argv[1])
out = np.empty_like(a)
def spent():
    start = time.perf_counter()
    np.matmul(a, a, out=out)
    return time.perf_counter() - start
end = time.perf_counter() + float(sys.argv[2])
best = spent()
while time.perf_counter() < end:
    best = min(best, spent())
print(2 * {PRODUCT}**3 / best)
"""


def cpu_name() -> str:
    """What the CPU is called."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def product_rate(dtype: str, threads: int, seconds: float) -> float:
    """Operations per second of NumPy's product of two matrices, the best of what fits in a time.

    Multiply-adds of the CPU are at least as fast. The product is made in a process of its own,
    as BLAS is told the number of its threads when it is loaded.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the matrices.
    threads : int
        Of BLAS: of OpenBLAS, MKL, BLIS and Accelerate, as far as they listen.
    seconds : float
        How long to try.

    Raises
    ------
    OSError
        If the process could not be started, or failed.
    """
    names = ("OPENBLAS", "MKL", "BLIS", "OMP")
    count = {f"{name}_NUM_THREADS": str(threads) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, dtype, str(seconds)],
        env={**os.environ, **count, "VECLIB_MAXIMUM_THREADS": str(threads)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise OSError(f"NumPy's product could not be measured: {done.stderr.strip()[-200:]}")
    return float(done.stdout)
