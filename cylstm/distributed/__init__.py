"""Beyond one process: training over the ranks of MPI, prediction by Dask.

To be imported by name (``pip install 'cylstm[mpi]'``, ``'cylstm[dask]'``); ``import cylstm`` does
without both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.distributed._dask import predict
    from cylstm.distributed._mpi_callbacks import BroadcastWeights
    from cylstm.distributed._mpi_data import evaluate_in_parts, gather, predict_in_parts, shard
    from cylstm.distributed._mpi_optimizer import DistributedOptimizer
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "_dask": "predict",
            "_mpi_callbacks": "BroadcastWeights",
            "_mpi_data": "evaluate_in_parts gather predict_in_parts shard",
            "_mpi_optimizer": "DistributedOptimizer",
        },
    )

__all__ = [
    "BroadcastWeights",
    "DistributedOptimizer",
    "evaluate_in_parts",
    "gather",
    "predict",
    "predict_in_parts",
    "shard",
]
