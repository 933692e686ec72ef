"""What training says of typical mistakes, and what it takes without a word."""

import inspect
import warnings

import numpy as np
import pytest

import cylstm
from cylstm import callbacks, layers
from cylstm.training._reading import first_bad_row

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 5, 2))
Y = RNG.normal(size=(8, 1))


def made_model(loss="mse", units=1, metrics=None, *, sequences=False, **options):
    model = cylstm.Sequential(
        [
            layers.LSTM(3, input_shape=(None, 2), return_sequences=sequences),
            layers.Dense(units, name="y", **options),
        ]
    )
    model.compile("sgd", loss, metrics=metrics)
    return model


def refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adm", "loss": "mse"}, "unknown optimizer: 'adm'; did you mean 'Adam'"),
        ({"optimizer": "sgd", "loss": "mean_square_error"}, "did you mean 'mean_squared_error'"),
        ({"optimizer": "sgd", "loss": "mse", "metrics": ["binary_acuracy"]}, "'binary_accuracy'"),
        ({"optimizer": "sgd", "loss": {"yy": "mse"}}, r"'yy'.*Did you mean 'y'\?"),
        ({"optimizer": "sgd", "loss": "mse", "metrics": {"Y1": ["acc"]}}, r"has \['y'\]"),
    ],
)
def test_names_to_compile_with(arguments, message):
    refused(lambda: made_model().compile(**arguments), ValueError, message)


def test_names_of_data():
    a, b = cylstm.Input((2,), name="words"), cylstm.Input((2,), name="lengths")
    outputs = [layers.Dense(1, name="label")(a), layers.Dense(1, name="score")(b)]
    model = cylstm.Model([a, b], outputs)
    model.compile("sgd", "mse")
    x = {"words": X[:, 0], "lenghts": X[:, 0]}
    y = {"label": Y, "score": Y}
    fit = model.fit
    message = r"none for \['lengths'\]\. Did you mean 'lengths'\?"
    refused(lambda: fit(x, y), ValueError, r"none for \['lengths'\]")
    refused(lambda: fit(x, y), ValueError, message)
    x = {"words": X[:, 0], "lengths": X[:, 0]}
    refused(lambda: fit(x, {"lable": Y, "score": Y}), ValueError, r"Did you mean 'label'\?")
    weights = {"scor": np.ones(8)}
    message = r"sample_weight names the outputs \['scor'\].*Did you mean 'score'\?"
    refused(lambda: fit(x, y, sample_weight=weights), ValueError, message)


# strings


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog"] * 4,
        np.array(["cat", "dog"] * 4),
        np.array(["cat", "dog"] * 4, dtype=object),
        [["cat"], ["dog"]] * 4,
    ],
)
def test_labels_in_writing(labels):
    message = r"The targets of y .*'cat'.*LabelEncoder.*sparse_categorical.*to_categorical"
    refused(lambda: made_model().fit(X, labels), TypeError, message)


@pytest.mark.parametrize(
    "texts", [["so it goes"] * 8, np.array(["so it goes"] * 8), [["so it goes", "on"]] * 8]
)
def test_texts(texts):
    message = "Input lstm_.*'so it goes'.*Tokenizer.*pad_sequences"
    refused(lambda: made_model().fit(texts, Y), TypeError, message)
    refused(lambda: made_model().predict(texts), TypeError, message)


def test_numbers_in_writing():
    message = r"'0\.\d+.*numbers in writing, convert them: \.astype\('float32'\)"
    refused(lambda: made_model().fit(abs(X).astype(str), Y), TypeError, message)


def test_objects_that_are_no_strings():
    message = "must hold real numbers, got an array of dtype object"
    refused(lambda: made_model().fit(X, [{"a": 1}] * 8), TypeError, message)
    refused(lambda: made_model().fit(X, np.full(8, None)), TypeError, message)


# lists of samples

UNEVEN = [RNG.normal(size=(n, 2)) for n in (5, 3, 5, 4, 5, 5, 5, 5)]


