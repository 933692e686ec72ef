"""Constants of a graph: what their operators give, computed while the graph is read.

Among the numbers may be sizes that are not known yet, `Dim`: shapes go through Gather, Concat,
Slice and the like before they end in a Reshape or as the shape of initial states.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.saving._onnx._arguments import Arguments, axes_of, axis_of, slices_of
from cylstm.saving._onnx._tensors import dtype_of
from cylstm.saving._onnx._values import Dim, Known, Product, Size, Undecided

__all__ = ["FOLDED", "fold"]

_MAX_RANK = 8


def fold(arguments: Arguments) -> list[Known]:
    """What a node gives whose inputs are constants.

    Raises
    ------
    Undecided
        If it depends on a size that is not known.
    ValueError
        If the inputs do not fit.
    """
    function = FOLDED[arguments.op]
    result = function(arguments)
    return result if isinstance(result, list) else [result]


# ---------------------------------------------------------------------- sizes as numbers


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    factors: tuple[Dim, ...] = ()
    scale = 1
    for value in (a, b):
        if isinstance(value, Dim):
            factors += (value,)
        elif isinstance(value, Product):
            factors += value.factors
            scale *= value.scale
        else:
            scale *= value
    if scale == 1 and len(factors) == 1:
        return factors[0]
    if scale < 0:
        raise Undecided
    return Product(factors, scale) if scale else 0


def _divided(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            raise ValueError("it divides by zero")
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if b == 1:
        return a
    raise Undecided


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if a is b:
        return True
    if any(isinstance(value, int) and value < 0 for value in (a, b)):
        return False  # a size never is
    raise Undecided


def _number(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers that refuses sizes that are not known, unless it leaves them as is."""

    def checked(a: Any, b: Any) -> Any:
        if not isinstance(a, int) or not isinstance(b, int):
            if function is operator.add and 0 in (a, b) or function is operator.sub and b == 0:
                return a if b == 0 else b
            raise Undecided
        return function(a, b)

    return checked


_OF_SIZES: dict[str, Callable[..., Any]] = {
    "Add": _number(operator.add),
    "Sub": _number(operator.sub),
    "Mul": _times,
    "Div": _divided,
    "Equal": _equal,
    "Less": _number(operator.lt),
    "LessOrEqual": _number(operator.le),
    "Greater": _number(operator.gt),
    "GreaterOrEqual": _number(operator.ge),
    "Max": _number(max),
    "Min": _number(min),
    "Mod": _number(operator.mod),
}


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not b.all():
        raise ValueError("it divides by zero")
    return np.asarray(np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b), a.dtype)


_OF_ARRAYS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _quotient,
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Pow": np.power,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}
_OF_ONE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
}


def _common(a: Size, b: Size) -> Size:
    """The size of an axis of two constants that are broadcast."""
    if isinstance(a, int) and a == 1:
        return b
    if isinstance(b, int) and b == 1 or a is b:
        return a
    if isinstance(a, int) and isinstance(b, int) and a == b:
        return a
    if isinstance(a, int) and isinstance(b, int):
        raise ValueError(f"the sizes {a} and {b} do not fit each other")
    raise Undecided


def _broadcast(shapes: Sequence[Sequence[Size]]) -> tuple[Size, ...]:
    rank = max(map(len, shapes))
    found: list[Size] = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            found[i] = _common(found[i], size)
    return tuple(found)


def _elementwise(arguments: Arguments) -> Known:
    inputs = arguments.constants()
    shape = _broadcast([known.shape for known in inputs])
    arguments.claim(np.broadcast_shapes(*(known.data.shape for known in inputs)))
    data = inputs[0].data
    for other in inputs[1:]:
        data = _of_two(arguments.op, data, other.data)
    return Known(data, shape)


