"""The operator LSTM of ONNX as layers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cylstm.layers import LSTM, Bidirectional, Concatenate
from cylstm.saving._onnx._arguments import Arguments
from cylstm.saving._onnx._building import Builder
from cylstm.saving._onnx._computing import hard_sigmoid_name
from cylstm.saving._onnx._layers import OnnxLengthsMask, OnnxSlice, OnnxZeroPastEnd
from cylstm.saving._onnx._parts import constant_tensor, sliced, taken
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._values import Dim, Flow, Group, Known, Made, Source

__all__ = ["GATES", "lstm"]

GATES = (0, 2, 3, 1)  # where ONNX, which has them as i, o, f, c, has the gates i, f, c, o

_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_ATTRIBUTES = (
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "input_forget",
    "layout",
    "output_sequence",
)


class _Plan(NamedTuple):
    """What an LSTM node is, checked."""

    units: int
    direction: str
    activation: str
    recurrent_activation: str
    weights: list[list[np.ndarray]]  # of each direction: kernel, recurrent kernel, bias
    x: Flow
    states: list[list[Any]]  # of each direction: h and c, as Flow, Known or None
    lengths: Flow | None
    dtype: str
    use_bias: bool
    key: tuple[int, ...]  # whose weights they are


def lstm(a: Arguments, steps: Steps) -> list[Flow]:
    """The outputs Y, Y_h and Y_c of a node.

    Raises
    ------
    ValueError
        If it has what no layer has: peepholes, clip, input_forget, ...
    """
    a.refuse_others(*_ATTRIBUTES)
    direction, layout = a.get("direction", "forward"), a.get("layout", 0)
    if direction not in _DIRECTIONS or layout not in (0, 1):
        raise ValueError(f"its direction is {direction!r} and its layout {layout}")
    _refuse_variants(a)
    x = a.flow(0)
    if x.rank != 3:
        raise ValueError(f"its input has the shape {x.shape}, and must have three axes")
    if layout:
        x = x.view([x.groups[1], x.groups[0], x.groups[2]])
    if len(x.groups[1]) != 1:
        raise ValueError("its input has no axis for samples: export the model with one")
    (batch,) = x.groups[1]
    batch.mark_batch()
    weights, units = _weights(a, x, _DIRECTIONS[direction])
    recurrent, activation = _activations(a, _DIRECTIONS[direction])
    lengths = _lengths(a, x, batch)
    if direction == "forward" and x.source.reversed is not None and lengths is None:
        x, direction = _turned(x)
    plan = _Plan(
        units, direction, activation, recurrent, weights, x,
        _states(a, units, batch, layout, len(weights), steps),
        lengths, x.dtype, a.input(3) is not None,
        tuple(steps.keep(a.constant(i)) for i in range(1, len(a.inputs[:4])) if a.input(i)),
    )  # fmt: skip
    return _outputs(plan, layout, batch, steps)


def _turned(x: Flow) -> tuple[Flow, str]:
    """A sequence that was turned round, as it was before, to be read from its end."""
    before, dim = x.source.reversed or (x, None)
    atoms = {d: d for d in before.atoms}
    axis = next((i for i, g in enumerate(x.groups) if g == (dim,)), None)
    own = [g for g in before.groups if len(g) == 1 and g[0] not in x.atoms]
    if axis != 0 or len(own) != 1 or not all(d in atoms or d is dim for d in x.atoms):
        return x, "forward"
    return before.view([own[0], *x.groups[1:]]), "from_end"


def _refuse_variants(a: Arguments) -> None:
    if a.get("input_forget", 0):
        raise ValueError("it couples the input and forget gates (input_forget=1): no layer does")
    clip = a.get("clip", None)
    if clip is not None and clip > 0:
        raise ValueError(f"it clips what goes into its activations (clip={clip}): no layer does")
    peepholes = a.input(7)
    if peepholes is not None and a.constant(7).data.any():
        raise ValueError("it has peephole connections (its input P): no layer has")


def _weights(a: Arguments, x: Flow, directions: int) -> tuple[list[list[np.ndarray]], int]:
    w, r = a.constant(1).array(), a.constant(2).array()
    units = r.shape[-1] if r.ndim == 3 else 0
    if not units or r.shape != (directions, 4 * units, units):
        raise ValueError(f"its R has the shape {r.shape}, of {directions} directions")
    if w.ndim != 3 or w.shape[:2] != r.shape[:2] or not x.need(2, w.shape[2]):
        raise ValueError(f"its W has the shape {w.shape}, its R {r.shape}, its input {x.shape}")
    if a.get("hidden_size", units) != units:
        raise ValueError(f"its hidden_size is {a.get('hidden_size', units)}, and R has {units}")
    if a.input(3) is None:
        b = np.zeros((directions, 8 * units), w.dtype)
    else:
        b = a.constant(3).array()
    if b.shape != (directions, 8 * units):
        raise ValueError(f"its B has the shape {b.shape}, expected {(directions, 8 * units)}")
    if not x.dtype == w.dtype == r.dtype == b.dtype or w.dtype not in ("float32", "float64"):
        raise ValueError(f"it computes with {x.dtype} and {w.dtype}; layers with float32, float64")
    found = []
    for wi, ri, bi in zip(w, r, b, strict=True):
        both = bi[: 4 * units] + bi[4 * units :]
        found.append([_in_order(wi).T, _in_order(ri).T, _in_order(both)])
    return found, units


def _in_order(gates: np.ndarray) -> np.ndarray:
    parts = np.split(gates, 4)
    return np.concatenate([parts[i] for i in GATES])


# ---------------------------------------------------------------------- activations

_PLAIN = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
}
# Those with numbers: how many, their defaults, and the name for them.
_WITH_NUMBERS = {
    "affine": ((1.0, 0.0), lambda a, b: "linear" if (a, b) == (1, 0) else None),
    "elu": ((1.0,), lambda a: "elu" if a == 1 else None),
    "hardsigmoid": ((0.2, 0.5), hard_sigmoid_name),
    "leakyrelu": ((0.01,), lambda a: "relu" if a == 0 else "linear" if a == 1 else None),
    "scaledtanh": ((1.0, 1.0), lambda a, b: "tanh" if (a, b) == (1, 1) else None),
    "thresholdedrelu": ((1.0,), lambda a: "relu" if a == 0 else None),
}


def _activations(a: Arguments, directions: int) -> tuple[str, str]:
    """The names of the recurrent activation and the activation."""
    given = a.get("activations", ("Sigmoid", "Tanh", "Tanh") * directions)
    if len(given) != 3 * directions:
        raise ValueError(f"its activations are {list(given)}, of {directions} directions")
    alphas, betas = list(a.get("activation_alpha", ())), list(a.get("activation_beta", ()))
    names = [_name_of(str(name), alphas, betas) for name in given]
    f, g, h = names[:3]
    if g != h:
        raise ValueError(
            f"it has the activations {list(given)}: of a layer, those of the cell input and of "
            "the output are the same"
        )
    if names != [f, g, h] * directions:
        raise ValueError(f"it has the activations {list(given)}, different ones by direction")
    return f, g


def _name_of(name: str, alphas: list[Any], betas: list[Any]) -> str:
    known = _PLAIN.get(name.lower())
    if known is not None:
        return known
    if name.lower() not in _WITH_NUMBERS:
        raise ValueError(f"it has the activation {name!r}, which no layer has")
    defaults, find = _WITH_NUMBERS[name.lower()]
    # As ONNX Runtime reads them: each list is used up by those activations that need a number.
    numbers = [
        values.pop(0) if values else default
        for values, default in zip((alphas, betas), defaults, strict=False)
    ]
    found: str | None = find(*numbers)  # type: ignore[operator]  # numbers of the right count
    if found is None:
        raise ValueError(f"it has the activation {name} with {numbers}, which no layer has")
    return found


# ---------------------------------------------------------------------- states and lengths


def _lengths(a: Arguments, x: Flow, batch: Dim) -> Flow | None:
    value = a.input(4)
    if value is None:
        return None
    if isinstance(value, Known):
        time = x.shape[0]
        if all(n is time or isinstance(time, int) and n == time for n in value.data.flat):
            return None
        raise ValueError("its sequence_lens are constants that are not the length of its input")
    if value.rank != 1 or len(value.groups[0]) != 1 or not value.dtype.startswith("int"):
        raise ValueError(f"its sequence_lens are {value.dtype} of the shape {value.shape}")
    batch.join(value.groups[0][0])
    return value


def _states(
    a: Arguments, units: int, batch: Dim, layout: int, directions: int, steps: Steps
) -> list[list[Any]]:
    """The initial states of each direction: h and c, None where both are zeros."""
    found = [[_state(a, i, d, units, batch, layout, directions, steps) for i in (5, 6)]
             for d in range(directions)]  # fmt: skip
    if all(state is None for pair in found for state in pair):
        return [[] for _ in found]
    return found


def _state(
    a: Arguments, index: int, direction: int, units: int, batch: Dim, layout: int,
    directions: int, steps: Steps,
) -> Any:  # fmt: skip
    value = a.input(index)
    if value is None:
        return None
    shape = value.shape
    if len(shape) != 3:
        raise ValueError(f"its initial state has the shape {shape}")
    first, rows = (1, 0) if layout else (0, 1)
    if (shape[first], shape[2]) != (directions, units):
        raise ValueError(
            f"its initial state has the shape {shape}, of {directions} directions and {units} units"
        )
    if isinstance(value, Known):
        data = value.data
        if np.broadcast_to(data[..., :1, :] if rows == 1 else data[:1], data.shape).tobytes() != (
            data.tobytes()
        ):
            raise ValueError("it has a constant initial state that differs from sample to sample")
        own = np.take(data, 0, rows)  # (directions or 1, units or 1)
        own = np.broadcast_to(own[direction if len(own) > 1 else 0], (units,))
        return own if own.any() else None
    if len(value.groups[rows]) != 1:
        raise ValueError("its initial state has no axis for samples")
    batch.join(value.groups[rows][0])
    part = taken(value, first, direction, steps)
    return part.view([part.groups[rows], part.groups[2]])


# ---------------------------------------------------------------------- outputs


def _outputs(plan: _Plan, layout: int, batch: Dim, steps: Steps) -> list[Flow]:
    x = plan.x
    size = x.shape[0]
    one = len(x.groups[0]) == 1 and plan.direction != "reverse"
    (time,) = x.groups[0] if one else (Dim(size if isinstance(size, int) else None),)
    unit = Dim(plan.units)
    way = (Dim(2),) if plan.direction == "bidirectional" else ()
    axes = _Axes((batch,), (time,), way, (unit,))
    states = [state for pair in plan.states for state in pair if isinstance(state, Flow)]
    flows = [x, *states] + ([] if plan.lengths is None else [plan.lengths])
    sources: list[Source] = []

    def make(b: Builder) -> Made:
        return _made(b, plan, sources, axes)

    sources += steps.add(flows, 5 if way else 3, make)
    for source in sources:
        source.kernels = 0  # a graph that has such nodes is not unrolled
    if plan.lengths is None:
        _note_ends(sources, axes)
    h, c = sources[1:3]
    if way:
        h, c = (_stacked(sources[i], sources[i + 2], axes, plan.dtype, steps) for i in (1, 2))
    last = [axes.batch, way, axes.unit] if layout else [way, axes.batch, axes.unit]
    order = [axes.batch, axes.time, way, axes.unit]
    order = order if layout else [axes.time, way, axes.batch, axes.unit]
    y = Flow(sources[0], order, plan.dtype)
    if plan.direction == "reverse" and plan.lengths is None and time.size != 1:
        y = sliced(y, order.index(axes.time), slice(None, None, -1), steps)
        y.source.picks[frozenset({(y.groups[order.index(axes.time)][0], 0)})] = (h, {})
    return [
        y,
        Flow(h, last, plan.dtype),
        Flow(c, last, plan.dtype),
    ]


class _Axes(NamedTuple):
    batch: Group
    time: Group
    way: Group  # none where there is one direction
    unit: Group


def _note_ends(sources: list[Source], axes: _Axes) -> None:
    """Say that the sequence is, where each direction ends, the final state.

    A layer of one direction gives it in the order in which it reads.
    """
    (time,) = axes.time
    ends = ((time, -1 if time.size is None else time.size - 1), (time, 0))
    picks = sources[0].picks
    if not axes.way:
        picks[frozenset({ends[0]})] = (sources[1], {})
    for i, dim in enumerate(axes.way * 2):
        picks[frozenset({ends[i], (dim, i)})] = (sources[1 + 2 * i], {})


def _stacked(first: Source, second: Source, axes: _Axes, dtype: str, steps: Steps) -> Source:
    """The states of both directions as one value."""
    flows = [Flow(source, [axes.batch, axes.unit], dtype) for source in (first, second)]
    layout = [axes.batch, axes.way, axes.unit]
    one = (Dim(1),)

    def make(b: Builder) -> Made:
        tensors = [
            b.divided(b.native(flow)[0], [axes.batch, one, axes.unit], dtype) for flow in flows
        ]
        return [(b.layer(Concatenate, 1, dtype=dtype)(tensors), layout)]

    (source,) = steps.add(flows, 1, make)
    for i, own in enumerate((first, second)):
        source.picks[frozenset({(axes.way[0], i)})] = (own, {})
    return source


def _made(b: Builder, plan: _Plan, sources: list[Source], axes: _Axes) -> Made:
    """The layer, with what is needed around it."""
    wanted = [b.wanted(source) for source in sources]
    x = b.arranged(plan.x, [axes.batch, plan.x.groups[0], plan.x.groups[2]])
    states = [_tensor(b, state, x, plan) for pair in plan.states for state in pair]
    lengths = None
    if plan.lengths is not None:
        lengths = b.arranged(plan.lengths, [*plan.lengths.groups, ()])
        x = b.layer(OnnxLengthsMask, dtype=plan.dtype)([x, lengths])
    options: dict[str, Any] = {
        "activation": plan.activation,
        "recurrent_activation": plan.recurrent_activation,
        "use_bias": plan.use_bias,
        "return_sequences": wanted[0],
        "return_state": any(wanted[1:]) if axes.way else wanted[2] or wanted[0] and wanted[1],
    }
    key = (plan.key, plan.direction, tuple(options.items()))
    layer = b.shared.get(key)
    if layer is None:
        layer = b.shared[key] = _layer(b, plan, options)
    count = 3 if plan.use_bias else 2
    weights = [array for own in plan.weights for array in own[:count]]
    more = {"initial_state": states} if states else {}
    found = b.call(layer, x, weights, **more)
    y, *ends = found if isinstance(found, list) else [found]
    outputs = [y, *(ends or [y])]
    if wanted[0] and lengths is not None:
        if plan.direction == "reverse":
            outputs[0] = b.layer(OnnxSlice, 1, None, None, -1, dtype=plan.dtype)(outputs[0])
        outputs[0] = b.layer(OnnxZeroPastEnd, dtype=plan.dtype)([outputs[0], lengths])
    layouts = [[axes.batch, axes.time, (*axes.way, *axes.unit)]]
    layouts += [[axes.batch, axes.unit]] * (len(sources) - 1)
    outputs += [None] * (len(sources) - len(outputs))
    return [
        (tensor, layout) if needed else None
        for tensor, layout, needed in zip(outputs, layouts, wanted, strict=True)
    ]


def _layer(b: Builder, plan: _Plan, options: dict[str, Any]) -> Any:
    if plan.direction == "bidirectional":
        inner = LSTM(plan.units, name="lstm", dtype=plan.dtype, **options)
        return b.layer(Bidirectional, inner, dtype=plan.dtype)
    backwards = plan.direction != "forward"
    return b.layer(LSTM, plan.units, go_backwards=backwards, dtype=plan.dtype, **options)


def _tensor(b: Builder, state: Any, x: Any, plan: _Plan) -> Any:
    """An initial state as a tensor."""
    if isinstance(state, Flow):
        return b.arranged(state, state.groups)
    if state is None:
        state = np.zeros(plan.units, plan.dtype)
    return constant_tensor(b, state, x, plan.dtype)
