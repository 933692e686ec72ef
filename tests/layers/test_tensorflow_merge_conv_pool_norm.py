"""Layers against TensorFlow 1.4.1: `data/record_merge_conv_pool_norm.py` recorded it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cylstm import layers

DATA = Path(__file__).parents[1] / "data"
RECORDED = json.loads((DATA / "merge_conv_pool_norm.json").read_text())
TOLERANCES = {"float64": 1e-9, "float32": 3e-5}


def name_of(row):
    return "-".join([row["layer"], *(f"{k}={v}" for k, v in row["arguments"].items())])


def as_given(values):
    return values if len(values) > 1 else values[0]


def assert_close(got, expected, dtype, what):
    expected = np.array(expected)
    assert got.shape == expected.shape, what
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    assert np.max(np.abs(got - expected), initial=0.0) / scale <= TOLERANCES[dtype], what


def test_all_layers_were_recorded():
    assert len(RECORDED["cases"]) == 91
    assert {case["layer"] for case in RECORDED["cases"]} >= {
        "Add", "Subtract", "Multiply", "Average", "Maximum", "Concatenate", "Dot", "Conv1D",
        "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling1D",
        "BatchNormalization", "LayerNormalization",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", RECORDED["cases"], ids=name_of)
def test_outputs_gradients_and_updates(case, dtype):
    precision = dtype if case["dtype"] == "float64" else "float32"
    weights = [np.array(w) for w in case["weights"]]
    layer = getattr(layers, case["layer"])(**case["arguments"], dtype=dtype, weights=weights)
    inputs = as_given([np.array(x, dtype) for x in case["inputs"]])
    training = {} if case["training"] is None else {"training": case["training"]}
    outputs, pullback = layer.vjp(inputs, **training)
    assert outputs.dtype == dtype
    assert_close(outputs, case["outputs"], precision, "outputs")
    gradients = pullback(np.array(case["cotangents"]))
    given = gradients.inputs if isinstance(inputs, list) else [gradients.inputs]
    for i, (got, expected) in enumerate(zip(given, case["input_gradients"], strict=True)):
        assert got.dtype == dtype
        assert_close(got, expected, precision, f"gradient of input {i}")
    for variable, got, expected in zip(
        layer.trainable_weights, gradients.weights, case["weight_gradients"], strict=True
    ):
        assert got.dtype == dtype
        assert_close(got, expected, precision, f"gradient of {variable.name}")
    after = case.get("weights_after", case["weights"])
    for variable, expected in zip(layer.weights, after, strict=True):
        assert_close(variable.value, expected, precision, f"{variable.name} afterwards")


@pytest.mark.parametrize("case", RECORDED["cases"], ids=name_of)
def test_output_shapes(case):
    layer = getattr(layers, case["layer"])(**case["arguments"])
    shapes = [np.shape(x) for x in case["inputs"]]
    assert layer.compute_output_shape(as_given(shapes)) == np.shape(case["outputs"])
    unknown = [(None, *shape[1:]) for shape in shapes]
    assert layer.compute_output_shape(as_given(unknown)) == (None, *np.shape(case["outputs"])[1:])


@pytest.mark.parametrize("row", RECORDED["masks"], ids=name_of)
def test_masks_of_merging_layers(row):
    layer = getattr(layers, row["layer"])(**row["arguments"])
    masks = [None if m is None else np.array(m) for m in row["masks"]]
    inputs = [np.zeros((2, 3 if m is None else m.shape[1], 4)) for m in masks]
    result = layer.compute_mask(inputs, masks)
    if row["result"] is None:
        assert result is None
    else:
        assert result.dtype == bool
        assert result.tolist() == row["result"]
