"""safetensors files of anybody's: named tensors, most often a PyTorch state dict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cylstm._storage import Path
from cylstm.saving import _atomic, _tensors, _torch_modules
from cylstm.saving._errors import reading
from cylstm.saving._outline import Outline

__all__ = [
    "load",
    "load_weights",
    "outline",
    "recognises",
    "require",
    "suffixes",
    "tensors",
    "write",
]

suffixes: tuple[str, ...] = ()  # by its suffix a file is of the native format


def recognises(head: bytes) -> bool:
    """Whether a file may be safetensors; that of cylstm is asked first about its own.

    Examples
    --------
    >>> recognises(b"\\x40" + bytes(7) + b'{"weight":{"dtype":')
    True
    """
    return _tensors.recognises(head)


def require() -> None:
    """Nothing is needed to read."""


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Say that such a file holds no model, once it is read; see `cylstm.models.load_model`."""
    with reading(path):
        what = _torch_modules.no_model(tensors(path, max_size))
        raise ValueError(f"it is a safetensors file, but cylstm did not write it: {what}")


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of PyTorch's modules for such layers; see `Model.load_weights`."""
    with reading(path):
        state = tensors(path, max_size)
    modules = {name.rpartition(".")[0] for name in state}
    if not by_name and len(modules) > 1:
        raise ValueError(
            f"Cannot load the weights of {os.fspath(path)!r} in order: safetensors files of others "
            "have their tensors sorted by name. Give the layers the names of the modules, and "
            "by_name=True."
        )
    _torch_modules.load_into(model, state, path, by_name)


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    with reading(path):
        return _torch_modules.outline_of(tensors(path, max_size), "safetensors")


def tensors(path: Path, max_size: int) -> dict[str, np.ndarray]:
    """The tensors of a file by name, read-only; bfloat16 reads as float32."""
    return _tensors.decode(path, max_size, _tensors.FOREIGN_DTYPES)[0]


def write(tensors: Mapping[str, np.ndarray], path: Path, overwrite: bool) -> None:
    """Write named tensors as other programs read them."""
    _atomic.write(path, _tensors.encode(dict(tensors), {"format": "np"}), overwrite=overwrite)
