"""Ranks: the processes of an MPI job, and what they do together."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from cylstm import _threads
from cylstm._rows import Rows
from cylstm.distributed import _leaving
from cylstm.distributed._near import Common, Near

__all__ = ["Ranks", "launched", "ranks_of"]

Range = tuple[int, int]


@cache
def _mpi() -> tuple[Any, int]:
    """The module of mpi4py, and the key by which communicators keep their `Ranks`."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f"Training over several processes takes mpi4py and an MPI ({error}): pip install "
            "'cylstm[mpi]'."
        ) from error
    return MPI, MPI.Comm.Create_keyval()


def ranks_of(comm: Any = None) -> Ranks:
    """The ranks of a communicator, all of the job by default. All of them make the first call."""
    mpi, key = _mpi()
    comm = mpi.COMM_WORLD if comm is None else comm
    if not isinstance(comm, mpi.Intracomm):
        raise TypeError(f"comm is a communicator of mpi4py, got {comm!r}.")
    ranks: Ranks | None = comm.Get_attr(key)
    if ranks is None:
        ranks = Ranks(mpi, comm)
        comm.Set_attr(key, ranks)
    return ranks


def launched() -> Ranks | None:
    """The ranks of the job that ``mpiexec`` or its like has started this process in, if any."""
    if not {"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"} & set(os.environ):
        return None
    ranks = ranks_of()
    return ranks if ranks.size > 1 else None


