"""Prediction on collections of Dask: larger than memory, on as many workers as there are."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np

from cylstm import _checks, _threads
from cylstm.models import Model, load_model
from cylstm.training._data import batch_size_of, check_batches, inputs_of
from cylstm.training._reading import listed, numbers

try:
    import cloudpickle
    import dask
    import dask.array as da
    from dask.bag import Bag
except ImportError as _error:
    raise ImportError(
        f"cylstm.distributed.predict needs Dask, which cannot be imported ({_error}): "
        "pip install 'cylstm[dask]'"
    ) from _error

__all__ = ["predict"]


def predict(model: Any, data: Any, batch_size: int | None = None) -> Any:
    """`Model.predict` on an array or bag of Dask, chunk by chunk, when its result is computed.

    The model travels to each worker once, as a task of its own that every chunk needs, so that
    Dask brings it back where a worker was lost. A chunk is computed by the one thread that Dask
    has given it: how many threads there are is said once, to Dask.

    Parameters
    ----------
    model : Model, or str or path
        A built one, not stateful; or the file of one, which each worker reads for itself.
    data : dask.array.Array, or list or dict of them; or dask.bag.Bag
        The inputs as `Model.predict` takes them: one array for each, in chunks of whole samples,
        which are split in the same way. Or, for a model of one input, a bag of samples without
        the batch axis, which may differ in length.
    batch_size : int, optional
        How many samples of a chunk to compute at once: by default 32, or what the model is bound
        to.

    Returns
    -------
    dask.array.Array or list of them; or dask.bag.Bag
        One array for each output, in the chunks of the samples. Of a bag, a bag with one array
        for each sample; with several outputs a list of arrays.

    Raises
    ------
    TypeError
        If there is no such model, no such data, or its numbers are of the wrong kind.
    ValueError
        If the model is stateful or not built, or shapes, chunks or their sizes do not fit. What
        is in a bag is only seen when the result is computed.
    ImportError
        If Dask is not installed.

    Examples
    --------
    >>> import dask.array as da
    >>> import cylstm.distributed
    >>> from cylstm.layers import LSTM, Dense
    >>> model = cylstm.Sequential([LSTM(4, input_shape=(None, 3)), Dense(2)])
    >>> x = da.random.default_rng(1).random((1000, 7, 3), chunks=(100, -1, -1), dtype="float32")
    >>> y = cylstm.distributed.predict(model, x)
    >>> y
    dask.array<predict, shape=(1000, 2), dtype=float32, chunksize=(100, 2), chunktype=numpy.ndarray>
    >>> y.compute(scheduler="synchronous").shape
    (1000, 2)
    """
    found, parcel = _packed(model)
    size = batch_size_of(found, batch_size)
    shared = dask.delayed(parcel, name=f"model-{dask.base.tokenize(parcel)}", traverse=False)
    if isinstance(data, Bag):
        if len(found.inputs) != 1:
            raise ValueError(
                f"Model {found.name} takes {len(found.inputs)} inputs; samples of a bag are one "
                "input: give a list or a dict of dask arrays."
            )
        return data.map_partitions(_of_samples, shared, size)
    arrays = _checked(found, data, size)
    rows = da.blockwise(
        _of_block,
        (0,),
        *_indexed(arrays),
        shared,
        None,
        size,
        None,
        token="predict",
        meta=np.empty(0, object),
        align_arrays=False,
    )
    outputs = [_output(rows, n, shape, t) for n, (shape, t) in enumerate(_results(found, arrays))]
    return outputs if len(outputs) > 1 else outputs[0]


# The model ------------------------------------------------------------------------------------


def _packed(model: Any) -> tuple[Model, Any]:
    """A model that can be used, and what makes it again on a worker."""
    parcel: Any
    if isinstance(model, str | os.PathLike):
        path = os.path.abspath(model)
        model, status = load_model(path, compile=False), os.stat(path)
        parcel = path, status.st_size, status.st_mtime_ns  # a file that was replaced is another one
    elif isinstance(model, Model):
        parcel = b""
    else:
        raise TypeError(
            f"A model or the path of its file is needed, got {_checks.described(model)}."
        )
    if not model.built:
        raise ValueError(
            f"Model {model.name} is not built, and each worker would draw weights of its own: give "
            "its first layer an input_shape, and load or train it."
        )
    if model.stateful:
        raise ValueError(
            f"Model {model.name} is stateful: row i of a batch goes on where row i of the batch "
            "before stopped, but chunks are computed on any worker, in any order. Make it with "
            "stateful=False, and give whole sequences."
        )
    # By value what another process cannot import: classes of a notebook or a script.
    return model, parcel or cloudpickle.dumps(model)


@lru_cache(maxsize=2)
def _unpacked(parcel: Any) -> Model:
    made: Model = (
        pickle.loads(parcel) if isinstance(parcel, bytes) else load_model(parcel[0], compile=False)
    )
    return made


_unpacking = threading.Lock()


def _model_of(parcel: Any) -> Model:
    with _unpacking:  # threads of a worker wait for the first one
        return _unpacked(parcel)


# Arrays ---------------------------------------------------------------------------------------


def _checked(model: Model, data: Any, batch_size: int) -> list[Any]:
    """The arrays of the inputs, whose shapes, dtypes and chunks fit."""
    names = model.input_names
    shapes = [tensor.shape for tensor in model.inputs]
    arrays = listed(data, names, shapes, f"Model {model.name}", "inputs")
    for name, array in zip(names, arrays, strict=True):
        if not isinstance(array, da.Array):
            raise TypeError(
                f"Input {name} of model {model.name} must be a dask array, or the data a bag, got "
                f"{_checks.described(array)}. What is in memory goes into model.predict."
            )
        _checks.refuse_masked(array._meta, f"Input {name} of model {model.name}")
        _check_chunks(array, f"Input {name} of model {model.name}")
    lengths = [array.chunks[0] for array in arrays]
    for name, length in zip(names, lengths, strict=True):
        if str(length) != str(lengths[0]):  # nan is like nan
            raise ValueError(
                f"The inputs of model {model.name} must be split into the same chunks of samples, "
                f"got {_few(lengths[0])} for {names[0]} and {_few(length)} for {name}: rechunk one."
            )
    known = [int(rows) for rows in lengths[0] if rows == rows]
    inputs_of(model, dict(zip(names, map(_stand_in, arrays), strict=True)))
    for rows in sorted(set(known) - {0}):
        check_batches(model, rows, batch_size)
    return arrays


def _check_chunks(array: Any, what: str) -> None:
    for axis, sizes in enumerate(array.chunks):
        if axis and any(size != size for size in sizes):
            raise ValueError(
                f"{what} has chunks of unknown size along axis {axis}: call compute_chunk_sizes() "
                "on it first."
            )
        if axis and len(sizes) > 1:
            raise ValueError(
                f"{what} must be split along the samples only, got chunks of {_few(sizes)} along "
                f"axis {axis}: x.rechunk({{{axis}: -1}}) puts them together."
            )


def _few(sizes: Iterable[Any]) -> str:
    sizes = list(sizes)
    return f"({', '.join(map(str, sizes[:4]))}{', ...' if len(sizes) > 4 else ''})"


def _stand_in(array: Any) -> np.ndarray:
    """An array of its shape and dtype, without memory of its own."""
    rows = 1 if array.shape[0] != array.shape[0] else array.shape[0]
    return np.broadcast_to(np.zeros((), array.dtype), (rows, *array.shape[1:]))


def _indexed(arrays: list[Any]) -> Iterable[Any]:
    """Each array with names of its axes: 0 is that of the samples."""
    first = 1
    for array in arrays:
        yield array
        yield 0, *range(first, first + array.ndim - 1)
        first += array.ndim - 1


def _results(model: Model, arrays: list[Any]) -> list[tuple[tuple[int, ...], np.dtype]]:
    """Shape, without the samples, and dtype of each output."""
    shapes = [(None, *(array.shape[1:] or (1,))) for array in arrays]
    found = model.compute_output_shape(shapes if len(shapes) > 1 else shapes[0])
    found = found if isinstance(found, list) else [found]
    return [(s[1:], np.dtype(t.dtype)) for s, t in zip(found, model.outputs, strict=True)]


def _output(rows: Any, number: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """One of the outputs that the blocks hold together."""
    axes = range(1, 1 + len(shape))
    return da.blockwise(
        itemgetter(number),
        (0, *axes),
        rows,
        (0,),
        token="predict",
        new_axes=dict(zip(axes, shape, strict=True)),
        meta=np.empty((0,) * (1 + len(shape)), dtype),
    )


def _of_block(*arguments: Any) -> list[np.ndarray]:
    """The outputs of one chunk: of its blocks, the parcel and the batch size."""
    *blocks, parcel, batch_size = arguments
    for number, block in enumerate(blocks):
        while isinstance(block, list):  # one for each axis that is not split
            (block,) = block
        blocks[number] = block
    with _threads.alone():
        outputs = _model_of(parcel).predict(blocks, batch_size)
    return outputs if isinstance(outputs, list) else [outputs]


# Bags -----------------------------------------------------------------------------------------


def _of_samples(samples: Iterable[Any], parcel: Any, batch_size: int) -> list[Any]:
    """The outputs of the samples of a partition, of which those of one shape go together."""
    model, arrays = _model_of(parcel), [numbers(sample, "A sample") for sample in samples]
    places: dict[Any, list[int]] = {}
    for place, array in enumerate(arrays):
        places.setdefault((array.shape, array.dtype), []).append(place)
    results: list[Any] = [None] * len(arrays)
    with _threads.alone():
        for same in places.values():
            outputs = model.predict(np.stack([arrays[place] for place in same]), batch_size)
            for row, place in enumerate(same):
                several = isinstance(outputs, list)
                results[place] = [y[row] for y in outputs] if several else outputs[row]
    return results
