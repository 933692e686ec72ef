"""Random seeds, custom objects, configs and views of models, under the names of `keras.utils`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy
from cylstm._random import set_random_seed
from cylstm._registry import CustomObjectScope, custom_object_scope, get_custom_objects
from cylstm._registry import deserialize_object as deserialize_keras_object
from cylstm._registry import serialize_object as serialize_keras_object

if TYPE_CHECKING:
    from cylstm.utils.arrays import normalize, to_categorical
    from cylstm.utils.sequence import Sequence
    from cylstm.utils.views import model_to_dot, plot_model, print_summary
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "arrays": "normalize to_categorical",
            "sequence": "Sequence",
            "views": "model_to_dot plot_model print_summary",
        },
    )

__all__ = [
    "CustomObjectScope",
    "Sequence",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "model_to_dot",
    "normalize",
    "plot_model",
    "print_summary",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]