class Ranks:
    """What the ranks of a communicator do together: all of them call a method, in one order.

    Parameters
    ----------
    mpi : module
        mpi4py.MPI.
    comm : Intracomm
        Messages go by a copy of it, so that those of the user are not taken for ours.

    Attributes
    ----------
    rank, size : int
        Which this one is, and how many there are.
    near : Near
        Those on this host.
    """

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi = mpi
        self._comm = comm.Dup()
        self.rank: int = comm.rank
        self.size: int = comm.size
        self.near = Near(mpi, self._comm)
        self._rows: Common | None = None  # of all ranks
        self._tick: Callable[[], None] = lambda: None
        if self.size > 1:
            self._tick = _leaving.watch(mpi, comm)
            self._share_cpus()

    def _share_cpus(self) -> None:
        """Threads for this rank's part of the CPUs, unless their number was given."""
        own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        _threads.share(sum(not own.isdisjoint(other) for other in self.near.gather(own)))

    def bcast(self, value: Any, root: int = 0) -> Any:
        """The value of one rank: there the object itself, elsewhere a copy."""
        self._tick()
        copy = self._comm.bcast(value if self.rank == root else None, root)
        return value if self.rank == root else copy

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order."""
        self._tick()
        return list(self._comm.allgather(value))

    def largest(self, *values: float) -> list[float]:
        """The largest value of any rank, for each."""
        if self.size == 1:
            return list(values)
        self._tick()
        numbers = np.array(values, float)
        self._comm.Allreduce(self._mpi.IN_PLACE, numbers, self._mpi.MAX)
        return list(numbers.tolist())

    def add(self, array: np.ndarray) -> None:
        """Make an array the sum of those of all ranks, in the fastest order."""
        if self.size > 1:
            self._tick()
            self._comm.Allreduce(self._mpi.IN_PLACE, array)

    def add_rows(self, rows: Rows | None, variable: Any) -> Rows | np.ndarray:
        """The sum of the rows of all ranks, of which some may have none, for a variable."""
        if rows is None:
            values = np.empty((0, variable.shape[1]), variable.dtype)
            rows = Rows(np.empty(0, np.int64), values, len(variable.value))
        if self.size == 1:
            return rows
        self._tick()
        counts = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([len(rows.indices)]), counts)
        if counts.sum() > 2 * rows.length:  # so the whole matrix is less to send
            whole = np.asarray(rows)
            self.add(whole)
            return whole
        indices = np.empty(counts.sum(), np.int64)
        self._comm.Allgatherv(rows.indices, [indices, counts])
        return Rows.summed(indices, self._joined_rows(rows.values, counts), rows.length)

    def _joined_rows(self, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Those of all ranks, one behind the other: for now, as the next call may overwrite them.

        What all write to memory in common is copied once; a message is copied two or three times.
        """
        ends = own.shape[1] * np.cumsum(counts)
        size = int(ends[-1])
        if self.near.size == self.size:
            if self._rows is None or self._rows.size < size * own.itemsize:
                self._rows = self.near.common((2 * size * own.itemsize,), np.dtype(np.uint8))
            if self._rows is not None:
                every = self._rows.array()[: size * own.itemsize].view(own.dtype)
                every[ends[self.rank] - own.size : ends[self.rank]] = own.ravel()
                self.near.wait()
                return every.reshape(-1, own.shape[1])
        every = np.empty(size, own.dtype)
        self._comm.Allgatherv(own, [every, counts * own.shape[1]])
        return every.reshape(-1, own.shape[1])

    def add_in_order(self, rows: np.ndarray, ranges: list[Range]) -> np.ndarray:
        """The sum of rows that the ranks have these ranges of, from the first to the last."""
        if self.size > 1:
            self._tick()
            width = rows.shape[1]
            counts = [(stop - start) * width for start, stop in ranges]
            every = np.empty((ranges[-1][1], width))
            self._comm.Allgatherv(rows, [every, counts])
            rows = every
        total: np.ndarray = rows.sum(axis=0)
        return total

    def add_tree(
        self, leaf: Callable[[int], np.ndarray], length: int, dtype: np.dtype, ranges: list[Range]
    ) -> np.ndarray:
        """The sum of so many flat arrays, in an order that depends on their number alone.

        They are leaves of a binary tree. A rank adds up the branches that it has whole; of these
        each rank gets one slice, finishes it, and hands it to all.

        Parameters
        ----------
        leaf : callable
            From a number in the range of this rank to its array, which may be overwritten.
        length, dtype
            Of the arrays.
        ranges : list of (int, int)
            Which of them each rank has.
        """
        count = ranges[-1][1]
        if self.size == 1:
            return _added(leaf, 0, count)
        branches = [_branches(0, count, *own) for own in ranges]
        mine = [_added(leaf, *branch) for branch in branches[self.rank]]
        self._tick()
        cuts = [length * rank // self.size for rank in range(self.size + 1)]
        sizes = np.diff(cuts)
        sent = [array[cuts[rank] : cuts[rank + 1]] for rank in range(self.size) for array in mine]
        size = sizes[self.rank]
        got = np.empty((sum(map(len, branches)), size), dtype)
        self._comm.Alltoallv(
            [np.concatenate(sent) if sent else np.empty(0, dtype), len(mine) * sizes],
            [got, [len(found) * size for found in branches]],
        )
        of_branch = dict(zip((b for found in branches for b in found), got, strict=True))
        whole = np.empty(length, dtype)
        self._comm.Allgatherv(_joined(of_branch, 0, count), [whole, sizes])
        return whole


def _middle(start: int, stop: int) -> int:
    """Where the branches of a tree part: a power of two on the left, at most as much right."""
    return start + (1 << (stop - start - 1).bit_length() - 1)


def _branches(start: int, stop: int, low: int, high: int) -> list[Range]:
    """The largest branches of a tree within a range."""
    if start >= high or stop <= low:
        return []
    if low <= start and stop <= high:
        return [(start, stop)]
    middle = _middle(start, stop)
    return _branches(start, middle, low, high) + _branches(middle, stop, low, high)


def _added(leaf: Callable[[int], np.ndarray], start: int, stop: int) -> np.ndarray:
    if stop - start == 1:
        return leaf(start)
    middle = _middle(start, stop)
    total = _added(leaf, start, middle)
    total += _added(leaf, middle, stop)
    return total


def _joined(of_branch: dict[Range, np.ndarray], start: int, stop: int) -> np.ndarray:
    if (start, stop) in of_branch:
        return of_branch[start, stop]
    middle = _middle(start, stop)
    left, right = _joined(of_branch, start, middle), _joined(of_branch, middle, stop)
    total: np.ndarray = left + right
    return total
