"""Activations, losses, normalisation and dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm import _checks, _random, activations
from cylstm.backend._arrays import reshape
from cylstm.backend._control import stop_gradient
from cylstm.backend._math import clip, log, logsumexp, maximum, mean, square
from cylstm.backend._operands import (
    array,
    axes,
    constant_like,
    module,
    numbers,
    pair,
    quiet,
    with_rule,
)

__all__ = [
    "batch_normalization",
    "bias_add",
    "binary_crossentropy",
    "categorical_crossentropy",
    "dropout",
    "elu",
    "hard_sigmoid",
    "in_top_k",
    "l2_normalize",
    "normalize_batch_in_training",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "tanh",
]

EPSILON = 1e-7


def _activation(function: Any) -> Callable[[Any], Any]:
    """A built-in activation, with the derivative that it has already."""

    def rule(answer: np.ndarray, x: np.ndarray) -> Any:
        return lambda g: [function.vjp(x, answer, g)]

    return with_rule(rule)(lambda x: function(x))


_sigmoid = _activation(activations.sigmoid)
_tanh = _activation(activations.tanh)
_softplus = _activation(activations.softplus)
_softsign = _activation(activations.softsign)
_softmax = _activation(activations.softmax)
_relu = _activation(activations.relu)
_elu = _activation(activations.elu)


@quiet
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None) -> Any:
    """x where it is positive, at most `max_value`; elsewhere alpha * x.

    >>> relu([-1.0, 0.5, 9.0], alpha=0.5, max_value=6).tolist()
    [-0.5, 0.5, 6.0]
    """
    x = array(x)
    y = _relu(x)
    if max_value is not None:
        y = clip(y, 0.0, max_value)
    return y - x.dtype.type(alpha) * _relu(-x) if alpha else y


@quiet
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, elsewhere alpha * (exp(x) - 1).

    >>> elu([-1.0, 2.0]).round(2).astype(str).tolist()
    ['-0.63', '2.0']
    """
    x = array(x)
    y = _elu(x)
    return y if alpha == 1 else module(y).where(numbers(x) > 0, y, x.dtype.type(alpha) * y)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis, by default the last one.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    x = array(x)
    if x.ndim == 1:
        return reshape(_softmax(reshape(x, (1, -1))), x.shape)
    if axis in (-1, x.ndim - 1):
        return _softmax(x)
    return np.swapaxes(_softmax(np.swapaxes(x, axis, -1)), axis, -1)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)).

    >>> softplus([-1000.0, 1000.0]).tolist()
    [0.0, 1000.0]
    """
    return _softplus(array(x))


def softsign(x: Any) -> Any:
    """x / (1 + abs(x)).

    >>> softsign([1.0, -3.0]).tolist()
    [0.5, -0.75]
    """
    return _softsign(array(x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)).

    >>> sigmoid([0.0, 1000.0]).tolist()
    [0.5, 1.0]
    """
    return _sigmoid(array(x))


@quiet
def hard_sigmoid(x: Any) -> Any:
    """0.2 * x + 0.5, cut off at 0 and 1.

    >>> hard_sigmoid([0.0, 3.0]).tolist()
    [0.5, 1.0]
    """
    x = array(x)
    return clip(x.dtype.type(0.2) * x + x.dtype.type(0.5), 0.0, 1.0)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent.

    >>> tanh([0.0, 1000.0]).tolist()
    [0.0, 1.0]
    """
    return _tanh(array(x))


# ---------------------------------------------------------------------- losses


def _operands(target: Any, output: Any) -> tuple[Any, Any]:
    """Targets and outputs; targets of integers or bools become floats like the outputs."""
    target, output = pair(target, output)
    if target.dtype.kind != "f":
        target = constant_like(target, numbers(target).astype(output.dtype))
    return target, output


def _clipped(output: Any) -> Any:
    """Probabilities in [epsilon, 1 - epsilon], in the dtype of the output."""
    low = output.dtype.type(EPSILON)
    return clip(output, low, 1 - low)


@quiet
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-sum(target * log(output)) over the last axis, of outputs scaled to the sum 1.

    With `from_logits` the outputs are what a softmax is to be taken of.

    >>> f"{categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item():.2f}"
    '0.69\'
    """
    target, output = _operands(target, output)
    xp = module(target, output)
    if from_logits:
        logs = output - logsumexp(output, axis=-1, keepdims=True)
        return -xp.sum(stop_gradient(target) * logs, axis=-1)
    output = output / xp.sum(output, axis=-1, keepdims=True)
    return -xp.sum(target * log(_clipped(output)), axis=-1)


