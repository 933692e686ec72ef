"""What other frameworks mean by the names that activations have here, and the orders of the gates.

The only place where a name or an order is translated, both ways. An origin is what wrote a file:

- ``keras2``: Keras 1 and 2, tf.keras and tf_keras, whose names and order are ours;
- ``keras3``: Keras 3, which has its gates in our order;
- ``torch``: PyTorch;
- ``onnx``: ONNX, whose HardSigmoid has its slope as an attribute.

An activation that another framework does not have under any name is refused there, by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["GATES", "activation_from", "activation_to", "reordered"]

GATES = {"keras2": "ifco", "keras3": "ifco", "torch": "ifco", "onnx": "iofc"}
"""The order of an LSTM's gates in the kernels, by origin: c is the cell input, g in PyTorch."""

# Where the same name means another function: their name to ours.
_ACTIVATIONS = {
    "keras2": {},
    "keras3": {"hard_sigmoid": "hard_sigmoid_6"},
    "torch": {"hard_sigmoid": "hard_sigmoid_6", "hardsigmoid": "hard_sigmoid_6"},
    "onnx": {},
}


def activation_from(origin: str, name: str) -> str:
    """Our name of an activation that a file names.

    Parameters
    ----------
    origin : {"keras2", "keras3", "torch", "onnx"}
        What wrote the file.
    name : str
        The name that is in it; one that we do not have is returned as it is.

    Returns
    -------
    str

    Examples
    --------
    >>> activation_from("keras2", "hard_sigmoid"), activation_from("keras3", "hard_sigmoid")
    ('hard_sigmoid', 'hard_sigmoid_6')
    """
    return _ACTIVATIONS[origin].get(name, name)


def activation_to(origin: str, name: str, layer: str) -> str:
    """The name that an activation of ours has in a file for another framework.

    Parameters
    ----------
    origin : {"keras2", "keras3", "torch", "onnx"}
        What is to read the file.
    name : str
        Our name.
    layer : str
        The layer that has it, for the error.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the framework has no such function, or another one by that name.

    Examples
    --------
    >>> activation_to("keras3", "hard_sigmoid_6", "lstm_1")
    'hard_sigmoid'
    >>> activation_to("keras3", "hard_sigmoid", "lstm_1")
    Traceback (most recent call last):
    ...
    ValueError: Layer lstm_1 has the activation hard_sigmoid, which keras3 does not have: ...
    """
    theirs = {ours: name for name, ours in reversed(_ACTIVATIONS[origin].items())}
    if name in theirs:
        return theirs[name]
    if name in _ACTIVATIONS[origin] or name == "hard_sigmoid_6":
        raise ValueError(
            f"Layer {layer} has the activation {name}, which {origin} does not have: by the name "
            f"hard_sigmoid it means {_ACTIVATIONS[origin].get('hard_sigmoid', 'hard_sigmoid')}. "
            "Save it as .safetensors, or choose sigmoid and train again."
        )
    return name


def reordered(array: np.ndarray, given: str, wanted: str, axis: int = -1) -> np.ndarray:
    """An array of four gates with these in another order.

    Parameters
    ----------
    array : ndarray
        The gates are equal parts of one axis.
    given, wanted : str
        The orders, such as ``GATES["onnx"]``.
    axis : int, default -1
        The axis of the gates.

    Returns
    -------
    ndarray
        The array itself where the orders are the same.

    Examples
    --------
    >>> reordered(np.array([1, 2, 3, 4]), "iofc", "ifco").tolist()
    [1, 3, 4, 2]
    """
    if given == wanted:
        return array
    parts: Sequence[np.ndarray] = np.split(array, len(given), axis)
    return np.concatenate([parts[given.index(gate)] for gate in wanted], axis)
