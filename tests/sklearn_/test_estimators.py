"""LSTMClassifier and LSTMRegressor: data, training, and their ways through scikit-learn."""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cylstm
from cylstm.sklearn import LSTMClassifier, LSTMRegressor

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 6, 2)).astype("float32")
NUMBERS = X.sum(axis=(1, 2)) / 3
LABELS = np.where(NUMBERS > 0, "up", "down")
LENGTHS = RNG.integers(1, 9, 40)
SEQUENCES = [RNG.standard_normal((length, 2)) for length in LENGTHS]
OF_SEQUENCES = np.array([s.sum() > 0 for s in SEQUENCES]).astype(int)


def made(kind=LSTMClassifier, units=4, **options):
    return kind(units, **({"max_iter": 3, "random_state": 1, "learning_rate": 0.02} | options))


def weights(estimator):
    return np.concatenate([w.ravel() for w in estimator.model_.get_weights()])


# Data


def test_padding_changes_nothing():
    sequences = [*SEQUENCES, np.zeros((5, 2)), np.full((2, 2), 9.0)]
    classifier = made(max_iter=20).fit(SEQUENCES, OF_SEQUENCES)
    together = classifier.predict_proba(sequences)
    alone = np.concatenate([classifier.predict_proba([s]) for s in sequences])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    longer = classifier.predict_proba([*sequences, np.ones((500, 2))])[:-1]
    np.testing.assert_allclose(together, longer, atol=1e-6)
    as_arrays = np.concatenate([classifier.predict_proba(s[np.newaxis]) for s in sequences])
    np.testing.assert_allclose(together, as_arrays, atol=1e-6)
    assert classifier.score(SEQUENCES, OF_SEQUENCES) > 0.8


@pytest.mark.parametrize("bidirectional", [False, True])
def test_training_on_a_list_is_that_on_an_array(bidirectional):
    options = {"shuffle": False, "bidirectional": bidirectional, "units": (4, 3), "batch_size": 7}
    one, other = (made(**options).fit(x, LABELS) for x in (X, list(X)))
    np.testing.assert_allclose(weights(one), weights(other), atol=1e-5)
    assert [type(layer).__name__ for layer in one.model_.layers] == [
        "Masking", *["Bidirectional" if bidirectional else "LSTM"] * 2, "Dense"
    ]  # fmt: skip


