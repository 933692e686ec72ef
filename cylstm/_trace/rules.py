"""What happens when one of NumPy's functions meets a traced array: autograd's rule, or one here.

The rules here are for what autograd's are not made for: functions that take lists of arrays,
indexing, and metadata. Derivatives are looked up when the function is called, so that one
without a derivative raises at the line that calls it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from cylstm._trace.arrays import Placed, Readable, Traced, common, flat, rebuilt, stop

__all__ = ["REDUCTIONS", "call", "cast", "getitem"]

REDUCTIONS = {
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
    import autograd.numpy  # type: ignore[import-untyped]
    import autograd.numpy.fft  # type: ignore[import-untyped]
    import autograd.numpy.linalg  # type: ignore[import-untyped]  # noqa: F401
    from autograd.core import VJPNode, primitive_vjps  # type: ignore[import-untyped]
    from autograd.tracer import (  # type: ignore[import-untyped]
        notrace_primitives,
        trace_primitives_map,
    )

    return _Autograd(trace_primitives_map, primitive_vjps, notrace_primitives[VJPNode])


def _primitive(function: Any) -> Any:
    """Autograd's name of a function, or None."""
    found = _autograd().primitives.get(function)
    if found is None and isinstance(function, np.ufunc):
        import autograd.scipy.special  # type: ignore[import-untyped]  # noqa: F401

        found = _autograd().primitives.get(function)  # erf, expit, gammaln, ...
    return found


