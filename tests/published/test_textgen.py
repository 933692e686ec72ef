"""The model of textgenrnn: what its own code answered with tf_keras for the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm._demos import fetch_weights, revived_textgen
from cylstm.models import load_model

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def example():
    return vars(revived_textgen)


@pytest.fixture(scope="module")
def vocabulary():
    path = fetch_weights.fetch("textgenrnn", "textgenrnn_vocab.json")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(example, vocabulary):
    path = fetch_weights.fetch("textgenrnn", "textgenrnn_weights.hdf5")
    return example["revive"](path, vocabulary)


@pytest.fixture(scope="module")
def recorded():
    with np.load(TESTS / "data" / "textgenrnn.npz") as arrays:
        return dict(arrays)


def test_probabilities_are_those_of_tf_keras(model, recorded):
    found = model.predict(recorded["read"])
    assert found.shape == (8, 465)
    assert recorded["probabilities"].max() > 0.5  # it is sure of something
    np.testing.assert_allclose(found, recorded["probabilities"], atol=1e-5)


def test_texts_are_encoded_as_the_package_does(example, vocabulary, recorded):
    texts = ["", "W", "What is the", "How do you feel about the new season of "]
    found = [example["encode"]([example["BOUND"], *text], vocabulary) for text in texts]
    np.testing.assert_array_equal(found, recorded["read"][:4])


@pytest.mark.parametrize("name", ["model.safetensors", "model.h5", "model.keras"])
def test_the_whole_model_in_a_file(name, example, model, recorded, tmp_path):
    model.save(tmp_path / name)
    with pytest.raises(ValueError, match="AttentionWeightedAverage"):
        load_model(tmp_path / name)
    again = load_model(tmp_path / name, custom_objects=example["OWN_LAYERS"])
    np.testing.assert_array_equal(again.predict(recorded["read"]), model.predict(recorded["read"]))


def test_it_writes_english(example, model, vocabulary):
    random = np.random.default_rng(2)
    texts = example["write"](model, vocabulary, "How ", 4, 0.3, 120, random)
    assert len(set(texts)) == 4
    words = " ".join(texts).lower().split()
    common = {"a", "the", "to", "of", "in", "is", "and", "i", "you", "do", "this", "for", "my"}
    assert sum(word in common for word in words) >= len(words) / 8
