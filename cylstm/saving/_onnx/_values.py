"""What stands for the values of a graph while it is read: constants, and arrays to be computed.

A graph of ONNX moves axes about all the time, and models of ours have the samples in the first.
So an axis has an identity, `Dim`, and a computed value is a view, `Flow`, of what a layer puts
out, `Source`: for each axis of ONNX the axes of that output that it is made of, none where its
size is 1. Transpose, Squeeze and most of Reshape are other views of the same output, for which no
layer is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "Dim",
    "Flow",
    "Group",
    "Known",
    "Made",
    "Product",
    "Size",
    "Source",
    "Step",
    "Undecided",
    "size_of",
    "sizes_of",
]


_LARGEST = 2**20  # numbers of a constant that are fewer, repeated


class Undecided(ValueError):
    """What is asked for depends on a size that is not known before the model runs."""

    def __init__(self) -> None:
        super().__init__(
            "it depends on the size of an input, which the file leaves open: export the model for "
            "a fixed size, but for the number of samples"
        )


class Dim:
    """An axis of a computed value.

    Parameters
    ----------
    size : int or None
        None where it differs from call to call.
    """

    __slots__ = ("_batch", "_same", "fixed", "size")

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.fixed = False
        self._same: Dim | None = None
        self._batch = False

    def _root(self) -> Dim:
        while self._same is not None:
            self = self._same
        return self

    @property
    def is_batch(self) -> bool:
        """Whether it is the axis of samples."""
        return self._root()._batch

    def mark_batch(self) -> None:
        """Say that it is the axis of samples."""
        self._root()._batch = True

    def fix(self, size: int) -> None:
        """Say that it is of this size, although the input does not say so: the file needs it."""
        self.size = size
        self.fixed = True

    def join(self, other: Dim) -> None:
        """Say that both are the axis of samples, or neither."""
        one, two = self._root(), other._root()
        if one is not two:
            one._batch |= two._batch
            two._same = one

    def __repr__(self) -> str:
        return "?" if self.size is None else str(self.size)


class Product:
    """A size that is a product of others, of which at least one is not known.

    Parameters
    ----------
    factors : tuple of Dim
        Those not known.
    scale : int
        The product of the others.
    """

    def __init__(self, factors: tuple[Dim, ...], scale: int) -> None:
        self.factors = factors
        self.scale = scale

    def __repr__(self) -> str:
        return " * ".join([*map(str, self.factors), str(self.scale)])


Size = int | Dim | Product
Group = tuple[Dim, ...]


def size_of(group: Sequence[Dim]) -> Size:
    """The size of an axis that is made of others."""
    unknown = tuple(dim for dim in group if dim.size is None)
    scale = math.prod(dim.size for dim in group if dim.size is not None)
    if not unknown:
        return scale
    return unknown[0] if len(unknown) == 1 and scale == 1 else Product(unknown, scale)


def sizes_of(groups: Sequence[Group]) -> list[int | None]:
    """The sizes of axes, None where one is not known."""
    found = [size_of(group) for group in groups]
    return [size if isinstance(size, int) else None for size in found]


class Known:
    """A constant.

    Its numbers may be the same along an axis: then they are kept once, so that a constant of any
    size, or of one that is not known, takes no memory.

    Parameters
    ----------
    data : ndarray
        The numbers; of dtype object where there are sizes among them that are not known.
    shape : sequence of sizes, optional
        Its shape; the axes where `data` is of size 1 may be of any.
    """

    def __init__(self, data: np.ndarray, shape: Sequence[Size] | None = None) -> None:
        self.data = data
        self.shape: tuple[Size, ...] = tuple(data.shape if shape is None else shape)

    @property
    def dtype(self) -> str:
        """The name of the dtype; sizes are int64."""
        return "int64" if self.data.dtype == object else self.data.dtype.name

    @property
    def spread(self) -> list[bool]:
        """For each axis, whether the numbers are the same along it, and kept once."""
        return [n != m for n, m in zip(self.data.shape, self.shape, strict=True)]

    def array(self) -> np.ndarray:
        """All the numbers; a view where they are kept once.

        Raises
        ------
        Undecided
            If there is a size among them or of them that is not known.
        ValueError
            If there are many more than are kept: what becomes of them may need as much memory.
        """
        if self.data.dtype == object:
            if not all(isinstance(entry, int) for entry in self.data.flat):
                raise Undecided
            return np.broadcast_to(self.data.astype(np.int64), self._sizes())
        return np.broadcast_to(self.data, self._sizes())

    def _sizes(self) -> tuple[int, ...]:
        if not all(isinstance(size, int) for size in self.shape):
            raise Undecided
        sizes = tuple(size for size in self.shape if isinstance(size, int))
        if math.prod(sizes) > max(_LARGEST, self.data.size):
            raise ValueError(
                f"a constant of the shape {sizes} is all the same number, and too large"
            )
        return sizes


class Flow:
    """A computed value: a view of what a layer puts out.

    Parameters
    ----------
    source : Source
        The output of the layer.
    groups : sequence of tuple of Dim
        For each axis of the value, the axes of the source that it is made of.
    dtype : str
        Of the value in the file.
    taken : dict, optional
        Where the value is a part of another one: its axes that are gone, and the place on each.
    of : Flow, optional
        The other one.
    """

    def __init__(
        self,
        source: Source,
        groups: Sequence[Group],
        dtype: str,
        taken: dict[Dim, int] | None = None,
        of: Flow | None = None,
    ) -> None:
        self.source = source
        self.groups: tuple[Group, ...] = tuple(groups)
        self.dtype = dtype
        self.taken = taken or {}
        self.of = of

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.groups)

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes of the axes."""
        return tuple(size_of(group) for group in self.groups)

    @property
    def atoms(self) -> list[Dim]:
        """The axes of the source, in the order in which the value has them."""
        return [dim for group in self.groups for dim in group]

    def need(self, axis: int, size: int) -> bool:
        """Whether an axis is of a size; one that the file leaves open is so from now on."""
        group = self.groups[axis]
        unknown = [dim for dim in group if dim.size is None]
        scale = math.prod(dim.size for dim in group if dim.size is not None)
        if len(unknown) == 1 and scale and size % scale == 0:
            unknown[0].fix(size // scale)
        return size_of(group) == size

    def view(self, groups: Sequence[Group]) -> Flow:
        """The same numbers with other axes."""
        return Flow(self.source, groups, self.dtype, self.taken, self.of)

    def cast(self, dtype: str) -> Flow:
        """The same numbers as another dtype."""
        return Flow(self.source, self.groups, dtype, self.taken, self.of)


class Source:
    """One output of a step.

    Attributes
    ----------
    layout : list of tuple of Dim
        The axes of the tensor that a layer gives, each of the axes it is made of; known once the
        layer is made.
    tensor : SymbolicTensor
        That tensor.
    picks : dict
        What else gives parts of it: from places on axes to the source, and which of its axes are
        the same as which here.
    reversed : (Flow, Dim) or None
        The flow and the axis of it that is turned round here.
    kernels : int
        Which weights it was computed with, as bits.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.layout: list[Group] = []
        self.tensor: Any = None
        self.picks: dict[frozenset[tuple[Dim, int]], tuple[Source, dict[Dim, Dim]]] = {}
        self.reversed: tuple[Flow, Dim] | None = None
        self.kernels = 0
        self.fusable: Any = None


# What a step makes: for each output the tensor and its axes, or None for one not needed.
Made = Sequence[tuple[Any, Sequence[Group]] | None]


class Step:
    """What will be one call of a layer, or a few.

    Parameters
    ----------
    title : str
        The node, for errors.
    name : str
        How the layer is to be called.
    inputs : list of Flow
        What it reads.
    outputs : int
        How many outputs it has.
    make : callable
        Given the builder, it makes the layers, and returns for each output the tensor and its
        layout, or None for one that is not needed.
    """

    def __init__(
        self,
        title: str,
        name: str,
        inputs: Sequence[Flow],
        outputs: int,
        make: Callable[[Any], Made],
    ) -> None:
        self.title = title
        self.name = name
        self.inputs = list(inputs)
        self.make = make
        self.outputs = [Source(self) for _ in range(outputs)]
        kernels = 0
        for flow in inputs:
            kernels |= flow.source.kernels
        for source in self.outputs:
            source.kernels = kernels
