"""LSTM and Bidirectional as one LSTM node each."""

from __future__ import annotations

from typing import Any

import numpy as np

from cylstm import activations
from cylstm.layers import LSTM, Bidirectional
from cylstm.saving._onnx._emitting import Emitter
from cylstm.saving._onnx._lstm import GATES

__all__ = ["bidirectional", "lstm"]

# Name, alpha and beta, where there are such.
_ACTIVATIONS: dict[str, tuple[str, list[float], list[float]]] = {
    "elu": ("Elu", [1.0], []),
    "hard_sigmoid": ("HardSigmoid", [0.2], [0.5]),
    "hard_sigmoid_6": ("HardSigmoid", [1 / 6], [0.5]),
    "linear": ("Affine", [1.0], [0.0]),
    "relu": ("Relu", [], []),
    "sigmoid": ("Sigmoid", [], []),
    "softplus": ("Softplus", [], []),
    "softsign": ("Softsign", [], []),
    "tanh": ("Tanh", [], []),
}


def lstm(e: Emitter, layer: LSTM, inputs: list[str], states: list[str], lengths: str) -> list[str]:
    """An LSTM layer: its outputs."""
    direction = "reverse" if layer.go_backwards else "forward"
    pairs = [states] if states else []
    y, h, c = _node(e, [layer], inputs[0], pairs, lengths, direction)
    first = h
    if layer.return_sequences:
        first = e.transposed(e.squeezed(y, 1), 1, 0, 2)
        if layer.go_backwards:
            first = e.turned(first, 1)
    else:
        first = e.squeezed(h, 0)
    if not layer.return_state:
        return [first]
    return [first, e.squeezed(h, 0), e.squeezed(c, 0)]


def bidirectional(
    e: Emitter, layer: Bidirectional, inputs: list[str], states: list[str], lengths: str
) -> list[str]:
    """A Bidirectional LSTM: its outputs."""
    ways = [layer.forward_layer, layer.backward_layer]
    if any(type(way) is not LSTM for way in ways):
        raise ValueError(f"it wraps a {type(ways[0]).__name__}: only LSTM is written")
    if ways[0].go_backwards:
        raise ValueError("it wraps a layer with go_backwards=True, which has no LSTM node")
    pairs = [states[:2], states[2:]] if states else []
    y, h, c = _node(e, ways, inputs[0], pairs, lengths, "bidirectional")
    units = ways[0].units
    ends = [[e.at(state, 0, i) for state in (h, c)] for i in range(2)] if (
        layer.return_state or not layer.return_sequences
    ) else []  # fmt: skip
    if layer.return_sequences and layer.merge_mode == "concat":
        merged = [e.reshaped(e.transposed(y, 2, 0, 1, 3), [0, 0, 2 * units])]
    elif layer.return_sequences:
        both = [e.transposed(e.at(y, 1, i), 1, 0, 2) for i in range(2)]
        merged = _merged(e, both, layer.merge_mode)
    else:
        merged = _merged(e, [pair[0] for pair in ends], layer.merge_mode)
    return merged + ([*ends[0], *ends[1]] if layer.return_state else [])


def _merged(e: Emitter, both: list[str], mode: str | None) -> list[str]:
    if mode is None:
        return both
    if mode == "concat":
        return [e.node("Concat", both, axis=-1)]
    result = e.node("Mul" if mode == "mul" else "Add", both)
    if mode == "ave":
        result = e.node("Mul", [result, e.constant(0.5, e.dtypes[result])])
    return [result]


def _node(
    e: Emitter, ways: list[Any], x: str, pairs: list[list[str]], lengths: str, direction: str
) -> list[str]:
    """The node: its three outputs."""
    first, dtype = ways[0], ways[0].dtype
    if any(way.stateful for way in ways):
        raise ValueError(
            "it is stateful, and a graph keeps nothing: make a model whose initial states are "
            "inputs and whose final states are outputs (return_state=True)"
        )
    arrays = [_weights(way) for way in ways]
    w, r, b = (np.stack(parts) for parts in zip(*arrays, strict=True))
    prefix = first.name if len(ways) == 1 else first.name.removeprefix("forward_")
    names = [
        e.weight(w.astype(dtype), f"{prefix}/W", first),
        e.weight(r.astype(dtype), f"{prefix}/R", first),
        e.weight(b.astype(dtype), f"{prefix}/B", first) if first.use_bias else "",
    ]
    given = []
    for i in range(2):
        own = [e.unsqueezed(pair[i], 0) for pair in pairs]
        given.append(own[0] if len(own) == 1 else e.node("Concat", own, axis=0) if own else "")
    reads = [e.transposed(x, 1, 0, 2), *names, lengths, *given]
    while not reads[-1]:
        reads.pop()
    found: list[str] = e.main(
        "LSTM", reads, 3, hidden_size=first.units, direction=direction, **_activations(ways)
    )
    return found


def _weights(layer: LSTM) -> list[np.ndarray]:
    """W, R and B of one direction: rows of gates in the order i, o, f, c."""
    order = np.argsort(GATES)

    def rows(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, 4, axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1).T

    bias = np.zeros(4 * layer.units) if layer.bias is None else layer.bias.value
    both = np.concatenate([rows(bias), np.zeros_like(bias)])
    return [rows(layer.kernel.value), rows(layer.recurrent_kernel.value), both]


def _activations(ways: list[Any]) -> dict[str, Any]:
    names: list[str] = []
    alphas: list[float] = []
    betas: list[float] = []
    for way in ways:
        f, g = way.recurrent_activation, way.activation
        for function in (f, g, g):
            known = {activations.get(name): entry for name, entry in _ACTIVATIONS.items()}
            if function not in known:
                raise ValueError(
                    f"it has the activation {getattr(function, '__name__', function)!r}, which an "
                    f"LSTM node has not; it has {sorted(_ACTIVATIONS)}"
                )
            name, alpha, beta = known[function]
            names.append(name)
            alphas += alpha
            betas += beta
    found: dict[str, Any] = {"activations": names}
    if alphas:
        found["activation_alpha"] = alphas
    if betas:
        found["activation_beta"] = betas
    return found
