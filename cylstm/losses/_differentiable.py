"""What makes a function a loss: operands that are checked, and a gradient.

`cylstm.losses` holds the built-in losses themselves and is where users meet these functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cylstm import _trace
from cylstm.losses import _targets

__all__ = [
    "ALIASES",
    "BUILTINS",
    "EPSILON",
    "LEAST",
    "Loss",
    "bound",
    "builtin",
    "check_target",
    "clip",
    "clip_with_gradient",
    "described",
    "evaluate",
    "gradient",
    "pulled_back",
    "with_gradient",
]

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]
Loss = Callable[[npt.ArrayLike, npt.ArrayLike], np.ndarray]
Pulled = tuple[np.ndarray, list[np.ndarray]]

if TYPE_CHECKING:
    from typing import Protocol

    class BuiltinLoss(Protocol):
        """A loss of this package."""

        __name__: str
        gradient: Loss
        formulas: tuple[Formula, Formula]  # of checked operands: the values, the gradient

        def __call__(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> np.ndarray: ...


BUILTINS: dict[str, Loss] = {}
ALIASES = {
    **{name: "mean_squared_error" for name in ("mse", "MSE")},
    **{name: "mean_absolute_error" for name in ("mae", "MAE")},
    **{name: "mean_absolute_percentage_error" for name in ("mape", "MAPE")},
    **{name: "mean_squared_logarithmic_error" for name in ("msle", "MSLE")},
    **{name: "kullback_leibler_divergence" for name in ("kld", "KLD")},
    "cosine": "cosine_proximity",
}
EPSILON = 1e-7  # Keras' backend.epsilon()
LEAST = float(np.float32(EPSILON))  # TensorFlow 1.4 rounds it to float32 even for float64
_SPARSE = "sparse_categorical_crossentropy"


def builtin(gradient: Formula) -> Callable[[Formula], BuiltinLoss]:
    """Register a built-in loss with its gradient, and check the operands of both.

    Both are written for arrays of one dtype (class numbers instead of y_true for the sparse
    loss). Like TensorFlow, they give infinities and NaN without a warning.
    """

    def register(formula: Formula) -> BuiltinLoss:
        name = formula.__name__
        loss: BuiltinLoss = _checked(formula, name)  # type: ignore[assignment]  # gets a gradient
        loss.gradient = _checked(gradient, name)
        loss.formulas = formula, gradient
        BUILTINS[name] = loss
        return loss

    return register


def _checked(formula: Formula, name: str) -> Loss:
    """Put the check of the operands before a formula."""

    @functools.wraps(formula)
    def checked(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> np.ndarray:
        if _trace.is_traced(y_true, y_pred):
            return _within_a_trace(checked, y_true, y_pred)
        with np.errstate(all="ignore"):
            return formula(*_operands(name, y_true, y_pred))

    return checked


def _operands(
    name: str, y_true: npt.ArrayLike, y_pred: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions as the formulas of a built-in loss take them."""
    if name != _SPARSE:
        return _targets.operands(name, y_true, y_pred)
    predictions = _targets.predictions(name, y_pred)
    return _targets.class_indices(name, y_true, predictions), predictions


def _within_a_trace(loss: Loss, y_true: Any, y_pred: Any) -> np.ndarray:
    """A built-in loss as a step of a function of the user's, by its own gradient."""
    if isinstance(y_true, _trace.Traced) and y_true.step >= 0:
        y_true.refuse(
            f"is given to {getattr(loss, '__name__', loss)} as its targets, which have no gradient"
        )

    def step(targets: Any, predictions: Any) -> Any:
        values = loss(targets, predictions)
        return values, lambda dy: ([None, gradient(loss, targets, predictions, dy)], [])

    values: np.ndarray = _trace.record(step, [y_true, y_pred])  # of the traced kind
    return values


