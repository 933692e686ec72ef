"""Layers that are written as `call` alone: computed, and differentiated, by following `call`.

Also what any layer does when it is called within a function that is being followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from inspect import signature
from typing import Any

import numpy as np

from cylstm import _trace
from cylstm._phase import learning_phase, training_phase
from cylstm._trace.arrays import flat
from cylstm.layers._cotangents import checked_cotangents
from cylstm.layers._losses import as_list
from cylstm.variables import Variable

__all__ = [
    "as_list_of_shapes",
    "as_shapes",
    "called_within",
    "computed",
    "differentiated",
    "is_followed",
    "is_written_as_call",
    "training_of",
]

Found = list[tuple[Variable, np.ndarray]]

_trained: ContextVar[tuple[Sequence[Variable], Found] | None] = ContextVar(
    "cylstm_trained", default=None
)


@contextmanager
def training_of(variables: Sequence[Variable]) -> Iterator[Found]:
    """Say which variables are trained, whatever layer they are of.

    The code of a layer may read the weights of another one (a `Lambda` that ends in the transposed
    matrix of an `Embedding`). Yields a list to which the pullbacks of the layers that are called
    within add the gradients of those that are not their own.
    """
    found: Found = []
    token = _trained.set((variables, found))
    try:
        yield found
    finally:
        _trained.reset(token)


def _is_written_as_call(cls: type) -> bool:
    """Whether the derivative of a class of layers is to be had by following its `call`.

    It is where the class closest to it that says how to compute anything defines `call`, and
    neither `vjp` nor `forward`; or where no class says anything.
    """
    for base in cls.__mro__:
        own = vars(base)
        if base.__name__ == "Layer" and base.__module__ == "cylstm.layers.layer":
            return True
        if "vjp" in own or "forward" in own:
            return False
        if "call" in own:
            return True
    return False


is_written_as_call: Callable[[type], bool] = cache(_is_written_as_call)


def computed(layer: Any, arrays: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What `call` gives for checked arrays, which stay as they are."""
    given = _taken(layer.call, kwargs, {"training"})
    with _phase(kwargs):
        outputs = _trace.evaluate(
            lambda x: layer.call(x, *args, **given), [arrays], f"layer {layer.name}"
        )
    return _checked(layer, arrays, outputs)


def differentiated(
    layer: Any, arrays: Any, args: Any, kwargs: dict[str, Any]
) -> tuple[Any, Callable[..., Any]]:
    """The outputs of `call`, and the pullback to the inputs and the trainable weights."""
    given = _taken(layer.call, kwargs, {"mask", "training"})
    own, (trained, found) = layer.trainable_weights, _trained.get() or ((), [])
    others = [v for v in trained if v not in own]
    constant = not own and all(x.dtype.kind != "f" for x in as_list(arrays))

    def call(x: Any) -> Any:
        result = layer.call(x, *args, **given)
        return _all_stopped(result) if constant else result  # no gradient is lost

    with _phase(kwargs):
        outputs, pullback = _trace.differentiate(
            call,
            [arrays],
            [*own, *others],
            name=f"layer {layer.name}",
            instead="define its `vjp(inputs)`, which returns the outputs and a function from their "
            "gradients to Gradients(inputs, initial_state, weights)",
        )
    checked = _checked(layer, arrays, outputs)
    several = isinstance(checked, list)
    shapes = [y.shape for y in as_list(checked)]

    def checking(cotangents: Any) -> Any:
        given = checked_cotangents(layer, cotangents if several else [cotangents], shapes)
        of_inputs, gradients = pullback(given if several else given[0])
        for variable, gradient in zip(others, gradients[len(own) :], strict=True):
            if gradient.any():  # most are not read
                found.append((variable, gradient))
        return of_inputs, gradients[: len(own)]

    return checked, checking


def _all_stopped(result: Any) -> Any:
    """Plain arrays as constants; what was computed from another layer's weights stays traced."""
    if isinstance(result, list | tuple):
        return [_all_stopped(r) for r in result]
    return result if isinstance(result, _trace.Traced) else _trace.stop(result)


def _phase(kwargs: dict[str, Any]) -> Any:
    """The phase that a call names, or else the one that is."""
    training = kwargs.get("training")
    return training_phase(learning_phase() if training is None else training)


