"""PyTorch's modules, as a state dict shows them, and the layers that compute the same.

A state dict names its tensors ``path.attribute``: the path of a module and what the module calls
them. It does not name the class of a module, which follows from the attributes and their shapes,
nor what has no weights: activations, strides, paddings.

The gates of PyTorch stand in the order i, f, g, o, which is ours (it calls the cell input g); its
kernels are (outputs, inputs), where ours are (inputs, outputs); it has two biases, and adds them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cylstm import activations, layers
from cylstm.saving import _outline, _weights
from cylstm.saving._outline import Outline, Part

__all__ = [
    "KINDS",
    "Converted",
    "Module",
    "converted",
    "load_into",
    "modules_of",
    "no_model",
    "outline_of",
]

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)_l(\d+)(_reverse)?")
_NOT_HERE = {3: "nn.GRU", 1: "nn.RNN"}  # by how many gates there are


@dataclass(frozen=True)
class Module:
    """A module: its path, its class in PyTorch, and its tensors by attribute."""

    path: str
    kind: str
    tensors: dict[str, np.ndarray]

    def __str__(self) -> str:
        return f"module {self.path!r} (nn.{self.kind})"


@dataclass(frozen=True)
class Converted:
    """A layer that computes as a module does, or as one level of a stacked LSTM.

    Attributes
    ----------
    make : callable
        Takes `arguments` as keywords, and others; returns the unbuilt layer.
    arguments : dict
        What the module says of the layer.
    weights : list of ndarray
        In the order of the layer's ``set_weights``.
    build_shape : tuple or None
        What to build the layer for; None where the number of axes is not known.
    """

    make: Callable[..., Any]
    arguments: dict[str, Any]
    weights: list[np.ndarray]
    build_shape: tuple[int | None, ...] | None


def modules_of(
    state: Mapping[str, np.ndarray], kinds: Mapping[str, str] | None = None
) -> list[Module]:
    """The modules of a state dict, in its order.

    Parameters
    ----------
    state : mapping of ndarray
        Tensors by name.
    kinds : mapping of str, optional
        The classes of modules by path, where names and shapes leave open what they are.

    Raises
    ------
    ValueError
        For tensors of a module that is not known here, and a path in `kinds` that is not there.

    Examples
    --------
    >>> state = {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)}
    >>> [str(module) for module in modules_of(state)]
    ["module 'fc' (nn.Linear)"]
    """
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in state.items():
        path, _, attribute = name.rpartition(".")
        groups.setdefault(path, {})[attribute] = array
    for path in groups:
        if "parametrizations" in path.split("."):
            raise ValueError(
                f"{path!r} is of a parametrized module: call torch.nn.utils.parametrize."
                "remove_parametrizations on it before you save it."
            )
    kinds = kinds or {}
    missing = [path for path in kinds if path not in groups]
    if missing:
        raise ValueError(
            f"There is no module {missing[0]!r}: there are {', '.join(map(repr, groups))}."
        )
    return [Module(p, kinds.get(p) or _kind(p, group), group) for p, group in groups.items()]


def converted(module: Module) -> list[Converted]:
    """The layers for a module: one, or one for each level of a stacked LSTM.

    Raises
    ------
    ValueError
        If the tensors are not those of such a module, or their shapes do not fit together.
    """
    for name, array in module.tensors.items():
        if array.dtype.kind != "f" and name != "num_batches_tracked":
            raise ValueError(
                f"{name} of {module} is {array.dtype}: quantized weights are not read; give those "
                "of the model before it was quantized."
            )
    return _CONVERTERS[module.kind](module)


def outline_of(state: Mapping[str, np.ndarray], what: str) -> Outline:
    """Tell what is in a file of tensors by name, with the modules, if all are known here."""
    try:
        parts = [Part(m.path, f"nn.{m.kind}", {}) for m in modules_of(state)]
    except ValueError:
        parts = []
    return Outline(what, "tensors", parts=parts, part_is="module", arrays=_outline.of_arrays(state))


def no_model(state: Mapping[str, np.ndarray]) -> str:
    """What to say where someone wants a model from a file that holds tensors by name."""
    names = ", ".join(list(state)[:3])
    return (
        f"it holds {len(state)} tensors ({names[:200]}{', ...' if len(state) > 3 else ''}) and no "
        "model: cylstm.from_torch(path) makes layers of a PyTorch state dict; or make the model "
        "and call its load_weights(path)"
    )


def load_into(model: Any, state: Mapping[str, np.ndarray], path: Any, by_name: bool) -> None:
    """Put the weights of a state dict into a model's layers, in order or by name.

    Parameters
    ----------
    model : Model
        A built one.
    state : mapping of ndarray
        Tensors by PyTorch's names.
    path : str or path
        Where they are from, for errors.
    by_name : bool
        Whether layers correspond by names, which are then the paths of modules; for the levels of
        a stacked LSTM followed by ``.0``, ``.1``, ...

    Raises
    ------
    ValueError
        If they do not correspond, or an LSTM of the model has other activations than PyTorch's.
    """
    try:
        stored = _stored(state)
        pairs = (_weights.by_name if by_name else _weights.in_order)(model, stored)
        names = {entry.layer for entry in stored} if by_name else None
        for layer in model.layers:
            if names is None or layer.name in names:
                check_activations(layer, "PyTorch's weights are for")
    except ValueError as error:
        text = str(error).rstrip(".")
        raise ValueError(f"Cannot load the weights of {os.fspath(path)!r}: {text}.") from None
    _weights.assign(pairs)


def check_activations(layer: Any, what: str) -> None:
    """Raise a ValueError where an LSTM, or one within a wrapper, has not the gates of PyTorch."""
    for inner in [layer, *getattr(layer, "_sublayers", list)(), *getattr(layer, "layers", [])]:
        for name, wanted in _ACTIVATIONS.items():
            if isinstance(inner, layers.LSTM) and getattr(inner, name) is not wanted:
                raise ValueError(
                    f"{what} an LSTM of {name}={wanted.__name__!r}, and layer {inner.name} has "
                    f"{activations.serialize(getattr(inner, name))!r}"
                    + (" (our default, which PyTorch never uses)" * (name != "activation"))
                )


_ACTIVATIONS = {
    "recurrent_activation": activations.sigmoid,
    "activation": activations.tanh,
}


def _stored(state: Mapping[str, np.ndarray]) -> list[_weights.Stored]:
    found = []
    for module in modules_of(state):
        levels = converted(module)
        for number, level in enumerate(levels):
            name = module.path if len(levels) == 1 else f"{module.path}.{number}"
            places = [str(i) for i in range(len(level.weights))]
            found.append(_weights.Stored(name, places, level.weights))
    return found


# ---------------------------------------------------------------------- which module it is


def _kind(path: str, tensors: Mapping[str, np.ndarray]) -> str:
    """The class of a module by its attributes and their shapes; a ValueError if it is not known."""
    names = set(tensors)
    if any(map(_RECURRENT.fullmatch, names)):
        return _recurrent_kind(path, tensors)
    if {"weight_ih", "weight_hh"} <= names <= {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}:
        _check_gates(path, "Cell", tensors["weight_ih"], tensors["weight_hh"])
        return "LSTMCell"
    statistics = {"running_mean", "running_var"}
    if statistics <= names <= statistics | {"weight", "bias", "num_batches_tracked"}:
        return "BatchNorm1d"
    if "weight" in names and names <= {"weight", "bias"}:
        return _plain_kind(path, **tensors)
    whole = ", ".join(f"{path}.{name}" if path else name for name in tensors)
    reason = _refused(names) or "are of no module that is known here"
    raise ValueError(
        f"{whole[:300]} {reason}. Name what is to be left out, skip=[{next(iter(tensors))!r}] for "
        "example, or give a prefix."
    )


def _refused(names: set[str]) -> str | None:
    """What to say of modules that are known, and not to be had."""
    if any(name.endswith(("_g", "_v")) for name in names):
        return "have weight norm: call torch.nn.utils.remove_weight_norm(module) before you save it"
    if "in_proj_weight" in names:
        return "are of nn.MultiheadAttention, which there is not"
    if any(name.startswith(("_packed_params", "scale", "zero_point")) for name in names):
        return "are of a quantized module: give the state dict of the model before that"
    return None


def _recurrent_kind(path: str, tensors: Mapping[str, np.ndarray]) -> str:
    strange = [name for name in tensors if not _RECURRENT.fullmatch(name)]
    if strange:
        raise ValueError(
            f"Module {path!r} has {strange[0]!r}, which nn.LSTM has not: is it a class of your own?"
        )
    if any("_hr_" in name for name in tensors):
        raise ValueError(f"Module {path!r} is an nn.LSTM with proj_size, which there is not.")
    if "weight_ih_l0" not in tensors or "weight_hh_l0" not in tensors:
        raise ValueError(f"Module {path!r} has no weight_ih_l0 and weight_hh_l0.")
    _check_gates(path, "", tensors["weight_ih_l0"], tensors["weight_hh_l0"])
    return "LSTM"


def _check_gates(path: str, suffix: str, of_inputs: np.ndarray, of_outputs: np.ndarray) -> None:
    if of_inputs.ndim != 2 or of_outputs.ndim != 2 or not of_outputs.shape[1]:
        raise ValueError(f"Module {path!r} has weights of {of_inputs.ndim} axes; an LSTM's have 2.")
    rows, units = of_outputs.shape
    if rows == 4 * units and of_inputs.shape[0] == rows:
        return
    if rows == of_inputs.shape[0] and rows // units in _NOT_HERE and rows % units == 0:
        kind = _NOT_HERE[rows // units] + suffix
        raise ValueError(f"Module {path!r} is an {kind}, which there is not: only LSTM is here.")
    raise ValueError(
        f"Module {path!r} is no LSTM: its weights are {of_inputs.shape} and {of_outputs.shape}."
    )


def _plain_kind(path: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
    """Of a module that has a weight, and perhaps a bias."""
    if bias is not None and bias.ndim == weight.ndim > 0:
        return "LayerNorm"
    if weight.ndim == 1:
        raise ValueError(
            f"Module {path!r} has one weight of one axis, as nn.LayerNorm without bias, RMSNorm "
            f"and nn.PReLU have: say which by kinds={{{path!r}: 'LayerNorm'}}, or skip it."
        )
    if weight.ndim == 2 and bias is None and "emb" in path.rpartition(".")[2].lower():
        return "Embedding"
    if weight.ndim in (2, 3):
        return {2: "Linear", 3: "Conv1d"}[weight.ndim]
    raise ValueError(
        f"Module {path!r} has a weight of {weight.ndim} axes, as nn.Conv2d has, which there is not."
    )


# ---------------------------------------------------------------------- one converter a module


def _float(*arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays in the dtype that all of them fit in: halves become float32."""
    dtype = np.result_type(np.float32, *arrays)
    return [np.ascontiguousarray(array, dtype) for array in arrays]