@pytest.mark.parametrize(
    "given",
    [
        UNEVEN,
        tuple(UNEVEN),
        [x.tolist() for x in UNEVEN],
        np.array([None, *UNEVEN], dtype=object)[1:],
    ],
)
def test_sequences_of_unequal_lengths(given):
    error = TypeError if isinstance(given, np.ndarray) else ValueError
    message = "unequal lengths.*pad_sequences.*Masking layer.*mask_zero=True"
    refused(lambda: made_model().fit(given, Y), error, message)
    refused(lambda: made_model().predict(given), error, message)
    deferred = cylstm.Sequential([layers.LSTM(3)])
    refused(lambda: deferred.predict(given), error, message)


def test_targets_of_unequal_lengths():
    y = [[0] * n for n in (5, 3, 5, 4, 5, 5, 5, 5)]
    message = "The targets of y .* unequal lengths, such as 5 and 3.*pad_sequences"
    refused(lambda: made_model(sequences=True).fit(X, y), ValueError, message)


@pytest.mark.parametrize("kind", [list, tuple, lambda x: [row.tolist() for row in x]])
def test_lists_of_arrays_of_one_length_are_samples(kind):
    expected = made_model()
    start = expected.get_weights()
    expected.fit(X, Y, epochs=2, verbose=0, shuffle=False, validation_split=0.25)
    model = made_model()
    model.set_weights(start)
    history = model.fit(kind(X), kind(Y), epochs=2, verbose=0, shuffle=False, validation_split=0.25)
    np.testing.assert_array_equal(model.get_weights()[0], expected.get_weights()[0])
    assert len(history.history["val_loss"]) == 2
    np.testing.assert_array_equal(model.predict(kind(X)), expected.predict(X))
    assert model.evaluate(kind(X), kind(Y), verbose=0) == expected.evaluate(X, Y, verbose=0)


def test_a_list_of_one():
    """One array that fits is the input, as in Keras; what fits as a sample is one."""
    model = made_model()
    assert model.predict([X]).shape == (8, 1)
    assert model.predict([X[0]]).shape == (1, 1)
    assert model.predict([X.tolist()]).shape == (8, 1)
    assert model.predict([X[0].tolist()]).shape == (1, 1)
    flat = cylstm.Sequential([layers.Dense(1, input_shape=(1,))])
    assert flat.predict([np.arange(3.0)]).shape == (3, 1)
    wide = cylstm.Sequential([layers.Dense(1, input_shape=(3,))])
    assert wide.predict([np.arange(3.0)]).shape == (1, 1)
    words = cylstm.Sequential([layers.Embedding(9, 2, input_length=4), layers.LSTM(1)])
    assert words.predict([np.arange(4)]).shape == (1, 1)
    assert words.predict([np.arange(4), np.arange(4)]).shape == (2, 1)
    refused(lambda: model.predict([X[0, 0]]), ValueError, "must have the shape")


def test_a_list_of_whole_arrays_for_one_input():
    message = "a list holds samples, and it got a list of 2 arrays of many samples.*np.concatenate"
    refused(lambda: made_model().fit([X, X], Y), ValueError, message)


# NaN


def with_nan(array, row, value=np.nan):
    array = array.copy()
    array[row] = value
    return array


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
@pytest.mark.parametrize("kind", ["x", "y"])
def test_the_row_of_a_nan_is_named(shuffle, kind):
    x, y = (with_nan(X, 6), Y) if kind == "x" else (X, with_nan(Y, 6))
    name = "input lstm_.*_input" if kind == "x" else "the targets of y"
    options = {"batch_size": 3, "shuffle": shuffle, "verbose": 0}
    message = f"The loss is NaN.*Row 6 of {name} holds NaN.*isfinite"
    refused(lambda: made_model().fit(x, y, **options), ValueError, message)
    refused(lambda: made_model().fit(x, y, validation_split=0.1, **options), ValueError, message)


def test_of_several_rows_the_first_is_named():
    x = with_nan(with_nan(X, 6), 3)
    refused(lambda: made_model().fit(x, Y, verbose=0), ValueError, "Row 3 of input")
    refused(lambda: made_model().train_on_batch(x[2:], Y[2:]), ValueError, "Row 1 of input")


def test_a_nan_among_the_sample_weights():
    weights = with_nan(np.ones(8), 5)
    call = lambda: made_model().fit(X, Y, sample_weight=weights, verbose=0)  # noqa: E731
    refused(call, ValueError, "Row 5 of the sample weights of y holds NaN")


