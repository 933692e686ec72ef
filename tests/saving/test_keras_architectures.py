"""Architectures of every Keras: translated, or refused with the names of layer and argument."""

import json
import warnings
import zipfile

import numpy as np
import pytest
from keras_files import DATA, Recorded

import cylstm
from cylstm.layers import LSTM, Bidirectional, Dense
from cylstm.models import load_model, model_from_json
from cylstm.saving import FormatError, config_from_json


def made(layers, version="2.2.4", **kwargs) -> cylstm.Model:
    """The model of these layers, without a warning."""
    document = {"class_name": "Sequential", "config": layers, "keras_version": version, **kwargs}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model_from_json(json.dumps(document))


def entry(class_name, **config):
    return {"class_name": class_name, "config": {"name": "x", **config}}


def lstm(**config):
    return entry("LSTM", units=4, batch_input_shape=[None, 5, 3], **config)


SO_ANYWAY = {
    "time_major": False,
    "implementation": 2,
    "zero_output_for_mask": False,
    "use_cudnn": True,
    "seed": 3,
    "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float64"}},
    "kernel_initializer": {
        "module": "keras.initializers",
        "class_name": "GlorotUniform",
        "config": {"seed": None, "input_axes": None, "output_axes": None},
        "registered_name": None,
    },
    "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.5}},
    "activation": {"class_name": "function", "config": "tanh", "registered_name": "function"},
}


@pytest.mark.parametrize("name", SO_ANYWAY)
def test_arguments_of_later_versions_that_say_what_is_so(name):
    model = made([lstm(**{name: SO_ANYWAY[name]})], "3.15.0")
    assert model.output_shape == (None, 4)
    if name == "dtype":
        assert model.layers[0].dtype == "float64"
    if name == "kernel_regularizer":
        assert model.layers[0].kernel_regularizer.l2 == 0.5


