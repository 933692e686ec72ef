"""Layers and character taggers against Keras 2.0.9: `data/record_keras_layers.py` recorded it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm import Input, Model, layers
from cylstm.layers.layer import as_list

DATA = Path(__file__).parents[1] / "data"
RECORDED = json.loads((DATA / "keras_layers.json").read_text())
TOLERANCES = {"float64": 1e-10, "float32": 2e-6}


def name_of(spec):
    words = [spec["layer"], *(f"{k}={v}" for k, v in spec["arguments"].items())]
    return "-".join([*words, *([name_of(spec["inner"])] if spec["inner"] else [])])


def made(spec, **kwargs):
    arguments = spec["arguments"] | kwargs
    if spec["inner"]:
        arguments |= {"layer": made(spec["inner"])}
    return getattr(layers, spec["layer"])(**arguments)


def arrays(values):
    return [np.array(value) for value in values]


def assert_close(got, expected, dtype="float64"):
    expected = np.array(expected)
    assert got.shape == expected.shape
    assert got.dtype == dtype
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    assert np.max(np.abs(got - expected), initial=0.0) / scale <= TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: name_of(case["spec"]))
def test_outputs_gradients_and_penalties(case, dtype):
    layer = made(case["spec"], dtype=dtype, weights=arrays(case["weights"]))
    inputs = arrays(case["inputs"])
    inputs = inputs if len(inputs) > 1 else inputs[0]
    outputs, pullback = layer.vjp(inputs)
    assert_close(outputs, case["outputs"], dtype)
    assert_close(layer(inputs), case["outputs"], dtype)
    assert sum(layer.losses) == pytest.approx(case["penalty"], rel=1e-6)
    gradients = pullback(np.array(case["cotangents"]))
    for got, expected in zip(as_list(gradients.inputs), case["input_gradients"], strict=True):
        assert_close(got, expected, dtype)
    for got, expected in zip(gradients.weights, case["weight_gradients"], strict=True):
        assert_close(got, expected, dtype)


@pytest.mark.parametrize("row", RECORDED["alpha_dropout"])
def test_what_alpha_dropout_makes_of_an_input(row):
    layer = layers.AlphaDropout(row["rate"], seed=1, dtype="float64")
    outputs = layer(np.full((50, 20), row["input"]), training=True)
    np.testing.assert_allclose(np.unique(outputs), [row["dropped"], row["kept"]], rtol=1e-12)
    share = np.mean(outputs < (row["dropped"] + row["kept"]) / 2)
    assert share == pytest.approx(row["rate"], abs=0.05)


@pytest.mark.parametrize("row", RECORDED["gaussian_dropout"])
def test_the_factors_of_gaussian_dropout(row):
    layer = layers.GaussianDropout(row["rate"], dtype="float64")
    factors = layer(np.ones((500, 1000)), training=True)
    assert factors.mean() == pytest.approx(row["mean"], abs=0.02)
    assert factors.std() == pytest.approx(row["deviation"], rel=0.02)


@pytest.mark.parametrize("row", RECORDED["configs"], ids=lambda row: row["layer"])
def test_names_and_configs(row):
    cls, expected = getattr(layers, row["layer"]), dict(row["config"])
    layer = cls.from_config(expected)
    config = json.loads(json.dumps(layer.get_config()))
    config.get("alpha_initializer", {"config": {}})["config"].pop("dtype", None)  # TensorFlow's
    own = {"dtype": "float32"}
    if cls is layers.AlphaDropout:  # Keras forgets two of its arguments
        own |= {"noise_shape": None, "seed": None}
    assert config == expected | own
    del expected["name"]
    named = cls.from_config(expected).name
    assert named.rpartition("_")[0] == row["config"]["name"].rpartition("_")[0]


# ---------------------------------------------------------------------- characters in words

CHARACTERS = np.array(
    [
        [[1, 4, 2, 0, 0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[2, 2, 2, 5, 1], [5, 3, 0, 0, 0], [1, 4, 4, 2, 0]],
    ]
)
WORDS = np.array([[3, 1, 0], [2, 4, 4]])


def check_predictions(model, row, inputs):
    model.set_weights(arrays(row["weights"]))
    assert_close(model.predict(inputs), row["outputs"], "float32")
    assert_close(model(inputs), row["outputs"], "float32")


@pytest.mark.parametrize(
    "row", RECORDED["chains"], ids=lambda row: "-".join(map(name_of, row["layers"]))
)
def test_layers_of_characters_one_after_the_other(row):
    x = y = Input((3, 5))
    masked = []
    for spec in row["layers"]:
        y = made(spec)(y)
        masked.append(y.mask is not None)
    assert masked == row["masked"]
    check_predictions(Model(x, y), row, CHARACTERS)


@pytest.mark.parametrize("row", RECORDED["taggers"])
def test_characters_beside_words(row):
    timed = layers.TimeDistributed
    words, characters = Input((None,)), Input((None, 5), dtype="int32")
    embedding = layers.Embedding(6, 4, mask_zero=row["mask_zero"], input_length=5)
    x = timed(embedding)(characters)
    if row["convolution"]:
        x = timed(layers.GlobalMaxPooling1D())(timed(layers.Conv1D(3, 3, padding="same"))(x))
    else:
        x = timed(layers.LSTM(3))(x)
    joined = layers.concatenate([layers.Embedding(5, 4, mask_zero=True)(words), x])
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(joined)
    tags = timed(layers.Dense(2, activation="softmax"))(both)
    assert [joined.mask is not None, both.mask is not None] == row["masked"]
    model = Model([words, characters], tags)
    check_predictions(model, row, [WORDS, CHARACTERS])
    model.compile("sgd", "mse")
    model.set_weights([w / 5 for w in model.get_weights()])  # less steep
    before = model.get_weights()
    model.train_on_batch([WORDS, CHARACTERS], np.ones((2, 3, 2)))
    changed = [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)
