"""from_torch and to_torch: the same numbers as PyTorch 2.13's modules, recorded in data/torch."""

from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.saving import load_tensors, save_tensors

FILES = Path(__file__).parent / "data" / "torch"
OPTIONS = {"conv": {"padding": "same"}, "strided": {"strides": 2}}
KINDS = {
    "embed": layers.Embedding,
    "lstm": cylstm.Sequential,
    "stack": cylstm.Sequential,
    "single": layers.LSTM,
    "cell": layers.LSTM,
    "fc": layers.Dense,
    "plain": layers.Dense,
    "conv": layers.Conv1D,
    "strided": layers.Conv1D,
    "norm": layers.BatchNormalization,
    "bare": layers.BatchNormalization,
    "layer_norm": layers.LayerNormalization,
    "layer_norm_2": layers.LayerNormalization,
}


def recorded():
    with np.load(FILES / "answers.npz") as arrays:
        return dict(arrays)


def inputs_of(name, answers):
    """What the module of this name was given when its answer was recorded."""
    x = answers["x"]
    others = {
        "embed": answers["words"],
        "fc": answers["lstm"],
        "plain": answers["conv"],
        "norm": answers["conv"],
        "layer_norm": answers["single"],
        "layer_norm_2": x.reshape(2, -1, 2, 3),
    }
    return others.get(name, x)


@pytest.fixture(scope="module")
def state():
    return load_tensors(FILES / "modules.pt")


def of(state, *paths):
    """The part of a state dict that is below some paths."""
    return {n: array for n, array in state.items() if n.partition(".")[0] in paths}


@pytest.mark.parametrize(
    "name", ["modules.pt", "modules_legacy.pt", "modules_protocol_4.pt", "modules.safetensors"]
)
def test_layers_compute_what_the_modules_did(name):
    made, answers = cylstm.from_torch(FILES / name, options=OPTIONS), recorded()
    assert {path: type(layer) for path, layer in made.items()} == KINDS
    for path, layer in made.items():
        found = layer(inputs_of(path, answers))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, answers[path], atol=1e-6, err_msg=path)


def test_gates_are_sigmoid(state):
    made = cylstm.from_torch(of(state, "single", "stack", "lstm"))
    wrapped = [half for w in made["lstm"].layers for half in (w.forward_layer, w.backward_layer)]
    for layer in [made["single"], *made["stack"].layers, *wrapped]:
        assert layer.recurrent_activation is cylstm.activations.sigmoid
        assert layer.activation is cylstm.activations.tanh


def test_layers_make_a_model(state, tmp_path):
    answers = recorded()
    made = cylstm.from_torch(of(state, "lstm", "fc"))
    model = cylstm.Sequential([made["lstm"], made["fc"]])
    np.testing.assert_allclose(model.predict(answers["x"]), answers["fc"], atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    loaded = cylstm.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(answers["x"]), model.predict(answers["x"]))
    assert [layer.name for layer in model.layers] == ["lstm", "fc"]


def test_a_cell_steps_by_a_stream(state):
    answers = recorded()
    stream = cylstm.from_torch(of(state, "cell"))["cell"].stream(batch_size=2)
    for t in range(answers["x"].shape[1]):
        found = stream(answers["x"][:, t])
        np.testing.assert_allclose(found, answers["cell"][:, t], atol=1e-6)


def test_the_last_output_of_a_stack(state):
    made = cylstm.from_torch(of(state, "stack"), options={"stack": {"return_sequences": False}})
    answers = recorded()
    found = made["stack"](answers["x"])
    np.testing.assert_allclose(found, answers["stack"][:, -1], atol=1e-6)


def test_layers_train(state):
    made = cylstm.from_torch(of(state, "stack"))
    model = cylstm.Sequential([made["stack"], layers.Dense(1)])
    model.compile(cylstm.optimizers.Adam(lr=0.05), "mse")
    x = recorded()["x"]
    target = x.sum(axis=2, keepdims=True)
    before = model.evaluate(x, target, verbose=0)
    model.fit(x, target, epochs=20, verbose=0)
    assert model.evaluate(x, target, verbose=0) < 0.9 * before


# ---------------------------------------------------------------------- sources


