"""ONNX files of other programs: their models give what ONNX Runtime gives, and train on."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import testing
from cylstm.layers import LSTM, BatchNormalization, Bidirectional, Dense, Dropout
from cylstm.models import load_model

FILES = Path(__file__).resolve().parents[1] / "data" / "onnx"
NAMES = sorted(path.stem for path in FILES.glob("*.onnx"))
OF_OTHERS = [name for name in NAMES if not name.startswith("cylstm_")]
# Whose samples are not on the first axis: which inputs, which outputs, and the axis there.
TURNED = {
    "torch_dynamo_final_states": (["x"], {0: 1, 1: 1, 2: 1}),
    "torch_dynamo_final_states_fixed": (["x"], {0: 1, 1: 1, 2: 1}),
    "torch_script_final_states": (["x"], {0: 1, 1: 1, 2: 1}),
    "torch_script_final_states_fixed": (["x"], {0: 1, 1: 1, 2: 1}),
    "torch_dynamo_given_states": (["h", "c"], {1: 1, 2: 1}),
    "torch_script_given_states": (["h", "c"], {1: 1, 2: 1}),
    "hand_layout_0": (
        ["x"],
        {0: 2, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 2, 7: 1, 8: 1} | dict.fromkeys(range(9, 15), 2),
    ),
}


@pytest.fixture(scope="module")
def recorded():
    with np.load(FILES / "outputs.npz") as arrays:
        return dict(arrays)


def loaded(name):
    """The model of a file; only files that need it warn that axes were turned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load_model(FILES / f"{name}.onnx")
    inputs, outputs = TURNED.get(name, ([], {}))
    assert len(caught) == len(inputs) + len(outputs)
    assert all("samples on axis" in str(entry.message) for entry in caught)
    return model


def arrays_of(recorded, name):
    """The inputs and outputs of a file, samples first."""
    turned_inputs, turned_outputs = TURNED.get(name, ([], {}))
    inputs, outputs = [], []
    for key, array in recorded.items():
        if key.startswith(f"{name}/in/"):
            axis = int(key.rsplit("/", 1)[1] in turned_inputs)
            inputs.append(np.moveaxis(array, axis, 0))
        elif key.startswith(f"{name}/out/"):
            axis = turned_outputs.get(int(key.rsplit("/", 1)[1]), 0)
            outputs.append(np.moveaxis(array, axis, 0))
    return inputs, outputs


def predicted(model, inputs):
    found = model.predict(inputs if len(inputs) > 1 else inputs[0])
    return found if isinstance(found, list) else [found]


def assert_close(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert one.shape == two.shape
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=3e-6, atol=3e-7)


def test_there_are_files_of_all_writers():
    writers = {name.split("_")[0] for name in NAMES}
    assert writers == {"cylstm", "hand", "keras3", "tf2onnx", "torch"}
    exporters = {name.split("_")[1] for name in NAMES if name.startswith("torch")}
    assert exporters == {"dynamo", "script"}
    assert len(NAMES) >= 55


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_those_of_onnx_runtime(name, recorded):
    inputs, outputs = arrays_of(recorded, name)
    assert_close(predicted(loaded(name), inputs), outputs)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_samples_are_independent(name, recorded):
    """Another number of samples than the file was made with, also where it names one."""
    inputs, outputs = arrays_of(recorded, name)
    model = loaded(name)
    twice = [np.concatenate([x, x[:1]]) for x in inputs]
    for found, expected in zip(predicted(model, twice), outputs, strict=True):
        np.testing.assert_allclose(found, np.concatenate([expected, expected[:1]]), atol=4e-6)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_they_are_saved_in_other_formats(name, recorded, tmp_path):
    inputs, outputs = arrays_of(recorded, name)
    model = loaded(name)
    found = predicted(model, inputs)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    for one, two in zip(found, predicted(again, inputs), strict=True):
        np.testing.assert_array_equal(one, two)
    again.save(tmp_path / "model.onnx")
    written = load_model(tmp_path / "model.onnx")
    for one, two in zip(found, predicted(written, inputs), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_they_are_trained(name, recorded):
    """A step in the direction of the gradient, of all weights, lessens the loss."""
    inputs, outputs = arrays_of(recorded, name)
    model = loaded(name)
    kept = [i for i, y in enumerate(outputs) if y.ndim > 1]  # losses have no others
    model, outputs = (
        cylstm.Model(model.inputs, [model.outputs[i] for i in kept]),
        [outputs[i] for i in kept],
    )
    chance = np.random.default_rng(1)
    targets = [y + chance.normal(0, 0.1, y.shape).astype(y.dtype) for y in outputs]
    model.compile(cylstm.optimizers.SGD(1e-5 if name == "hand_operators" else 1e-3), "mse")
    x, y = (a if len(a) > 1 else a[0] for a in (inputs, targets))
    before = model.get_weights()
    first = np.ravel(model.evaluate(x, y, verbose=0))[0]
    model.train_on_batch(x, y)
    if not model.trainable_weights:
        pytest.fail("there is nothing to train")
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    if not any(isinstance(layer, BatchNormalization | Dropout) for layer in model.layers):
        assert np.ravel(model.evaluate(x, y, verbose=0))[0] < first


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("torch_script_last_step", ["InputLayer", "LSTM", "Dense"]),
        ("torch_dynamo_last_step", ["InputLayer", "LSTM", "Dense"]),
        ("torch_script_learned_start", ["InputLayer", "OnnxConstant", "OnnxConstant", "LSTM"]),
        ("tf2onnx_old_lstm", ["InputLayer", "LSTM", "LSTM"]),
        ("tf2onnx_embedded", ["InputLayer", "Embedding", "LSTM", "Reshape", "Dense", "Activation"]),
        ("keras3_stacked", ["InputLayer", "Bidirectional", "LSTM", "Dense", "Activation"]),
        (
            "tf2onnx_backwards",
            ["InputLayer", "LSTM", "Dense", "Activation", "GlobalAveragePooling1D"],
        ),
    ],
)
def test_models_are_plain(name, classes):
    """Axes that a graph moves about need no layers, nor do sizes that it computes."""
    assert [type(layer).__name__ for layer in loaded(name).layers] == classes


