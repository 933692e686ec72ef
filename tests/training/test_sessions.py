"""Whole programs for Keras, run under cylstm: `data/training_sessions.py` recorded TensorFlow's."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import layers, models

DATA = Path(__file__).parents[1] / "data"
ANSWERS = json.loads((DATA / "training_sessions.json").read_text())["sessions"]


def loaded_sessions():
    spec = importlib.util.spec_from_file_location("sessions", DATA / "training_sessions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SESSIONS = loaded_sessions()


def assert_same(got, expected, where):
    if isinstance(expected, dict):
        assert set(got) == set(expected), where
        for name in expected:
            assert_same(got[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list) and any(isinstance(e, str | list | dict) for e in expected):
        assert len(got) == len(expected), where
        for i, (one, other) in enumerate(zip(got, expected, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    elif isinstance(expected, str):
        assert got == expected, where
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9, err_msg=where)


@pytest.mark.filterwarnings("ignore:accuracy is the share")  # of regressions, too
@pytest.mark.parametrize("session", SESSIONS.SESSIONS, ids=lambda session: session.__name__)
def test_a_session_is_that_of_tensorflow(session):
    got = SESSIONS.plain(session(layers, models, cylstm.Input))
    assert_same(got, ANSWERS[session.__name__], session.__name__)


def test_every_recorded_session_is_run():
    assert {session.__name__ for session in SESSIONS.SESSIONS} == set(ANSWERS)