def test_a_mapping_of_arrays_of_any_kind():
    weight = np.arange(6.0).reshape(2, 3)
    made = cylstm.from_torch({"fc.weight": weight.tolist(), "fc.bias": np.ones(2, "f2")})
    assert made["fc"](np.ones((1, 3))).tolist() == [[4.0, 13.0]]
    assert made["fc"].dtype == "float64"
    halves = cylstm.from_torch({"weight": weight.astype("f2")})
    assert halves[""].dtype == "float32"


class Tensor:
    """As much of PyTorch's tensor as is asked for; the real one was tried by hand."""

    def __init__(self, array, dtype="torch.float32"):
        self.array, self.dtype = array, dtype

    def detach(self):
        return Tensor(self.array, self.dtype)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.array)

    def __array__(self, dtype=None, copy=None):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_of_pytorch(dtype):
    weight = np.arange(6, dtype="float32").reshape(2, 3)
    made = cylstm.from_torch({"weight": Tensor(weight, dtype)})
    np.testing.assert_array_equal(made[""].kernel.value, weight.T)


def test_prefixes_and_paths(state):
    inner = {f"model.encoder.{name}": array for name, array in of(state, "stack", "fc").items()}
    for prefix in ("model.encoder", "model.encoder."):
        assert list(cylstm.from_torch(inner, prefix)) == ["stack", "fc"]
    assert list(cylstm.from_torch(inner)) == ["model.encoder.stack", "model.encoder.fc"]
    assert list(cylstm.from_torch(inner, "model.encoder.fc")) == [""]
    with pytest.raises(ValueError, match="No tensor is below 'encoder': names begin with 'model'"):
        cylstm.from_torch(inner, "encoder")
    with pytest.raises(ValueError, match="No tensor is below 'model.enc'"):
        cylstm.from_torch(inner, "model.enc")
    with pytest.raises(ValueError, match="state dict is empty"):
        cylstm.from_torch({})
    assert list(cylstm.from_torch(FILES / "two_models.pt", "critic")) == [""]


def test_what_is_skipped(state):
    extended = {**of(state, "fc"), "temperature": np.ones(1), "other.scale": np.ones(1)}
    with pytest.raises(ValueError, match=r"temperature are of no module.*skip=\['temperature'\]"):
        cylstm.from_torch(extended)
    assert list(cylstm.from_torch(extended, skip=["temperature", "other"])) == ["fc"]
    with pytest.raises(ValueError, match="no 'oter' to skip: there is fc.weight"):
        cylstm.from_torch(extended, skip=["oter"])
    with pytest.raises(TypeError, match="list of names, got the string 'other'"):
        cylstm.from_torch(extended, skip="other")


def test_kinds_decide_what_a_state_dict_leaves_open():
    matrix = {"words.weight": np.ones((7, 3)), "emb_out.weight": np.ones((3, 4))}
    made = cylstm.from_torch(matrix, kinds={"words": "nn.Embedding", "emb_out": "Linear"})
    assert [type(layer).__name__ for layer in made.values()] == ["Embedding", "Dense"]
    norm = {"norm.weight": np.array([1.0, 2.0])}
    with pytest.raises(ValueError, match="RMSNorm.*kinds={'norm': 'LayerNorm'}"):
        cylstm.from_torch(norm)
    layer = cylstm.from_torch(norm, kinds={"norm": "LayerNorm"})["norm"]
    np.testing.assert_allclose(layer(np.array([[1.0, 3.0]])), [[-1, 2]], rtol=1e-4)
    with pytest.raises(ValueError, match="'norm' is 'RMSNorm'; there are LSTM, LSTMCell"):
        cylstm.from_torch(norm, kinds={"norm": "RMSNorm"})
    with pytest.raises(ValueError, match="no module 'nrm': there are 'norm'"):
        cylstm.from_torch(norm, kinds={"nrm": "LayerNorm"})
    with pytest.raises(ValueError, match=r"'norm' \(nn.Conv1d\).*must have 3 axes"):
        cylstm.from_torch(norm, kinds={"norm": "Conv1d"})


