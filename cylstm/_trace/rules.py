"""What happens when one of NumPy's functions meets a traced array.

There is a rule of our own (`cylstm._trace.own_rules`), or autograd's. Derivatives are looked up
when the function is called, so that one without a derivative raises at the line that calls it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cylstm._trace.arrays import Readable, Traced, common
from cylstm._trace.own_rules import OWN
from cylstm._trace.steps import (
    cast,
    computed,
    constant,
    differentiated,
    getitem,
    name_of,
    of_constants,
    refuse,
)

__all__ = ["call", "call_ufunc", "cast", "getitem"]

_REDUCTIONS = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


class _Autograd(NamedTuple):
    """The tables of autograd: its name of each function of NumPy, and the derivatives of those."""

    primitives: dict[Any, Any]
    derivatives: dict[Any, Any]
    without_gradient: set[Any]


@functools.cache
def _autograd() -> _Autograd:
    import autograd.numpy
    import autograd.numpy.fft
    import autograd.numpy.linalg  # noqa: F401
    from autograd.core import VJPNode, primitive_vjps
    from autograd.tracer import (
        notrace_primitives,
        trace_primitives_map,
    )

    return _Autograd(trace_primitives_map, primitive_vjps, notrace_primitives[VJPNode])


def _primitive(function: Any) -> Any:
    """Autograd's name of a function, or None."""
    found = _autograd().primitives.get(function)
    if found is None and isinstance(function, np.ufunc):
        import autograd.scipy.special  # noqa: F401

        found = _autograd().primitives.get(function)  # erf, expit, gammaln, ...
    return found


def call(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy, or a ufunc, with traced arrays among its arguments."""
    own = OWN.get(function)
    if own is not None:
        return own(*args, **kwargs)
    if any(isinstance(v, Traced | Readable) for v in kwargs.values()):
        args, kwargs = _by_position(function, args, kwargs)
    return _apply(function, args, kwargs)


def _by_position(
    function: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the arrays in positions, where derivatives expect them."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name_of(function)} is to be given its arrays by position, not by name, within a "
            "function that is differentiated."
        ) from None
    return bound.args, bound.kwargs


def call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc, or a method of one, with traced arrays among its arguments."""
    if method == "__call__" and not kwargs:
        return _apply(ufunc, inputs, kwargs)
    for box in differentiated([*inputs, *kwargs.values()]):
        if kwargs.get("out") is not None:
            box.refuse("cannot be written into another array, by out= or an operator such as +=")
        if method != "__call__" and (method != "reduce" or ufunc not in _REDUCTIONS):
            box.refuse(f"has no derivative of np.{ufunc.__name__}.{method}")
    if method == "reduce" and ufunc in _REDUCTIONS:
        return call(_REDUCTIONS[ufunc], inputs, {"axis": 0, **kwargs})
    return call(getattr(ufunc, method), inputs, kwargs)


def _apply(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute with the numbers, and note autograd's derivative on the tape."""
    values = list(args)
    boxes: list[Traced] = []
    positions: list[int] = []
    lists = False
    for position, value in enumerate(args):
        box = value.read() if isinstance(value, Readable) else value
        values[position] = box
        if isinstance(box, Traced):
            values[position] = box.numbers
            boxes.append(box)
            if box.step >= 0:
                positions.append(position)
        elif isinstance(box, list | tuple):
            lists = True
    if not positions:
        if lists or not boxes:
            return constant(function, args, kwargs)
        return of_constants(common(boxes), function(*values, **kwargs), values, kwargs)
    trace = common(boxes)
    if kwargs.get("where", True) is not True or "initial" in kwargs:
        refuse(function, trace.name, " with where= or initial=")  # autograd would ignore them
    answer = computed(function, values, kwargs)
    primitive = _primitive(function)
    if answer.dtype.kind not in "fc" or primitive in _autograd().without_gradient:
        return Traced(answer, trace, -1)
    maker = _autograd().derivatives.get(primitive)
    if maker is None:
        refuse(function, trace.name)
    try:
        pull = maker(tuple(positions), answer, tuple(values), kwargs)
    except (AssertionError, TypeError, NotImplementedError) as error:
        refuse(function, trace.name, f" with these arguments ({error})")
    parents = [box.step for box in boxes if box.step >= 0]
    return trace.enter(answer, parents, _explained(function, pull))


def _explained(function: Any, pull: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Autograd's derivative, with an error that names the function where it does not work out."""

    def explained(g: Any) -> Any:
        try:
            return tuple(pull(g))
        except (NotImplementedError, TypeError, ValueError) as error:
            raise TypeError(
                f"autograd's derivative of {name_of(function)} fails with these arguments "
                f"({error}): use another function of cylstm.backend or NumPy."
            ) from error

    return explained