def _taken(
    function: Callable[..., Any], given: dict[str, Any], offered: set[str]
) -> dict[str, Any]:
    """The arguments without those on offer that the function does not take."""
    parameters = signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return given
    return {k: v for k, v in given.items() if k in parameters or k not in offered}


def _checked(layer: Any, arrays: Any, outputs: Any) -> Any:
    """The outputs in the dtype of the layer, of the shapes that the symbolic call was told."""
    dtype = layer._dtype
    found = [y.astype(dtype, copy=False) if y.dtype.kind == "f" else y for y in as_list(outputs)]
    if layer.inbound_nodes:
        shapes = [x.shape for x in as_list(arrays)]
        shape = shapes if isinstance(arrays, list) else shapes[0]
        declared = layer._declared_shapes(shape)
        expected = as_list_of_shapes(declared)
        if declared is not None and not _agree(expected, [y.shape for y in found]):
            raise ValueError(
                f"Layer {layer.name} returned {_listed([y.shape for y in found])} for inputs of "
                f"shape {_listed(shapes)}, but its compute_output_shape says {_listed(expected)}: "
                "define compute_output_shape(input_shape), which by default says that the shape "
                "stays the same."
            )
    return found if isinstance(outputs, list) else found[0]


def _agree(expected: list[Any], found: list[tuple[int, ...]]) -> bool:
    return len(expected) == len(found) and all(
        len(e) == len(f) and all(n in (None, m) for n, m in zip(e, f, strict=True))
        for e, f in zip(expected, found, strict=True)
    )


def _listed(shapes: list[Any]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


def as_shapes(result: Any) -> Any:
    """A shape as a tuple, or a list of shapes: what users return may be a list for a tuple."""
    if isinstance(result, list) and not any(isinstance(n, list | tuple) for n in result):
        return tuple(result)
    return [tuple(shape) for shape in result] if isinstance(result, list) else tuple(result)


def as_list_of_shapes(shapes: Any) -> list[Any]:
    """One shape, or a list of them, as a list."""
    return shapes if isinstance(shapes, list) else [shapes]


# ---------------------------------------------------------------------- calls within a trace


def called_within(layer: Any, inputs: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a layer on traced arrays.

    One that is written as `call` is followed into; another is a step with the derivative it has.
    """
    shapes = [np.shape(x) for x in as_list(inputs)]
    layer._check_shapes(shapes)
    with _trace.suspended():
        layer._ensure_built_for(shapes if isinstance(inputs, list | tuple) else shapes[0])
    if is_written_as_call(type(layer)):
        return layer.call(_cast(inputs, layer._dtype), *args, **kwargs)
    given = kwargs | dict(zip(("mask", "training"), args, strict=False))
    if given.get("training") is None and learning_phase():
        given["training"] = True
    given = _taken(layer.call, given, {"mask", "training"})
    given = {name: _numbers(value) for name, value in given.items()}
    states = given.pop("initial_state", None)
    variables = layer.trainable_weights
    followed = is_followed([inputs, states], variables)

    def step(x: Any, states: Any) -> tuple[Any, Any]:
        more = given if states is None else given | {"initial_state": states}
        if not followed:
            return layer(x, **more), None
        outputs, pullback = layer.vjp(x, **more)

        def pull(cotangents: Any) -> tuple[list[Any], list[np.ndarray]]:
            found = pullback(cotangents)
            return [found.inputs, found.initial_state], found.weights

        return outputs, pull

    return _trace.record(step, [inputs, states], variables)


def is_followed(values: Any, variables: Sequence[Variable]) -> bool:
    """Whether the trace under way will ask for the gradients of some of these."""
    trace = _trace.current.get()
    return trace is not None and (
        any(isinstance(b, _trace.Traced) and b.step >= 0 for b in flat([values]))
        or any(v in trace.variables for v in variables)
    )


def _cast(inputs: Any, dtype: np.dtype) -> Any:
    """Arrays of floats in the dtype of the layer; traced ones keep their gradient."""
    if isinstance(inputs, list | tuple):
        return [_cast(x, dtype) for x in inputs]
    return inputs if inputs.dtype == dtype or inputs.dtype.kind != "f" else inputs.astype(dtype)


def _numbers(value: Any) -> Any:
    """An argument such as a mask as a plain array; initial states stay traced."""
    if isinstance(value, _trace.Traced) and value.step < 0:
        return value.numbers
    return value
