"""Layers as PyTorch's state dicts name their weights: the way back of `_torch_modules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cylstm import layers
from cylstm.models import Model, Sequential
from cylstm.saving._torch_modules import check_activations

__all__ = ["state_of"]

State = dict[str, np.ndarray]


def state_of(given: Any) -> State:
    """The state dict of a layer, a model or a mapping of layers; see `cylstm.to_torch`."""
    if isinstance(given, Mapping):
        return _joined(given.items())
    stack = _stack(given)
    if stack is not None:
        return _stacked(stack, given.name)
    if isinstance(given, Model):
        return _joined((layer.name, layer) for layer in given.layers)
    return _of_layer(given)


def _joined(named: Any) -> State:
    found: State = {}
    for path, layer in named:
        for name, array in state_of(layer).items():
            full = f"{path}.{name}" if path else name
            if full in found:
                raise ValueError(f"Two layers are called {path!r}: give them names of their own.")
            found[full] = array
    return found


def _of_layer(layer: Any) -> State:
    if not isinstance(layer, layers.Layer):
        raise TypeError(f"Only layers have a state dict, got {type(layer).__name__}.")
    if not layer.built and not isinstance(layer, layers.InputLayer):
        raise ValueError(f"Layer {layer.name} is not built, so it has no weights: call it first.")
    if isinstance(layer, layers.TimeDistributed):
        return state_of(layer.layer)
    if isinstance(layer, layers.LSTM | layers.Bidirectional):
        return _stacked([layer], layer.name)
    for kind, convert in _CONVERTERS.items():
        if type(layer) is kind:
            return convert(layer)
    if layer.weights:
        raise ValueError(
            f"Layer {layer.name} ({type(layer).__name__}) has weights, and is none of the layers "
            "that are known as modules of PyTorch: save the model as .safetensors."
        )
    return {}


# ---------------------------------------------------------------------- LSTM


def _stack(given: Any) -> list[Any] | None:
    """The layers of a Sequential that is nothing but LSTMs on each other; None for others."""
    if not isinstance(given, Sequential):
        return None
    inner = [layer for layer in given.layers if not isinstance(layer, layers.InputLayer)]
    kinds = {type(layer) for layer in inner}
    if not inner or kinds not in ({layers.LSTM}, {layers.Bidirectional}):
        return None
    return inner


def _stacked(levels: list[Any], name: str) -> State:
    """The state dict of an nn.LSTM with these levels."""
    found: State = {}
    described = set()
    for number, level in enumerate(levels):
        directions = _directions(level)
        described.add((len(directions), directions[0].units, directions[0].use_bias))
        for layer, end in zip(directions, ("", "_reverse"), strict=False):
            found |= _direction(layer, f"l{number}{end}")
    if len(described) > 1:
        raise ValueError(
            f"The LSTM layers of {name} differ in units, bias or directions, which those of an "
            "nn.LSTM do not: give each by itself, in a mapping."
        )
    return found


def _directions(level: Any) -> list[Any]:
    if isinstance(level, layers.LSTM):
        return [level]
    inner = [level.forward_layer, level.backward_layer]
    if level.merge_mode != "concat" or not all(type(layer) is layers.LSTM for layer in inner):
        raise ValueError(
            f"Layer {level.name} is not two LSTMs side by side (merge_mode='concat'), as an "
            "nn.LSTM is."
        )
    return inner


def _direction(layer: Any, end: str) -> State:
    check_activations(layer, "nn.LSTM is")
    if layer.go_backwards != end.endswith("_reverse"):
        raise ValueError(
            f"Layer {layer.name} goes backwards, which an nn.LSTM does as the second direction of "
            "two only."
        )
    found = {
        f"weight_ih_{end}": _copy(layer.kernel.value.T),
        f"weight_hh_{end}": _copy(layer.recurrent_kernel.value.T),
    }
    if layer.use_bias:
        found[f"bias_ih_{end}"] = _copy(layer.bias.value)
        found[f"bias_hh_{end}"] = np.zeros_like(layer.bias.value)
    return found


# ---------------------------------------------------------------------- other layers


def _copy(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="C")


def _weight_and_bias(weight: np.ndarray, bias: Any) -> State:
    found = {"weight": _copy(weight)}
    if bias is not None:
        found["bias"] = _copy(bias.value)
    return found


def _dense(layer: Any) -> State:
    return _weight_and_bias(layer.kernel.value.T, layer.bias)


def _embedding(layer: Any) -> State:
    return _weight_and_bias(layer.embeddings.value, None)


def _conv1d(layer: Any) -> State:
    return _weight_and_bias(layer.kernel.value.transpose(2, 1, 0), layer.bias)


def _batch_norm(layer: Any) -> State:
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    found: State = {}
    if layer.scale or layer.center:  # PyTorch has both or none
        found["weight"] = _copy(layer.gamma.value) if layer.scale else np.ones_like(mean)
        found["bias"] = _copy(layer.beta.value) if layer.center else np.zeros_like(mean)
    found |= {"running_mean": _copy(mean), "running_var": _copy(variance)}
    found["num_batches_tracked"] = np.zeros((), np.int64)
    return found


def _layer_norm(layer: Any) -> State:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if list(axes) != list(range(-len(axes), 0)):
        raise ValueError(
            f"Layer {layer.name} normalizes over axis {layer.axis}, nn.LayerNorm over the last."
        )
    if layer.gamma is None:
        if layer.beta is not None:
            raise ValueError(
                f"Layer {layer.name} has beta and no gamma; nn.LayerNorm has not that."
            )
        return {}
    return _weight_and_bias(layer.gamma.value, layer.beta)


_CONVERTERS: dict[type, Callable[[Any], State]] = {
    layers.Dense: _dense,
    layers.Embedding: _embedding,
    layers.Conv1D: _conv1d,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
}
