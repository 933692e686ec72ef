"""LossHolder: the members of a layer that have to do with its losses and updates."""

from __future__ import annotations

from typing import Any

from cylstm import _trace, regularizers
from cylstm.variables import Variable

__all__ = ["LossHolder", "as_list"]


def as_list(value: Any) -> list:
    """A list or tuple as a list, anything else as a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


class LossHolder:
    """The losses of a layer beside that of the task, and its updates."""

    def __init__(self) -> None:
        super().__init__()
        self._losses: list[tuple[Any, list | None]] = []
        self._updates: list[tuple[Any, list | None]] = []
        self._activity_losses: list[float] = []

    @property
    def losses(self) -> list[Any]:
        """The losses beside that of the task: of the weights, added ones, of the last outputs."""
        return self._own_losses()

    def _own_losses(self) -> list[Any]:
        conditional = [loss for loss, inputs in self._losses if inputs is not None]
        return self._unconditional_losses() + conditional + self._activity_losses

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add one or several losses (numbers), of these inputs or of the layer itself.

        Raises
        ------
        TypeError
            For what `call` computes from its inputs: nothing would train it.
        """
        self._refuse_traced("add_loss", losses)
        self._losses += [(loss, _condition(inputs)) for loss in as_list(losses)]

    def get_losses_for(self, inputs: Any) -> list[Any]:
        """The losses that depend on these inputs; on none (the weights'), for None."""
        return (
            _matching(self._losses, inputs) if _condition(inputs) else self._unconditional_losses()
        )

    def _unconditional_losses(self) -> list[Any]:
        of_weights = [
            regularizers.penalty(v.regularizer, v.value) for v in self._variables if v.regularizer
        ]
        return of_weights + _matching(self._losses, None)

    def _penalised_weights(self) -> list[Variable]:
        """The weights whose penalties a model adds to its loss."""
        return [v for v in self._variables if v.regularizer]

    @property
    def updates(self) -> list[Any]:
        """What `add_update` was given."""
        return [update for update, _ in self._updates]

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Note one or several updates, of these inputs or of the layer itself.

        Raises
        ------
        TypeError
            For what `call` computes from its inputs: nothing would carry it out.
        """
        self._refuse_traced("add_update", updates)
        self._updates += [(update, _condition(inputs)) for update in as_list(updates)]

    def _refuse_traced(self, method: str, values: Any) -> None:
        if _trace.is_traced(values):
            raise TypeError(
                f"Layer {getattr(self, 'name', '?')}: {method} does not take what `call` computes. "
                "A penalty of the outputs is the layer's activity_regularizer, one of a weight the "
                "regularizer of add_weight, and anything else a loss of an output of the model."
            )

    def get_updates_for(self, inputs: Any) -> list[Any]:
        """The updates that depend on these inputs; on none, for None."""
        return _matching(self._updates, inputs)


def _condition(inputs: Any) -> list | None:
    """The inputs that a loss or an update depends on; None where on none."""
    return None if inputs is None else (as_list(inputs) or None)


def _matching(entries: list[tuple[Any, list | None]], inputs: Any) -> list[Any]:
    wanted = _condition(inputs)
    if wanted is None:
        return [value for value, condition in entries if condition is None]
    return [
        value
        for value, condition in entries
        if condition is not None
        and len(condition) == len(wanted)
        and all(a is b for a, b in zip(condition, wanted, strict=True))
    ]
