"""DistributedOptimizer: an optimizer whose gradients are of the samples of all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _random, optimizers
from cylstm.distributed._mpi_sharing import SharedUpdates
from cylstm.distributed._mpi_steps import DistributedSteps, Flat, Reduced
from cylstm.distributed._ranks import ranks_of
from cylstm.variables import Variable

__all__ = ["DistributedOptimizer"]

_OWN = ("block_size", "deterministic", "ranks", "seed", "shared", "split_batches", "wrapped")


class DistributedOptimizer:
    """An optimizer for training by several processes, the ranks of an MPI job.

    Each rank runs the same program and computes the gradients of its samples; all update their
    copies of the weights by the gradient of all these samples, as one process would with them in
    one batch: each counts what it counts there, whatever masks, sample weights and sizes of the
    parts are. Losses, metrics and moving averages are of all samples, too. Clipping, constraints
    and regularizers act on the whole. All else is as the optimizer within has it.

    ModelCheckpoint, CSVLogger and progress act on rank 0 only; when training stops on one rank, it
    stops on all. A rank that fails, exits or gets Ctrl-C ends the job, and says so. A copy, and
    what is saved, is the optimizer within. `evaluate` and `predict` stay those of one process: see
    `evaluate_in_parts` and `predict_in_parts`.

    Parameters
    ----------
    optimizer : Optimizer or str
        What updates the weights.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks: by default all of the job.
    deterministic : bool, default False
        Whether the weights are the same, to the last bit, for every number of ranks: batches are
        cut into blocks, each computed by itself, and added up in one order. Dropout is drawn by
        the number of the block. The number of BLAS threads must be the same.
    block_size : int, default 8
        How many samples make a block of `deterministic`: more ranks than there are blocks in a
        batch do not help.
    split_batches : bool, optional
        Whether every rank is given the same samples, and takes its part of each batch; by default
        only if `deterministic`. Otherwise each is given samples of its own, `batch_size` of them
        at a time: see `shard`. Who has none left goes on for the others' sake.

    Raises
    ------
    ImportError
        If there is no mpi4py, or no MPI.
    ValueError, TypeError
        If an argument does not fit.
    RuntimeError
        In training, if the weights of the ranks differ: see `BroadcastWeights`.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.distributed import DistributedOptimizer, shard
    >>> import numpy as np
    >>> x, y = np.ones((8, 5, 3)), np.zeros((8, 4))
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> model.compile(DistributedOptimizer("adam"), "mse")
    >>> model.fit(shard(x), shard(y), epochs=2, verbose=0)
    <History of 2 epochs: loss: ...>
    """

    def __init__(
        self,
        optimizer: Any,
        comm: Any = None,
        *,
        deterministic: bool = False,
        block_size: int = 8,
        split_batches: bool | None = None,
    ) -> None:
        wrapped = optimizers.get(optimizer)
        if isinstance(wrapped, DistributedOptimizer):
            raise ValueError("The optimizer is a DistributedOptimizer already.")
        if deterministic and split_batches is not None and not split_batches:
            raise ValueError(
                "deterministic=True takes the same samples on every rank: leave out "
                "split_batches=False."
            )
        ranks = ranks_of(comm)
        # By a copy: what is drawn later, such as orders, is as without ranks.
        drawn = int(deepcopy(_random.default_generator()).integers(2**62))
        self.__dict__.update(
            wrapped=wrapped,
            ranks=ranks,
            deterministic=bool(deterministic),
            block_size=_checks.positive_int(block_size, "block_size"),
            split_batches=bool(deterministic if split_batches is None else split_batches),
            seed=ranks.bcast(drawn),
            shared=SharedUpdates(ranks.near),
        )

    @staticmethod
    def make_steps(model: Any, objective: Any) -> DistributedSteps:
        """The steps of training that this optimizer takes: those of all ranks together."""
        return DistributedSteps(model, objective)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            raise AttributeError(f"{name} is settled when a DistributedOptimizer is made.")
        setattr(self.wrapped, name, value)

    def __repr__(self) -> str:
        return f"DistributedOptimizer({self.wrapped!r})"

    def __reduce__(self) -> Any:
        return _same, (self.wrapped,)

    def apply(
        self,
        gradients: Sequence[npt.ArrayLike],
        variables: Sequence[Variable],
        *,
        samples: float = 1,
    ) -> None:
        """Update variables by the mean of the gradients of all ranks; see `Optimizer.apply`.

        Parameters
        ----------
        gradients, variables
            Those of this rank, which has them all.
        samples : float, default 1
            What they count in the mean: of how many samples they are the mean.

        Raises
        ------
        ValueError, TypeError
            As `Optimizer.apply`, or if no rank has samples.
        """
        variables = list(variables)
        if not isinstance(gradients, Reduced):
            total = np.array([samples], float)
            self.ranks.add(total)
            if not (samples >= 0 and total[0] > 0):
                raise ValueError(
                    f"samples is not negative, and above 0 on some rank, got {samples}."
                )
            share = float(samples / total[0])
            flat = Flat(variables)
            buffer = flat.filled([np.multiply(gradient, share) for gradient in gradients])
            self.ranks.add(buffer)
            gradients = Reduced(flat.taken(flat.views(buffer)))
        self.wrapped._shared = self.shared
        try:
            self.wrapped.apply(gradients, variables)
        finally:
            self.wrapped._shared = None


def _same(optimizer: Any) -> Any:
    return optimizer


optimizers.Optimizer.register(DistributedOptimizer)
