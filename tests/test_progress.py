"""Progress on standard output, with a stand-in for tqdm and without."""

import re
import sys
import types

import pytest

from cylstm.callbacks._progress import Progress, describe


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

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_numbers_as_text():
    values = [("loss", 12.34567), ("acc", 0.0), ("lr", 1e-3), ("difference", -0.5)]
    assert describe(values) == (
        "loss: 12.3457 - acc: 0.0000e+00 - lr: 1.0000e-03 - difference: -0.5000"
    )


def test_bar(bars, capsys):
    progress = Progress("Epoch 1/2", total=6, unit="batch")
    for count in (1, 2, 3):
        progress.update(count, lambda count=count: f"text {count}")
    progress.close("end")
    (bar,) = bars
    assert bar.arguments == {
        "desc": "Epoch 1/2",
        "total": 6,
        "unit": "batch",
        "file": sys.stdout,
    }
    assert bar.counts == [1, 2, 3]
    assert bar.texts == [("text 2", True), ("end", False)]
    assert bar.closed
    assert capsys.readouterr().out == ""


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
