"""What the functions of the backend compute on: arrays of any kind, and NumPy or autograd.numpy.

Traced arrays (`cylstm._trace`) answer to NumPy's own functions. The boxes of autograd do not:
who differentiates a function of the backend with ``autograd.grad`` gets autograd.numpy.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from cylstm import _trace
from cylstm._trace import steps
from cylstm._trace.arrays import flat
from cylstm.graph import SymbolicTensor

__all__ = ["array", "axes", "module", "pair", "quiet", "sizes", "with_rule"]

FLOATX = np.dtype("float32")
Function = TypeVar("Function", bound=Callable[..., Any])


def quiet(function: Function) -> Function:
    """Let a function give infinities and NaN without a warning, as TensorFlow does."""

    @functools.wraps(function)
    def silent(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return silent  # type: ignore[return-value]  # it takes the same arguments


def is_box(x: Any) -> bool:
    """Whether a value is an array box of autograd's own."""
    boxes = sys.modules.get("autograd.numpy.numpy_boxes")
    return boxes is not None and type(x) is boxes.ArrayBox


def array(x: Any, dtype: np.dtype | None = None) -> Any:
    """An operand as an array: traced arrays, boxes and arrays as they are, variables read.

    Python's numbers and lists become int32, float32 or bool, as in TensorFlow; beside another
    operand they take its `dtype` where that can hold them.
    """
    kind = type(x)
    if kind is np.ndarray or kind is _trace.Traced:
        return x
    if isinstance(x, _trace.Readable):
        return x.read()
    if isinstance(x, SymbolicTensor):
        raise TypeError(
            f"{x!r} has no values to compute with: wrap the computation in a layer, "
            "cylstm.layers.Lambda(function)(tensor)."
        )
    if is_box(x):
        return x
    if isinstance(x, list | tuple):
        members = list(flat(x))
        if any(isinstance(v, _trace.Traced | _trace.Readable) or is_box(v) for v in members):
            parts = [array(v, dtype) for v in x]
            return module(*parts).stack(parts)
        weak = not any(isinstance(v, np.ndarray | np.generic) for v in members)
    else:
        weak = isinstance(x, bool | int | float) and not isinstance(x, np.generic)
    found = np.asarray(x)
    if found.dtype.kind not in "fiub":
        raise TypeError(f"the backend computes with arrays of numbers, got {x!r}")
    if not weak:
        return found
    if dtype is not None and (dtype.kind == "f" or dtype.kind == found.dtype.kind):
        return found.astype(dtype)
    return found.astype(_DEFAULTS.get(found.dtype.kind, found.dtype))


_DEFAULTS = {"f": FLOATX, "i": np.dtype("int32")}


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands; a number or list of Python's takes the dtype of the other operand."""
    if isinstance(x, bool | int | float | list | tuple) and not isinstance(x, np.generic):
        y = array(y)
        return array(x, y.dtype), y
    x = array(x)
    return x, array(y, x.dtype)


def module(*operands: Any) -> Any:
    """NumPy, or autograd.numpy where one of the operands is a box of autograd's."""
    if any(map(is_box, operands)):
        return sys.modules["autograd.numpy"]
    return np


def numbers(x: Any) -> np.ndarray:
    """The plain numbers of an operand, whatever it is."""
    x = array(x)
    if is_box(x):
        from autograd.tracer import getval

        x = getval(x)
    return np.asarray(steps.numbers(x))


def constant_like(x: Any, value: Any) -> Any:
    """A value that comes from `x` without a gradient: a constant of its trace."""
    return x.constant(value) if isinstance(x, _trace.Traced) else value


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape, or one number, as a tuple of Python's integers."""
    return tuple(int(n) for n in (shape if np.ndim(shape) else [shape]))


def axes(axis: Any) -> Any:
    """An axis, or several in a list, as NumPy takes them."""
    return tuple(axis) if isinstance(axis, list) else axis


def with_rule(
    rule: Callable[..., Callable[[np.ndarray], Sequence[Any]]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function of plain arrays its derivative: a decorator.

    The rule is called as ``rule(answer, *arrays, **options)`` and returns a function from the
    gradient of the answer to a list of the gradients of the arrays (the positional arguments).
    """

    def decorate(forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.cache
        def primitive() -> Any:
            from autograd.extend import (
                defvjp_argnums,
            )
            from autograd.extend import (
                primitive as as_primitive,
            )

            boxed = as_primitive(forward)

            def pull(positions: Any, answer: Any, arrays: Any, options: Any) -> Any:
                gradients = rule(answer, *arrays, **options)
                return lambda g: [gradients(g)[i] for i in positions]

            defvjp_argnums(boxed, pull)
            return boxed

        @functools.wraps(forward)
        def function(*operands: Any, **options: Any) -> Any:
            if any(map(is_box, operands)):
                return primitive()(*operands, **options)
            values = [steps.numbers(x) for x in operands]
            with np.errstate(all="ignore"):
                answer = forward(*values, **options)
            if not any(isinstance(x, _trace.Traced) for x in operands):
                return answer
            return steps.entered(answer, operands, rule(answer, *values, **options))

        return function

    return decorate
