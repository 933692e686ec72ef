"""Models and weights in files: what `Model.save`, `load_model` and their kin do.

A format is a module that has what `Format` asks for, and one line in `FORMATS`. One that is
written, too, has `encode`, `encode_weights` or both; one that is only read has neither. To write,
the suffix says which one is meant (none: the native one); to read, the first bytes do, then the
suffix.

Nothing read from a file is executed, and a file that is damaged or hostile raises `FormatError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from cylstm._lazy import later
from cylstm._storage import DEFAULT_MAX_SIZE, Path
from cylstm.saving._errors import FormatError, reading
from cylstm.saving._files import opened
from cylstm.saving._outline import ArraySpec, Outline, Part

if TYPE_CHECKING:
    from cylstm.models.model import Model

__all__ = [
    "FORMATS",
    "ArraySpec",
    "Format",
    "FormatError",
    "Outline",
    "Part",
    "Writer",
    "check_path",
    "check_weights_path",
    "config_from_json",
    "config_to_json",
    "load_model",
    "load_tensors",
    "load_weights",
    "outline",
    "save_model",
    "save_tensors",
    "save_weights",
    "writes_models",
]

_RECOGNISED_BY = 2**16  # first bytes: some formats have no magic number and are known by a header


class Format(Protocol):
    """What the module of a format has; the functions take what those of `Model` take."""

    suffixes: tuple[str, ...]

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins like this is of the format: its first 64 KiB, or all of it.

        Where two formats recognise a file, the one that stands first in `FORMATS` gets it.
        """

    def require(self) -> None:
        """Raise an ImportError that says what to install where a package is missing."""

    def load(
        self, path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int
    ) -> Any:
        """Make the model that a file holds; a FormatError where it holds none."""

    def load_weights(self, model: Any, path: Path, by_name: bool, max_size: int) -> None:
        """Take the weights from a file; a FormatError where it holds none."""

    def outline(self, path: Path, max_size: int) -> Outline:
        """Tell what a file holds, without making anything of it."""


class Writer(Format, Protocol):
    """What the module of a format has, too, if it writes; without one of the two, it does not."""

    def encode(self, model: Any, include_optimizer: bool) -> bytes:
        """The file of a model; a ValueError where the format cannot express it."""

    def encode_weights(self, model: Any) -> bytes:
        """The file of the weights of a model; likewise."""


# A module is loaded when it is first asked whether a file is its own: the native one alone for its
# own files.
FORMATS: dict[str, Format] = {
    "native": later("cylstm.saving._native"),
    "safetensors": later("cylstm.saving._foreign"),
    "keras 2": later("cylstm.saving._keras2"),
    "keras 3": later("cylstm.saving._keras3"),
    "keras 3 weights": later("cylstm.saving._keras3_weights"),
    "numpy": later("cylstm.saving._npz"),
    "torch": later("cylstm.saving._torch"),
    "json": later("cylstm.saving._architecture"),
    "onnx": later("cylstm.saving._onnx"),
}


def check_path(filepath: Path, *, overwrite: bool = True, model: Any = None) -> None:
    """Raise now what `save_model` would raise later, because of a path or of the model.

    Nothing is written, and nothing about the path is changed.

    Parameters
    ----------
    filepath : str or path
        Where to; one with fields to fill in, ``"{epoch}.safetensors"``, is to be filled in before.
    overwrite : bool, default True
        Whether an existing file may be replaced.
    model : Model, optional
        What is to be saved: that the format has all its layers and activations is then seen, too.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ValueError
        If the suffix is unknown, the path is a symbolic link or no regular file, or the format
        cannot express the model.
    TypeError
        If a configuration in the model holds what JSON cannot.
    ImportError
        If a package that the format needs is not installed.
    OSError
        If there is no such folder, or nothing can be written to it.

    Examples
    --------
    >>> check_path("model.pkl")
    Traceback (most recent call last):
    ...
    ValueError: No format has the suffix of 'model.pkl'; there are .safetensors, ...
    """
    writer = _check_place(filepath, overwrite, "encode")
    if model is not None:
        writer.encode(model, True)


def check_weights_path(filepath: Path, *, overwrite: bool = True, model: Any = None) -> None:
    """Raise now what `save_weights` would raise later; see `check_path`.

    Parameters
    ----------
    filepath, overwrite, model
        As for `check_path`.

    Raises
    ------
    FileExistsError, ValueError, ImportError, OSError
        As `check_path` does.

    Examples
    --------
    >>> check_weights_path("weights.pkl")
    Traceback (most recent call last):
    ...
    ValueError: No format has the suffix of 'weights.pkl'; there are .safetensors, ...
    """
    writer = _check_place(filepath, overwrite, "encode_weights")
    if model is not None:
        writer.encode_weights(model)


