"""History: what `fit` returns, its table and its curves; the spellings of its names."""

import json
import pickle
import sys
import types

import numpy as np
import pytest

import cylstm
from cylstm import callbacks, layers
from cylstm.callbacks._names import ByName, lookup, missing, other_spelling


def begin(callback):
    callback.set_model(types.SimpleNamespace())
    callback.on_train_begin()
    return callback


def test_history_starts_anew():
    history = begin(callbacks.History())
    history.on_epoch_end(0, {"loss": 1.0})
    begin(history)
    history.on_epoch_end(4, {"loss": 2.0})
    history.on_epoch_end(5, {"loss": 3.0, "lr": 0.1})
    assert history.epoch == [4, 5]
    assert history.history == {"loss": [2.0, 3.0], "lr": [0.1]}


class Panel:
    """What History.plot asks of the axes of matplotlib."""

    def __init__(self):
        self.lines, self.labels, self.legends = [], {}, 0
        self.ticks = {}
        locator = types.SimpleNamespace(set_params=self.ticks.update)
        self.xaxis = types.SimpleNamespace(get_major_locator=lambda: locator)

    def plot(self, x, y, label, **style):
        self.lines.append((label, x, y))

    def set_xlabel(self, text):
        self.labels["x"] = text

    def set_ylabel(self, text):
        self.labels["y"] = text

    def legend(self):
        self.legends += 1


@pytest.fixture
def panels(monkeypatch):
    """A stand-in for matplotlib: the panels of every figure, and the paths it was saved to."""
    made = types.SimpleNamespace(all=[], paths=[])

    def subplots(rows, columns, **options):
        made.all = [Panel() for _ in range(columns)]
        figure = types.SimpleNamespace(savefig=made.paths.append)
        return figure, np.array([made.all], dtype=object)

    pyplot = types.SimpleNamespace(subplots=subplots)
    monkeypatch.setitem(sys.modules, "matplotlib", types.SimpleNamespace(pyplot=pyplot))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    return made


def trained():
    history = begin(callbacks.History())
    history.on_epoch_end(0, {"loss": 3.0, "acc": 0.1})
    history.on_epoch_end(1, {"loss": 2.0, "acc": 0.2, "val_loss": 4.0})
    return history


def test_plot_draws_a_panel_for_each_number(panels):
    assert trained().plot() is not None
    loss, accuracy = panels.all
    assert loss.lines == [("training", [1, 2], [3.0, 2.0]), ("validation", [2], [4.0])]
    assert accuracy.lines == [("training", [1, 2], [0.1, 0.2])]
    assert loss.labels == {"x": "epoch", "y": "loss"}
    assert loss.ticks == {"integer": True}
    assert loss.legends == accuracy.legends == 1
    assert panels.paths == []


def test_plot_of_some_numbers_to_a_file(panels):
    trained().plot(["acc"], path="curves.png")
    assert [panel.labels["y"] for panel in panels.all] == ["acc"]
    assert panels.paths == ["curves.png"]


@pytest.mark.usefixtures("panels")
def test_plot_refuses():
    with pytest.raises(ValueError, match="no epoch has ended"):
        callbacks.History().plot()
    with pytest.raises(ValueError, match="no 'mse' in the history; it has acc, loss, val_loss"):
        trained().plot(["mse"])


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'cylstm\[plot\]'"):
        trained().plot()


# names


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("acc", "accuracy"),
        ("val_acc", "val_accuracy"),
        ("weighted_acc", "weighted_accuracy"),
        ("val_out_acc", "val_out_accuracy"),
        ("acc_2", "accuracy_2"),
        ("lr", "learning_rate"),
    ],
)
def test_spellings(name, other):
    assert other_spelling(name) == other
    assert other_spelling(other) == name
    assert lookup({name: 1}, other) == lookup({other: 1}, name) == lookup({name: 1}, name) == 1


