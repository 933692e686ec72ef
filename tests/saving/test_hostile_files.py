"""Damaged and hostile files: FormatError, soon, and nothing is executed."""

import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cylstm.models import load_model
from cylstm.saving import FormatError

SECONDS = 1.0  # what a hostile file may take at most; most take a millisecond
DEEP = 45_000


def refused(path: Path, message: str = "") -> str:
    """Check that a file is refused in time, and return the message."""
    start = time.process_time()
    with pytest.raises(FormatError, match=message) as caught:
        load_model(path)
    assert time.process_time() - start < SECONDS
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def state_of(path: Path) -> tuple[list[np.ndarray], object]:
    model = load_model(path)
    arrays = model.get_weights() + model.optimizer.get_weights()
    return arrays, (model.name, model.get_config(), model.optimizer.get_config(), model.loss)


# ---------------------------------------------------------------------- accidents


def test_every_truncation_is_refused(saved, tmp_path):
    data, path = saved.read_bytes(), tmp_path / "cut.safetensors"
    path.write_bytes(data + b"\0")
    refused(path, "follow the header")
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        with pytest.raises(FormatError):
            load_model(path)


@pytest.fixture
def flip(saved, tmp_path) -> Iterator[Callable[[int], Path]]:
    """Write a copy of `saved` in which one bit is another."""
    data, path = saved.read_bytes(), tmp_path / "flipped.safetensors"
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:

        def write(bit: int) -> Path:
            file.seek(0)
            file.write(data)
            file.seek(bit // 8)
            file.write(bytes([data[bit // 8] ^ 1 << bit % 8]))
            return path

        yield write


def test_a_flipped_bit_is_refused_or_changes_nothing(flip, saved):
    arrays, rest = state_of(saved)
    refusals = 0
    for bit in random.Random(2).sample(range(8 * saved.stat().st_size), 2500):
        try:
            found, found_rest = state_of(flip(bit))
        except FormatError:
            refusals += 1
            continue
        assert found_rest == rest
        for one, two in zip(arrays, found, strict=True):
            np.testing.assert_array_equal(one, two)
    assert refusals > 2400


def test_each_byte_of_the_data_counts(flip, saved):
    data = saved.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    for place in range(start, len(data)):
        with pytest.raises(FormatError, match="damaged"):
            load_model(flip(8 * place + place % 8))


# ---------------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no safetensors file or cut off"),
        (b"\x08\0\0\0\0\0\0", "cut off"),
        (b"\0" * 8, "cut off"),
        (b"\xff" * 8 + b"{}", "should have 18446744073709551615 bytes"),
        (struct.pack("<Q", 2**40) + b"{" + b" " * 100, "should have 1099511627776 bytes"),
        (struct.pack("<Q", 2**23) + b"{" + b" " * 2**23, "should have 8388608 bytes"),
        (struct.pack("<Q", 2) + b"{}", "cylstm did not write it"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 4) + b"null", "no JSON object"),
        (struct.pack("<Q", 2) + b"{]", "property name"),
        (struct.pack("<Q", 4) + b'{"\xff"', "UnicodeDecodeError|utf-8"),
        (struct.pack("<Q", 2 * DEEP) + b"[" * DEEP + b"]" * DEEP, "nested more than 64"),
        (struct.pack("<Q", 200) + b"[" * 100 + b"]" * 100, "nested more than 64"),
        (struct.pack("<Q", 5 * DEEP) + b'{"a":' * DEEP, "nested more than 64"),
        (struct.pack("<Q", 13) + b'{"a":1,"a":2}', "key 'a' twice"),
        (struct.pack("<Q", 9) + b'{"a":NaN}', "holds NaN"),
        (struct.pack("<Q", 15) + b'{"a":-Infinity}', "holds -Infinity"),
        (struct.pack("<Q", 11) + b'{"a":1e999}', "beyond all floats"),
        (struct.pack("<Q", 5006) + b'{"a":' + b"9" * 5000 + b"}", "integer of 5000 digits"),
        (b"PK\x03\x04" + b"\0" * 100, "cut off"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "cut off"),
    ],
)
def test_bytes(content, message, tmp_path):
    path = tmp_path / "bytes.safetensors"
    path.write_bytes(content)
    refused(path, message)


def test_a_file_of_an_unknown_format(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04\x95 no pickle is ever loaded")
    refused(path, "format is unknown.*safetensors")


def test_what_is_no_file(tmp_path):
    refused(tmp_path, "folder")
    refused(Path("/dev/zero"), "no regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no regular file")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "missing.safetensors")


def test_a_large_file_with_holes(tmp_path):
    path = tmp_path / "holes.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2) + b"{}")
        file.truncate(2**40)
    refused(path, "max_size=1099511627776")


# ---------------------------------------------------------------------- headers


def tensor(name: str, **changes: object) -> Callable[[dict], None]:
    def change(header: dict) -> None:
        header[name].update(changes)

    return change


KERNEL = "first/kernel"

HEADERS = {
    "a huge shape": (tensor(KERNEL, shape=[2**40, 2**40]), "does not take"),
    "an overflowing shape": (tensor(KERNEL, shape=[2**32, 2**32, 3, 8]), "does not take"),
    "a negative size": (tensor(KERNEL, shape=[-3, -8]), "the shape"),
    "a size that is no integer": (tensor(KERNEL, shape=[3.0, 8]), "the shape"),
    "a size that is a bool": (tensor(KERNEL, shape=[True, 24]), "the shape"),
    "a size that is a text": (tensor(KERNEL, shape=["3", 8]), "the shape"),
    "a shape that is a number": (tensor(KERNEL, shape=24), "the shape"),
    "a shape that is null": (tensor(KERNEL, shape=None), "the shape"),
    "many axes": (tensor(KERNEL, shape=[24] + [1] * 8), "the shape"),
    "another shape": (tensor(KERNEL, shape=[8, 3]), "damaged"),
    "overlapping offsets": (tensor(KERNEL, data_offsets=[0, 96]), "begins at"),
    "swapped offsets": (tensor(KERNEL, data_offsets=[96, 0]), "does not take"),
    "negative offsets": (tensor(KERNEL, data_offsets=[-96, 0]), "the offsets"),
    "offsets beyond the end": (tensor(KERNEL, data_offsets=[10**6, 10**6 + 96]), "begins at"),
    "huge offsets": (tensor(KERNEL, data_offsets=[2**63, 2**63 + 96]), "begins at"),
    "one offset": (tensor(KERNEL, data_offsets=[0]), "the offsets"),
    "offsets that are no integers": (tensor(KERNEL, data_offsets=[0.0, 96.0]), "the offsets"),
    "a dtype that is not allowed": (tensor(KERNEL, dtype="F16"), "the dtype"),
    "an object dtype": (tensor(KERNEL, dtype="O"), "the dtype"),
    "a dtype that is a list": (tensor(KERNEL, dtype=["F32"]), "the dtype"),
    "another dtype": (tensor(KERNEL, dtype="I32"), "damaged"),
    "a key too many": (tensor(KERNEL, more=1), "not described"),
    "a tensor that is a list": (lambda h: h.update({KERNEL: [1, 2]}), "not described"),
    "a missing tensor": (lambda h: h.pop(KERNEL), "begins at"),
    "an empty tensor too many": (
        lambda h: h.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "not those that its description",
    ),
    "a renamed tensor": (lambda h: h.update(x=h.pop(KERNEL)), "not those that its description"),
    "exchanged tensors": (
        lambda h: h.update({"optimizer/1": h[KERNEL], KERNEL: h["optimizer/1"]}),
        "damaged",
    ),
    "metadata that are no object": (lambda h: h.update(__metadata__=[]), "metadata"),
    "metadata that are numbers": (lambda h: h["__metadata__"].update(cylstm=1), "metadata"),
    "metadata too many": (lambda h: h["__metadata__"].update(more=""), "did not write"),
    "no metadata": (lambda h: h.pop("__metadata__"), "did not write"),
    "a description that is no JSON": (lambda h: h["__metadata__"].update(cylstm="{"), "Expecting"),
    "a description that is a list": (lambda h: h["__metadata__"].update(cylstm="[]"), "version"),
    "a deep description": (
        lambda h: h["__metadata__"].update(cylstm='{"format":' + "[" * DEEP),
        "nested",
    ),
    "a tensor given twice": (
        lambda h: json.dumps(h).replace('"optimizer/1"', f'"{KERNEL}"').encode(),
        "twice",
    ),
    "many keys, one twice": (
        lambda h: ("{" + ",".join(f'"{i}":0' for i in range(50_000)) + ',"49999":0}').encode(),
        "twice",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name, reheaded):
    change, message = HEADERS[name]
    refused(reheaded(change), message)


# ---------------------------------------------------------------------- descriptions


def model(*path: str | int, **changes: object) -> Callable[[dict], None]:
    """Change the object that a path of keys leads to, from the description of the model."""

    def change(document: dict) -> None:
        target = document["model"]
        for key in path:
            target = target[key]
        target.update(changes)

    return change


def layer(index: int, **changes: object) -> Callable[[dict], None]:
    return model("config", index, "config", **changes)


def entry(**config: object) -> dict:
    """A layer of a class, by the name of the class."""
    ((name, arguments),) = config.items()
    return {"class_name": name, "config": arguments}


def stack(*layers: dict) -> Callable[[dict], None]:
    return model(config=list(layers))


def wrapped(times: int) -> dict:
    found = entry(Dense={"units": 1})
    for _ in range(times):
        found = entry(TimeDistributed={"layer": found})
    return found


def calling_itself_twice(times: int) -> dict:
    """Models within models, each of which calls the one within twice: 2 ** times calls."""
    inner = entry(Activation={"activation": "tanh", "name": "m"}) | {"name": "m"}
    for _ in range(times):
        x = entry(InputLayer={"batch_input_shape": [None, 3], "name": "x"}) | {
            "name": "x",
            "inbound_nodes": [],
        }
        calls = [[["x", 0, 0, {}]], [["m", 0, 0, {}]]]
        layers = [x, inner | {"inbound_nodes": calls}]
        config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]]}
        inner = entry(Model=config | {"output_layers": [["m", 1, 0]]}) | {"name": "m"}
    return inner


