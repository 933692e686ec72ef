"""Operators that compute: layers, activations, sums and products, but for the LSTM itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.layers import (
    ELU,
    Activation,
    Add,
    AveragePooling1D,
    BatchNormalization,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    MaxPooling1D,
    Minimum,
    Multiply,
    PReLU,
    Subtract,
    ThresholdedReLU,
)
from cylstm.saving.onnx._arguments import Arguments, axes_of, axis_of
from cylstm.saving.onnx._building import Builder, in_layout
from cylstm.saving.onnx._layers import (
    FUNCTIONS,
    REDUCTIONS,
    OnnxFunction,
    OnnxOperation,
    OnnxReduce,
)
from cylstm.saving.onnx._operators import padded
from cylstm.saving.onnx._steps import Steps
from cylstm.saving.onnx._values import Dim, Flow, Group, Known, Made, size_of

__all__ = ["COMPUTING", "hard_sigmoid_name"]


def _each(flow: Flow, steps: Steps, make_layer: Callable[[Builder], Any]) -> Flow:
    """A layer that treats every number by itself: axes stay as they are."""

    def make(b: Builder) -> Made:
        tensor, layout = b.native(flow)
        return [(make_layer(b)(tensor), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, flow.groups, flow.dtype)


# ---------------------------------------------------------------------- activations

_ACTIVATIONS = {
    "Relu": "relu",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}


def _activation(a: Arguments, steps: Steps) -> Flow:
    flow, name = a.flow(0), _ACTIVATIONS[a.op]
    if a.op == "Selu" and (
        abs(a.get("alpha", 1.67326319) - 1.67326319) > 1e-6
        or abs(a.get("gamma", 1.05070102) - 1.05070102) > 1e-6
    ):
        raise ValueError("its alpha and gamma are not those of selu")
    return _each(flow, steps, lambda b: b.layer(Activation, name, dtype=flow.dtype))


def hard_sigmoid_name(alpha: float, beta: float) -> str | None:
    """The hard sigmoid with this slope and this value at zero, where there is one."""
    if abs(beta - 0.5) < 1e-6:
        if abs(alpha - 0.2) < 1e-6:
            return "hard_sigmoid"
        if abs(alpha - 1 / 6) < 1e-6:
            return "hard_sigmoid_6"
    return None


def _hard_sigmoid(a: Arguments, steps: Steps) -> Flow:
    flow, alpha, beta = a.flow(0), a.get("alpha", 0.2), a.get("beta", 0.5)
    name = hard_sigmoid_name(alpha, beta)
    if name is not None:
        return _each(flow, steps, lambda b: b.layer(Activation, name, dtype=flow.dtype))
    for operation, number in (("Mul", alpha), ("Add", beta), ("Max", 0.0), ("Min", 1.0)):
        flow = _with_number(flow, operation, number, steps)
    return flow


def _with_number(flow: Flow, operation: str, number: float, steps: Steps) -> Flow:
    return _each(flow, steps, lambda b: b.layer(OnnxOperation, operation, number, dtype=flow.dtype))


def _elu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 1.0)
    if alpha == 1:
        return _each(flow, steps, lambda b: b.layer(Activation, "elu", dtype=flow.dtype))
    return _each(flow, steps, lambda b: b.layer(ELU, alpha, dtype=flow.dtype))


def _leaky_relu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 0.01)
    return _each(flow, steps, lambda b: b.layer(LeakyReLU, alpha, dtype=flow.dtype))


def _thresholded_relu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 1.0)
    return _each(flow, steps, lambda b: b.layer(ThresholdedReLU, alpha, dtype=flow.dtype))


def _prelu(a: Arguments, steps: Steps) -> Flow:
    flow, slope = a.flow(0), a.constant(1)
    if len(slope.shape) > flow.rank:
        raise ValueError(f"its slope has the shape {slope.shape}, for {flow.rank} axes")
    data = slope.array().reshape((1,) * (flow.rank - len(slope.shape)) + slope.array().shape)

    def make(b: Builder) -> Made:
        tensor, layout = b.native(flow)
        alpha = in_layout(data, flow.groups, layout)
        shared = [i + 1 for i, n in enumerate(alpha.shape) if n == 1]
        layer = b.layer(PReLU, shared_axes=shared or None, dtype=flow.dtype)
        return [(b.call(layer, tensor, [alpha]), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, flow.groups, flow.dtype)


def _softmax(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    axis = axis_of(a.get("axis", -1 if a.version >= 13 else 1), flow.rank)
    group = flow.groups[axis]
    if a.version < 13:  # of all from the axis on, together
        group = tuple(dim for g in flow.groups[axis:] for dim in g)
    if not group:
        raise ValueError("it is of an axis of size 1")

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        if a.op == "Softmax":
            layer = b.layer(Activation, "softmax", dtype=flow.dtype)
        else:
            layer = b.layer(OnnxFunction, "LogSoftmax", dtype=flow.dtype)
        return [(layer(tensor), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, flow.groups, flow.dtype)


def _function(a: Arguments, steps: Steps) -> Flow:
    flow, name = a.flow(0), a.op
    return _each(flow, steps, lambda b: b.layer(OnnxFunction, name, dtype=flow.dtype))


def _clip(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    for i, (name, operation) in enumerate((("min", "Max"), ("max", "Min")), 1):
        bound = a.number(i, name)
        if bound is not None and abs(bound) < 3e38:
            flow = _with_number(flow, operation, bound, steps)
    return flow


def _dropout(a: Arguments, steps: Steps) -> Flow:
    flow, rate = a.flow(0), a.number(1, "ratio", 0.5)
    if a.input(2) is not None and a.constant(2).array().any():
        raise ValueError("it is exported for training: export the model for inference")
    if not rate:
        return flow
    return _each(flow, steps, lambda b: b.layer(Dropout, rate, dtype=flow.dtype))


# ---------------------------------------------------------------------- products


def _matmul(a: Arguments, steps: Steps) -> Flow:
    if isinstance(a.input(1), Flow) and isinstance(a.input(0), Flow):
        return _product(a.flow(0), a.flow(1), steps)
    flow, kernel = a.flow(0), a.constant(1)
    if len(kernel.shape) != 2:
        raise ValueError(f"it multiplies by a constant of the shape {kernel.shape}")
    return _dense(flow, kernel, kernel.array(), None, Dim(kernel.array().shape[1]), steps)


def _gemm(a: Arguments, steps: Steps) -> Flow:
    flow, known = a.flow(0), a.constant(1)
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    if a.get("transA", 0) or flow.rank != 2 or len(known.shape) != 2:
        raise ValueError("it multiplies something else than rows by a matrix")
    kernel = known.array().T if a.get("transB", 0) else known.array()
    bias = None
    if a.input(2) is not None:
        third = a.constant(2).array()
        if third.size not in (1, kernel.shape[1]):
            raise ValueError(f"it adds a constant of the shape {third.shape}")
        bias = beta * np.broadcast_to(third.reshape(-1), (kernel.shape[1],))
    kernel = kernel * np.asarray(alpha, kernel.dtype)
    return _dense(flow, known, kernel, bias, Dim(kernel.shape[1]), steps)


def _dense(
    flow: Flow, known: Known, kernel: np.ndarray, bias: np.ndarray | None, dim: Dim, steps: Steps
) -> Flow:
    """A product with a matrix, of the last axis, which becomes another one."""
    size = flow.shape[-1]
    if kernel.dtype != flow.dtype or isinstance(size, int) and size != kernel.shape[0]:
        raise ValueError(
            f"it multiplies {flow.dtype} of {flow.shape} by {kernel.dtype} of {kernel.shape}"
        )
    group = flow.groups[-1]
    key = (id(known), None if bias is None else bias.tobytes(), kernel.shape)

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.shared.get(key)
        if layer is None:
            layer = b.layer(Dense, kernel.shape[1], use_bias=bias is not None, dtype=flow.dtype)
            b.shared[key] = layer
        weights = [kernel] if bias is None else [kernel, bias]
        return [(b.call(layer, tensor, weights), [*layout[:-1], (dim,)])]

    (source,) = steps.add([flow], 1, make)
    steps.use_kernel(known, flow, source)
    if bias is None:
        source.fusable = (dim, lambda more: _dense(flow, known, kernel, more, dim, steps))
    return Flow(source, [*flow.groups[:-1], (dim,)], flow.dtype)


def _product(one: Flow, two: Flow, steps: Steps) -> Flow:
    """A product of matrices for each sample, such as of attention."""
    if one.rank != two.rank or one.rank < 3 or one.dtype != two.dtype:
        raise ValueError(f"it multiplies {one.dtype} of {one.shape} by {two.dtype} of {two.shape}")
    for g, h in zip(one.groups[:-2], two.groups[:-2], strict=True):
        for d, e in zip(g, h, strict=False):
            d.join(e)
    rows, columns = one.groups[-2], two.groups[-1]
    apart = tuple(Dim(d.size) for d in columns)  # they may be the same as the rows

    def make(b: Builder) -> Made:
        lead = [(b.batch(f),) for f in (one, two)]
        rest = [[tuple(d for d in g if not d.is_batch) for g in f.groups[:-2]] for f in (one, two)]
        if [[d.size for g in r for d in g] for r in rest[:1]] != [
            [d.size for g in r for d in g] for r in rest[1:]
        ]:
            raise ValueError("its samples are matrices of different numbers")
        inner = [[g for g in r if g] for r in rest]
        x = b.arranged(one, [lead[0], *inner[0], rows, one.groups[-1]])
        y = b.arranged(two, [lead[1], *inner[1], two.groups[-2], columns])
        rank = len(inner[0]) + 3
        z = b.layer(Dot, (rank - 1, rank - 2), dtype=one.dtype)([x, y])
        return [(z, [lead[0], *inner[0], rows, apart])]

    (source,) = steps.add([one, two], 1, make)
    return Flow(source, [*one.groups[:-1], apart], one.dtype)


# ---------------------------------------------------------------------- two values

_OF_TWO = {"Add": Add, "Sub": Subtract, "Mul": Multiply, "Max": Maximum, "Min": Minimum}
_TURNED = {"Sub": "From", "Div": "Over"}


def _operation(a: Arguments, steps: Steps) -> Flow:
    if len(a.inputs) < 2 or None in a.inputs:
        raise ValueError(f"it has {len(a.inputs)} inputs, and must have two or more")
    found = a.inputs[0]
    for i, value in enumerate(a.inputs[1:], 1):
        if isinstance(found, Flow) and isinstance(value, Flow):
            found = _of_flows(a.op, found, value, steps)
        elif isinstance(found, Flow):
            found = _with_constant(found, value, a.op, a.node.input[0], steps)
        elif isinstance(value, Flow):
            operation = _TURNED.get(a.op, a.op)
            if operation == "Pow":
                raise ValueError("it raises a constant to a power that is computed")
            found = _with_constant(value, found, operation, a.node.input[i], steps)
        else:
            raise ValueError("it computes with constants first: put them last")
    return found


def _with_constant(flow: Flow, known: Known, operation: str, name: str, steps: Steps) -> Flow:
    if known.dtype != flow.dtype:
        raise ValueError(f"it has inputs of the dtypes {flow.dtype} and {known.dtype}")
    rank = max(flow.rank, len(known.shape))
    flow = flow.view([()] * (rank - flow.rank) + list(flow.groups))
    data = known.data.reshape((1,) * (rank - known.data.ndim) + known.data.shape)
    sizes = (1,) * (rank - len(known.shape)) + known.shape
    groups = list(flow.groups)
    inner = list(flow.groups)
    for i, (size, own) in enumerate(zip(sizes, flow.shape, strict=True)):
        if data.shape[i] == 1 and (size == 1 or own != 1):
            continue
        if isinstance(own, int) and own == 1 and isinstance(size, int):
            data = data if data.shape[i] == size else np.repeat(data, size, i)
            if any(dim.size is None for dim in groups[i]):
                raise ValueError("it repeats an axis whose size is not known")
            inner[i] = (Dim(1),)
            groups[i] = (Dim(size),)
        elif own != size:
            raise ValueError(f"it has a constant of {known.shape}, for a value of {flow.shape}")
    fused = _fused(flow, data, operation, name, steps)
    if fused is not None:
        return fused
    if data.size == 1:
        found = _with_number(flow, operation, float(data.reshape(())), steps)
        return found.view(groups)
    new = {d: e for g, h in zip(inner, groups, strict=True) for d, e in zip(g, h, strict=True)}

    def make(b: Builder) -> Made:
        if inner == list(flow.groups):
            tensor, layout = b.native(flow)
        else:
            layout = b.standard(flow.view(inner))
            tensor = b.arranged(flow, layout)
        constant = in_layout(data, inner, layout)
        layer = b.layer(OnnxOperation, operation, shape=list(constant.shape), dtype=flow.dtype)
        layout = [tuple(new[d] if d in new else d for d in group) for group in layout]
        return [(b.call(layer, tensor, [constant]), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, groups, flow.dtype)


def _fused(flow: Flow, data: np.ndarray, operation: str, name: str, steps: Steps) -> Flow | None:
    """The sum as the bias of the layer before, if it has none and nothing else reads it."""
    if operation != "Add" or flow.source.fusable is None or steps.uses.get(name) != 1:
        return None
    dim, fuse = flow.source.fusable
    if (dim,) not in flow.groups:
        return None
    axis = flow.groups.index((dim,))
    if data.size != dim.size or data.shape[axis] != dim.size:
        return None
    found: Flow = fuse(data.reshape(-1))
    return found.view(flow.groups)


def _of_flows(op: str, one: Flow, two: Flow, steps: Steps) -> Flow:
    if one.dtype != two.dtype:
        raise ValueError(f"it has inputs of the dtypes {one.dtype} and {two.dtype}")
    if op == "Div":
        two = _each(two, steps, lambda b: b.layer(OnnxFunction, "Reciprocal", dtype=one.dtype))
        op = "Mul"
    if op not in _OF_TWO:
        raise ValueError("it computes with two values that are not constants")
    rank = max(one.rank, two.rank)
    one = one.view([()] * (rank - one.rank) + list(one.groups))
    two = two.view([()] * (rank - two.rank) + list(two.groups))
    pairs: list[tuple[Dim | None, Dim | None]] = []
    groups: list[Group] = []
    for g, h in zip(one.groups, two.groups, strict=True):
        g, h = ((() if size_of(x) == 1 and size_of(y) != 1 else x) for x, y in ((g, h), (h, g)))
        if g and h and len(g) != len(h):
            raise ValueError(f"values of {one.shape} and {two.shape} have axes put together")
        for i in range(max(len(g), len(h))):
            d, e = g[i] if g else None, h[i] if h else None
            if d is not None and e is not None:
                if None not in (d.size, e.size) and d.size != e.size:
                    raise ValueError(f"values of {one.shape} and {two.shape} do not fit")
                d.join(e)
            pairs.append((d, e))
        groups.append(g or h)

    def make(b: Builder) -> Made:
        layouts = _aligned(b, one, two, pairs)
        x, y = b.arranged(one, layouts[0]), b.arranged(two, layouts[1])
        z = b.layer(_OF_TWO[op], dtype=one.dtype)([x, y])
        return [(z, [g or h for g, h in zip(*layouts, strict=True)])]

    (source,) = steps.add([one, two], 1, make)
    return Flow(source, groups, one.dtype)


def _aligned(
    b: Builder, one: Flow, two: Flow, pairs: list[tuple[Dim | None, Dim | None]]
) -> tuple[list[Group], list[Group]]:
    """Layouts of two values that go together, number by number: those they have, if they do."""
    same = {d: e for d, e in pairs if d is not None}
    native = b.native(one)[1]
    other = [tuple(same.get(d) for d in group) for group in native]
    if other == b.native(two)[1]:
        return native, b.native(two)[1]
    if (b.batch(one), b.batch(two)) not in pairs:
        raise ValueError("it combines different samples")
    back = {e: d for d, e in pairs if e is not None}
    atoms = [dim for group in native for dim in group]
    order = [(d, same[d]) for d in atoms if d in same]
    order += [pair for pair in pairs if pair not in order]
    if set(same) < set(back.values()) or any(d is None for d, _ in pairs):
        order = sorted(pairs, key=lambda pair: pair[0] is not b.batch(one))
    layouts = [
        [(dim,) if dim is not None else () for dim in column] for column in zip(*order, strict=True)
    ]
    return layouts[0], layouts[1]


# ---------------------------------------------------------------------- windows


def _spatial(a: Arguments, flow: Flow, kernel: Sequence[int]) -> tuple[int, list[int]]:
    """The axis that windows go along, and how the lists of the attributes are to be read.

    Of several axes all but one have to be of size 1, as converters make of one.
    """
    count = flow.rank - 2
    if count < 1 or len(kernel) != count:
        raise ValueError(f"it has windows of {list(kernel)}, for {flow.rank} axes")
    long = [i for i in range(count) if flow.shape[i + 2] != 1 or kernel[i] != 1]
    if len(long) > 1:
        raise ValueError("it has windows over more than one axis, which is not read")
    own = long[0] if long else count - 1
    pads = a.get("pads", (0,) * (2 * count))
    strides = a.get("strides", (1,) * count)
    dilations = a.get("dilations", (1,) * count)
    if not len(pads) == 2 * len(strides) == 2 * len(dilations) == 2 * count:
        raise ValueError("its pads, strides and dilations are not as many as its axes")
    if any(pads[i] or pads[i + count] for i in range(count) if i != own):
        raise ValueError("it pads an axis of size 1, which is not read")
    numbers = [kernel[own], strides[own], dilations[own], pads[own], pads[own + count]]
    if min(numbers[:3]) < 1 or min(numbers) < 0 or max(numbers) > 2**31:
        raise ValueError(f"its window, stride, dilation and pads are {numbers}")
    return own + 2, numbers


def _padding(
    a: Arguments, size: Any, numbers: list[int], causal: bool
) -> tuple[str, tuple[int, int]]:
    """How a layer of ours pads as a node says: by a name, or by zeros put there before."""
    window, stride, dilation, before, after = numbers
    reach = dilation * (window - 1)
    auto = a.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        return "same", (0, 0)
    if auto == "SAME_LOWER" and stride == 1:
        before, after = reach - reach // 2, reach // 2
    elif auto not in ("NOTSET", "VALID"):
        raise ValueError(f"it pads by {auto}")
    if not before and not after:
        return "valid", (0, 0)
    if isinstance(size, int):
        total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
    else:
        total = reach if stride == 1 else -1
    if (before, after) == (total // 2, total - total // 2):
        return "same", (0, 0)
    if causal and (before, after) == (reach, 0) and stride == 1:
        return "causal", (0, 0)
    return "valid", (before, after)


def _length(size: Any, numbers: list[int], padding: str) -> int | None:
    window, stride, dilation, *_ = numbers
    if not isinstance(size, int):
        return None
    if padding != "valid":
        return -(-size // stride)
    return (size - dilation * (window - 1) - 1) // stride + 1


def _conv(a: Arguments, steps: Steps) -> Flow:
    flow, known = a.flow(0), a.constant(1)
    weights = known.array()
    if weights.ndim < 3 or a.get("group", 1) != 1 or weights.shape[1] != flow.shape[1]:
        raise ValueError(
            f"it has weights of {weights.shape} and {a.get('group', 1)} groups, for a value of "
            f"{flow.shape}: only convolutions of all features at once are read"
        )
    axis, numbers = _spatial(a, flow, weights.shape[2:])
    bias = None if a.input(2) is None else a.constant(2).array()
    kernel = weights.reshape(*weights.shape[:2], numbers[0]).transpose(2, 1, 0)
    if kernel.dtype != flow.dtype or bias is not None and bias.shape != kernel.shape[2:]:
        raise ValueError(f"it has weights of {kernel.dtype}, for a value of {flow.dtype}")
    padding, zeros = _padding(a, flow.shape[axis], numbers, causal=True)
    if any(zeros):
        flow = padded(flow, axis, *zeros, steps)
    groups: list[Group] = [()] * flow.rank
    groups[0], groups[1] = flow.groups[0], (Dim(kernel.shape[2]),)
    groups[axis] = (Dim(_length(flow.shape[axis], numbers, padding)),)

    def convolved(bias: np.ndarray | None) -> Flow:
        return _convolved(flow, axis, known, kernel, bias, numbers, padding, groups, steps)

    found = convolved(bias)
    if bias is None:
        found.source.fusable = (groups[1][0], convolved)
    return found


def _convolved(
    flow: Flow,
    axis: int,
    known: Known,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    numbers: list[int],
    padding: str,
    groups: list[Group],
    steps: Steps,
) -> Flow:
    def make(b: Builder) -> Made:
        batch = _rows(b, flow)
        tensor = b.arranged(flow, [batch, flow.groups[axis], flow.groups[1]])
        window, stride, dilation = numbers[:3]
        layer = b.layer(
            Conv1D, kernel.shape[2], window, strides=stride, dilation_rate=dilation,
            padding=padding, use_bias=bias is not None, dtype=flow.dtype,
        )  # fmt: skip
        weights = [kernel] if bias is None else [kernel, bias]
        return [(b.call(layer, tensor, weights), [batch, groups[axis], groups[1]])]

    (source,) = steps.add([flow], 1, make)
    steps.use_kernel(known, flow, source)
    return Flow(source, groups, flow.dtype)


def _rows(b: Builder, flow: Flow) -> Group:
    """The axis of samples, where an operator has it as the first."""
    if flow.groups[0] != (b.batch(flow),):
        raise ValueError("its first axis is not that of the samples, as it has to be")
    return flow.groups[0]


def _pool(a: Arguments, steps: Steps) -> Flow:
    flow, kernel = a.flow(0), a.get("kernel_shape", None)
    if not isinstance(kernel, list):
        raise ValueError("it has no kernel_shape")
    axis, numbers = _spatial(a, flow, kernel)
    window, stride, dilation = numbers[:3]
    size = flow.shape[axis]
    padding, zeros = _padding(a, size, numbers, causal=False)
    whole = isinstance(size, int) and (size - window) % stride == 0
    if dilation > 1 or any(zeros) or a.get("ceil_mode", 0) and not (whole and padding == "valid"):
        raise ValueError("it pads or rounds in a way that no layer does")
    if a.op == "AveragePool" and padding != "valid" and a.get("count_include_pad", 0):
        raise ValueError("it counts what it pads, which no layer does")
    cls = MaxPooling1D if a.op == "MaxPool" else AveragePooling1D
    dim = Dim(_length(size, numbers, padding))

    def make(b: Builder) -> Made:
        batch = _rows(b, flow)
        tensor = b.arranged(flow, [batch, flow.groups[axis], flow.groups[1]])
        layer = b.layer(cls, window, strides=stride, padding=padding, dtype=flow.dtype)
        return [(layer(tensor), [batch, (dim,), flow.groups[1]])]

    (source,) = steps.add([flow], 1, make)
    groups: list[Group] = [()] * flow.rank
    groups[0], groups[1], groups[axis] = flow.groups[0], flow.groups[1], (dim,)
    return Flow(source, groups, flow.dtype)


def _global_pool(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    name = "ReduceMean" if a.op == "GlobalAveragePool" else "ReduceMax"
    return _reduced(flow, name, set(range(2, flow.rank)), True, steps)


# ---------------------------------------------------------------------- statistics


def _reduce(a: Arguments, steps: Steps) -> Flow:
    flow, axes = a.flow(0), axes_of(a, 1, required=False)
    if not axes and a.get("noop_with_empty_axes", 0):
        return flow
    axes = axes or range(flow.rank)
    places = {axis_of(axis, flow.rank) for axis in axes}
    return _reduced(flow, a.op, places, bool(a.get("keepdims", 1)), steps)


def _reduced(flow: Flow, name: str, places: set[int], keep: bool, steps: Steps) -> Flow:
    gone = [flow.groups[i] for i in sorted(places) if flow.shape[i] != 1]
    left = [
        g if i not in places else () for i, g in enumerate(flow.groups) if keep or i not in places
    ]
    if not gone:
        if name not in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"):
            raise ValueError("it is of axes of size 1")
        return flow.view(left)

    def make(b: Builder) -> Made:
        if any(dim.is_batch for group in gone for dim in group):
            raise ValueError("it computes over the axis of samples")
        tensor, layout = b.native(flow)
        if any(group not in layout for group in gone):
            layout = b.standard(flow)
            tensor = b.arranged(flow, layout)
        axes = [layout.index(group) for group in gone]
        rest = [group for group in layout if group not in gone]
        if axes == [1] and len(layout) == 3 and name in ("ReduceMean", "ReduceMax"):
            cls = GlobalAveragePooling1D if name == "ReduceMean" else GlobalMaxPooling1D
            return [(b.layer(cls, dtype=flow.dtype)(tensor), rest)]
        return [(b.layer(OnnxReduce, name, axes, dtype=flow.dtype)(tensor), rest)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, left, flow.dtype)


def _batch_normalization(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    scale, shift, mean, variance = (a.constant(i).array() for i in range(1, 5))
    group, epsilon = flow.groups[1], a.get("epsilon", 1e-5)
    if a.get("training_mode", 0) or not a.get("spatial", 1):
        raise ValueError("it is exported for training: export the model for inference")
    if {array.shape for array in (scale, shift, mean, variance)} != {(flow.shape[1],)}:
        raise ValueError("its scale, B, mean and var are not of the shape of its features")

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.layer(BatchNormalization, epsilon=epsilon, dtype=flow.dtype)
        return [(b.call(layer, tensor, [scale, shift, mean, variance]), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, flow.groups, flow.dtype)


def _layer_normalization(a: Arguments, steps: Steps) -> Flow:
    flow, scale = a.flow(0), a.constant(1).array()
    axis = axis_of(a.get("axis", -1), flow.rank)
    group = tuple(dim for g in flow.groups[axis:] for dim in g)
    shift = None if a.input(2) is None else a.constant(2).array()
    epsilon = a.get("epsilon", 1e-5)
    weights = [scale.reshape(-1)] + ([] if shift is None else [shift.reshape(-1)])
    if any(w.size != size_of(group) for w in weights):
        raise ValueError("its scale and B are not of the shape of its features")

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.layer(
            LayerNormalization, epsilon=epsilon, center=shift is not None, dtype=flow.dtype
        )
        return [(b.call(layer, tensor, weights), layout)]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, flow.groups, flow.dtype)


COMPUTING: dict[str, Callable[[Arguments, Steps], Flow | list[Flow]]] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(set(FUNCTIONS) - {"LogSoftmax"}, _function),
    **dict.fromkeys([*_OF_TWO, "Div", "Pow"], _operation),
    **dict.fromkeys(REDUCTIONS, _reduce),
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Conv": _conv,
    "Dropout": _dropout,
    "Elu": _elu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "HardSigmoid": _hard_sigmoid,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "ThresholdedRelu": _thresholded_relu,
}
