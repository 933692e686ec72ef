"""Models: graphs of layers that run forward and backward, train, and go into files."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from cylstm._storage import storage
from cylstm.layers import serialization
from cylstm.models._cloning import clone_model
from cylstm.models._savable import load_model, save_model
from cylstm.models.model import Model
from cylstm.models.sequential import Sequential

__all__ = [
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]

serialization.register(Model, Sequential)


def model_from_config(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> Model:
    """A new model from ``{"class_name": ..., "config": ...}``, as `Model.to_json` writes it.

    Raises
    ------
    ValueError
        If it describes no model.
    """
    model = serialization.deserialize(config, custom_objects)
    if not isinstance(model, Model):
        raise ValueError(f"The configuration is that of a {type(model).__name__}, not of a model.")
    return model


def model_from_json(text: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """A new model, without its weights, from what `Model.to_json` returned.

    Parameters
    ----------
    text : str
        The JSON text; also that of Keras 1, 2 and 3.
    custom_objects : dict, optional
        Names of layers and functions that are not cylstm's.

    Raises
    ------
    ValueError
        If it is no JSON, describes no model, or says what cylstm does not have.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.layers import LSTM
    >>> model = cylstm.Sequential([LSTM(4, input_shape=(5, 3))])
    >>> cylstm.models.model_from_json(model.to_json()).output_shape
    (None, 4)
    """
    config = storage().config_from_json(json.loads(text))
    model = model_from_config(config, custom_objects)
    if config["name"] is not None:
        model.name = config["name"]  # that of a Sequential is not part of its config
    return model


def model_from_yaml(text: str, custom_objects: dict[str, Any] | None = None) -> NoReturn:
    """Refused: reading YAML can execute what stands in it. See `model_from_json`.

    Raises
    ------
    TypeError
        Always.
    """
    raise TypeError(
        "YAML is not read, since reading it can execute code: write the model by to_json(), in "
        "Keras too, and read it by model_from_json(text)."
    )
