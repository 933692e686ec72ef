"""Activation functions and their derivatives.

An activation is a function of an array that returns an array of the same shape and dtype. The
built-in ones are those of TensorFlow 1.4's Keras. To add one, write the function here under
`@_builtin(its vector-Jacobian product)`: names, configs and gradient tests follow.

A function of your own, of NumPy or `cylstm.backend`, predicts as it is, and trains where the
package autograd is installed; or it has a derivative of its own: see `with_derivative`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cylstm import _trace
from cylstm._registry import Registry

if TYPE_CHECKING:
    from typing import TypeVar

    from cylstm._registry import Deserialize, Get, Serialize

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = [
    "deserialize",
    "elu",
    "evaluate",
    "get",
    "hard_sigmoid",
    "hard_sigmoid_6",
    "linear",
    "relu",
    "selu",
    "serialize",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "vjp",
    "with_derivative",
]

Activation = Callable[..., np.ndarray]
VectorJacobianProduct = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]
_Product = Callable[..., np.ndarray]

# Klambauer et al. 2017, "Self-Normalizing Neural Networks", arXiv:1706.02515, equation 14.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946

_BUILTINS: dict[str, Activation] = {}
_NO_NUMBERS = (_trace.Traced, _trace.Readable)  # a tuple: a union would be made in every call


def _builtin(product: _Product) -> Callable[[_Function], _Function]:
    """Register a built-in activation with its vector-Jacobian product (x, y, dy) -> dx.

    The products of built-ins read y = f(x) and not x, so that a layer need not keep x. At a kink
    they give what TensorFlow gives where y tells the kink from its surroundings, and otherwise 0.
    Where the function has options, so has the product; with them it may read x.
    """

    def register(function: _Function) -> _Function:
        @functools.wraps(function)
        def activation(x: Any, *options: Any, **named: Any) -> Any:
            if not isinstance(x, _NO_NUMBERS):
                return function(x, *options, **named)

            def step(x: np.ndarray) -> Any:
                y = function(x, *options, **named)
                return y, lambda dy: ([product(x, y, dy, *options, **named)], [])

            return _trace.record(step, [x.read() if isinstance(x, _trace.Readable) else x])

        activation.vjp = product  # type: ignore[attr-defined]  # for `vjp` to find
        _BUILTINS[function.__name__] = activation
        return activation  # type: ignore[return-value]  # it takes the same arguments

    return register


def _softmax_vjp(x: Any, y: np.ndarray, dy: np.ndarray, axis: int = -1) -> np.ndarray:
    dx: np.ndarray = y * (dy - (dy * y).sum(axis=axis, keepdims=True))
    return dx


@_builtin(_softmax_vjp)
def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return exp(x) / sum(exp(x)) along an axis: positive, with sum 1.

    Parameters
    ----------
    x : array of at least two axes
        The values.
    axis : int, default -1
        The axis along which the results add up to 1. The derivative of `vjp` is that of the last.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Raises
    ------
    ValueError
        If x has fewer than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.log([[1.0, 2.0, 5.0]])).round(3).tolist()
    [[0.125, 0.25, 0.625]]
    """
    x = np.asarray(x)
    if x.ndim < 2:
        raise ValueError(
            f"softmax needs an array of at least two axes, got shape {x.shape}; "
            "add a batch axis, as in x[None]"
        )
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        y: np.ndarray = e / e.sum(axis=axis, keepdims=True)
        return y


