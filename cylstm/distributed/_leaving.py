"""A rank that fails or leaves ends the job: without that, the others wait for it for ever."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["watch"]

_watched: list[_Watch] = []


def watch(mpi: Any, comm: Any) -> Callable[[], None]:
    """Look after a communicator; the function returned is to be called before each collective.

    An exception that nobody catches, Ctrl-C among them, is printed and ends the job, in threads as
    well. Whoever leaves otherwise, by `sys.exit` or at the end of the program, waits for the
    others, and ends the job if one of them waits for it.
    """
    if not _watched:
        _install(mpi)
        atexit.register(_leave)
    found = _Watch(mpi, comm)
    _watched.append(found)
    return found.tick


class _Watch:
    """How many collectives each rank has begun, which the others can read."""

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi = mpi
        self._comm = comm.Dup()
        self._begun = np.zeros(1, np.int64)
        self._window = mpi.Win.Create(self._begun, comm=self._comm)

    def tick(self) -> None:
        self._begun[0] += 1

    def leave(self) -> None:
        """Return when all ranks leave; end the job if one has begun what this one never will."""
        arrived = self._comm.Ibarrier()
        while not arrived.Test():
            for other in range(self._comm.size):
                begun = np.zeros(1, np.int64)
                self._window.Lock(other, self._mpi.LOCK_SHARED)
                self._window.Get(begun, other)
                self._window.Unlock(other)
                if begun > self._begun:
                    _abort(self._mpi, f"has ended, and rank {other} waits for it")
            time.sleep(0.02)
        self._comm.Barrier()  # until then others may read what is freed now
        self._window.Free()
        self._comm.Free()


def _leave() -> None:
    for watched in _watched:
        watched.leave()


def _install(mpi: Any) -> None:
    of_program, of_thread = sys.excepthook, threading.excepthook

    def excepthook(kind: Any, error: Any, traceback: Any) -> None:
        of_program(kind, error, traceback)
        _abort(mpi, f"ends the job by this {kind.__name__}")

    def thread_excepthook(arguments: threading.ExceptHookArgs) -> None:
        of_thread(arguments)
        if not issubclass(arguments.exc_type, SystemExit):
            _abort(mpi, f"ends the job by this {arguments.exc_type.__name__} in a thread")

    sys.excepthook, threading.excepthook = excepthook, thread_excepthook


def _abort(mpi: Any, text: str) -> None:
    world = mpi.COMM_WORLD
    print(f"cylstm: rank {world.rank} of {world.size} {text}.", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(1)  # mpiexec drops what it has not passed on by then: seen on a busy machine
    world.Abort(1)
