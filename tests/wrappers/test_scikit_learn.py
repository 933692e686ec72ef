"""KerasClassifier and KerasRegressor: what Keras 2.0.9 recorded, and their ways in scikit-learn."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import cylstm
from cylstm.layers import LSTM, Dense
from cylstm.wrappers.scikit_learn import BaseWrapper, KerasClassifier, KerasRegressor

RECORD = json.loads((Path(__file__).parents[1] / "data" / "keras_wrappers.json").read_text("utf-8"))
X = np.sin(np.arange(12 * 4 * 2)).reshape(12, 4, 2)
NAMES = np.array(["a", "c", "b"] * 4)


def build(outputs=3, activation="softmax", loss="categorical_crossentropy", lr=0.05):
    model = cylstm.Sequential([LSTM(3, input_shape=(4, 2)), Dense(outputs, activation=activation)])
    shapes = [w.shape for w in model.get_weights()]
    model.set_weights(
        [0.4 * np.cos(np.arange(np.prod(s)) + i).reshape(s) for i, s in enumerate(shapes)]
    )
    metrics = [] if activation == "linear" else ["accuracy"]
    model.compile(cylstm.optimizers.SGD(lr=lr), loss, metrics=metrics)
    return model


ONE = {"outputs": 1, "activation": "linear", "loss": "mse"}
CASES = {
    "names": (KerasClassifier, {}, NAMES),
    "numbers": (
        KerasClassifier,
        {"loss": "sparse_categorical_crossentropy"},
        np.arange(12) % 3 * 5,
    ),
    "one_hot": (KerasClassifier, {}, np.eye(3)[np.arange(12) % 3]),
    "binary": (
        KerasClassifier,
        {"outputs": 1, "activation": "sigmoid", "loss": "binary_crossentropy"},
        np.array(["no", "yes"] * 6),
    ),
    "regression": (KerasRegressor, ONE, np.cos(np.arange(12.0))),
    "two_numbers": (KerasRegressor, ONE | {"outputs": 2}, np.cos(np.arange(24.0)).reshape(12, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_as_keras_recorded(name):
    kind, options, y = CASES[name]
    recorded = RECORD[name]
    wrapper = kind(build, epochs=3, batch_size=5, shuffle=False, verbose=0, **options)
    history = wrapper.fit(X, y, epochs=2)
    np.testing.assert_allclose(history.history["loss"], recorded["loss"], rtol=1e-5)
    np.testing.assert_allclose(wrapper.score(X, y), recorded["score"], rtol=1e-5)
    predicted = np.array(recorded["predict"])
    assert wrapper.predict(X).shape == predicted.shape
    fit = wrapper.filter_sk_params(cylstm.Sequential.fit, {"x": 1})
    assert sorted(fit) == recorded["for_fit"]
    assert sorted(wrapper.filter_sk_params(build)) == recorded["for_build"]
    assert sorted(wrapper.get_params()) == recorded["params"]
    if kind is KerasRegressor:
        np.testing.assert_allclose(wrapper.predict(X), predicted, atol=1e-5)
        return
    np.testing.assert_array_equal(wrapper.predict(X), predicted)
    np.testing.assert_allclose(wrapper.predict_proba(X), recorded["predict_proba"], atol=1e-5)
    assert wrapper.classes_.tolist() == recorded["classes"]
    assert wrapper.n_classes_ == len(recorded["classes"])


def without_accuracy():
    wrapper = KerasClassifier(build, activation="linear", epochs=1, verbose=0)
    wrapper.fit(X, NAMES)
    wrapper.score(X, NAMES)


@pytest.mark.parametrize(
    ("name", "call", "text"),
    [
        ("a name", lambda: KerasClassifier(build, unitss=3), "unitss is not a legal parameter"),
        ("set", lambda: KerasClassifier(build).set_params(nothing=3), "nothing is not a legal"),
        ("no accuracy", without_accuracy, r"metrics=\[.accuracy.\]"),
    ],
)
def test_what_keras_refused_is_refused(name, call, text):
    assert RECORD["refused"][name] == "ValueError"
    with pytest.raises(ValueError, match=text):
        call()


def test_a_wrong_name_says_what_was_meant():
    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        KerasClassifier(build, epoch=3)


def test_epochs_of_keras_1():
    assert RECORD["refused"]["nb_epoch"] is None
    wrapper = KerasRegressor(build, nb_epoch=2, verbose=0, **ONE)
    with pytest.warns(UserWarning, match="epochs"):
        history = wrapper.fit(X, np.ones(12))
    assert len(history.history["loss"]) == 2


class Maker:
    def __call__(self, lr=0.05):
        return build(lr=lr, **ONE)

    def made(self, lr=0.05):
        return self(lr)


class Own(KerasRegressor):
    def __call__(self, lr=0.05):
        return build(lr=lr, **ONE)


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: KerasRegressor(Maker(), **options),
        lambda **options: KerasRegressor(Maker().made, **options),
        Own,
    ],
    ids=["object", "method", "subclass"],
)
def test_ways_to_build(make):
    wrapper = make(lr=0.25, epochs=1, verbose=0)
    wrapper.fit(X, np.ones(12))
    assert wrapper.model.optimizer.lr == 0.25
    with pytest.raises(ValueError, match="outputs is not a legal parameter"):
        make(outputs=1)


@pytest.mark.parametrize("kind", [BaseWrapper, KerasClassifier, KerasRegressor])
def test_nothing_to_build_with(kind):
    with pytest.raises(ValueError, match="needs build_fn, a function that makes and compiles"):
        kind()


def test_before_fit():
    with pytest.raises(AttributeError, match="KerasRegressor is not fitted yet: call fit"):
        KerasRegressor(build).predict(X)
    with pytest.raises(ValueError, match=r"Invalid shape for y: \(2, 2, 2\)"):
        KerasClassifier(build).fit(X, np.ones((2, 2, 2)))


def test_set_params_is_whole():
    wrapper = KerasClassifier(build, lr=0.1)
    with pytest.raises(ValueError, match="not a legal"):
        wrapper.set_params(build_fn=Maker(), lr=0.2, outputs=2)
    assert wrapper.get_params() == {"build_fn": build, "lr": 0.1}
    other = Maker()
    assert wrapper.set_params(build_fn=other, lr=0.2).get_params() == {"build_fn": other, "lr": 0.2}


def test_it_is_an_estimator():
    stop = cylstm.callbacks.EarlyStopping("loss")
    wrapper = KerasClassifier(build, callbacks=[stop], epochs=1, verbose=0)
    assert is_classifier(wrapper)
    assert is_regressor(KerasRegressor(build))
    twin = clone(wrapper)
    assert type(twin) is KerasClassifier
    twin.fit(X, NAMES)
    assert stop.best_epoch is None  # each fit has callbacks of its own
    assert not hasattr(wrapper, "model")
    chain = make_pipeline(FunctionTransformer(), KerasRegressor(build, epochs=1, verbose=0, **ONE))
    assert chain.fit(X, np.ones(12)).predict(X).shape == (12,)


def test_a_search_in_two_processes():
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    grid = {"lr": [0.01, 0.3], "batch_size": [3, 6]}
    one, two = (
        GridSearchCV(KerasClassifier(build, **options), grid, cv=2, n_jobs=n).fit(X, NAMES)
        for n in (1, 2)
    )
    scores = one.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores, two.cv_results_["mean_test_score"])
    assert len(scores) == 4
    assert np.isfinite(scores).all()
    scores = cross_val_score(KerasRegressor(build, **ONE, **options), X, np.ones(12), cv=3)
    assert (scores < 0).all()
