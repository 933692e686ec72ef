"""The Layer API against what TensorFlow 1.4.1 answered: `data/api_transcripts.py` asks."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import cylstm

DATA = Path(__file__).parent / "data"
sys.path.insert(0, str(DATA))
import api_transcripts  # noqa: E402

sys.path.remove(str(DATA))

EXPECTED = api_transcripts.expected(DATA / "api_transcripts.json")
LAYERS = ["Input", "LSTM", "Dense", "Embedding", "Masking", "Bidirectional", "TimeDistributed"]
NAMESPACE = SimpleNamespace(
    **{name: getattr(cylstm.layers, name) for name in LAYERS},
    Sequential=cylstm.Sequential,
    Model=cylstm.Model,
    initializers=cylstm.initializers,
    regularizers=cylstm.regularizers,
    constraints=cylstm.constraints,
    activations=cylstm.activations,
    tensor=np.asarray,
    evaluate=lambda results: [np.asarray(r) for r in results],
)


def test_there_are_214_observations():
    assert sum(map(len, EXPECTED.values())) == 214


@pytest.mark.parametrize("name", EXPECTED)
def test_script(name):
    seen = {}

    def see(label, value):
        while label in seen:
            label += "'"
        seen[label] = api_transcripts.plain(value)

    getattr(api_transcripts, name)(NAMESPACE, see)
    assert set(seen) == set(EXPECTED[name])
    for label, expected in EXPECTED[name].items():
        assert api_transcripts.same(expected, seen[label]), (label, expected, seen[label])
