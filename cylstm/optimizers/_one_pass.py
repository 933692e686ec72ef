"""OnePass: optimizers whose update of a variable the core computes in one pass over the memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm import _core, _threads
from cylstm._rows import Rows
from cylstm.optimizers.optimizer import Computed, Optimizer, State

__all__ = ["OnePass"]

Factors = tuple[float, float, float, float, float, float, float, float]


class OnePass(Optimizer):
    """An optimizer with an update of this kind, m and v being its slots:

    m' = keep_m m + add_m g, v' = keep_v v + add_v g², and then
    w' = w - (of_g g + of_m m') / (sqrt(of_v v') + epsilon).

    Without `_has_mean` there is no m, without `_has_square` no v and no division.
    """

    _has_mean = True
    _has_square = True
    _shared: Any = None  # what shares updates out to several processes: see `cylstm.distributed`

    @abstractmethod
    def _factors(self, *numbers: float) -> Factors:
        """Return keep_m, add_m, keep_v, add_v, of_g, of_m, of_v and epsilon for this update."""

    def _job(
        self,
        gradient: Any,
        state: State,
        value: np.ndarray | None,
        new_slots: list[np.ndarray],
        out: np.ndarray,
        factors: np.ndarray,
    ) -> tuple[Any, ...]:
        """What `_core.update` takes of one variable."""
        rows = isinstance(gradient, Rows)
        given = (gradient.values, gradient.indices) if rows else (gradient, None)
        return (*given, value, self._pair(state.slots), self._pair(new_slots), out, factors)

    def _pair(self, slots: list[np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The slots as m and v."""
        rest = iter(slots)
        mean = next(rest) if self._has_mean else None
        return mean, next(rest) if self._has_square else None

    def update(self, gradient: np.ndarray, state: State, *numbers: float) -> None:
        """Compute one update of one variable; see `Optimizer.update`."""
        factors = np.array(self._factors(*numbers))
        job = self._job(gradient, state, None, state.new_slots, state.delta, factors)
        _core.update([job], None)
        np.negative(state.delta, out=state.delta)

    def _computed(self, states: list[State], gradients: list[Any], numbers: Any) -> Computed:
        """See `Optimizer`; slots are overwritten, last of all, where nothing can fail any more.

        That is where no variable has a constraint, whose code is the user's.
        """
        if type(self).update is not OnePass.update:  # a subclass has one of its own
            return super()._computed(states, gradients, numbers)
        factors = np.array(self._factors(*numbers))
        in_place = all(state.variable.constraint is None for state in states)
        shared = self._shared if in_place else None
        values = shared.outs(states) if shared else [state.out() for state in states]
        jobs = [
            self._job(g, s, s.variable.value, s.slots if in_place else s.new_slots, value, factors)
            for s, g, value in zip(states, gradients, values, strict=True)
        ]
        finish: tuple[Callable[..., Any], Any, Any] = (_core.update, jobs, _threads.pool())
        if in_place:
            return values, shared.parted(finish) if shared else finish
        _core.update(*finish[1:])
        return values, None
