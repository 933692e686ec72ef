"""Traced arrays: what a function of the user's computes with while its derivative is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn, SupportsIndex

import numpy as np

from cylstm._trace.operators import Operators

__all__ = [
    "Part",
    "Placed",
    "Readable",
    "Shape",
    "Step",
    "Trace",
    "Traced",
    "common",
    "current",
    "flat",
    "is_traced",
    "rebuilt",
    "stop",
    "suspended",
]

Pull = Callable[[Any], Sequence[Any]]

current: ContextVar[Trace | None] = ContextVar("cylstm_trace", default=None)


class Shape(tuple[int | None, ...]):
    """A shape as a tuple, with the method of TensorFlow's shapes that scripts call."""

    __slots__ = ()

    def as_list(self) -> list[int | None]:
        """The sizes as a list; None where unknown."""
        return list(self)


class Step(NamedTuple):
    """A line of the tape: where a value came from, and what pulls its gradient back there."""

    parents: tuple[int, ...]
    pull: Pull | None
    shape: tuple[int, ...]
    dtype: np.dtype


class Placed(NamedTuple):
    """A gradient that is zero but at one index of an array."""

    index: Any
    gradient: np.ndarray


class Part(NamedTuple):
    """The gradient of one of several results of one step."""

    number: int
    gradient: np.ndarray


class Trace:
    """One run of a user's function: the tape, and which variables are differentiated."""

    def __init__(self, name: str, outer: Trace | None, rules: Any, constant: bool = False) -> None:
        self.name = name
        self.constant = constant  # nothing is differentiated: variables are boxes all the same
        self.outer = outer
        self.rules = rules  # what NumPy's functions do: the module of that name
        self.steps: list[Step] = []
        self.variables: dict[Any, Traced] = {}
        self.open = True

    def root(self, value: np.ndarray) -> Traced:
        """Enter an array that the gradient is wanted for."""
        return self.enter(value, (), None)

    def enter(self, value: np.ndarray, parents: Sequence[int], pull: Pull | None) -> Traced:
        """Note a value, and how its gradient is pulled back to its parents."""
        if not self.open:
            raise TypeError(
                f"An array of the derivative of {self.name} is used after that has ended: return "
                "what is needed later, do not keep it."
            )
        self.steps.append(Step(tuple(parents), pull, value.shape, value.dtype))
        return Traced(value, self, len(self.steps) - 1)

    def constant_of(self, value: Any) -> Any:
        """A number or an array as a constant of this trace; anything else as it is."""
        if isinstance(value, np.ndarray | np.generic):
            return Traced(np.asarray(value), self, -1)
        return value

    def read(self, variable: Any, value: np.ndarray) -> Any:
        """What a variable is during this trace: its box, or its value where it is a constant."""
        box = self.variables.get(variable)
        if box is not None:
            return box
        outer = self.outer
        while outer is not None:
            if variable in outer.variables:
                raise TypeError(
                    f"{variable!r} is differentiated by {outer.name}, but read by {self.name}, "
                    "which is differentiated apart from it: the gradient would be lost."
                )
            outer = outer.outer
        return Traced(value, self, -1) if self.constant else value


