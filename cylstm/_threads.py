"""How many threads a call may use, and the threads themselves."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cylstm import _checks, _core

__all__ = ["alone", "get_num_threads", "pool", "pool_of", "set_num_threads", "share"]

_Path = str | os.PathLike[str]

_lock = threading.Lock()
_count: int | None = None
_pool: _core.Pool | None = None
_by_hand = bool(os.environ.get("CYLSTM_NUM_THREADS", "").strip())
_guests: _core.Pool | None = None  # of callers with a count of their own
_alone: set[int] = set()  # threads that shall have no others
_forked = False


def set_num_threads(count: int) -> None:
    """Set how many threads a call of a layer may use.

    The default is the number in the environment variable ``CYLSTM_NUM_THREADS``; without it, the
    least of the CPUs that the process may run on, the CPU quota of its control group, and
    ``OMP_NUM_THREADS``. Small calls use one thread. The results do not depend on the number, to
    the last bit.

    Parameters
    ----------
    count : int
        From 1 to 256: the thread that calls counts.

    Raises
    ------
    ValueError, TypeError
        If `count` is not such an integer.

    Notes
    -----
    The threads start with the first call that is worth it. Where the system starts fewer, or none
    (too little memory, a limit, the end of the interpreter), calls compute on those that there are,
    with the same results; calling this function again is another try.

    Examples
    --------
    >>> import cylstm
    >>> before = cylstm.get_num_threads()
    >>> cylstm.set_num_threads(1)
    >>> cylstm.get_num_threads()
    1
    >>> cylstm.set_num_threads(before)
    """
    global _count, _pool, _by_hand
    count = _checks.positive_int(count, "count")
    if count > _core.MOST_THREADS:
        raise ValueError(
            f"count may be {_core.MOST_THREADS} at most, got {count}: more threads than the "
            "process has CPUs only wait for each other."
        )
    with _lock:
        old, _count, _pool, _by_hand = _pool, count, None, True
    if old is not None:
        old.close()


def share(sharing: int) -> None:
    """Leave room for other processes on the same CPUs, unless the number was given by hand."""
    global _by_hand
    if not _by_hand and sharing > 1:
        set_num_threads(max(1, get_num_threads() // sharing))
        _by_hand = False


def get_num_threads() -> int:
    """How many threads a call of a layer may use; see `set_num_threads`."""
    global _count
    count = _count
    if count is not None:  # without the lock, as optimizers ask for each update
        return count
    with _lock:
        if _count is None:
            _count = _default_count()
        return _count


def pool() -> _core.Pool | None:
    """The threads that share a call; None where it has the calling thread alone.

    The core asks if there is work for them: from some 5 microseconds on, at batch 1. Below 0.3
    milliseconds it does without threads that sleep, with few rows below 0.1.
    """
    if _alone and threading.get_ident() in _alone:
        return None
    return _pool or _start_pool()


@contextmanager
def alone() -> Iterator[None]:
    """Calls of this thread have no other threads: it is itself one of a pool of somebody else's."""
    caller = threading.get_ident()
    if caller in _alone:
        yield
        return
    _alone.add(caller)
    try:
        yield
    finally:
        _alone.discard(caller)


def pool_of(count: int, parallel: int = 0) -> _core.Pool | None:
    """The threads of a call for which another library says how many there are.

    They are its own if it has OpenMP, whose GOMP_parallel is at the address `parallel`: not in the
    child of a fork, where OpenMP waits for ever for threads that the parent had. Without it they
    are those of `pool` where it has as many. In any case they are where its number was given by
    hand.
    """
    global _guests
    count, parallel = min(count, _core.MOST_THREADS), 0 if _forked else parallel
    if _by_hand or (count == get_num_threads() and not parallel):
        return pool()
    if count == 1:
        return None
    with _lock:
        found = _guests
        if found is None or found.threads != count:
            try:
                old, found = found, _core.Pool(count, parallel)
            except MemoryError:
                return None
            if not parallel:
                _start_servers(found, count)
            _guests = found
            if old is not None:
                old.close()
        return found


def _start_pool() -> _core.Pool | None:
    global _pool
    count = get_num_threads()
    if count == 1:
        return None
    with _lock:
        if _pool is None and count == _count:
            try:
                _pool = _core.Pool(count)
            except MemoryError:
                return None
            _start_servers(_pool, count)
        return _pool


def _start_servers(pool: _core.Pool, count: int) -> None:
    """Start the threads of a pool, as many as there can be: it waits for none that is missing."""
    for number in range(1, count):
        if sys.is_finalizing():  # a thread that starts now would never report that it has
            return
        try:
            threading.Thread(target=pool.serve, name=f"cylstm-{number}", daemon=True).start()
        except (RuntimeError, MemoryError):
            return


def _forget_threads() -> None:
    """In the child of a fork, where the threads of the parent do not exist."""
    global _lock, _pool, _guests, _forked
    _lock = threading.Lock()
    _pool = _guests = None
    _alone.intersection_update({threading.get_ident()})
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


# The default --------------------------------------------------------------------------------------


def _default_count() -> int:
    given = os.environ.get("CYLSTM_NUM_THREADS", "").strip()
    if given:
        if not given.isdecimal() or not 1 <= int(given) <= _core.MOST_THREADS:
            raise ValueError(
                f"The environment variable CYLSTM_NUM_THREADS is {given!r}: set it to an integer "
                f"from 1 to {_core.MOST_THREADS}, or leave it unset."
            )
        return int(given)
    limits = [_core.MOST_THREADS, _usable_cpus(), *_quotas()]
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list, one for a level
    if first.isdecimal() and int(first) > 0:
        limits.append(int(first))
    return max(1, min(limits))


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: _Path = "/sys/fs/cgroup", own: _Path = "/proc/self/cgroup") -> list[int]:
    """The CPUs that the control groups of this process grant, where they do."""
    found = []
    for folder in _cgroup_folders(root, own):
        for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            try:
                quota, period = (word for name in names for word in _text(folder, name).split())
                if int(quota) > 0 and int(period) > 0:
                    found.append(math.ceil(int(quota) / int(period)))
            except (OSError, ValueError):  # not there, or "max": no limit
                continue
    return found


def _cgroup_folders(root: _Path, own: _Path) -> Iterator[str]:
    """The folders of the control groups, versions 2 and 1, from that of this process upwards."""
    try:
        lines = _text(own).splitlines()
    except OSError:
        lines = []
    for line in [*lines, "0::/", "1:cpu:/"]:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = os.path.join(root, "cpu" if controllers else "")
        parts = path.strip("/").split("/")
        for depth in range(len(parts), -1, -1):
            yield os.path.join(base, *parts[:depth])


def _text(*path: _Path) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()
