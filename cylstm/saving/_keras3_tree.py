"""The weights of a model in the groups that Keras 3 keeps them in.

A group a layer, called after its class and, from the second on, a number: ``layers/lstm_1``. Its
own weights are ``vars/0``, ``vars/1``, ...; layers within it are groups called after the attribute
that holds them. What a layer is called by its user may stand in an attribute of ``vars``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cylstm.layers import LSTM, RNN, Bidirectional, StackedRNNCells, TimeDistributed
from cylstm.models import Model
from cylstm.saving._hdf5 import Contents, Group
from cylstm.variables import Variable

__all__ = ["groups_of", "is_tree", "numbered", "read", "read_numbered"]

_LAYERS = "layers"
_OLD_LAYERS = "_layer_checkpoint_dependencies"  # of TensorFlow 2.12
_VARS = "vars"


def is_tree(group: Group) -> bool:
    """Whether a file of HDF5 keeps its weights in this way."""
    return _LAYERS in group or _OLD_LAYERS in group


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _class_name(layer: Any) -> str:
    """What Keras calls the class: a model that is a graph is a Functional."""
    return "Functional" if type(layer) is Model else type(layer).__name__


def numbered(layers: Iterable[Any]) -> list[tuple[str, Any]]:
    """Layers with the names of their groups."""
    used: dict[str, int] = {}
    found = []
    for layer in layers:
        name = _snake_case(_class_name(layer))
        count = used[name] = used.get(name, -1) + 1
        found.append((f"{name}_{count}" if count else name, layer))
    return found


def _parts(layer: Any) -> list[tuple[str, Any]]:
    """The layers within a layer that is no model, by the paths of their groups."""
    if isinstance(layer, Bidirectional):
        return [
            ("forward_layer", layer.forward_layer),
            ("backward_layer", layer.backward_layer),
        ]
    if isinstance(layer, TimeDistributed):
        return [("layer", layer.layer)]
    if isinstance(layer, RNN):
        return [("cell", layer.cell)]
    if isinstance(layer, StackedRNNCells):
        return [(f"cells/{name}", cell) for name, cell in numbered(layer.cells)]
    return []


# ---------------------------------------------------------------------------- writing


def groups_of(model: Any) -> Contents:
    """The contents of a file of the weights of a model."""
    return Contents(members={_LAYERS: _container(model), _VARS: Contents()})


def _container(model: Any) -> Contents:
    return Contents(members={name: _contents(layer) for name, layer in numbered(model.layers)})


def _contents(layer: Any) -> Contents:
    inner: dict[str, np.ndarray | Contents] = {}
    own: Sequence[Variable] = []
    if isinstance(layer, Model):
        inner[_LAYERS] = _container(layer)
    elif isinstance(layer, LSTM):
        inner["cell"] = Contents(members={_VARS: _listed(layer.weights)})
    else:
        parts = _parts(layer)
        inner |= {path: _contents(part) for path, part in parts}
        own = [] if parts else getattr(layer, "weights", [])
    listed = _listed(own)
    listed.attributes["name"] = layer.name
    return Contents(members={_VARS: listed, **inner})


def _listed(variables: Iterable[Variable]) -> Contents:
    return Contents(members={str(i): v.value for i, v in enumerate(variables)})


# ---------------------------------------------------------------------------- reading


def read(model: Any, file: Group, *, by_name: bool = False) -> list[tuple[Variable, np.ndarray]]:
    """Which weight of a model gets which value.

    Parameters
    ----------
    model : Model
        A built one.
    file : Group
        The outermost group of the file.
    by_name : bool, default False
        Whether to fill only layers that have the name of a layer in the file.

    Raises
    ------
    ValueError
        If they do not fit; if layers are to be found by names that the file does not hold.
    """
    found: dict[Variable, np.ndarray] = {}
    _read_model(model, file, found, by_name)
    for variable, value in found.items():
        if variable.shape != value.shape:
            raise ValueError(
                f"{variable.name} has the shape {variable.shape}, but the file holds {value.shape}"
            )
    return list(found.items())


def _read_model(
    model: Any, group: Group, found: dict[Variable, np.ndarray], by_name: bool = False
) -> None:
    container = group.group(
        _LAYERS if _LAYERS in group or _OLD_LAYERS not in group else _OLD_LAYERS
    )
    own = _names_of_users(container)
    layers = {layer.name: layer for layer in model.layers}
    if by_name and not own.keys() & layers.keys():
        raise ValueError(
            f"no layer has a name that is in the file: it holds {list(own)}, the model has "
            f"{list(layers)}"
        )
    if by_name or (own.keys() >= layers.keys() and layers):
        pairs = [(own[name], layer) for name, layer in layers.items() if name in own]
    else:
        pairs = numbered(model.layers)
    for name, layer in pairs:
        if layer.weights:
            _read_layer(layer, container.group(name), found)


def _names_of_users(container: Group) -> dict[str, str]:
    """The groups of layers by the names that the layers have in their model, if they are there."""
    found = {}
    for name in container.names:
        group = container.group(name)
        if _VARS in group:
            title = group.group(_VARS).text("name")
            if title is not None:
                found[title] = name
    return found


def _read_layer(layer: Any, group: Group, found: dict[Variable, np.ndarray]) -> None:
    if isinstance(layer, Model):
        _read_model(layer, group, found)
        return
    if isinstance(layer, LSTM):
        _read_own(layer, group.group("cell"), found)
        return
    parts = _parts(layer)
    for path, part in parts:
        if part.weights:
            _read_layer(part, group.group(path), found)
    if not parts:
        _read_own(layer, group, found)


def _read_own(layer: Any, group: Group, found: dict[Variable, np.ndarray]) -> None:
    values = read_numbered(group)
    variables = layer.weights
    if not values and all(v in found for v in variables):
        return  # a layer that is in two places is stored in the first
    if len(values) != len(variables):
        raise ValueError(
            f"layer {layer.name} has {len(variables)} weights, but the file holds {len(values)} in "
            f"{group.path}"
        )
    found.update(zip(variables, values, strict=True))


def read_numbered(group: Group) -> list[np.ndarray]:
    """The arrays ``vars/0``, ``vars/1``, ... of a group."""
    if _VARS not in group:
        return []
    inner = group.group(_VARS)
    count = len(inner.names)
    return [inner.array(str(i)) for i in range(count)]