def call(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy, or a ufunc, with traced arrays among its arguments."""
    own = _OWN.get(function)
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
            f"{_name(function)} is to be given its arrays by position, not by name, within a "
            "function that is differentiated."
        ) from None
    return bound.args, bound.kwargs


def call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc, or a method of one, with traced arrays among its arguments."""
    if method == "__call__" and not kwargs:
        return _apply(ufunc, inputs, kwargs)
    for box in _differentiated([*inputs, *kwargs.values()]):
        if kwargs.get("out") is not None:
            box.refuse("cannot be written into another array, by out= or an operator such as +=")
        if method != "__call__" and (method != "reduce" or ufunc not in REDUCTIONS):
            box.refuse(f"has no derivative of np.{ufunc.__name__}.{method}")
    if method == "reduce" and ufunc in REDUCTIONS:
        return call(REDUCTIONS[ufunc], inputs, {"axis": 0, **kwargs})
    return call(getattr(ufunc, method), inputs, kwargs)


def _differentiated(values: Sequence[Any]) -> list[Traced]:
    """The traced arrays that are no constants, in lists too."""
    boxes = [v.read() if isinstance(v, Readable) else v for v in flat(values)]
    return [b for b in boxes if isinstance(b, Traced) and b.step >= 0]


def _apply(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute with the numbers, and note autograd's derivative on the tape."""
    values = list(args)
    boxes: list[Traced] = []
    positions: list[int] = []
    for position, value in enumerate(args):
        box = value.read() if isinstance(value, Readable) else value
        if isinstance(box, Traced):
            values[position] = box.numbers
            if box.step >= 0:
                boxes.append(box)
                positions.append(position)
        else:
            values[position] = box
    if not positions:
        return _constant(function, args, kwargs)
    trace = common(boxes)
    if kwargs.get("where", True) is not True or "initial" in kwargs:
        _refuse(function, trace.name, " with where= or initial=")  # autograd would ignore them
    answer = _computed(function, values, kwargs)
    primitive = _primitive(function)
    if answer.dtype.kind not in "fc" or primitive in _autograd().without_gradient:
        return Traced(answer, trace, -1)
    maker = _autograd().derivatives.get(primitive)
    if maker is None:
        _refuse(function, trace.name)
    try:
        pull = maker(tuple(positions), answer, tuple(values), kwargs)
    except (AssertionError, TypeError, NotImplementedError) as error:
        _refuse(function, trace.name, f" with these arguments ({error})")
    return trace.enter(answer, [box.step for box in boxes], _explained(function, pull))


def _constant(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of constants; one of lists that are to be differentiated is refused."""
    for box in _differentiated([*args, *kwargs.values()]):
        _refuse(function, box.trace.name, " of lists of arrays")
    trace = common([b for b in flat([*args, *kwargs.values()]) if isinstance(b, Traced)])
    values = [_plain(a) for a in args]
    result = function(*values, **{key: _plain(value) for key, value in kwargs.items()})
    if isinstance(result, tuple | list):
        return rebuilt(result, [trace.constant_of(_as_floats(r, values, kwargs)) for r in result])
    return trace.constant_of(_as_floats(result, values, kwargs))


def _plain(value: Any) -> Any:
    """An argument with the numbers of all boxes in it."""
    if isinstance(value, list | tuple):
        return rebuilt(value, [_plain(v) for v in value])
    return numbers(value)


def _explained(function: Any, pull: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Autograd's derivative, with an error that names the function where it does not work out."""

    def explained(g: Any) -> Any:
        try:
            return tuple(pull(g))
        except (NotImplementedError, TypeError, ValueError) as error:
            raise TypeError(
                f"autograd's derivative of {_name(function)} fails with these arguments ({error}): "
                "use another function of cylstm.backend or NumPy."
            ) from error

    return explained


def _computed(function: Any, values: Sequence[Any], kwargs: dict[str, Any]) -> np.ndarray:
    """The function of plain numbers as one array; see `_as_floats`."""
    result = function(*values, **kwargs)
    if isinstance(result, tuple | list):
        raise TypeError(f"{_name(function)} returns several arrays, and has no derivative.")
    return np.asarray(_as_floats(result, values, kwargs))


def _as_floats(result: Any, values: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A result in float32 where nothing was of float64.

    NumPy before 2.0 makes float64 of a 0-d float32 and a Python number.
    """
    if getattr(result, "dtype", None) == np.float64 and "dtype" not in kwargs:
        floats = {
            value.dtype
            for value in values
            if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"
        }
        if floats and np.dtype(np.float64) not in floats:
            return result.astype(np.result_type(*floats))
    return result


def _refuse(function: Any, traced: str, how: str = "") -> NoReturn:
    raise TypeError(
        f"{_name(function)}{how} has no derivative, so that {traced} has none: use another "
        "function of cylstm.backend or NumPy."
    )


def _name(function: Any) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{getattr(function, '__name__', function)}"


# ---------------------------------------------------------------------- rules of our own


def getitem(x: Traced, index: Any) -> Traced:
    """``x[index]``; the gradient is put back at the index."""
    if isinstance(index, list):
        index = np.asarray(index)
    index = tuple(map(_plain_index, index)) if isinstance(index, tuple) else _plain_index(index)
    numbers = np.asarray(x.numbers[index])
    if x.step < 0:
        return x.constant(numbers)
    return x.trace.enter(numbers, (x.step,), lambda g: (Placed(index, g),))


def _plain_index(index: Any) -> Any:
    """An index without boxes: integers and bools, as `np.asarray` gives of a constant."""
    if isinstance(index, slice):
        return slice(*(_bound(b) for b in (index.start, index.stop, index.step)))
    return np.asarray(index) if isinstance(index, Traced | list) else index


def _bound(bound: Any) -> Any:
    return int(bound) if isinstance(bound, Traced) else bound


def cast(x: Traced, dtype: Any) -> Traced:
    """A traced array in another dtype; floats keep their gradient."""
    numbers = x.numbers.astype(dtype)
    if x.step < 0 or numbers.dtype.kind != "f":
        return x.constant(numbers)
    return x.trace.enter(numbers, (x.step,), lambda g: (g,))


def entered(
    answer: Any, boxes: Sequence[Any], pull: Callable[[np.ndarray], Sequence[Any]]
) -> Traced:
    """A step of our own: `pull` gives a gradient for each of `boxes`, traced or not."""
    trace = common([b for b in boxes if isinstance(b, Traced)])
    kept = [i for i, b in enumerate(boxes) if isinstance(b, Traced) and b.step >= 0]
    answer = np.asarray(answer)
    if not kept or answer.dtype.kind != "f":
        return Traced(answer, trace, -1)

    def pull_kept(g: np.ndarray) -> list[Any]:
        pieces = pull(g)
        return [pieces[i] for i in kept]

    return trace.enter(answer, [boxes[i].step for i in kept], pull_kept)


def numbers(value: Any) -> Any:
    """The plain numbers of an array, traced or not, or of a variable."""
    if isinstance(value, Readable):
        value = value.read()
    return value.numbers if isinstance(value, Traced) else value


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    boxes = [a.read() if isinstance(a, Readable) else a for a in arrays]
    if axis is None:
        boxes, axis = [np.ravel(b) for b in boxes], 0
    parts = [np.asarray(numbers(b)) for b in boxes]
    ends = np.cumsum([p.shape[axis] for p in parts])

    def pull(g: np.ndarray) -> list[np.ndarray]:
        return np.split(g, ends[:-1], axis)

    return entered(_computed(lambda *a: np.concatenate(a, axis), parts, {}), boxes, pull)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    boxes = [a.read() if isinstance(a, Readable) else a for a in arrays]
    parts = [np.asarray(numbers(b)) for b in boxes]

    def pull(g: np.ndarray) -> list[np.ndarray]:
        return list(np.moveaxis(g, axis, 0))

    return entered(_computed(lambda *a: np.stack(a, axis), parts, {}), boxes, pull)


def _joined(at_least: Callable[[Any], Any], axis: int | None) -> Callable[[Sequence[Any]], Any]:
    def join(arrays: Sequence[Any]) -> Any:
        parts = [at_least(a) for a in arrays]
        along = (0 if np.ndim(parts[0]) == 1 else 1) if axis is None else axis
        return _concatenate(parts, along)

    return join


def _at_least(rank: int) -> Callable[[Any], Any]:
    """As np.atleast_1d and np.atleast_2d, for one array."""

    def at_least(x: Any) -> Any:
        missing = rank - np.ndim(x)
        return x if missing <= 0 else np.reshape(x, (1,) * missing + np.shape(x))

    return at_least


def _split(
    whole: Any, indices_or_sections: Any, axis: int = 0, *, uneven: bool = False
) -> list[Any]:
    cut = np.array_split if uneven else np.split
    positions = cut(np.arange(whole.shape[axis]), indices_or_sections)
    before = (slice(None),) * (axis % whole.ndim)
    starts = np.cumsum([0, *(len(p) for p in positions)])
    return [
        whole[(*before, slice(a, b))] for a, b in zip(starts[:-1], starts[1:], strict=True)
    ]


def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        x, axis = np.reshape(x, -1), 0
    if not isinstance(x, Traced):
        return np.take(x, np.asarray(indices), axis)
    return x[(*(slice(None),) * (axis % x.ndim), np.asarray(indices))]


def _flip(m: Any, axis: int | Sequence[int] | None = None) -> Any:
    axes = range(m.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    flipped = {a % m.ndim for a in axes}
    return m[tuple(slice(None, None, -1 if a in flipped else 1) for a in range(m.ndim))]


def _bounds(
    x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """np.clip; a value on a bound passes the gradient, as in TensorFlow."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    low, high = numbers(low), numbers(high)
    if not isinstance(x, Traced):
        return np.clip(x, low, high)
    values = x.numbers
    inside = np.ones(values.shape, bool)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values <= high
    clipped = _computed(np.clip, [values, low, high], {})
    return entered(clipped, [x], lambda g: [np.where(inside, g, 0)])


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """np.where; autograd's derivative does not expect x and y to be broadcast."""
    chosen = np.asarray(numbers(condition))
    if x is None and y is None:
        return _constant(np.nonzero, (stop(condition),), {})
    boxes = [b.read() if isinstance(b, Readable) else b for b in (condition, x, y)]
    answer = _computed(np.where, [chosen, numbers(boxes[1]), numbers(boxes[2])], {})

    def pull(g: np.ndarray) -> list[Any]:
        return [
            None,
            unbroadcast(np.where(chosen, g, 0), np.shape(x)),
            unbroadcast(np.where(chosen, 0, g), np.shape(y)),
        ]

    # the condition belongs to the trace, and has no gradient
    if isinstance(boxes[0], Traced):
        boxes[0] = boxes[0].constant(chosen)
    return entered(answer, boxes, pull)


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient summed over the axes that an operand was repeated along."""
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return np.asarray(g.sum(axis=repeated, keepdims=True)).reshape(shape)


def _broadcast_to(array: Any, shape: Any) -> Any:
    wide = np.broadcast_to(array.numbers, shape)
    return entered(wide, [array], lambda g: [unbroadcast(g, array.shape)])


def _pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    if array.step < 0:
        return _constant(np.pad, (array, pad_width, mode), options)
    if mode != "constant" or np.any(options.get("constant_values", 0)):
        raise TypeError(f"np.pad has a derivative for padding with zeros, not for {mode!r}.")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    inner = tuple(
        slice(a, a + n) for (a, _), n in zip(widths.tolist(), array.shape, strict=True)
    )
    return entered(np.pad(array.numbers, widths), [array], lambda g: [g[inner]])


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """np.repeat; autograd's derivative takes no negative axis, and one number of repeats."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    source = np.repeat(np.arange(a.shape[axis]), repeats)
    return _take(a, source, axis)


def _transpose(a: Any, axes: Any = None) -> Any:
    """np.transpose; autograd's derivative takes no negative axes."""
    order = tuple(range(a.ndim))[::-1] if axes is None else tuple(int(i) % a.ndim for i in axes)
    back = np.argsort(order)
    return entered(a.numbers.transpose(order), [a], lambda g: [g.transpose(back)])


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """np.diagonal of any two axes; autograd's derivative is for the last two."""
    others = [i for i in range(a.ndim) if i not in (axis1 % a.ndim, axis2 % a.ndim)]
    moved = _transpose(a, (*others, axis1, axis2))
    rows, columns = moved.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    place = np.arange(length)
    return moved[..., place - min(offset, 0), place + max(offset, 0)]


def _prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """np.prod; autograd's derivative divides by the factors, which may be zero."""
    if dtype is not None:
        a = cast(a, dtype)
    answer = np.prod(a.numbers, axis=axis, keepdims=keepdims)
    return entered(answer, [a], prod_pull(a.numbers, axis))


def prod_pull(x: np.ndarray, axis: Any) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What pulls gradients back through ``np.prod(x, axis)``."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.atleast_1d(axis) % max(x.ndim, 1))
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes

    def pull(g: np.ndarray) -> list[np.ndarray]:
        factors = x.transpose(order).reshape(*(x.shape[i] for i in kept), -1)
        others = _products_of_others(factors).reshape([x.shape[i] for i in order])
        wide = [1 if i in axes else n for i, n in enumerate(x.shape)]
        return [others.transpose(np.argsort(order)) * np.reshape(g, wide)]

    return pull


def _products_of_others(x: np.ndarray) -> np.ndarray:
    """For each number on the last axis, the product of the others."""
    ones = np.ones((*x.shape[:-1], 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], -1), -1)[..., ::-1]
    return before * after if x.shape[-1] else x


def _cumprod(a: Any, axis: int | None = None) -> Any:
    """np.cumprod, by the same rule: each factor is left out in turn."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return entered(np.cumprod(a.numbers, axis), [a], cumprod_pull(a.numbers, axis))


def cumprod_pull(x: np.ndarray, axis: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What pulls gradients back through ``np.cumprod(x, axis)``."""

    def pull(g: np.ndarray) -> list[np.ndarray]:
        factors, last = np.moveaxis(x, axis, -1), np.moveaxis(g, axis, -1)
        dx = np.empty_like(factors)
        for i in range(x.shape[axis]):
            others = factors.copy()
            others[..., i] = 1
            dx[..., i] = (last * np.cumprod(others, -1))[..., i:].sum(-1)
        return [np.moveaxis(dx, -1, axis)]

    return pull


def _metadata(function: Any) -> Callable[..., Any]:
    """A function of shapes and dtypes alone."""

    def on_numbers(*args: Any, **kwargs: Any) -> Any:
        return function(*map(numbers, args), **{k: numbers(v) for k, v in kwargs.items()})

    return on_numbers


_OWN: dict[Any, Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.vstack: _joined(_at_least(2), 0),
    np.hstack: _joined(_at_least(1), None),
    np.split: _split,
    np.array_split: functools.partial(_split, uneven=True),
    np.take: _take,
    np.flip: _flip,
    np.clip: _bounds,
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.pad: _pad,
    np.repeat: _repeat,
    np.transpose: _transpose,
    np.diagonal: _diagonal,
    np.prod: _prod,
    np.cumprod: _cumprod,
    np.copy: lambda a, *order: a,
    **{
        function: _metadata(function)
        for function in (np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.can_cast)
    },
}
