"""Callbacks that write: what is found out before the first epoch, and what is saved after it."""

import os
import sys
import warnings

import numpy as np
import pytest

import cylstm
from cylstm import callbacks, layers

X = np.ones((8, 2))
Y = np.zeros((8, 1))


class Epochs(callbacks.Callback):
    """Count the epochs that began."""

    _adds = ()
    count = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.count += 1


def fit(*listed, metrics=("acc",), **options):
    """Train for two epochs, and return how many began."""
    model = cylstm.Sequential([layers.Dense(1, activation="sigmoid", input_shape=(2,))])
    model.compile("sgd", "binary_crossentropy", metrics=list(metrics))
    epochs = Epochs()
    before = model.get_weights()
    try:
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[*listed, epochs], **options)
    except Exception:
        assert not epochs.count
        np.testing.assert_array_equal(before[0], model.get_weights()[0])
        raise
    return epochs.count


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_template_is_filled_in(tmp_path, weights_only):
    path = tmp_path / "{epoch:02d}-{val_accuracy:.1f}-{acc:.1f}.safetensors"
    fit(callbacks.ModelCheckpoint(path, save_weights_only=weights_only), validation_split=0.5)
    names = sorted(os.listdir(tmp_path))
    assert [name[:2] for name in names] == ["01", "02"]


REFUSALS = [
    ("weights.pkl", ValueError, "suffix"),
    ("missing/weights.safetensors", FileNotFoundError, "no such folder"),
    ("{epoch}/weights.safetensors", FileNotFoundError, "no such folder"),
    ("folder.safetensors", (ValueError, OSError), "folder.safetensors"),
    ("{val_loss}.safetensors", ValueError, "field 'val_loss', .* without validation_data"),
    ("{los:.2f}.safetensors", ValueError, "field 'los', which .* did you mean 'loss'"),
    ("{epoch:.2q}.safetensors", ValueError, "cannot be filled in"),
    ("{epoch.safetensors", ValueError, "no template"),
    ("{}.safetensors", ValueError, "field ''"),
]


@pytest.mark.parametrize(("name", "error", "message"), REFUSALS)
def test_a_path_is_refused_before_the_first_epoch(tmp_path, name, error, message):
    (tmp_path / "folder.safetensors").mkdir()
    old = tmp_path / "log.csv"
    old.write_text("what was there")
    logger = callbacks.CSVLogger(old)
    with pytest.raises(error, match=message):
        fit(logger, callbacks.ModelCheckpoint(f"{tmp_path}/{name}"))
    assert old.read_text() == "what was there"
    assert sorted(os.listdir(tmp_path)) == ["folder.safetensors", "log.csv"]


def test_a_package_that_is_missing_is_named_before_the_first_epoch(tmp_path, monkeypatch):
    def without(model, path, overwrite=True):
        raise ImportError("needs a package")

    monkeypatch.setattr(cylstm.Model, "_check_path", without)
    with pytest.raises(ImportError, match="needs a package"):
        fit(callbacks.ModelCheckpoint(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing/log.csv", FileNotFoundError, "there is no folder '.*missing'; make it first"),
        ("", IsADirectoryError, "directory"),
    ],
)
def test_a_log_is_refused_before_the_first_epoch(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        fit(callbacks.CSVLogger(os.path.join(tmp_path, name)))


def test_a_log_in_a_folder_that_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    with pytest.raises(PermissionError, match="cannot write to the folder"):
        fit(callbacks.CSVLogger(tmp_path / "log.csv"))


def test_a_log_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fit(callbacks.CSVLogger("log.csv")) == 2
    assert (tmp_path / "log.csv").read_text().startswith("epoch,acc,loss")


def test_fields_that_other_callbacks_add(tmp_path):
    """What a callback of the user's adds to the logs is not known before."""

    class Score(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_f1"] = 0.5
            logs["kind"] = "a"

    path = f"{tmp_path}/{{val_f1:.2f}}-{{kind:>3}}.safetensors"
    stopping = callbacks.EarlyStopping("val_f1", patience=5, mode="max")
    assert fit(Score(), stopping, callbacks.ModelCheckpoint(path)) == 2
    assert os.listdir(tmp_path) == ["0.50-  a.safetensors"]
    with pytest.raises(ValueError, match="'val_f1'"):
        fit(callbacks.ModelCheckpoint(path))
    late = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_f1=1, kind=""))
    assert fit(late, callbacks.ModelCheckpoint(path)) == 2


def test_the_learning_rate_of_a_plateau_is_a_field(tmp_path):
    path = f"{tmp_path}/{{epoch}}-{{learning_rate:.2f}}.safetensors"
    assert fit(callbacks.ReduceLROnPlateau("loss"), callbacks.ModelCheckpoint(path)) == 2
    assert sorted(os.listdir(tmp_path)) == ["1-0.01.safetensors", "2-0.01.safetensors"]


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (callbacks.EarlyStopping("los"), "EarlyStopping watches 'los', .* did you mean 'loss'"),
        (callbacks.EarlyStopping(), "'val_loss', .* without validation_data or validation_split"),
        (callbacks.ReduceLROnPlateau("mae"), "ReduceLROnPlateau watches 'mae'"),
        (
            callbacks.ModelCheckpoint("a.safetensors", "lss", save_best_only=True),
            "ModelCheckpoint watches 'lss', .* did you mean 'loss'",
        ),
    ],
)
def test_a_monitor_that_there_will_not_be_is_warned_of_before_the_first_epoch(callback, message):
    with pytest.warns(RuntimeWarning, match=message), pytest.raises(ZeroDivisionError):
        fit(callback, Fails())


