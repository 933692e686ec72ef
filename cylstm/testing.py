"""Gradient checks, for the tests of this package and for layers that users write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _random
from cylstm.layers._losses import as_list
from cylstm.layers.layer import Layer
from cylstm.variables import Variable

__all__ = ["gradient_error", "numerical_gradient"]


def numerical_gradient(
    function: Callable[[np.ndarray], float], point: npt.ArrayLike, step: float = 1e-3
) -> np.ndarray:
    """The gradient of a function of an array, by 4-point central differences.

    Parameters
    ----------
    function : callable
        Takes an array like `point` and returns a number.
    point : array_like
        Where to differentiate, in float64.
    step : float, default 1e-3
        The distance between the points; the error is of the order ``step ** 4``.

    Returns
    -------
    ndarray of float64
        Of the shape of `point`.

    Examples
    --------
    >>> from cylstm.testing import numerical_gradient
    >>> numerical_gradient(lambda x: float((x ** 2).sum()), [1.0, 3.0]).round(9)
    array([2., 6.])
    """
    moved = np.array(point, np.float64)
    gradient = np.empty_like(moved)
    for index in np.ndindex(moved.shape):
        middle, slope = moved[index], 0.0
        for distance, factor in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            moved[index] = middle + distance * step
            slope += factor * function(moved)
        moved[index] = middle
        gradient[index] = slope / (12 * step)
    return gradient


def gradient_error(
    layer: Layer,
    inputs: Any,
    *,
    initial_state: list[np.ndarray] | None = None,
    step: float = 1e-3,
    seed: int = 0,
    **arguments: Any,
) -> float:
    """How far a layer's `vjp` is from finite differences of its call.

    A loss ``sum(outputs * cotangents)`` with random cotangents is differentiated with respect to
    every input, initial state and trainable weight. Each call has the same random numbers, so that
    dropout draws the same masks; a stateful layer would not repeat itself.

    Parameters
    ----------
    layer : Layer
        With dtype float64, so that differences mean something.
    inputs : ndarray or list of ndarray
        What to call it with.
    initial_state : list of ndarray, optional
        Passed on, for recurrent layers.
    step : float, default 1e-3
        See `numerical_gradient`; no kink of an activation may lie closer.
    seed : int, default 0
        Of the cotangents and of the dropout masks.
    **arguments
        Passed on to the layer, such as `mask` and `training`.

    Returns
    -------
    float
        The largest difference of any element, relative to 1 + the largest element of its
        gradient.

    Raises
    ------
    ValueError
        If the dtype of the layer is not float64.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.testing import gradient_error
    >>> layer = cylstm.LSTM(2, recurrent_activation="sigmoid", dtype="float64")
    >>> gradient_error(layer, np.random.default_rng(0).normal(size=(2, 3, 4))) < 1e-9
    True
    """
    if layer.dtype != "float64":
        raise ValueError(f"A gradient check needs a layer of float64, got {layer.dtype}.")
    several = isinstance(inputs, list)
    points = {"inputs": as_list(inputs), "states": list(initial_state or [])}

    def run(function: Callable[..., Any]) -> Any:
        if points["states"]:
            arguments["initial_state"] = points["states"]
        with _random.seeded(seed):
            return function(points["inputs"] if several else points["inputs"][0], **arguments)

    run(layer)  # builds it, so that the next calls draw nothing but dropout
    outputs, pullback = run(layer.vjp)
    rng = np.random.default_rng(seed)
    cotangents = [rng.normal(size=y.shape) for y in as_list(outputs)]
    gradients = pullback(cotangents if isinstance(outputs, list) else cotangents[0])

    def loss() -> float:
        results = as_list(run(layer))
        return sum(float((y * d).sum()) for y, d in zip(results, cotangents, strict=True))

    def loss_at(kind: str, i: int, value: np.ndarray) -> float:
        points[kind][i] = value
        return loss()

    def loss_with(variable: Variable, value: np.ndarray) -> float:
        variable.assign(value)
        return loss()

    errors = [0.0]
    analytic = {"inputs": as_list(gradients.inputs), "states": gradients.initial_state or []}
    for kind, of_kind in analytic.items():
        for i, gradient in enumerate(of_kind):
            if gradient is None:  # of indices
                continue
            point = points[kind][i]
            numeric = numerical_gradient(partial(loss_at, kind, i), point, step)
            points[kind][i] = point
            errors.append(_error(gradient, numeric))
    for variable, gradient in zip(layer.trainable_weights, gradients.weights, strict=True):
        point = variable.value
        numeric = numerical_gradient(partial(loss_with, variable), point, step)
        variable.assign(point)
        errors.append(_error(gradient, numeric))
    return max(errors)


def _error(gradient: np.ndarray, numeric: np.ndarray) -> float:
    if gradient.shape != numeric.shape:
        raise ValueError(f"A gradient has the shape {gradient.shape}, expected {numeric.shape}.")
    scale = 1 + np.max(np.abs(numeric), initial=0.0)
    return float(np.max(np.abs(gradient - numeric), initial=0.0) / scale)