def with_gradient(gradient: Loss) -> Callable[[Loss], Loss]:
    """Give a loss of your own its gradient: a decorator.

    Parameters
    ----------
    gradient : callable
        A function (y_true, y_pred) of the derivative of each sample's value with respect to
        y_pred: an array of the shape of y_pred.

    Returns
    -------
    callable
        A decorator that sets the attribute ``gradient`` of the loss and returns the loss.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.losses import gradient, with_gradient
    >>> @with_gradient(lambda y_true, y_pred: 4 * (y_pred - y_true) ** 3)
    ... def fourth_power(y_true, y_pred):
    ...     return np.sum((y_pred - y_true) ** 4, axis=-1)
    >>> gradient(fourth_power, np.zeros((1, 2)), np.array([[1.0, -2.0]])).tolist()
    [[4.0, -32.0]]
    """

    def decorate(loss: Loss) -> Loss:
        loss.gradient = gradient  # type: ignore[attr-defined]  # for `gradient` to find
        return loss

    return decorate


def gradient(
    loss: Loss,
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    upstream: npt.ArrayLike | None = None,
) -> np.ndarray:
    """Return the gradient of sum(upstream * loss(y_true, y_pred)) with respect to y_pred.

    Parameters
    ----------
    loss : callable
        A built-in loss, one with a ``gradient`` (see `with_gradient`), or any other function of
        NumPy or `cylstm.backend`, which autograd differentiates.
    y_true : array
        The targets.
    y_pred : array, float32 or float64
        The predictions.
    upstream : array of the shape of the values of the loss, optional
        What each value is multiplied by; ones by default.

    Returns
    -------
    array
        Of the shape of y_pred.

    Raises
    ------
    TypeError
        If the loss has no gradient of its own, and autograd is not installed or cannot follow it.
    ValueError
        If the arrays do not fit each other, or the loss' own gradient has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.losses import gradient, mean_squared_error
    >>> gradient(mean_squared_error, [[1.0, 2.0]], np.array([[2.0, 2.0]])).tolist()
    [[1.0, 0.0]]
    """
    return pulled_back(loss, y_true, y_pred, upstream)[0]


def evaluate(loss: Loss, y_true: npt.ArrayLike, y_pred: np.ndarray) -> np.ndarray:
    """The values of a loss; one of the user's own leaves the arrays as they are."""
    if getattr(loss, "gradient", None) is not None:
        return loss(y_true, y_pred)
    values: np.ndarray = _trace.evaluate(loss, [np.asarray(y_true), y_pred], described(loss))
    return values


def bound(
    loss: Loss, y_true: npt.ArrayLike, y_pred: np.ndarray
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[Any]], Pulled]]:
    """What `evaluate` returns, and from upstream and variables to what `pulled_back` does.

    The operands of a built-in loss are checked once for both. A number as upstream is that of all
    values.
    """
    formulas = getattr(loss, "formulas", None)
    if formulas is None:
        values = evaluate(loss, y_true, y_pred)

        def by_call(upstream: np.ndarray, variables: Sequence[Any]) -> Pulled:
            if not upstream.ndim:
                upstream = np.broadcast_to(upstream, np.shape(values))
            return pulled_back(loss, y_true, y_pred, upstream, variables)

        return values, by_call
    operands = _operands(loss.__name__, y_true, y_pred)

    def by_formula(upstream: np.ndarray, variables: Sequence[Any]) -> Pulled:
        with np.errstate(all="ignore"):
            slopes = formulas[1](*operands)
        if upstream.ndim:
            return _by_its_own(loss, slopes, operands[1], upstream), []
        return np.multiply(slopes, upstream, out=slopes), []

    with np.errstate(all="ignore"):
        return formulas[0](*operands), by_formula


def described(loss: Any) -> str:
    """A loss as errors call it."""
    return f"the loss {getattr(loss, '__name__', repr(loss))}"


