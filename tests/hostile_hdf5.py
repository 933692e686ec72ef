"""Hostile files in HDF5: changes of the file of a small model, and what is said of them."""

import json

import h5py
import numpy as np

import cylstm
from cylstm.layers import LSTM, Dense


def small() -> cylstm.Model:
    model = cylstm.Sequential(
        [LSTM(2, input_shape=(None, 3), name="first", recurrent_activation="sigmoid")]
        + [Dense(1, name="second")],
        name="small",
    )
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3, 3)), np.ones((2, 1)))
    return model


KERNEL = "first/first/kernel:0"


def replaced(**options):
    """A change that puts another data set in the place of a kernel."""

    def change(file):
        group = file["model_weights"]
        shape = options.get("shape", (3, 8))
        del group[KERNEL]
        data = None if "shape" in options else np.ones(shape, "float32")
        group.create_dataset(KERNEL, **{"dtype": "float32", "data": data, **options})

    return change


def virtual(file):
    del file["model_weights"][KERNEL]
    layout = h5py.VirtualLayout((3, 8), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 8))
    file["model_weights"].create_virtual_dataset(KERNEL, layout)


def linked(link):
    def change(file):
        del file["model_weights"][KERNEL]
        file["model_weights"][KERNEL] = link

    return change


def attribute(where, name, value):
    def change(file):
        target = file[where] if where else file
        del target.attrs[name]
        if value is not None:
            target.attrs[name] = value

    return change


def removed(name):
    def change(file):
        del file[name]

    return change


def swapped(file):
    del file["model_weights/first"]
    file["model_weights/first"] = np.ones(3)


def cyclic(file):
    file["model_weights/first/first/first"] = file["model_weights/first"]
    file["model_weights/first"].attrs["weight_names"] = [b"first/" * 60 + b"kernel:0"]


def config(change):
    """A change of the parsed architecture."""

    def write(file):
        parsed = json.loads(file.attrs["model_config"])
        text = change(parsed)
        text = text if isinstance(text, str) else json.dumps(parsed)
        del file.attrs["model_config"]
        file.attrs.create("model_config", text, dtype=h5py.string_dtype("ascii"))

    return write


def training(change):
    def write(file):
        parsed = json.loads(file.attrs["training_config"])
        text = change(parsed)
        file.attrs["training_config"] = text if isinstance(text, str) else json.dumps(parsed)

    return write


def layer(index=0, class_name=None, **options):
    """A change of the class and the arguments of a layer."""

    def change(parsed):
        entry = parsed["config"][index]
        entry["class_name"] = class_name or entry["class_name"]
        entry["config"].update(options)

    return config(change)


def in_lambda(**options):
    def change(parsed):
        parsed["config"].append({"class_name": "Lambda", "config": {"name": "code", **options}})

    return config(change)


def graph(calls, outputs=(("b", 0, 0),)):
    """An architecture of a graph with these calls of its second layer."""
    entries = [
        {
            "class_name": "InputLayer",
            "name": "a",
            "config": {"name": "a", "batch_input_shape": [None, 4, 3], "dtype": "float32"},
            "inbound_nodes": [],
        },
        {
            "class_name": "LSTM",
            "name": "b",
            "config": {"name": "b", "units": 2},
            "inbound_nodes": calls,
        },
    ]
    parts = {"input_layers": [["a", 0, 0]], "output_layers": [list(o) for o in outputs]}
    return config(
        lambda parsed: json.dumps(
            {"class_name": "Model", "config": {"name": "m", "layers": entries, **parts}}
        )
    )


