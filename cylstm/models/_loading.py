"""load_model: a model from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cylstm._storage import DEFAULT_MAX_SIZE, storage
from cylstm.models.model import Model

__all__ = ["load_model"]


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    *,
    max_size: int = DEFAULT_MAX_SIZE,
) -> Model:
    """Make the model that `Model.save` wrote into a file, here or in Keras 1, 2 or 3.

    Nothing from the file is executed: names in it are looked up among the classes and functions of
    cylstm and in `custom_objects`.

    Parameters
    ----------
    filepath : str or path
        The file.
    custom_objects : dict, optional
        Name to class or function, for what the package does not have: layers, losses, ...
    compile : bool, default True
        Whether the model is compiled as it was when it was saved, with the state of its
        optimizer, so that training goes on. The states of stateful layers start from zero.
    max_size : int, default 2**30
        Larger files, in bytes, are refused.

    Returns
    -------
    Model

    Raises
    ------
    FormatError
        If the file is damaged, too large, not that of a model, or of an unknown format; if it
        describes far more than it holds tensors for, which would cost time and memory; or if it
        names a class or function that is neither known nor among the `custom_objects`. It is a
        ValueError, too.
    OSError
        If the file cannot be read.
    ImportError
        If a package that the format needs is not installed.
    """
    model: Model = storage().load_model(filepath, custom_objects, compile, max_size=max_size)
    return model
