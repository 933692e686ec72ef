"""NumPy's ``.npz``: weights as named arrays in a zip archive.

What cylstm writes has names such as ``lstm_1/kernel``, in the order of the layers. Read are these,
and those of ``np.savez(path, *model.get_weights())``: ``arr_0``, ``arr_1``, ... in the order of
`Model.get_weights`. Arrays are decoded here, after their sizes were checked; none is of objects.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from cylstm.saving import _outline, _weights, _zip
from cylstm.saving._errors import FormatError, reading
from cylstm.saving._outline import Outline
from cylstm.saving._weights import Stored
from cylstm.variables import Variable

__all__ = [
    "archive_of",
    "encode_weights",
    "load",
    "load_weights",
    "outline",
    "read",
    "recognises",
    "require",
    "suffixes",
]

suffixes: tuple[str, ...] = (".npz",)

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 2**12
_HEADER = re.compile(
    rb"\{'descr': '([<>|])([fiubU])([1-9]\d{0,3})', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]*)\), \} *\n"
)
_NUMBERED = re.compile(r"arr_(\d+)")

Path = str | os.PathLike[str]


def recognises(head: bytes) -> bool:
    """Whether a file begins as an archive of arrays."""
    name = _zip.first_name(head)
    return name is not None and name.endswith(".npy")


def require() -> None:
    """Nothing is missing: NumPy is there."""


def encode_weights(model: Any) -> bytes:
    """The file of the weights of a model; see `Model.save_weights`."""
    arrays: dict[str, np.ndarray] = {}
    for layer, names, variables in _weights.named_weights(model):
        if "/" in layer.name:
            raise ValueError(f"Layer {layer.name!r} cannot be stored in .npz: its name has a /.")
        arrays.update((n, v.value) for n, v in zip(names, variables, strict=True))
    return archive_of(arrays)


def archive_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file of some arrays, by name; the same arrays are the same bytes."""
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    return _zip.encode(members)


def load(
    path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int
) -> NoReturn:
    """Refused: such a file holds no model."""
    raise FormatError(
        f"Cannot read {os.fspath(path)!r}: it holds weights only: make the model and call its "
        "load_weights(path)"
    )


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of a file; see `Model.load_weights`."""
    arrays = read(path, max_size)
    try:
        _weights.assign(_pairs(model, arrays, by_name))
    except ValueError as error:
        raise ValueError(f"Cannot load the weights of {os.fspath(path)!r}: {error}.") from None


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    arrays = _outline.of_arrays(read(path, max_size))
    return Outline("NumPy's .npz", "weights", arrays=arrays)


def read(path: Path, max_size: int, kinds: str = "fiu") -> dict[str, np.ndarray]:
    """All arrays of a file.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        Larger files, in bytes, are refused.
    kinds : str, default "fiu"
        Which kinds of dtypes are read, as NumPy calls them: ``b`` for bools, ``U`` for text.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    FormatError
        If the file is damaged, hostile, or holds anything else.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.npz")
    ...     np.savez(path, x=np.ones((2, 3)))
    ...     read(path, 2**20)["x"].shape
    (2, 3)
    """
    arrays = {}
    with reading(path), _zip.opened_archive(path, max_size) as archive:
        for name in archive.names:
            if not name.endswith(".npy"):
                raise ValueError(f"its member {name!r} is no array")
            arrays[name.removesuffix(".npy")] = _decoded(archive.read(name), name, kinds)
    return arrays


def _pairs(
    model: Any, arrays: dict[str, np.ndarray], by_name: bool
) -> list[tuple[Variable, np.ndarray]]:
    if arrays and all(_NUMBERED.fullmatch(name) for name in arrays):
        if by_name:
            raise ValueError("its arrays have no names, only numbers")
        return _in_order_of_numbers(model, arrays)
    layers: dict[str, Stored] = {}
    for name, array in arrays.items():
        layer, slash, _ = name.partition("/")
        if not slash:
            raise ValueError(f"the array {name!r} is not named after a layer, as in lstm_1/kernel")
        stored = layers.setdefault(layer, Stored(layer, [], []))
        stored.names.append(name)
        stored.values.append(array)
    pair = _weights.by_name if by_name else _weights.in_order
    return pair(model, list(layers.values()))


def _in_order_of_numbers(
    model: Any, arrays: dict[str, np.ndarray]
) -> list[tuple[Variable, np.ndarray]]:
    _weights.named_weights(model)  # refuses a model that is not built
    numbers = {int(name.removeprefix("arr_")): array for name, array in arrays.items()}
    variables = model.weights
    if sorted(numbers) != list(range(len(variables))):
        raise ValueError(
            f"the file holds {len(arrays)} numbered arrays, but the model has {len(variables)} "
            "weights"
        )
    return [(variable, numbers[i]) for i, variable in enumerate(variables)]


def _decoded(data: bytes, name: str, kinds: str) -> np.ndarray:
    """The array of a member, in the format ``.npy``.

    References
    ----------
    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    if data[:6] != _MAGIC or data[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError(f"its member {name!r} is no array")
    start = 10 if data[6] == 1 else 12
    length = int.from_bytes(data[8:start], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"the array {name!r} has a header of {length} bytes")
    header = _HEADER.fullmatch(data[start : start + length])
    parts = [part.decode() for part in header.groups()] if header else []
    if not parts or parts[1] not in kinds:
        raise ValueError(f"the array {name!r} is not one of numbers, or cut off")
    order, kind, size, fortran, sizes = parts
    shape = tuple(int(n) for n in sizes.replace(" ", "").split(",") if n)
    dtype = np.dtype(f"{order}{kind}{size}")  # NumPy refuses a float of one byte
    body = memoryview(data)[start + length :]
    if len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"the array {name!r} of shape {shape} has {len(body)} bytes")
    array = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran == "True" else "C")
    return array.astype(dtype.newbyteorder("="), order="C")
