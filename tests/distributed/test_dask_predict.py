"""`cylstm.distributed.predict` in one process: results, order, laziness, what is refused."""

import pickle
import re
import sys
import threading

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask.diagnostics import ProgressBar
from dask_cases import FEATURES, STEPS, Counted, block_of, made_model, notes

import cylstm
from cylstm import _threads
from cylstm.distributed import predict
from cylstm.layers import LSTM, Dense, Masking
from cylstm.preprocessing.sequence import pad_sequences

X = np.concatenate([block_of(number, 10) for number in range(5)])


@pytest.fixture(autouse=True)
def _in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def chunked(array, rows=10):
    return da.from_array(array, chunks=(rows, *(-1,) * (array.ndim - 1)))


def two_by_two():
    """Two inputs of different shapes, two outputs of different shapes and dtypes."""
    cylstm.utils.set_random_seed(3)
    sequence = cylstm.Input((None, FEATURES), name="sequence")
    extra = cylstm.Input((4,), name="extra")
    states = LSTM(6, return_sequences=True)(sequence)
    last = LSTM(5)(states)
    joined = cylstm.layers.Concatenate()([last, Dense(2)(extra)])
    return cylstm.Model([sequence, extra], [states, Dense(3, name="answer")(joined)])


# What comes out


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_result_is_that_of_predict_in_order(scheduler):
    model = made_model()
    y = predict(model, chunked(X))
    assert (y.shape, y.dtype, y.chunks) == ((50, 2), np.float32, ((10,) * 5, (2,)))
    found = y.compute(scheduler=scheduler)
    wanted = np.concatenate([model.predict(part) for part in np.split(X, 5)])
    np.testing.assert_array_equal(found, wanted)


def test_chunks_of_any_size_even_none():
    model = made_model()
    x = da.from_array(X, chunks=((1, 0, 37, 12), -1, -1))
    y = predict(model, x, batch_size=16)
    np.testing.assert_allclose(y.compute(), model.predict(X), atol=1e-6)
    assert y[:1].compute().shape == (1, 2)
    assert predict(model, chunked(X)[:0]).compute().shape == (0, 2)


def test_only_what_is_asked_for_is_computed(tmp_path):
    asked = []

    def made(block_info=None):
        asked.append(block_info[None]["chunk-location"][0])
        return block_of(asked[-1], 10)

    x = da.map_blocks(made, chunks=((10,) * 5, STEPS, FEATURES), dtype="f4", meta=X[:0])
    y = predict(made_model(), x)
    assert asked == []
    np.testing.assert_allclose(y[20:25].compute(), made_model().predict(X[20:25]), atol=1e-6)
    assert asked == [2]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8", "bool"])
def test_numbers_of_every_kind(dtype):
    x = (10 * X).astype(dtype)
    wanted = made_model(dtype="float64").predict(x)
    found = predict(made_model(dtype="float64"), chunked(x))
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found.compute(), wanted, rtol=1e-6, atol=1e-6)


