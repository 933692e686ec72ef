"""Near: the ranks on one host, and memory that they have in common."""

from __future__ import annotations

import math
import mmap
import os
import secrets
import sys
from contextlib import ExitStack
from typing import Any

import numpy as np

__all__ = ["Common", "Near"]


class Near:
    """The ranks on the host of this one: all of them call a method, in one order.

    Parameters
    ----------
    mpi : module
        mpi4py.MPI.
    comm : Intracomm
        Between all ranks of the job.

    Attributes
    ----------
    rank, size : int
        Which this one is of those here, and how many there are.
    has_memory : bool
        Whether `common` has found some, so far.
    """

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi = mpi
        self._comm = comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.rank: int = self._comm.rank
        self.size: int = self._comm.size
        self.has_memory = self.size > 1

    def gather(self, value: Any) -> list[Any]:
        """The values of all, in their order."""
        return list(self._comm.allgather(value))

    def any(self, flags: np.ndarray) -> None:
        """Make flags true that are so for any."""
        self._comm.Allreduce(self._mpi.IN_PLACE, flags, self._mpi.MAX)

    def wait(self) -> None:
        """Return when all have come here, and what they have written before is there."""
        self._comm.Barrier()

    def part(self, length: int) -> slice:
        """Which of so many this rank takes."""
        return slice(length * self.rank // self.size, length * (self.rank + 1) // self.size)

    def common(self, shape: tuple[int, ...], dtype: np.dtype) -> Common | None:
        """Memory for an array, the same for all; None, from then on, where there is none."""
        if not self.has_memory:
            return None
        size = max(1, math.prod(shape) * dtype.itemsize)
        name = f"cylstm-{secrets.token_hex(8)}"
        with ExitStack() as files:
            file = _made(name, size) if self.rank == 0 else None
            if file is not None:
                files.callback(os.close, file)
            name, path = self._comm.bcast((name, file and f"/proc/{os.getpid()}/fd/{file}"))
            if self.rank != 0 and path:
                file = _opened(name, path)
                if file is not None:
                    files.callback(os.close, file)
            memory = None if file is None else _mapped(file, size)
            self.has_memory = all(self.gather(memory is not None))  # it stays open until then
        return Common(memory, shape, dtype) if self.has_memory else None


class Common:
    """Memory that the ranks of a host have in common, until the last one needs it no longer.

    Attributes
    ----------
    size : int
        Of how many bytes.
    held : bool
        Whether there is an array on it, in this process.
    """

    def __init__(self, memory: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._memory = memory
        self._kind = shape, dtype
        self.size = len(memory)

    def references(self) -> int:
        return sys.getrefcount(self._memory)

    @property
    def held(self) -> bool:
        return self.references() > _UNHELD

    def array(self) -> np.ndarray:
        """A new array on it: whoever has this array, or a part of it, holds the memory."""
        shape, dtype = self._kind
        return np.ndarray(shape, dtype, self._memory)


_UNHELD = Common(bytearray(1), (1,), np.dtype(np.uint8)).references()


# A file without a name in any folder: nothing is left of it, however the processes end. It has no
# limit of its own, such as that of /dev/shm, where who writes to more is killed.


def _made(name: str, size: int) -> int | None:
    file = None
    try:
        file = os.memfd_create(name)
        os.ftruncate(file, size)
    except (AttributeError, OSError):  # another system than Linux; not allowed
        if file is not None:
            os.close(file)
        return None
    return file


def _opened(name: str, path: str) -> int | None:
    """The file of another process, if it is that: containers number their processes anew."""
    try:
        return os.open(path, os.O_RDWR) if name in os.readlink(path) else None
    except OSError:
        return None


def _mapped(file: int, size: int) -> Any:
    try:
        return mmap.mmap(file, size)
    except OSError:
        return None
