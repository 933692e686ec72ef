"""Operators that compute: layers, activations, sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm.layers import (
    ELU,
    Activation,
    Add,
    Dense,
    Dot,
    Dropout,
    LeakyReLU,
    Maximum,
    Minimum,
    Multiply,
    PReLU,
    Subtract,
    ThresholdedReLU,
)
from cylstm.saving._onnx._arguments import Arguments, axis_of, scalar
from cylstm.saving._onnx._building import Builder, in_layout
from cylstm.saving._onnx._moving import alike
from cylstm.saving._onnx._number_layers import FUNCTIONS, OnnxFunction, OnnxOperation
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._values import Dim, Flow, Group, Known, Made, size_of

__all__ = ["COMPUTING", "each", "hard_sigmoid_name"]


def each(flow: Flow, steps: Steps, make_layer: Callable[[Builder], Any]) -> Flow:
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
    return each(flow, steps, lambda b: b.layer(Activation, name, dtype=flow.dtype))


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
        return each(flow, steps, lambda b: b.layer(Activation, name, dtype=flow.dtype))
    for operation, number in (("Mul", alpha), ("Add", beta), ("Max", 0.0), ("Min", 1.0)):
        flow = _with_number(flow, operation, number, steps)
    return flow


def _with_number(flow: Flow, operation: str, number: float, steps: Steps) -> Flow:
    return each(flow, steps, lambda b: b.layer(OnnxOperation, operation, number, dtype=flow.dtype))


def _elu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 1.0)
    if alpha == 1:
        return each(flow, steps, lambda b: b.layer(Activation, "elu", dtype=flow.dtype))
    return each(flow, steps, lambda b: b.layer(ELU, alpha, dtype=flow.dtype))


def _leaky_relu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 0.01)
    return each(flow, steps, lambda b: b.layer(LeakyReLU, alpha, dtype=flow.dtype))


def _thresholded_relu(a: Arguments, steps: Steps) -> Flow:
    flow, alpha = a.flow(0), a.get("alpha", 1.0)
    return each(flow, steps, lambda b: b.layer(ThresholdedReLU, alpha, dtype=flow.dtype))


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
    return each(flow, steps, lambda b: b.layer(OnnxFunction, name, dtype=flow.dtype))


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
    return each(flow, steps, lambda b: b.layer(Dropout, rate, dtype=flow.dtype))


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
    if kernel.dtype != flow.dtype or not flow.need(-1, kernel.shape[0]):
        raise ValueError(
            f"it multiplies {flow.dtype} of {flow.shape} by {kernel.dtype} of {kernel.shape}"
        )
    group = flow.groups[-1]
    key = (steps.keep(known), None if bias is None else bias.tobytes(), kernel.shape)

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.shared.get(key)
        if layer is None:
            layer = b.shared[key] = b.layer(
                Dense, kernel.shape[1], use_bias=bias is not None, dtype=flow.dtype
            )
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


def _operation(a: Arguments, steps: Steps) -> Flow | Known:
    if len(a.inputs) < 2 or None in a.inputs:
        raise ValueError(f"it has {len(a.inputs)} inputs, and must have two or more")
    found: Any = a.inputs[0]
    for i, value in enumerate(a.inputs[1:], 1):
        if isinstance(found, Flow) and isinstance(value, Flow):
            found = _of_flows(a.op, found, value, steps)
        elif isinstance(found, Flow):
            found = _with_constant(found, value, a.op, a.node.input[0], a, steps)
        elif isinstance(value, Flow):
            operation = _TURNED.get(a.op, a.op)
            if operation == "Pow":
                raise ValueError("it raises a constant to a power that is computed")
            found = _with_constant(value, found, operation, a.node.input[i], a, steps)
        else:
            raise ValueError("it computes with constants first: put them last")
    result: Flow | Known = found
    return result


# The numbers with which an operation changes nothing.
_NOTHING = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1, "Pow": 1}


def _with_constant(
    flow: Flow, known: Known, operation: str, name: str, a: Arguments, steps: Steps
) -> Flow | Known:
    """An operation with a constant; `name` is that of the value which is computed."""
    if operation == "Pow" and known.dtype != flow.dtype:
        known = Known(known.data.astype(flow.dtype), known.shape)
    if known.dtype != flow.dtype:
        raise ValueError(f"it has inputs of the dtypes {flow.dtype} and {known.dtype}")
    if operation == "Mul" and flow.dtype.startswith("int") and scalar(known) == 0:
        return Known(np.zeros((1,) * flow.rank, flow.dtype), flow.shape)
    rank = max(flow.rank, len(known.shape))
    flow = flow.view([()] * (rank - flow.rank) + list(flow.groups))
    data = known.data.reshape((1,) * (rank - known.data.ndim) + known.data.shape)
    groups, inner = list(flow.groups), list(flow.groups)
    sizes = (1,) * (rank - len(known.shape)) + known.shape
    for i, (size, own) in enumerate(zip(sizes, flow.shape, strict=True)):
        if size == 1 or size is own:
            continue
        if own == 1 and isinstance(size, int):  # the value is repeated along the constant
            a.claim([*data.shape[:i], size, *data.shape[i + 1 :]])
            data = np.repeat(data, size, i) if data.shape[i] == 1 else data
            inner[i], groups[i] = (Dim(1),), (Dim(size),)
        elif isinstance(own, int) or isinstance(size, int):
            if not isinstance(size, int) or not flow.need(i, size):
                raise ValueError(f"it has a constant of {known.shape}, for a value of {flow.shape}")
    fused = _fused(flow, data, operation, name, steps)
    if fused is not None:
        return fused
    if data.size == 1 and data.reshape(()) == _NOTHING.get(operation):
        return flow.view(groups)
    if data.size == 1:
        found = _with_number(flow, operation, float(data.reshape(())), steps)
        return found.view(groups)
    new = {d: e for g, h in zip(inner, groups, strict=True) for d, e in zip(g, h, strict=True)}

    def make(b: Builder) -> Made:
        tensor, layout = b.native(flow)
        whole = all(len(g) == 1 or None not in [d.size for d in g] for g in layout)
        if inner != list(flow.groups) or not whole:
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
        two = each(two, steps, lambda b: b.layer(OnnxFunction, "Reciprocal", dtype=one.dtype))
        op = "Mul"
    if op not in _OF_TWO:
        raise ValueError("it computes with two values that are not constants")
    rank = max(one.rank, two.rank)
    one = one.view([()] * (rank - one.rank) + list(one.groups))
    two = two.view([()] * (rank - two.rank) + list(two.groups))
    one, two = alike(one, two, steps)
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
    places: dict[Dim | None, int] = {d: i for i, d in enumerate(d for g in native for d in g)}
    if all(d in places for d, _ in pairs):
        order = sorted(pairs, key=lambda pair: places[pair[0]])
    else:
        order = sorted(pairs, key=lambda pair: pair[0] is not b.batch(one))
    first: list[Group] = [() if d is None else (d,) for d, _ in order]
    second: list[Group] = [() if e is None else (e,) for _, e in order]
    return first, second


COMPUTING: dict[str, Callable[[Arguments, Steps], Flow | Known]] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(set(FUNCTIONS) - {"LogSoftmax"}, _function),
    **dict.fromkeys([*_OF_TWO, "Div", "Pow"], _operation),
    "Clip": _clip,
    "Dropout": _dropout,
    "Elu": _elu,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "ThresholdedRelu": _thresholded_relu,
}