def _check_shapes(module: Module, **wanted: tuple[int, ...]) -> None:
    """Raise a ValueError unless there are these tensors, and no others, of these shapes."""
    given = {name: module.tensors[name].shape for name in module.tensors}
    if given != wanted:
        raise ValueError(f"{module} has the tensors {given}, and should have {wanted}.")


def _lstm(module: Module) -> list[Converted]:
    tensors = module.tensors
    places = [_RECURRENT.fullmatch(name) for name in tensors]
    count = 1 + max(int(place[3]) for place in places if place)
    directions = ["", "_reverse"] if "weight_ih_l0_reverse" in tensors else [""]
    biases = ["ih", "hh"] if "bias_ih_l0" in tensors else []
    units = tensors["weight_hh_l0"].shape[1]
    inputs = tensors["weight_ih_l0"].shape[1]
    if count > len(tensors):
        raise ValueError(f"{module} has a level {count - 1}, and not all below it.")
    wanted: dict[str, tuple[int, ...]] = {}
    levels = []
    for level in range(count):
        size = len(directions) * units if level else inputs
        names = []
        for end in (f"_l{level}{direction}" for direction in directions):
            wanted |= {f"weight_ih{end}": (4 * units, size), f"weight_hh{end}": (4 * units, units)}
            wanted |= {f"bias_{which}{end}": (4 * units,) for which in biases}
            names.append(end)
        levels.append((size, names))
    _check_shapes(module, **wanted)
    return [_level(tensors, size, names, bool(biases)) for size, names in levels]


