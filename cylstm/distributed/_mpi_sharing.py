"""SharedUpdates: large variables, each updated in parts by the ranks of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from cylstm import optimizers
from cylstm.distributed._near import Common, Near

__all__ = ["SharedUpdates"]

State = optimizers.optimizer.State

_LEAST = 2**20
"""Elements from which a variable is shared: fewer are in the caches, and soon updated."""


class SharedUpdates:
    """What lets the ranks of a host update each some rows of large variables, for all of them.

    An update is nothing but traffic of memory, for which the ranks wait if all do the same at once.
    So slots, and new values, are in memory that they have in common. Each number goes the way that
    it goes in one process.

    A rank writes only when all have come to the update, so each may read until then. Arrays that
    somebody holds stay as they are: values go into memory that no rank has an array on, and slots
    are read-only for all but this class: an update on one rank alone copies them first.

    Parameters
    ----------
    near : Near
        The ranks of this host.
    """

    def __init__(self, near: Near) -> None:
        self._near = near
        self._places: WeakKeyDictionary[State, _Place] = WeakKeyDictionary()
        self._now: dict[int, _Place] = {}

    def outs(self, states: list[State]) -> list[np.ndarray]:
        """Where the new values of variables go; all ranks are about to update them."""
        self._now = {}
        large = [s for s in states if s.variable.size >= _LEAST and self._near.has_memory]
        if not large:
            return [state.out() for state in states]
        places = [self._places.get(state) for state in large]
        lost = [p is None or not p.has(s) for p, s in zip(places, large, strict=True)]
        flags = np.array([*lost, *(p is None or p.values[0].held for p in places)], np.int32)
        self._near.any(flags)
        for state, is_lost, is_held in zip(large, *np.split(flags, 2), strict=True):
            if is_lost:
                self._move(state)
            elif is_held:
                self._places[state].values[0] = self._common(state)
        if not self._near.has_memory:
            return [state.out() for state in states]
        outs = {state: self._places[state].values[0].array() for state in large}
        self._now = {id(out): self._places[state] for state, out in outs.items()}
        return [outs[state] if state in outs else state.out() for state in states]

    def _common(self, state: State) -> Any:
        """Memory for an array as its variable, or None."""
        return self._near.common(state.variable.shape, state.variable.dtype)

    def _move(self, state: State) -> None:
        """Move the slots of a variable to memory that all have."""
        slots = [self._common(state) for _ in state.slots]
        values = [self._common(state) for _ in range(2)]
        if self._near.has_memory:
            self._places[state] = _Place(slots, values, state, self._near)

    def parted(self, finish: tuple[Callable[..., Any], list[Any], Any]) -> tuple[Any, ...]:
        """A call of `_core.update` for the part of this rank, that returns when all have theirs."""
        update, jobs, pool = finish
        own = [self._now[id(j[5])].job(*j) if id(j[5]) in self._now else j for j in jobs]
        return self._update, update, own, pool

    def _update(self, update: Callable[..., Any], jobs: list[Any], pool: Any) -> None:
        update(jobs, pool)
        if self._now:
            self._near.wait()
        for place in self._now.values():
            place.values.reverse()
        self._now = {}


class _Place:
    """Where the slots and values of a variable are: the value goes to the first one next."""

    def __init__(self, slots: list[Common], values: list[Common], state: State, near: Near) -> None:
        self.values = values
        self._part = near.part(len(state.variable.value))
        self._slots = [slot.array() for slot in slots]
        self._shown = [slot.array() for slot in slots]
        for array, before, shown in zip(self._slots, state.slots, self._shown, strict=True):
            array[self._part] = before[self._part]
            shown.flags.writeable = False
        state.slots, state.lent = self._shown, True

    def has(self, state: State) -> bool:
        return state.slots is self._shown

    def job(
        self, gradient: Any, indices: Any, value: Any, slots: Any, _: Any, out: Any, factors: Any
    ) -> tuple[Any, ...]:
        """What `_core.update` takes, for the rows of this rank."""
        part = self._part
        if indices is None:
            gradient = gradient[part]
        else:
            start, stop = np.searchsorted(indices, [part.start, part.stop])
            gradient, indices = gradient[start:stop], indices[start:stop] - part.start
        rest = iter(self._slots)
        own = tuple(None if slot is None else next(rest)[part] for slot in slots)
        return gradient, indices, value[part], own, own, out[part], factors
