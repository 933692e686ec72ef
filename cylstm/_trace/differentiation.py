"""The derivative of a function that a user wrote, and steps with a derivative of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm._trace import rules
from cylstm._trace.arrays import (
    Part,
    Placed,
    Readable,
    Step,
    Trace,
    Traced,
    common,
    current,
    flat,
    rebuilt,
    suspended,
)

__all__ = ["differentiate", "evaluate", "record", "require"]


def differentiate(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    variables: Sequence[Any] = (),
    *,
    name: str | None = None,
    instead: str = "write its derivative by hand",
    may_be_constant: bool = True,
) -> tuple[Any, Callable[[Any], tuple[list[Any], list[np.ndarray]]]]:
    """Call a function, and return with its value the function that pulls gradients back.

    Parameters
    ----------
    function : callable
        Called once, as ``function(*arguments)``, with traced arrays in place of arrays of floats.
    arguments : sequence
        Arrays of floats, lists or tuples of them (of lists, too); anything else (integers, bools,
        None) is passed as it is and has no gradient.
    variables : sequence of Variable, optional
        Which variables the gradient is wanted for. Others are constants.
    name : str, optional
        For messages, such as ``"the loss f"``; by default the name of the function.
    instead : str, optional
        For the message without autograd: the other way to a derivative.
    may_be_constant : bool, default True
        Whether a value without any gradient is allowed.

    Returns
    -------
    value : ndarray or list of ndarray
        What the function returned, in the dtype of the arguments where it is of floats.
    pullback : callable
        ``pullback(cotangents)``, with cotangents like the value (None stands for zero), gives
        ``(of_arguments, of_variables)``: like `arguments`, with None where there is no gradient,
        and one array for each variable; in their dtypes, zeros where the value does not depend
        on them. It may be called any number of times.

    Raises
    ------
    TypeError
        If autograd is not installed, if a step has no derivative, or if the function loses track
        of the arrays: its result does not come from them.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> w = Variable([2.0, 3.0], dtype="float64")
    >>> y, pullback = differentiate(lambda x: np.sum(x * w), [np.array([1.0, 10.0])], [w])
    >>> y.item(), pullback(1.0)
    (32.0, ([array([2., 3.])], [array([ 1., 10.])]))
    """
    called = name or _called(function)
    require(called, instead)
    trace = Trace(called, current.get(), rules)
    trace.variables = {v: trace.root(_numbers_of(v)) for v in variables}
    boxed = [_boxed(trace, argument) for argument in arguments]
    result = _run(trace, function, boxed)
    floats = [step.dtype for step in trace.steps if step.pull is None]
    dtype = np.result_type(*floats) if floats else None
    several = isinstance(result, list | tuple)
    outputs = [_output(trace, r, dtype) for r in (result if several else [result])]
    if not may_be_constant and all(step < 0 for _, step in outputs):
        raise TypeError(
            f"{called} has no gradient: nothing that it was given changes its value smoothly. "
            "Counts, comparisons, K.argmax, K.round and K.stop_gradient have none."
        )
    roots = [_roots(b) for b in boxed]
    of_variables = [trace.variables[v].step for v in variables]

    def pullback(cotangents: Any) -> tuple[list[Any], list[np.ndarray]]:
        given = cotangents if several else [cotangents]
        totals = _Totals(trace.steps)
        for (numbers, step), cotangent in zip(outputs, given, strict=True):
            if step >= 0 and cotangent is not None:
                totals.add(step, np.broadcast_to(np.asarray(cotangent), numbers.shape))
        with np.errstate(all="ignore"):
            totals.walk()
        return [totals.of(root) for root in roots], [totals.of(step) for step in of_variables]

    values = [numbers for numbers, _ in outputs]
    return (values if several else values[0]), pullback


def evaluate(function: Callable[..., Any], arguments: Sequence[Any], name: str = "") -> Any:
    """Call a function without a derivative, on the terms of `differentiate`: the same numbers.

    The arrays of floats are `Traced` constants, so that the function computes just as it does
    in training (``x += y`` makes a new array, float32 stays float32, nothing warns). autograd is
    not needed. Constants turn into plain arrays freely, so all of NumPy works.

    Parameters
    ----------
    function, arguments, name
        As for `differentiate`.

    Returns
    -------
    ndarray or list of ndarray
        What the function returned, in the dtype of the arguments where it is of floats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones(2, "float32")
    >>> def function(x):
    ...     y = x
    ...     y += 0.5
    ...     return x * y
    >>> evaluate(function, [x]), x
    (array([1.5, 1.5], dtype=float32), array([1., 1.], dtype=float32))
    """
    trace = Trace(name or _called(function), current.get(), rules, constant=True)
    floats: list[np.dtype] = []
    boxed = [_constants(trace, argument, floats) for argument in arguments]
    result = _run(trace, function, boxed)
    dtype = np.result_type(*floats) if floats else None
    if isinstance(result, list | tuple):
        return [_output(trace, r, dtype)[0] for r in result]
    return _output(trace, result, dtype)[0]


def _run(trace: Trace, function: Callable[..., Any], boxed: list[Any]) -> Any:
    """Call a function within a trace, which ends with it."""
    token = current.set(trace)
    try:
        with np.errstate(all="ignore"):
            return function(*boxed)
    finally:
        current.reset(token)
        trace.open = False


def _called(function: Any) -> str:
    return f"the function {getattr(function, '__name__', repr(function))}"


def _constants(trace: Trace, argument: Any, floats: list[np.dtype]) -> Any:
    """An argument with its arrays of floats as constants; their dtypes are collected."""
    if isinstance(argument, list | tuple):
        return rebuilt(argument, [_constants(trace, a, floats) for a in argument])
    if isinstance(argument, np.ndarray | np.floating) and argument.dtype.kind == "f":
        floats.append(argument.dtype)
        return Traced(np.asarray(argument), trace, -1)
    return argument


def require(name: str, instead: str) -> None:
    """Raise where derivatives cannot be had, because autograd is not there.

    Parameters
    ----------
    name : str
        What the derivative is of.
    instead : str
        The other way to a derivative.

    Raises
    ------
    TypeError
        If autograd cannot be imported, with the reason.
    """
    try:
        import autograd.numpy  # noqa: F401
    except ImportError as error:
        raise TypeError(
            f"{name} has no derivative of its own, so it can predict but not train: install the "
            f"package autograd (`pip install 'cylstm[autograd]'`), which differentiates it "
            f"({error}), or {instead}."
        ) from error


def record(
    function: Callable[..., tuple[Any, Callable[[Any], tuple[Sequence[Any], Sequence[Any]]]]],
    arguments: Sequence[Any],
    variables: Sequence[Any] = (),
) -> Any:
    """Take a step with a derivative of its own: what calls a built-in from within a trace.

    Parameters
    ----------
    function : callable
        Called with the plain numbers of the arguments, outside of any trace. It returns the
        outputs (an array or a list) and a pullback, from cotangents like the outputs to the
        gradients of the arguments (None for one without) and of the variables.
    arguments : sequence
        Arrays, traced or not, or lists of them; others are passed on.
    variables : sequence of Variable, optional
        What else the outputs depend on.

    Returns
    -------
    Traced or list of Traced, or as `function` returns where nothing is traced

    Examples
    --------
    >>> import numpy as np
    >>> def doubled(x):
    ...     return record(lambda x: (2 * x, lambda dy: ([2 * dy], [])), [x])
    >>> _, pullback = differentiate(lambda x: doubled(x) * x, [np.array([3.0])])
    >>> pullback(np.array([1.0]))[0]
    [array([12.])]
    """
    trace = current.get()
    boxes = list(flat(arguments))
    if trace is not None:
        boxes += [trace.variables.get(v) for v in variables]
    traced = [box for box in boxes if isinstance(box, Traced)]
    with suspended():
        outputs, pullback = function(*_numbers_in(arguments))
    if not traced:
        return outputs
    return _recorded(common(traced), boxes, outputs, pullback)


def _recorded(trace: Trace, boxes: list[Any], outputs: Any, pullback: Any) -> Any:
    """Enter the outputs of a step with several arguments and perhaps several outputs."""
    chosen = [i for i, b in enumerate(boxes) if isinstance(b, Traced) and b.step >= 0]
    several = isinstance(outputs, list | tuple)
    arrays = [np.asarray(y) for y in (outputs if several else [outputs])]
    if not chosen:
        constants = [Traced(y, trace, -1) for y in arrays]
        return constants if several else constants[0]
    parents = [boxes[i].step for i in chosen]

    def pull(cotangents: Any) -> list[Any]:
        with suspended():
            of_arguments, of_variables = pullback(cotangents)
        gradients = [*flat(of_arguments), *of_variables]
        return [gradients[i] for i in chosen]

    if not several:
        return trace.enter(arrays[0], parents, pull)

    def pull_all(parts: dict[int, np.ndarray]) -> list[Any]:
        return pull([parts.get(k, np.zeros(y.shape, y.dtype)) for k, y in enumerate(arrays)])

    joint = trace.enter(np.empty(0), parents, pull_all)
    return [
        trace.enter(y, (joint.step,), lambda dy, k=k: [Part(k, dy)])  # type: ignore[misc]  # k is a number
        for k, y in enumerate(arrays)
    ]


class _Totals:
    """The gradients of a walk backwards, summed up step by step."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.sums: list[Any] = [None] * len(steps)
        self.own: set[int] = set()  # sums that are arrays of this walk alone, to be added to

    def add(self, step: int, piece: Any) -> None:
        """Add a piece to the gradient of a step, in the dtype of the step."""
        total = self.sums[step]
        if type(piece) is Part:
            self.sums[step] = {**(total or {}), piece.number: piece.gradient}
            return
        _, _, shape, dtype = self.steps[step]
        if type(piece) is Placed or hasattr(piece, "mut_add"):
            if step not in self.own:
                total = np.zeros(shape, dtype) if total is None else np.array(total)
                self.sums[step] = total
                self.own.add(step)
            if type(piece) is not Placed:
                piece.mut_add(total)  # autograd's own way to say the same
            elif _is_basic(piece.index):
                total[piece.index] += piece.gradient
            else:
                np.add.at(total, piece.index, piece.gradient)
            return
        array = np.asarray(piece, dtype)
        if array.shape != shape:
            if array.size != 1 or len(shape) > array.ndim:
                raise TypeError(
                    f"A derivative of autograd has the shape {array.shape} for an array of shape "
                    f"{shape}: use another function of cylstm.backend."
                )
            array = array.reshape(shape)
        if total is None:
            self.sums[step] = array
        elif step in self.own:
            total += array
        else:
            self.sums[step] = total + array
            if shape:  # a sum of 0-d arrays is a number, which cannot be added to
                self.own.add(step)

    def walk(self) -> None:
        """From the outputs to the roots."""
        for step in range(len(self.steps) - 1, -1, -1):
            parents, pull, _, _ = self.steps[step]
            total = self.sums[step]
            if pull is None or total is None:
                continue
            self.sums[step] = None
            for parent, piece in zip(parents, pull(total), strict=True):
                if piece is not None:
                    self.add(parent, piece)

    def of(self, root: Any) -> Any:
        """The gradient of a root, or of a list of them: zeros where nothing arrived."""
        if isinstance(root, list | tuple):
            return rebuilt(root, [self.of(r) for r in root])
        if root is None:
            return None
        total = self.sums[root]
        _, _, shape, dtype = self.steps[root]
        return np.zeros(shape, dtype) if total is None else np.array(total, dtype)


