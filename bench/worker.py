"""The side of a peer: a process that prepares, computes and times what it is told to."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from bench import peers
from bench.jobs import Job
from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import Case, make_data

__all__ = ["Session", "serve"]


class Session:
    """A peer and the case at hand.

    Parameters
    ----------
    peer : Peer
        Started.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._prepared: Prepared | None = None
        self._calls = 1

    def describe(self) -> dict[str, Any]:
        """The versions in use, the instruction set that the library tells, if any, and the memory
        with nothing but the library loaded, in bytes."""
        reset_peak_memory()
        return {
            "versions": self._peer.versions(),
            "isa": self._peer.isa(),
            "memory": peak_memory(),
        }

    def prepare(self, case: Case | Job) -> dict[str, np.ndarray]:
        """Make a case ready, and return its results."""
        if isinstance(case, Job):
            self._prepared = self._peer.prepare(case, case.data())
            return self._prepared.results()
        data = make_data(case)
        self._prepared = self._peer.prepare(case, data)
        # Copies: what a library returns may be its own memory, which the next case uses again.
        results = {name: np.array(array) for name, array in self._prepared.results().items()}
        if data.mask is not None:
            results["outputs"] = np.where(data.mask[:, :, None], results["outputs"], 0)
        return results

    def warm(self, warm_seconds: float, round_seconds: float) -> float:
        """Call until warm, and find how many calls make a round; return the seconds of a call."""
        reset_peak_memory()
        calls = 1
        while (spent := self._timed(calls)) < warm_seconds:
            calls *= 2
        self._calls = max(1, math.ceil(round_seconds * calls / spent))
        return spent / calls

    def measure(self) -> float:
        """Return the seconds of one call in this round, the mean over the calls of the round."""
        if self._calls > 1:
            self._timed(math.ceil(self._calls / 5))
        return self._timed(self._calls) / self._calls

    def finish(self) -> int | None:
        """Drop the case, and return the peak of the memory since it was warmed, in bytes."""
        peak = peak_memory()
        self._prepared = None
        gc.collect()
        give_memory_back()
        return peak

    def _timed(self, calls: int) -> float:
        if self._prepared is None:
            raise RuntimeError("No case has been prepared.")
        run = self._prepared.run
        gc.collect()
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(calls):
                run()
            return time.perf_counter() - start
        finally:
            gc.enable()


def serve(name: str, threads: int, cpus: list[int], connection: Any) -> None:
    """Be a peer: the main function of its process.

    Answers each message (name of a method of `Session`, *arguments) by (kind, value), of kind "ok",
    "unsupported" or "failed", until it is sent None.

    Parameters
    ----------
    name : str
        Of the peer.
    threads : int
        Its number of threads.
    cpus : list of int
        Where it may run; empty where that cannot be chosen.
    connection : multiprocessing.connection.Connection
        To whoever asks.
    """
    # Ctrl-C reaches all processes of a terminal; whoever asks decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cpus:
        os.sched_setaffinity(0, cpus)
    peer = peers.load(name)
    session = Session(peer)
    try:
        peer.start(threads)
    except Exception as error:
        connection.send(("failed", _one_line(error)))
        return
    # What the library is made of need not be searched for garbage before each turn.
    gc.collect()
    gc.freeze()
    connection.send(("ok", session.describe()))
    while (message := connection.recv()) is not None:
        method, *arguments = message
        try:
            answer = ("ok", getattr(session, method)(*arguments))
        except Unsupported as reason:
            answer = ("unsupported", str(reason))
        except Exception as error:
            answer = ("failed", _one_line(error))
        connection.send(answer)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def peak_memory() -> int | None:
    """The most memory that this process has had in use since `reset_peak_memory`, in bytes."""
    try:
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return 1024 * int(lines["VmHWM"].split()[0])
    except (OSError, KeyError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def reset_peak_memory() -> None:
    """Forget the peak, where the system can (Linux)."""
    try:
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")
    except OSError:
        return


def give_memory_back() -> None:
    """Have the C library return what is free to the system, so that cases do not add up."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
