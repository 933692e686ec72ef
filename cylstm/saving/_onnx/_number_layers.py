"""Layers for operators of ONNX that compute with numbers, and that no layer of Keras 2 is.

They predict, train and are saved as all others are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.layers.differentiable import Backward, Differentiable
from cylstm.layers.input_spec import InputSpec
from cylstm.saving._onnx._checks import sample_axis, sizes

__all__ = [
    "FUNCTIONS",
    "OPERATIONS",
    "REDUCTIONS",
    "OnnxFunction",
    "OnnxOperation",
    "OnnxReduce",
]

Shape = Any


def _logarithm_of_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _its_slope(x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return np.asarray(dy - np.exp(y) * dy.sum(axis=-1, keepdims=True))


# Each with its pullback, of x, y and the gradient of y.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Abs": (np.abs, lambda x, y, dy: dy * np.sign(x)),
    "Cos": (np.cos, lambda x, y, dy: -dy * np.sin(x)),
    "Exp": (np.exp, lambda x, y, dy: dy * y),
    "Log": (np.log, lambda x, y, dy: dy / x),
    "LogSoftmax": (_logarithm_of_softmax, _its_slope),
    "Neg": (np.negative, lambda x, y, dy: -dy),
    "Reciprocal": (np.reciprocal, lambda x, y, dy: -dy * y * y),
    "Sin": (np.sin, lambda x, y, dy: dy * np.cos(x)),
    "Sqrt": (np.sqrt, lambda x, y, dy: dy / (2 * y)),
}


class OnnxFunction(Differentiable):
    """A function of each number; LogSoftmax: of the last axis.

    Parameters
    ----------
    function : str
        A key of `FUNCTIONS`.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxFunction("Sqrt")(np.array([[4.0]])).tolist()
    [[2.0]]
    """

    def __init__(self, function: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if function not in FUNCTIONS:
            raise ValueError(f"function must be one of {list(FUNCTIONS)}, got {function!r}.")
        self.function = function
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        function, slope = FUNCTIONS[self.function]
        with np.errstate(all="ignore"):
            outputs = function(inputs)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            with np.errstate(all="ignore"):
                return slope(inputs, outputs, d_outputs), {}

        return outputs, backward


# Each with its pullbacks to the input x and the constant c.
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "Add": (np.add, lambda x, c, dy: dy, lambda x, c, dy: dy),
    "Sub": (np.subtract, lambda x, c, dy: dy, lambda x, c, dy: -dy),
    "From": (lambda x, c: c - x, lambda x, c, dy: -dy, lambda x, c, dy: dy),
    "Mul": (np.multiply, lambda x, c, dy: dy * c, lambda x, c, dy: dy * x),
    "Div": (np.divide, lambda x, c, dy: dy / c, lambda x, c, dy: -dy * x / (c * c)),
    "Over": (lambda x, c: c / x, lambda x, c, dy: -dy * c / (x * x), lambda x, c, dy: dy / x),
    "Pow": (
        np.power,
        lambda x, c, dy: dy * c * np.power(x, c - 1),
        lambda x, c, dy: dy * np.power(x, c) * np.log(x),
    ),
    "Max": (np.maximum, lambda x, c, dy: dy * (x > c), lambda x, c, dy: dy * (x <= c)),
    "Min": (np.minimum, lambda x, c, dy: dy * (x < c), lambda x, c, dy: dy * (x >= c)),
}


class OnnxOperation(Differentiable):
    """An operation of the input and a constant: a number, or an array that is a weight.

    Parameters
    ----------
    operation : str
        A key of `OPERATIONS`; "From" is the constant minus the input, "Over" is it divided by that.
    number : float, optional
        The constant.
    shape : list of int, optional
        In its place: the shape of the weight, which is broadcast to a sample.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxOperation("Sub", 1.0)(np.array([[4.0]])).tolist()
    [[3.0]]
    """

    def __init__(
        self,
        operation: str,
        number: float | None = None,
        shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if operation not in OPERATIONS:
            raise ValueError(f"operation must be one of {list(OPERATIONS)}, got {operation!r}.")
        if (number is None) == (shape is None):
            raise ValueError(f"Give a number or a shape, got {number!r} and {shape!r}.")
        self.operation = operation
        self.number = None if number is None else float(number)
        self.shape = None if shape is None else sizes(shape)
        self.constant: Any = None

    def build(self, input_shape: Shape) -> None:
        """Create the weight, if it has one."""
        if self.shape is not None:
            self.constant = self.add_weight("constant", tuple(self.shape), initializer="zeros")
        self.compute_output_shape(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input and the constant together."""
        if self.shape is None:
            return input_shape
        sizes = list(input_shape)
        if len(self.shape) >= len(sizes):
            raise ValueError(
                f"Layer {self.name} has a constant of the shape {self.shape}, which does not fit "
                f"samples of the shape {tuple(sizes[1:])}."
            )
        for i, size in enumerate(self.shape, len(sizes) - len(self.shape)):
            if sizes[i] not in (None, 1, size) and size != 1:
                raise ValueError(
                    f"Layer {self.name} has a constant of the shape {self.shape}, which does not "
                    f"fit samples of the shape {tuple(input_shape[1:])}."
                )
            sizes[i] = size if sizes[i] == 1 else sizes[i]
        return tuple(sizes)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        self.compute_output_shape(inputs.shape)
        function, to_input, to_constant = OPERATIONS[self.operation]
        weight = self.constant
        constant = self._dtype.type(self.number) if weight is None else weight.value
        with np.errstate(all="ignore"):
            outputs = np.asarray(function(inputs, constant), self._dtype)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            with np.errstate(all="ignore"):
                d_inputs = summed_to(to_input(inputs, constant, d_outputs), inputs.shape)
                if weight is None:
                    return d_inputs, {}
                d_constant = to_constant(inputs, constant, d_outputs)
            return d_inputs, {weight: summed_to(d_constant, weight.shape)}

        return outputs, backward