def test_training_on_unequal_sequences_is_that_of_a_masked_model():
    classifier = made(max_iter=1, shuffle=False, batch_size=40)
    classifier.fit(SEQUENCES, OF_SEQUENCES)
    start = made(max_iter=1, shuffle=False, learning_rate=1e-12).fit(SEQUENCES, OF_SEQUENCES)
    model = cylstm.Sequential(
        [
            cylstm.layers.Masking(7.0, input_shape=(None, 2)),
            cylstm.layers.LSTM(4),
            cylstm.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights(start.model_.get_weights())
    model.compile(cylstm.optimizers.Adam(lr=0.02), "binary_crossentropy")
    padded = cylstm.preprocessing.sequence.pad_sequences(
        SEQUENCES, dtype="float32", padding="post", value=7.0
    )
    model.train_on_batch(padded, OF_SEQUENCES[:, np.newaxis])
    for ours, theirs in zip(classifier.model_.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_two_axes_are_steps_of_one_feature():
    flat = X[..., 0]
    one, other = (made(LSTMRegressor).fit(x, NUMBERS) for x in (flat, flat[..., np.newaxis]))
    np.testing.assert_array_equal(weights(one), weights(other))
    assert (one.n_features_in_, other.n_features_in_) == (6, 1)
    np.testing.assert_array_equal(one.predict(flat.tolist()), other.predict(list(flat)))
    np.testing.assert_array_equal(one.predict(flat), other.predict(flat))
    objects = np.empty(3, object)
    objects[:] = [flat[0, :2], flat[1], flat[2, :4]]
    np.testing.assert_allclose(
        other.predict(objects), other.predict([o.tolist() for o in objects]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("fitted", "given", "text"),
    [
        (X, X[..., :1], "X has 1 features, but LSTMClassifier is expecting 2 features"),
        (X, X[0], "A single sequence of .steps, features. is X.np.newaxis."),
        (X, X[0, 0], "Expected 2D array, got 1D array"),
        (X, X[np.newaxis], "X has 4 axes: expected an array of"),
        (X[..., 0], X[:, :3, 0], "X has 3 features, but LSTMClassifier is expecting 6 features"),
        (X[..., 0], X[..., :1], "an array of three axes, but LSTMClassifier was fitted on an"),
        (X[..., 0], [[1.0, 2.0], [3.0]], "a list of sequences, but LSTMClassifier was fitted"),
        (SEQUENCES, [np.ones((2, 2)), np.ones((2, 3))], r"sequence 1 the shape \(2, 3\)"),
        (SEQUENCES, [np.ones((0, 2)), np.ones((2, 2))], "at least one step"),
        (SEQUENCES, [np.ones((2, 2, 2))] * 2, r"Sequence 0 has the shape \(2, 2, 2\)"),
        (SEQUENCES, [np.full((2, 2), np.nan)], "X contains NaN"),
        (SEQUENCES, [np.full((2, 2), np.finfo("f").max)], "too large for dtype"),
    ],
)
def test_what_does_not_fit_is_refused(fitted, given, text):
    classifier = made(max_iter=1).fit(fitted, LABELS)
    with pytest.raises(ValueError, match=text):
        classifier.predict(given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"units": 0}, "units must be a positive integer"),
        ({"units": ()}, "units must name at least one layer"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"max_iter": 0}, "max_iter must be a positive integer"),
        ({"dropout": 3}, "dropout must be a number from 0 to 1"),
        ({"verbose": 5}, "verbose must be 0, 1 or 2"),
        ({"optimizer": "adamm"}, "adam"),
        ({"learning_rate": -1.0}, "lr"),
        ({"early_stopping": True, "validation_fraction": 1.5}, "validation_fraction must be"),
        ({"early_stopping": True, "tol": -1}, "tol must be"),
        ({"early_stopping": True, "n_iter_no_change": 0}, "n_iter_no_change must be"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_fitted(options, text):
    classifier = made(**options)
    with pytest.raises(ValueError, match=text):
        classifier.fit(X, LABELS)
    assert not [name for name in vars(classifier) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        classifier.predict(X)


# Training


def test_classes_weigh_as_samples_do():
    counts = np.where(LABELS == "up", 3.0, 0.5)
    one = made(class_weight={"up": 3.0, "down": 0.5}).fit(X, LABELS)
    other = made().fit(X, LABELS, sample_weight=counts)
    np.testing.assert_allclose(weights(one), weights(other), atol=1e-6)
    balanced = made(class_weight="balanced").fit(X, LABELS)
    share = {c: 20 / (LABELS == c).sum() for c in ("up", "down")}
    by_hand = made(class_weight=share).fit(X, LABELS)
    np.testing.assert_array_equal(weights(balanced), weights(by_hand))


@pytest.mark.parametrize("x", [X, SEQUENCES], ids=["array", "list"])
def test_samples_of_no_weight_have_no_say(x):
    counts = np.where(np.arange(40) % 3, 1.0, 0.0)
    turned = np.where(counts > 0, NUMBERS, -50.0)
    one, other = (made(LSTMRegressor).fit(x, y, counts) for y in (NUMBERS, turned))
    np.testing.assert_array_equal(weights(one), weights(other))
    assert not np.array_equal(weights(one), weights(made(LSTMRegressor).fit(x, NUMBERS)))


@pytest.mark.parametrize("x", [X, SEQUENCES], ids=["array", "list"])
def test_early_stopping_keeps_the_best_weights(x):
    options = {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 200}
    regressor = made(LSTMRegressor, validation_fraction=0.25, **options).fit(x, NUMBERS)
    losses = regressor.history_["val_loss"]
    assert len(losses) == len(regressor.history_["loss"]) == regressor.n_iter_ < 200
    random = np.random.RandomState(1)
    random.randint(np.iinfo(np.int32).max)
    _, held_out = train_test_split(np.arange(40), test_size=0.25, random_state=random)
    errors = (regressor.predict(x) - NUMBERS)[held_out]
    np.testing.assert_allclose((errors**2).mean(), min(losses), rtol=1e-4)
    with pytest.raises(ValueError, match="samples to validate with are zero"):
        regressor.fit(x, NUMBERS, np.isin(np.arange(40), held_out, invert=True) * 1.0)


def test_several_outputs():
    y = np.stack([NUMBERS, X[:, -1, 0], X[:, -1, 1]], axis=1)
    regressor = made(LSTMRegressor, 16, max_iter=80).fit(X, y)
    assert regressor.predict(X).shape == (40, 3)
    assert regressor.score(X, y) > 0.8
    assert made(LSTMRegressor, loss="mae").fit(X, y[:, :1]).predict(X).shape == (40, 1)


def test_several_classes():
    y = np.digitize(NUMBERS, [-0.5, 0.5]) * 10
    classifier = made(units=16, max_iter=80).fit(X, y)
    probable = classifier.predict_proba(X)
    assert classifier.classes_.tolist() == [0, 10, 20]
    np.testing.assert_allclose(probable.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[probable.argmax(1)])
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(probable))
    assert classifier.score(X, y) > 0.8


def test_partial_fit_is_an_epoch():
    parts = made()
    for _ in range(2):
        parts.partial_fit(X, LABELS, classes=["up", "down", "level"])
    assert (parts.n_iter_, len(parts.history_["loss"])) == (2, 2)
    assert parts.predict_proba(X).shape == (40, 3)
    one = made(LSTMRegressor).partial_fit(X, NUMBERS)
    np.testing.assert_array_equal(
        weights(one), weights(made(LSTMRegressor, max_iter=1).fit(X, NUMBERS))
    )
    for bad, text in [
        (lambda: made().partial_fit(X, LABELS), "classes must be passed on the first call"),
        (lambda: parts.partial_fit(X, LABELS, classes=["a", "b"]), "not the same as on last"),
        (lambda: parts.partial_fit(X, ["up", "new"] * 20), "does not know: .'new'."),
        (lambda: made(class_weight="balanced").partial_fit(X, LABELS, ["a", "b"]), "balanced"),
        (lambda: made(early_stopping=True).partial_fit(X, LABELS, ["up", "down"]), "early_stop"),
        (lambda: one.partial_fit(X, np.ones((40, 2))), "y has 2 outputs"),
    ]:
        with pytest.raises(ValueError, match=text):
            bad()


def test_a_warm_start_goes_on():
    twice = made(LSTMRegressor, warm_start=True, shuffle=False, max_iter=2)
    twice.fit(X, NUMBERS).fit(X, NUMBERS)
    once = made(LSTMRegressor, shuffle=False, max_iter=4).fit(X, NUMBERS)
    np.testing.assert_array_equal(weights(twice), weights(once))
    assert twice.n_iter_ == 4
    assert twice.history_ == once.history_
    twice.set_params(learning_rate=0.5).fit(X, NUMBERS)
    assert twice.model_.optimizer.lr == 0.5
    with pytest.raises(ValueError, match="units changed since the model was made"):
        twice.set_params(units=9).fit(X, NUMBERS)
    assert twice.set_params(warm_start=False).fit(X, NUMBERS).n_iter_ == 2


def test_an_optimizer_is_copied():
    optimizer = cylstm.optimizers.SGD(lr=0.1, momentum=0.9)
    one = made(optimizer=optimizer, learning_rate=None)
    first = weights(one.fit(X, LABELS))
    np.testing.assert_array_equal(first, weights(one.fit(X, LABELS)))
    assert one.model_.optimizer is not optimizer
    assert one.model_.optimizer.lr == 0.1
    assert made(optimizer=optimizer).fit(X, LABELS).model_.optimizer.lr == 0.02
    assert optimizer.lr == 0.1


def test_verbose(capsys):
    made(max_iter=2, verbose=2).fit(X, LABELS)
    assert capsys.readouterr().out.count("Epoch") == 2
    made(max_iter=2).fit(X, LABELS)
    assert capsys.readouterr().out == ""


# In scikit-learn


@pytest.mark.parametrize("x", [X, SEQUENCES], ids=["array", "list"])
def test_a_search_in_two_processes_finds_what_one_finds(x):
    grid = {"units": [2, 6], "dropout": [0.0, 0.3]}
    one, two = (
        GridSearchCV(made(), grid, cv=2, n_jobs=n, error_score="raise").fit(x, LABELS)
        for n in (1, 2)
    )
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    np.testing.assert_array_equal(one.predict_proba(x), two.predict_proba(x))


def test_fits_in_threads_do_not_disturb_each_other():
    def fitted(seed):
        return weights(made(dropout=0.5, random_state=seed).fit(X, LABELS))

    alone = [fitted(seed) for seed in range(6)]
    at_once = joblib.Parallel(4, "threading")(joblib.delayed(fitted)(s) for s in range(6))
    np.testing.assert_array_equal(alone, at_once)
    assert len({w.tobytes() for w in alone}) == 6


def test_processes_of_joblib_share_the_cpus(monkeypatch):
    for name in ("CYLSTM_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        counts = joblib.Parallel(2)(joblib.delayed(cylstm.get_num_threads)() for _ in range(2))
    assert counts == [1, 1]


def test_copies(tmp_path):
    fitted = made().fit(X, LABELS)
    expected = fitted.predict_proba(X)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    for twin in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(tmp_path / "fitted.joblib"),
        joblib.load(tmp_path / "fitted.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(twin.predict_proba(X), expected)
        twin.set_params(warm_start=True).fit(X, LABELS)
        assert not np.array_equal(twin.predict_proba(X), expected)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert not hasattr(fresh, "model_")


def test_a_pipeline_that_puts_out_data_frames():
    chain = make_pipeline(StandardScaler(), made()).set_output(transform="pandas")
    flat = X[..., 0]
    chain.fit(flat, LABELS)
    assert chain[-1].feature_names_in_.tolist() == [f"x{i}" for i in range(6)]
    plain = make_pipeline(StandardScaler(), made()).fit(flat, LABELS)
    np.testing.assert_array_equal(chain.predict_proba(flat), plain.predict_proba(flat))
    chain[-1].fit(X, LABELS)
    assert not hasattr(chain[-1], "feature_names_in_")


def test_sample_weights_are_routed():
    counts = np.where(LABELS == "up", 1e3, 1e-3)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = made(max_iter=15).set_fit_request(sample_weight=True)
        asking.set_score_request(sample_weight=False)
        search = GridSearchCV(asking, {"units": [3]}, cv=2, error_score="raise")
        search.fit(X, LABELS, sample_weight=counts)
    direct = made(units=3, max_iter=15).fit(X, LABELS, sample_weight=counts)
    np.testing.assert_array_equal(weights(search.best_estimator_), weights(direct))


@pytest.mark.parametrize("halted", ["sklearn", "sklearn.utils.validation"])
def test_a_missing_scikit_learn_is_named(halted):
    program = (
        "import sys, cylstm, cylstm.wrappers.scikit_learn\n"
        "assert 'sklearn' not in sys.modules\n"
        f"sys.modules[{halted!r}] = None\n"
        "try:\n"
        "    import cylstm.sklearn\n"
        "except ImportError as error:\n"
        "    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cylstm.sklearn needs scikit-learn 1.6 or newer (")
    assert "`pip install 'cylstm[sklearn]'`" in done.stdout
