"""Turns: who may use the states of a stateful layer, one call at a time."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

__all__ = ["Turn", "in_turn"]

_numbers = itertools.count()
_turns: weakref.WeakSet[Turn] = weakref.WeakSet()
_AT_ONCE: AbstractContextManager[Any] = nullcontext()


class Turn:
    """The lock of a layer's states. A copy, also one by pickle, is a new one that nobody holds.

    Attributes
    ----------
    lock : RLock
        A call within a call of the same thread goes on.
    number : int
        The order in which a thread takes several: no two can wait for each other.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.number = next(_numbers)
        _turns.add(self)

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()


def in_turn(*layers: Any) -> AbstractContextManager[Any]:
    """Wait until no other thread uses the states of these layers, or of layers within them.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.layers._turns import in_turn
    >>> layer = cylstm.LSTM(2, stateful=True, batch_input_shape=(1, None, 3))
    >>> with in_turn(layer):
    ...     before = layer.states
    """
    stateful = [layer for layer in layers if getattr(layer, "stateful", False)]
    if not stateful:
        return _AT_ONCE
    turns = {turn for layer in stateful for turn in _of(layer)}
    if len(turns) > 1:
        return _held(sorted(turns, key=lambda turn: turn.number))
    return turns.pop().lock if turns else _AT_ONCE


def _of(layer: Any) -> Iterator[Turn]:
    if getattr(layer, "stateful", False):
        turn = getattr(layer, "_turn", None)
        if turn is not None:
            yield turn
        for inner in layer._sublayers():
            yield from _of(inner)


@contextmanager
def _held(turns: list[Turn]) -> Iterator[None]:
    with ExitStack() as stack:
        for turn in turns:
            stack.enter_context(turn.lock)
        yield


def _renew_locks() -> None:
    """In the child of a fork, where the threads that may hold them do not exist."""
    for turn in _turns:
        turn.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