@quiet
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The same for class numbers in place of the target.

    The output has a further axis of classes. As in Keras 2.0.9, the result is flat unless the
    output has three axes.

    >>> f"{sparse_categorical_crossentropy([1], [[0.5, 0.5]]).item():.2f}"
    '0.69\'
    """
    output = array(output)
    classes = output.shape[-1]
    where = numbers(target).reshape(-1).astype(np.int64)
    if where.size and (where.min() < 0 or where.max() >= classes):
        raise ValueError(
            f"class numbers of {classes} classes run from 0 to {classes - 1}, got {where.min()} "
            f"to {where.max()}"
        )
    logits = reshape(output if from_logits else log(_clipped(output)), (-1, classes))
    losses = logsumexp(logits, axis=-1) - logits[np.arange(len(where)), where]
    return reshape(losses, output.shape[:-1]) if output.ndim == 3 else losses


@quiet
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-target * log(output) - (1 - target) * log(1 - output), for each number.

    With `from_logits` the outputs are what a sigmoid is to be taken of.

    >>> f"{binary_crossentropy([1.0], [0.5]).item():.2f}"
    '0.69\'
    """
    target, output = _operands(target, output)
    if not from_logits:
        output = _clipped(output)
        output = log(output / (1 - output))
    return softplus(output) - output * target


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether the class of each row is among the k of the greatest predictions: bools.

    >>> in_top_k([[0.1, 0.7, 0.2]], [2], 2).tolist()
    [True]
    """
    scores, classes = numbers(predictions), numbers(targets)
    own = scores[np.arange(len(scores)), classes]
    found = ((scores > own[:, None]).sum(axis=-1) < k) & np.isfinite(own)
    return constant_like(array(predictions), found)


# ---------------------------------------------------------------------- normalisation


@quiet
def l2_normalize(x: Any, axis: Any = None) -> Any:
    """x over its length along axes (all of them by default).

    >>> l2_normalize([[3.0, 4.0]], axis=-1).astype(str).tolist()
    [['0.6', '0.8']]
    """
    x = array(x)
    xp = module(x)
    squares = xp.sum(xp.square(x), axis=axes(axis), keepdims=True)
    return x / xp.sqrt(maximum(squares, x.dtype.type(1e-12)))


@quiet
def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta; None leaves out gamma or beta.

    >>> batch_normalization([3.0], [1.0], [4.0], [10.0], [2.0], epsilon=0.0).tolist()
    [12.0]
    """
    x, mean, var = array(x), array(mean), array(var)
    scale = 1 / module(var).sqrt(var + var.dtype.type(epsilon))
    if gamma is not None:
        scale = scale * array(gamma)
    y = (x - mean) * scale
    return y if beta is None else y + array(beta)


@quiet
def normalize_batch_in_training(
    x: Any, gamma: Any, beta: Any, reduction_axes: Sequence[int], epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """Normalise x by its own mean and variance along axes: (normalised x, mean, variance).

    >>> y, mean, var = normalize_batch_in_training([[1.0], [3.0]], None, None, [0], 0.0)
    >>> y.tolist(), mean.tolist(), var.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    x = array(x)
    along = sorted(axis % x.ndim for axis in reduction_axes)
    wide = [1 if i in along else n for i, n in enumerate(x.shape)]
    middle = mean(x, along, keepdims=True)
    spread = mean(square(x - middle), along, keepdims=True)
    scale, shift = (None if w is None else reshape(w, wide) for w in (gamma, beta))
    kept = [n for i, n in enumerate(x.shape) if i not in along]
    normed = batch_normalization(x, middle, spread, shift, scale, epsilon)
    return normed, reshape(middle, kept), reshape(spread, kept)


@quiet
def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """x + bias, where the bias is of the channels or of a whole sample.

    `data_format` is "channels_last" (also for None) or "channels_first": where the channels of x
    are. A bias of a whole sample has the shape of one with the channels last; for
    "channels_first" it is reshaped, as in Keras.

    >>> bias_add([[1.0, 2.0]], [10.0, 20.0]).tolist()
    [[11.0, 22.0]]
    """
    x, bias = array(x), array(bias)
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(f"data_format is 'channels_last' or 'channels_first', got {data_format!r}")
    if bias.ndim not in (1, x.ndim - 1):
        raise ValueError(
            f"a bias has one axis, or those of a sample ({x.ndim - 1}); got {bias.ndim} axes"
        )
    if data_format == "channels_first" and x.ndim > 2:
        if bias.ndim == 1:
            return x + reshape(bias, (1, -1) + (1,) * (x.ndim - 2))
        bias = reshape(bias, (bias.shape[-1], *bias.shape[:-1]))
    return x + bias


@quiet
def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Any:
    """x with a share `level` of its numbers set to zero, the others scaled up by 1 / (1 - level).

    `noise_shape` is the shape of the mask, 1 where an axis shares it. Without a seed the default
    generator draws (`cylstm.utils.set_random_seed`).

    >>> kept = dropout(np.ones((10, 10)), 0.5, seed=1)
    >>> sorted({float(value) for value in kept.ravel()})
    [0.0, 2.0]
    """
    x = array(x)
    share = 1 - _checks.fraction(level, "level")
    if share == 0:
        raise ValueError("a level of 1 drops everything; it must be below 1")
    shape = x.shape if noise_shape is None else tuple(int(n) for n in noise_shape)
    mask = _random.generator(seed).random(shape) < share
    return x * (mask.astype(x.dtype) / x.dtype.type(share))
