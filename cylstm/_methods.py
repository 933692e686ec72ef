"""Methods that a class has from elsewhere without deriving from it: functions, or a part's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["delegated", "member"]

Call = TypeVar("Call", bound=Callable[..., Any])
P = ParamSpec("P")
Part = TypeVar("Part")
R = TypeVar("R")


def member(function: Call) -> Call:
    """Decorate a function that a class has as a method: `help` does not show what `self` must be.

    Examples
    --------
    >>> import inspect
    >>> @member
    ... def halved(self: list, by: int = 2) -> list: return self[::by]
    >>> class Numbers(list):
    ...     halved = halved
    >>> Numbers([1, 2, 3]).halved()
    [1, 3]
    >>> str(inspect.signature(halved)).startswith("(self, ")
    True
    """
    shown: Any = function
    while shown is not None:  # Python 3.14 gives what wraps a function annotations of its own
        shown.__annotations__.pop("self", None)
        shown = getattr(shown, "__wrapped__", None)
    return function


def delegated(
    method: Callable[Concatenate[Part, P], R], part: str
) -> Callable[Concatenate[Any, P], R]:
    """A method that a part of the object carries out: with its signature and its text of `help`.

    Parameters
    ----------
    method : function
        Of the class of the part.
    part : str
        The attribute that holds the part, with dots for a part of a part.

    Examples
    --------
    >>> class Engine:
    ...     def start(self, gear=1): return f"started in gear {gear}"
    >>> class Car:
    ...     def __init__(self): self._engine = Engine()
    ...     start = delegated(Engine.start, "_engine")
    >>> Car().start(gear=2)
    'started in gear 2'
    """
    of = attrgetter(part)

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(of(self), *args, **kwargs)

    return call
