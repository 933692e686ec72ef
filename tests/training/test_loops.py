"""Fitting: epochs, callbacks, logs, progress."""

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.callbacks import Callback, LambdaCallback

X = np.sin(np.arange(96.0)).reshape(8, 4, 3)
Y = np.cos(np.arange(16.0)).reshape(8, 2)


def made_model(metrics=None):
    lstm = layers.LSTM(3, input_shape=(None, 3), dtype="float64")
    model = cylstm.Sequential([lstm, layers.Dense(2, dtype="float64")])
    model.compile("sgd", "mse", metrics=metrics)
    return model


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_seed_gives_the_same_weights_twice():
    def train():
        cylstm.utils.set_random_seed(11)
        model = cylstm.Sequential(
            [layers.LSTM(3, dropout=0.3, recurrent_dropout=0.2, input_shape=(4, 3))]
        )
        model.add(layers.Dropout(0.5))
        model.add(layers.Dense(2))
        model.compile("adam", "mse")
        history = model.fit(X, Y, batch_size=3, epochs=3, verbose=0, validation_split=0.2)
        return [*model.get_weights(), *history.history["loss"]]

    assert_same(train(), train())


def test_shuffling_changes_the_order_of_samples_only():
    seen = []
    model = made_model(metrics=[lambda t, p: seen.append(t.copy()) or np.zeros(len(t))])
    model.fit(X, Y, batch_size=3, epochs=2, verbose=0)
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert not np.array_equal(first, Y)
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        assert sorted(epoch[:, 0]) == sorted(Y[:, 0])


class Recorder(Callback):
    """Writes down when it is called, and with what."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("train begin")

    def on_train_end(self, logs=None):
        self.calls.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch} begin")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((f"epoch {epoch} end", sorted(logs)))

    def on_batch_begin(self, batch, logs=None):
        self.calls.append((f"batch {batch} begin", dict(logs)))

    def on_batch_end(self, batch, logs=None):
        self.calls.append((f"batch {batch} end", sorted(logs)))


def test_callbacks_are_called_in_order():
    model, recorder = made_model(metrics=["mae"]), Recorder()
    model.fit(
        X, Y, 5, epochs=3, initial_epoch=2, verbose=0, callbacks=[recorder], validation_split=0.25
    )
    batch = ["batch", "loss", "mean_absolute_error", "size"]
    epoch = ["loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"]
    assert recorder.calls == [
        "train begin",
        "epoch 2 begin",
        ("batch 0 begin", {"batch": 0, "size": 5}),
        ("batch 0 end", batch),
        ("batch 1 begin", {"batch": 1, "size": 1}),
        ("batch 1 end", batch),
        ("epoch 2 end", epoch),
        "train end",
    ]
    assert recorder.model is model
    assert recorder.params == {
        "batch_size": 5,
        "epochs": 3,
        "steps": None,
        "samples": 6,
        "verbose": 0,
        "do_validation": True,
        "metrics": epoch,
    }
    assert [a.shape for a in recorder.validation_data] == [(2, 4, 3), (2, 2), (2,)]


def test_stopping_after_a_batch_leaves_out_validation():
    model = made_model()

    def stop(batch, logs):
        model.stop_training = batch == 1

    history = model.fit(
        X, Y, 2, 5, 0, callbacks=[LambdaCallback(on_batch_end=stop)], validation_split=0.2
    )
    assert list(history.history) == ["loss"]
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2


def test_stopping_after_an_epoch():
    model = made_model()

    def stop(epoch, logs):
        model.stop_training = epoch == 1

    callbacks = [LambdaCallback(on_epoch_end=stop)]
    history = model.fit(X, Y, epochs=5, verbose=0, callbacks=callbacks, validation_data=(X, Y))
    assert history.epoch == [0, 1]
    assert len(history.history["val_loss"]) == 2
    assert model.fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


def test_no_epochs():
    history = made_model().fit(X, Y, epochs=3, initial_epoch=3, verbose=0)
    assert (history.epoch, history.history) == ([], {})


def test_the_mean_of_an_epoch_counts_batches_by_their_size():
    losses = []
    record = LambdaCallback(on_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    history = made_model().fit(X, Y, 5, epochs=1, verbose=0, callbacks=[record])
    assert history.history["loss"] == [pytest.approx((5 * losses[0] + 3 * losses[1]) / 8)]


@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_is_shown(verbose, capsys):
    model = made_model()
    model.fit(X, Y, epochs=2, verbose=verbose)
    model.evaluate(X, Y, verbose=verbose)
    model.predict(X, verbose=verbose)
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    for part in ("Epoch 1/2", "Epoch 2/2", "loss:", "Evaluate", "Predict"):
        assert part in shown


def test_silence(capsys):
    model = made_model()
    model.fit(X, Y, epochs=2, verbose=0, validation_split=0.5)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