class Traced(Operators):
    """An array within a trace: it computes as NumPy does, and remembers how it came about.

    `cylstm.backend`, operators, indexing, methods and NumPy's functions take it. What would make
    a plain array of it raises a TypeError. One that does not depend on what is differentiated (a
    comparison, an index, a shape) turns into a plain array freely.

    Attributes
    ----------
    numbers : ndarray
        The values, without the memory.
    """

    __slots__ = ("numbers", "step", "trace")

    def __init__(self, numbers: np.ndarray, trace: Trace, step: int) -> None:
        self.numbers = numbers
        self.trace = trace
        self.step = step  # on the tape; -1 for a constant

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        return self.numbers.ndim

    @property
    def size(self) -> int:
        return self.numbers.size

    @property
    def dtype(self) -> np.dtype:
        return self.numbers.dtype

    @property
    def T(self) -> Any:
        return np.transpose(self)

    def get_shape(self) -> Shape:
        """The same as `shape`: TensorFlow's name for it."""
        return Shape(self.shape)

    @property
    def _keras_shape(self) -> Shape:
        return Shape(self.shape)

    def constant(self, numbers: Any) -> Traced:
        """A value of this trace that has no gradient."""
        return Traced(np.asarray(numbers), self.trace, -1)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.trace.rules.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.trace.rules.call(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.step >= 0:
            self.refuse("would become a plain array, and lose its gradient")
        return np.array(self.numbers, dtype) if copy else np.asarray(self.numbers, dtype)

    def refuse(self, what: str) -> NoReturn:
        """Raise for a use that would lose the gradient."""
        raise TypeError(
            f"The derivative of {self.trace.name} cannot be followed: a {self!r} {what}. Compute "
            "with the functions of cylstm.backend, or use K.stop_gradient where no gradient is "
            "wanted."
        )

    def __getitem__(self, index: Any) -> Any:
        return self.trace.rules.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        self.refuse("is not written to by x[...] = y; K.switch or K.concatenate make a new one")

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.numbers)

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def __float__(self) -> float:
        return float(self._plain("a Python number"))

    def __int__(self) -> int:
        return int(self._plain("a Python number"))

    def __index__(self) -> int:
        return int(self._plain("an index").__index__())

    def item(self, *index: SupportsIndex) -> Any:
        """The number of a constant."""
        return self._plain("a Python number").item(*index)

    def tolist(self) -> Any:
        """The numbers of a constant."""
        return self._plain("a list of numbers").tolist()

    def _plain(self, what: str) -> np.ndarray:
        if self.step >= 0:
            self.refuse(f"would become {what}, and lose its gradient")
        return self.numbers

    # Comparisons are of the values, as an array's; a set or a dict tells boxes apart.
    def __eq__(self, other: Any) -> Any:
        return np.equal(self, other)

    def __ne__(self, other: Any) -> Any:
        return np.not_equal(self, other)

    __hash__ = object.__hash__

    def astype(self, dtype: Any, **how: Any) -> Any:
        """The same in another dtype; integers and bools have no gradient."""
        return self.trace.rules.cast(self, dtype)

    def reshape(self, *shape: Any, **how: Any) -> Any:
        """The same numbers in another shape."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **how)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order."""
        order = axes[0] if len(axes) == 1 else axes or None
        return np.transpose(self, order)

    def flatten(self) -> Any:
        """All numbers on one axis."""
        return np.reshape(self, -1)

    def copy(self) -> Any:
        """Itself: nothing writes to it."""
        return self

    def view(self, *types: Any) -> Any:
        """Itself as an ndarray."""
        if types in ((), (np.ndarray,)):
            return self
        self.refuse("has no views of another dtype")

    def __repr__(self) -> str:
        return f"<traced array {self.dtype} {self.shape}>"


def _method(name: str) -> Callable[..., Any]:
    """A method of arrays that is a function of NumPy."""

    def method(self: Traced, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As ``np.{name}(x, ...)``."
    return method


for _name in (
    *("all", "any", "argmax", "argmin", "argsort", "clip", "cumprod", "cumsum", "diagonal", "dot"),
    *("max", "mean", "min", "prod", "ravel", "repeat", "round", "squeeze", "std", "sum"),
    *("swapaxes", "take", "var"),
):
    setattr(Traced, _name, _method(_name))


class Readable(Operators):
    """The base of `Variable`: an array to NumPy, which is its box during a trace."""

    def read(self) -> Any:
        """The array to compute with at this moment."""
        raise NotImplementedError

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(target, Readable) for target in kwargs.get("out", ())):
            raise TypeError(f"{self!r} is not written to by NumPy: use its `assign`.")
        return getattr(ufunc, method)(*_as_read(inputs), **_as_read(kwargs))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*_as_read(args), **_as_read(kwargs))


def _as_read(value: Any) -> Any:
    """Arguments with every variable in them read."""
    if isinstance(value, Readable):
        return value.read()
    if isinstance(value, list | tuple):
        return rebuilt(value, [_as_read(v) for v in value])
    if type(value) is dict:
        return {key: _as_read(v) for key, v in value.items()}
    return value


def is_traced(*values: Any) -> bool:
    """Whether one of the values is a traced array, or a list or tuple with one in it.

    Outside of a trace none is: what a function kept of one that has ended turns into no array.
    """
    return current.get() is not None and any(
        is_traced(*value) if isinstance(value, list | tuple) else isinstance(value, Traced)
        for value in values
    )


def stop(value: Any) -> Any:
    """The same numbers as a constant of the trace that is under way; itself outside of one."""
    if isinstance(value, Traced):
        return value.constant(value.numbers)
    trace = current.get()
    return value if trace is None else Traced(np.asarray(value), trace, -1)


@contextmanager
def suspended() -> Iterator[None]:
    """Compute with plain numbers for a while: variables are their values, whatever the trace."""
    token = current.set(None)
    try:
        yield
    finally:
        current.reset(token)


def rebuilt(sequence: Any, items: list[Any]) -> Any:
    """A list or tuple of the kind of another one."""
    return sequence._make(items) if hasattr(sequence, "_make") else type(sequence)(items)


def flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from flat(value)
        else:
            yield value


def common(boxes: Sequence[Traced]) -> Trace:
    """The trace that all boxes are of."""
    trace = boxes[0].trace
    for box in boxes:
        if box.trace is not trace:
            raise TypeError(
                f"An array of the derivative of {trace.name} meets one of the derivative of "
                f"{box.trace.name}: pass it as an argument."
            )
    return trace
