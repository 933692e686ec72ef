"""Operators that take parts of values, and join, repeat and pad them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cylstm.layers import Concatenate, Embedding, RepeatVector, ZeroPadding1D
from cylstm.saving._onnx._arguments import Arguments, axis_of, slices_of
from cylstm.saving._onnx._building import Builder, in_layout
from cylstm.saving._onnx._layers import OnnxConstant, OnnxSlice, OnnxTake
from cylstm.saving._onnx._moving import MAX_RANK, alike, as_one, merged
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._values import Dim, Flow, Known, Made, Size, size_of

__all__ = ["PARTS", "constant_tensor", "padded", "sliced", "taken"]
_LARGEST = 2**31  # of numbers that say how large a result is


def _place(index: int, dim: Dim) -> int:
    return index if dim.size is None else index % dim.size


def taken(flow: Flow, axis: int, index: int, steps: Steps) -> Flow:
    """What stands at one place of an axis, which is then of size 1.

    Where a layer gives just that as an output of its own, such as the last of a sequence, it is
    that output.
    """
    group = flow.groups[axis]
    groups = [*flow.groups[:axis], (), *flow.groups[axis + 1 :]]
    size = size_of(group)
    if isinstance(size, int):
        if not -size <= index < size:
            raise ValueError(f"it takes {index} of an axis of size {size}")
        if size == 1:
            return flow.view(groups)
    if len(group) != 1:
        return taken(as_one(flow, axis, steps), axis, index, steps)
    (dim,) = group
    whole = flow.of or flow
    places = {**flow.taken, dim: _place(index, dim)}
    found = whole.source.picks.get(frozenset(places.items()))
    if found is not None:
        source, same = found
        return Flow(source, [tuple(same.get(d, d) for d in group) for group in groups], flow.dtype)

    def make(b: Builder) -> Made:
        if dim.is_batch:
            raise ValueError("it takes one of the samples")
        tensor, layout = b.native(flow)
        if (dim,) not in layout:
            layout = b.standard(flow)
            layout = [*(g for g in layout if dim not in g), (dim,)]
            tensor = b.arranged(flow, layout)
        place = layout.index((dim,))
        layer = b.layer(OnnxTake, place, index, dtype=_float(flow))
        return [(layer(tensor), layout[:place] + layout[place + 1 :])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, groups, flow.dtype, places, whole)


def _float(flow: Flow) -> str:
    """The dtype of a layer that only moves numbers."""
    if flow.dtype not in ("float32", "float64"):
        raise ValueError(f"it moves numbers of dtype {flow.dtype}; layers compute with floats")
    return flow.dtype


def sliced(flow: Flow, axis: int, part: slice, steps: Steps) -> Flow:
    """A part of an axis."""
    size = size_of(flow.groups[axis])
    step = part.step
    if part.start == 0 and part.stop is None and step == 1:
        return flow
    if part == slice(None, None, -1) and flow.source.reversed is not None:
        whole, turned = flow.source.reversed  # and turned back
        if flow.groups[axis] == (turned,):
            own = next(g for g in whole.groups if len(g) == 1 and g[0] not in flow.atoms)
            return whole.view([*flow.groups[:axis], own, *flow.groups[axis + 1 :]])
    if isinstance(size, int):
        places = range(size)[part]
        if len(places) == size and step == 1:
            return flow
        if len(places) == 1:
            return taken(flow, axis, places[0], steps)
        length: int | None = len(places)
    else:
        if part in (slice(-1, None, 1), slice(0, 1, 1)):
            return taken(flow, axis, part.start, steps)
        length = None
    dim = Dim(length)
    group = flow.groups[axis]

    def make(b: Builder) -> Made:
        if any(d.is_batch for d in group):
            raise ValueError("it takes some of the samples")
        tensor, layout = b.native(flow)
        if group not in layout:
            layout = [*(g for g in b.standard(flow) if g != group), group]
            tensor = b.arranged(flow, layout)
        place = layout.index(group)
        layer = b.layer(OnnxSlice, place, part.start, part.stop, step, dtype=_float(flow))
        return [(layer(tensor), [*layout[:place], (dim,), *layout[place + 1 :]])]

    (source,) = steps.add([flow], 1, make)
    found = Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)
    if step == -1 and part.start is None and part.stop is None and len(group) == 1:
        source.reversed = (flow, dim)
        dim.size = group[0].size
    return found


def _slice(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    for axis, part in slices_of(a, flow.rank):
        flow = sliced(flow, axis, part, steps)
    return flow


def _split(a: Arguments, steps: Steps) -> list[Flow]:
    flow = a.flow(0)
    axis = axis_of(a.get("axis", 0), flow.rank)
    size = flow.shape[axis]
    if not isinstance(size, int):
        raise ValueError("it divides an axis whose size is not known")
    sizes = a.integers(1, "split")
    if sizes is None:
        number = len(a.node.output)
        whole = -(-size // number)
        sizes = [max(0, min(whole, size - i * whole)) for i in range(number)]
    if min(sizes) < 0 or sum(sizes) != size:
        raise ValueError(f"it divides an axis of size {size} into {sizes}")
    ends = np.cumsum(sizes).tolist()
    return [
        sliced(flow, axis, slice(end - n, end, 1), steps)
        for n, end in zip(sizes, ends, strict=True)
    ]


def _gather(a: Arguments, steps: Steps) -> Flow:
    if isinstance(a.input(0), Known):
        return _embedded(a, steps)
    flow, indices = a.flow(0), a.constant(1).array()
    axis = axis_of(a.get("axis", 0), flow.rank)
    if indices.dtype.kind not in "iu" or indices.ndim > 1 or indices.size > 2**16:
        raise ValueError(f"it takes places given as {indices.dtype} of {indices.shape}")
    if indices.size == 1:
        found = taken(flow, axis, int(indices.reshape(-1)[0]), steps)
        if indices.ndim:
            return found
        return found.view([g for i, g in enumerate(found.groups) if i != axis])
    group, places = flow.groups[axis], [int(n) for n in indices]
    dim = Dim(len(places))

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        layer = b.layer(OnnxTake, len(layout) - 1, places, dtype=_float(flow))
        return [(layer(tensor), [*layout[:-1], (dim,)])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)


def _embedded(a: Arguments, steps: Steps) -> Flow:
    known, flow = a.constant(0), a.flow(1)
    table = known.array()
    if table.ndim != 2 or axis_of(a.get("axis", 0), 2) != 0 or table.dtype.kind != "f":
        raise ValueError(f"it looks numbers up in {table.dtype} of {table.shape}")
    if not flow.dtype.startswith(("int", "uint")):
        raise ValueError(f"it looks up places given as {flow.dtype}")
    dim, key = Dim(table.shape[1]), steps.keep(known)

    def make(b: Builder) -> Made:
        tensor, layout = b.native(flow)
        layer = b.shared.get(key)
        if layer is None:
            layer = b.shared[key] = b.layer(Embedding, *table.shape, dtype=known.dtype)
        return [(b.call(layer, tensor, [table]), [*layout, (dim,)])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups, (dim,)], known.dtype)


# ---------------------------------------------------------------------- joining


def _concat(a: Arguments, steps: Steps) -> Flow:
    values = list(a.inputs)
    flows = [value for value in values if isinstance(value, Flow)]
    first = flows[0]
    rank = first.rank
    axis = axis_of(a.get("axis", None), rank)
    if any(value is None or len(value.shape) != rank for value in values):
        raise ValueError("it joins values with different numbers of axes")
    if len(values) == 1:
        return first
    again = _together_again(values, axis)
    if again is not None:
        return again
    for i, value in enumerate(values):
        if isinstance(value, Flow) and value is not first:
            first, values[i] = alike(first, value, steps, axis)
            _match(first, values[i], {axis})
    values = [first if value is flows[0] else value for value in values]
    flows = [value for value in values if isinstance(value, Flow)]
    sizes = [value.shape[axis] for value in values]
    known = all(isinstance(size, int) for size in sizes)
    dim = Dim(sum(sizes) if known else None)

    def make(b: Builder) -> Made:
        order = _order(b, first, axis)
        joined = {i: flow.groups for i, flow in enumerate(values) if isinstance(flow, Flow)}
        tensors = {
            i: b.arranged(values[i], [groups[k] for k in order]) for i, groups in joined.items()
        }
        anchor = next(iter(tensors.values()))
        for i, value in enumerate(values):
            if isinstance(value, Known):
                own = Dim(sizes[i])
                groups = [*first.groups[:axis], (own,), *first.groups[axis + 1 :]]
                layout = [groups[k] for k in order]
                data = in_layout(value.data, groups, layout)
                inner: Any = [size_of(group) for group in layout[1:]]
                data = np.broadcast_to(data, inner)
                tensors[i] = constant_tensor(b, data, anchor, first.dtype)
        layer = b.layer(Concatenate, order.index(axis), dtype=_float(first))
        found = layer([tensors[i] for i in range(len(values))])
        return [(found, [(dim,) if k == axis else first.groups[k] for k in order])]

    (source,) = steps.add(flows, 1, make)
    if known and all(size == 1 for size in sizes) and len(flows) == len(values):
        for i, flow in enumerate(flows):
            one, two = _without(first, axis), _without(flow, axis)
            if len(one) == len(two):
                same = dict(zip(one, two, strict=True))
                source.picks[frozenset({(dim, i)})] = (flow.source, same)
    return Flow(source, [*first.groups[:axis], (dim,), *first.groups[axis + 1 :]], first.dtype)


def _without(flow: Flow, axis: int) -> list[Dim]:
    return [dim for i, group in enumerate(flow.groups) if i != axis for dim in group]


def _order(b: Builder, flow: Flow, axis: int) -> list[int]:
    """The axes of a value, without others of size 1, in the order in which it lies there.

    If it does not lie so: the axis of samples, then the others as in the file.
    """
    kept = [i for i, group in enumerate(flow.groups) if group or i == axis]
    native = b.native(flow)[1]
    if len(native) == len(kept) and all(flow.groups[i] in native for i in kept):
        return sorted(kept, key=lambda i: native.index(flow.groups[i]))
    batch = (b.batch(flow),)
    return sorted(kept, key=lambda i: flow.groups[i] != batch)


def _together_again(values: Sequence[Any], axis: int) -> Flow | None:
    """The value whose parts are joined, if they are: directions of a sequence, side by side."""
    whole = values[0].of if isinstance(values[0], Flow) else None
    if whole is None or len(values[0].taken) != 1:
        return None
    ((dim, _),) = values[0].taken.items()
    for i, value in enumerate(values):
        parts = isinstance(value, Flow) and value.of is whole and value.taken == {dim: i}
        if not parts or value.groups != values[0].groups:
            return None
    if dim.size != len(values):
        return None
    groups = list(values[0].groups)
    groups[axis] = (dim, *groups[axis])
    return whole.view(groups)


def _match(one: Flow, two: Flow, but: set[int]) -> None:
    """Check that two values have the same axes, but for some, and join those of samples."""
    for i, (a, b) in enumerate(zip(one.groups, two.groups, strict=True)):
        if i in but:
            continue
        if len(a) != len(b):
            raise ValueError(f"values of {one.shape} and {two.shape} have axes put together")
        for d, e in zip(a, b, strict=True):
            if None not in (d.size, e.size) and d.size != e.size:
                raise ValueError(f"values of {one.shape} and {two.shape} do not fit")
            d.join(e)


def constant_tensor(b: Builder, data: np.ndarray, anchor: Any, dtype: str) -> Any:
    """A constant as a tensor, the same for every sample of another one."""
    layer = b.layer(OnnxConstant, list(data.shape), dtype=dtype)
    return b.call(layer, anchor, [data])


def _expand(a: Arguments, steps: Steps) -> Flow:
    flow = a.flow(0)
    return _repeated(flow, a.constant(1).data.tolist(), steps, tiled=False)


def _tile(a: Arguments, steps: Steps) -> Flow:
    flow, repeats = a.flow(0), a.constant(1).data.tolist()
    return _repeated(flow, repeats, steps, tiled=True)


def _repeated(flow: Flow, wanted: list[Size], steps: Steps, tiled: bool) -> Flow:
    """The value repeated along axes of size 1."""
    if len(wanted) > MAX_RANK or any(isinstance(n, int) and n < 0 for n in wanted):
        raise ValueError(f"its shape is {wanted}")
    flow = flow.view([()] * (len(wanted) - flow.rank) + list(flow.groups))
    wanted = [1] * (flow.rank - len(wanted)) + wanted
    for axis, (size, n) in enumerate(zip(flow.shape, wanted, strict=True)):
        if isinstance(n, int) and n == 1 or not tiled and n is size:
            continue
        if isinstance(n, int) and isinstance(size, int) and not tiled and n == size:
            continue
        if not isinstance(size, int) or size != 1 or not isinstance(n, int):
            if not tiled and not isinstance(size, int):
                if isinstance(n, int) and not flow.need(axis, n):
                    raise ValueError(f"it repeats {flow.shape} to {wanted}")
                continue
            raise ValueError(f"it repeats {flow.shape} to {wanted}")
        flow = _repeated_along(flow, axis, n, steps)
    return flow


def _repeated_along(flow: Flow, axis: int, n: int, steps: Steps) -> Flow:
    if n > _LARGEST:
        raise ValueError(f"it repeats a value {n} times")
    dim = Dim(n)

    def make(b: Builder) -> Made:
        layout = b.standard(flow)
        rest = merged(layout[1:])
        tensor = b.arranged(flow, [layout[0], rest])
        layer = b.layer(RepeatVector, n, dtype=_float(flow))
        return [(layer(tensor), [layout[0], (dim,), rest])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)


def _pad(a: Arguments, steps: Steps) -> Flow:
    flow, pads = a.flow(0), a.integers(1, "pads")
    value, axes = a.number(2, "value", 0.0), a.integers(3, "axes")
    axes = list(range(flow.rank)) if axes is None else axes
    mode = a.get("mode", "constant")
    if mode not in ("constant", "reflect") or value:
        raise ValueError(f"it pads with {value} or by the mode {mode!r}")
    if pads is None or len(pads) != 2 * len(axes) or min(pads) < 0:
        raise ValueError(f"its pads are {pads}, for the axes {axes}")
    for i, axis in enumerate(axes):
        before, after = pads[i], pads[i + len(axes)]
        if before or after:
            pad = padded if mode == "constant" else _reflected
            flow = pad(flow, axis_of(axis, flow.rank), before, after, steps)
    return flow


def _reflected(flow: Flow, axis: int, before: int, after: int, steps: Steps) -> Flow:
    """What there is along an axis, with its ends reflected in the first and the last."""
    size, group = size_of(flow.groups[axis]), flow.groups[axis]
    last = size - 1 if isinstance(size, int) else None
    if isinstance(size, int) and max(before, after) >= size:
        raise ValueError(f"it reflects {before} and {after} places of {size}")
    dim = Dim(size + before + after if isinstance(size, int) else None)

    def make(b: Builder) -> Made:
        tensor, layout = b.with_last(flow, group)
        place, dtype = len(layout) - 1, _float(flow)
        parts = [tensor]
        if before:
            parts.insert(0, b.layer(OnnxSlice, place, before, 0, -1, dtype=dtype)(tensor))
        if after:
            end = None if after == last else -after - 2
            parts.append(b.layer(OnnxSlice, place, -2, end, -1, dtype=dtype)(tensor))
        return [(b.layer(Concatenate, -1, dtype=dtype)(parts), [*layout[:-1], (dim,)])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)


def padded(flow: Flow, axis: int, before: int, after: int, steps: Steps) -> Flow:
    """Zeros before and after what there is along an axis."""
    size = size_of(flow.groups[axis])
    if max(before, after) > _LARGEST:
        raise ValueError(f"it pads with {before} and {after} zeros")
    dim = Dim(size + before + after if isinstance(size, int) else None)
    group = flow.groups[axis]

    def make(b: Builder) -> Made:
        rest = merged([g for g in b.standard(flow)[1:] if g != group])
        batch = (b.batch(flow),)
        tensor = b.arranged(flow, [batch, group, rest])
        layer = b.layer(ZeroPadding1D, (before, after), dtype=_float(flow))
        return [(layer(tensor), [batch, (dim,), rest])]

    (source,) = steps.add([flow], 1, make)
    return Flow(source, [*flow.groups[:axis], (dim,), *flow.groups[axis + 1 :]], flow.dtype)


def _reverse_sequence(a: Arguments, steps: Steps) -> Flow:
    """All sequences turned round as a whole; not each by a length of its own."""
    flow, lengths = a.flow(0), a.constant(1)
    batch, time = axis_of(a.get("batch_axis", 1), flow.rank), axis_of(a.get("time_axis", 0), 2)
    size = flow.shape[time]
    if batch == time or any(
        entry is not size and not (isinstance(size, int) and entry == size)
        for entry in lengths.data.flat
    ):
        raise ValueError("it turns sequences round by lengths of their own, which is not read")
    return sliced(flow, time, slice(None, None, -1), steps)


PARTS: dict[str, Callable[[Arguments, Steps], Flow | list[Flow]]] = {
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Pad": _pad,
    "ReverseSequence": _reverse_sequence,
    "Slice": _slice,
    "Split": _split,
    "Tile": _tile,
}