def _elu_vjp(x: Any, y: np.ndarray, dy: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where((y if alpha > 0 else x) < 0, dy * (y + float(alpha)), dy)


@_builtin(_elu_vjp)
def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return x where it is positive, elsewhere alpha (exp(x) - 1): exponential linear unit.

    Parameters
    ----------
    x : array
        The values.
    alpha : float, default 1.0
        Minus the limit for x to minus infinity. The derivative of `vjp` is that of the default.

    Returns
    -------
    array
        Of the shape and dtype of x.

    References
    ----------
    Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289.

    Examples
    --------
    >>> import numpy as np
    >>> elu(np.array([-1.0, 0.0, 2.0])).round(4).tolist()
    [-0.6321, 0.0, 2.0]
    """
    x = np.asarray(x)
    return np.where(x > 0, x, float(alpha) * np.expm1(np.minimum(x, 0)))


def _selu_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return np.where(y > 0, dy * _SELU_SCALE, dy * (y + _SELU_SCALE * _SELU_ALPHA))


@_builtin(_selu_vjp)
def selu(x: np.ndarray) -> np.ndarray:
    """Return 1.0507 times elu(x, 1.6733): scaled exponential linear unit.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    References
    ----------
    Klambauer et al. 2017, arXiv:1706.02515.

    Examples
    --------
    >>> import numpy as np
    >>> selu(np.array([-1.0, 0.0, 2.0])).round(4).tolist()
    [-1.1113, 0.0, 2.1014]
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def _softplus_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    # sigmoid(x) = 1 - exp(-softplus(x))
    dx: np.ndarray = dy * -np.expm1(-y)
    return dx


@_builtin(_softplus_vjp)
def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x)), a smooth relu.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6931, 1000.0]
    """
    x = np.asarray(x)
    y: np.ndarray = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return y


def _softsign_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx: np.ndarray = dy * np.square(1 - np.abs(y))
    return dx


@_builtin(_softsign_vjp)
def softsign(x: np.ndarray) -> np.ndarray:
    """Return `x / (1 + |x|)`.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> softsign(np.array([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """
    x = np.asarray(x)
    with np.errstate(invalid="ignore"):
        y: np.ndarray = x / (1 + np.abs(x))
        return y


def _relu_vjp(
    x: Any, y: np.ndarray, dy: np.ndarray, alpha: float = 0.0, max_value: float | None = None
) -> np.ndarray:
    if not alpha and max_value is None:
        return np.where(y > 0, dy, 0)
    below = x < (np.inf if max_value is None else max(0.0, float(max_value)))
    return np.where(x > 0, np.where(below, dy, 0), np.where(x < 0, dy * float(alpha), 0))


@_builtin(_relu_vjp)
def relu(x: np.ndarray, alpha: float = 0.0, max_value: float | None = None) -> np.ndarray:
    """Return x where it is positive, elsewhere alpha x: rectified linear unit.

    Parameters
    ----------
    x : array
        The values.
    alpha : float, default 0.0
        The slope below zero. The derivative of `vjp` is that of the default.
    max_value : float or None, default None
        What the result is at most; no limit when None. The derivative of `vjp` is that of the
        default.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    >>> relu(np.array([-1.0, 0.0, 2.0]), alpha=0.5, max_value=1.5).tolist()
    [-0.5, 0.0, 1.5]
    """
    x = np.asarray(x)
    y: np.ndarray = np.maximum(x, 0)
    if max_value is not None:
        y = np.clip(y, 0, max(0.0, float(max_value)))
    if alpha:
        y = y + float(alpha) * np.minimum(x, 0)
    return y


def _tanh_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx: np.ndarray = dy * (1 - y * y)
    return dx


@_builtin(_tanh_vjp)
def tanh(x: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.array([-1.0, 0.0, 2.0])).round(4).tolist()
    [-0.7616, 0.0, 0.964]
    """
    y: np.ndarray = np.tanh(x)
    return y


def _sigmoid_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx: np.ndarray = dy * y * (1 - y)
    return dx


@_builtin(_sigmoid_vjp)
def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)).

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1.0])).round(4).tolist()
    [0.0, 0.5, 0.7311]
    """
    x = np.asarray(x)
    # exp of a negative number only: large inputs cannot overflow, small results stay exact
    e = np.exp(-np.abs(x))
    y: np.ndarray = np.where(x >= 0, 1, e) / (1 + e)
    return y


def _hard_sigmoid_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return np.where((y > 0) & (y < 1), dy * 0.2, 0)


@_builtin(_hard_sigmoid_vjp)
def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 0.2 x + 0.5, cut off at 0 and 1: a sigmoid of straight lines.

    This is the function of Keras 1 and 2 and of ONNX. Keras 3 and PyTorch mean x / 6 + 0.5 by the
    same name.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> hard_sigmoid(np.array([-3.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 0.7]
    """
    return np.clip(0.2 * np.asarray(x) + 0.5, 0, 1)


def _hard_sigmoid_6_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return np.where((y > 0) & (y < 1), dy / 6, 0)


@_builtin(_hard_sigmoid_6_vjp)
def hard_sigmoid_6(x: np.ndarray) -> np.ndarray:
    """Return x / 6 + 0.5, cut off at 0 and 1: what Keras 3 and PyTorch call hard_sigmoid.

    Files of theirs are read with this one in its place. It is no function of Keras 2, which has
    `hard_sigmoid`.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> hard_sigmoid_6(np.array([-3.0, 0.0, 1.5])).tolist()
    [0.0, 0.5, 0.75]
    """
    return np.clip(np.asarray(x) / 6 + 0.5, 0, 1)


