"""Operators that only move axes: other views of the same layer's output, mostly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cylstm.saving._onnx._arguments import Arguments, axes_of, axis_of
from cylstm.saving._onnx._building import Builder
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._tensors import dtype_of
from cylstm.saving._onnx._values import Dim, Flow, Group, Made, Product, Size, Undecided, size_of

__all__ = ["MAX_RANK", "MOVING", "alike", "as_one", "merged"]

MAX_RANK = 8


def _identity(a: Arguments, steps: Steps) -> Flow:
    return a.flow(0)


def _cast(a: Arguments, steps: Steps) -> Flow:
    flow, dtype = a.flow(0), dtype_of(a.get("to", None), "what it casts to")
    if dtype == "bool" or dtype == "float16":
        raise ValueError(f"it casts to {dtype}, in which no layer computes")
    return flow.cast(dtype)


def _transpose(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    return flow.view([flow.groups[i] for i in a.order(flow.rank)])


def _unsqueeze(a: Arguments, steps: Steps) -> Flow:
    flow, axes = a.flow(0), axes_of(a, 1)
    rank = flow.rank + len(axes)
    places = {axis_of(axis, rank) for axis in axes}
    if len(places) != len(axes) or rank > MAX_RANK:
        raise ValueError(f"it puts in the axes {axes}, of {rank}")
    groups = list(flow.groups)
    for place in sorted(places):
        groups.insert(place, ())
    return flow.view(groups)


def _squeeze(a: Arguments, steps: Steps) -> Flow:
    flow, axes = a.flow(0), axes_of(a, 1, required=False)
    if axes is None:
        places = {i for i, size in enumerate(flow.shape) if isinstance(size, int) and size == 1}
    else:
        places = {axis_of(axis, flow.rank) for axis in axes}
    for place in places:
        if isinstance(flow.shape[place], Dim):
            flow.groups[place][0].fix(1)  # or the file does not work
        if flow.shape[place] != 1:
            raise ValueError(f"it takes out axis {place} of {flow.shape}, which is not of size 1")
    return flow.view([group for i, group in enumerate(flow.groups) if i not in places])


# ---------------------------------------------------------------------- other shapes


def _reshape(a: Arguments, steps: Steps) -> Flow:
    flow, known = a.flow(0), a.constant(1)
    data = known.data
    if data.ndim != 1 or any(known.spread) or len(data) > MAX_RANK or data.dtype.kind not in "iO":
        raise ValueError("its shape is no list of sizes")
    wanted: list[Size] = list(data.tolist())
    if not a.get("allowzero", 0):
        for i, size in enumerate(wanted):
            if isinstance(size, int) and size == 0:
                if i >= flow.rank:
                    raise ValueError("it copies the size of an axis that is not there")
                wanted[i] = flow.shape[i]
    return _reshaped(flow, wanted, steps)


def _flatten(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    axis = a.get("axis", 1)
    if not -flow.rank <= axis <= flow.rank:
        raise ValueError(f"its axis is {axis}, for {flow.rank} axes")
    axis += flow.rank if axis < 0 else 0
    groups = flow.groups
    return flow.view([merged(groups[:axis]), merged(groups[axis:])])


def merged(groups: Sequence[Group]) -> Group:
    """Several axes as one.

    Examples
    --------
    >>> merged([(Dim(2),), (), (Dim(3), Dim(4))])
    (2, 3, 4)
    """
    return tuple(dim for group in groups for dim in group)


def _reshaped(flow: Flow, wanted: Sequence[Size], steps: Steps) -> Flow:
    """The same numbers, in the same order, with axes of other sizes.

    The axes of the value are dealt out to those wanted, from the first and from the last, and what
    is left over is the one of size -1. Where an axis is to be divided, its parts are new axes.
    """
    rest = sum(1 for size in wanted if isinstance(size, int) and size == -1)
    if rest > 1 or any(isinstance(size, int) and size < -1 for size in wanted):
        raise ValueError(f"its shape is {list(wanted)}")
    wanted, atoms = _settled(flow, wanted), list(flow.atoms)
    middle = next((i for i, n in enumerate(wanted) if isinstance(n, int) and n == -1), None)
    try:
        before = [_dealt(size, atoms, 0) for size in wanted[:middle]]
        if middle is None:
            if any(dim.size != 1 for dim in atoms):
                raise ValueError(f"{flow.shape} does not become {list(wanted)}")
            return flow.view([*before[:-1], (*before[-1], *atoms)] if before else [])
        after = [_dealt(size, atoms, -1) for size in reversed(wanted[middle + 1 :])]
        return flow.view([*before, tuple(atoms), *reversed(after)])
    except _Divided:
        return _divided(flow, wanted, steps)


class _Divided(Exception):
    """An axis is to be divided."""


def _settled(flow: Flow, wanted: Sequence[Size]) -> list[Size]:
    """The sizes with what -1 stands for in its place, where it is one size that is known or not.

    Where there is no -1, the only size that is not known follows from the others.
    """
    sizes = list(wanted)
    place = next((i for i, n in enumerate(sizes) if isinstance(n, int) and n == -1), None)
    named = [n for n in sizes if not isinstance(n, int)]
    if any(isinstance(n, Product) for n in named):
        return sizes
    left = [dim for dim in flow.atoms if dim.size is None and dim not in named]
    have = math.prod(dim.size for dim in flow.atoms if dim.size is not None)
    need = math.prod(n for n in sizes if isinstance(n, int) and n != -1)
    if len(left) + len(named) != sum(dim.size is None for dim in flow.atoms):
        return sizes
    if place is None:
        if len(left) == 1 and have and need % have == 0:
            left[0].fix(need // have)
    elif len(left) == 1 and have == need:
        sizes[place] = left[0]
    elif not left and need and have % need == 0:
        sizes[place] = have // need
    return sizes


def _dealt(size: Size, atoms: list[Dim], end: int) -> Group:
    """The axes at one end of the list that make up a size; they leave the list."""
    if isinstance(size, int) and size == 1:
        return (atoms.pop(end),) if atoms and atoms[end].size == 1 else ()
    found: list[Dim] = []
    unknown = list(size.factors) if isinstance(size, Product) else []
    unknown = [size] if isinstance(size, Dim) else unknown
    scale = size.scale if isinstance(size, Product) else size if isinstance(size, int) else 1
    while unknown or scale != 1:
        if not atoms:
            raise ValueError("its shape needs more numbers than there are")
        dim = atoms.pop(end)
        if dim.size is None and not unknown:
            # Exporters leave numbers behind of the sequence that they traced.
            beside = atoms[end].size if atoms else None
            if beside is not None and beside != 1 and scale % beside == 0:
                raise Undecided
            dim.fix(scale)
        if dim.size is None:
            # Which of several is taken does not matter: they are in one axis.
            unknown.remove(dim) if dim in unknown else unknown.pop()
        else:
            if dim.size == 0 or scale % dim.size:
                raise _Divided
            scale //= dim.size
        found.append(dim)
    return tuple(found if end == 0 else reversed(found))


def _divided(flow: Flow, wanted: Sequence[Size], steps: Steps) -> Flow:
    """A reshape that divides axes: a layer of its own for the axes after those of samples."""
    head = 0
    atoms = list(flow.atoms)
    groups: list[Group] = []
    # As long as axes stay whole, they are the same; the axis of samples has to be among these.
    while head < len(wanted):
        left = list(atoms)
        size = wanted[head]
        if isinstance(size, int) and size == -1:
            if head or not left or left[0].size is not None:
                break
            left.pop(0)  # for now: that this is right is checked below
            groups.append((atoms[0],))
        else:
            try:
                groups.append(_dealt(size, left, 0))
            except (_Divided, ValueError):
                break
        atoms, head = left, head + 1
    total = [dim.size for dim in atoms]
    sizes = [size if isinstance(size, int) else None for size in wanted[head:]]
    if None in total or None in sizes or not groups:
        raise ValueError(f"{flow.shape} does not become {list(wanted)} sample by sample")
    count = math.prod(n for n in total if n is not None)
    known = math.prod(n for n in sizes if n is not None and n != -1)
    if -1 in sizes:
        if not known or count % known:
            raise ValueError(f"{flow.shape} does not become {list(wanted)}")
        sizes[sizes.index(-1)] = count // known
    elif known != count:
        raise ValueError(f"{flow.shape} does not become {list(wanted)}")
    parts = [(Dim(size),) for size in sizes]

    def make(b: Builder) -> Made:
        lead = [(dim,) for group in groups for dim in group]
        batch = b.batch(flow)
        first = [(batch,), *(group for group in lead if group[0] is not batch)]
        tensor = b.arranged(flow, [*first, tuple(atoms)])
        tensor = b.divided(tensor, [*first, *parts], flow.dtype)
        return [(tensor, [*first, *parts])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*groups, *parts], flow.dtype)


def as_one(flow: Flow, axis: int, steps: Steps) -> Flow:
    """The value with one axis that was made of several as an axis of its own."""
    group = flow.groups[axis]
    if len(group) == 1:
        return flow
    size = size_of(group)
    dim = Dim(size if isinstance(size, int) else None)

    def make(b: Builder) -> Made:
        tensor, layout = b.native(flow)
        if group not in layout:
            layout = b.standard(flow)
            tensor = b.arranged(flow, layout)
        if group not in layout:
            raise ValueError("it puts the axis of samples together with others")
        return [(tensor, [(dim,) if g == group else g for g in layout])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)


def alike(one: Flow, two: Flow, steps: Steps, but: int | None = None) -> tuple[Flow, Flow]:
    """Two values of as many axes, with axes of the same parts, but for one axis.

    An axis of size 1 may stand against any other.
    """
    for i in range(one.rank):
        g, h = one.groups[i], two.groups[i]
        if i != but and len(g) != len(h) and one.shape[i] != 1 and two.shape[i] != 1:
            one, two = as_one(one, i, steps), as_one(two, i, steps)
    return one, two


MOVING: dict[str, Callable[[Arguments, Steps], Flow]] = {
    "Cast": _cast,
    "Flatten": _flatten,
    "Identity": _identity,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
