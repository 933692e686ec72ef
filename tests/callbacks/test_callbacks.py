"""Callbacks against what those of Keras 2.0.9 did, and what is beyond them or not."""

import types

import numpy as np
import pytest
from callback_cases import RECORD, Model, begin

from cylstm import callbacks


@pytest.mark.parametrize("case", RECORD["csv"], ids=lambda case: str(case["arguments"]))
def test_csv_files_are_those_of_keras(case, tmp_path):
    path = tmp_path / "log.csv"
    for rows in case["rows"]:
        logger = begin(callbacks.CSVLogger(path, **case["arguments"]))
        for epoch, logs in enumerate(rows):
            logger.on_epoch_end(epoch, logs)
        logger.on_train_end()
    assert path.read_bytes().decode() == case["text"]


# base


class Recorder(callbacks.Callback):
    """Write down every call."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *arguments: self.calls.append((name, *arguments))
        return super().__getattribute__(name)


def test_a_list_calls_all_in_order():
    first, second = Recorder(), Recorder()
    both = callbacks.CallbackList([first])
    both.append(second)
    model, params = Model(), {"epochs": 3}
    both.set_model(model)
    both.set_params(params)
    both.on_train_begin()
    both.on_epoch_begin(0)
    both.on_batch_begin(1, {"size": 2})
    both.on_batch_end(1, {"loss": 0.5})
    both.on_epoch_end(0, {"loss": 0.25})
    both.on_train_end()
    assert list(both) == [first, second]
    for recorder in both:
        assert recorder.model is model
        assert recorder.params is params
        assert recorder.calls == [
            ("on_train_begin", {}),
            ("on_epoch_begin", 0, {}),
            ("on_batch_begin", 1, {"size": 2}),
            ("on_batch_end", 1, {"loss": 0.5}),
            ("on_epoch_end", 0, {"loss": 0.25}),
            ("on_train_end", {}),
        ]


def test_callbacks_share_the_logs_of_an_epoch():
    class Add(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["more"] = 1

    history = callbacks.History()
    logs = {}
    callbacks.CallbackList([Add(), history]).on_epoch_end(0, logs)
    assert logs == {"more": 1}
    assert history.history == {"more": [1]}


def test_a_subclass_need_not_call_init():
    class Bare(callbacks.Callback):
        def __init__(self):
            pass

    assert Bare().model is None
    assert not Bare().params
    callbacks.CallbackList([Bare()]).on_batch_end(0)


@pytest.mark.parametrize("method", ["on_batch_begin", "on_batch_end"])
def test_slow_callbacks_are_warned_of(method, monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr("cylstm.callbacks.base.time.perf_counter", lambda: clock.now)

    class Slow(callbacks.Callback):
        pass

    def dawdle(self, batch, logs=None):
        clock.now += 0.3

    setattr(Slow, method, dawdle)
    slow = callbacks.CallbackList([Slow()])
    slow.on_epoch_begin(0)

    def batch(seconds):
        slow.on_batch_begin(0)
        clock.now += seconds
        slow.on_batch_end(0)

    def batches(count, seconds):
        for _ in range(count):
            batch(seconds)

    batches(2, 0.5)  # they outweigh the callback
    with pytest.warns(RuntimeWarning, match=rf"0.30 s in {method}, and the batch itself 0.20"):
        batches(2, 0.2)


def test_lambda_callback():
    calls = []
    names = ["epoch_begin", "epoch_end", "batch_begin", "batch_end", "train_begin", "train_end"]
    functions = {f"on_{name}": lambda *a, name=name: calls.append((name, *a)) for name in names}
    callback = callbacks.LambdaCallback(**functions, flavour="sweet")
    assert callback.flavour == "sweet"
    callback.on_train_begin({})
    callback.on_epoch_begin(0, {})
    callback.on_batch_begin(1, {})
    callback.on_batch_end(1, {})
    callback.on_epoch_end(0, {})
    callback.on_train_end({})
    assert calls == [
        ("train_begin", {}),
        ("epoch_begin", 0, {}),
        ("batch_begin", 1, {}),
        ("batch_end", 1, {}),
        ("epoch_end", 0, {}),
        ("train_end", {}),
    ]
    callbacks.LambdaCallback().on_epoch_end(0, {})
    with pytest.raises(TypeError, match="on_epoch_end must be a function, got 3"):
        callbacks.LambdaCallback(on_epoch_end=3)


# loggers


def test_base_logger_weighs_batches_by_size():
    logger = begin(callbacks.BaseLogger(), metrics=["loss", "acc", "val_loss"])
    for _ in range(2):  # a second epoch starts from zero
        logger.on_epoch_begin(0)
        logger.on_batch_end(0, {"batch": 0, "size": 3, "loss": np.float32(1), "acc": 0.5})
        logger.on_batch_end(1, {"batch": 1, "size": 1, "loss": np.float32(3), "acc": 1.0})
        logs = {"val_loss": 7.0}
        logger.on_epoch_end(0, logs)
        assert logs == {"val_loss": 7.0, "loss": 1.5, "acc": 0.625}


def test_base_logger_of_no_batches():
    logger = begin(callbacks.BaseLogger(), metrics=["loss"])
    logger.on_epoch_begin(0)
    logs = {}
    logger.on_epoch_end(0, logs)
    assert logs == {}


def test_csv_lacks_numbers(tmp_path):
    logger = begin(callbacks.CSVLogger(tmp_path / "log.csv"))
    logger.model.stop_training = True  # in the first epoch
    logger.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    logger.on_epoch_end(1, {"loss": 0.5})
    assert (tmp_path / "log.csv").read_text().split() == [
        "epoch,loss,val_loss",
        "0,1.0,2.0",
        "1,0.5,NA",
    ]


def test_csv_path_fails_before_training(tmp_path):
    with pytest.raises(FileNotFoundError):
        begin(callbacks.CSVLogger(tmp_path / "missing" / "log.csv"))
    with pytest.raises(ValueError, match="one character, got '::'"):
        callbacks.CSVLogger(tmp_path / "log.csv", separator="::")


def show(monkeypatch, verbose, count_mode="samples"):
    """Two batches of one epoch through a ProgbarLogger; what it asked of Progress."""
    asked = []

    class Progress:
        def __init__(self, *arguments):
            asked.append(arguments)
            self.moves = verbose == 1

        def update(self, count, text):
            asked.append((count, text()))

        def close(self, text):
            asked.append(text)

    monkeypatch.setattr("cylstm.callbacks.loggers.Progress", Progress)
    params = {"verbose": verbose, "epochs": 3, "samples": 4, "metrics": ["loss", "val_loss"]}
    logger = begin(callbacks.ProgbarLogger(count_mode), steps=2, **params)
    logger.on_epoch_begin(1)
    logger.on_batch_begin(0)
    logger.on_batch_end(0, {"size": 3, "loss": 1.0, "acc": 0.5})
    logger.on_batch_end(1, {"size": 1, "loss": 3.0, "acc": 0.5})
    logger.on_epoch_end(1, {"loss": 1.5, "val_loss": 2.0})
    return asked


def test_progress_of_samples(monkeypatch):
    assert show(monkeypatch, 1) == [
        ("Epoch 2/3", 4, "sample", 1),
        (3, "loss: 1.0000"),
        (1, "loss: 1.5000"),
        "loss: 1.5000 - val_loss: 2.0000",
    ]


def test_progress_of_steps(monkeypatch):
    asked = show(monkeypatch, 1, "steps")
    assert asked[:3] == [("Epoch 2/3", 2, "batch", 1), (1, "loss: 1.0000"), (1, "loss: 1.5000")]


def test_progress_of_whole_epochs(monkeypatch):
    assert show(monkeypatch, 2) == [
        ("Epoch 2/3", 4, "sample", 2),
        "loss: 1.5000 - val_loss: 2.0000",
    ]


def test_progress_counts_samples_or_steps():
    with pytest.raises(ValueError, match="'samples' or 'steps', got 'epochs'"):
        callbacks.ProgbarLogger("epochs")


# looks


def schedule(epoch):
    return 0.1


@pytest.mark.parametrize(
    ("callback", "text"),
    [
        (callbacks.EarlyStopping(), "EarlyStopping(monitor='val_loss')"),
        (
            callbacks.EarlyStopping(patience=3, mode="min", restore_best_weights=True),
            "EarlyStopping(monitor='val_loss', patience=3, mode='min', restore_best_weights=True)",
        ),
        (
            callbacks.ModelCheckpoint("best.safetensors", save_best_only=True),
            "ModelCheckpoint(filepath='best.safetensors', save_best_only=True)",
        ),
        (callbacks.ReduceLROnPlateau("acc", 0.5), "ReduceLROnPlateau(monitor='acc', factor=0.5)"),
        (callbacks.CSVLogger("log.csv"), "CSVLogger(filename='log.csv')"),
        (callbacks.CSVLogger("a", separator=";"), "CSVLogger(filename='a', separator=';')"),
        (
            callbacks.LearningRateScheduler(schedule),
            f"LearningRateScheduler(schedule={schedule!r})",
        ),
        (callbacks.ProgbarLogger(), "ProgbarLogger(count_mode='samples')"),
        (callbacks.TerminateOnNaN(), "TerminateOnNaN()"),
        (callbacks.Callback(), "Callback()"),
    ],
    ids=lambda value: value.partition("(")[0] if isinstance(value, str) else "",
)
def test_reprs_say_what_a_callback_is(callback, text):
    assert repr(callback) == text


def test_the_repr_of_functions_and_of_what_keeps_nothing():
    assert "on_epoch_end=<function" in repr(callbacks.LambdaCallback(on_epoch_end=lambda *_: None))

    class Own(callbacks.Callback):
        def __init__(self, folder, depth=3):
            self.somewhere, self.depth = folder, depth

    assert repr(Own("a", 4)).endswith("depth=4)")
