"""Cells: what `RNN` does at a timestep. What a cell is, how it is called, and stacks of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _registry, _trace
from cylstm._phase import learning_phase
from cylstm.layers._options import WeightedOptions
from cylstm.layers.layer import Layer
from cylstm.layers.nested import Nested, accepted
from cylstm.layers.serialization import deserialize
from cylstm.variables import Variable

__all__ = ["StackedRNNCells"]

# (d_output, d_states) -> (d_inputs, d_states, gradients by weight[, d_constants])
StepPullback = Callable[[Any, list[Any]], tuple[Any, ...]]


class StackedRNNCells(Nested):
    """Cells one above the other as one cell: each reads what the one below gives.

    `RNN` makes one of a list of cells.

    Parameters
    ----------
    cells : list of cells
        The lowest first. See `RNN` for what a cell is.
    **kwargs
        The arguments of `Layer` without `activity_regularizer`.

    Attributes
    ----------
    state_size : tuple of int
        The sizes of the states of all cells, those of the last cell first: for two LSTM cells
        h and c of the upper, then of the lower, as in Keras 2.0.9.

    Raises
    ------
    ValueError
        If there is no cell, one has no `call` or `state_size`, or their dtypes differ.

    Examples
    --------
    >>> from cylstm.layers import LSTMCell, StackedRNNCells
    >>> StackedRNNCells([LSTMCell(4), LSTMCell(2)]).state_size
    (2, 2, 4, 4)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Unpack[WeightedOptions]) -> None:
        cells = list(cells)
        if not cells:
            raise ValueError("StackedRNNCells needs at least one cell, got an empty list.")
        for cell in cells:
            check_cell(cell)
        kwargs["dtype"] = common_dtype(cells, kwargs.get("dtype"))
        super().__init__(**kwargs)
        self.cells = cells

    @property
    def state_size(self) -> tuple[int, ...]:
        """The sizes of the states of all cells, those of the last cell first."""
        return tuple(size for cell in reversed(self.cells) for size in state_sizes(cell))

    def _sublayers(self) -> list[Layer]:
        return [cell for cell in self.cells if isinstance(cell, Layer)]

    def build(self, input_shape: Any) -> None:
        """Build each cell for inputs of a timestep, (batch, input_dim).

        Of a list, the shapes after the first are those of the constants, for the cells that take
        constants.
        """
        shape, *constants = input_shape if isinstance(input_shape, list) else [input_shape]
        for cell in self.cells:
            if isinstance(cell, Layer):
                several = bool(constants) and takes_constants(cell)
                cell._ensure_built_for([shape, *constants] if several else shape)
            shape = (shape[0], state_sizes(cell)[0])
        self.built = True

    def call(
        self,
        inputs: Any,
        states: Sequence[Any],
        constants: Sequence[Any] | None = None,
        training: bool | None = None,
        dropout_masks: Any = None,
    ) -> tuple[Any, list[Any]]:
        """One timestep of all cells: the output of the last, and the states as in `state_size`."""
        of_cells: list[list[Any]] = []
        for cell, own, masks in self._parts(states, dropout_masks):
            inputs, new = call_cell(cell, inputs, own, constants, masks, training)
            of_cells.insert(0, new)
        return inputs, [state for states in of_cells for state in states]

    def step_vjp(
        self,
        inputs: Any,
        states: Sequence[Any],
        constants: Sequence[Any] | None = None,
        training: bool | None = None,
        dropout_masks: Any = None,
    ) -> tuple[tuple[Any, list[Any]], StepPullback]:
        """One timestep and its pullback, if each cell has a `step_vjp`; see `RNN`."""
        of_cells: list[list[Any]] = []
        pulls: list[StepPullback] = []
        read: list[Any] = []
        for cell, own, masks in self._parts(states, dropout_masks):
            read.insert(0, inputs)
            (inputs, new), pull = cell_vjp(cell, inputs, own, constants, masks, training)
            of_cells.insert(0, new)
            pulls.insert(0, pull)

        def pullback(d_output: Any, d_states: list[Any]) -> tuple[Any, ...]:
            of_weights: dict[Variable, np.ndarray] = {}
            d_constants: list[Any] = [None] * len(constants or [])
            d_before: list[Any] = []
            for pull, new, x in zip(pulls, of_cells, read, strict=True):
                d_own, d_states = d_states[: len(new)], d_states[len(new) :]
                d_x, d_previous, found, *rest = pull(d_output, d_own)
                d_output = like(d_x, x, "the inputs")
                d_before += d_previous
                add_to(of_weights, found)
                d_constants = added(d_constants, rest[0] if rest else [])
            return d_output, d_before, of_weights, d_constants

        return (inputs, [state for states in of_cells for state in states]), pullback

    def draw_dropout(self, batch: int) -> list[Any]:
        """What each cell drops; see `LSTMCell.draw_dropout`."""
        return [cell.draw_dropout(batch) if _draws(cell) else None for cell in self.cells]

    def _parts(self, states: Sequence[Any], masks: Any) -> list[tuple[Any, list[Any], Any]]:
        """Each cell, the lowest first, with its states and what it drops."""
        parts, end = [], len(states)
        for cell, own in zip(self.cells, masks or [None] * len(self.cells), strict=True):
            start = end - len(state_sizes(cell))
            parts.append((cell, list(states[start:end]), own))
            end = start
        return parts

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same stack again, with the configs of its cells."""
        return super().get_config() | {"cells": [_registry.serialize_object(c) for c in self.cells]}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """A new stack with the configuration that `get_config` returned."""
        cells = [deserialize(cell, custom_objects) for cell in config["cells"]]
        return cls(**config | {"cells": cells})


# ---------------------------------------------------------------------- what a cell is


def check_cell(cell: Any) -> None:
    """Raise ValueError for what is no cell."""
    for name in ("call", "state_size"):
        if not hasattr(cell, name):
            raise ValueError(
                f"A cell has a method `call(inputs, states)` and an attribute `state_size` (the "
                f"size of its state, or a list of them), but {_checks.described(cell)} has no "
                f"`{name}`."
            )
    if getattr(cell, "activity_regularizer", None) is not None:
        raise ValueError("An activity_regularizer is given to the RNN, not to its cell.")
    state_sizes(cell)


def state_sizes(cell: Any) -> list[int]:
    """The sizes of the states of a cell, the first of which is that of the output."""
    sizes = cell.state_size
    sizes = list(sizes) if isinstance(sizes, list | tuple) else [sizes]
    return [_checks.positive_int(size, "state_size of a cell") for size in sizes]


def common_dtype(cells: Sequence[Any], dtype: npt.DTypeLike | None) -> str:
    """The dtype that cells compute in, which is what was asked for, if anything was."""
    given = [] if dtype is None else [_checks.float_dtype(dtype)]
    dtypes = {*given, *(cell.dtype for cell in cells if isinstance(cell, Layer))} or {"float32"}
    if len(dtypes) > 1:
        raise ValueError(
            f"An RNN and its cells compute in one dtype, got {' and '.join(sorted(dtypes))}: give "
            "the dtype to each cell."
        )
    return dtypes.pop()


def takes_constants(cell: Any) -> bool:
    """Whether a cell, or one in a stack, takes constants."""
    if isinstance(cell, StackedRNNCells):
        return any(map(takes_constants, cell.cells))
    return bool(accepted(cell.call, constants=()))


def has_step_vjp(cell: Any) -> bool:
    """Whether a cell, and each in a stack, has a derivative of its own."""
    if isinstance(cell, StackedRNNCells):
        return all(map(has_step_vjp, cell.cells))
    return callable(getattr(cell, "step_vjp", None))


def _draws(cell: Any) -> bool:
    return callable(getattr(cell, "draw_dropout", None))


def drawn_dropout(cell: Any, batch: int) -> Any:
    """What a cell drops of a sequence in training; None where it does not say."""
    return cell.draw_dropout(batch) if learning_phase() and _draws(cell) else None


# ---------------------------------------------------------------------- calling a cell


def call_cell(
    cell: Any,
    inputs: Any,
    states: Sequence[Any],
    constants: Sequence[Any] | None = None,
    dropout_masks: Any = None,
    training: bool | None = None,
) -> tuple[Any, list[Any]]:
    """One timestep; in a trace, a derivative of the cell's own wins."""
    own = has_step_vjp(cell) and _trace.is_traced(inputs, *states, *(constants or []))
    method = cell.step_vjp if own else cell.call
    given = _arguments(method, constants, dropout_masks, training)
    if own:
        return recorded(cell, inputs, states, given.pop("constants", []), given)
    return _two(cell, cell.call(inputs, list(states), **given))


