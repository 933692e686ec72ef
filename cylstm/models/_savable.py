"""Models and files: functions that `Model` has as methods, and `save_model`.

Models know nothing of formats: the functions here call what the package provides as `storage`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from cylstm._methods import member
from cylstm._storage import DEFAULT_MAX_SIZE, storage

__all__ = [
    "Savable",
    "check_path",
    "check_weights_path",
    "load_weights",
    "save",
    "save_model",
    "save_weights",
]


class Savable(Protocol):
    """What goes into files, as a whole: a model."""

    @property
    def save(self) -> Callable[..., None]:
        """How it is written into one file."""


@member
def save(
    self: Savable,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
) -> None:
    """Write the architecture, the weights and the state of training into one file.

    `cylstm.models.load_model` makes the model again. The file is complete or not there: a
    crash on the way leaves what was there before.

    Parameters
    ----------
    filepath : str or path
        ``"model.safetensors"``: the format follows from the suffix. ``.h5`` and ``.hdf5`` are
        those of Keras 2 and ``.keras`` that of Keras 3 (for both: ``pip install
        'cylstm[keras]'``); ``.json`` is the architecture alone, as `to_json` has it.
    overwrite : bool, default True
        Whether an existing file is replaced.
    include_optimizer : bool, default True
        Whether what `compile` was given and the state of the optimizer go in, so that
        training can go on.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ValueError
        If the model is not built, the suffix is unknown, the path is a symbolic link or no
        regular file, the model holds what cannot be found again by its name (a lambda) or what
        the format cannot express, or it is larger than its weights account for: more than 500
        layers that hold none, say.
    TypeError
        If a configuration holds what JSON cannot.
    ImportError
        If a package that the format needs is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     cylstm.models.load_model(path).output_shape
    (None, 4)
    """
    storage().save_model(self, filepath, overwrite, include_optimizer)


@member
def save_weights(self: Savable, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the weights, without the architecture, into a file.

    Parameters
    ----------
    filepath : str or path
        ``"weights.safetensors"``; ``.h5`` and ``.hdf5`` are those of Keras 2, ``.weights.h5``
        those of Keras 3, ``.npz`` of NumPy.
    overwrite
        As for `save`.

    Raises
    ------
    FileExistsError, ValueError, ImportError
        As for `save`.
    """
    storage().save_weights(self, filepath, overwrite)


@member
def check_path(self: Savable, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Raise now what `save` would raise later."""
    storage().check_path(filepath, overwrite=overwrite, model=self)


@member
def check_weights_path(
    self: Savable, filepath: str | os.PathLike[str], overwrite: bool = True
) -> None:
    """Raise now what `save_weights` would raise later."""
    storage().check_weights_path(filepath, overwrite=overwrite, model=self)


@member
def load_weights(
    self: Savable,
    filepath: str | os.PathLike[str],
    by_name: bool = False,
    *,
    max_size: int = DEFAULT_MAX_SIZE,
) -> None:
    """Take the weights from a file that `save_weights` or `save` wrote, here or in Keras.

    Weights of CuDNNLSTM layers, and of those of Keras 1, become those of LSTM.

    Parameters
    ----------
    filepath : str or path
        The file.
    by_name : bool, default False
        Fill the layers that have the name of a layer in the file, and leave the others
        alone. Otherwise the layers that have weights are filled in their order, and must be
        as many as in the file.
    max_size : int, default 2**30
        Larger files, in bytes, are refused.

    Raises
    ------
    ValueError
        If the weights in the file are not those of this model, or, with `by_name`, no layer
        has a name that is in the file. All weights are then as before.
    FormatError
        If the file is damaged, too large or of an unknown format; likewise. It is a
        ValueError, too.
    """
    storage().load_weights(self, filepath, by_name, max_size=max_size)


def save_model(
    model: Savable,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
) -> None:
    """Write a model into one file: the same as ``model.save``.

    Parameters
    ----------
    model : Model
        What to write.
    filepath, overwrite, include_optimizer
        As for `Model.save`.

    Raises
    ------
    FileExistsError, ValueError, TypeError, ImportError
        As for `Model.save`.
    """
    model.save(filepath, overwrite, include_optimizer)