def _level(
    tensors: Mapping[str, np.ndarray], inputs: int, names: Sequence[str], use_bias: bool
) -> Converted:
    """One level of an LSTM; its tensors have these ends of names, one for each direction."""
    found: list[np.ndarray] = []
    for end in names:
        found += [tensors[f"weight_ih{end}"].T, tensors[f"weight_hh{end}"].T]
        if use_bias:
            biases = _float(tensors[f"bias_ih{end}"], tensors[f"bias_hh{end}"])
            with np.errstate(all="ignore"):  # a file may hold infinities
                found.append(np.add(*biases))
    weights = _float(*found)
    arguments = {
        "units": weights[1].shape[0],
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": use_bias,
        "return_sequences": True,
        "input_shape": (None, inputs),
        "dtype": weights[0].dtype.name,
    }
    make = layers.LSTM if len(names) == 1 else _bidirectional
    return Converted(make, arguments, weights, (None, None, inputs))


def _bidirectional(*, name: str | None = None, **arguments: Any) -> Any:
    options = {key: arguments.pop(key) for key in ("trainable",) if key in arguments}
    inner = layers.LSTM(**arguments)
    shape, dtype = arguments["input_shape"], arguments["dtype"]
    return layers.Bidirectional(inner, name=name, input_shape=shape, dtype=dtype, **options)


