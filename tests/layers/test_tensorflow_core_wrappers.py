"""Layers against TensorFlow 1.4.1: `data/record_core_wrappers.py` recorded it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm import layers, regularizers
from cylstm.layers.layer import as_list

DATA = Path(__file__).parents[1] / "data"
RECORDED = json.loads((DATA / "core_wrappers.json").read_text())
TOLERANCES = {"float64": 1e-10, "float32": 2e-5}


def name_of(case):
    spec = case["spec"] if "spec" in case else case
    words = [spec["layer"], *(f"{k}={v}" for k, v in spec["arguments"].items())]
    return "-".join([*words, *([name_of(spec["inner"])] if spec["inner"] else [])])


def made(spec, dtype, **kwargs):
    cls = getattr(layers, spec["layer"])
    if spec["inner"]:
        return cls(made(spec["inner"], dtype), **spec["arguments"], **kwargs)
    return cls(**spec["arguments"], dtype=dtype, **kwargs)


def assert_close(got, expected, dtype):
    expected = np.array(expected)
    assert got.shape == expected.shape
    assert got.dtype == dtype
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    assert np.max(np.abs(got - expected), initial=0.0) / scale <= TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", RECORDED["cases"], ids=name_of)
def test_outputs_gradients_and_masks(case, dtype):
    layer = made(case["spec"], dtype, weights=[np.array(w) for w in case["weights"]])
    inputs = np.array(case["input"])
    mask = None if case["mask"] is None else np.array(case["mask"])
    outputs, pullback = layer.vjp(inputs, mask=mask)
    for got, expected in zip(as_list(outputs), case["outputs"], strict=True):
        assert_close(got, expected, dtype)
    for got, expected in zip(as_list(layer(inputs, mask=mask)), case["outputs"], strict=True):
        assert_close(got, expected, dtype)
    masks = as_list(layer.compute_mask(inputs, mask))
    for got, expected in zip(masks, case["output_masks"], strict=True):
        assert (got is None) == (expected is None)
        np.testing.assert_array_equal(got, expected)
    cotangents = [np.array(d) for d in case["cotangents"]]
    gradients = pullback(cotangents if isinstance(outputs, list) else cotangents[0])
    if case["input_gradient"] is None:
        assert gradients.inputs is None
    else:
        assert_close(gradients.inputs, case["input_gradient"], dtype)
    for got, expected in zip(gradients.weights, case["weight_gradients"], strict=True):
        assert_close(got, expected, dtype)


@pytest.mark.parametrize("case", RECORDED["penalties"], ids=lambda case: case["layer"])
def test_penalties_of_wrapped_layers(case):
    penalty = regularizers.l1_l2(0.5, 0.25)
    if case["layer"] == "Bidirectional":
        inner = layers.LSTM(
            2, kernel_regularizer=penalty, activity_regularizer=penalty, dtype="float64"
        )
    else:
        inner = layers.Dense(2, kernel_regularizer=penalty, dtype="float64")
    layer = getattr(layers, case["layer"])(inner, weights=case["weights"])
    layer(np.ones((1, 3, 2)))
    assert len(layer.losses) == case["losses"]
    assert sum(layer.get_losses_for(None)) == pytest.approx(case["model_penalty"], rel=1e-12)
    counted = [v.regularizer(v.value) for v in layer._penalised_weights()]
    assert sum(counted) == pytest.approx(case["model_penalty"], rel=1e-12)
