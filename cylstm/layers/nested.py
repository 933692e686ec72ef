"""Nested: what a layer that holds other layers - a wrapper, a model - passes on to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from cylstm.layers._losses import own_losses
from cylstm.layers._turns import in_turn
from cylstm.layers.layer import Layer
from cylstm.variables import Variable

__all__ = ["Nested"]


class Nested(Layer):
    """A layer made of layers: its weights, losses, updates and states are theirs.

    A subclass defines `_sublayers`. A weight that is reached twice (a shared layer) counts once.
    While `trainable` is False the whole is frozen, whatever the flags of the layers within.

    Examples
    --------
    >>> from cylstm.layers import LSTM
    >>> from cylstm.layers.nested import Nested
    >>> class Pair(Nested):
    ...     def __init__(self, first, second):
    ...         super().__init__()
    ...         self.first, self.second = first, second
    ...     def _sublayers(self):
    ...         return [self.first, self.second]
    >>> pair = Pair(LSTM(2), LSTM(3, trainable=False))
    >>> pair.first.build((None, None, 4)), pair.second.build((None, None, 2))
    (None, None)
    >>> len(pair.weights), len(pair.trainable_weights), len(pair.non_trainable_weights)
    (6, 3, 3)
    >>> pair.trainable = False
    >>> len(pair.trainable_weights), pair.first.trainable
    (0, True)
    """

    def _sublayers(self) -> list[Layer]:
        """The layers within, each once, in the order of their weights."""
        raise TypeError(f"{type(self).__name__} does not define `_sublayers`.")

    def _counted_sublayers(self) -> list[Layer]:
        """The layers whose penalties and updates count when this one is part of a model."""
        return self._sublayers()

    # ------------------------------------------------------------------ weights

    @property
    def weights(self) -> list[Variable]:
        """All weights: its own, then those of each layer within."""
        own = sorted(self._variables, key=lambda v: not v.trainable)
        return _unique(own + [v for layer in self._sublayers() for v in layer.weights])

    @property  # type: ignore[misc]  # not to be set, but in the layers within
    def trainable_weights(self) -> list[Variable]:
        """The weights that training updates: none while the whole is frozen."""
        return self._weights_by_use()[0]

    @property  # type: ignore[misc]  # likewise
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone; those of a frozen whole all are."""
        return self._weights_by_use()[1]

    def _weights_by_use(self) -> tuple[list[Variable], list[Variable]]:
        trained = [v for v in self._variables if v.trainable]
        fixed = [v for v in self._variables if not v.trainable]
        for layer in self._sublayers():
            trained += layer.trainable_weights
            fixed += layer.non_trainable_weights
        trained = _unique(trained)
        fixed = [v for v in _unique(fixed) if v not in trained]
        return (trained, fixed) if self.trainable else ([], trained + fixed)

    # ------------------------------------------------------------------ losses and updates

    @property
    def losses(self) -> list[Any]:
        """The losses of the whole and of each layer within."""
        return own_losses(self) + [x for layer in self._sublayers() for x in layer.losses]

    def get_losses_for(self, inputs: Any) -> list[Any]:
        """The losses that depend on these inputs; on none (the weights'), for None."""
        inner = [x for layer in self._counted_sublayers() for x in layer.get_losses_for(inputs)]
        return super().get_losses_for(inputs) + inner

    def _penalised_weights(self) -> list[Variable]:
        inner = [v for layer in self._counted_sublayers() for v in layer._penalised_weights()]
        return _unique(super()._penalised_weights() + inner)

    @property
    def updates(self) -> list[Any]:
        """What `add_update` of the whole and of each layer within was given."""
        return super().updates + [x for layer in self._sublayers() for x in layer.updates]

    def get_updates_for(self, inputs: Any) -> list[Any]:
        """The updates that depend on these inputs; on none, for None."""
        inner = [x for layer in self._counted_sublayers() for x in layer.get_updates_for(inputs)]
        return super().get_updates_for(inputs) + inner

    # ------------------------------------------------------------------ states

    @property
    def stateful(self) -> bool:
        """Whether a layer within keeps its states from call to call."""
        for layer in self._sublayers():  # quicker than `any`: each prediction asks
            if getattr(layer, "stateful", False):
                return True
        return False

    def reset_states(self) -> None:
        """Set the states of every stateful layer within to zero."""
        with in_turn(self):
            for layer in self._sublayers():
                if getattr(layer, "stateful", False):
                    layer.reset_states()  # type: ignore[attr-defined]  # stateful ones have it

    def _undo(self) -> Callable[[], None]:
        undos = [super()._undo(), *(layer._undo() for layer in self._sublayers())]

        def undo() -> None:
            for each in undos:
                each()

        return undo


def accepted(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Those of the arguments that are not None and that a function or method takes by name.

    Examples
    --------
    >>> from cylstm.layers.nested import accepted
    >>> accepted(lambda x, training: x, mask=1, training=True)
    {'training': True}
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if not given:
        return given
    names, any_name = _parameters(getattr(function, "__func__", function))
    return {name: value for name, value in given.items() if any_name or name in names}


@lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> tuple[frozenset[str], bool]:
    parameters = inspect.signature(function).parameters.values()
    return (
        frozenset(p.name for p in parameters if p.kind is not p.VAR_KEYWORD),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _unique(variables: Iterable[Variable]) -> list[Variable]:
    return list(dict.fromkeys(variables))