def _check_place(path: Path, overwrite: bool, action: str) -> Writer:
    from cylstm.saving import _atomic

    writer = _writer(path, action)
    writer.require()
    _atomic.check(path, overwrite=overwrite)
    return writer


def save_model(
    model: Any, filepath: Path, overwrite: bool = True, include_optimizer: bool = True
) -> None:
    """Write a model into a file; the same as `Model.save`.

    Parameters
    ----------
    model : Model
        A built one.
    filepath, overwrite, include_optimizer
        As for `Model.save`.
    """
    from cylstm.saving import _atomic

    data = _writer(filepath, "encode").encode(model, include_optimizer)
    _atomic.write(filepath, data, overwrite=overwrite)


def load_model(
    filepath: Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    *,
    max_size: int = DEFAULT_MAX_SIZE,
) -> Model:
    """Make the model that a file holds; the same as `cylstm.models.load_model`.

    Parameters
    ----------
    filepath, custom_objects, compile, max_size
        As for `cylstm.models.load_model`.

    Returns
    -------
    Model

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cylstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     _ = path.write_bytes(b"something else")
    ...     try:
    ...         cylstm.saving.load_model(path)
    ...     except cylstm.saving.FormatError as error:
    ...         print("no safetensors file" in str(error))
    True
    """
    model: Model = _of_file(filepath).load(filepath, custom_objects, compile, max_size)
    return model


def save_weights(model: Any, filepath: Path, overwrite: bool = True) -> None:
    """Write the weights of a model into a file; the same as `Model.save_weights`.

    Parameters
    ----------
    model : Model
        A built one.
    filepath, overwrite
        As for `Model.save_weights`.
    """
    from cylstm.saving import _atomic

    data = _writer(filepath, "encode_weights").encode_weights(model)
    _atomic.write(filepath, data, overwrite=overwrite)


def load_weights(
    model: Any, filepath: Path, by_name: bool = False, *, max_size: int = DEFAULT_MAX_SIZE
) -> None:
    """Take the weights of a model from a file; the same as `Model.load_weights`.

    Parameters
    ----------
    model : Model
        A built one.
    filepath, by_name, max_size
        As for `Model.load_weights`.
    """
    _of_file(filepath).load_weights(model, filepath, by_name, max_size)


def config_from_json(document: Any) -> dict[str, Any]:
    """The configuration that `models.model_from_config` takes, from parsed JSON of any Keras.

    Parameters
    ----------
    document : dict
        What `Model.to_json` returned, here or in Keras 1, 2 or 3, as parsed.

    Returns
    -------
    dict
        With class_name, config and name.

    Raises
    ------
    ValueError
        If it describes no model, or what cylstm does not have: with the names of layer and
        argument.

    Examples
    --------
    >>> layer = {"class_name": "CuDNNLSTM", "config": {"units": 4, "name": "a"}}
    >>> config = config_from_json({"class_name": "Sequential", "config": [layer],
    ...                            "keras_version": "2.1.5"})
    >>> config["config"][0]["config"]["recurrent_activation"]
    'sigmoid'
    """
    from cylstm.saving import _keras_graph

    return _keras_graph.architecture(document)


def config_to_json(model: Any) -> dict[str, Any]:
    """The class name and the configuration of a model as Keras 2 writes them.

    Parameters
    ----------
    model : Model
        Any.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If Keras 2 has no such activation.
    """
    from cylstm.saving import _keras_graph

    return _keras_graph.written(model)


def outline(filepath: Path, *, max_size: int = DEFAULT_MAX_SIZE) -> Outline:
    """Tell what a file of any format holds, without making a model: it need not be one of ours.

    Parameters
    ----------
    filepath : str or path
        Of a model, weights, an architecture or tensors.
    max_size : int, default 2**30
        Larger files, in bytes, are refused.

    Returns
    -------
    Outline
        What wrote it, the layers with their arguments, the shapes of all arrays, and what the
        model was compiled with.

    Raises
    ------
    FormatError
        If the file is damaged, hostile, larger than `max_size` or of an unknown format.
    OSError
        If it cannot be read.
    ImportError
        If a package that the format needs is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3), name="reader")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     model.save(path)
    ...     found = outline(path)
    >>> found.holds, found.parts[0].kind, found.parts[0].arguments["units"]
    ('model', 'LSTM', 4)
    >>> found.arrays["reader/bias"]
    ArraySpec(shape=(16,), dtype='float32')
    """
    return _of_file(filepath).outline(filepath, max_size)