REFUSED = {
    "time_major": (lstm(time_major=True), "layer x: LSTM with time_major=True is not offered"),
    "zero_output_for_mask": (lstm(zero_output_for_mask=True), "layer x: LSTM with zero_output"),
    "dtype": (lstm(dtype="mixed_bfloat16"), "layer x: LSTM with dtype='mixed_bfloat16'"),
    "autocast": (lstm(autocast=False), "layer x: LSTM with autocast=False"),
    "unknown": (lstm(projection=3), "layer x: .*no argument 'projection'"),
    "groups": (entry("Conv1D", filters=2, kernel_size=3, groups=2), "layer x: .*groups=2"),
    "renorm": (entry("BatchNormalization", renorm=True), "layer x: .*renorm=True"),
    "data_format": (entry("Flatten", data_format="channels_first"), "layer x: .*data_format"),
    "keepdims": (entry("GlobalMaxPooling1D", keepdims=True), "layer x: .*keepdims=True"),
    "input_axes": (
        lstm(kernel_initializer={"class_name": "GlorotUniform", "config": {"input_axes": [0]}}),
        "layer x: kernel_initializer: .*input_axes",
    ),
    "an activation layer": (
        lstm(activation={"class_name": "LeakyReLU", "config": {}}),
        "layer x: activation: .*by its name",
    ),
    "GRU": (entry("GRU", units=3, reset_after=True), "layer x: unknown layer: 'GRU'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_names_layer_and_argument(name):
    layer, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        made([layer], "3.15.0")


def test_names_of_keras_1():
    model = made(
        [
            entry(
                "Embedding",
                input_dim=9,
                output_dim=4,
                input_length=6,
                batch_input_shape=[None, 6],
                input_dtype="int32",
                init="uniform",
                W_regularizer={"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5},
                dropout=0.0,
            )
            | {"name": "a"},
            entry(
                "LSTM",
                output_dim=3,
                init="glorot_uniform",
                inner_init="orthogonal",
                forget_bias_init="one",
                activation="tanh",
                inner_activation="hard_sigmoid",
                consume_less="gpu",
                U_regularizer={"name": "WeightRegularizer", "l1": 0.25, "l2": 0.0},
                dropout_W=0.1,
                dropout_U=0.2,
                input_dim=None,
                input_length=None,
            )
            | {"name": "b"},
            entry("Dropout", p=0.3) | {"name": "c"},
            entry(
                "Dense",
                output_dim=2,
                bias=True,
                W_constraint={"name": "MaxNorm", "m": 2, "axis": 0},
                input_dim=None,
            )
            | {"name": "d"},
        ],
        "1.2.2",
    )
    words, layer, dropout, dense = model.layers
    assert words.embeddings_regularizer.l2 == 0.5
    assert (layer.units, layer.implementation, layer.unit_forget_bias) == (3, 2, True)
    assert (layer.dropout, layer.recurrent_dropout) == (0.1, 0.2)
    assert layer.recurrent_regularizer.l1 == 0.25
    assert dropout.rate == 0.3
    assert dense.kernel_constraint.max_value == 2


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("sum", "Add"),
        ("mul", "Multiply"),
        ("ave", "Average"),
        ("max", "Maximum"),
        ("concat", "Concatenate"),
    ],
)
def test_merges_of_keras_1(mode, name):
    merge = entry("Merge", mode=mode, mode_type="raw", concat_axis=-1)
    calls = [[["a", 0, 0], ["b", 0, 0]]]
    layers = [
        entry("InputLayer", batch_input_shape=[None, 3], input_dtype="float32") | {"name": n}
        for n in "ab"
    ]
    for layer in layers:
        layer["config"] |= {"name": layer["name"]}
        layer["inbound_nodes"] = []
    layers.append(merge | {"name": "x", "inbound_nodes": calls})
    ends = {"input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["x", 0, 0]]}
    document = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}
    model = model_from_json(json.dumps(document | {"keras_version": "1.2.2"}))
    assert type(model.layers[-1]).__name__ == name
    document["config"]["layers"][2]["config"]["mode"] = "cov"
    with pytest.raises(ValueError, match="Merge with mode='cov'"):
        model_from_json(json.dumps(document | {"keras_version": "1.2.2"}))


def test_hard_sigmoid_by_origin():
    for version, expected in (
        ("1.2.2", "hard_sigmoid"),
        ("2.0.8-tf", "hard_sigmoid"),
        ("2.21.0", "hard_sigmoid"),
        ("3.0.0", "hard_sigmoid_6"),
    ):
        key = "inner_activation" if version < "2" else "recurrent_activation"
        model = made([lstm(**{key: "hard_sigmoid"})], version)
        assert model.layers[0].get_config()["recurrent_activation"] == expected


def test_cudnn():
    model = made([entry("CuDNNLSTM", units=4, batch_input_shape=[None, 5, 3])])
    layer = model.layers[0]
    assert (type(layer), layer.get_config()["recurrent_activation"]) == (LSTM, "sigmoid")


def test_weights_of_cudnn(tmp_path):
    with zipfile.ZipFile(DATA / "cudnn.zip") as archive:
        archive.extractall(tmp_path)
    model = cylstm.Sequential(
        [
            LSTM(
                4,
                input_shape=(6, 3),
                return_sequences=True,
                recurrent_activation="sigmoid",
                name="plain",
            ),
            Bidirectional(LSTM(4, recurrent_activation="sigmoid"), name="both"),
        ]
    )
    for by_name in (False, True):
        model.set_weights([0 * w for w in model.get_weights()])
        model.load_weights(tmp_path / "cudnn.h5", by_name=by_name)
        with np.load(tmp_path / "cudnn.npz") as arrays:
            np.testing.assert_allclose(
                model.predict(arrays["x_0"]), arrays["y_0"], rtol=5e-7, atol=5e-7
            )


def test_to_json_counts_calls_of_inner_models_as_keras_2_does():
    a, x = cylstm.Input((4, 2), name="a"), cylstm.Input((4, 2))
    inner = cylstm.Model(x, LSTM(2, return_sequences=True)(x), name="inner")
    model = cylstm.Model(a, Dense(1, name="head")(inner(inner(a))))
    document = json.loads(model.to_json())
    calls = {e["name"]: e["inbound_nodes"] for e in document["config"]["layers"]}
    assert calls["inner"] == [[["a", 0, 0, {}]], [["inner", 1, 0, {}]]]
    assert calls["head"] == [[["inner", 2, 0, {}]]]
    again = model_from_json(model.to_json())
    assert again.to_json() == model.to_json()
    again.set_weights(model.get_weights())
    x = np.ones((2, 4, 2))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize(("origin", "name"), [("tf_1_4", "plain"), ("tf_1_4", "encoder_decoder")])
def test_files_of_architectures(origin, name, tmp_path):
    recorded = Recorded(origin, name)
    model = load_model(recorded.file(".json"))
    assert model.optimizer is None
    assert np.any(model.get_weights()[0])  # initial values, no zeros
    model.load_weights(recorded.file(".weights.h5"))
    recorded.check(model)
    model.save(tmp_path / "again.json")
    again = load_model(tmp_path / "again.json")
    assert again.get_config() == model.get_config()
    with pytest.raises(FormatError, match="an architecture without weights"):
        model.load_weights(tmp_path / "again.json")
    with pytest.raises(ValueError, match="No weights are written under the suffix"):
        model.save_weights(tmp_path / "w.json")


def test_the_architecture_of_a_keras_3_file():
    recorded = Recorded("keras3", "translator")
    with zipfile.ZipFile(recorded.file(".keras")) as archive:
        text = archive.read("config.json").decode()
    model = model_from_json(text)  # to_json of Keras 3 says no version either
    model.load_weights(recorded.file(".weights.h5"))
    recorded.check(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"class_name": "Sequential", "config": ' + b"[" * 100 + b"]" * 100 + b"}", "64 deep"),
        (b'{"class_name": "Sequential", "config": {"layers": 3}}', "no list of layers"),
        (b'{"class_name": "LSTM", "config": {"units": 3}}', "no list of layers"),
        (b'{"class_name": 3, "config": {}}', "class_name and config"),
    ],
)
def test_hostile_architectures(content, message, tmp_path):
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        load_model(path)