def test_infinity_is_named():
    y = with_nan(Y, 4, np.inf)
    x = with_nan(X, 2, np.inf)
    assert first_bad_row({"x": x, "w": None, "y": y, "n": np.arange(3)}) == ("x", 2, "infinity")
    assert first_bad_row({"x": X, "y": y}) == ("y", 4, "infinity")
    assert first_bad_row({"x": X}) is None


def test_a_nan_that_is_not_in_the_data():
    model = made_model()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    message = "There is no NaN in the data of this batch.*learning rate"
    refused(lambda: model.fit(X, Y, verbose=0), ValueError, message)


# targets


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (("categorical_crossentropy", 3), np.arange(8) % 3, "sparse_categorical.*to_categorical"),
        (("sparse_categorical_crossentropy", 3), np.eye(3)[np.arange(8) % 3], "argmax"),
        (("mse", 1, None, True), Y, "output for each timestep: leave return_sequences=True out"),
        (("mse", 1), X[..., :1], "need return_sequences=True in the last recurrent layer"),
    ],
)
def test_targets_of_another_shape(model, y, message):
    loss, units, metrics, sequences = (*model, None, False)[:4]
    made = made_model(loss, units, metrics, sequences=sequences)
    refused(lambda: made.fit(X, y, verbose=0), ValueError, message)


@pytest.mark.parametrize("loss", ["mse", "mae", "logcosh"])
@pytest.mark.parametrize("metric", ["acc", "accuracy"])
def test_accuracy_of_a_regression_is_doubted(loss, metric):
    model = made_model(loss, metrics=[metric])
    with pytest.warns(UserWarning, match=r"those of y are no classes.*metrics=\['mae'\]") as caught:
        model.fit(X, Y, epochs=3, verbose=0)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("loss", "units", "y"),
    [
        ("mse", 1, np.arange(8) % 2),
        ("mse", 1, 2 * (np.arange(8) % 2) - 1),
        ("mse", 3, np.eye(3)[np.arange(8) % 3]),
        ("binary_crossentropy", 1, abs(Y) / 9),
        ("sparse_categorical_crossentropy", 3, np.arange(8) % 3),
    ],
)
def test_accuracy_of_classes_is_not(loss, units, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made_model(loss, units, ["acc"], activation="sigmoid").fit(X, y, epochs=1, verbose=0)


# stateful models


def test_a_stateful_model_without_a_batch_size_takes_the_default():
    """Of 32, as every model: fewer rows are no whole batch, and the model is not bound to them."""
    model = cylstm.Sequential([layers.LSTM(1, stateful=True)])
    model.compile("sgd", "mse")
    message = "multiple of the batch size 32, got 8 samples"
    refused(lambda: model.fit(X, Y, verbose=0), ValueError, message)
    refused(lambda: model.evaluate(X, Y, verbose=0), ValueError, message)
    assert not model.built
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert model.input_shape == (4, 5, 2)
    refused(lambda: model.fit(X[:3], Y[:3], verbose=0), ValueError, "multiple of the batch size 4")


def test_a_stateful_model_built_for_one_batch():
    model = cylstm.Sequential([layers.LSTM(1, stateful=True)])
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    assert model.input_shape == (8, 5, 2)


# types


@pytest.mark.parametrize(
    ("method", "returned"),
    [
        ("fit", "History"),
        ("fit_generator", "History"),
        ("evaluate", "float | list[float]"),
        ("train_on_batch", "float | list[float]"),
        ("predict", "np.ndarray | Any"),
        ("predict_generator", "np.ndarray | Any"),
        ("predict_classes", "np.ndarray"),
    ],
)
def test_what_methods_say_they_return(method, returned):
    assert inspect.signature(getattr(cylstm.Sequential, method)).return_annotation == returned


def test_what_they_return():
    model = made_model(metrics=["mae"])
    assert type(model.fit(X, Y, epochs=1, verbose=0)) is callbacks.History
    assert [type(value) for value in model.evaluate(X, Y, verbose=0)] == [float, float]
    assert type(made_model().evaluate(X, Y, verbose=0)) is float
    assert type(model.predict(X)) is np.ndarray
