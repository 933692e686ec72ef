"""The check of numbers that configure initializers, regularizers, constraints and optimizers."""

from __future__ import annotations

import math
from typing import Any, Generic, Literal, Self, SupportsFloat, TypeVar, overload

import numpy as np

__all__ = ["Hyperparameter", "real", "single"]

_Number = TypeVar("_Number", float, float | None)


def real(
    value: Any, name: str, minimum: float = -math.inf, maximum: float = math.inf
) -> int | float:
    """Return a finite number as a Python number; an integer stays one.

    Parameters
    ----------
    value : int, float or array of one element
        What was given.
    name : str
        What it is called in errors.
    minimum, maximum : float, default no bounds
        What it may be at least and at most.

    Raises
    ------
    TypeError
        If it is not a real number.
    ValueError
        If it is not finite or beyond a bound.

    Examples
    --------
    >>> import numpy as np
    >>> real(np.float64(0.5), "rate"), real(2, "rate")
    (0.5, 2)
    >>> real(-1, "rate", 0)
    Traceback (most recent call last):
    ...
    ValueError: rate must be a finite number that is at least 0, got -1
    """
    bounds = [f"at least {minimum:g}"] if minimum > -math.inf else []
    bounds += [f"at most {maximum:g}"] if maximum < math.inf else []
    expected = f"{name} must be a finite number" + (
        " that is " + " and ".join(bounds) if bounds else ""
    )
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = value if type(value) is int else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{expected}, got {value!r}") from None
    if not (math.isfinite(number) and minimum <= number <= maximum):
        raise ValueError(f"{expected}, got {value!r}")
    return number


def single(value: float) -> float:
    """Round a bound of a clip to single precision, as TensorFlow 1.4 does in double precision too.

    Without it, double precision results would differ from TensorFlow's in the eighth digit.

    Parameters
    ----------
    value : float
        The bound.

    Returns
    -------
    float
        The nearest float32.

    Examples
    --------
    >>> single(0.5), single(0.8)
    (0.5, 0.800000011920929)
    """
    return float(np.float32(value))


class Hyperparameter(Generic[_Number]):
    """An attribute that is checked whenever it is set, and then a Python float.

    Parameters
    ----------
    minimum, maximum : float, default no bounds
        What it may be at least and at most.
    optional : bool, default False
        Whether it may be None.

    Examples
    --------
    >>> class Schedule:
    ...     rate = Hyperparameter(minimum=0)
    >>> schedule = Schedule()
    >>> schedule.rate = 1
    >>> schedule.rate
    1.0
    """

    @overload
    def __init__(
        self: Hyperparameter[float],
        minimum: float = ...,
        maximum: float = ...,
        optional: Literal[False] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Hyperparameter[float | None],
        minimum: float = ...,
        maximum: float = ...,
        *,
        optional: Literal[True],
    ) -> None: ...
    def __init__(
        self, minimum: float = -math.inf, maximum: float = math.inf, optional: bool = False
    ) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.optional = optional

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> _Number: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(f"{self.name} has not been set") from None

    def __set__(self, instance: object, value: SupportsFloat | None) -> None:
        if not (value is None and self.optional):
            value = float(real(value, self.name, self.minimum, self.maximum))
        instance.__dict__[self.name] = value
