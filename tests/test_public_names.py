"""What users can name is as recorded: who changes a name or a signature sees it in the record."""

import difflib
import subprocess
import sys

import public_names
import pytest

import cylstm


@pytest.fixture(scope="module")
def now():
    """The record of the package as it is, of a process in which no test has changed anything."""
    command = [sys.executable, "-W", "error", public_names.__file__, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def test_names_and_signatures_are_as_recorded(now):
    recorded = public_names.RECORD.read_text(encoding="utf-8")
    changes = difflib.unified_diff(
        recorded.splitlines(),
        now.splitlines(),
        "recorded",
        "now",
        lineterm="",
        n=0,
    )
    changes = "\n".join(changes)
    assert not changes, f"meant so? Then run `python tests/public_names.py`.\n{changes}"


def test_the_record_is_of_every_public_module():
    headings = [
        line
        for line in public_names.RECORD.read_text(encoding="utf-8").splitlines()
        if line and line[0] != " "
    ]
    assert headings == sorted({*public_names.public_modules(), *public_names.NEEDING_IT})
    assert {"cylstm", "cylstm.layers", "cylstm.layers.lstm", "cylstm.cli"} <= set(headings)


def test_what_is_told_of_a_class():
    class Scale(cylstm.Layer):
        greatest = 2

        def __init__(self, factor: "float" = 2.0, *, name: "str | None" = None) -> None:
            super().__init__(name=name)

        def __call__(self, inputs):
            return inputs

        def _hidden(self):
            pass

        @property
        def size(self) -> int:
            return 1

        @size.setter
        def size(self, value):
            pass

        @classmethod
        def made(cls, key=object) -> "Scale":
            return cls()

    assert public_names.described("Scale", Scale) == [
        "class Scale(Layer): (factor: float = 2.0, *, name: str | None = None)",
        "    def __call__(self, inputs)",
        "    greatest = 2",
        "    classmethod made(cls, key=<class 'object'>) -> Scale",
        "    property size: int, to be set",
    ]


def test_a_name_is_told_once_and_where_it_is_defined(now):
    assert now.count("    class LSTM(LSTMSteps, ") == 1
    layers = now.partition("\ncylstm.layers\n")[2].partition("\n\n")[0].splitlines()
    assert "    LSTM = cylstm.layers.lstm.LSTM" in layers
    losses = now.partition("\ncylstm.losses\n")[2].partition("\n\n")[0].splitlines()
    assert "    mse = mean_squared_error" in losses
    assert (
        "    def mean_squared_error(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray" in losses
    )