def test_layers_have_their_weights_and_arguments():
    model = loaded("tf2onnx_old_lstm")
    first, second = model.layers[1:]
    assert first.return_sequences
    assert not second.return_sequences
    assert first.recurrent_activation is cylstm.activations.hard_sigmoid
    assert second.activation is cylstm.activations.relu
    backwards = loaded("tf2onnx_backwards").layers[1]
    assert isinstance(backwards, LSTM)
    assert backwards.go_backwards
    assert model.optimizer is None


def test_states_are_outputs_of_the_layer():
    model = loaded("torch_script_given_states")
    assert all(layer.return_state for layer in model.layers if isinstance(layer, LSTM))
    model = loaded("torch_script_classifier")
    (both,) = [layer for layer in model.layers if isinstance(layer, Bidirectional)]
    assert not both.return_sequences


def test_weights_are_taken_by_order_and_name(tmp_path):
    source = loaded("torch_script_last_step")
    model = cylstm.Sequential(
        [
            LSTM(4, recurrent_activation="sigmoid", input_shape=(None, 3), name="mine"),
            Dense(2, name="linear_Gemm"),
        ]
    )
    model.load_weights(FILES / "torch_script_last_step.onnx")
    for one, two in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    fresh = cylstm.Sequential(
        [LSTM(4, input_shape=(None, 3), name="mine"), Dense(2, name="linear_Gemm")]
    )
    lstm = fresh.get_weights()[0]
    fresh.load_weights(FILES / "torch_script_last_step.onnx", by_name=True)
    np.testing.assert_array_equal(fresh.get_weights()[0], lstm)
    np.testing.assert_array_equal(fresh.get_weights()[-1], source.get_weights()[-1])
    with pytest.raises(ValueError, match="the file holds the weights of 2 layers"):
        cylstm.Sequential([Dense(2, input_shape=(3,))]).load_weights(
            FILES / "torch_script_last_step.onnx"
        )


def test_files_are_known_by_their_contents(tmp_path):
    path = tmp_path / "no_suffix"
    path.write_bytes((FILES / "torch_dynamo_last_step.onnx").read_bytes())
    assert len(load_model(path).layers) == 3


def test_gradients_of_the_layers_of_their_own():
    from cylstm.saving._onnx import _layers
    from cylstm.saving._onnx import _number_layers as numbers

    x = np.random.default_rng(0).normal(0.2, 1, (2, 4, 3))
    kinds = [
        _layers.OnnxSlice(1, 3, None, -2, dtype="float64"),
        _layers.OnnxTake(1, [0, 2, 2], dtype="float64"),
        _layers.OnnxTake(2, -1, dtype="float64"),
        _layers.OnnxConstant([2, 3], dtype="float64"),
        *(numbers.OnnxReduce(op, [2], dtype="float64") for op in numbers.REDUCTIONS),
        numbers.OnnxReduce("ReduceL2", [1, 2], dtype="float64"),
        *(numbers.OnnxFunction(name, dtype="float64") for name in numbers.FUNCTIONS),
        *(numbers.OnnxOperation(op, 0.7, dtype="float64") for op in numbers.OPERATIONS),
        *(numbers.OnnxOperation(op, shape=[4, 1], dtype="float64") for op in numbers.OPERATIONS),
    ]
    for layer in kinds:
        positive = getattr(layer, "function", getattr(layer, "operation", None)) in (
            "Log", "Sqrt", "Reciprocal", "Over", "Pow",
        )  # fmt: skip
        inputs = np.abs(x) + 0.5 if positive else x
        layer(inputs)
        if layer.weights:
            layer.set_weights([np.abs(np.random.default_rng(3).normal(1, 0.3, w.shape)) + 0.4
                               for w in layer.get_weights()])  # fmt: skip
        assert testing.gradient_error(layer, inputs) < 1e-6, layer
