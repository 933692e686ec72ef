"""Which part of an epoch cylstm spends where: clocks around its functions, without what is within.

Clocks are put around functions of the library; each counts the time that no other one within it
does. What none counts is Python: batches, callbacks, metrics, checks. The LSTM's kernels are the
calls of the core's `Cell`, from Python's side: packing and new arrays are inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np

from bench.jobs import jobs

__all__ = ["Clocks", "profile"]

KERNELS = "LSTM kernels"
EPOCHS = 3


class Clocks:
    """Seconds by part, each without the parts within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within: list[float] = [0.0]

    def around(self, part: str, function: Callable[..., Any], of_result: str = "") -> Any:
        """The function with a clock; with `of_result` the pullback that it returns has one too."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            self._within.append(0.0)
            try:
                result = function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                inner = self._within.pop()
                self._within[-1] += spent
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - inner
            if of_result:
                value, back = result
                return value, self.around(of_result, back)
            return result

        return timed


def _clocked(clocks: Clocks, stack: ExitStack) -> None:
    """Put clocks around the parts."""
    from cylstm import _core, layers
    from cylstm.layers import _engines
    from cylstm.layers._lookups import Lookups, Table, Tables
    from cylstm.optimizers.optimizer import Optimizer
    from cylstm.training._data import Samples
    from cylstm.training._objective import Objective

    class Cell(_core.Cell):
        forward = clocks.around(KERNELS, _core.Cell.forward)
        backward = clocks.around(KERNELS, _core.Cell.backward)

    def patch(cls: Any, name: str, part: str, of_result: str = "") -> None:
        timed = clocks.around(part, getattr(cls, name), of_result)

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return timed(self, *args, **kwargs)

        stack.enter_context(mock.patch.object(cls, name, method))

    stack.enter_context(mock.patch.object(_core, "Cell", Cell))
    stack.enter_context(mock.patch.object(_engines._core, "Cell", Cell))
    patch(layers.Embedding, "_looked_up", "embedding, forward", "embedding, gradient")
    patch(Lookups, "vectors", "embedding, forward")
    patch(Tables, "for_training", "table of words")
    patch(Table, "pulled", "table of words")
    patch(layers.Dense, "forward", "Dense", "Dense")
    patch(Objective, "assess", "loss", "loss")
    patch(Optimizer, "apply", "optimizer")
    patch(Samples, "take", "batches")


def profile(title: str, threads: int) -> float:
    """Print the parts of one epoch of a job, the fastest of few; the share outside the kernels."""
    import cylstm
    from bench.peers import load

    job = jobs(False)[title]
    cylstm.set_num_threads(threads)
    peer: Any = load("fit_cylstm")
    peer.start(threads)
    clocks, best = Clocks(), (float("inf"), dict[str, float]())
    with ExitStack() as stack:
        _clocked(clocks, stack)
        run = peer.prepare(job, job.data()).run
        run()
        for _ in range(EPOCHS):
            clocks.seconds.clear()
            start = time.perf_counter()
            run()
            best = min(
                best, (time.perf_counter() - start, dict(clocks.seconds)), key=lambda b: b[0]
            )
    total, parts = best
    parts["Python and the rest"] = total - sum(parts.values())
    batches = -(-job.rows // job.batch)
    print(f"{title}, {threads} thread(s), {1e3 * total / batches:.3f} ms a batch:")
    for part in sorted(parts, key=lambda part: -parts[part]):
        print(f"  {part:20} {1e3 * parts[part] / batches:8.3f} ms {parts[part] / total:6.1%}")
    outside = 1 - parts.get(KERNELS, 0.0) / total
    print(f"  outside the kernels  {outside:.1%}")
    return float(np.round(outside, 4))