def _of_two(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if object in (a.dtype, b.dtype):
        if op not in _OF_SIZES:
            raise Undecided
        function = np.frompyfunc(_OF_SIZES[op], 2, 1)
        return _settled(function(_as_objects(a), _as_objects(b)), op)
    if a.dtype != b.dtype:
        raise ValueError(f"it has inputs of the dtypes {a.dtype} and {b.dtype}")
    with np.errstate(all="ignore"):
        return np.asarray(_OF_ARRAYS[op](a, b))


def _as_objects(array: np.ndarray) -> np.ndarray:
    if array.dtype == object:
        return array
    found = np.empty(array.shape, object)
    found[...] = np.array(array.tolist(), object) if array.size else found
    return found


def _settled(array: Any, op: str = "") -> np.ndarray:
    """An array of objects as one of numbers, if it holds nothing else."""
    found = np.empty((), object)
    if isinstance(array, np.ndarray):
        found = array
    else:
        found[()] = array
    entries = list(found.flat)
    if op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        return found.astype(bool)
    if all(isinstance(entry, int) for entry in entries):
        return found.astype(np.int64)
    return found


def _of_one(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    if known.data.dtype == object:
        raise Undecided
    with np.errstate(all="ignore"):
        data = np.asarray(_OF_ONE[arguments.op](known.data))
    return Known(data.astype(known.data.dtype, copy=False), known.shape)


# ---------------------------------------------------------------------- making


def _constant(arguments: Arguments) -> Known:
    values = arguments.all
    if len(values) != 1:
        raise ValueError(f"it has the attributes {sorted(values)}, and must have one")
    ((name, value),) = values.items()
    if name == "value":
        return arguments.tensor(value)
    dtypes = {"value_int": "int64", "value_ints": "int64"}
    dtypes |= {"value_float": "float32", "value_floats": "float32"}
    if name not in dtypes:
        raise ValueError(f"it has the attribute {name!r}, which is not read")
    return Known(np.array(value, dtypes[name]))


def _constant_of_shape(arguments: Arguments) -> Known:
    shape = tuple(map(_natural, _sizes(arguments.constant(0))))
    value = arguments.get("value", None)
    data = np.zeros(1, np.float32) if value is None else arguments.tensor(value).array()
    if data.size != 1:
        raise ValueError(f"its value has {data.size} numbers, and must have one")
    return Known(data.reshape([1] * len(shape)), shape)


def _sizes(known: Known) -> tuple[Size, ...]:
    """A constant as a shape."""
    data = known.data
    if data.ndim != 1 or any(known.spread) or data.dtype.kind not in "iO":
        if data.dtype.kind in "iO" and known.data.ndim == 1:
            data = known.array()
        else:
            raise ValueError(f"a shape is given by {known.dtype} numbers with {data.ndim} axes")
    if len(data) > _MAX_RANK:
        raise ValueError(f"a shape has {len(data)} axes, and at most {_MAX_RANK} are read")
    return tuple(data.tolist())


def _expand(arguments: Arguments) -> Known:
    known, wanted = arguments.constant(0), _sizes(arguments.constant(1))
    # A size that is not known and 1 are told apart by what they are expanded to.
    rank = max(len(wanted), len(known.shape))
    if rank > _MAX_RANK:
        raise ValueError(f"it makes {rank} axes, and at most {_MAX_RANK} are read")
    return Known(
        known.data.reshape((1,) * (rank - known.data.ndim) + known.data.shape),
        _broadcast([known.shape, [_natural(size) for size in wanted]]),
    )


def _natural(size: Size) -> Size:
    if isinstance(size, int) and size < 0:
        raise ValueError(f"it has the size {size}")
    return size


def _range(arguments: Arguments) -> Known:
    start, limit, delta = (arguments.constant(i).array() for i in range(3))
    if any(part.size != 1 or part.dtype != start.dtype for part in (start, limit, delta)):
        raise ValueError("its start, limit and delta are no three numbers of one dtype")
    if not delta.item():
        raise ValueError("its delta is zero")
    count = (limit.item() - start.item()) / delta.item()
    arguments.claim((max(0, int(min(count, 2**40)) + 1),))
    return Known(np.arange(start.item(), limit.item(), delta.item()).astype(start.dtype))


def _shape(arguments: Arguments) -> Known:
    shape = arguments.inputs[0].shape  # of a constant or not
    start, end = arguments.get("start", 0), arguments.get("end", len(shape))
    data = np.empty(len(shape), object)
    data[:] = shape
    return Known(_settled(data[slice(start, end)]))


def _size(arguments: Arguments) -> Known:
    total: Any = 1
    for size in arguments.inputs[0].shape:
        total = _times(total, size)
    data = np.empty((), object)
    data[()] = total
    return Known(_settled(data))


# ---------------------------------------------------------------------- moving


def _identity(arguments: Arguments) -> Known:
    return arguments.constant(0)


def _cast(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    dtype = dtype_of(arguments.get("to", None), "what it casts to")
    if known.data.dtype == object:
        if dtype not in ("int64", "int32"):
            raise Undecided
        return known
    with np.errstate(all="ignore"):
        return Known(known.data.astype(dtype), known.shape)


def _unsqueeze(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    axes = axes_of(arguments, 1)
    rank = len(known.shape) + len(axes)
    places = {axis_of(axis, rank) for axis in axes}
    if len(places) != len(axes) or rank > _MAX_RANK:
        raise ValueError(f"it puts in the axes {axes}, of {rank}")
    data, shape = list(known.data.shape), list(known.shape)
    for place in sorted(places):
        data.insert(place, 1)
        shape.insert(place, 1)
    return Known(known.data.reshape(data), shape)


def _squeeze(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    axes = axes_of(arguments, 1, required=False)
    rank = len(known.shape)
    if axes is None:
        places = {i for i, size in enumerate(known.shape) if size == 1}
    else:
        places = {axis_of(axis, rank) for axis in axes}
    if any(known.shape[place] != 1 for place in places):
        raise ValueError(f"it takes out axes of {known.shape} that are not of size 1")
    kept = [i for i in range(rank) if i not in places]
    return Known(
        known.data.reshape([known.data.shape[i] for i in kept]), [known.shape[i] for i in kept]
    )


def _transpose(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    order = arguments.order(len(known.shape))
    return Known(known.data.transpose(order), [known.shape[i] for i in order])


def _reshape(arguments: Arguments) -> Known:
    known, wanted = arguments.constant(0), list(_sizes(arguments.constant(1)))
    if not arguments.get("allowzero", 0):
        for i, size in enumerate(wanted):
            if size == 0:
                if i >= len(known.shape):
                    raise ValueError("it copies the size of an axis that is not there")
                wanted[i] = known.shape[i]
    if any(known.spread):
        arguments.claim(known._sizes())
        data = known.array()
    else:
        data = known.data
    if not all(isinstance(size, int) for size in wanted):
        raise Undecided
    return Known(data.reshape([size for size in wanted if isinstance(size, int)]))


def _concat(arguments: Arguments) -> Known:
    inputs = arguments.constants()
    rank = len(inputs[0].shape)
    if any(len(known.shape) != rank for known in inputs):
        raise ValueError("it joins constants with different numbers of axes")
    axis = axis_of(arguments.get("axis", None), rank)
    lengths = [known.shape[axis] for known in inputs]
    if not all(isinstance(length, int) for length in lengths):
        raise Undecided
    shape = list(_broadcast([[*k.shape[:axis], 1, *k.shape[axis + 1 :]] for k in inputs]))
    shape[axis] = total = sum(length for length in lengths if isinstance(length, int))
    parts = []
    common = np.broadcast_shapes(
        *((*k.data.shape[:axis], 1, *k.data.shape[axis + 1 :]) for k in inputs)
    )
    arguments.claim((*common[:axis], total, *common[axis + 1 :]))
    objects = any(known.data.dtype == object for known in inputs)
    for known, length in zip(inputs, lengths, strict=True):
        data = _as_objects(known.data) if objects else known.data
        shape_of_part: Any = (*common[:axis], length, *common[axis + 1 :])
        parts.append(np.broadcast_to(data, shape_of_part))
    if not objects and len({part.dtype for part in parts}) > 1:
        raise ValueError("it joins constants of different dtypes")
    return Known(np.concatenate(parts, axis), shape)


def _slice(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    data, shape = known.data, list(known.shape)
    for axis, part in slices_of(arguments, len(shape)):
        size = shape[axis]
        if not isinstance(size, int):
            if part == slice(0, None, 1):
                continue
            raise Undecided
        shape[axis] = len(range(size)[part])
        if not known.spread[axis]:
            data = data[(slice(None),) * axis + (part,)]
    return Known(data, shape)


def _gather(arguments: Arguments) -> Known:
    known, indices = arguments.constant(0), arguments.constant(1).array()
    axis = axis_of(arguments.get("axis", 0), len(known.shape))
    size = known.shape[axis]
    if indices.dtype.kind not in "iu" or not isinstance(size, int):
        raise Undecided
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise ValueError(f"it takes {indices.tolist()[:8]} of {size}")
    rest = known.data.shape[:axis] + known.data.shape[axis + 1 :]
    arguments.claim((*indices.shape, *rest))
    data = np.broadcast_to(
        known.data, (*known.data.shape[:axis], size, *known.data.shape[axis + 1 :])
    )
    shape = [*known.shape[:axis], *indices.shape, *known.shape[axis + 1 :]]
    found = np.take(data, indices, axis)
    if known.data.dtype == object:
        box = np.empty(indices.shape if isinstance(found, np.ndarray) else (), object)
        box[...] = found
        found = _settled(box)
    return Known(np.asarray(found), shape)


def _where(arguments: Arguments) -> Known:
    condition, a, b = (arguments.constant(i) for i in range(3))
    shape = _broadcast([condition.shape, a.shape, b.shape])
    arguments.claim(np.broadcast_shapes(condition.data.shape, a.data.shape, b.data.shape))
    if object in (a.data.dtype, b.data.dtype):
        found = np.where(condition.data, _as_objects(a.data), _as_objects(b.data))
        return Known(_settled(found), shape)
    return Known(np.where(condition.data, a.data, b.data), shape)


def _tile(arguments: Arguments) -> Known:
    known, repeats = arguments.constant(0), arguments.constant(1).array()
    if repeats.shape != (len(known.shape),) or (repeats.size and repeats.min() < 0):
        raise ValueError(f"it repeats {repeats.tolist()} times, of {len(known.shape)} axes")
    if repeats.tolist() != [1] * len(repeats):
        arguments.claim([int(n) * int(m) for n, m in zip(repeats, known._sizes(), strict=True)])
        return Known(np.tile(known.array(), repeats))
    return known


def _reduce_prod(arguments: Arguments) -> Known:
    known = arguments.constant(0)
    if len(known.shape) != 1 or any(known.spread):
        raise ValueError("it multiplies something else than a row of numbers")
    total: Any = 1
    for entry in known.data.tolist():
        total = _times(total, entry)
    keep = arguments.get("keepdims", 1)
    data = np.empty((1,) if keep else (), object)
    data[...] = total
    return Known(_settled(data) if isinstance(total, int) else data)


FOLDED: dict[str, Callable[[Arguments], Known | list[Known]]] = {
    **dict.fromkeys(_OF_ARRAYS, _elementwise),
    **dict.fromkeys(_OF_ONE, _of_one),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Range": _range,
    "ReduceProd": _reduce_prod,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
