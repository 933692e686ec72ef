"""From the steps of a graph to layers: what is needed is made, in order, samples first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cylstm.layers import Permute, Reshape
from cylstm.saving._limits import Limits, check_count
from cylstm.saving._onnx._values import Dim, Flow, Group, Source, Step, sizes_of
from cylstm.saving._weights import unused_name

__all__ = ["Builder"]

_FLOATS = ("float32", "float64")
_LARGEST = 2**20  # numbers of a constant that is repeated


class Builder:
    """Makes the layers of steps, and arranges the axes of what goes from one to the next.

    Parameters
    ----------
    steps : list of Step
        In an order in which each comes after those that it reads.
    outputs : list of Flow
        What is needed.
    limits : Limits
        How many layers there may be.
    """

    def __init__(self, steps: Sequence[Step], outputs: Sequence[Flow], limits: Limits) -> None:
        self._limits = limits
        self._names: set[str] = set()
        self._arranged: dict[Any, Any] = {}
        self._numbers: dict[str, int] = {}
        self._step = ""
        self.shared: dict[Any, Any] = {}  # layers that are called again, by their weights
        self._wanted = {id(flow.source) for flow in outputs}
        needed = []
        for step in reversed(steps):
            if any(id(source) in self._wanted for source in step.outputs):
                needed.append(step)
                self._wanted |= {id(flow.source) for flow in step.inputs}
        for step in reversed(needed):
            self._make(step)

    def _make(self, step: Step) -> None:
        self._step = step.name
        try:
            results = step.make(self)
            for source, result in zip(step.outputs, results, strict=True):
                if result is not None:
                    source.tensor, source.layout = result[0], list(result[1])
        except ValueError as error:
            raise ValueError(f"{step.title}: {error}") from None

    def wanted(self, source: Source) -> bool:
        """Whether an output is read by anything."""
        return id(source) in self._wanted

    def layer(self, cls: Any, *arguments: Any, dtype: str = "float32", **options: Any) -> Any:
        """A new layer, with a name of its own."""
        if dtype not in _FLOATS:
            raise ValueError(f"it computes with {dtype}; layers compute with float32 and float64")
        return cls(*arguments, name=self.name(), dtype=dtype, **options)

    def name(self) -> str:
        """A name for the next layer: that of the node, with a number where it is used already."""
        name = unused_name(self._step or "layer", self._names, self._numbers)
        self._names.add(name)
        check_count(len(self._names), self._limits.objects, "the graph becomes {} layers")
        return name

    def call(self, layer: Any, inputs: Any, weights: Iterable[np.ndarray] = (), **more: Any) -> Any:
        """What a layer gives; on its first call it gets its weights."""
        outputs = layer(inputs, **more)
        arrays = list(weights)
        if arrays:
            layer.set_weights(arrays)
        return outputs

    # ------------------------------------------------------------------ axes

    def batch(self, flow: Flow) -> Dim:
        """The axis of samples of a value.

        Raises
        ------
        ValueError
            If it has none, or it is not known which it is.
        """
        found = [dim for dim in flow.atoms if dim.is_batch]
        if len(found) != 1:
            raise ValueError(
                f"a value has {len(found)} axes of samples, so it is not made sample by sample: "
                "export the model with one axis for samples, which keeps its place"
            )
        if found[0].fixed:
            raise ValueError(
                f"it works for {found[0].size} samples only: export the model for any number"
            )
        return found[0]

    def native(self, flow: Flow) -> tuple[Any, list[Group]]:
        """The tensor that a value is a view of, as it is."""
        self.batch(flow)
        return flow.source.tensor, flow.source.layout

    def standard(self, flow: Flow) -> list[Group]:
        """The layout in which the samples come first, and the other axes as in the file."""
        batch = self.batch(flow)
        rest = [tuple(d for d in group if d is not batch) for group in flow.groups]
        return [(batch,), *(group for group in rest if group)]

    def with_last(self, flow: Flow, last: Group) -> tuple[Any, list[Group]]:
        """The tensor with some axes as its last one, and the layout.

        Raises
        ------
        ValueError
            If the axis of samples is among them.
        """
        if any(dim.is_batch for dim in last):
            raise ValueError("it computes over the axis of samples")
        tensor, layout = self.native(flow)
        if layout[-1] == last and last:
            return tensor, layout
        rest = [group for group in self.standard(flow) if group != last]
        if last and any(set(group) & set(last) for group in rest):
            gone = set(last)
            rest = [kept for g in rest if (kept := tuple(d for d in g if d not in gone))]
        wanted = [*rest, last]
        return self.arranged(flow, wanted), wanted

    def arranged(self, flow: Flow, layout: Sequence[Group]) -> Any:
        """The tensor of a value, with these axes, of which the first is that of samples."""
        wanted = list(layout)
        if self.batch(flow) not in wanted[0] or len(wanted[0]) != 1:
            raise ValueError("it puts the axis of samples together with others")
        tensor, native = flow.source.tensor, flow.source.layout
        if native == wanted:
            return tensor
        key = (id(flow.source), tuple(wanted))
        if key not in self._arranged:
            self._arranged[key] = self._moved(tensor, native, wanted, flow.dtype)
        return self._arranged[key]

    def _moved(self, tensor: Any, native: list[Group], wanted: list[Group], dtype: str) -> Any:
        before, after = _counting(native), _counting(wanted)
        if len(before) != len(after) or set(before) != set(after):
            raise ValueError("it leaves out a part of an axis that is needed as a whole")
        dtype = dtype if dtype in _FLOATS else "float32"
        if before != after:
            apart: list[Group] = [(dim,) for dim in before]
            tensor = self._reshaped(tensor, native, apart, dtype)
            order = tuple(before.index(dim) for dim in after)[1:]
            tensor = self.layer(Permute, order, dtype=dtype)(tensor)
            native = [(dim,) for dim in after]
        return self._reshaped(tensor, native, wanted, dtype)

    def _reshaped(self, tensor: Any, native: list[Group], wanted: list[Group], dtype: str) -> Any:
        """The tensor with the same numbers in the same order, as other axes."""
        if list(map(_counted, native)) == list(map(_counted, wanted)):
            return tensor
        return self.divided(tensor, wanted, dtype)

    def divided(self, tensor: Any, groups: Sequence[Group], dtype: str) -> Any:
        """The tensor with the same numbers in the same order, as other axes; new ones, too."""
        sizes = sizes_of(groups[1:])
        if sizes.count(None) > 1:
            raise ValueError(f"it needs the axes {sizes}, of which at most one may be of any size")
        target = [-1 if size is None else size for size in sizes]
        return self.layer(Reshape, target, dtype=dtype)(tensor)


def _counted(group: Group) -> list[Dim]:
    """The axes that numbers are counted along: those of size 1 are left out."""
    return [dim for dim in group if dim.size != 1 or dim.is_batch]


def _counting(groups: Sequence[Group]) -> list[Dim]:
    return [dim for group in groups for dim in _counted(group)]


def in_layout(data: np.ndarray, groups: Sequence[Group], layout: Sequence[Group]) -> np.ndarray:
    """A constant that goes with a value, as it goes with a tensor of that value.

    Parameters
    ----------
    data : ndarray
        With one axis for each axis of the value, of its size or 1.
    groups : sequence of tuple of Dim
        The axes of the value.
    layout : sequence of tuple of Dim
        Those of the tensor.

    Returns
    -------
    ndarray
        Without an axis of samples.

    Raises
    ------
    ValueError
        If it is another one for each sample.
    """
    own_sizes: list[int] = []
    places: dict[Dim, int] = {}
    for size, group in zip(data.shape, groups, strict=True):
        for dim in group:
            places[dim] = len(own_sizes)
            own_sizes.append(size if size == 1 or len(group) == 1 else dim.size or 1)
        if not group:
            own_sizes.append(size)
    array = data.reshape(own_sizes)
    (batch,) = layout[0]
    if array.shape[places[batch]] > 1:
        first = np.take(array, [0], places[batch])
        if not np.array_equal(np.broadcast_to(first, array.shape), array):
            raise ValueError("it has a constant that differs from sample to sample")
        array = first
    atoms = [dim for group in layout for dim in group if dim in places]
    rest = [i for i in range(array.ndim) if i not in {places[dim] for dim in atoms}]
    array = array.transpose([places[dim] for dim in atoms] + rest)
    array = array.reshape(array.shape[: len(atoms)])  # the rest is of size 1
    found: list[tuple[list[int], list[Any]]] = []
    for group in layout:
        own = [array.shape[atoms.index(dim)] if dim in places else 1 for dim in group]
        spread = set(own) <= {1}
        found.append((own, [1] * len(own) if spread else [dim.size for dim in group]))
    sizes = [n for _, full in found for n in full]
    if None in sizes or math.prod(sizes) > max(_LARGEST, data.size):
        raise ValueError("it has a constant that is repeated along too large an axis")
    array = array.reshape([n for own, _ in found for n in own])
    whole = np.broadcast_to(array, sizes).reshape([math.prod(full) for _, full in found])
    return np.asarray(whole[0])
