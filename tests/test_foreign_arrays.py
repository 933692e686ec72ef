"""What other libraries hold is taken as it is: by `__array__`, the buffer protocol or DLPack."""

import array
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cylstm
from cylstm import _checks, losses
from cylstm.layers import LSTM, Bidirectional, Dense, Embedding
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import TimeseriesGenerator
from cylstm.sklearn import LSTMClassifier

X = np.linspace(-1, 1, 4 * 5 * 3, dtype="float32").reshape(4, 5, 3)
FLAT = np.ascontiguousarray(X[:, :, 0])
Y = np.array([0, 1, 1, 0])


class ByDLPack:
    """A tensor of a library that speaks DLPack and nothing else."""

    def __init__(self, numbers):
        self._numbers = numbers

    def __dlpack__(self, **options):
        return self._numbers.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._numbers.__dlpack_device__()


class ByArray:
    """One that has `__array__`, as NumPy 1 asked for it, and no more."""

    def __init__(self, numbers):
        self._numbers = numbers

    def __array__(self, dtype=None, copy=None):
        return self._numbers


class ByInterface:
    def __init__(self, numbers):
        self.__array_interface__ = numbers.__array_interface__
        self._kept = numbers


class Refusing:
    """A tensor that does not hand out its numbers."""

    shape = (4, 5, 3)

    def __init__(self, error):
        self._error = error

    def __array__(self, dtype=None, copy=None):
        raise self._error


class OnGPU(ByDLPack):
    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **options):
        raise BufferError("this tensor is on cuda:0: call .cpu() first")


def table_of(kind):
    """From an array of two axes to a table of a library."""
    names = [f"c{i}" for i in range(FLAT.shape[1])]
    return {
        "pandas": lambda a: pd.DataFrame(a, columns=names),
        "polars": lambda a: pl.DataFrame(a, schema=names),
        "pyarrow": lambda a: pa.table(list(a.T), names=names),
        "pyarrow batch": lambda a: pa.record_batch(list(a.T), names=names),
    }[kind]


EXACT = {"dlpack": ByDLPack, "array": ByArray, "interface": ByInterface, "buffer": memoryview}
TABLES = ["pandas", "polars", "pyarrow", "pyarrow batch"]
COLUMNS = {
    "pandas": pd.Series,
    "pandas of Arrow": lambda a: pd.Series(a, dtype=pd.ArrowDtype(pa.from_numpy_dtype(a.dtype))),
    "polars": lambda a: pl.Series("c", a),
    "pyarrow": pa.array,
    "pyarrow chunks": lambda a: pa.chunked_array([a[:1], a[1:]]),
}


def address(numbers):
    return numbers.__array_interface__["data"][0]


# ---------------------------------------------------------------------- the same memory


@pytest.mark.parametrize("kind", EXACT)
def test_arrays_are_not_copied(kind):
    for name in ("real_array", "plain_array"):
        assert np.shares_memory(getattr(_checks, name)(EXACT[kind](X), "x"), X)
    assert np.shares_memory(_checks.as_array(EXACT[kind](X), X.dtype, "x"), X)
    assert not np.shares_memory(_checks.as_array(EXACT[kind](X), np.dtype("float64"), "x"), X)


def test_tables_and_columns_are_not_copied_where_they_are_one_block():
    column = pl.Series("c", FLAT[:, 0].copy())
    assert np.shares_memory(_checks.real_array(column, "x"), column.to_numpy())
    arrow = pa.array(FLAT[:, 0].copy())
    for given in (arrow, pa.chunked_array([arrow]), pa.table({"c": arrow})["c"]):
        assert address(_checks.real_array(given, "x")) == arrow.buffers()[1].address
    frame = pd.DataFrame(FLAT, copy=False)
    assert np.shares_memory(_checks.real_array(frame, "x"), FLAT)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    assert (
        address(_checks.real_array(tensors, "x")) == tensors.storage.flatten().buffers()[1].address
    )
    blocks = pl.Series("c", X[:, 0], dtype=pl.Array(pl.Float32, 3))
    assert np.shares_memory(_checks.real_array(blocks, "x"), blocks.to_numpy())


def test_the_core_reads_the_memory_of_a_tensor(monkeypatch):
    """No copy on the way from a tensor to the compiled core, in a layer and in a stream."""
    layer = LSTM(2)
    layer(X)
    seen = []
    cell = layer._current_cell()
    taken = _checks.as_array
    monkeypatch.setattr(_checks, "as_array", lambda *given: seen.append(taken(*given)) or seen[-1])
    tensor = ByDLPack(X)
    np.testing.assert_array_equal(layer(tensor), layer(X))
    stream = layer.stream(batch_size=4)
    frame = np.ascontiguousarray(X[:, 0])
    stream(ByDLPack(frame))
    assert layer._current_cell() is cell
    assert np.shares_memory(seen[0], X)
    assert any(np.shares_memory(array, frame) for array in seen)


