"""Choices, loops over time and over elements, and the phase of training or prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm import _trace
from cylstm._phase import learning_phase
from cylstm.backend._arrays import stack, zeros_like
from cylstm.backend._operands import array, is_box, module, numbers

__all__ = [
    "foldl",
    "foldr",
    "in_test_phase",
    "in_train_phase",
    "learning_phase",
    "map_fn",
    "rnn",
    "stop_gradient",
    "switch",
]


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """x in training, else alt; either may be a function without arguments.

    `training` is a bool, 0, 1, or None for the phase (`learning_phase`).

    >>> in_train_phase(lambda: "noise", "none", training=True)
    'noise'
    """
    if training is None:
        training = learning_phase()
    chosen = x if bool(numbers(training)) else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """x in prediction, alt in training; see `in_train_phase`.

    >>> in_test_phase("all", "some")
    'all'
    """
    return in_train_phase(alt, x, training)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two arrays where a condition holds and where not; either may be a function.

    A condition that is a single bool chooses as a whole, and only the function that is chosen is
    called. Otherwise it has the first axes of the arrays.

    >>> switch([True, False], [1.0, 2.0], [10.0, 20.0]).tolist()
    [1.0, 20.0]
    """
    condition = array(condition)
    if np.ndim(condition) == 0:
        chosen = then_expression if bool(condition) else else_expression
        return array(chosen() if callable(chosen) else chosen)
    then = array(then_expression() if callable(then_expression) else then_expression)
    other = array(else_expression() if callable(else_expression) else else_expression)
    if condition.ndim > then.ndim:
        raise ValueError(
            f"the condition of switch has {condition.ndim} axes, more than the arrays to choose "
            f"from, {then.ndim}"
        )
    chooses = numbers(condition).astype(bool)
    chooses = chooses.reshape(chooses.shape + (1,) * (then.ndim - chooses.ndim))
    return module(then, other).where(chooses, then, other)


def stop_gradient(variables: Any) -> Any:
    """The same numbers as a constant: no gradient passes. A list gives a list.

    >>> stop_gradient([1.0, 2.0])
    [array(1., dtype=float32), array(2., dtype=float32)]
    """
    if isinstance(variables, list | tuple):
        return [stop_gradient(v) for v in variables]
    x = array(variables)
    return numbers(x) if is_box(x) else _trace.stop(x)


# ---------------------------------------------------------------------- loops

Step = Callable[[Any, list[Any]], tuple[Any, Sequence[Any]]]


def rnn(
    step_function: Step,
    inputs: Any,
    initial_states: Sequence[Any],
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
) -> tuple[Any, Any, list[Any]]:
    """Call a function for each timestep, with the states that the step before left.

    `step_function(input, states)` takes (batch, ...) of one step, and a list of the states and
    constants; it returns (output, new states). `inputs` is (batch, timesteps, ...), `mask` is
    (batch, timesteps): a step that is masked keeps the states, and repeats the output: that of
    the step before if `unroll`, else the first state, which is to be the output (so Keras).
    `input_length` is not needed: the arrays say how long they are. Returned are the last output,
    all outputs (batch, timesteps, ...), in the order of the steps, and the last states.

    >>> def step(x, states):
    ...     total = x + states[0]
    ...     return total, [total]
    >>> last, outputs, states = rnn(step, [[[1.0], [2.0]]], [[[0.0]]])
    >>> outputs.tolist()
    [[[1.0], [3.0]]]
    """
    inputs = array(inputs)
    if inputs.ndim < 3:
        raise ValueError(
            f"rnn takes inputs of three axes or more, (batch, timesteps, ...), got {inputs.shape}"
        )
    steps = list(range(inputs.shape[1]))
    if not steps:
        raise ValueError("rnn takes inputs of at least one timestep, got none")
    if input_length not in (None, len(steps)):
        raise ValueError(f"inputs have {len(steps)} timesteps, but input_length={input_length}")
    states = [array(state) for state in initial_states]
    if mask is not None and not states and not unroll:
        raise ValueError("rnn with a mask needs initial states, the first of which is the output")
    kept = None if mask is None else numbers(mask).astype(bool)
    fixed = list(constants or [])
    outputs: list[Any] = []
    for t in reversed(steps) if go_backwards else steps:
        output, new_states = step_function(inputs[:, t], [*states, *fixed])
        if kept is not None:
            before = (outputs[-1] if outputs else zeros_like(output)) if unroll else states[0]
            output = _where_kept(kept[:, t], output, before)
            new_states = [
                _where_kept(kept[:, t], new, old)
                for new, old in zip(new_states, states, strict=True)
            ]
        states = list(new_states)
        outputs.append(output)
    return outputs[-1], stack(outputs, axis=1), states


def _where_kept(kept: np.ndarray, new: Any, old: Any) -> Any:
    """Rows of `new` where the step counts, of `old` where it is masked."""
    new, old = array(new), array(old)
    if kept.ndim < new.ndim:
        kept = kept.reshape(kept.shape + (1,) * (new.ndim - kept.ndim))
    return module(new, old).where(kept, new, old)


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """What a function gives for each element of the first axis (of each of several arrays).

    >>> map_fn(lambda x: x * 2, [1.0, 3.0]).tolist()
    [2.0, 6.0]
    """
    if isinstance(elems, tuple):
        rows: list[Any] = list(zip(*(array(e) for e in elems), strict=True))
    else:
        rows = list(array(elems))
    results = [fn(row) for row in rows]
    if isinstance(results[0], list | tuple):
        return type(results[0])(stack(column) for column in zip(*results, strict=True))
    answer = stack(results)
    return answer if dtype is None else answer.astype(dtype)


def foldl(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None
) -> Any:
    """fn(fn(fn(first, e0), e1), ...) over the first axis; without `initializer` e0 is the first.

    >>> foldl(lambda total, x: total - x, [1.0, 2.0, 4.0]).item()
    -5.0
    """
    return _folded(fn, list(array(elems)), initializer)


def foldr(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None
) -> Any:
    """As `foldl`, from the last element to the first.

    >>> foldr(lambda total, x: total - x, [1.0, 2.0, 4.0]).item()
    1.0
    """
    return _folded(fn, list(array(elems))[::-1], initializer)


def _folded(fn: Callable[[Any, Any], Any], rows: list[Any], initializer: Any) -> Any:
    total = rows.pop(0) if initializer is None else array(initializer)
    for row in rows:
        total = fn(total, row)
    return total