@pytest.mark.parametrize("name", ["loss", "vacc", "accent", "acc_b", "val_lr", "", 3, None])
def test_other_names_have_one_spelling(name):
    assert other_spelling(name) is None


def test_a_number_that_is_there_wins():
    logs = ByName(out_acc=1, out_accuracy=2)
    assert (logs["out_acc"], logs["out_accuracy"]) == (1, 2)


def test_the_history_is_read_by_both_spellings_and_iterated_by_one():
    history = trained().history
    assert history["accuracy"] == history["acc"] == history.get("accuracy") == [0.1, 0.2]
    assert "accuracy" in history
    assert "val_accuracy" not in history
    assert history.get("mse", 3) == 3
    with pytest.raises(KeyError, match="val_accuracy"):
        _ = history["val_accuracy"]
    assert list(history) == list(history.keys()) == ["loss", "acc", "val_loss"]
    assert len(history) == len(history.items()) == 3
    assert json.loads(json.dumps(history)) == history
    assert type(pickle.loads(pickle.dumps(history))) is ByName
    assert pickle.loads(pickle.dumps(history))["accuracy"] == [0.1, 0.2]


@pytest.mark.parametrize("metric", ["acc", "accuracy"])
def test_fit_gives_what_scripts_of_both_kinds_read(metric):
    model = cylstm.Sequential([layers.Dense(1, activation="sigmoid", input_shape=(2,))])
    model.compile("sgd", "binary_crossentropy", metrics=[metric])
    seen = []
    note = callbacks.LambdaCallback(
        on_batch_end=lambda batch, logs: seen.append(logs["accuracy"]),
        on_epoch_end=lambda epoch, logs: seen.append(logs.get("val_accuracy")),
    )
    history = model.fit(
        np.ones((4, 2)), np.ones(4), epochs=1, verbose=0, validation_split=0.5, callbacks=note
    )
    assert list(history.history) == ["val_loss", "val_acc", "loss", "acc"]
    assert history.history["accuracy"] == history.history["acc"]
    assert seen == [history.history["acc"][0], history.history["val_acc"][0]]


def test_what_is_missing():
    assert "did you mean 'val_loss'? They have: loss, val_loss" in missing(
        "val_los", ["val_loss", "loss"]
    )
    assert "without validation_data or validation_split; they have: acc, loss" in missing(
        "val_accuracy", ["loss", "acc"]
    )


# looks


def test_the_repr_is_short():
    assert repr(callbacks.History()) == "<History of 0 epochs>"
    text = repr(trained())
    assert text == "<History of 2 epochs: loss: 2.0000 - acc: 0.2000 - val_loss: 4.0000>"


def test_the_table_for_notebooks():
    assert trained()._repr_html_().splitlines() == [
        "<table>",
        "<tr><th>epoch</th><th>loss</th><th>acc</th><th>val_loss</th></tr>",
        "<tr><td>1</td><td>3.0000</td><td>0.1000</td><td></td></tr>",
        "<tr><td>2</td><td>2.0000</td><td>0.2000</td><td>4.0000</td></tr>",
        "</table>",
    ]
    assert callbacks.History()._repr_html_() == "<table>\n<tr><th>epoch</th></tr>\n</table>"


def test_the_table_escapes_everything():
    history = begin(callbacks.History())
    history.on_epoch_end(0, {"<b>&": "<script>", "loss": np.float32(0.5)})
    table = history._repr_html_()
    assert "<b>" not in table
    assert "<script>" not in table
    assert "<th>&lt;b&gt;&amp;</th>" in table
    assert "<td>&lt;script&gt;</td><td>0.5000</td>" in table


def test_a_long_table_is_cut():
    history = begin(callbacks.History())
    for epoch in range(100):
        history.on_epoch_end(epoch, {"loss": 1.0})
    rows = history._repr_html_().splitlines()[2:-1]
    epochs = [row.split("</td>")[0].removeprefix("<tr><td>") for row in rows]
    assert epochs == [*"12345", "…", *map(str, range(86, 101))]
