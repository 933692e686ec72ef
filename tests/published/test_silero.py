"""The detector of Silero VAD: what ONNX Runtime answered for the same weights, over a minute."""

from pathlib import Path

import numpy as np
import pytest
from voices import a_minute_of

from cylstm._demos import fetch_weights, voice_activity

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def example():
    return vars(voice_activity)


@pytest.fixture(scope="module")
def model(example):
    path = fetch_weights.fetch("silero-vad", "silero_vad_16k.safetensors")
    return example["load_detector"](path)


@pytest.fixture(scope="module")
def recorded():
    with np.load(TESTS / "data" / "silero.npz") as arrays:
        return dict(arrays)


def test_probabilities_are_those_of_onnx_runtime(example, model, recorded):
    frames = example["frames_of"](a_minute_of(recorded["speech"])[64:])
    likely = example["in_blocks"](model, frames)
    assert len(likely) == 1875
    assert likely.min() < 0.1
    assert likely.max() > 0.9
    np.testing.assert_allclose(likely, recorded["likely"], atol=1e-5)


def test_frame_by_frame_has_the_same_bits(example, model, recorded):
    frames = example["frames_of"](a_minute_of(recorded["speech"])[64:])[:500]
    found = example["one_by_one"](model, frames)
    np.testing.assert_array_equal(found, example["in_blocks"](model, frames))