def test_sequences_come_out():
    model = made_model(return_sequences=True)
    y = predict(model, chunked(X))
    assert y.shape == (50, STEPS, 2)
    np.testing.assert_array_equal(y.compute(), predict(model, chunked(X, 50)).compute())


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_several_inputs_and_outputs(kind):
    model = two_by_two()
    extra = np.random.default_rng(1).standard_normal((50, 4))
    data = [chunked(X), chunked(extra)]
    named = dict(zip(("sequence", "extra"), data, strict=True))
    outputs = predict(model, data if kind == "list" else named)
    assert [y.shape for y in outputs] == [(50, STEPS, 6), (50, 3)]
    for found, wanted in zip(dask.compute(*outputs), model.predict([X, extra]), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_column_may_have_one_axis():
    model = cylstm.Sequential([Dense(3, input_shape=(1,))])
    x = np.arange(20, dtype="float32")
    y = predict(model, da.from_array(x, chunks=7))
    np.testing.assert_allclose(y.compute(), model.predict(x), atol=1e-6)


def test_numbers_of_samples_may_be_unknown():
    x = chunked(X)
    some = x[da.from_array(X[:, 0, 0] > 0, chunks=10)]
    assert np.isnan(some.shape[0])
    found = predict(made_model(), some).compute()
    np.testing.assert_allclose(found, made_model().predict(X[X[:, 0, 0] > 0]), atol=1e-6)


def test_a_model_bound_to_a_batch_size():
    model = cylstm.Sequential([LSTM(4, batch_input_shape=(5, STEPS, FEATURES))])
    np.testing.assert_array_equal(predict(model, chunked(X)).compute(), model.predict(X))
    with pytest.raises(ValueError, match="batches of 5 samples only, got 2"):
        predict(model, chunked(X, 8))


def test_a_file_in_place_of_a_model(tmp_path):
    path, other = tmp_path / "model.safetensors", made_model(units=5)
    made_model().save(path)
    np.testing.assert_allclose(
        predict(path, chunked(X)).compute(), made_model().predict(X), atol=1e-6
    )
    other.save(path)  # is another model, even to workers that have read the first one
    found = predict(str(path), chunked(X)).compute()
    np.testing.assert_allclose(found, other.predict(X), atol=1e-6)


def test_the_bar_is_that_of_dask(capsys):
    with ProgressBar():
        predict(made_model(), chunked(X)).compute()
    assert "100% Completed" in capsys.readouterr().out


# Bags


def test_samples_of_a_bag_may_differ_in_length():
    random = np.random.default_rng(2)
    sequences = [random.standard_normal((n, FEATURES)) for n in random.integers(1, 9, 30)]
    model = made_model()
    found = predict(model, db.from_sequence(sequences, npartitions=4)).compute()
    wanted = [model.predict(sequence[np.newaxis])[0] for sequence in sequences]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    cylstm.utils.set_random_seed(7)
    masked = cylstm.Sequential([Masking(input_shape=(None, FEATURES)), *model.layers])
    padded = masked.predict(pad_sequences(sequences, dtype="float32"))
    np.testing.assert_allclose(found, padded, atol=1e-6)


def test_a_bag_of_lists_and_of_several_outputs():
    one = cylstm.Input((None, 1))
    model = cylstm.Model(one, [LSTM(4)(one), LSTM(2, return_sequences=True)(one)])
    bag = db.from_sequence([[[1], [2]], [[3]]], npartitions=1)
    last, sequence = predict(model, bag).compute()[0]
    wanted = model.predict(np.array([[[1], [2]]], "float32"))
    np.testing.assert_array_equal(last, wanted[0][0])
    np.testing.assert_array_equal(sequence, wanted[1][0])


def test_what_is_wrong_in_a_bag_is_said_when_it_is_computed():
    for sample, message in (("abc", "A sample must hold real numbers"), (X[0, :, :2], "shape")):
        y = predict(made_model(), db.from_sequence([sample], npartitions=1))
        with pytest.raises((TypeError, ValueError), match=message):
            y.compute()


# The model, and the threads


def test_the_model_is_in_the_graph_once():
    model = made_model(units=32)
    weights = model.layers[0].get_weights()[1].tobytes()
    for collection in (predict(model, chunked(X)), predict(model, db.range(9, npartitions=5))):
        (ready,) = dask.optimize(collection)
        tasks = [pickle.dumps(task) for task in dict(ready.__dask_graph__()).values()]
        assert len(tasks) > 5
        assert sum(weights in task for task in tasks) == 1
        assert sorted(map(len, tasks))[-2] < 4000


def test_a_process_loads_it_once(tmp_path):
    y = predict(made_model(Counted(tmp_path)), chunked(X, 2))
    y.compute(scheduler="threads", num_workers=4)
    y.compute()
    assert len(notes(tmp_path)) == 1


def test_a_later_change_of_the_model_does_not_count():
    model = made_model()
    y, before = predict(model, chunked(X)), model.predict(X)
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(y.compute(), before, atol=1e-6)
    assert predict(model, chunked(X)).name != y.name


def test_a_block_has_the_thread_of_dask_alone(monkeypatch):
    """Whatever the count of cylstm is: 2 threads of Dask are 2, not 4."""
    before = cylstm.get_num_threads()
    cylstm.set_num_threads(4)
    try:
        model = made_model(units=64)
        x = da.from_array(np.ones((256, 20, FEATURES), "f"), chunks=(64, -1, -1))
        seen = []
        monkeypatch.setattr(_threads, "_start_pool", lambda: seen.append(threading.get_ident()))
        predict(model, x).compute(scheduler="threads", num_workers=2)
        predict(model, db.from_sequence([np.ones((20, FEATURES))] * 64, npartitions=1)).compute()
        assert seen == []
        model.predict(np.ones((64, 20, FEATURES)))
        assert set(seen) == {threading.get_ident()}
    finally:
        cylstm.set_num_threads(before)


# What is refused, before anything is computed


def never(*arguments, **named):
    raise AssertionError("computed")


def lazily(shape, dtype="f4"):
    """An array that cannot be computed."""
    return da.map_blocks(never, chunks=shape, dtype=dtype, meta=np.empty((0,) * len(shape), dtype))


GOOD = lazily(((10, 10), STEPS, FEATURES))


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (LSTM(4), TypeError, "A model or the path of its file is needed, got"),
        (None, TypeError, "got None"),
        (cylstm.Sequential([LSTM(4)]), ValueError, "is not built"),
        (
            cylstm.Sequential([LSTM(4, stateful=True, batch_input_shape=(5, STEPS, FEATURES))]),
            ValueError,
            r"Model sequential_\d+ is stateful: .* any worker, in any order",
        ),
        ("no_such.safetensors", FileNotFoundError, "no_such"),
    ],
)
@pytest.mark.parametrize("data", [GOOD, db.from_sequence([1]).map(never)])
def test_models_that_cannot_be_used(model, kind, message, data):
    with pytest.raises(kind, match=message):
        predict(model, data)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (X, TypeError, r"must be a dask array, .* got an array of the shape \(50, 7, 3\)"),
        (lazily(((10, 10), (4, 3), FEATURES)), ValueError, r"chunks of \(4, 3\) along axis 1: x"),
        (lazily(((10, 10), STEPS, (1, 2))), ValueError, r"along axis 2: x.rechunk\({2: -1}\)"),
        (lazily(((10,), (np.nan,), FEATURES)), ValueError, "unknown size along axis 1: call comp"),
        (lazily(((10,), STEPS, 4)), ValueError, r"shape \(None, None, 3\), got \(10, 7, 4\)"),
        (lazily(((10, 5), FEATURES)), ValueError, r"got \(15, 3\)\. .*axis"),
        (lazily(((10,), STEPS, FEATURES), "c8"), TypeError, "real numbers, .* complex64"),
        (lazily(((10,), STEPS, FEATURES), "M8[s]"), TypeError, "real numbers, .* Give times as"),
        (lazily(((10,), STEPS, FEATURES), "U3"), TypeError, "real numbers, got strings"),
        (lazily(((10,), STEPS, FEATURES), object), TypeError, "real numbers"),
        (da.ma.masked_less(GOOD, 0), TypeError, "numpy masked array"),
        ([GOOD, GOOD], TypeError, "must be a dask array, .* got"),
        (None, ValueError, "got None"),
        ({"other": GOOD}, ValueError, "the dict has none for"),
    ],
)
def test_data_that_do_not_fit(data, kind, message):
    with pytest.raises(kind, match=message):
        predict(made_model(), data)


def test_inputs_that_do_not_fit_each_other():
    model = two_by_two()
    extra = lazily(((10, 10), 4))
    with pytest.raises(ValueError, match=r"same chunks of samples, got \(10, 10\) for seq"):
        predict(model, [GOOD, extra.rechunk((5, -1))])
    with pytest.raises(ValueError, match="as a list or a dict"):
        predict(model, GOOD)
    with pytest.raises(ValueError, match="takes 2 inputs; samples of a bag are one input"):
        predict(model, db.from_sequence([1]))


@pytest.mark.parametrize(("size", "kind"), [(0, ValueError), (2.5, TypeError), ("8", TypeError)])
def test_a_batch_size_is_a_positive_integer(size, kind):
    with pytest.raises(kind, match="batch_size must be a positive integer"):
        predict(made_model(), GOOD, size)


def test_without_dask_it_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if re.match(r"dask(\.|$)", name)]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "cylstm.distributed._dask")
    monkeypatch.delitem(vars(cylstm.distributed), "predict", raising=False)
    monkeypatch.delitem(vars(cylstm.distributed), "_dask", raising=False)
    with pytest.raises(ImportError, match=r"needs Dask, .*pip install 'cylstm\[dask\]'"):
        _ = cylstm.distributed.predict