def _lstm_cell(module: Module) -> list[Converted]:
    levels = {f"{name}_l0": array for name, array in module.tensors.items()}
    return _lstm(Module(module.path, module.kind, levels))


def _linear(module: Module) -> list[Converted]:
    weight = _tensor(module, "weight", 2)
    units, inputs = weight.shape
    _check_shapes(module, weight=weight.shape, **_bias(module, units))
    weights = _float(weight.T, *_rest(module, "bias"))
    arguments = {"units": units, "use_bias": len(weights) == 2, "dtype": weights[0].dtype.name}
    return [Converted(layers.Dense, arguments, weights, (None, inputs))]


def _embedding(module: Module) -> list[Converted]:
    weight = _tensor(module, "weight", 2)
    _check_shapes(module, weight=weight.shape)
    [weight] = _float(weight)
    arguments = {
        "input_dim": weight.shape[0],
        "output_dim": weight.shape[1],
        "dtype": weight.dtype.name,
    }
    return [Converted(layers.Embedding, arguments, [weight], (None, None))]


def _conv1d(module: Module) -> list[Converted]:
    weight = _tensor(module, "weight", 3)
    filters, inputs, size = weight.shape
    _check_shapes(module, weight=weight.shape, **_bias(module, filters))
    weights = _float(weight.transpose(2, 1, 0), *_rest(module, "bias"))
    arguments = {
        "filters": filters,
        "kernel_size": size,
        "use_bias": len(weights) == 2,
        "dtype": weights[0].dtype.name,
    }
    return [Converted(layers.Conv1D, arguments, weights, (None, None, inputs))]


def _batch_norm(module: Module) -> list[Converted]:
    mean = _tensor(module, "running_mean", 1)
    affine = {n: mean.shape for n in ("weight", "bias") if "weight" in module.tensors}
    counted = {n: () for n in ("num_batches_tracked",) if n in module.tensors}
    statistics = {"running_mean": mean.shape, "running_var": mean.shape}
    _check_shapes(module, **affine, **statistics, **counted)
    weights = _float(*(module.tensors[name] for name in (*affine, *statistics)))
    arguments = {
        "momentum": 0.9,  # PyTorch's 0.1 is what comes in, Keras' is what is left
        "epsilon": 1e-5,
        "center": bool(affine),
        "scale": bool(affine),
        "dtype": weights[0].dtype.name,
    }
    return [Converted(layers.BatchNormalization, arguments, weights, None)]


def _layer_norm(module: Module) -> list[Converted]:
    weight = module.tensors.get("weight", np.zeros(()))
    if not weight.ndim:
        raise ValueError(f"{module} has no weight.")
    _check_shapes(
        module, weight=weight.shape, **({"bias": weight.shape} if "bias" in module.tensors else {})
    )
    weights = _float(weight, *_rest(module, "bias"))
    arguments = {
        "axis": -1 if weight.ndim == 1 else list(range(-weight.ndim, 0)),
        "epsilon": 1e-5,
        "center": len(weights) == 2,
        "dtype": weights[0].dtype.name,
    }
    return [Converted(layers.LayerNormalization, arguments, weights, None)]


def _tensor(module: Module, name: str, ndim: int) -> np.ndarray:
    found = module.tensors.get(name)
    if found is None or found.ndim != ndim or not found.size:
        given = {key: array.shape for key, array in module.tensors.items()}
        raise ValueError(f"{module} has the tensors {given}; its {name} must have {ndim} axes.")
    return found


def _bias(module: Module, size: int) -> dict[str, tuple[int, ...]]:
    return {"bias": (size,)} if "bias" in module.tensors else {}


def _rest(module: Module, *names: str) -> Iterable[np.ndarray]:
    return (module.tensors[name] for name in names if name in module.tensors)


_CONVERTERS: dict[str, Callable[[Module], list[Converted]]] = {
    "LSTM": _lstm,
    "LSTMCell": _lstm_cell,
    "Linear": _linear,
    "Embedding": _embedding,
    "Conv1d": _conv1d,
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
}
KINDS: tuple[str, ...] = tuple(_CONVERTERS)
