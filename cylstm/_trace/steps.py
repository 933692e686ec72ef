"""Steps of a trace, and what the rules share: constants, casts, indexing, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from cylstm._trace.arrays import Placed, Readable, Trace, Traced, common, flat, rebuilt

__all__ = [
    "cast",
    "computed",
    "constant",
    "differentiated",
    "entered",
    "getitem",
    "name_of",
    "numbers",
    "of_constants",
    "refuse",
    "unbroadcast",
]


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


def differentiated(values: Sequence[Any]) -> list[Traced]:
    """The traced arrays that are no constants, in lists too."""
    boxes = [v.read() if isinstance(v, Readable) else v for v in flat(values)]
    return [b for b in boxes if isinstance(b, Traced) and b.step >= 0]


def constant(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of constants; one of lists that are to be differentiated is refused."""
    for box in differentiated([*args, *kwargs.values()]):
        refuse(function, box.trace.name, " of lists of arrays")
    trace = common([b for b in flat([*args, *kwargs.values()]) if isinstance(b, Traced)])
    values = [_plain(a) for a in args]
    result = function(*values, **{key: _plain(value) for key, value in kwargs.items()})
    return of_constants(trace, result, values, kwargs)


def of_constants(trace: Trace, result: Any, values: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a function of constants gave, as constants."""
    if isinstance(result, tuple | list):
        return rebuilt(result, [trace.constant_of(_as_floats(r, values, kwargs)) for r in result])
    return trace.constant_of(_as_floats(result, values, kwargs))


def _plain(value: Any) -> Any:
    """An argument with the numbers of all boxes in it."""
    if isinstance(value, list | tuple):
        return rebuilt(value, [_plain(v) for v in value])
    return numbers(value)


def computed(function: Any, values: Sequence[Any], kwargs: dict[str, Any]) -> np.ndarray:
    """The function of plain numbers as one array; see `_as_floats`."""
    result = function(*values, **kwargs)
    if isinstance(result, tuple | list):
        raise TypeError(f"{name_of(function)} returns several arrays, and has no derivative.")
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


def refuse(function: Any, traced: str, how: str = "") -> NoReturn:
    raise TypeError(
        f"{name_of(function)}{how} has no derivative, so that {traced} has none: use another "
        "function of cylstm.backend or NumPy."
    )


def name_of(function: Any) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{getattr(function, '__name__', function)}"


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient summed over the axes that an operand was repeated along."""
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return np.asarray(g.sum(axis=repeated, keepdims=True)).reshape(shape)
