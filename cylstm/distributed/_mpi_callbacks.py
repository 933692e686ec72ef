"""What the ranks of an MPI job do before training."""

from __future__ import annotations

from typing import Any

from cylstm import _checks
from cylstm.callbacks import Callback

__all__ = ["BroadcastWeights"]


class BroadcastWeights(Callback):
    """Give all ranks the weights, and the state of the optimizer, that one of them has.

    At the beginning of training: after that they stay equal.

    Parameters
    ----------
    root : int, default 0
        The rank that has them.

    Raises
    ------
    TypeError, ValueError
        Before the first epoch, if the model has no `DistributedOptimizer`, or there is no such
        rank, or the models or optimizers are not of one kind.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.distributed import BroadcastWeights, DistributedOptimizer
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> model.compile(DistributedOptimizer("adam"), "mse")
    >>> x, y = np.ones((8, 5, 3)), np.zeros((8, 4))
    >>> model.fit(x, y, epochs=2, verbose=0, callbacks=[BroadcastWeights()])
    <History of 2 epochs: loss: ...>
    """

    _adds = ()

    def __init__(self, root: int = 0) -> None:
        self.root: int = root if root == 0 else _checks.positive_int(root, "root")

    def on_train_begin(self, logs: Any = None) -> None:
        """Send, or receive."""
        ranks = getattr(self.model.optimizer, "ranks", None)
        if ranks is None:
            raise TypeError(
                "BroadcastWeights goes with a DistributedOptimizer: compile the model with one."
            )
        if self.root >= ranks.size:
            raise ValueError(f"root is a rank, below {ranks.size}, got {self.root}.")
        wrapped, own = self.model.optimizer.wrapped, None
        kind = type(wrapped).__name__
        if ranks.rank == self.root:
            state = wrapped.get_config(), wrapped.iterations, wrapped.get_weights()
            own = self.model.get_weights(), kind, *state
        weights, kind_of_root, config, iterations, slots = ranks.bcast(own, self.root)
        if ranks.rank == self.root:
            return
        if kind != kind_of_root:
            raise ValueError(f"The optimizer of rank {self.root} is {kind_of_root}, here {kind}.")
        self.model.set_weights(weights)
        for name, value in config.items():
            setattr(wrapped, name, value)
        wrapped.set_weights(slots)
        wrapped.iterations = iterations
