"""What the machine can do: CPUs, caches, the rate of fused multiply-adds, the speed of reading."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["TARGETS", "cache_level", "compiler", "cpus_for", "describe", "measure", "rate_now"]

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ["-O3", "-ffp-contract=fast", "-shared", "-fPIC"]
NATIVE = ("-march=native", "-mcpu=native")
TARGETS = {
    "generic": ("-march=x86-64",),
    "avx2": ("-march=x86-64-v3",),
    "avx512": ("-march=x86-64-v4",),
}
"""What peak.c is compiled for, by the name that cylstm gives to the instruction set."""

BLAS_CORES = {"generic": "Nehalem", "avx2": "Haswell", "avx512": "SkylakeX"}
"""The OPENBLAS_CORETYPE that holds NumPy's BLAS, which stands in where there is no compiler."""

DEFAULT_CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
SECONDS, BEST_OF = 0.03, 5


def usable_cpus() -> list[int]:
    """The numbers of the CPUs that this process may run on; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def cpus_for(threads: int, cpus: list[int] | None = None) -> list[int]:
    """Choose CPUs for some threads: of different cores first, the last ones of the machine.

    The first CPU of a machine has more of the system's own work to do.

    Parameters
    ----------
    threads : int
        How many.
    cpus : list of int, optional
        The ones to choose from; by default those that may be used.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    cpus = usable_cpus() if cpus is None else cpus
    if not cpus:
        return []
    if threads > len(cpus):
        raise ValueError(f"{threads} threads need as many CPUs; {len(cpus)} can be used.")
    by_core: dict[str, list[int]] = {}
    for cpu in reversed(cpus):
        by_core.setdefault(_core_of(cpu), []).append(cpu)
    turns = max(map(len, by_core.values()))
    ordered = [
        mates[turn] for turn in range(turns) for mates in by_core.values() if turn < len(mates)
    ]
    return sorted(ordered[:threads])