def cell_vjp(
    cell: Any,
    inputs: Any,
    states: Sequence[Any],
    constants: Sequence[Any] | None,
    dropout_masks: Any,
    training: bool | None = None,
) -> tuple[tuple[Any, list[Any]], StepPullback]:
    """One timestep by `step_vjp`, and its pullback."""
    given = _arguments(cell.step_vjp, constants, dropout_masks, training)
    found, pull = cell.step_vjp(inputs, list(states), **given)
    return _two(cell, found), pull


def _arguments(
    method: Callable[..., Any], constants: Sequence[Any] | None, masks: Any, training: bool | None
) -> dict[str, Any]:
    """Those of the optional arguments that a method of a cell takes."""
    if training is None:
        training = bool(learning_phase())
    constants = list(constants) if constants else None
    return accepted(method, training=training, constants=constants, dropout_masks=masks)


def _two(cell: Any, found: Any) -> tuple[Any, list[Any]]:
    """What a cell returned, checked."""
    if isinstance(found, tuple | list) and len(found) == 2:
        output, states = found
        if isinstance(states, list | tuple):
            if len(states) == len(state_sizes(cell)):
                return output, list(states)
    raise TypeError(
        f"{type(cell).__name__} must return (output, states) of a step, with a list of "
        f"{len(state_sizes(cell))} states."
    )