def test_options(state):
    options = {
        "fc": {"activation": "relu", "name": "last"},
        "norm": {"epsilon": 0.5},
        "stack": {"return_sequences": False, "trainable": False},
    }
    made = cylstm.from_torch(of(state, "fc", "norm", "stack"), options=options)
    assert (made["fc"].activation, made["fc"].name) == (cylstm.activations.relu, "last")
    assert made["norm"].epsilon == 0.5
    assert [layer.return_sequences for layer in made["stack"].layers] == [True, True, False]
    assert not any(layer.trainable for layer in made["stack"].layers)
    assert [layer.name for layer in made["stack"].layers] == ["stack.0", "stack.1", "stack.2"]
    with pytest.raises(ValueError, match="no module 'f' for options: there is 'fc'"):
        cylstm.from_torch(of(state, "fc"), options={"f": {}})
    with pytest.raises(ValueError, match="recurrent_activation of module 'single'.*is 'sigmoid'"):
        cylstm.from_torch(
            of(state, "single"), options={"single": {"recurrent_activation": "hard_sigmoid"}}
        )
    with pytest.raises(TypeError, match="dilation"):
        cylstm.from_torch(of(state, "conv"), options={"conv": {"dilation": 2}})


@pytest.mark.parametrize(
    ("name", "message"), [("gru.pt", "nn.GRU"), ("projected.pt", "nn.LSTM with proj_size")]
)
def test_files_of_modules_that_are_not_here(name, message):
    with pytest.raises(ValueError, match=message):
        cylstm.from_torch(FILES / name)


ONES = np.ones


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight_ih_l0": ONES((4, 3)), "weight_hh_l0": ONES((4, 4))}, "nn.RNN"),
        ({"weight_ih": ONES((12, 3)), "weight_hh": ONES((12, 4))}, "nn.GRUCell"),
        ({"weight_ih_l0": ONES((16, 3)), "weight_hh_l0": ONES((15, 4))}, "is no LSTM"),
        ({"weight_ih_l0": ONES((16, 3)), "weight_hh_l0": ONES((16, 0))}, "axes"),
        ({"weight_ih_l0": ONES((16, 3))}, "no weight_ih_l0 and"),
        ({"weight_ih_l0": ONES((16, 3)), "alpha": ONES(1)}, "'alpha', which nn.LSTM has not"),
        (
            {
                "weight_ih_l0": ONES((16, 3)),
                "weight_hh_l0": ONES((16, 4)),
                "weight_ih_l2": ONES((16, 4)),
                "weight_hh_l2": ONES((16, 4)),
            },
            "should have",
        ),
        (
            {
                "weight_ih_l0": ONES((16, 3)),
                "weight_hh_l0": ONES((16, 4)),
                "weight_ih_l999999999": ONES((16, 4)),
            },
            "level 999999999",
        ),
        (
            {
                "weight_ih_l0": ONES((16, 3)),
                "weight_hh_l0": ONES((16, 4)),
                "bias_ih_l0": ONES(16),
            },
            "should have",
        ),
        ({"in_proj_weight": ONES((6, 2)), "in_proj_bias": ONES(6)}, "MultiheadAttention"),
        ({"weight": ONES((4, 3, 3, 3)), "bias": ONES(4)}, "nn.Conv2d"),
        ({"weight": ONES((4, 3)), "bias": ONES(3)}, "should have"),
        ({"weight": ONES((4, 3), "int8"), "bias": ONES(4)}, "quantized"),
        ({"weight_g": ONES((4, 1)), "weight_v": ONES((4, 3))}, "remove_weight_norm"),
        (
            {"c.bias": ONES(2), "c.parametrizations.weight.original0": ONES(1)},
            "remove_parametrizations",
        ),
        ({"scale": ONES(1), "zero_point": ONES(1)}, "quantized"),
        ({"running_mean": ONES(3), "running_var": ONES(2)}, "should have"),
        ({"weight": ONES(())}, "0 axes"),
    ],
)
def test_what_is_not_there_is_refused_by_name(tensors, message):
    with pytest.raises(ValueError, match=message):
        cylstm.from_torch(tensors)


def test_sources_of_a_wrong_type():
    class Module:
        def state_dict(self):
            return {}

    with pytest.raises(TypeError, match="path or a mapping.*give its state_dict"):
        cylstm.from_torch(Module())
    with pytest.raises(TypeError, match="names of tensors must be strings"):
        cylstm.from_torch({1: ONES(3)})
    with pytest.raises(TypeError, match="'a' must be an array of numbers"):
        cylstm.from_torch({"a": "words"})


# ---------------------------------------------------------------------- the way back