def _core_of(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text().strip() if path.exists() else str(cpu)


def describe() -> dict[str, Any]:
    """The CPU, its caches, the system, and how busy it is."""
    return {
        "cpu": _cpu_name(),
        "cpus": len(usable_cpus()) or os.cpu_count(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def caches() -> dict[str, int]:
    """The bytes of the data caches L1, L2 and L3, as Linux tells them, or usual ones."""
    found = dict(DEFAULT_CACHES)
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        level, kind, size = (
            (index / part).read_text().strip() for part in ("level", "type", "size")
        )
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = 1024 * int(size[:-1])
    return found


def cache_level(size: int, threads: int, sizes: dict[str, int]) -> str:
    """Where something is read from again and again that threads share out: L1, L2, L3 or memory.

    Examples
    --------
    >>> cache_level(1 << 20, 2, {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20})
    'L2'
    """
    for level in ("L1", "L2"):
        if size / threads <= sizes[level]:
            return level
    return "L3" if size <= sizes["L3"] else "memory"


def measure(threads: list[int], dtypes: list[str], isa: str | None = None) -> dict[str, Any]:
    """Measure the peaks; to be run while nothing else runs, with BLAS held to one thread.

    Parameters
    ----------
    threads : list of int
        The numbers of threads to measure with.
    dtypes : list of str
        For the rates of multiply-adds.
    isa : str, optional
        One of `TARGETS`: what can be done with these instructions; by default with all there are.

    Returns
    -------
    dict
        ``how`` it was measured; ``flops``: from dtype and number of threads (as text, for JSON)
        to operations per second; ``bytes``: from the number of threads and "L1", "L2", "L3" or
        "memory" to bytes per second, all threads together.
    """
    kernels, how = _kernels(isa)
    sizes = caches()
    flops = {
        dtype: {str(n): _rate(n, kernels.multiply_add(dtype)) for n in threads} for dtype in dtypes
    }
    read = {
        str(n): {
            level: _rate(n, kernels.read(size)) for level, size in _working_sets(sizes, n).items()
        }
        for n in threads
    }
    return {"how": how, "flops": flops, "bytes": read}


def rate_now(threads: int, dtype: str, isa: str | None = None) -> float:
    """The multiply-adds per second, times two, at this moment: clocks and neighbours change it."""
    kernels, _ = _kernels_kept(isa)
    return _rate(threads, kernels.multiply_add(dtype), best_of=2)


def _kernels(isa: str | None) -> tuple[Any, str]:
    """Kernels to be timed, and what they are."""
    with tempfile.TemporaryDirectory() as folder:
        kernels, how = _compiled(Path(folder), isa)
    return kernels or _NumpyKernels(), how


_kernels_kept = cache(_kernels)


def _working_sets(sizes: dict[str, int], threads: int) -> dict[str, int]:
    """The bytes that each thread reads to measure a level: inside it, outside the one before."""
    return {
        "L1": sizes["L1"] // 2,
        "L2": sizes["L2"] // 2,
        "L3": max(sizes["L3"] // (4 * threads), sizes["L2"]),
        "memory": min(4 * sizes["L3"], 256 << 20),
    }


def compiler() -> str | None:
    """The path of a C compiler; None if there is none."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def _compiled(folder: Path, isa: str | None = None) -> tuple[Any, str]:
    """The kernels of peak.c, and the command that made them; or None, and what is used instead."""
    found = compiler()
    library = folder / "peak.so"
    if found is not None and os.name == "posix":
        for target in NATIVE if isa is None else TARGETS[isa]:
            command = [found, *FLAGS, target, str(SOURCE), "-o", str(library)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                name = f"{Path(found).name} {' '.join([*FLAGS[:2], target])}"
                return _CompiledKernels(ctypes.CDLL(str(library))), f"vector loops in C, {name}"
    return None, "products and sums of NumPy's BLAS, as no C compiler is there: lower bounds"


class _CompiledKernels:
    """Work to be timed: a function of the repeats, and the operations or bytes of a repeat."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def multiply_add(self, dtype: str) -> Callable[[], tuple[Callable[[int], Any], float]]:
        real = ctypes.c_float if dtype == "float32" else ctypes.c_double
        kernel = getattr(self._library, f"fma_{dtype}")
        kernel.argtypes, kernel.restype = [ctypes.c_long, real, real], ctypes.c_double
        operations = getattr(self._library, f"fma_{dtype}_operations")()
        return lambda: (lambda repeats: kernel(repeats, 0.5, 0.25), operations)

    def read(self, size: int) -> Callable[[], tuple[Callable[[int], Any], float]]:
        kernel = self._library.read_all
        kernel.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
        kernel.restype = ctypes.c_longlong

        def make() -> tuple[Callable[[int], Any], float]:
            array = aligned_ones(size)
            return lambda repeats: kernel(array.ctypes.data, array.nbytes, repeats), array.nbytes

        return make


class _NumpyKernels:
    """The same where there is no compiler."""

    def multiply_add(self, dtype: str) -> Callable[[], tuple[Callable[[int], Any], float]]:
        def make() -> tuple[Callable[[int], Any], float]:
            a = np.ones((512, 512), dtype)
            out = np.empty_like(a)
            return lambda repeats: [np.matmul(a, a, out=out) for _ in range(repeats)], 2 * 512**3

        return make

    def read(self, size: int) -> Callable[[], tuple[Callable[[int], Any], float]]:
        def make() -> tuple[Callable[[int], Any], float]:
            array = aligned_ones(size)
            return lambda repeats: [np.dot(array, array) for _ in range(repeats)], array.nbytes

        return make


def aligned_ones(size: int) -> np.ndarray:
    """float32 ones, aligned to cache lines: about that many bytes, a multiple of 512."""
    count = max(1, size // 512) * 128
    memory = np.ones(count + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + count]


def _rate(
    threads: int,
    make: Callable[[], tuple[Callable[[int], Any], float]],
    best_of: int | None = None,
) -> float:
    """Work per second of some threads, each with a kernel and a CPU of its own: best of few."""
    cpus: list[Any] = cpus_for(threads) or [None] * threads
    barrier = threading.Barrier(threads, timeout=60)

    def work(cpu: int | None) -> list[float]:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        kernel, amount = make()
        repeats = _repeats(kernel)
        rates = []
        for _ in range(best_of or BEST_OF):
            barrier.wait()
            start = time.perf_counter()
            kernel(repeats)
            rates.append(amount * repeats / (time.perf_counter() - start))
        return rates

    with ThreadPoolExecutor(threads) as pool:
        return max(map(sum, zip(*pool.map(work, cpus), strict=True)))


def _repeats(kernel: Callable[[int], Any]) -> int:
    """How many repeats take `SECONDS`."""
    repeats = 1
    while True:
        start = time.perf_counter()
        kernel(repeats)
        spent = time.perf_counter() - start
        if spent >= SECONDS:
            return repeats
        repeats = max(repeats + 1, int(repeats * min(10, 1.2 * SECONDS / max(spent, 1e-9))))
