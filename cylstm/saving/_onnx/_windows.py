"""Operators over windows and whole axes: convolutions, pooling, statistics, normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.layers import (
    AveragePooling1D,
    BatchNormalization,
    Conv1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LayerNormalization,
    MaxPooling1D,
)
from cylstm.saving._onnx._arguments import Arguments, axes_of, axis_of
from cylstm.saving._onnx._building import Builder
from cylstm.saving._onnx._computing import each
from cylstm.saving._onnx._number_layers import REDUCTIONS, OnnxFunction, OnnxOperation, OnnxReduce
from cylstm.saving._onnx._parts import padded
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._values import Dim, Flow, Group, Known, Made, size_of

__all__ = ["WINDOWS"]


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
    if weights.ndim < 3 or a.get("group", 1) != 1 or not flow.need(1, weights.shape[1]):
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
        return _of_one(flow.view(left), name, steps)

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


def _of_one(flow: Flow, name: str, steps: Steps) -> Flow:
    """What a reduction gives of one number."""
    if name in ("ReduceL1", "ReduceL2"):
        return each(flow, steps, lambda b: b.layer(OnnxFunction, "Abs", dtype=flow.dtype))
    if name == "ReduceSumSquare":
        return each(flow, steps, lambda b: b.layer(OnnxOperation, "Pow", 2.0, dtype=flow.dtype))
    return flow


def _batch_normalization(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    scale, shift, mean, variance = (a.constant(i).array() for i in range(1, 5))
    group, epsilon, momentum = flow.groups[1], a.get("epsilon", 1e-5), a.get("momentum", 0.9)
    if a.get("training_mode", 0) or not a.get("spatial", 1):
        raise ValueError("it is exported for training: export the model for inference")
    if {array.shape for array in (scale, shift, mean, variance)} != {(flow.shape[1],)}:
        raise ValueError("its scale, B, mean and var are not of the shape of its features")

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.layer(BatchNormalization, momentum=momentum, epsilon=epsilon, dtype=flow.dtype)
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


WINDOWS: dict[str, Callable[[Arguments, Steps], Flow]] = {
    **dict.fromkeys(REDUCTIONS, _reduce),
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "LayerNormalization": _layer_normalization,
    "MaxPool": _pool,
}