CODE = ["4wEAAAAAAAAA", None, None]
DEEP = "[" * 100 + "]" * 100
HDF5 = {
    "an external link": (linked(h5py.ExternalLink("/etc/passwd", "/x")), "an external link"),
    "a soft link": (linked(h5py.SoftLink("/model_weights/second")), "soft link"),
    "external storage": (
        replaced(shape=(3, 8), external=[("/etc/passwd", 0, 96)]),
        "another file",
    ),
    "a virtual data set": (virtual, "virtual data set"),
    "lzf": (replaced(compression="lzf", chunks=(3, 8)), "only gzip"),
    "shuffle": (replaced(compression="gzip", shuffle=True, chunks=(3, 8)), "only gzip"),
    "fletcher32": (replaced(fletcher32=True, chunks=(3, 8)), "only gzip"),
    "a scale and offset": (
        replaced(data=np.ones((3, 8), "int32"), dtype="int32", scaleoffset=4, chunks=(3, 8)),
        "only gzip",
    ),
    "no chunk of 14 GB": (replaced(shape=(60_000, 60_000), chunks=(100, 100)), "0 of its"),
    "nothing of 14 GB": (replaced(shape=(60_000, 60_000)), "more bytes than the file has"),
    "a gzip bomb": (
        replaced(data=np.zeros(50_000_000, "float32"), chunks=(25_000_000,), compression="gzip"),
        "larger than what is stored",
    ),
    "texts for numbers": (replaced(data=np.array([b"text"]), dtype=None), "no numbers"),
    "objects": (
        replaced(data=[b"x", b"yz"], dtype=h5py.string_dtype()),
        "no numbers|damaged",
    ),
    "records": (replaced(data=np.zeros(3, "f4,i4"), dtype=None), "no numbers"),
    "complex numbers": (replaced(data=np.zeros(3, "complex64"), dtype=None), "no numbers"),
    "another shape": (replaced(data=np.ones((4, 8), "float32")), "shape"),
    "an array for a layer": (swapped, "is an array, not a group"),
    "no weight": (removed(f"model_weights/{KERNEL}"), "there is no /model_weights/first"),
    "no layer": (removed("model_weights/second"), "there is no /model_weights/second"),
    "groups without end": (cyclic, "deep"),
    "no names of layers": (attribute("model_weights", "layer_names", None), "does not list"),
    "no names of weights": (
        attribute("model_weights/first", "weight_names", None),
        "does not list",
    ),
    "numbers for names": (attribute("model_weights", "layer_names", [1.0, 2.0]), "no text"),
    "a name upwards": (
        attribute("model_weights/first", "weight_names", [b"../second/kernel:0"]),
        r"there is no /model_weights/first/\.\.",
    ),
    "fewer weights": (
        attribute("model_weights/first", "weight_names", [KERNEL[6:].encode()]),
        "3 weights, but the file holds 1",
    ),
    "another version": (attribute("", "keras_version", "9.0"), "Keras '9.0'"),
    "no JSON": (config(lambda parsed: "model"), "Expecting value"),
    "a list": (config(lambda parsed: "[]"), "no JSON object"),
    "nested JSON": (config(lambda parsed: f'{{"class_name": {DEEP}}}'), "64 deep"),
    "a key twice": (config(lambda parsed: '{"a": 1, "a": 2}'), "twice"),
    "no number": (config(lambda parsed: '{"a": NaN}'), "NaN"),
    "much JSON": (config(lambda parsed: f'{{"a": [{"0," * 10**6}0]}}'), "100000[0-9] values"),
    "no layers": (config(lambda parsed: '{"class_name": "Model", "config": {}}'), "no list"),
    "an unknown class": (layer(class_name="Convolution9D"), "unknown layer"),
    "a class of a module": (layer(class_name="os.system"), "unknown layer"),
    "code of Keras 2": (in_lambda(function=CODE, function_type="lambda"), "code of a function"),
    "code of tf_keras": (
        in_lambda(function={"class_name": "__lambda__", "config": {"code": CODE[0]}}),
        "code of a function",
    ),
    "a function of a module": (
        in_lambda(
            function={"module": "os", "class_name": "function", "config": "system"},
        ),
        "unknown function",
    ),
    "code of a shape": (
        in_lambda(function="f", output_shape=CODE, output_shape_type="lambda"),
        "code of a function",
    ),
    "a large layer": (layer(units=10**9), "beyond"),
    "more numbers than stored": (layer(units=500), "beyond"),
    "a negative size": (layer(units=-1), "units"),
    "an argument of TensorFlow": (layer(time_major=True), "layer first: LSTM with time_major=True"),
    "half precision": (layer(dtype="mixed_float16"), "layer first: LSTM with dtype"),
    "an unknown argument": (layer(peephole=True), "layer first: .*peephole"),
    "an unknown activation": (layer(activation="gelu"), "layer first: .*gelu"),
    "an unknown initializer": (
        layer(kernel_initializer={"class_name": "open", "config": {"file": "x"}}),
        "layer first: .*unknown initializer",
    ),
    "a missing layer": (graph([[["z", 0, 0, {}]]]), "refers to a layer 'z'"),
    "a layer that reads itself": (graph([[["b", 0, 0, {}]]]), "do not exist"),
    "a negative call": (graph([[["a", -1, 0, {}]]]), "an input of a call"),
    "a mask of its own": (graph([[["a", 0, 0, {"mask": ["a", 0, 0]}]]]), "masks come from"),
    "calls without end": (graph([[["a", 0, 0, {}]]] * 5_000), "calls layers"),
    "no output": (graph([[["a", 0, 0, {}]]], [("b", 7, 0)]), "do not exist"),
    "training that is a list": (training(lambda parsed: "[1]"), "no JSON object"),
    "an unknown optimizer": (
        training(lambda parsed: parsed["optimizer_config"].update(class_name="system")),
        "unknown optimizer.*compile=False",
    ),
    "a schedule": (
        training(
            lambda parsed: parsed["optimizer_config"]["config"].update(
                {"learning_rate": {"class_name": "X", "config": {}}}
            )
        ),
        "schedule.*compile=False",
    ),
    "an unknown loss": (training(lambda parsed: parsed.update(loss="system")), "system"),
    "fewer slots": (
        attribute("optimizer_weights", "weight_names", [b"training/Adam/Variable:0"]),
        "the state of the optimizer has arrays",
    ),
    "a name twice": (
        attribute("optimizer_weights", "weight_names", [b"Adam/iterations:0"] * 2),
        "lists a name twice",
    ),
    "a layer twice": (
        attribute("model_weights", "layer_names", [b"first", b"first"]),
        "lists a name twice",
    ),
}
