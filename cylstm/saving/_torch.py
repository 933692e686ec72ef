"""Files of `torch.save`, read without PyTorch: a state dict, or a checkpoint that holds some.

There are two containers, of the same pickle with the same data behind it: since PyTorch 1.6 a zip
archive, with an entry for each storage; before, and by request since, a stream of pickles and then
the storages one after the other. Neither is ever written here: `cylstm.to_torch` makes a state dict
that goes to PyTorch in a safetensors file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from cylstm._storage import Path
from cylstm.saving import _torch_modules, _torch_pickle
from cylstm.saving._errors import reading
from cylstm.saving._files import check_size, opened
from cylstm.saving._limits import check_count
from cylstm.saving._outline import Outline
from cylstm.saving._tensors import itemsize, unpacked
from cylstm.saving._torch_pickle import ADVICE, Storage, Tensor
from cylstm.saving._zip import Archive, first_name

__all__ = ["load", "load_weights", "outline", "recognises", "require", "suffixes", "tensors"]

suffixes: tuple[str, ...] = (".pt", ".pth")

_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")
_STREAM = b"\x80\x02\x8a\x0a" + _MAGIC
_ZIP = b"PK\x03\x04"
# Of the archives of torch.save, torch.jit.save and torch.export.save, in the folder of the first
# entry.
_FIRST = ("data.pkl", "data", "code", "constants.pkl", "version", "byteorder", "models")
_VERSION = 1001
_PICKLE, _BYTES_PER_BYTE = 2**22, 8  # how long the pickle may be, by the data beside it
_MEMBERS, _BYTES_PER_MEMBER = 2_048, 128
_DEPTH = 4  # of dicts in a checkpoint
# How much larger than the file its tensors may be: as views, and as entries that were compressed.
_VIEWED, _VIEWS = 2**20, 4


def recognises(head: bytes) -> bool:
    """Whether a file may be of `torch.save` or `torch.jit.save`, from its beginning.

    Examples
    --------
    >>> recognises(b"\\x80\\x02\\x8a\\nl\\xfc\\x9cF\\xf9 j\\xa8P\\x19."), recognises(b"PK")
    (True, False)
    """
    name = first_name(head)
    if name is not None:
        return name.partition("/")[2].partition("/")[0] in _FIRST
    return head.startswith(_STREAM)


def require() -> None:
    """Nothing is needed."""


def load(path: Path, custom_objects: Mapping[str, Any] | None, compile: bool, max_size: int) -> Any:
    """Say that such a file holds no model, once it is read; see `cylstm.models.load_model`."""
    with reading(path):
        raise ValueError(_torch_modules.no_model(tensors(path, max_size)))


def load_weights(model: Any, path: Path, by_name: bool, max_size: int) -> None:
    """Take the weights of modules for layers of the same kind; see `Model.load_weights`."""
    with reading(path):
        state = tensors(path, max_size)
    _torch_modules.load_into(model, state, path, by_name)


def outline(path: Path, max_size: int) -> Outline:
    """Tell what is in a file."""
    with reading(path):
        return _torch_modules.outline_of(tensors(path, max_size), "PyTorch state dict")


def tensors(path: Path, max_size: int) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name.

    Parameters
    ----------
    path : str or path
        The file.
    max_size : int
        How many bytes it may have.

    Returns
    -------
    dict of ndarray
        Read-only, of the dtypes of the file, but float32 for bfloat16. Where a checkpoint holds
        one state dict, its names are as they are there; where there are several, they begin with
        the keys that lead to them: ``generator.lstm.weight_ih_l0``.

    Raises
    ------
    ValueError
        If the file is larger, holds no tensors or anything else than a state dict may hold, or is
        damaged.
    OSError
        If it cannot be read.
    """
    with opened(path) as (file, size):
        check_size(size, max_size)
        head = file.read(len(_STREAM))
        file.seek(0)
        if head == _STREAM:
            return _read_stream(file, size)
        if head.startswith(_ZIP):
            return _read_archive(file, size, max_size)
    if head[:1] == b"\x80":
        raise ValueError(f"it is a pickle, but torch.save did not write it: {ADVICE}")
    raise ValueError("it is no file of torch.save, or its beginning is damaged")


# ---------------------------------------------------------------------- the two containers


