"""Callbacks against what those of Keras 2.0.9 did, and what is beyond them or not."""

import json
import types
from pathlib import Path

import numpy as np
import pytest

from cylstm import callbacks

RECORD = json.loads((Path(__file__).parent / "data" / "callbacks.json").read_text("utf-8"))


class Model:
    """What the callbacks ask of a model."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = types.SimpleNamespace(lr=0.5)
        self.saved = []

    def save(self, path, overwrite):
        self.saved.append(["model", path])

    def save_weights(self, path, overwrite):
        self.saved.append(["weights", path])


def begin(callback, **params):
    callback.set_model(Model())
    callback.set_params(params)
    callback.on_train_begin()
    return callback


def run(callback, name, values):
    """What each epoch left: whether to stop, what was saved, the learning rate."""
    begin(callback)
    outcome = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {name: value})
        model = callback.model
        outcome.append([model.stop_training, model.saved[-1:], model.optimizer.lr])
    return outcome


@pytest.mark.parametrize("case", RECORD["monitors"], ids=lambda case: str(case["arguments"]))
def test_monitors_do_as_keras(case):
    callback = getattr(callbacks, case["callback"])(**case["arguments"])
    for _ in range(2 if case["callback"] != "ModelCheckpoint" else 1):  # they can be used again
        outcome = run(callback, case["arguments"]["monitor"], case["values"])
        assert [row[:2] for row in outcome] == [row[:2] for row in case["outcome"]]
        rates = [row[2] for row in case["outcome"]]
        np.testing.assert_allclose([row[2] for row in outcome], rates, rtol=1e-15)


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


# monitors


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf, np.float32("nan")])
def test_terminate_on_nan(loss, capsys):
    callback = begin(callbacks.TerminateOnNaN())
    callback.on_batch_end(0, {"loss": 1e30})
    callback.on_batch_end(1, {})
    assert not callback.model.stop_training
    callback.on_batch_end(2, {"loss": loss})
    assert callback.model.stop_training
    assert "Batch 2" in capsys.readouterr().out


MONITORS = [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau, callbacks.ModelCheckpoint]


def make(cls, **arguments):
    if cls is callbacks.ModelCheckpoint:
        return cls("path", save_best_only=True, **arguments)
    return cls(**arguments)


@pytest.mark.parametrize("cls", MONITORS)
def test_an_unknown_mode_is_auto(cls):
    with pytest.warns(RuntimeWarning, match=f"{cls.__name__} knows the modes.*'least'"):
        callback = make(cls, mode="least", monitor="val_acc")
    assert callback.mode == "max"


@pytest.mark.parametrize("cls", MONITORS)
def test_a_missing_number_changes_nothing(cls):
    callback = begin(make(cls))
    with pytest.warns(RuntimeWarning, match=r"'val_loss', which the logs do not have.*loss"):
        callback.on_epoch_end(0, {"loss": 1.0})
    assert not callback.model.stop_training
    assert not callback.model.saved
    assert callback.model.optimizer.lr == 0.5


@pytest.mark.parametrize("cls", MONITORS)
def test_nan_is_no_improvement(cls):
    callback = begin(make(cls))
    callback.on_epoch_end(0, {"val_loss": 1.0})
    callback.on_epoch_end(1, {"val_loss": np.nan})
    assert callback.best == 1.0


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
def test_a_small_improvement_is_none(mode, sign):
    callback = callbacks.EarlyStopping("f", min_delta=0.25, patience=1, mode=mode)
    outcome = run(callback, "f", [sign * value for value in (2.0, 1.5, 1.25, 1.0, 0.5)])
    assert [row[0] for row in outcome] == [False, False, True, True, True]
    outcome = run(callback, "f", [sign * value for value in (2.0, 1.5, 1.0, 0.5)])
    assert [row[0] for row in outcome] == [False, False, False, False]


def test_early_stopping_says_so(capsys):
    callback = begin(callbacks.EarlyStopping(verbose=1))
    callback.on_epoch_end(0, {"val_loss": 1.0})
    callback.on_epoch_end(1, {"val_loss": 1.0})
    callback.on_train_end()
    assert capsys.readouterr().out == "Epoch 00002: early stopping\n"


def test_checkpoints_say_so(capsys):
    callback = begin(callbacks.ModelCheckpoint("p{epoch}", save_best_only=True, verbose=1))
    callback.on_epoch_end(0, {"val_loss": 1.0})
    callback.on_epoch_end(1, {"val_loss": 2.0})
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 00001: val_loss improved from inf to 1.00000, saving model to p1",
        "Epoch 00002: val_loss did not improve",
    ]


def test_a_path_with_an_unknown_field_raises():
    callback = begin(callbacks.ModelCheckpoint("{val_acc:.2f}.h5"))
    with pytest.raises(ValueError, match=r"field 'val_acc'.*they have: epoch, loss"):
        callback.on_epoch_end(0, {"loss": 1.0})
    assert not callback.model.saved


def test_a_path_may_be_a_path_object(tmp_path):
    callback = begin(callbacks.ModelCheckpoint(tmp_path / "{epoch}.h5"))
    callback.on_epoch_end(3, {})
    assert callback.model.saved == [["model", str(tmp_path / "4.h5")]]


def test_the_scheduler_sets_the_rate():
    callback = begin(callbacks.LearningRateScheduler(lambda epoch: np.float32(0.5) ** epoch))
    callback.on_epoch_begin(3)
    assert callback.model.optimizer.lr == 0.125
    assert type(callback.model.optimizer.lr) is float


def test_the_scheduler_refuses():
    callback = begin(callbacks.LearningRateScheduler(lambda epoch: epoch))
    with pytest.raises(ValueError, match="must return a float, got 2 for epoch 2"):
        callback.on_epoch_begin(2)
    assert callback.model.optimizer.lr == 0.5
    callback.model.optimizer = object()
    with pytest.raises(ValueError, match="has no learning rate"):
        callback.on_epoch_begin(0)


def test_reductions_are_logged_and_told(capsys):
    callback = begin(callbacks.ReduceLROnPlateau(factor=0.5, patience=0, verbose=1))
    callback.on_epoch_end(0, {"val_loss": 1.0})
    logs = {"val_loss": 1.0}
    callback.on_epoch_end(1, logs)
    assert logs["lr"] == 0.5
    assert capsys.readouterr().out == "Epoch 00002: reducing learning rate to 0.25.\n"


@pytest.mark.parametrize("factor", [1.0, 2, float("nan")])
def test_a_factor_reduces(factor):
    with pytest.raises(ValueError, match="factor must be less than 1"):
        callbacks.ReduceLROnPlateau(factor=factor)


# spellings and arguments of today


@pytest.mark.parametrize("cls", MONITORS)
@pytest.mark.parametrize(
    ("monitor", "logged"),
    [("val_accuracy", "val_acc"), ("val_acc", "val_accuracy"), ("accuracy", "acc")],
)
def test_both_spellings_of_accuracy_are_understood(cls, monitor, logged):
    callback = begin(make(cls, monitor=monitor))
    callback.on_epoch_end(0, {logged: 0.25})
    callback.on_epoch_end(1, {logged: 0.5})
    assert callback.best == 0.5
    assert callback.mode == "max"


class Weights(Model):
    """A model whose weights are the number of the epoch."""

    epoch = 0

    def get_weights(self):
        return [np.array(self.epoch)]

    def set_weights(self, weights):
        self.epoch = int(weights[0])


def stopped(values, **arguments):
    """The epoch that training stopped in, or None, and the one whose weights the model has."""
    callback = callbacks.EarlyStopping("f", mode="min", **arguments)
    callback.set_model(Weights())
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.model.epoch = epoch
        callback.on_epoch_end(epoch, {"f": value})
        if callback.model.stop_training:
            break
    callback.on_train_end()
    return callback.stopped_epoch if callback.model.stop_training else None, callback.model.epoch


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "arguments", "expected"),
    [
        ([3, 2, 4, 5, 6], {"patience": 2}, (3, 3)),
        ([3, 2, 4, 5, 6], {"patience": 2, "restore_best_weights": True}, (3, 1)),
        ([3, 2, 4], {"patience": 5, "restore_best_weights": True}, (None, 1)),
        ([NAN, NAN, NAN], {"patience": 2, "restore_best_weights": True}, (1, 0)),
        ([NAN, 5, 6, 7], {"patience": 3, "restore_best_weights": True}, (None, 1)),
        ([9, 8, 7, 6], {"patience": 3, "baseline": 5}, (2, 2)),
        ([9, 4, 7, 6, 5, 3], {"patience": 3, "baseline": 5}, (4, 4)),
        ([9, 8, 7], {"patience": 3, "baseline": 5, "restore_best_weights": True}, (2, 2)),
        ([1, 2, 3, 2.5, 4], {"start_from_epoch": 2}, (4, 4)),
    ],
)
def test_early_stopping_with_the_arguments_of_today(values, arguments, expected):
    assert stopped(values, **arguments) == expected


def test_early_stopping_says_whose_weights_come_back(capsys):
    stopped([3, 2, 4], patience=1, restore_best_weights=True, verbose=1)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 00003: early stopping",
        "The weights are those after epoch 2.",
    ]


def test_min_delta_is_epsilon():
    values = np.random.default_rng(0).random(20).tolist()
    results = [
        run(callbacks.ReduceLROnPlateau("f", patience=1, **{name: 0.3}), "f", values)
        for name in ("epsilon", "min_delta")
    ]
    assert results[0] == results[1]
    with pytest.raises(ValueError, match="two names of one number, got 0.1 and 0.2"):
        callbacks.ReduceLROnPlateau(epsilon=0.1, min_delta=0.2)


def test_a_schedule_of_two_arguments(capsys):
    callback = begin(callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2 + epoch, verbose=1))
    callback.on_epoch_begin(1)
    assert callback.model.optimizer.lr == 1.25
    assert capsys.readouterr().out == "Epoch 00002: setting learning rate to 1.25.\n"


def test_a_second_argument_with_a_default_keeps_it():
    """Keras 2.0.9 gives a schedule the epoch only."""
    callback = begin(callbacks.LearningRateScheduler(lambda epoch, start=8.0: start * 0.5**epoch))
    callback.on_epoch_begin(1)
    assert callback.model.optimizer.lr == 4.0


def test_a_schedule_is_callable():
    with pytest.raises(TypeError, match="schedule must be a function of an epoch, got 0.1"):
        callbacks.LearningRateScheduler(0.1)


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
