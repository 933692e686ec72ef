"""The initial states of a call: in its inputs or by name, symbolic tensors or arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import _checks
from cylstm.graph import is_symbolic
from cylstm.layers._losses import as_list

__all__ = ["split_inputs", "symbolic_states"]


def split_inputs(inputs: Any, initial_state: Any) -> tuple[Any, Any]:
    """Take the list [x, state, ...] apart; nested lists of numbers are one input."""
    if isinstance(inputs, list | tuple) and inputs and _checks.rank(inputs[0]) >= 3:
        if len(inputs) > 1 and initial_state is not None:
            raise ValueError("Initial states were given both in the inputs and as initial_state.")
        return inputs[0], list(inputs[1:]) or initial_state
    return inputs, initial_state


def symbolic_states(
    layer: Any, inputs: Any, initial_state: Any
) -> tuple[list[Any], list[np.ndarray] | None]:
    """The tensors that a symbolic call reads, and its initial states where they are arrays.

    Raises
    ------
    ValueError
        If some initial states are symbolic and others arrays, or they do not fit the layer.
    TypeError
        If one does not consist of real numbers.
    """
    tensors = as_list(inputs) + ([] if initial_state is None else as_list(initial_state))
    states = tensors[1:]
    symbolic = [is_symbolic(state) for state in states]
    if all(symbolic) or not is_symbolic(tensors[0]):  # what is no tensor the call refuses
        return tensors, None
    if any(symbolic):
        raise ValueError(
            f"Layer {layer.name} was given symbolic tensors and arrays as initial states: give all "
            "as the one (make an `Input` for what is to change) or all as the other."
        )
    return tensors[:1], layer._constant_states(states, tensors[0].shape[0])
