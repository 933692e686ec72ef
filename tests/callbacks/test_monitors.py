"""Callbacks that watch a number, against what those of Keras 2.0.9 did, and beyond it."""

import numpy as np
import pytest
from callback_cases import RECORD, Model, begin, run

from cylstm import callbacks


@pytest.mark.parametrize("case", RECORD["monitors"], ids=lambda case: str(case["arguments"]))
def test_monitors_do_as_keras(case):
    callback = getattr(callbacks, case["callback"])(**case["arguments"])
    for _ in range(2 if case["callback"] != "ModelCheckpoint" else 1):  # they can be used again
        outcome = run(callback, case["arguments"]["monitor"], case["values"])
        assert [row[:2] for row in outcome] == [row[:2] for row in case["outcome"]]
        rates = [row[2] for row in case["outcome"]]
        np.testing.assert_allclose([row[2] for row in outcome], rates, rtol=1e-15)


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
