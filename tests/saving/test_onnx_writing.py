"""Models as ONNX files: what ONNX Runtime computed from them, and what cannot be written."""

import re
from pathlib import Path

import numpy as np
import onnx_cases
import pytest

import cylstm
from cylstm.layers import (
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    Dot,
    Embedding,
    Lambda,
    LSTMCell,
    Masking,
    TimeDistributed,
)
from cylstm.models import load_model
from cylstm.saving._onnx._document import decode
from cylstm.saving._onnx._writing import document_of

FILES = Path(__file__).resolve().parents[1] / "data" / "onnx"
CASES = list(onnx_cases.CASES)


@pytest.fixture(scope="module")
def recorded():
    with np.load(FILES / "outputs.npz") as arrays:
        return dict(arrays)


def part(recorded, name, which):
    found = [array for key, array in recorded.items() if key.startswith(f"cylstm_{name}/{which}/")]
    return found if len(found) > 1 else found[0]


def listed(arrays):
    return arrays if isinstance(arrays, list) else [arrays]


def operators(model):
    return [node.op_type for node in document_of(model).graph.node]


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_computes_the_same(name, recorded):
    """The recorded numbers are those of this model, and of the bytes that are written now."""
    model = onnx_cases.made(name)
    found = listed(model.predict(part(recorded, name, "in")))
    for one, two in zip(found, listed(part(recorded, name, "out")), strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=5e-7)
    stored = decode((FILES / f"cylstm_{name}.onnx").read_bytes()).graph
    written = document_of(model).graph
    numbers = {}

    def plain(text):
        """A name without the numbers that depend on how many layers there were before."""
        return re.sub(r"_\d+(?![0-9A-Za-z])", "", text)

    assert [n.op_type for n in stored.node] == [n.op_type for n in written.node]
    for one, two in zip(stored.node, written.node, strict=True):
        assert [plain(i) for i in one.input] == [plain(i) for i in two.input]
        assert [a.encoded() for a in one.attribute] == [a.encoded() for a in two.attribute]
        for a, b in zip([*one.input, *one.output], [*two.input, *two.output], strict=True):
            assert numbers.setdefault(a, b) == b  # connected in the same way
    for one, two in zip(stored.initializer, written.initializer, strict=True):
        assert (list(one.dims), bytes(one.raw_data)) == (list(two.dims), bytes(two.raw_data))


