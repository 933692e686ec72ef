"""Progress on standard output, with a stand-in for tqdm and without."""

import re
import sys
import types

import numpy as np
import pytest

from cylstm import callbacks, layers, models
from cylstm.callbacks import _progress
from cylstm.callbacks._progress import Line, Progress, checked_verbose, describe


class Bar:
    """What Progress asks of tqdm: a bar that draws itself at every second update."""

    made = []

    def __init__(self, **arguments):
        self.arguments, self.counts, self.texts, self.closed = arguments, [], [], False
        self.made.append(self)

    def update(self, count):
        self.counts.append(count)
        return len(self.counts) % 2 == 0

    def set_postfix_str(self, text, refresh=True):
        self.texts.append((text, refresh))

    def clear(self):
        self.texts.append("clear")

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Standard output as a terminal of 60 columns."""
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")


@pytest.fixture
def clock(monkeypatch):
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(_progress.time, "perf_counter", lambda: now.seconds)
    return now


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_numbers_as_text():
    values = [("loss", 12.34567), ("acc", 0.0), ("lr", 1e-3), ("difference", -0.5)]
    assert describe(values) == (
        "loss: 12.3457 - acc: 0.0000e+00 - lr: 1.0000e-03 - difference: -0.5000"
    )


@pytest.mark.usefixtures("terminal")
def test_bar(bars, capsys):
    progress = Progress("Epoch 1/2", total=6, unit="batch")
    for count in (1, 2, 3):
        progress.update(count, lambda count=count: f"text {count}")
    progress.clear()
    progress.close("end")
    (bar,) = bars
    assert bar.arguments == {
        "desc": "Epoch 1/2",
        "total": 6,
        "unit": "batch",
        "file": sys.stdout,
        "leave": False,
    }
    assert bar.counts == [1, 2, 3]
    assert bar.texts == [("text 2", True), "clear"]
    assert bar.closed
    assert re.fullmatch(r"Epoch 1/2 - \d+\.\ds - end\n", capsys.readouterr().out)


def test_one_line_where_there_is_no_terminal(bars, capsys):
    progress = Progress("Epoch 1/2", total=6)
    assert not progress.moves
    progress.update(3, lambda: "never")
    progress.clear()
    progress.close("loss: 0.5000")
    line = capsys.readouterr().out
    assert re.fullmatch(r"Epoch 1/2 - \d+\.\ds - loss: 0\.5000\n", line)
    assert not bars


@pytest.mark.usefixtures("no_tqdm")
def test_one_line_without_tqdm(capsys):
    progress = Progress("Epoch 1/2", total=6)
    progress.update(3, lambda: "never")
    progress.close("loss: 0.5000")
    line = capsys.readouterr().out
    assert re.fullmatch(r"Epoch 1/2 - \d+\.\ds - loss: 0\.5000\n", line)


def test_verbose_2_is_one_line_even_with_tqdm(bars, capsys):
    Progress("Predict", total=6, verbose=2).close()
    assert re.fullmatch(r"Predict - \d+\.\ds\n", capsys.readouterr().out)
    assert not bars


def test_verbose_0_is_silent(bars, capsys):
    progress = Progress("Predict", total=6, verbose=0)
    progress.update(6)
    progress.close("text")
    assert capsys.readouterr().out == ""
    assert not bars


@pytest.mark.usefixtures("no_tqdm", "terminal")
def test_a_bar_without_tqdm(clock, capsys):
    progress = Progress("Epoch 1/2", total=64)
    assert progress.moves
    clock.seconds = 0.05
    progress.update(16, lambda: "too early to draw")
    assert capsys.readouterr().out == ""
    clock.seconds = 3.0
    progress.update(16, lambda: "loss: 0.5000")
    drawn = capsys.readouterr().out.split("\r")[-1]
    assert drawn == "Epoch 1/2 [==========>.........] 32/64 - 0:03 left - loss: 0"[:59]
    progress.clear()
    assert capsys.readouterr().out == "\r" + " " * 59 + "\r"
    progress.close("loss: 0.2500")
    assert capsys.readouterr().out == "Epoch 1/2 - 3.0s - loss: 0.2500\n"


@pytest.mark.usefixtures("no_tqdm", "terminal")
def test_a_shorter_line_covers_a_longer_one(clock, capsys):
    line = Line("Job", 10, "sample", sys.stdout)
    line.set_postfix_str("a long text")
    before = len(capsys.readouterr().out) - 1
    line.set_postfix_str("")
    after = capsys.readouterr().out
    assert after.startswith("\rJob [")
    assert len(after) - 1 == before


@pytest.mark.usefixtures("no_tqdm", "terminal")
def test_a_bar_of_unknown_length(clock, capsys):
    progress = Progress("Predict", total=None, unit="batch")
    clock.seconds = 75.0
    progress.update(3, lambda: "")
    assert capsys.readouterr().out.split("\r")[1].strip() == "Predict: batch 3 - 1:15"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (75.2, "1:15"), (3600 * 25 + 61, "25:01:01")]
)
def test_times(seconds, text):
    assert _progress._clock(seconds) == text


def test_a_notebook_has_a_bar(no_tqdm, monkeypatch):
    stream = types.new_class("OutStream", exec_body=lambda n: n.update(__module__="ipykernel.io"))
    written = []
    stream.write = lambda self, text: written.append(text)
    stream.flush = lambda self: None
    monkeypatch.setattr(sys, "stdout", stream())
    progress = Progress("Predict", total=4)
    moves = progress.moves
    progress.close()
    assert moves
    assert "".join(written).startswith("Predict - ")


@pytest.mark.parametrize("stream", [None, types.SimpleNamespace(write=print)])
def test_what_is_no_file_has_no_bar(stream):
    assert not _progress._can_move(stream)


def test_a_closed_file_has_no_bar(tmp_path):
    with open(tmp_path / "log", "w") as file:
        pass
    assert not _progress._can_move(file)


def test_verbosity():
    assert [checked_verbose(v) for v in (0, 1, 2, True, False, "auto")] == [0, 1, 2, 1, 0, 1]
    for wrong in (3, -1, "1", "yes", None):
        with pytest.raises(ValueError, match="verbose must be 0, 1 or 2, or 'auto'"):
            checked_verbose(wrong)


def test_numbers_that_are_none():
    assert describe([("loss", [1, 2]), ("kind", "a")]) == "loss: [1, 2] - kind: a"


def fitted(**options):
    model = models.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    x = np.ones((64, 2))
    model.fit(x, x[:, :1], batch_size=16, epochs=2, **options)
    return model


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_fit_prints_a_line_for_each_epoch_into_a_file(verbose, capsys):
    fitted(verbose=verbose, validation_split=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for i, line in enumerate(lines, 1):
        assert re.fullmatch(rf"Epoch {i}/2 - \d\.\ds - loss: [\d.e-]+ - val_loss: [\d.e-]+", line)


@pytest.mark.usefixtures("no_tqdm", "terminal")
def test_what_callbacks_print_has_lines_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "_EVERY", 0.0)
    fitted(callbacks=callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("seen")))
    shown = capsys.readouterr().out
    assert shown.count("\r") > 8
    lines = [line.rpartition("\r")[2] for line in shown.split("\n")[:-1]]
    assert [line[:9] for line in lines] == ["seen", "Epoch 1/2", "seen", "Epoch 2/2"]


@pytest.mark.usefixtures("no_tqdm", "terminal")
def test_an_error_does_not_begin_behind_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "_EVERY", 0.0)

    def fail(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(callbacks=[callbacks.LambdaCallback(on_batch_end=fail)])
    assert capsys.readouterr().out.endswith("\r")


def test_predictions_of_classes_are_silent(capsys):
    model = fitted(verbose=0)
    model.set_weights([np.zeros((2, 1)), np.zeros(1)])
    model.predict(np.ones((2, 2)))
    model.predict_classes(np.ones((2, 2)))
    model.predict_proba(np.zeros((2, 2)))
    assert capsys.readouterr().out == ""
