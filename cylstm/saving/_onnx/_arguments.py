"""The arguments of a node: inputs and attributes, checked as they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.saving._onnx._document import Node, Tensor, attribute_value
from cylstm.saving._onnx._values import Flow, Known

__all__ = ["Arguments", "Numbers", "axes_of", "axis_of", "scalar", "slices_of"]

_FAR = 2**31 - 1  # what writers give as an end that is beyond every other


class Numbers:
    """How many numbers constants may be computed to hold, in all.

    Parameters
    ----------
    stored : int
        How many bytes the file has.
    """

    def __init__(self, stored: int) -> None:
        self.left = 2**20 + stored

    def claim(self, shape: Sequence[int]) -> None:
        """Take room for an array.

        Raises
        ------
        ValueError
            If there is none.
        """
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError(f"it makes a constant of the shape {tuple(shape)}, which is too large")


class Arguments:
    """What a node is called with.

    Parameters
    ----------
    node : Node
        It may be hostile.
    inputs : list of (Known, Flow or None)
        None for one that is left out.
    version : int
        Of the operators.
    tensor : callable
        From a tensor of the file to a constant.
    numbers : Numbers
        What room there is for constants.
    """

    def __init__(
        self,
        node: Node,
        inputs: Sequence[Known | Flow | None],
        version: int,
        tensor: Callable[[Tensor], Known],
        numbers: Numbers,
    ) -> None:
        self.node = node
        self.op = node.op_type or ""
        self.inputs: list[Any] = list(inputs)
        self.version = version
        self.tensor = tensor
        self.claim = numbers.claim
        self.all: dict[str, Any] = {}
        for entry in node.attribute:
            if entry.ref_attr_name:
                raise ValueError("it is part of a function, which is not read")
            self.all[entry.name or ""] = attribute_value(entry, "it")

    def get(self, name: str, default: Any) -> Any:
        """An attribute, of the kind of its default; where that is None, of any.

        Raises
        ------
        ValueError
            If it is of another kind.
        """
        value = self.all.get(name, default)
        kind = list if isinstance(default, tuple) else type(default)
        if default is not None and not isinstance(value, kind | tuple):
            raise ValueError(f"its {name} is {value!r}")
        return value

    def refuse_others(self, *names: str) -> None:
        """Raise a ValueError if it has an attribute that is not one of these."""
        others = sorted(self.all.keys() - set(names))
        if others:
            raise ValueError(f"it has the attributes {others}, which are not read")

    def input(self, index: int) -> Known | Flow | None:
        """An input, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> Known:
        """An input that has to be a constant."""
        value = self.input(index)
        if not isinstance(value, Known):
            what = "missing" if value is None else "computed"
            raise ValueError(f"its input {index} is {what}, and has to be a constant")
        return value

    def constants(self) -> list[Known]:
        """All inputs, which have to be constants."""
        if not self.inputs:
            raise ValueError("it has no inputs")
        return [self.constant(i) for i in range(len(self.inputs))]

    def flow(self, index: int) -> Flow:
        """An input that has to be computed from those of the model."""
        value = self.input(index)
        if not isinstance(value, Flow):
            what = "missing" if value is None else "a constant"
            raise ValueError(f"its input {index} is {what}, which is not read")
        return value

    def integers(self, index: int, name: str) -> list[int] | None:
        """A list of integers: an attribute in old versions, an input in new ones; or None."""
        value = self.input(index)
        if value is None:
            found = self.get(name, None)
            if found is not None and not isinstance(found, list):
                raise ValueError(f"its {name} is {found!r}")
            return found
        array = self.constant(index).array()
        if array.ndim > 1 or array.dtype.kind not in "iu" or array.size > 64:
            raise ValueError(f"its {name} is no list of integers")
        return [int(n) for n in array.reshape(-1)]

    def number(self, index: int, name: str, default: float | None = None) -> float | None:
        """A number: an attribute in old versions, an input in new ones."""
        value = self.input(index)
        if value is None:
            found: float | None = self.get(name, default)
            return found
        array = self.constant(index).array()
        if array.size != 1 or array.dtype.kind not in "fiu":
            raise ValueError(f"its {name} is no number")
        return float(array.item())

    def order(self, rank: int) -> list[int]:
        """The order of axes of a Transpose."""
        order = self.get("perm", tuple(reversed(range(rank))))
        if sorted(order) != list(range(rank)):
            raise ValueError(f"its perm is {order}, for {rank} axes")
        return list(order)


def axis_of(axis: Any, rank: int) -> int:
    """An axis counted from the first."""
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError(f"its axis is {axis!r}, for {rank} axes")
    return axis % rank


def axes_of(arguments: Arguments, index: int, required: bool = True) -> Any:
    """The axes of a Squeeze, Unsqueeze or Reduce."""
    axes = arguments.integers(index, "axes")
    if axes is None and required:
        raise ValueError("it has no axes")
    return axes


def slices_of(arguments: Arguments, rank: int) -> list[tuple[int, slice]]:
    """The parts that a Slice takes: axes, each with a slice of Python.

    What goes to the end has None there, whatever large number stands for it.
    """
    starts, ends = arguments.integers(1, "starts"), arguments.integers(2, "ends")
    if starts is None or ends is None:
        raise ValueError("it has no starts and ends")
    axes = arguments.integers(3, "axes")
    axes = list(range(len(starts))) if axes is None else axes
    steps = arguments.integers(4, "steps")
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) <= rank:
        raise ValueError(f"it has {starts}, {ends}, {axes}, {steps}, for {rank} axes")
    places = [axis_of(axis, rank) for axis in axes]
    if len(set(places)) < len(places) or 0 in steps:
        raise ValueError(f"it has the axes {axes} and the steps {steps}")
    return [
        (axis, _part(start, end, step))
        for axis, start, end, step in zip(places, starts, ends, steps, strict=True)
    ]


def _part(start: int, end: int, step: int) -> slice:
    """A slice of Python: there, an end below the first has to be None."""
    if step > 0:
        return slice(start, None if end >= _FAR else end, step)
    first = None if start >= _FAR or start == -1 else start
    return slice(first, None if end <= -_FAR else end, step)


def scalar(known: Known) -> float | None:
    """The number that a constant is everywhere, or None."""
    data = known.data
    if data.dtype.kind not in "fiub" or not data.size:
        return None
    first = data.flat[0]
    return float(first) if np.all(data == first) else None