# ---------------------------------------------------------------------- every entry


def trained():
    cylstm.utils.set_random_seed(3)
    model = cylstm.Sequential([LSTM(3, input_shape=(5, 3)), Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize("kind", EXACT)
def test_every_entry_of_a_model(kind):
    made = EXACT[kind]
    ours, theirs = trained(), trained()
    weight = np.array([1, 2, 3, 4], "float32")
    for model, x, y, w in ((ours, X, Y, weight), (theirs, made(X), made(Y), made(weight))):
        model.fit(x, y, sample_weight=w, validation_data=(x, y), shuffle=False, verbose=0)
        model.train_on_batch(x, y, sample_weight=w)
        model.found = [
            model.predict(x),
            model.predict_on_batch(x),
            model(x),
            np.array(model.evaluate(x, y, verbose=0)),
            np.array(model.test_on_batch(x, y)),
            model.vjp(x)[1](made(np.ones((4, 1), "f"))).inputs,
        ]
    for a, b in zip(ours.found, theirs.found, strict=True):
        np.testing.assert_array_equal(a, b)
    theirs.set_weights([made(w) for w in trained().get_weights()])
    for a, b in zip(theirs.get_weights(), trained().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", EXACT)
def test_every_entry_of_layers(kind):
    made = EXACT[kind]
    h = np.full((4, 3), 0.5, "float32")
    mask = np.array([[True] * 3 + [False] * 2] * 4)
    layer = LSTM(3)
    expected = layer(X, mask=mask, initial_state=[h, h])
    np.testing.assert_array_equal(
        layer(made(X), mask=made(mask), initial_state=[made(h), made(h)]), expected
    )
    both = Bidirectional(LSTM(2))
    np.testing.assert_array_equal(both(made(X)), both(X))
    words = Embedding(9, 2)
    numbers = np.array([[1, 2], [3, 8]])
    np.testing.assert_array_equal(words(made(numbers)), words(numbers))
    chain = cylstm.Sequential([LSTM(3, return_sequences=True, input_shape=(5, 3)), Dense(2)])
    stream, again = chain.stream(batch_size=4), chain.stream(batch_size=4)
    frame = np.ascontiguousarray(X[:, 1])
    np.testing.assert_array_equal(stream(made(frame)), again(frame))


def test_a_list_of_tensors_is_samples_or_inputs():
    layer = LSTM(3)
    np.testing.assert_array_equal(layer([ByDLPack(row) for row in X]), layer(X))
    x, z = cylstm.Input((5, 3)), cylstm.Input((5, 3))
    model = cylstm.Model([x, z], cylstm.layers.add([LSTM(2)(x), LSTM(2)(z)]))
    given = [ByDLPack(X), ByDLPack(-X)]
    np.testing.assert_array_equal(model.predict(given), model.predict([X, -X]))


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_targets_and_weights(kind):
    made = COLUMNS[kind]
    ours, theirs = trained(), trained()
    weight = np.array([1, 2, 3, 4], "float64")
    ours.fit(X, Y, sample_weight=weight, shuffle=False, verbose=0)
    theirs.fit(X, made(Y), sample_weight=made(weight), shuffle=False, verbose=0)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("kind", TABLES)
def test_tables_are_samples_and_estimators_take_them(kind):
    made = table_of(kind)
    dense = cylstm.Sequential([Dense(2, input_shape=(5,))])
    np.testing.assert_array_equal(dense.predict(made(FLAT)), dense.predict(FLAT))
    fitted = [
        LSTMClassifier(2, max_iter=2, random_state=0).fit(x, y).predict_proba(x)
        for x, y in [(FLAT, Y), (made(FLAT), COLUMNS[kind.split()[0]](Y))]
    ]
    np.testing.assert_array_equal(*fitted)


def test_estimators_take_what_speaks_dlpack_alone():
    given = [(X, Y), (ByDLPack(X), ByDLPack(Y)), ([ByDLPack(x) for x in X], ByDLPack(Y))]
    fitted = [
        LSTMClassifier(2, max_iter=2, random_state=0, shuffle=False).fit(x, y).predict_proba(x)
        for x, y in given
    ]
    for other in fitted[1:]:
        np.testing.assert_allclose(other, fitted[0], rtol=1e-5)


def test_columns_of_lists_are_sequences():
    x = X.astype("float64")
    layer = LSTM(2, dtype="float64")
    for column in (
        pl.Series(x.tolist()),
        pd.Series(list(x[:, :, 0].tolist())),
        pa.FixedSizeListArray.from_arrays(pa.array(x[:, :, 0].ravel()), 5),
        pa.chunked_array([pa.FixedShapeTensorArray.from_numpy_ndarray(x)] * 2),
    ):
        found = _checks.real_array(column, "x")
        assert found.shape[:2] == ((8 if len(column) == 8 else 4), 5)
        np.testing.assert_array_equal(found[:4], x if found.ndim == 3 else x[:, :, 0])
        assert len(layer(found.reshape(len(found), 5, -1)[:, :, :1])) == len(found)
        layer = LSTM(2, dtype="float64")


def test_a_table_of_several_kinds_of_numbers():
    frame = pd.DataFrame({"a": [True, False], "b": pd.array([1, 2], "Int64"), "c": [0.5, 1.5]})
    np.testing.assert_array_equal(_checks.real_array(frame, "x"), [[1, 1, 0.5], [0, 2, 1.5]])


def test_other_places():
    windows = TimeseriesGenerator(ByDLPack(FLAT[0]), ByDLPack(FLAT[1]), length=2)
    np.testing.assert_array_equal(windows[0][0][0], FLAT[0, :2])
    double = pd.Series([0.1, 0.7], dtype="Float64")
    assert losses.mean_squared_error([0, 1], double).dtype == "float64"
    assert cylstm.utils.normalize(ByDLPack(FLAT)).dtype == "float32"
    adam, weights = Adam(), [np.full((2,), i, "f") for i in range(3)]
    adam.set_weights([np.array(3), *map(ByDLPack, weights[1:])])
    assert adam.iterations == 3
    assert cylstm.utils.to_categorical(array.array("i", [0, 2])).shape == (2, 3)


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()."
            ),
            r"Input 0 of layer lstm_\d+ cannot be made an array: Can't call .*numpy\(\)\. What is "
            r"computed here is outside of PyTorch's autograd: give x.detach\(\), or take cylstm",
        ),
        (TypeError("Got unsupported ScalarType BFloat16"), r"BFloat16. NumPy .* x\.float\(\)"),
        (
            TypeError("can't convert cuda:0 device. Use Tensor.cpu()"),
            r"cuda:0 .*Tensor\.cpu\(\)\.$",
        ),
    ],
)
def test_a_tensor_that_keeps_its_numbers_is_told(error, message):
    tensor, model = Refusing(error), trained()
    before = model.get_weights()
    with pytest.raises(TypeError, match=message) as caught:
        LSTM(3)(tensor)
    assert caught.value.__cause__ is error
    said = message.rpartition("array: ")[2]
    for call in (
        model.predict,
        lambda x: model.fit(x, Y, verbose=0),
        lambda x: model.fit(X, x, verbose=0),
        lambda x: model.train_on_batch(X, Y, sample_weight=x),
        lambda x: model.set_weights([x, *before[1:]]),
        model.layers[0].stream(),
        lambda x: model.layers[0]([x]),
    ):
        with pytest.raises(TypeError, match=said):
            call(tensor)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_on_another_device_is_told():
    with pytest.raises(TypeError, match="cannot be made an array: .*"):
        LSTM(3)(OnGPU(X))
    with pytest.raises(TypeError, match="cannot be made an array: .*"):
        trained().fit(X, OnGPU(Y), verbose=0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pl.LazyFrame({"a": [1]}), "real numbers, got <LazyFrame"),
        (pl.Series([[1.0, 2.0], [3.0]]), "sequences of unequal lengths"),
        (pa.array(["a"]), "dtype object"),
        (pd.Series(["a"], dtype="category"), "dtype object"),
        (pl.Series([1]).cast(pl.Date), "hours since the first"),
        (pd.DataFrame({"a": [1.5], "b": ["text"]}), "Tokenizer"),
    ],
    ids="lazy ragged text category date mixed".split(),
)
def test_what_is_no_number_is_told(value, message):
    with pytest.raises(TypeError, match=message):
        _checks.real_array(value, "x")


def test_no_other_library_is_imported_for_an_array():
    program = (
        "import sys, numpy as np, cylstm\n"
        "cylstm.LSTM(2)(np.zeros((2, 3, 4), 'f'))\n"
        "print([m for m in ('torch', 'jax', 'pandas', 'polars', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
