"""The losses and updates of a layer: functions that `Layer` has as methods, or reads itself by."""

from __future__ import annotations

from typing import Any, Protocol

from cylstm import _trace, regularizers
from cylstm._methods import member
from cylstm.variables import Variable

__all__ = [
    "Penalised",
    "add_loss",
    "add_update",
    "as_list",
    "get_losses_for",
    "get_updates_for",
    "own_losses",
    "penalised_weights",
]

Entry = tuple[Any, list[Any] | None]  # a loss or an update, and the inputs that it depends on


class Penalised(Protocol):
    """What these functions read of a layer: what it has beside the loss of the task."""

    _variables: list[Variable]
    _losses: list[Entry]
    _updates: list[Entry]
    _activity_losses: list[float]  # of its last outputs


def as_list(value: Any) -> list[Any]:
    """A list or tuple as a list, anything else as a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


def own_losses(layer: Penalised) -> list[Any]:
    """The losses of the layer itself: of the weights, added ones, of the last outputs."""
    conditional = [loss for loss, inputs in layer._losses if inputs is not None]
    return _unconditional(layer) + conditional + layer._activity_losses


@member
def add_loss(self: Penalised, losses: Any, inputs: Any = None) -> None:
    """Add one or several losses (numbers), of these inputs or of the layer itself.

    Raises
    ------
    TypeError
        For what `call` computes from its inputs: nothing would train it.
    """
    _refuse_traced(self, "add_loss", losses)
    self._losses += [(loss, _condition(inputs)) for loss in as_list(losses)]


@member
def get_losses_for(self: Penalised, inputs: Any) -> list[Any]:
    """The losses that depend on these inputs; on none (the weights'), for None."""
    return _matching(self._losses, inputs) if _condition(inputs) else _unconditional(self)


def _unconditional(layer: Penalised) -> list[Any]:
    of_weights = [
        regularizers.penalty(v.regularizer, v.value) for v in layer._variables if v.regularizer
    ]
    return of_weights + _matching(layer._losses, None)


def penalised_weights(layer: Penalised) -> list[Variable]:
    """The weights of its own whose penalties a model adds to its loss."""
    return [v for v in layer._variables if v.regularizer]


@member
def add_update(self: Penalised, updates: Any, inputs: Any = None) -> None:
    """Note one or several updates, of these inputs or of the layer itself.

    Raises
    ------
    TypeError
        For what `call` computes from its inputs: nothing would carry it out.
    """
    _refuse_traced(self, "add_update", updates)
    self._updates += [(update, _condition(inputs)) for update in as_list(updates)]


def _refuse_traced(layer: Penalised, method: str, values: Any) -> None:
    if _trace.is_traced(values):
        raise TypeError(
            f"Layer {getattr(layer, 'name', '?')}: {method} does not take what `call` computes. "
            "A penalty of the outputs is the layer's activity_regularizer, one of a weight the "
            "regularizer of add_weight, and anything else a loss of an output of the model."
        )


@member
def get_updates_for(self: Penalised, inputs: Any) -> list[Any]:
    """The updates that depend on these inputs; on none, for None."""
    return _matching(self._updates, inputs)


def _condition(inputs: Any) -> list[Any] | None:
    """The inputs that a loss or an update depends on; None where on none."""
    return None if inputs is None else (as_list(inputs) or None)


def _matching(entries: list[Entry], inputs: Any) -> list[Any]:
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