def recorded(
    cell: Any,
    inputs: Any,
    states: Sequence[Any],
    constants: Sequence[Any],
    given: dict[str, Any],
) -> tuple[Any, list[Any]]:
    """One timestep by `step_vjp`; in a trace, as a step of it."""
    variables = getattr(cell, "trainable_weights", [])

    def step(
        inputs: Any, states: list[Any], constants: list[Any]
    ) -> tuple[list[Any], Callable[..., Any]]:
        more = given | {"constants": constants} if constants else given
        found, pull = cell.step_vjp(inputs, states, **more)
        output, new = _two(cell, found)

        def pullback(cotangents: list[Any]) -> tuple[list[Any], list[Any]]:
            d_inputs, d_states, of_weights, *rest = pull(cotangents[0], list(cotangents[1:]))
            d_constants = list(rest[0]) if rest else [None] * len(constants)
            return [d_inputs, list(d_states), d_constants], [of_weights.get(v) for v in variables]

        return [output, *new], pullback

    output, *new = _trace.record(step, [inputs, list(states), list(constants)], variables)
    return output, new


# ---------------------------------------------------------------------- sums of gradients


def like(gradient: Any, array: np.ndarray, what: str) -> np.ndarray:
    """A gradient that a `step_vjp` found, of which None is zero, checked against its array."""
    if gradient is None:
        return np.zeros(array.shape, array.dtype)
    if np.shape(gradient) != array.shape:
        raise ValueError(
            f"The pullback of a step_vjp returned a gradient of {what} with the shape "
            f"{np.shape(gradient)}, expected {array.shape}."
        )
    return np.asarray(gradient, array.dtype)


def add_to(total: dict[Variable, np.ndarray], found: Any) -> None:
    """Add gradients by weight to those found before."""
    if not isinstance(found, Mapping):
        raise TypeError(
            "The pullback of a step_vjp must return the gradients of the weights as a dict from "
            f"the weight to its gradient, got {_checks.described(found)}."
        )
    for variable, gradient in found.items():
        gradient = like(gradient, variable.value, variable.name)
        if variable in total:
            total[variable] += gradient
        else:
            total[variable] = np.array(gradient)


def added(total: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    """The sums of gradients, of which None is zero."""
    if not found:
        return list(total)
    return [
        a if b is None else b if a is None else a + b for a, b in zip(total, found, strict=True)
    ]