def pulled_back(
    loss: Loss,
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    upstream: npt.ArrayLike | None = None,
    variables: Sequence[Any] = (),
) -> Pulled:
    """What `gradient` returns, and the gradients of `Variable`s that the loss may read.

    Returns
    -------
    d_predictions : array
        Of the shape of y_pred.
    d_variables : list of array
        For each of the variables; empty for a loss with a gradient of its own.
    """
    y_pred = np.asarray(y_pred)
    own = getattr(loss, "gradient", None)
    if own is not None:
        return _by_its_own(loss, own(y_true, y_pred), y_pred, upstream), []
    if y_pred.dtype.kind != "f":
        y_pred = y_pred.astype(_targets.dtype_of(y_pred))
    targets = np.asarray(y_true)
    values, pullback = _trace.differentiate(
        lambda predictions: loss(_trace.stop(targets), predictions),
        [y_pred],
        variables,
        name=described(loss),
        instead="decorate it with cylstm.losses.with_gradient",
        may_be_constant=False,
    )
    if isinstance(values, list):
        raise TypeError(f"{described(loss)} returned a list, expected an array or a number")
    factors = np.ones(values.shape, values.dtype) if upstream is None else np.asarray(upstream)
    if factors.shape != values.shape:
        raise ValueError(
            f"upstream must have the shape of the values of {described(loss)}, {values.shape}, "
            f"got {factors.shape}"
        )
    (d_predictions,), d_variables = pullback(factors)
    return d_predictions, d_variables


def _by_its_own(
    loss: Loss, slopes: npt.ArrayLike, y_pred: np.ndarray, upstream: npt.ArrayLike | None
) -> np.ndarray:
    """The gradient that a loss came along with, checked and multiplied by `upstream`."""
    slopes = np.asarray(slopes)
    if slopes.shape != y_pred.shape:
        raise ValueError(
            f"the gradient of {described(loss)} must have the shape of y_pred, {y_pred.shape}, "
            f"got {slopes.shape}"
        )
    if upstream is None:
        return slopes
    factors = np.asarray(upstream, slopes.dtype)
    if factors.shape != slopes.shape[: factors.ndim]:
        raise ValueError(
            f"upstream must have the shape of the values of the loss, got {factors.shape} for "
            f"predictions of shape {slopes.shape}"
        )
    scaled: np.ndarray = slopes * factors.reshape(
        factors.shape + (1,) * (slopes.ndim - factors.ndim)
    )
    return scaled


def check_target(loss: Loss, target_shape: _targets.Shape, output_shape: _targets.Shape) -> None:
    """Raise an error where targets do not fit a loss; a loss of your own takes any.

    Parameters
    ----------
    loss : callable
        The loss.
    target_shape, output_shape : tuple of int or None
        Shapes with the batch axis; None fits every size.

    Raises
    ------
    ValueError
        If the shapes do not fit a built-in loss.

    Examples
    --------
    >>> from cylstm.losses import check_target, mean_squared_error
    >>> check_target(mean_squared_error, (32, 2), (None, 3))
    Traceback (most recent call last):
    ...
    ValueError: mean_squared_error compares targets and outputs of one shape, got targets of...
    """
    name = getattr(loss, "__name__", "")
    if BUILTINS.get(name) is not loss:
        return
    check = _targets.check_sparse if name == _SPARSE else _targets.check_dense
    check(name, target_shape, output_shape)


def clip(x: np.ndarray, greatest: float | None = None) -> np.ndarray:
    """Clip to [epsilon, greatest], by default 1 - epsilon.

    The bounds are those of TensorFlow 1.4: see `LEAST`; 1 - epsilon is 1 - 2**-23 in float32.
    """
    clipped: np.ndarray = np.minimum(np.maximum(x, _least(x)), _greatest(x, greatest))
    return clipped


def clip_with_gradient(
    x: np.ndarray, greatest: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The same, and where the gradient passes: a value on a bound lets it."""
    return clip(x, greatest), (x >= _least(x)) & (x <= _greatest(x, greatest))


def _least(x: np.ndarray) -> np.floating:
    least: np.floating = x.dtype.type(LEAST)
    return least


def _greatest(x: np.ndarray, given: float | None) -> np.floating:
    return 1 - _least(x) if given is None else x.dtype.type(given)
