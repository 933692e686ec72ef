"""From a value for each sample to one number: masks, sample weights, class weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks, metrics
from cylstm.losses import _targets
from cylstm.losses._differentiable import Loss, bound
from cylstm.training._reading import suggestion
from cylstm.variables import Variable

__all__ = ["per_output", "standardize_weights", "weighted_loss", "weighted_metric"]

Add = Callable[[Variable, np.ndarray], None]
Pullback = Callable[[Any], np.ndarray]


def weighted_loss(
    loss: Loss,
    y_true: npt.ArrayLike,
    y_pred: np.ndarray,
    sample_weight: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
) -> tuple[np.floating, Callable[..., np.ndarray]]:
    """Return the masked, weighted mean of a loss, and the function that gives its gradient.

    With values v (batch, ...), mask m of that shape and weights w of the first axes::

        v = v * m / mean(m)
        v = mean of v over the axes that w does not have
        value = mean(v * w / mean(w != 0))

    Nothing but masked steps, or nothing but zero weights, divides 0 by 0: the value is NaN.

    Parameters
    ----------
    loss : callable
        A loss of `cylstm.losses`, or of your own.
    y_true : array
        The targets.
    y_pred : array, float32 or float64
        The predictions.
    sample_weight : array (batch,) or (batch, timesteps), optional
        What each sample, or timestep, counts.
    mask : array of bool, optional
        Of the shape of the values of the loss; False where a step does not count.

    Returns
    -------
    value : numpy scalar
        In the dtype of y_pred.
    gradient : callable
        ``gradient(upstream=1.0)`` is upstream times the gradient with respect to y_pred. It
        raises TypeError where the loss has no gradient. ``gradient(upstream, variables, add)``
        also calls ``add(variable, gradient)`` for the variables that a loss of your own reads.

    Raises
    ------
    TypeError
        If an argument does not consist of real numbers.
    ValueError
        If the shapes do not fit each other.

    Examples
    --------
    >>> from cylstm import losses
    >>> value, gradient = weighted_loss(losses.mse, [[1.0], [2.0]], np.array([[3.0], [4.0]]),
    ...                                 sample_weight=[0.5, 0.0])
    >>> float(value), gradient().tolist()
    (2.0, [[2.0], [0.0]])
    """
    dtype = _targets.dtype_of(y_pred)
    values, pulled = bound(loss, y_true, y_pred)
    value, pullback = _weighted_mean(values, dtype, sample_weight, mask)

    def gradient(
        upstream: float = 1.0, variables: Sequence[Variable] = (), add: Add | None = None
    ) -> np.ndarray:
        with np.errstate(all="ignore"):
            d_predictions, d_variables = pulled(pullback(dtype.type(upstream)), variables)
        if add is not None and d_variables:
            for variable, d_variable in zip(variables, d_variables, strict=True):
                if d_variable.any():  # most losses read none of them
                    add(variable, d_variable)
        return d_predictions

    return value, gradient


def weighted_metric(
    metric: Callable[..., Any],
    y_true: npt.ArrayLike,
    y_pred: np.ndarray,
    sample_weight: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
) -> np.floating:
    """Return the masked, weighted mean of a metric; all as in `weighted_loss`."""
    if not metrics.is_builtin(metric):  # which may write to its arguments
        y_true, y_pred = np.array(y_true), np.array(y_pred)
    with np.errstate(all="ignore"):
        values = metric(y_true, y_pred)
    return _weighted_mean(values, _targets.dtype_of(y_pred), sample_weight, mask)[0]


def _weighted_mean(
    values: np.ndarray,
    dtype: np.dtype,
    weights: npt.ArrayLike | None,
    mask: npt.ArrayLike | None,
) -> tuple[np.floating, Pullback]:
    """The mean, and from its derivative to that of the values: a number, where they count alike."""
    values = _checks.as_array(values, dtype, "what the loss or metric returned")
    if mask is None and weights is None:
        count = values.size
        with np.errstate(all="ignore"):
            value = dtype.type(np.add.reduce(values, axis=None) / count)
        return value, lambda upstream: upstream / dtype.type(count)
    steps: list[Pullback] = []
    shape = values.shape
    with np.errstate(all="ignore"):
        if mask is not None:
            factors = _checks.as_array(mask, np.dtype(bool), "mask").astype(dtype)
            _check_prefix("mask", factors.shape, shape, whole=True)
            factors = factors / np.mean(factors)
            values = values * factors
            steps.append(_product_pullback(factors))
        if weights is not None:
            factors = _checks.as_array(weights, dtype, "sample_weight")
            _check_prefix("sample_weight", factors.shape, shape)
            extra = tuple(range(factors.ndim, values.ndim))
            if extra:
                steps.append(_mean_pullback(values.shape, extra))
                values = values.mean(axis=extra)
            factors = factors / np.mean(factors != 0, dtype=dtype)
            values = values * factors
            steps.append(_product_pullback(factors))
        steps.append(_mean_pullback(values.shape, tuple(range(values.ndim))))
        value = np.mean(values, dtype=dtype)

    def pullback(upstream: Any) -> np.ndarray:
        for step in reversed(steps):
            upstream = step(upstream)
        return np.reshape(upstream, shape) if shape or not upstream.ndim else upstream.sum()

    return value, pullback


def _product_pullback(factors: np.ndarray) -> Pullback:
    return lambda upstream: upstream * factors


def _mean_pullback(shape: tuple[int, ...], axes: tuple[int, ...]) -> Pullback:
    """Spread a derivative evenly over the axes of a mean."""
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    count = math.prod(shape[axis] for axis in axes)

    def pullback(upstream: Any) -> np.ndarray:
        share = upstream / upstream.dtype.type(count)
        return np.broadcast_to(np.reshape(share, kept), shape)

    return pullback


def _check_prefix(
    name: str, shape: tuple[int, ...], values: tuple[int, ...], whole: bool = False
) -> None:
    """ValueError unless a shape is that of the values or, unless whole, of their first axes.

    What has no axis (a loss or metric that is one number already) goes with every shape.
    """
    if values and (shape != values if whole else shape != values[: len(shape)]):
        axes = [len(values)] if whole else range(1, len(values) + 1)
        expected = " or ".join(str(values[:count]) for count in axes)
        raise ValueError(
            f"{name} must have the shape {expected}, as the values of the loss or metric have "
            f"{values}, got {shape}."
        )


def standardize_weights(
    y: np.ndarray,
    sample_weight: npt.ArrayLike | None = None,
    class_weight: Mapping[Any, float] | None = None,
    sample_weight_mode: str | None = None,
) -> np.ndarray | None:
    """Return the weights of the samples of one output, or None where all count alike.

    Parameters
    ----------
    y : array (batch, ...)
        The targets.
    sample_weight : array (batch,), or (batch, timesteps) for "temporal", optional
        What each sample, or timestep, counts. It takes precedence over `class_weight`.
    class_weight : dict, optional
        From the number of a class to what its samples count; for targets of up to two axes:
        rows of 0 and 1, or numbers of classes.
    sample_weight_mode : {None, "temporal"}, optional
        Whether weights belong to samples or to timesteps.

    Returns
    -------
    array or None
        Weights of the shape of the first one or two axes of y.

    Raises
    ------
    TypeError
        If `class_weight` is not a dict, or `sample_weight` does not consist of real numbers.
    ValueError
        If the mode is unknown, the weights do not fit the targets, or a class has no weight.

    Examples
    --------
    >>> standardize_weights(np.array([[0], [2], [2]]), class_weight={0: 1.0, 2: 0.5}).tolist()
    [1.0, 0.5, 0.5]
    """
    if sample_weight_mode not in (None, "temporal"):
        raise ValueError(
            f"sample_weight_mode must be None or 'temporal', got {sample_weight_mode!r}."
        )
    temporal = sample_weight_mode == "temporal"
    if temporal and y.ndim < 3:
        raise ValueError(
            "sample_weight_mode='temporal' weighs timesteps: it takes targets of at least three "
            f"axes (batch, timesteps, ...), got the shape {y.shape}."
        )
    if sample_weight is not None:
        return _sample_weights(y, sample_weight, temporal)
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight must be a dict from class number to weight, got {class_weight!r}."
        )
    return _class_weights(y, class_weight)


def _sample_weights(y: np.ndarray, sample_weight: npt.ArrayLike, temporal: bool) -> np.ndarray:
    weights = _checks.as_array(sample_weight, _targets.dtype_of(sample_weight), "sample_weight")
    expected = y.shape[:2] if temporal else y.shape[:1]
    if weights.shape != expected:
        hint = ""
        if weights.ndim == 2 and not temporal:
            hint = " To weigh timesteps, compile with sample_weight_mode='temporal'."
        raise ValueError(
            f"sample_weight must have the shape {expected} for targets of shape {y.shape}, got "
            f"{weights.shape}.{hint}"
        )
    return weights


def _class_weights(y: np.ndarray, class_weight: Mapping[Any, float]) -> np.ndarray:
    if y.ndim > 2:
        raise ValueError(
            "class_weight takes targets of up to two axes, got the shape "
            f"{y.shape}; weigh timesteps by sample_weight and sample_weight_mode='temporal'."
        )
    classes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    found, places = np.unique(classes, return_inverse=True)
    missing = [number for number in found.tolist() if number not in class_weight]
    if missing:
        raise ValueError(
            f"class_weight must have a weight for every class in the targets; it has none for "
            f"{missing}."
        )
    weights = np.array([class_weight[number] for number in found.tolist()], dtype=np.float64)
    return weights[places.reshape(-1)]


def per_output(value: Any, output_names: Sequence[str], argument: str) -> list[Any]:
    """Return one entry for each output of what `fit` was given for one or all of them.

    Parameters
    ----------
    value : object, list or dict
        For one output the thing itself; for several a list, or a dict from output names.
    output_names : sequence of str
        The outputs.
    argument : str
        The name of the argument, for errors: "sample_weight" or "class_weight".

    Returns
    -------
    list
        None where there is nothing for an output.

    Raises
    ------
    TypeError
        If there are several outputs, and the value is neither a list nor a dict.
    ValueError
        If the list has another length than the outputs, or the dict names another output.

    Examples
    --------
    >>> per_output({"b": 2}, ["a", "b"], "class_weight")
    [None, 2]
    >>> per_output({0: 1.0, 1: 5.0}, ["a"], "class_weight")
    [{0: 1.0, 1: 5.0}]
    """
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return [None] * len(output_names)
    if len(output_names) == 1:
        if isinstance(value, Mapping):
            return [value.get(output_names[0], value)]
        wrapped = isinstance(value, list) and len(value) == 1 and not np.isscalar(value[0])
        return [value[0]] if wrapped else [value]
    if isinstance(value, Mapping):
        unknown = sorted(str(name) for name in value if name not in output_names)
        if unknown:
            raise ValueError(
                f"{argument} names the outputs {unknown}, but the model has {list(output_names)}."
                f"{suggestion(unknown, output_names)}"
            )
        return [value.get(name) for name in output_names]
    if isinstance(value, list | tuple):
        if len(value) != len(output_names):
            raise ValueError(
                f"{argument} must have one entry for each of the {len(output_names)} outputs, got "
                f"{len(value)}."
            )
        return list(value)
    raise TypeError(
        f"the model has the outputs {list(output_names)}, so {argument} must be a list or a dict "
        f"of them, got {type(value).__name__}."
    )
