"""Products of arrays, and functions of shapes and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm import _trace
from cylstm._trace import steps
from cylstm.backend._operands import (
    FLOATX,
    array,
    constant_like,
    is_box,
    module,
    numbers,
    quiet,
    sizes,
)

__all__ = [
    "arange",
    "batch_dot",
    "batch_flatten",
    "cast",
    "concatenate",
    "conv1d",
    "dot",
    "expand_dims",
    "flatten",
    "gather",
    "identity",
    "one_hot",
    "ones_like",
    "permute_dimensions",
    "repeat",
    "repeat_elements",
    "reshape",
    "reverse",
    "squeeze",
    "stack",
    "temporal_padding",
    "tile",
    "to_dense",
    "transpose",
    "zeros_like",
]


# ---------------------------------------------------------------------- products


@quiet
def dot(x: Any, y: Any) -> Any:
    """The matrix product; with more axes, over the last one of x and the last but one of y.

    >>> dot([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
    [[11.0]]
    >>> import numpy as np
    >>> dot(np.ones((2, 3, 4)), np.ones((5, 4, 6))).shape
    (2, 3, 5, 6)
    """
    x, y = array(x), array(y)
    if np.ndim(x) < 2 or np.ndim(y) < 2:
        raise ValueError(
            f"dot needs two axes or more on both sides, got shapes {x.shape} and {y.shape}: add "
            "one with K.expand_dims, and take it away with K.squeeze"
        )
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(
            f"dot runs over the last axis of x and the last but one of y, which differ in shapes "
            f"{x.shape} and {y.shape}"
        )
    xp = module(x, y)
    if x.ndim == y.ndim == 2:
        return xp.matmul(x, y)
    order = (y.ndim - 2, *range(y.ndim - 2), y.ndim - 1)
    rows = xp.reshape(x, (-1, x.shape[-1]))
    columns = xp.reshape(xp.transpose(y, order), (y.shape[-2], -1))
    return xp.reshape(xp.matmul(rows, columns), x.shape[:-1] + y.shape[:-2] + y.shape[-1:])


@quiet
def batch_dot(x: Any, y: Any, axes: int | Sequence[int] | None = None) -> Any:
    """The product of each sample of x with the same sample of y, over one axis of either.

    As Keras 2.0.9: an axis of x that is not the last is taken to be the last but one, and for y
    the reverse; the operand with fewer axes gets trailing ones; a result of one axis gets a
    second one.

    >>> import numpy as np
    >>> batch_dot(np.ones((7, 2, 3)), np.ones((7, 3, 4))).shape
    (7, 2, 4)
    >>> batch_dot(np.ones((7, 3)), np.ones((7, 3)), axes=1).shape
    (7, 1)
    """
    x, y = array(x), array(y)
    both = (axes, axes) if isinstance(axes, int) else axes
    xp, x_ndim, y_ndim = module(x, y), x.ndim, y.ndim
    difference = abs(x_ndim - y_ndim)
    if x_ndim > y_ndim:
        y = xp.reshape(y, y.shape + (1,) * difference)
    elif y_ndim > x_ndim:
        x = xp.reshape(x, x.shape + (1,) * difference)
    if x.ndim < 2:
        raise ValueError(f"batch_dot needs a batch axis and another, got shapes of {x.ndim} axes")
    if x.ndim == 2:
        if both is None:
            raise ValueError("batch_dot of two matrices needs axes, such as axes=1")
        left = x if both[0] == both[1] else xp.transpose(x)
        out = xp.sum(left * y, axis=both[0] if both[0] == both[1] else both[1])
    else:
        if both is not None and both[0] != x.ndim - 1:
            x = xp.swapaxes(x, -1, -2)
        if both is not None and both[1] == y.ndim - 1:
            y = xp.swapaxes(y, -1, -2)
        if x.shape[-1] != y.shape[-2]:
            raise ValueError(
                f"batch_dot multiplies matrices of shapes {x.shape[-2:]} and {y.shape[-2:]} here, "
                f"which do not fit: check axes={axes!r}"
            )
        out = xp.matmul(x, y)
    if difference:
        first = x_ndim + y_ndim - 3 if x_ndim > y_ndim else x_ndim - 1
        out = xp.squeeze(out, axis=tuple(range(first, first + difference)))
    return expand_dims(out, 1) if out.ndim == 1 else out


@quiet
def conv1d(
    x: Any,
    kernel: Any,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Any:
    """The convolution of (batch, timesteps, features) with a kernel (width, features, filters).

    `padding` is "valid", "same" or "causal"; channels are last.

    >>> conv1d([[[1.0], [2.0], [4.0]]], [[[1.0]], [[10.0]]]).tolist()
    [[[21.0], [42.0]]]
    """
    x, kernel = array(x), array(kernel)
    if data_format not in (None, "channels_last"):
        raise ValueError(f"conv1d takes channels last, got data_format={data_format!r}")
    if padding not in ("valid", "same", "causal"):
        raise ValueError(f"padding is 'valid', 'same' or 'causal', got {padding!r}")
    if strides > 1 and dilation_rate > 1:
        raise ValueError("conv1d takes strides or dilation_rate, not both")
    width = kernel.shape[0]
    span = dilation_rate * (width - 1) + 1
    if padding == "causal":
        x = temporal_padding(x, (span - 1, 0))
    elif padding == "same":
        missing = max((-(-x.shape[1] // strides) - 1) * strides + span - x.shape[1], 0)
        x = temporal_padding(x, (missing // 2, missing - missing // 2))
    count = (x.shape[1] - span) // strides + 1
    if count < 1:
        raise ValueError(f"{x.shape[1]} timesteps are fewer than the kernel spans, {span}")
    starts = [k * dilation_rate for k in range(width)]
    windows = [x[:, a : a + (count - 1) * strides + 1 : strides] for a in starts]
    columns = concatenate(windows, axis=-1)
    return dot(columns, reshape(kernel, (-1, kernel.shape[-1])))


def transpose(x: Any) -> Any:
    """The axes in reverse order.

    >>> transpose([[1.0, 2.0]]).tolist()
    [[1.0], [2.0]]
    """
    x = array(x)
    return module(x).transpose(x)


# ---------------------------------------------------------------------- shapes


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """The axes in another order, the batch axis (0) included.

    >>> import numpy as np
    >>> permute_dimensions(np.ones((2, 3, 4)), (0, 2, 1)).shape
    (2, 4, 3)
    """
    x = array(x)
    return module(x).transpose(x, tuple(int(i) % x.ndim for i in pattern))


def reshape(x: Any, shape: Any) -> Any:
    """The same numbers in another shape, one of whose sizes may be -1.

    >>> reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    x = array(x)
    return module(x).reshape(x, sizes(shape))


def flatten(x: Any) -> Any:
    """All numbers on one axis.

    >>> flatten([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    return reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """The numbers of each sample on one axis.

    >>> import numpy as np
    >>> batch_flatten(np.ones((2, 3, 4))).shape
    (2, 12)
    """
    x = array(x)
    return reshape(x, (-1, int(np.prod(x.shape[1:]))))


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A further axis of size 1.

    >>> expand_dims([1.0, 2.0]).tolist()
    [[1.0], [2.0]]
    """
    x = array(x)
    return module(x).expand_dims(x, axis)


def squeeze(x: Any, axis: int) -> Any:
    """Without an axis of size 1.

    >>> squeeze([[1.0], [2.0]], -1).tolist()
    [1.0, 2.0]
    """
    x = array(x)
    return module(x).squeeze(x, axis=axis)


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Arrays one after the other along an axis.

    >>> concatenate([[[1.0]], [[2.0, 3.0]]]).tolist()
    [[1.0, 2.0, 3.0]]
    """
    parts = [array(x) for x in tensors]
    return module(*parts).concatenate(parts, axis)


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis.

    >>> stack([[1.0, 2.0], [3.0, 4.0]], axis=1).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    parts = [array(part) for part in x]
    return module(*parts).stack(parts, axis)


def repeat(x: Any, n: int) -> Any:
    """Each row n times: from (batch, size) to (batch, n, size).

    >>> repeat([[1.0, 2.0]], 2).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """
    x = array(x)
    if x.ndim != 2:
        raise ValueError(f"repeat takes an array of the shape (batch, size), got {x.shape}")
    return module(x).repeat(expand_dims(x, 1), int(n), axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element of an axis `rep` times in succession.

    >>> repeat_elements([1.0, 2.0], 2, axis=0).tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    x = array(x)
    return module(x).repeat(x, int(rep), axis=axis % x.ndim)


def tile(x: Any, n: Any) -> Any:
    """The whole array repeated: a number for each axis, or one number for an array of one axis.

    >>> tile([1.0, 2.0], 2).tolist()
    [1.0, 2.0, 1.0, 2.0]
    """
    x = array(x)
    times = sizes(n)
    if len(times) != x.ndim:
        raise ValueError(f"tile needs a number for each of {x.ndim} axes, got {len(times)}")
    return module(x).tile(x, times)


def reverse(x: Any, axes: int | Sequence[int]) -> Any:
    """Backwards along one axis or several.

    >>> reverse([[1.0, 2.0], [3.0, 4.0]], 0).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    x = array(x)
    turned = {a % x.ndim for a in ([axes] if isinstance(axes, int) else axes)}
    return x[tuple(slice(None, None, -1 if i in turned else 1) for i in range(x.ndim))]


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Any:
    """Zeros before and after the timesteps of (batch, timesteps, features).

    >>> temporal_padding([[[1.0], [2.0]]], (2, 0)).tolist()
    [[[0.0], [0.0], [1.0], [2.0]]]
    """
    x = array(x)
    if x.ndim != 3 or len(padding) != 2:
        raise ValueError(
            f"temporal_padding takes (batch, timesteps, features) and two numbers, got shape "
            f"{x.shape} and {padding!r}"
        )
    return module(x).pad(x, ((0, 0), tuple(padding), (0, 0)), "constant")


# ---------------------------------------------------------------------- positions and values


def gather(reference: Any, indices: Any) -> Any:
    """The rows of an array at integer indices: of the shape of these, and the rest of a row.

    >>> gather([[1.0, 2.0], [3.0, 4.0]], [1, 1, 0]).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    reference, where = array(reference), _indices(indices, "gather")
    if where.size and (where.min() < 0 or where.max() >= reference.shape[0]):
        raise ValueError(
            f"gather takes indices from 0 to {reference.shape[0] - 1}, got {where.min()} to "
            f"{where.max()}"
        )
    return reference[where]


def _indices(indices: Any, name: str) -> np.ndarray:
    where = numbers(indices)
    if where.dtype.kind not in "iu":
        raise TypeError(f"{name} takes integers, got {where.dtype}: K.cast(indices, 'int32')")
    return where


def one_hot(indices: Any, num_classes: int) -> Any:
    """A row of float32 for each integer, with 1 at its place; zeros for one out of range.

    >>> one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    indices = array(indices)
    where = _indices(indices, "one_hot")
    rows = (where[..., None] == np.arange(int(num_classes))).astype(FLOATX)
    return constant_like(indices, rows)


def arange(start: int, stop: int | None = None, step: int = 1, dtype: str = "int32") -> Any:
    """Numbers at equal distances, from 0 if only one is given.

    >>> arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    if stop is None:
        start, stop = 0, max(start, 0)
    return np.arange(start, stop, step).astype(dtype)


def cast(x: Any, dtype: Any) -> Any:
    """The same in another dtype: floats keep their gradient, integers and bools have none.

    >>> cast([1.7, -1.7], "int32").tolist()
    [1, -1]
    """
    x, wanted = array(x), np.dtype(dtype)
    with np.errstate(all="ignore"):
        if isinstance(x, _trace.Traced):
            return steps.cast(x, wanted)
        if is_box(x) and wanted.kind != "f":
            return numbers(x).astype(wanted)
        return x.astype(wanted)


def identity(x: Any) -> Any:
    """The same array.

    >>> identity([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return array(x)


def to_dense(tensor: Any) -> Any:
    """The same array: there are no sparse ones.

    >>> to_dense([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return array(tensor)


def zeros_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Zeros of the shape of an array, and of its dtype by default.

    >>> zeros_like([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    x = array(x)
    return constant_like(x, np.zeros(x.shape, dtype or x.dtype))


def ones_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Ones of the shape of an array, and of its dtype by default.

    >>> ones_like([1.0, 2.0]).tolist()
    [1.0, 1.0]
    """
    x = array(x)
    return constant_like(x, np.ones(x.shape, dtype or x.dtype))