def _read_archive(file: BinaryIO, size: int, max_size: int) -> dict[str, np.ndarray]:
    archive = Archive(file, size, max_size, _MEMBERS + size // _BYTES_PER_MEMBER)
    root = _root(archive)
    length = archive.size(f"{root}/data.pkl")
    most = _PICKLE + (size - length) // _BYTES_PER_BYTE
    check_count(length, most, "its pickle has {} bytes")
    value, _ = _torch_pickle.read(io.BytesIO(archive.read(f"{root}/data.pkl")), size - length)
    wanted = _wanted(value)
    order = "little"
    if f"{root}/byteorder" in archive.names:
        order = archive.read(f"{root}/byteorder").decode()
    if order not in ("little", "big"):
        raise ValueError(f"its numbers have the byte order {order[:20]!r}")

    def read(storage: Storage) -> bytes:
        name = f"{root}/data/{storage.key}"
        _check_length(storage, archive.size(name))
        return archive.read(name)

    return _arrays(wanted, read, order, size)


def _root(archive: Archive) -> str:
    """The folder of the archive that all is in; it is called after the file that was saved."""
    parts = [name.split("/") for name in archive.names]
    folders = {part[1]: part[0] for part in reversed(parts) if len(part) > 1}
    if "code" in folders or "constants.pkl" in folders:
        raise ValueError(
            "it is TorchScript, which holds code: in PyTorch, torch.save(torch.jit.load(path)"
            ".state_dict(), other_path)"
        )
    if "models" in folders:
        raise ValueError(f"it is an exported program, which holds code: {ADVICE}")
    if "data.pkl" not in folders:
        raise ValueError("it is a zip archive, but torch.save did not write it: it has no data.pkl")
    return folders["data.pkl"]


def _read_stream(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if _torch_pickle.read_magic(file) != _MAGIC:
        raise ValueError("its magic number is another one")
    version, _ = _torch_pickle.read(file, size)
    system, _ = _torch_pickle.read(file, size)
    little = system.get("little_endian") if type(system) is dict else None
    if version != _VERSION or type(little) is not bool:
        raise ValueError("it is of another version of the stream of torch.save, or damaged")
    value, storages = _torch_pickle.read(file, size)
    wanted = _wanted(value)
    keys, _ = _torch_pickle.read(file, size)
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("its storages are not named")
    if sorted(keys) != sorted(storages):
        raise ValueError("its storages are not those that its tensors are in")
    places: dict[str, int] = {}
    position = file.tell()
    for key in keys:
        file.seek(position)
        count = int.from_bytes(file.read(8), "little" if little else "big")
        length = count * itemsize(storages[key].dtype)
        places[key] = position + 8
        position += 8 + length
        if count != storages[key].count or position > size:
            raise ValueError(f"its storage {key[:50]!r} is cut off or has another size")
    if position != size:
        raise ValueError(f"its storages end at byte {position}, and the file has {size}")

    def read(storage: Storage) -> bytes:
        file.seek(places[storage.key])
        return file.read(storage.count * itemsize(storage.dtype))

    return _arrays(wanted, read, "little" if little else "big", size)


# ---------------------------------------------------------------------- state dicts


def _wanted(value: Any) -> dict[str, Tensor]:
    """The tensors of the state dicts in what a pickle held, by name."""
    groups = list(_groups(value, (), set()))
    if not groups:
        what = "one tensor" if type(value) is Tensor else f"a {type(value).__name__}"
        raise ValueError(f"it holds {what} and no dict of tensors: {ADVICE}")
    # A checkpoint may have a number or two as tensors beside its state dict, the loss for example.
    large = [group for group in groups if any(t.shape for t in group[1].values())]
    if len(large) == 1:
        return large[0][1]
    found: dict[str, Tensor] = {}
    for path, group in groups:
        for name, tensor in group.items():
            full = ".".join((*path, name))
            if full in found:
                raise ValueError(f"it has two tensors of the name {full[:200]!r}")
            found[full] = tensor
    return found


def _groups(
    value: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Each dict that holds tensors by name, with the keys that lead to it.

    The state of an optimizer is none: it has numbers for keys.
    """
    if type(value) is not dict or id(value) in seen or len(path) > _DEPTH:
        return
    seen.add(id(value))  # a dict may hold itself
    named = {key: entry for key, entry in value.items() if type(key) is str}
    group = {key: entry for key, entry in named.items() if type(entry) is Tensor}
    if group:
        yield path, group
    for key, entry in named.items():
        yield from _groups(entry, (*path, key), seen)


# ---------------------------------------------------------------------- numbers


def _arrays(
    wanted: dict[str, Tensor], read: Callable[[Storage], bytes], order: str, size: int
) -> dict[str, np.ndarray]:
    """The tensors as views of their storages, each of which is read once."""
    total = sum(math.prod(t.shape) * itemsize(t.storage.dtype) for t in wanted.values())
    check_count(total, _VIEWED + _VIEWS * size, "its tensors take {} bytes")
    used = {t.storage for t in wanted.values()}
    stored = sum(storage.count * itemsize(storage.dtype) for storage in used)
    check_count(stored, _VIEWED + _VIEWS * size, "its storages take {} bytes")
    storages: dict[str, np.ndarray] = {}
    found = {}
    for name, tensor in wanted.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = _numbers(read(tensor.storage), tensor.storage, order)
        found[name] = _view(storages[key], tensor)
    return found


def _numbers(data: bytes, storage: Storage, order: str) -> np.ndarray:
    _check_length(storage, len(data))
    return unpacked(data, storage.dtype, order)


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    if 0 in tensor.shape:
        return numbers[:0].reshape(tensor.shape)
    strides = [
        stride * numbers.itemsize if length > 1 else 0
        for length, stride in zip(tensor.shape, tensor.strides, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )


def _check_length(storage: Storage, length: int) -> None:
    expected = storage.count * itemsize(storage.dtype)
    if length != expected:
        raise ValueError(
            f"its storage {storage.key[:50]!r} has {length} bytes, and {storage.count} numbers of "
            f"type {storage.dtype} have {expected}"
        )