def summed_to(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The sum of an array over the axes along which one of this shape was repeated."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    repeated = [i for i, (n, m) in enumerate(zip(array.shape, shape, strict=True)) if n != m]
    return array.sum(axis=tuple(repeated), keepdims=True) if repeated else array


def _log_sum_exp(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    greatest = x.max(axis=axes, keepdims=True)
    greatest = np.where(np.isfinite(greatest), greatest, 0)
    total = np.exp(x - greatest).sum(axis=axes, keepdims=True)
    return np.asarray(np.log(total) + greatest)


def _shared(x: np.ndarray, y: np.ndarray, dy: np.ndarray, n: int) -> np.ndarray:
    """The gradient of a greatest or least number: shared by those that are it."""
    found = x == y
    axes = tuple(i for i, size in enumerate(y.shape) if size != x.shape[i])
    return np.asarray(dy * found / found.sum(axis=axes, keepdims=True))


# Each with its pullback, of x, y, the gradient of y and how many numbers became one.
REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "ReduceMean": (
        lambda x, axes: x.mean(axis=axes, keepdims=True),
        lambda x, y, dy, n: np.broadcast_to(dy / n, x.shape),
    ),
    "ReduceSum": (
        lambda x, axes: x.sum(axis=axes, keepdims=True),
        lambda x, y, dy, n: np.broadcast_to(dy, x.shape),
    ),
    "ReduceMax": (lambda x, axes: x.max(axis=axes, keepdims=True), _shared),
    "ReduceMin": (lambda x, axes: x.min(axis=axes, keepdims=True), _shared),
    "ReduceL1": (
        lambda x, axes: np.abs(x).sum(axis=axes, keepdims=True),
        lambda x, y, dy, n: dy * np.sign(x),
    ),
    "ReduceL2": (
        lambda x, axes: np.sqrt(np.square(x).sum(axis=axes, keepdims=True)),
        lambda x, y, dy, n: dy * x / np.where(y == 0, 1, y),
    ),
    "ReduceSumSquare": (
        lambda x, axes: np.square(x).sum(axis=axes, keepdims=True),
        lambda x, y, dy, n: 2 * dy * x,
    ),
    "ReduceLogSumExp": (_log_sum_exp, lambda x, y, dy, n: dy * np.exp(x - y)),
}


class OnnxReduce(Differentiable):
    """One number of all along some axes, which are then gone.

    Parameters
    ----------
    operation : str
        A key of `REDUCTIONS`.
    axes : list of int
        From 1 on.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxReduce("ReduceSum", [1])(np.array([[1.0, 2.0]])).tolist()
    [3.0]
    """

    def __init__(self, operation: str, axes: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if operation not in REDUCTIONS:
            raise ValueError(f"operation must be one of {list(REDUCTIONS)}, got {operation!r}.")
        if not isinstance(axes, list | tuple) or not axes or len(set(axes)) < len(axes):
            raise ValueError(f"axes must be a list of different axes, got {axes!r}.")
        self.operation = operation
        self.axes = [sample_axis(axis) for axis in axes]
        self.input_spec = [InputSpec(min_ndim=max(self.axes) + 1)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape without the axes."""
        return tuple(size for i, size in enumerate(input_shape) if i not in self.axes)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        function, slope = REDUCTIONS[self.operation]
        axes = tuple(self.axes)
        count = int(np.prod([inputs.shape[axis] for axis in axes]))
        with np.errstate(all="ignore"):
            kept = function(inputs, axes)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            with np.errstate(all="ignore"):
                d = slope(inputs, kept, d_outputs.reshape(kept.shape), count)
            return np.asarray(d, inputs.dtype), {}

        return kept.reshape(self.compute_output_shape(inputs.shape)), backward
