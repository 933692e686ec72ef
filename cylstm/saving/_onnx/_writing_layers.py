"""The layers other than LSTM as operators: one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cylstm import activations, layers
from cylstm.saving._onnx import _layers as own
from cylstm.saving._onnx import _number_layers as numbers
from cylstm.saving._onnx._emitting import Emitter

__all__ = ["WRITTEN", "Layered"]

_FAR = 2**63 - 1


class Layered(NamedTuple):
    """One call of a layer that is to be written."""

    e: Emitter
    layer: Any
    name: str
    inputs: list[str]
    shapes: Sequence[Sequence[int | None]]
    shape: Sequence[int | None]

    @property
    def x(self) -> str:
        """The first input, in the dtype of the layer."""
        return self.e.cast(self.inputs[0], self.layer.dtype)

    @property
    def all(self) -> list[str]:
        """All inputs, in the dtype of the layer."""
        return [self.e.cast(name, self.layer.dtype) for name in self.inputs]

    @property
    def rank(self) -> int:
        """The number of axes of the first input."""
        return len(self.shapes[0])

    def weight(self, variable: Any, what: str) -> str:
        """A weight as a constant."""
        return self.array(variable.value, what)

    def array(self, array: np.ndarray, what: str) -> str:
        """An array made of weights as a constant."""
        return self.e.weight(array, f"{self.name}/{what}", self.layer)

    def number(self, value: float) -> str:
        """A number of the dtype of the layer."""
        return self.e.constant(value, self.layer.dtype)


# ---------------------------------------------------------------------- activations

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "elu": ("Elu", {"alpha": 1.0}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "hard_sigmoid_6": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}


def _activated(c: Layered, x: str, function: Any) -> str:
    if function is activations.linear:
        return x
    for name, (op, options) in _ACTIVATIONS.items():
        if function is activations.get(name):
            return str(c.e.node(op, [x], **options))
    raise ValueError(f"there is no operator for its activation {function!r}")


def _activation(c: Layered) -> str:
    return _activated(c, c.x, c.layer.activation)


def _identity(c: Layered) -> str:
    return c.x


def _dropout(c: Layered) -> str:
    """A node, which passes everything on, so that a model that is read again can be trained."""
    if c.layer.noise_shape is not None or not c.layer.rate:
        return c.x
    return str(c.e.main("Dropout", [c.x, c.e.constant(c.layer.rate, "float32")]))


def _elu(c: Layered) -> str:
    return str(c.e.main("Elu", [c.x], alpha=float(c.layer.alpha)))


def _leaky_relu(c: Layered) -> str:
    return str(c.e.main("LeakyRelu", [c.x], alpha=float(c.layer.alpha)))


def _thresholded_relu(c: Layered) -> str:
    return str(c.e.main("ThresholdedRelu", [c.x], alpha=float(c.layer.theta)))


def _prelu(c: Layered) -> str:
    return str(c.e.main("PRelu", [c.x, c.weight(c.layer.alpha, "alpha")]))


# ---------------------------------------------------------------------- products


def _dense(c: Layered) -> str:
    layer = c.layer
    kernel = c.weight(layer.kernel, "kernel")
    bias = [] if layer.bias is None else [c.weight(layer.bias, "bias")]
    if c.rank == 2:
        y = c.e.main("Gemm", [c.x, kernel, *bias])
    else:
        y = c.e.main("MatMul", [c.x, kernel])
        y = c.e.node("Add", [y, *bias]) if bias else y
    return _activated(c, y, layer.activation)


def _embedding(c: Layered) -> str:
    if c.layer.mask_zero:
        raise ValueError("it makes a mask (mask_zero=True), which a graph does not have")
    indices = c.e.cast(c.inputs[0], "int64")
    table = c.weight(c.layer.embeddings, "embeddings")
    return str(c.e.main("Gather", [table, indices], axis=0, dtype=c.layer.dtype))


def _padding(padding: str, reach: int) -> dict[str, Any]:
    if padding == "causal":
        return {"pads": [reach, 0]}
    return {"auto_pad": "SAME_UPPER"} if padding == "same" else {}


def _conv(c: Layered) -> str:
    layer = c.layer
    (window,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    kernel = c.array(np.ascontiguousarray(layer.kernel.value.transpose(2, 1, 0)), "kernel")
    bias = [] if layer.bias is None else [c.weight(layer.bias, "bias")]
    y = c.e.main(
        "Conv",
        [c.e.transposed(c.x, 0, 2, 1), kernel, *bias],
        kernel_shape=[window],
        strides=[stride],
        dilations=[dilation],
        **_padding(layer.padding, dilation * (window - 1)),
    )
    return _activated(c, c.e.transposed(y, 0, 2, 1), layer.activation)


def _pool(op: str) -> Callable[[Layered], str]:
    def write(c: Layered) -> str:
        layer = c.layer
        y = c.e.main(
            op,
            [c.e.transposed(c.x, 0, 2, 1)],
            kernel_shape=list(layer.pool_size),
            strides=list(layer.strides),
            **_padding(layer.padding, 0),
        )
        return c.e.transposed(y, 0, 2, 1)

    return write


def _global_pool(op: str) -> Callable[[Layered], str]:
    return lambda c: str(c.e.main(op, [c.x], axes=[1], keepdims=0))


def _dot(c: Layered) -> str:
    x, y = c.all
    axes = c.layer._resolved(c.shapes)
    ranks = [len(shape) for shape in c.shapes]
    if c.layer.normalize or ranks != [3, 3]:
        raise ValueError("only products of matrices, without normalize=True, are written")
    x = x if axes[0] == 2 else c.e.transposed(x, 0, 2, 1)
    y = y if axes[1] == 1 else c.e.transposed(y, 0, 2, 1)
    return str(c.e.main("MatMul", [x, y]))


# ---------------------------------------------------------------------- normalization


def _batch_normalization(c: Layered) -> str:
    layer, rank = c.layer, c.rank
    if layer.axis not in (-1, rank - 1):
        raise ValueError(f"it has axis={layer.axis}: only the last one is written")
    size = layer.moving_mean.shape[0]
    gamma = np.ones(size, layer.dtype) if layer.gamma is None else layer.gamma.value
    beta = np.zeros(size, layer.dtype) if layer.beta is None else layer.beta.value
    arrays = [gamma, beta, layer.moving_mean.value, layer.moving_variance.value]
    names = [
        c.array(array, f"{c.name}/{what}")
        for array, what in zip(arrays, ("gamma", "beta", "mean", "variance"), strict=True)
    ]
    rest = range(1, rank - 1)
    x = c.e.transposed(c.x, 0, rank - 1, *rest) if rank > 2 else c.x
    options: dict[str, Any] = {
        "epsilon": float(layer.epsilon),
        "momentum": float(layer.momentum),
    }
    y = str(c.e.main("BatchNormalization", [x, *names], **options))
    return c.e.transposed(y, 0, *range(2, rank), 1) if rank > 2 else y


def _layer_normalization(c: Layered) -> str:
    layer = c.layer
    if layer.axis not in (-1, c.rank - 1, [-1], [c.rank - 1]):
        raise ValueError(f"it has axis={layer.axis}: only the last one is written")
    size: Any = c.shapes[0][-1]  # a number: the layer is built
    gamma = np.ones(size, layer.dtype) if layer.gamma is None else layer.gamma.value
    names = [c.e.weight(gamma, "gamma")]
    if layer.beta is not None:
        names.append(c.weight(layer.beta, "beta"))
    return str(c.e.main("LayerNormalization", [c.x, *names], axis=-1, epsilon=float(layer.epsilon)))


# ---------------------------------------------------------------------- shapes


def _flatten(c: Layered) -> str:
    return str(c.e.main("Flatten", [c.x], axis=1))


def _reshape(c: Layered) -> str:
    sizes = c.e.constant([0, *c.layer.target_shape])
    return str(c.e.main("Reshape", [c.x, sizes]))


def _permute(c: Layered) -> str:
    return str(c.e.main("Transpose", [c.x], perm=[0, *c.layer.dims]))


def _repeat_vector(c: Layered) -> str:
    return str(c.e.main("Tile", [c.e.unsqueezed(c.x, 1), c.e.constant([1, c.layer.n, 1])]))


def _up_sampling(c: Layered) -> str:
    size, features = c.layer.size, c.shapes[0][2]
    if features is None:
        raise ValueError("the size of its last axis is not known")
    repeated = c.e.main("Tile", [c.e.unsqueezed(c.x, 2), c.e.constant([1, 1, size, 1])])
    return c.e.reshaped(repeated, [0, -1, features])


def _zero_padding(c: Layered) -> str:
    before, after = c.layer.padding
    pads = c.e.constant([0, before, 0, 0, after, 0])
    return str(c.e.main("Pad", [c.x, pads]))


def _cropping(c: Layered) -> str:
    before, after = c.layer.cropping
    return _part(c, 1, before, -after if after else None, 1)


def _part(c: Layered, axis: int, begin: int | None, end: int | None, step: int) -> str:
    first, last = (0, _FAR) if step > 0 else (_FAR, -_FAR)
    begin, end = first if begin is None else begin, last if end is None else end
    lists = [c.e.constant([n]) for n in (begin, end, axis, step)]
    return str(c.e.main("Slice", [c.x, *lists]))


# ---------------------------------------------------------------------- merging


def _concatenate(c: Layered) -> str:
    return str(c.e.main("Concat", c.all, axis=c.layer.axis))


def _merge(op: str) -> Callable[[Layered], str]:
    def write(c: Layered) -> str:
        return _merged(c, op)

    return write


def _merged(c: Layered, op: str) -> str:
    """The inputs, of which those with fewer axes get some after that of the samples."""
    rank = max(len(shape) for shape in c.shapes)
    found = [
        name if len(shape) == rank else c.e.unsqueezed(name, *range(1, 1 + rank - len(shape)))
        for name, shape in zip(c.all, c.shapes, strict=True)
    ]
    total = found[0]
    for i, name in enumerate(found[1:], 1):
        write = c.e.main if i == len(found) - 1 else c.e.node
        total = write(op, [total, name])
    return total


def _average(c: Layered) -> str:
    total = _merged(c, "Add")
    return str(c.e.node("Div", [total, c.number(len(c.inputs))]))


# ---------------------------------------------------------------------- what was read from ONNX


def _slice(c: Layered) -> str:
    layer = c.layer
    return _part(c, layer.axis, layer.begin, layer.end, layer.step)


def _take(c: Layered) -> str:
    return str(c.e.main("Gather", [c.x, c.e.constant(c.layer.indices)], axis=c.layer.axis))


def _function(c: Layered) -> str:
    name = c.layer.function
    options = {"axis": -1} if name == "LogSoftmax" else {}
    return str(c.e.main(name, [c.x], **options))


def _operation(c: Layered) -> str:
    layer, op = c.layer, c.layer.operation
    if layer.constant is None:
        constant = c.number(layer.number)
    else:
        constant = c.weight(layer.constant, "constant")
    if op in ("From", "Over"):
        return str(c.e.main("Sub" if op == "From" else "Div", [constant, c.x]))
    return str(c.e.main(op, [c.x, constant]))


def _constant(c: Layered) -> str:
    array = c.layer.constant.value[None]
    samples = c.e.node("Shape", [c.inputs[0]], start=0, end=1, dtype="int64")
    sizes = [samples, c.e.constant(c.layer.shape)] if c.layer.shape else [samples]
    shape = c.e.node("Concat", sizes, axis=0)
    return str(c.e.main("Expand", [c.array(array, "constant"), shape]))


def _reduce(c: Layered) -> str:
    axes, op = c.layer.axes, c.layer.operation
    if op == "ReduceSum":
        return str(c.e.main(op, [c.x, c.e.constant(axes)], keepdims=0))
    return str(c.e.main(op, [c.x], axes=axes, keepdims=0))


WRITTEN: dict[type, Callable[[Layered], str]] = {
    **dict.fromkeys(
        (
            layers.ActivityRegularization,
            layers.AlphaDropout,
            layers.GaussianDropout,
            layers.GaussianNoise,
            layers.SpatialDropout1D,
        ),
        _identity,
    ),
    layers.Activation: _activation,
    layers.Add: _merge("Add"),
    layers.Average: _average,
    layers.AveragePooling1D: _pool("AveragePool"),
    layers.BatchNormalization: _batch_normalization,
    layers.Concatenate: _concatenate,
    layers.Conv1D: _conv,
    layers.Cropping1D: _cropping,
    layers.Dense: _dense,
    layers.Dot: _dot,
    layers.Dropout: _dropout,
    layers.ELU: _elu,
    layers.Embedding: _embedding,
    layers.Flatten: _flatten,
    layers.GlobalAveragePooling1D: _global_pool("ReduceMean"),
    layers.GlobalMaxPooling1D: _global_pool("ReduceMax"),
    layers.LayerNormalization: _layer_normalization,
    layers.LeakyReLU: _leaky_relu,
    layers.MaxPooling1D: _pool("MaxPool"),
    layers.Maximum: _merge("Max"),
    layers.Minimum: _merge("Min"),
    layers.Multiply: _merge("Mul"),
    layers.PReLU: _prelu,
    layers.Permute: _permute,
    layers.RepeatVector: _repeat_vector,
    layers.Reshape: _reshape,
    layers.Subtract: _merge("Sub"),
    layers.ThresholdedReLU: _thresholded_relu,
    layers.UpSampling1D: _up_sampling,
    layers.ZeroPadding1D: _zero_padding,
    own.OnnxConstant: _constant,
    numbers.OnnxFunction: _function,
    numbers.OnnxOperation: _operation,
    numbers.OnnxReduce: _reduce,
    own.OnnxSlice: _slice,
    own.OnnxTake: _take,
}
