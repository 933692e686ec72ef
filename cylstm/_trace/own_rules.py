"""Derivatives of NumPy's functions that autograd has none for, or not for all arguments.

They take lists of arrays, negative axes, zeros among factors, operands that are broadcast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm._trace.arrays import Readable, Traced, stop
from cylstm._trace.steps import cast, computed, constant, entered, numbers, unbroadcast

__all__ = ["OWN", "cumprod_pull", "prod_pull"]


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    boxes = [a.read() if isinstance(a, Readable) else a for a in arrays]
    if axis is None:
        boxes, axis = [np.ravel(b) for b in boxes], 0
    parts = [np.asarray(numbers(b)) for b in boxes]
    ends = np.cumsum([p.shape[axis] for p in parts])

    def pull(g: np.ndarray) -> list[np.ndarray]:
        return np.split(g, ends[:-1], axis)

    return entered(computed(lambda *a: np.concatenate(a, axis), parts, {}), boxes, pull)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    boxes = [a.read() if isinstance(a, Readable) else a for a in arrays]
    parts = [np.asarray(numbers(b)) for b in boxes]

    def pull(g: np.ndarray) -> list[np.ndarray]:
        return list(np.moveaxis(g, axis, 0))

    return entered(computed(lambda *a: np.stack(a, axis), parts, {}), boxes, pull)


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
    return [whole[(*before, slice(a, b))] for a, b in zip(starts[:-1], starts[1:], strict=True)]


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
    clipped = computed(np.clip, [values, low, high], {})
    return entered(clipped, [x], lambda g: [np.where(inside, g, 0)])


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """np.where; autograd's derivative does not expect x and y to be broadcast."""
    chosen = np.asarray(numbers(condition))
    if x is None and y is None:
        return constant(np.nonzero, (stop(condition),), {})
    boxes = [b.read() if isinstance(b, Readable) else b for b in (condition, x, y)]
    answer = computed(np.where, [chosen, numbers(boxes[1]), numbers(boxes[2])], {})

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


def _broadcast_to(array: Any, shape: Any) -> Any:
    wide = np.broadcast_to(array.numbers, shape)
    return entered(wide, [array], lambda g: [unbroadcast(g, array.shape)])


def _pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    if array.step < 0:
        return constant(np.pad, (array, pad_width, mode), options)
    if mode != "constant" or np.any(options.get("constant_values", 0)):
        raise TypeError(f"np.pad has a derivative for padding with zeros, not for {mode!r}.")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    inner = tuple(slice(a, a + n) for (a, _), n in zip(widths.tolist(), array.shape, strict=True))
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


OWN: dict[Any, Callable[..., Any]] = {
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
