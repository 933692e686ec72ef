"""Weights as Keras 3 has them, ``.weights.h5``: what `_keras3` keeps them in, by itself.

Such a file is in HDF5, as those of Keras 2 are, and read where those are (`_keras2`), which looks
at what is in it.
"""

from __future__ import annotations

import os
from typing import Any

from cylstm.saving import _hdf5, _keras3_tree, _weights
from cylstm.saving._hdf5 import require
from cylstm.saving._keras2 import load, load_weights, outline

__all__ = [
    "encode_weights",
    "load",
    "load_weights",
    "outline",
    "recognises",
    "require",
    "suffixes",
]

suffixes: tuple[str, ...] = (".weights.h5",)

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Never: files in HDF5 are told apart by the reader of those."""
    return False


def encode_weights(model: Any) -> bytes:
    """The file of the weights of a model; see `Model.save_weights`."""
    _weights.named_weights(model)  # refuses a model that is not built
    return _hdf5.encode(_keras3_tree.groups_of(model))