def test_an_architecture_beyond_the_largest_size(tmp_path):
    model = {"class_name": "Sequential", "config": [lstm()], "keras_version": "2.0.0"}
    model["config"][0]["config"]["units"] = 10**5
    path = tmp_path / "m.json"
    path.write_text(json.dumps(model))
    with pytest.raises(FormatError, match="beyond the"):
        load_model(path)


def test_calls_of_tf_keras_with_states_by_name():
    recorded = Recorded("tf_1_4", "encoder_decoder")
    document = json.loads(recorded.file(".json").read_text())
    for layer in document["config"]["layers"]:
        if layer["name"] == "decoder":
            (call,) = layer["inbound_nodes"]
            states = {"initial_state": [place[:3] for place in call[1:]]}
            layer["inbound_nodes"] = [[[*call[0][:3], states]]]
    config = config_from_json(document)
    decoder = next(e for e in config["config"]["layers"] if e["name"] == "decoder")
    assert [place[:3] for place in decoder["inbound_nodes"][0]] == [
        ["target", 0, 0],
        ["encoder", 0, 1],
        ["encoder", 0, 2],
    ]


def test_a_stack_that_only_says_what_it_was_built_for():
    layers = [entry("LSTM", units=4), entry("Dense", units=2) | {"name": "y"}]
    config = {"name": "late", "layers": layers, "build_input_shape": [None, 5, 3]}
    layers[1]["config"]["name"] = "y"
    document = {"class_name": "Sequential", "config": config, "keras_version": "2.2.4-tf"}
    model = model_from_json(json.dumps(document))
    assert (model.name, model.output_shape) == ("late", (None, 2))


def test_layers_of_ones_own_are_told_what_they_said():
    class Own(cylstm.layers.Layer):
        def __init__(self, size, start, seed=None, **kwargs):
            super().__init__(**kwargs)
            self.size, self.start, self.seed = size, start, seed

        def call(self, inputs):
            return inputs

    start = {
        "module": "keras.initializers",
        "class_name": "Zeros",
        "config": {},
        "registered_name": None,
    }
    size = {"class_name": "__tuple__", "items": [1, 2]}
    own = {
        "module": None,
        "class_name": "Own",
        "registered_name": "Package>Own",
        "config": {
            "name": "o",
            "size": size,
            "start": start,
            "seed": 7,
            "batch_input_shape": [None, 3],
        },
    }
    document = {"class_name": "Sequential", "config": [own], "keras_version": "3.1.0"}
    model = model_from_json(json.dumps(document), {"Own": Own})
    layer = model.layers[0]
    assert (layer.size, layer.start) == ([1, 2], {"class_name": "Zeros", "config": {}})
    assert layer.seed == 7