def writes_models(filepath: Path) -> bool:
    """Whether files with the suffix of a path are written with a model in them, or weights only.

    Parameters
    ----------
    filepath : str or path
        Where to.

    Examples
    --------
    >>> writes_models("model.keras"), writes_models("model.weights.h5"), writes_models("model.npz")
    (True, False, False)
    """
    if not os.path.splitext(os.fspath(filepath))[1]:
        return True
    return hasattr(_of_suffix(filepath, FORMATS.values()), "encode")


def load_tensors(filepath: Path, *, max_size: int = DEFAULT_MAX_SIZE) -> dict[str, np.ndarray]:
    """Read the named tensors of a file: of PyTorch, or of safetensors whoever wrote them.

    Parameters
    ----------
    filepath : str or path
        A state dict of PyTorch, or a checkpoint with one or more (.pt, .pth, ...), or a safetensors
        file.
    max_size : int, default 2**30
        How many bytes the file may have.

    Returns
    -------
    dict of ndarray
        Read-only; in the dtypes of the file, but float32 for bfloat16. The names are those of the
        file; where a checkpoint holds several state dicts, they begin with its keys.

    Raises
    ------
    FormatError
        If the file is damaged, hostile, larger than `max_size`, or holds no named tensors.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tensors.safetensors")
    ...     save_tensors({"fc.bias": [1.0, 2.0]}, path)
    ...     {name: array.tolist() for name, array in load_tensors(path).items()}
    {'fc.bias': [1.0, 2.0]}
    """
    module = _of_file(filepath)
    with reading(filepath):
        read = getattr(module, "tensors", None)
        if read is None:
            raise ValueError("it holds a model or its weights, not named tensors")
        found: dict[str, np.ndarray] = read(filepath, max_size)
        return found


def save_tensors(
    tensors: Mapping[str, npt.ArrayLike], filepath: Path, overwrite: bool = True
) -> None:
    """Write named tensors into a safetensors file, as PyTorch and others read them.

    Parameters
    ----------
    tensors : mapping of array_like
        By name, such as what `cylstm.to_torch` returns.
    filepath : str or path
        Where to; with the suffix .safetensors.
    overwrite : bool, default True
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError
        If the suffix is another, a dtype cannot be stored, or the path is a symbolic link.
    FileExistsError
        If there is such a file and `overwrite` is False.
    OSError
        If it cannot be written; what was there before is unchanged.

    Examples
    --------
    >>> save_tensors({"fc.bias": [1.0, 2.0]}, "tensors.bin")
    Traceback (most recent call last):
    ...
    ValueError: Tensors are written as .safetensors, and not into 'tensors.bin'.
    """
    if not os.fspath(filepath).lower().endswith(FORMATS["native"].suffixes):
        raise ValueError(
            f"Tensors are written as .safetensors, and not into {os.fspath(filepath)!r}."
        )
    from cylstm.saving import _foreign

    arrays = {name: np.asarray(array) for name, array in tensors.items()}
    _foreign.write(arrays, filepath, overwrite)


_WRITTEN = {"encode": "models", "encode_weights": "weights"}


def _writer(path: Path, action: str) -> Writer:
    """The format that a path has the suffix of, and that has what is to be called."""
    if not os.path.splitext(os.fspath(path))[1]:
        return cast(Writer, FORMATS["native"])
    writers = [module for module in FORMATS.values() if hasattr(module, action)]
    module = _of_suffix(path, writers)
    if module is not None:
        return cast(Writer, module)
    name = os.fspath(path)
    if _of_suffix(path, FORMATS.values()) is None:
        written = [m for m in FORMATS.values() if any(hasattr(m, a) for a in _WRITTEN)]
        raise ValueError(f"No format has the suffix of {name!r}; there are {_suffixes(written)}.")
    raise ValueError(
        f"No {_WRITTEN[action]} are written under the suffix of {name!r}; under these they are: "
        f"{_suffixes(writers)}."
    )


def _of_suffix(path: Path, formats: Iterable[Format]) -> Format | None:
    """The format with the longest suffix that a path ends in: .weights.h5 is not .h5."""
    name = os.path.basename(os.fspath(path)).lower()
    found = [(len(s), module) for module in formats for s in module.suffixes if name.endswith(s)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _of_file(path: Path) -> Format:
    with reading(path):
        with opened(path) as (file, _):
            head = file.read(_RECOGNISED_BY)
        for module in FORMATS.values():
            if module.recognises(head):
                return module
        found = _of_suffix(path, FORMATS.values())
        if found is not None:
            return found  # it will say what is wrong with the file
        raise ValueError(f"its format is unknown; known are those of {_suffixes(FORMATS.values())}")


def _suffixes(formats: Iterable[Format]) -> str:
    return ", ".join(suffix for module in formats for suffix in module.suffixes)
