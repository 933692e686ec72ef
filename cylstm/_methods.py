"""Methods that a class has from elsewhere without deriving from it: functions, or a part's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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
    method: Callable[Concatenate[Part, P], R],
) -> Callable[[Callable[[Any], Part]], Callable[Concatenate[Any, P], R]]:
    """A method that a part of the object carries out: with its signature and its text of `help`.

    A decorator of the function that says which part it is.

    Parameters
    ----------
    method : function
        Of the class of the part.

    Examples
    --------
    >>> class Engine:
    ...     def start(self, gear=1): return f"started in gear {gear}"
    >>> class Car:
    ...     def __init__(self): self._engine = Engine()
    ...     @delegated(Engine.start)
    ...     def start(self): return self._engine
    >>> Car().start(gear=2)
    'started in gear 2'
    """

    def decorate(part: Callable[[Any], Part]) -> Callable[Concatenate[Any, P], R]:
        @wraps(method)
        def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(part(self), *args, **kwargs)

        return call

    return decorate