def test_a_state_dict_comes_back(state):
    """But that the biases of an LSTM are added, and a cell is an LSTM."""
    made = cylstm.from_torch(state, options=OPTIONS)
    for path, layer in made.items():
        layer(inputs_of(path, recorded()))  # builds the normalizations
    found = cylstm.to_torch(made)
    for name, array in state.items():
        module, _, attribute = name.partition(".")
        key = f"{module}.{attribute}_l0" if module == "cell" else name
        if attribute.startswith("bias_ih"):
            array = array + state[name.replace("bias_ih", "bias_hh")]
        elif attribute.startswith("bias_hh") or attribute == "num_batches_tracked":
            array = np.zeros_like(array)
        np.testing.assert_array_equal(found.pop(key), array, strict=True, err_msg=name)
    assert not found


def test_a_model_is_named_by_its_layers(tmp_path):
    model = cylstm.Sequential(
        [
            layers.Embedding(5, 3, input_length=4, name="words"),
            layers.LSTM(2, recurrent_activation="sigmoid", name="rnn"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    found = cylstm.to_torch(model)
    shapes = {name: array.shape for name, array in found.items()}
    assert shapes == {
        "words.weight": (5, 3),
        "rnn.weight_ih_l0": (8, 3),
        "rnn.weight_hh_l0": (8, 2),
        "rnn.bias_ih_l0": (8,),
        "rnn.bias_hh_l0": (8,),
        "out.weight": (1, 2),
        "out.bias": (1,),
    }
    save_tensors(found, tmp_path / "state.safetensors")
    last = {"rnn": {"return_sequences": False}, "out": {"activation": "sigmoid"}}
    made = cylstm.from_torch(
        tmp_path / "state.safetensors", kinds={"words": "Embedding"}, options=last
    )
    parts = [made[name] for name in ("words", "rnn", "out")]
    again = cylstm.Sequential([layers.InputLayer((4,)), *parts])
    words = np.array([[0, 1, 2, 3], [4, 4, 0, 1]])
    np.testing.assert_array_equal(again.predict(words), model.predict(words))


def test_other_layers_that_have_a_module():
    x = np.ones((2, 3, 4))
    norm = layers.BatchNormalization(center=False)
    timed = layers.TimeDistributed(layers.Dense(2, use_bias=False))
    both = cylstm.layers.LayerNormalization(axis=[-2, -1], center=False)
    for layer in (norm, timed, both):
        layer(x)
    assert cylstm.to_torch(norm)["bias"].tolist() == [0] * 4
    assert {n: a.shape for n, a in cylstm.to_torch(timed).items()} == {"weight": (2, 4)}
    assert {n: a.shape for n, a in cylstm.to_torch(both).items()} == {"weight": (3, 4)}


def built(layer, shape=(None, None, 3)):
    layer.build(shape)
    return layer


SIGMOID = {"recurrent_activation": "sigmoid"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: built(layers.LSTM(2)), "hard_sigmoid"),
        (lambda: built(layers.LSTM(2, activation="relu", **SIGMOID)), "activation='tanh'.*relu"),
        (lambda: built(layers.LSTM(2, go_backwards=True, **SIGMOID)), "backwards"),
        (lambda: layers.LSTM(2, **SIGMOID), "not built"),
        (
            lambda: built(layers.Bidirectional(layers.LSTM(2, **SIGMOID), merge_mode="sum")),
            "merge_mode='concat'",
        ),
        (lambda: built(layers.PReLU(), (None, 3)), "PReLU.*has weights"),
        (lambda: built(layers.LayerNormalization(axis=1)), "axis 1"),
        (lambda: built(layers.LayerNormalization(scale=False)), "beta and no gamma"),
        (
            lambda: cylstm.Sequential(
                [
                    layers.LSTM(2, return_sequences=True, input_shape=(None, 3), **SIGMOID),
                    layers.LSTM(3, **SIGMOID),
                ]
            ),
            "differ in units",
        ),
        (
            lambda: {
                "a": {"b": built(layers.Dense(1), (None, 1))},
                "a.b": built(layers.Dense(1), (None, 1)),
            },
            "are called",
        ),
    ],
)
def test_what_pytorch_cannot_express_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        cylstm.to_torch(make())


def test_what_is_no_layer_has_no_state_dict():
    with pytest.raises(TypeError, match="Only layers have a state dict, got ndarray"):
        cylstm.to_torch(np.ones(3))
