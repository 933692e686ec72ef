"""The weights of a model by layer: their names in files, and how they find back to their places."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cylstm.variables import Variable

__all__ = ["Stored", "assign", "by_name", "in_order", "named_weights", "unused_name"]


class Stored(NamedTuple):
    """The weights of one layer in a file.

    Attributes
    ----------
    layer : str
        The name of the layer.
    names : list of str
        The names of its weights.
    values : list of ndarray
        Their values.
    """

    layer: str
    names: list[str]
    values: list[np.ndarray]


def named_weights(model: Any) -> list[tuple[Any, list[str], list[Variable]]]:
    """The layers that have weights, with names for these that are unique in the model.

    A weight is called after its layer and itself, ``lstm_1/kernel``. One that belongs to two
    layers keeps the name it has in the first.

    Parameters
    ----------
    model : Model
        A built one.

    Returns
    -------
    list of (layer, names, variables)
        In the order of the layers.

    Raises
    ------
    ValueError
        If the model is not built.

    Examples
    --------
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3), name="first")])
    >>> named_weights(model)[0][1]
    ['first/kernel', 'first/recurrent_kernel', 'first/bias']
    """
    if not model.built:
        raise ValueError(
            f"Model {model.name} is not built, so it has no weights: give its first layer an "
            "input_shape, or call build(input_shape)."
        )
    names: dict[Variable, str] = {}
    used: set[str] = set()
    numbers: dict[str, int] = {}
    found = []
    for layer in model.layers:
        variables = list(layer.weights)
        for variable in variables:
            if variable not in names:
                own = variable.name.removeprefix(f"{layer.name}/")
                names[variable] = unused_name(f"{layer.name}/{own}", used, numbers)
                used.add(names[variable])
        if variables:
            found.append((layer, [names[v] for v in variables], variables))
    return found


def unused_name(name: str, used: Container[str], numbers: dict[str, int] | None = None) -> str:
    """The name, with a number behind it where it is used already.

    Parameters
    ----------
    name : str
        What is wanted.
    used : container of str
        What is not to be had.
    numbers : dict, optional
        Where the last number of each name is kept, for many of them: none is tried twice.

    Returns
    -------
    str

    Examples
    --------
    >>> unused_name("kernel", ["kernel", "kernel_2"])
    'kernel_3'
    """
    numbers = {} if numbers is None else numbers
    candidate = name
    while candidate in used:
        numbers[name] = numbers.get(name, 1) + 1
        candidate = f"{name}_{numbers[name]}"
    return candidate


def in_order(
    model: Any, stored: Sequence[Stored], *, exactly: bool = False
) -> list[tuple[Variable, np.ndarray]]:
    """Which weight gets which value where layers correspond in their order.

    Parameters
    ----------
    model : Model
        A built one.
    stored : list of Stored
        One for each layer that has weights.
    exactly : bool, default False
        Whether the names of the layers and the dtypes of the weights must be the same, too.

    Raises
    ------
    ValueError
        If the number of layers, of the weights of a layer, or a shape differs.
    """
    layers = named_weights(model)
    if len(layers) != len(stored):
        raise ValueError(
            f"the file holds the weights of {len(stored)} layers, {[s.layer for s in stored]}, "
            f"but the model has {len(layers)} layers with weights, "
            f"{[layer.name for layer, _, _ in layers]}"
        )
    pairs = []
    for (layer, names, variables), entry in zip(layers, stored, strict=True):
        found = _of_layer(layer.name, names, variables, entry)
        if exactly:
            _check_same(layer, found, entry)
        pairs += found
    return pairs


def by_name(model: Any, stored: Sequence[Stored]) -> list[tuple[Variable, np.ndarray]]:
    """Which weight gets which value where layers correspond by their names.

    Raises
    ------
    ValueError
        If no name is the same, or the weights of such a layer do not fit.
    """
    entries = {entry.layer: entry for entry in stored}
    layers = named_weights(model)
    common = [group for group in layers if group[0].name in entries]
    if not common:
        raise ValueError(
            f"no layer has a name that is in the file: it holds {list(entries)}, the model has "
            f"{[layer.name for layer, _, _ in layers]}"
        )
    return [
        pair
        for layer, names, variables in common
        for pair in _of_layer(layer.name, names, variables, entries[layer.name])
    ]


def assign(pairs: Iterable[tuple[Variable, np.ndarray]]) -> None:
    """Give all weights their values, or none where an error is raised.

    Raises
    ------
    ValueError
        If a shape differs.
    """
    checked = [(variable, variable.checked(value)) for variable, value in pairs]
    for variable, value in checked:
        variable.assign(value)


def _of_layer(
    layer: str, names: list[str], variables: list[Variable], stored: Stored
) -> list[tuple[Variable, np.ndarray]]:
    """Pair the weights of one layer: by their names if those are the same, else in order."""
    if len(variables) != len(stored.values):
        raise ValueError(
            f"layer {layer} has {len(variables)} weights, but the file holds "
            f"{len(stored.values)} for its layer {stored.layer}"
        )
    own = [name.removeprefix(f"{layer}/") for name in names]
    theirs = [name.removeprefix(f"{stored.layer}/") for name in stored.names]
    # The order depends on what is frozen; the names may depend on how many layers were made before.
    place = {name: i for i, name in enumerate(theirs)}
    order = [place[name] for name in own] if place.keys() == set(own) else range(len(own))
    pairs = [(v, stored.values[i]) for v, i in zip(variables, order, strict=True)]
    for variable, value in pairs:
        if variable.shape != value.shape:
            raise ValueError(
                f"{variable.name} of layer {layer} has the shape {variable.shape}, but the file "
                f"holds {value.shape} for its layer {stored.layer}"
            )
    return pairs


def _check_same(layer: Any, pairs: list[tuple[Variable, np.ndarray]], stored: Stored) -> None:
    if layer.name != stored.layer:
        raise ValueError(f"the file holds the weights of {stored.layer!r}, not of {layer.name!r}")
    for variable, value in pairs:
        if variable.dtype != value.dtype:
            raise ValueError(
                f"{variable.name} is {variable.dtype}, but the file holds {value.dtype}"
            )
