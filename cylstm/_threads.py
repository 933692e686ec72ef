"""How many threads a call may use, and the threads themselves."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from cylstm import _checks, _core

__all__ = ["get_num_threads", "pool", "set_num_threads"]

# Floating point operations below which a call stays on one thread: at batch 1 some 5 microseconds.
# Below 3e7 the core does without threads that sleep.
_LEAST_WORK = 2.5e5

_lock = threading.Lock()
_count: int | None = None
_pool: _core.Pool | None = None


def set_num_threads(count: int) -> None:
    """Set how many threads a call of a layer may use.

    The default is the number in the environment variable ``CYLSTM_NUM_THREADS``; without it, the
    least of the CPUs that the process may run on, the CPU quota of its control group, and
    ``OMP_NUM_THREADS``. Small calls use one thread. The results do not depend on the number, to
    the last bit.

    Parameters
    ----------
    count : int
        At least 1: the thread that calls counts.

    Raises
    ------
    ValueError, TypeError
        If `count` is not a positive integer.

    Examples
    --------
    >>> import cylstm
    >>> before = cylstm.get_num_threads()
    >>> cylstm.set_num_threads(1)
    >>> cylstm.get_num_threads()
    1
    >>> cylstm.set_num_threads(before)
    """
    global _count, _pool
    count = _checks.positive_int(count, "count")
    with _lock:
        old, _count, _pool = _pool, count, None
    if old is not None:
        old.close()


def get_num_threads() -> int:
    """How many threads a call of a layer may use; see `set_num_threads`."""
    global _count
    with _lock:
        if _count is None:
            _count = _default_count()
        return _count


def pool(work: float) -> _core.Pool | None:
    """The threads for so many floating point operations; None for the calling thread alone."""
    if work < _LEAST_WORK:
        return None
    return _pool or _start_pool()


def _start_pool() -> _core.Pool | None:
    global _pool
    count = get_num_threads()
    with _lock:
        if _pool is None and count > 1 and count == _count:
            _pool = _core.Pool(count)
            for number in range(1, count):
                threading.Thread(target=_pool.serve, name=f"cylstm-{number}", daemon=True).start()
        return _pool


def _forget_threads() -> None:
    """In the child of a fork, where the threads of the parent do not exist."""
    global _lock, _pool
    _lock = threading.Lock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


# The default --------------------------------------------------------------------------------------


def _default_count() -> int:
    given = os.environ.get("CYLSTM_NUM_THREADS", "").strip()
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(
                f"The environment variable CYLSTM_NUM_THREADS is {given!r}: set it to a positive "
                "integer, or leave it unset."
            )
        return int(given)
    limits = [_usable_cpus(), *_quotas()]
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list, one for a level
    if first.isdecimal() and int(first) > 0:
        limits.append(int(first))
    return max(1, min(limits))


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """The CPUs that the control groups of this process grant, where they do."""
    found = []
    for folder in _cgroup_folders(root, own):
        for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            try:
                quota, period = " ".join((folder / name).read_text() for name in names).split()
                if int(quota) > 0 and int(period) > 0:
                    found.append(math.ceil(int(quota) / int(period)))
            except (OSError, ValueError):  # not there, or "max": no limit
                continue
    return found


def _cgroup_folders(root: Path, own: Path) -> Iterator[Path]:
    """The folders of the control groups, versions 2 and 1, from that of this process upwards."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in [*lines, "0::/", "1:cpu:/"]:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        relative = Path(path.lstrip("/"))
        for part in (relative, *relative.parents):
            yield base / part