def _linear_vjp(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return dy


@_builtin(_linear_vjp)
def linear(x: np.ndarray) -> np.ndarray:
    """Return x itself.

    Parameters
    ----------
    x : array
        The values.

    Returns
    -------
    array
        The same array, not a copy.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([-3.0, 0.5])).tolist()
    [-3.0, 0.5]
    """
    return np.asarray(x)


def with_derivative(
    derivative: Callable[[np.ndarray], np.ndarray],
) -> Callable[[_Function], _Function]:
    """Give an elementwise function its derivative, so that it can be trained through.

    The derivative becomes the attribute `derivative` of the function, which may as well be set by
    hand. For a function that is not elementwise set the attribute `vjp` instead: a function
    (x, y, dy) -> dx, where y = f(x), and dy is the gradient with respect to y.

    Parameters
    ----------
    derivative : callable
        From the array x to the array of f'(x), of the same shape.

    Returns
    -------
    callable
        A decorator that returns the decorated function itself.

    Raises
    ------
    TypeError
        If the derivative is not callable, or the function takes no attributes.

    Examples
    --------
    >>> import numpy as np
    >>> @with_derivative(np.cos)
    ... def sine(x):
    ...     return np.sin(x)
    >>> x = np.array([0.0, np.pi])
    >>> vjp(sine)(x, sine(x), np.array([1.0, 10.0])).tolist()
    [1.0, -10.0]
    """
    if not callable(derivative):
        raise TypeError(f"a derivative is a function from x to f'(x), got {derivative!r}")

    def attach(function: _Function) -> _Function:
        try:
            function.derivative = derivative  # type: ignore[attr-defined]  # for `vjp` to find
        except AttributeError:
            raise TypeError(
                f"{function!r} takes no attributes; define a function around it with def"
            ) from None
        return function

    return attach


def vjp(function: Activation) -> VectorJacobianProduct:
    """Return the vector-Jacobian product of an activation.

    Parameters
    ----------
    function : callable
        A built-in activation, one with an attribute `derivative` or `vjp`, or any other function
        of NumPy or `cylstm.backend`, which autograd differentiates.

    Returns
    -------
    callable
        (x, y, dy) -> dx: from y = f(x) and the gradient dy with respect to y, the gradient with
        respect to x. For a built-in activation x is not read and may be None.

    Raises
    ------
    TypeError
        If the function has neither attribute, and autograd is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> y = sigmoid(np.array([0.0, 2.0]))
    >>> vjp(sigmoid)(None, y, np.array([1.0, 1.0])).round(4).tolist()
    [0.25, 0.105]
    """
    own = _own_vjp(function)
    if own is not None:
        return own
    name = _described(function)
    _trace.require(name, _INSTEAD)

    def traced(x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        again, pullback = _trace.differentiate(function, [x], name=name, instead=_INSTEAD)
        _check_shape(function, again, x)
        dx: np.ndarray = pullback(dy)[0][0]
        return dx

    return traced


def evaluate(function: Activation, x: np.ndarray) -> np.ndarray:
    """Return what an activation gives for an array, which stays as it is.

    Parameters
    ----------
    function : callable
        A built-in activation, or one of your own.
    x : array, float32 or float64
        The values.

    Returns
    -------
    array
        Of the shape and dtype of x; x itself where nothing changes.

    Raises
    ------
    ValueError
        If a function of your own changes the shape.
    TypeError
        If it does not return an array.

    Examples
    --------
    >>> import numpy as np
    >>> def doubled(x):
    ...     x += x
    ...     return x
    >>> x = np.array([1.0, 2.0])
    >>> evaluate(doubled, x).tolist(), x.tolist()
    ([2.0, 4.0], [1.0, 2.0])
    """
    if _BUILTINS.get(getattr(function, "__name__", "")) is function:
        return function(x)
    if _own_vjp(function) is not None:
        y = np.asarray(function(x.copy()), x.dtype)
    else:
        y = _trace.evaluate(function, [x], _described(function))
    _check_shape(function, y, x)
    return y


_INSTEAD = (
    "for an elementwise function set its attribute `derivative` to a function x -> f'(x) (or "
    "decorate it with cylstm.activations.with_derivative), otherwise set its attribute `vjp` to a "
    "function (x, y, dy) -> dx"
)


def _own_vjp(function: Any) -> VectorJacobianProduct | None:
    """The product that a function brings along, if it does."""
    product: VectorJacobianProduct | None = getattr(function, "vjp", None)
    if callable(product):
        return product
    derivative = getattr(function, "derivative", None)
    if callable(derivative):
        return lambda x, y, dy: dy * derivative(x)
    return None


def _described(function: Any) -> str:
    return f"the activation {getattr(function, '__name__', repr(function))}"


def _check_shape(function: Any, y: Any, x: np.ndarray) -> None:
    if np.shape(y) != x.shape:
        raise ValueError(
            f"{_described(function)} returned an array of shape {np.shape(y)} for one of shape "
            f"{x.shape}; it must keep the shape"
        )


_registry = Registry("activation function", _BUILTINS, instantiate=False, default=linear)

get: Get[Activation] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Activation] = _registry.deserialize
