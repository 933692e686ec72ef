"""The weights of a layer as files of Keras hold them, and as cylstm does.

Keras 2 lists, of a layer, the trainable ones first, also where layers are within it. Keras 1 kept
those of an LSTM's gates apart, and had an axis more for the kernels of Conv1D; cuDNN's layout has
every gate transposed and two biases, which are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm.layers import LSTM, Bidirectional, Conv1D, LSTMCell, TimeDistributed
from cylstm.models import Model
from cylstm.saving import _weights
from cylstm.saving._weights import Stored
from cylstm.variables import Variable

__all__ = ["as_stored", "converted", "fitted", "in_order_of_keras"]

Arrays = list[np.ndarray]
_GATES_OF_KERAS_1 = "icfo"  # each with W, U and b


def in_order_of_keras(layer: Any) -> list[Variable]:
    """The weights of a layer, the trainable ones first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def as_stored(model: Any) -> list[Stored]:
    """All layers of a model with the weights that Keras 2 stores; some have none.

    Parameters
    ----------
    model : Model
        A built one.

    Returns
    -------
    list of Stored
        With names such as ``lstm_1/kernel:0``.
    """
    names = _names(model)
    found = []
    for layer in model.layers:
        variables = in_order_of_keras(layer)
        found.append(
            Stored(
                layer.name,
                [f"{names[v]}:0" for v in variables],
                [v.value for v in variables],
            )
        )
    return found


def _names(model: Any) -> dict[Variable, str]:
    return {
        variable: name
        for _, names, variables in _weights.named_weights(model)
        for name, variable in zip(names, variables, strict=True)
    }


def fitted(
    model: Any, stored: Sequence[Stored], *, by_name: bool, keras_1: bool
) -> list[tuple[Variable, np.ndarray]]:
    """Which weight gets which value.

    Parameters
    ----------
    model : Model
        A built one.
    stored : list of Stored
        Of a file of Keras.
    by_name : bool
        Whether layers correspond by their names; otherwise by their order, unless all names are
        the same.
    keras_1 : bool
        Whether Keras 1 wrote the file.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    stored = [entry for entry in stored if entry.names]
    groups = _weights.named_weights(model)
    entries = {entry.layer: entry for entry in stored}
    same = len(entries) == len(stored) and entries.keys() == {g[0].name for g in groups}
    if by_name or same:
        pairs = [(layer, entries[layer.name]) for layer, *_ in groups if layer.name in entries]
    elif len(groups) == len(stored):
        pairs = [(group[0], entry) for group, entry in zip(groups, stored, strict=True)]
    else:
        return _weights.in_order(model, stored)  # which says what is wrong
    names = _names(model)
    found = [_as_ours(layer, entry, names, keras_1) for layer, entry in pairs]
    return (_weights.by_name if by_name else _weights.in_order)(model, found)


def _as_ours(layer: Any, entry: Stored, names: dict[Variable, str], keras_1: bool) -> Stored:
    """The weights of one layer under our names, where there are as many."""
    values = converted(layer, entry.values, keras_1)
    variables = in_order_of_keras(layer)
    if len(values) != len(variables):
        return entry  # which is refused, with both numbers
    own = [names[v].removeprefix(f"{layer.name}/") for v in variables]
    return Stored(entry.layer, [f"{entry.layer}/{name}" for name in own], values)


def converted(layer: Any, values: Arrays, keras_1: bool) -> Arrays:
    """The weights of a layer in our layout, or what goes with each; as they are if unknown.

    Parameters
    ----------
    layer : Layer
        A built one.
    values : list of ndarray
        As a file of Keras lists them.
    keras_1 : bool
        Whether Keras 1 wrote it.
    """
    if [v.shape for v in values] == [v.shape for v in in_order_of_keras(layer)]:
        return values
    if isinstance(layer, Bidirectional) and len(values) % 2 == 0:
        half = len(values) // 2
        return converted(layer.forward_layer, values[:half], keras_1) + converted(
            layer.backward_layer, values[half:], keras_1
        )
    if isinstance(layer, TimeDistributed):
        return converted(layer.layer, values, keras_1)
    if isinstance(layer, Model):
        return _converted_model(layer, values, keras_1)
    if isinstance(layer, LSTM | LSTMCell):
        return _converted_lstm(layer, values, keras_1)
    if isinstance(layer, Conv1D) and keras_1 and values and values[0].ndim == 4:
        return _converted_kernel(layer, values)
    return values


def _converted_model(model: Any, values: Arrays, keras_1: bool) -> Arrays:
    """Those of the layers one after the other, where all weights are trainable or all are not."""
    found: Arrays = []
    rest = values
    for layer in model.layers:
        count = _count(layer, keras_1)
        found += converted(layer, rest[:count], keras_1)
        rest = rest[count:]
    return found + rest


def _count(layer: Any, keras_1: bool) -> int:
    """How many weights of a layer Keras stores."""
    if isinstance(layer, Bidirectional):
        return _count(layer.forward_layer, keras_1) + _count(layer.backward_layer, keras_1)
    if isinstance(layer, TimeDistributed):
        return _count(layer.layer, keras_1)
    if isinstance(layer, Model):
        return sum(_count(inner, keras_1) for inner in layer.layers)
    if isinstance(layer, LSTM) and keras_1 and layer.implementation != 2:
        return 12
    return len(layer.weights)


def _converted_lstm(layer: Any, values: Arrays, keras_1: bool) -> Arrays:
    units = layer.units
    if keras_1 and len(values) == 12:
        order = [3 * _GATES_OF_KERAS_1.index(gate) for gate in "ifco"]
        return [np.concatenate([values[i + kind] for i in order], -1) for kind in range(3)]
    if len(values) == 3 and values[2].shape == (8 * units,) and values[0].ndim == 2:
        kernel, recurrent, bias = values
        return [
            np.concatenate([_from_cudnn(gate) for gate in np.split(kernel, 4, -1)], -1),
            np.concatenate([gate.T for gate in np.split(recurrent, 4, -1)], -1),
            bias[: 4 * units] + bias[4 * units :],
        ]
    return values


def _from_cudnn(gate: np.ndarray) -> np.ndarray:
    """A kernel whose numbers stand in the order of its transpose."""
    return gate.T.reshape(gate.shape, order="F")


def _converted_kernel(layer: Any, values: Arrays) -> Arrays:
    """(size, 1, channels, filters), or older (filters, channels, size, 1), without the 1."""
    kernel, *rest = values
    if kernel.shape[:2] != (layer.kernel_size[0], 1) or kernel.shape[3] != layer.filters:
        kernel = kernel.transpose(2, 3, 1, 0)
    return [kernel[:, 0], *rest] if kernel.shape[1] == 1 else values