class Fails(callbacks.Callback):
    """End training before it begins."""

    _adds = ()

    def on_train_begin(self, logs=None):
        raise ZeroDivisionError


def test_monitors_that_there_will_be_are_no_reason_to_warn(tmp_path):
    best = callbacks.ModelCheckpoint(tmp_path / "a.safetensors", "accuracy", save_best_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            callbacks.EarlyStopping("val_accuracy", patience=3),
            callbacks.ReduceLROnPlateau("val_loss"),
            callbacks.ModelCheckpoint(tmp_path / "b.safetensors"),
            best,
            callbacks.EarlyStopping("learning_rate", patience=3),
            validation_split=0.5,
        )


def test_a_first_best_has_to_beat_a_threshold(tmp_path):
    path = tmp_path / "a.safetensors"
    for threshold, saved in ((0.0, False), (100.0, True)):
        fit(
            callbacks.ModelCheckpoint(
                path, "loss", save_best_only=True, initial_value_threshold=threshold
            )
        )
        assert path.exists() is saved


def test_how_often_to_save_is_said_in_epochs():
    assert callbacks.ModelCheckpoint("a", save_freq="epoch").period == 1
    with pytest.raises(ValueError, match="save_freq must be 'epoch', got 100.*period=n"):
        callbacks.ModelCheckpoint("a", save_freq=100)
    with pytest.raises(ValueError, match="period must be a positive integer, got 0"):
        callbacks.ModelCheckpoint("a", period=0)
    with pytest.raises(TypeError, match="period must be a positive integer, got 'epoch'"):
        callbacks.ModelCheckpoint("a", period="epoch")


def test_one_callback_need_not_be_in_a_list():
    model = cylstm.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    epochs = Epochs()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=epochs)
    assert epochs.count == 3
    model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks.CallbackList([epochs]))
    assert epochs.count == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [callbacks.TerminateOnNaN],
            r"the class TerminateOnNaN; make a callback",
        ),
        (["checkpoint"], "a list of Callback objects, got 'checkpoint'"),
        (3, "a list of Callback objects, got 3"),
    ],
)
def test_what_is_no_callback_is_refused(given, message):
    model = cylstm.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=message):
        model.fit(X, Y, callbacks=given)


# ---------------------------------------------------------------------- every format

OF_MODELS = [".safetensors", ".h5", ".hdf5", ".keras", ".onnx", ".json"]
OF_WEIGHTS = [".safetensors", ".h5", ".weights.h5", ".npz"]


def recurrent(**options):
    model = cylstm.Sequential([layers.LSTM(3, input_shape=(4, 2), **options), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def train(model, path, **options):
    x = np.random.default_rng(1).normal(size=(8, 4, 2))
    checkpoint = callbacks.ModelCheckpoint(path, **options)
    model.fit(x, x[:, 0, :1], epochs=2, verbose=0, callbacks=[checkpoint], shuffle=False)
    return x


@pytest.mark.parametrize("suffix", OF_MODELS)
def test_models_in_every_format(suffix, tmp_path):
    model = recurrent(recurrent_activation="sigmoid")
    x = train(model, f"{tmp_path}/{{epoch}}{suffix}")
    assert sorted(os.listdir(tmp_path)) == [f"1{suffix}", f"2{suffix}"]
    again = cylstm.models.load_model(tmp_path / f"2{suffix}")
    assert [layer.units for layer in again.layers if hasattr(layer, "units")] == [3, 1]
    if suffix != ".json":  # it has no weights
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("suffix", OF_WEIGHTS)
def test_weights_in_every_format(suffix, tmp_path):
    model = recurrent()
    train(model, f"{tmp_path}/w{suffix}", save_weights_only=True)
    again = recurrent()
    again.load_weights(tmp_path / f"w{suffix}")
    for found, wanted in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras", ".weights.h5"])
def test_h5py_is_asked_for_before_the_first_epoch(suffix, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    weights_only = suffix == ".weights.h5"
    with pytest.raises(ImportError, match=r"pip install 'cylstm\[keras\]'"):
        fit(callbacks.ModelCheckpoint(tmp_path / f"a{suffix}", save_weights_only=weights_only))


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        (".keras", {}, "LSTM|lstm.*hard_sigmoid"),
        (".npz", {}, "No models are written"),
        (".onnx", {"activation": lambda x: x / 2}, "activation"),
        (".safetensors", {"activation": lambda x: x / 2}, "lambda"),
    ],
)
def test_what_a_format_does_not_have_is_refused_before_the_first_epoch(
    suffix, options, message, tmp_path
):
    model = recurrent(**options)
    before = model.get_weights()
    with pytest.raises((ValueError, TypeError), match=message):
        train(model, tmp_path / f"a{suffix}")
    assert all(map(np.array_equal, before, model.get_weights()))
    assert os.listdir(tmp_path) == []


def test_a_model_that_its_data_build_is_checked(tmp_path):
    model = cylstm.Sequential([layers.LSTM(3)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="hard_sigmoid"):
        model.fit(
            np.ones((4, 5, 2)),
            np.ones((4, 3)),
            verbose=0,
            callbacks=[callbacks.ModelCheckpoint(tmp_path / "a.keras")],
        )
    assert os.listdir(tmp_path) == []