def _is_basic(index: Any) -> bool:
    """Whether an index takes each element at most once: of numbers, slices, None, and ``...``."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is Ellipsis
        or isinstance(part, int | np.integer | slice)
        and not isinstance(part, bool | np.bool_)
        for part in parts
    )


def _numbers_of(variable: Any) -> np.ndarray:
    """The value of a variable, whatever trace is under way."""
    with suspended():
        value: np.ndarray = variable.value
    return value


def _boxed(trace: Trace, argument: Any) -> Any:
    """An argument with its arrays of floats entered in a trace."""
    if isinstance(argument, list | tuple):
        return rebuilt(argument, [_boxed(trace, a) for a in argument])
    if isinstance(argument, Traced):
        raise TypeError(
            f"The derivative of {trace.name} was asked for within that of {argument.trace.name}: "
            "second derivatives are not available."
        )
    if isinstance(argument, np.ndarray | np.floating) and argument.dtype.kind == "f":
        return trace.root(np.asarray(argument))
    return argument


def _roots(boxed: Any) -> Any:
    """The steps of the tape where arguments were entered."""
    if isinstance(boxed, list | tuple):
        return rebuilt(boxed, [_roots(b) for b in boxed])
    return boxed.step if isinstance(boxed, Traced) else None


def _numbers_in(value: Any) -> Any:
    """Arguments with the numbers of traced arrays in place of these."""
    if isinstance(value, list | tuple):
        return rebuilt(value, [_numbers_in(v) for v in value])
    return value.numbers if isinstance(value, Traced) else value


def _output(trace: Trace, result: Any, dtype: np.dtype | None) -> tuple[np.ndarray, int]:
    """A result as numbers in the dtype of the arguments, and its step (-1: no gradient)."""
    if isinstance(result, Readable):
        token = current.set(trace)
        try:
            result = result.read()
        finally:
            current.reset(token)
    step = -1
    if isinstance(result, Traced):
        step = result.step
        if result.trace is not trace:
            raise TypeError(f"{trace.name} returned an array of another derivative.")
        numbers = result.numbers
    elif trace.steps or result is None:
        raise TypeError(
            f"{trace.name} returned {_described(result)}, which does not come from the arrays it "
            "was given, so that it has no derivative: compute with the functions of "
            "cylstm.backend throughout (K.get_value, K.eval and `numpy` give plain numbers), or "
            "return K.stop_gradient(...) if no gradient is meant."
        )
    else:
        numbers = np.asarray(result)
    if numbers.dtype.kind == "f" and dtype is not None:
        numbers = numbers.astype(dtype, copy=False)
    return numbers, step


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"a plain array of shape {value.shape}"
    return "None" if value is None else f"a {type(value).__name__}"