@pytest.mark.parametrize("name", CASES)
def test_they_are_read_again(name, recorded, tmp_path):
    model = onnx_cases.made(name)
    inputs = part(recorded, name, "in")
    model.save(tmp_path / "model.onnx")
    again = load_model(tmp_path / "model.onnx")
    for one, two in zip(listed(model.predict(inputs)), listed(again.predict(inputs)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)
    assert again.optimizer is None


@pytest.mark.parametrize("name", CASES)
def test_one_lstm_node_a_layer(name):
    def count(model):
        own = [layer for layer in model.layers if isinstance(layer, LSTM | Bidirectional)]
        inner = [layer for layer in model.layers if isinstance(layer, cylstm.Model)]
        return len(own) + sum(count(layer) * len(layer.inbound_nodes[1:]) for layer in inner)

    model = onnx_cases.made(name)
    found = operators(model).count("LSTM")
    assert found == (2 if name == "nested" else count(model))


def test_names_stay():
    model = onnx_cases.made("last_output")
    graph = document_of(model).graph
    assert {"lstm", "dense"} <= {node.name for node in graph.node}
    assert {t.name for t in graph.initializer} >= {"lstm/W", "lstm/R", "lstm/B", "dense/kernel"}
    assert [d.name or d.value for d in graph.input[0].type.tensor_type.shape.dim][0] == "batch"


def test_weights_of_a_layer_stand_there_once(tmp_path):
    x = cylstm.Input((5, 3))
    layer, dense = LSTM(3, return_sequences=True), Dense(3)
    model = cylstm.Model(x, dense(layer(dense(layer(x)))))
    graph = document_of(model).graph
    assert sum(len(t.dims) > 1 for t in graph.initializer) == 4
    model.save(tmp_path / "model.onnx")
    again = load_model(tmp_path / "model.onnx")
    assert len(again.get_weights()) == 5


def test_a_layer_that_two_inputs_share_is_one(tmp_path):
    one, two = cylstm.Input((5, 3)), cylstm.Input((5, 3))
    layer, dense = LSTM(3), Dense(2)
    model = cylstm.Model([one, two], [dense(layer(one)), dense(layer(two))])
    model.save(tmp_path / "model.onnx")
    again = load_model(tmp_path / "model.onnx")
    assert sum(isinstance(layer, LSTM) for layer in again.layers) == 1
    assert sum(isinstance(layer, Dense) for layer in again.layers) == 1
    assert len(again.get_weights()) == 5


def test_initial_states_may_be_arrays(tmp_path):
    x = cylstm.Input((5, 3))
    h, c = np.full((2, 4), 0.3), np.full((2, 4), -0.2)
    model = cylstm.Model(x, LSTM(4)(x, initial_state=[h, c]))
    model.save(tmp_path / "model.onnx")
    again = load_model(tmp_path / "model.onnx")
    data = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(model.predict(data), again.predict(data), rtol=1e-6)


def test_both_precisions(tmp_path):
    model = cylstm.Sequential(
        [LSTM(3, dtype="float64", input_shape=(None, 2)), Dense(2), Dense(1, dtype="float64")]
    )
    model.save(tmp_path / "model.onnx")
    again = load_model(tmp_path / "model.onnx")
    assert [layer.dtype for layer in again.layers[1:]] == ["float64", "float32", "float64"]
    data = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    np.testing.assert_allclose(model.predict(data), again.predict(data), rtol=1e-6)
    assert "Cast" in operators(model)


def stateful():
    return cylstm.Sequential([LSTM(2, stateful=True, batch_input_shape=(1, None, 3))])


def softmax_in_cells():
    return cylstm.Sequential([LSTM(2, activation="softmax", input_shape=(5, 3), name="odd")])


class Own(LSTM):
    """A subclass may compute anything."""


REFUSED = {
    "stateful": (stateful, "it is stateful"),
    "softmax": (softmax_in_cells, r"Layer odd \(LSTM\).*activation 'softmax'"),
    "masking": (
        lambda: cylstm.Sequential([Masking(input_shape=(5, 3)), LSTM(2)]),
        r"\(Masking\).*no operator",
    ),
    "mask_zero": (
        lambda: cylstm.Sequential([Embedding(5, 2, mask_zero=True, input_length=4), LSTM(2)]),
        "mask_zero=True",
    ),
    "lambda": (
        lambda: cylstm.Sequential([Lambda(lambda x: x, input_shape=(3,))]),
        r"\(Lambda\).*no operator",
    ),
    "cells": (
        lambda: cylstm.Sequential([RNN(LSTMCell(2), input_shape=(5, 3))]),
        r"\(RNN\).*no operator",
    ),
    "subclass": (
        lambda: cylstm.Sequential([Own(2, input_shape=(5, 3))]),
        r"\(Own\).*no operator",
    ),
    "backwards": (
        lambda: cylstm.Sequential([Bidirectional(LSTM(2, go_backwards=True), input_shape=(5, 3))]),
        "go_backwards=True",
    ),
    "time_distributed": (
        lambda: cylstm.Sequential([TimeDistributed(LSTM(2), input_shape=(4, 5, 3))]),
        r"\(TimeDistributed\).*no operator",
    ),
    "own_activation": (
        lambda: cylstm.Sequential([Dense(2, activation=np.tanh, input_shape=(3,))]),
        "no operator for its activation",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_operator_computes_is_refused(name, tmp_path):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make().save(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_normalized_product_is_refused():
    x = cylstm.Input((5, 3))
    with pytest.raises(ValueError, match="normalize=True"):
        document_of(cylstm.Model(x, Dot(2, normalize=True)([x, x])))


def test_weights_alone_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="No weights are written under the suffix"):
        onnx_cases.made("last_output").save_weights(tmp_path / "weights.onnx")


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not built"):
        cylstm.Sequential([LSTM(2)]).save(tmp_path / "model.onnx")


def test_saving_is_whole(tmp_path):
    path = tmp_path / "model.onnx"
    model = onnx_cases.made("last_output")
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    with pytest.raises(ValueError, match="softmax"):
        softmax_in_cells().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
