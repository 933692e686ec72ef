"""The voice encoder of Resemblyzer: its own answers, recorded with PyTorch and librosa."""

from pathlib import Path

import numpy as np
import pytest
from voices import made_voice

from cylstm._demos import fetch_weights, who_speaks

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def example():
    return vars(who_speaks)


@pytest.fixture(scope="module")
def encoder(example):
    return example["load_encoder"](fetch_weights.fetch("resemblyzer", "pretrained.pt"))


@pytest.fixture(scope="module")
def recorded():
    with np.load(TESTS / "data" / "resemblyzer.npz") as arrays:
        return dict(arrays)


def test_embeddings_are_those_of_pytorch(example, encoder, recorded):
    found = example["unit"](encoder.predict(recorded["mels"].astype(np.float32)))
    assert len(found) == 3
    np.testing.assert_allclose(found, recorded["of_mels"], atol=1e-5)


def test_an_utterance_is_embedded_as_the_package_does(example, encoder, recorded):
    found = example["embed"](encoder, made_voice())
    np.testing.assert_allclose(found, recorded["of_voice"], atol=1e-5)
