"""Run cases on all peers at once: a process each, taking turns round by round."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bench import peers
from bench.jobs import Job
from bench.peers.base import Unsupported
from bench.problems import TOLERANCES, Case
from bench.worker import serve

__all__ = [
    "TOLERANCES",
    "PeerFailed",
    "PeerProcess",
    "Settings",
    "Worker",
    "environment",
    "time_case",
]


class PeerFailed(Exception):
    """Raised when a peer stopped, answers with an error, or does not answer."""


class Worker(Protocol):
    """Whoever answers like a `PeerProcess`."""

    def call(self, method: str, *arguments: Any) -> Any:
        """Have a method of `bench.worker.Session` run."""


@dataclass(frozen=True)
class Settings:
    """How long and how often to measure.

    Attributes
    ----------
    rounds : int
        How many times each peer has its turn.
    round_seconds, warm_seconds : float
        How long a turn, and the warm-up before all rounds, take at least.
    settle_seconds : float
        The pause before a turn: threads of the peer before may spin for a while (OpenBLAS: 25 ms).
    """

    rounds: int = 7
    round_seconds: float = 0.05
    warm_seconds: float = 0.1
    settle_seconds: float = 0.03


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def thread_environment(threads: int) -> dict[str, str]:
    """What most libraries read their number of threads from."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CYLSTM_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


@dataclass
class PeerProcess:
    """A peer in a process of its own; one that has died is started again by the next call.

    Parameters
    ----------
    name : str
        Of the peer.
    threads : int
        How many it may use.
    cpus : list of int
        Where it may run; empty where that cannot be chosen.
    isa : str, optional
        What it is held to, see `Peer.held_to`; by default it runs what it likes best.
    timeout : float
        After how many seconds without an answer it is given up and ended.
    """

    name: str
    threads: int
    cpus: list[int]
    isa: str | None = None
    timeout: float = 900.0
    description: dict[str, Any] = field(default_factory=dict, init=False)
    _process: Any = field(default=None, init=False)
    _connection: Any = field(default=None, init=False)

    def start(self) -> None:
        """Start the process, wait until its library is loaded, and take its description.

        Raises
        ------
        Unsupported
            If it cannot be held to the instruction set.
        PeerFailed
            If it cannot be loaded.
        """
        self.close()
        peer = peers.load(self.name)
        variables = thread_environment(self.threads) | peer.environment(self.threads)
        if self.isa is not None:
            variables |= peer.held_to(self.isa)
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (self.name, self.threads, self.cpus, theirs)
        with environment(variables):
            self._process = context.Process(target=serve, args=arguments, daemon=True)
            self._process.start()
        theirs.close()
        self.description = self._answer()

    def call(self, method: str, *arguments: Any) -> Any:
        """Have a method of `bench.worker.Session` run there, and return what it returns.

        Raises
        ------
        Unsupported
            If the peer cannot do this.
        PeerFailed
            If it fails otherwise.
        """
        if self._process is None or not self._process.is_alive():
            self.start()
        try:
            self._connection.send((method, *arguments))
        except OSError as error:
            raise PeerFailed(f"stopped ({error})") from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(self.timeout):
                self._process.kill()
                raise PeerFailed(f"no answer within {self.timeout:g} s")
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(10)
            raise PeerFailed(f"stopped, exit code {self._process.exitcode}") from error
        if kind == "unsupported":
            raise Unsupported(value)
        if kind == "failed":
            raise PeerFailed(value)
        return value

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        try:
            self._connection.send(None)
        except OSError:  # it is gone already
            pass
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
        self._connection.close()
        self._process = None


def disagreement(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> float:
    """How far the results of two peers lie apart: the worst of the arrays that both have.

    Returns
    -------
    float
        The largest difference, relative to the largest number that is expected in that array;
        infinite for wrong shapes, anything not finite, or nothing in common.
    """
    common = expected.keys() & got.keys()
    worst = 0.0 if common else float("inf")
    for name in common:
        a, b = np.asarray(expected[name], np.float64), np.asarray(got[name], np.float64)
        if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("inf")
        worst = max(worst, float(np.abs(a - b).max(initial=0) / np.abs(a).max(initial=1e-30)))
    return worst


def time_case(
    case: Case | Job,
    workers: Mapping[str, Worker],
    settings: Settings,
    each_round: Callable[[], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, dict[str, Any]]:
    """Time a case on all workers.

    Parameters
    ----------
    case : Case
        What to compute.
    workers : dict
        From the names of peers to workers. The results of the first that computes the case are what
        those of the others are compared to; one that disagrees is not timed.
    settings : Settings
        How long and how often.
    each_round : callable, optional
        Has a turn of its own in every round, after the workers.
    sleep : callable
        How to pause.

    Returns
    -------
    dict
        From names to what was found: ``seconds`` (the median of the rounds), ``low`` and ``high``
        (their quartiles), ``rounds`` (all of them), ``error`` (see `disagreement`), ``memory``
        (the peak, in bytes), or ``skipped`` or ``failed`` with the reason.
    """
    found = _prepare(case, workers)
    attempts = _Attempts(workers, found)
    attempts.call("warm", settings.warm_seconds, settings.round_seconds)
    names = list(workers)
    rounds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(settings.rounds):
        # Nobody always comes after the same neighbour.
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            if attempts.lives(name):
                sleep(settings.settle_seconds)
                rounds[name] += attempts.call_one(name, "measure")
        if each_round is not None:
            sleep(settings.settle_seconds)
            each_round()
    memory = attempts.call("finish")
    for name, entry in found.items():
        if attempts.lives(name):
            entry |= {**summary(rounds[name]), "memory": memory[name]}
    return found


def _prepare(case: Case | Job, workers: Mapping[str, Worker]) -> dict[str, dict[str, Any]]:
    """Have all workers compute the case once, and compare what they found."""
    found: dict[str, dict[str, Any]] = {}
    expected = reference = None
    for name, worker in workers.items():
        try:
            results = worker.call("prepare", case)
        except Unsupported as reason:
            found[name] = {"skipped": str(reason)}
            continue
        except PeerFailed as error:
            found[name] = {"failed": str(error)}
            continue
        if expected is None:
            expected, reference = results, name
        apart = disagreement(expected, results)
        found[name] = {"error": apart}
        if not apart <= case.tolerance:
            found[name]["failed"] = f"disagrees with {reference}: relative difference {apart:.1e}"
    return found


class _Attempts:
    """Calls to the workers that have not failed yet; the reason of a failure goes into `found`."""

    def __init__(self, workers: Mapping[str, Worker], found: dict[str, dict[str, Any]]) -> None:
        self._workers, self._found = workers, found

    def lives(self, name: str) -> bool:
        return not {"skipped", "failed"} & self._found[name].keys()

    def call_one(self, name: str, method: str, *arguments: Any) -> list[Any]:
        """The answer in a list, which is empty after a failure."""
        try:
            return [self._workers[name].call(method, *arguments)]
        except PeerFailed as error:
            self._found[name]["failed"] = str(error)
            return []

    def call(self, method: str, *arguments: Any) -> dict[str, Any]:
        """The answers of all that live."""
        living = [name for name in self._workers if self.lives(name)]
        answers = {name: self.call_one(name, method, *arguments) for name in living}
        return {name: answer[0] for name, answer in answers.items() if answer}


def summary(rounds: list[float]) -> dict[str, Any]:
    """The median and the quartiles of the rounds' seconds."""
    low, high = (float(np.percentile(rounds, q)) for q in (25, 75))
    return {"seconds": statistics.median(rounds), "low": low, "high": high, "rounds": rounds}