def training(**changes: object) -> Callable[[dict], None]:
    return lambda document: document["training"].update(changes)


INPUT = {"batch_input_shape": [None, None, 3]}
LARGE = {"batch_input_shape": [None, 10**6, 10**6]}

DESCRIPTIONS = {
    "a later version": (lambda d: d.update(format=2), "newer"),
    "a version that is a text": (lambda d: d.update(format="1"), "newer"),
    "a part too many": (lambda d: d.update(more=1), "has the parts"),
    "a part too few": (lambda d: d.pop("layers"), "has the parts"),
    "a model that is a list": (lambda d: d.update(model=[]), "no object"),
    "an empty model": (lambda d: d.update(model={}), "described by"),
    "layers that are an object": (lambda d: d.update(layers={}), "table of layers"),
    "layers of numbers": (lambda d: d.update(layers=[[1, [KERNEL]]]), "table of layers"),
    "names that are numbers": (lambda d: d["layers"][0].__setitem__(1, [1]), "table of layers"),
    "a layer too few": (lambda d: d["layers"].pop(), "not those that its description"),
    "a weight used twice": (
        lambda d: d["layers"][1].__setitem__(1, ["second/kernel"] * 2),
        "not those that its description",
    ),
    "a layer's weights twice": (lambda d: d["layers"].append(d["layers"][0]), "3 layers"),
    "exchanged layers": (lambda d: d["layers"].reverse(), "weights"),
    "another layer's name": (lambda d: d["layers"][0].__setitem__(0, "x"), "not of 'first'"),
    "digests that are a list": (lambda d: d.update(digests=[]), "not those"),
    "a digest that is a number": (lambda d: d["digests"].update({KERNEL: 0}), "damaged"),
    "an unknown class": (stack(entry(Mystery={"units": 1})), "Mystery.*custom_objects"),
    "an unknown function": (stack(entry(Lambda={"function": "x"})), "Lambda.*custom_objects"),
    "a function that is code": (
        stack(entry(Lambda={"function": ["4wEA"], "function_type": "lambda"})),
        "holds the code of a Python lambda",
    ),
    "a function that is a list": (stack(entry(Lambda={"function": ["x"]})), "takes a function"),
    "the name of a module": (stack(entry(**{"os.system": {"command": "x"}})), "os.system"),
    "a class of another kind": (stack(entry(Adam={})), "unknown layer: 'Adam'"),
    "a class that is a list": (model(class_name=["Sequential"]), "class_name"),
    "a layer for a model": (model(class_name="Dense", config={"units": 1}), "Dense"),
    "a config that is a text": (model(config="x"), "improper config"),
    "no layers": (model(config=[]), "no layers|IndexError"),
    "an argument too many": (layer(0, hidden=1), "hidden"),
    "an argument called self": (layer(0, self=1), "self"),
    "units beyond the file": (layer(0, units=10**9), "beyond"),
    "another dtype": (layer(0, dtype="float64"), "is float64, but the file holds float32"),
    "units of another size": (layer(0, units=3), "shape"),
    "units that are a text": (layer(0, units="2"), "units"),
    "units that are negative": (layer(0, units=-2), "units"),
    "an input of a huge size": (layer(0, batch_input_shape=[None, None, 10**12]), "beyond"),
    "an input of a negative size": (layer(0, batch_input_shape=[None, None, -3]), "."),
    "an input that is a text": (layer(0, batch_input_shape="abc"), "."),
    "a huge batch of a stateful layer": (
        layer(0, stateful=True, batch_input_shape=[10**12, None, 3]),
        "beyond",
    ),
    "a large input with a mask": (stack(entry(Masking=LARGE)), "beyond"),
    "repeated beyond measure": (
        stack(entry(RepeatVector={"n": 10**12, "batch_input_shape": [None, 3]}), entry(Masking={})),
        "beyond",
    ),
    "a huge embedding": (
        stack(entry(Embedding={"input_dim": 2**40, "output_dim": 2**20, "input_length": 3})),
        "beyond",
    ),
    "many filters": (
        stack(entry(Conv1D={"filters": 10**9, "kernel_size": 10**6} | INPUT)),
        "beyond",
    ),
    "other input shapes": (model(input_shapes=[[None, None, 4]]), "inputs of the model"),
    "input shapes of texts": (model(input_shapes=["abc"]), "shapes of the inputs"),
    "no input shapes": (model(input_shapes=[]), "shapes of the inputs"),
    "a name that is a number": (model(name=5), "name of a layer"),
    "a layer's name that is a list": (model("config", 0, name=["first"]), "name|unhashable"),
    "two layers of one name": (model("config", 1, name="first"), "first"),
    "a dtype that NumPy would parse": (layer(0, dtype="(2,3)f4,(9999999,)i8"), "the dtype"),
    "a dtype that is an object": (layer(0, dtype={"names": ["a"]}), "the dtype"),
    "an unknown activation": (layer(0, activation="eval"), "activation.*eval"),
    "an activation that is an object": (
        layer(0, activation=entry(softmax={"x": [1.0]})),
        ".",
    ),
    "an unknown initializer": (layer(0, kernel_initializer=entry(open={"file": "x"})), "open"),
    "dropout that is a list": (layer(0, dropout=[1]), "dropout"),
    "wrapped too deep": (stack(wrapped(40)), "nested"),
    "calls that multiply": (model(**calling_itself_twice(14)), "calls layers"),
    "more layers than any model": (stack(*[entry(Flatten={})] * 5000), "calls layers"),
    "a long text": (layer(0, activation="x" * 10**6), "a text of 1000000"),
    "no training": (training(**{"more": 1}), "training is described"),
    "training that is a text": (lambda d: d.update(training="x"), "no object"),
    "a state without names": (training(state=None), "not named"),
    "a state with a name too few": (lambda d: d["training"]["state"].pop(), "not those"),
    "a state in another order": (lambda d: d["training"]["state"].reverse(), "state of the opt"),
    "an unknown optimizer": (training(optimizer=entry(Exec={})), "unknown optimizer"),
    "an optimizer with NaN": (training(optimizer=entry(SGD={"lr": "nan"})), "lr"),
    "an optimizer that is null": (training(optimizer=None), "optimizer"),
    "iterations that are negative": (training(iterations=-1), "negative"),
    "iterations that are a text": (training(iterations="1"), "."),
    "an unknown loss": (training(loss="eval"), "eval"),
    "a loss that is a number": (training(loss=5), "loss"),
    "losses for outputs that do not exist": (training(loss={"x": "mse"}), "x"),
    "an unknown metric": (training(metrics=["eval"]), "eval"),
    "metrics that are a number": (training(metrics=5), "metrics"),
    "loss weights that are texts": (training(loss_weights=["a"]), "loss_weights"),
    "a mode that does not exist": (training(sample_weight_mode="x"), "sample_weight_mode"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions(name, forge):
    change, message = DESCRIPTIONS[name]
    refused(forge(change), f"(?s){message}")


def test_a_description_with_a_key_twice(forge):
    path = forge(lambda d: None, lambda text: text.replace('{"format":1', '{"format":1,"format":1'))
    refused(path, "key 'format' twice")


def test_a_forged_file_with_nothing_wrong_loads(forge, saved):
    for one, two in zip(state_of(forge(lambda d: None))[0], state_of(saved)[0], strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_training_is_not_read_where_it_is_not_wanted(forge):
    path = forge(training(optimizer=entry(Exec={})))
    assert load_model(path, compile=False).optimizer is None


# ---------------------------------------------------------------------- what a child process does

AUDITED = """
import difflib
import os
import sys

from cylstm._layer_names import LAYERS
from cylstm.models import load_model
from cylstm.saving import FORMATS, FormatError

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
good, *hostile = sys.argv[1:]
load_model(good)  # imports what is needed
# So do names of other layers, first bytes of other formats, and errors: cylstm and difflib only.
dict(LAYERS), [module.suffixes for module in FORMATS.values()]
events, watching = [], []


def hook(event, arguments):
    if not watching:
        return
    if event == "open" and arguments[0] == watching[0] and not arguments[2] & WRITING:
        return
    if event.split(".")[0] in {
        "open", "exec", "compile", "import", "marshal", "pickle", "os", "shutil", "subprocess",
        "socket", "ctypes", "tempfile", "urllib", "glob", "code",
    }:
        events.append((event, str(arguments)[:200]))


sys.addaudithook(hook)
for path in [good, *hostile]:
    watching.append(path)
    try:
        load_model(path)
        print("loaded", os.path.basename(path))
    except FormatError:
        pass
    watching.clear()
print(events)
"""


def test_nothing_is_executed_imported_or_written(saved, forge, reheaded, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    changes = {name: (forge, change) for name, (change, _) in DESCRIPTIONS.items()}
    changes |= {name: (reheaded, change) for name, (change, _) in HEADERS.items()}
    for i, (write, change) in enumerate(changes.values()):
        write(change).rename(folder / f"{i}.safetensors")
    flips = random.Random(3)
    data = saved.read_bytes()
    for i in range(100):
        changed = bytearray(data)
        changed[flips.randrange(len(data))] ^= 1 << flips.randrange(8)
        (folder / f"flip{i}.safetensors").write_bytes(changed)
    result = subprocess.run(
        [sys.executable, "-c", AUDITED, saved, *sorted(folder.iterdir())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, events = result.stdout.splitlines()[:-1], result.stdout.splitlines()[-1]
    assert events == "[]"
    assert [line for line in loaded if "flip" not in line] == ["loaded model.safetensors"]


MEASURED = """
import resource
import sys

from cylstm.models import load_model
from cylstm.saving import FormatError

good, *hostile = sys.argv[1:]
load_model(good)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in hostile:
    try:
        load_model(path)
    except FormatError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_hostile_files_take_little_memory(saved, forge, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for i, (change, _) in enumerate(DESCRIPTIONS.values()):
        forge(change).rename(folder / f"{i}.safetensors")
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, saved, *sorted(folder.iterdir())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    assert int(result.stdout) * unit < 64 * 2**20
