"""Arguments by name: the whole signature of a class, and errors that know its names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "NamedArguments",
    "WholeSignature",
    "near",
    "suggest_arguments",
    "suggesting",
    "whole_signature",
]

P = ParamSpec("P")
R = TypeVar("R")


def near(name: object, known: Iterable[str], n: int = 3) -> list[str]:
    """Those of the known names that are most like a name, the nearest first, in its case.

    Examples
    --------
    >>> near("return_sequence", ["return_state", "return_sequences"])
    ['return_sequences']
    """
    import difflib

    wanted = str(name).lower()
    lower = wanted == str(name)
    spelled = {other.lower(): other for other in sorted(known, key=lambda n: n.islower() == lower)}
    found = difflib.get_close_matches(wanted, spelled, n)
    likeness = [difflib.SequenceMatcher(None, match, wanted).ratio() for match in found]
    return [spelled[m] for m, r in zip(found, likeness, strict=True) if r > likeness[0] - 0.15]


def unknown_argument_message(
    taker: str, name: str, known: Iterable[str], other_names: Iterable[str] = ()
) -> str:
    """The text of the error about an argument that a class or function does not have.

    Other names of arguments are suggested, but not listed.
    """
    known = list(known)
    found = near(name, [*known, *other_names])
    if found:
        hint = f"did you mean {' or '.join(map(repr, found))}?"
    else:
        hint = f"it takes {', '.join(known)}." if known else "it takes none."
    return f"{taker} has no argument {name!r}; {hint}"


def whole_signature(cls: type) -> inspect.Signature:
    """The signature of a class, with what each ``__init__`` passes on by ``**kwargs``.

    The arguments of the bases follow as keyword-only ones. What a ``**kwargs: Unpack[Options]``
    names and no base does (an ``__init__`` translates it) comes with the default None.

    Examples
    --------
    >>> class Base:
    ...     def __init__(self, *, name=None): ...
    >>> class Box(Base):
    ...     def __init__(self, size, **kwargs): ...
    >>> whole_signature(Box)
    <Signature (size, *, name=None)>
    """
    found: dict[str, inspect.Parameter] = {}
    translated: dict[str, inspect.Parameter] = {}
    rest: list[inspect.Parameter] = []
    first = True
    for base in cls.__mro__:
        function = vars(base).get("__init__")
        if function is None or base is object:
            continue
        own = list(inspect.signature(function).parameters.values())[1:]
        rest = [p for p in own if p.kind is p.VAR_KEYWORD]
        for parameter in own:
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            if not first:
                if parameter.kind is parameter.VAR_POSITIONAL:
                    continue
                parameter = parameter.replace(kind=parameter.KEYWORD_ONLY)
            found.setdefault(parameter.name, parameter)
        first = False
        for name, annotation in _options(function, rest):
            translated[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
        if not rest:
            break
    parameters = list((found | {n: p for n, p in translated.items() if n not in found}).values())
    return inspect.Signature(sorted(parameters + rest, key=lambda p: p.kind))


def _options(function: Any, rest: list[inspect.Parameter]) -> Iterable[tuple[str, Any]]:
    """The names and types of a TypedDict that the ``**kwargs`` of a function unpack."""
    written = re.fullmatch(r"(?:\w+\.)?Unpack\[(\w+)\]", str(rest[0].annotation)) if rest else None
    if written is None:
        return []
    options = inspect.unwrap(function).__globals__.get(written[1])
    annotations = getattr(options, "__annotations__", {})
    return [(name, getattr(t, "__forward_arg__", t)) for name, t in annotations.items()]


def suggesting(function: Callable[P, R], other_names: Iterable[str] = ()) -> Callable[P, R]:
    """Decorate a function or method: its error about an unknown argument says what is like it.

    Parameters
    ----------
    function : callable
        What to decorate.
    other_names : iterable of str, optional
        Further names to suggest, which are taken before the function is called.

    Examples
    --------
    >>> @suggesting
    ... def area(width, height=1): return width * height
    >>> area(2, heigth=3)
    Traceback (most recent call last):
    ...
    TypeError: area has no argument 'heigth'; did you mean 'height'?
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            names = _named(inspect.signature(function))
            name = _unexpected(error, kwargs, names)
            if name is None:
                raise
            message = unknown_argument_message(function.__name__, name, names, other_names)
            raise TypeError(message) from None

    return call


class WholeSignature:
    """The attribute ``__signature__`` of a class, put together when someone asks for it.

    Importing takes no longer for it; see `whole_signature`.
    """

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:  # that of calling the instance is another one
            raise AttributeError("__signature__")
        return whole_signature(owner)


class NamedArguments:
    """Base of classes that show all their arguments, and name the nearest for an unknown one."""

    __signature__: WholeSignature = WholeSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        suggest_arguments(cls)


def suggest_arguments(cls: type) -> None:
    """Let the ``__init__`` of a class, if it defines one, name the nearest for an unknown one."""
    if "__init__" in vars(cls):
        cls.__init__ = _suggesting_init(cls.__init__)  # type: ignore[misc]  # of this class alone


def _suggesting_init(init: Callable[..., None]) -> Callable[..., None]:
    """As `suggesting`, for the ``__init__`` of a class: what counts is what the class takes."""

    @wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError as error:
            names = _named(inspect.signature(type(self)))
            name = _unexpected(error, kwargs, names)
            if name is None:
                raise
            others = getattr(init, "other_names", ())
            message = unknown_argument_message(type(self).__name__, name, names, others)
            raise TypeError(message) from None

    return __init__


def _unexpected(error: TypeError, given: dict[str, Any], known: list[str]) -> str | None:
    """The given name that nobody takes, if that is what Python's error is about."""
    text = str(error)
    unknown = [name for name in given if name not in known]
    if found := re.search(r"unexpected keyword argument '(\w+)'", text):
        return found[1] if found[1] in unknown else None
    if "missing" in text:  # `units`, where `unit` was given
        missing = re.findall(r"'(\w+)'", text)
        return next((name for name in unknown if near(name, missing)), None)
    return None


def _named(signature: inspect.Signature) -> list[str]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [p.name for p in signature.parameters.values() if p.kind not in variadic]
    return named[named[:1] == ["self"] :]
