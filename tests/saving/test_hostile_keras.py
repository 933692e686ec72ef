"""Hostile files in the formats of Keras: refused by name, soon, and nothing is run."""

import io
import json
import os
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from hostile_hdf5 import HDF5, small
from keras_files import unpacked

from cylstm.models import load_model
from cylstm.saving import FormatError

SECONDS = 1.0


def refused(read: Callable[[Path], object], path: Path, message: str) -> None:
    start = time.process_time()
    with pytest.raises(FormatError, match=message) as caught:
        read(path)
    assert time.process_time() - start < SECONDS
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for suffix in (".h5", ".keras"):
        small().save(folder / f"model{suffix}")
    small().save_weights(folder / "w.npz")
    return folder


@pytest.fixture
def changed(good, tmp_path):
    def write(change) -> Path:
        path = tmp_path / "model.h5"
        path.write_bytes((good / "model.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return write


@pytest.mark.parametrize("name", HDF5)
def test_hdf5(name, changed):
    change, message = HDF5[name]
    refused(load_model, changed(change), message)


def test_an_attribute_that_says_it_is_long(good, tmp_path):
    data = bytearray((good / "model.h5").read_bytes())
    at = data.index(b"layer_names\0") + 12
    at = data.index(struct.pack("<Q", 2), at)
    data[at : at + 8] = struct.pack("<Q", 2**40)
    path = tmp_path / "long.h5"
    path.write_bytes(data)
    refused(load_model, path, "1099511627776 values")


def test_an_object_of_many_messages(good, tmp_path):
    data = bytearray((good / "model.h5").read_bytes())
    (root,) = struct.unpack_from("<Q", data, 64)  # of its header, in the superblock
    data[root + 2 : root + 4] = b"\xff\xff"
    data += bytes(8 * 65_535)
    path = tmp_path / "many.h5"
    path.write_bytes(data)
    refused(load_model, path, "65535 messages")


@pytest.mark.parametrize("origin", ["tf_1_4", "tf_keras", "keras3"])
def test_every_64th_truncation_of_hdf5(origin, tmp_path):
    source = next(p for p in sorted(unpacked(origin).iterdir()) if p.suffix == ".h5")
    data, path = source.read_bytes(), tmp_path / "cut.h5"
    path.write_bytes(data)
    for length in reversed(range(0, len(data) - 2048, 64)):
        os.truncate(path, length)
        with pytest.raises(FormatError):
            load_model(path)


# ---------------------------------------------------------------------- archives


def archived(members, **options) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_member(name, content):
    return lambda m: archived({**m, name: content}.items())


def without(name):
    return lambda m: archived([(n, c) for n, c in m.items() if n != name])


def patched(at, value):
    """The first entry of the list of members, with a field replaced."""

    def change(m):
        data = bytearray(archived(m.items()))
        start = data.index(b"PK\x01\x02") + at
        data[start : start + len(value)] = value
        return bytes(data)

    return change


def of_config(change):
    def write(m):
        parsed = json.loads(m["config.json"])
        change(parsed)
        return with_member("config.json", json.dumps(parsed))(m)

    return write


ARCHIVES = {
    "no metadata": (without("metadata.json"), "no member 'metadata.json'"),
    "no architecture": (without("config.json"), "no member 'config.json'"),
    "no weights": (without("model.weights.h5"), "no member model.weights.h5"),
    "no version": (with_member("metadata.json", "{}"), "which Keras"),
    "a version that is no text": (
        with_member("metadata.json", '{"keras_version": 3}'),
        "which Keras",
    ),
    "an architecture that is a list": (with_member("config.json", "[]"), "no object"),
    "weights that are none": (with_member("model.weights.h5", b"x" * 500), "no HDF5"),
    "a way upwards": (with_member("../../evil", b"x"), "not read"),
    "an absolute path": (with_member("/etc/evil", b"x"), "not read"),
    "a way of Windows": (with_member("a\\..\\evil", b"x"), "not read"),
    "5,000 members": (
        lambda m: archived([*m.items(), *((f"{i}", b"") for i in range(5000))]),
        "5003 members",
    ),
    "many more members": (
        lambda m: archived([*m.items(), *((f"{i}", b"") for i in range(30_000))]),
        "list of its members",
    ),
    "bzip2": (lambda m: archived(m.items(), compression=zipfile.ZIP_BZIP2), "compressed"),
    "a zip bomb": (
        lambda m: archived(
            {**m, "config.json": bytes(10**8)}.items(), compression=zipfile.ZIP_DEFLATED
        ),
        "larger than what is stored",
    ),
    "an encrypted member": (patched(8, b"\1\0"), "encrypted"),
    "a size that is not so": (patched(24, struct.pack("<I", 9)), "damaged|not the 9 bytes"),
    "a place beyond": (patched(42, struct.pack("<I", 2**31)), "refers to byte|damaged"),
    "a checksum that is not so": (patched(16, b"\0\0\0\0"), "damaged"),
    "code": (
        of_config(
            lambda c: c["config"]["layers"].append(
                {
                    "module": "keras.layers",
                    "class_name": "Lambda",
                    "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {}}},
                }
            )
        ),
        "code of a function",
    ),
    "a module": (
        of_config(
            lambda c: c["config"]["layers"][1].update(module="subprocess", class_name="Popen")
        ),
        "unknown layer",
    ),
    "a large layer": (
        of_config(lambda c: c["config"]["layers"][1]["config"].update(units=10**8)),
        "beyond",
    ),
    "an operation": (
        of_config(lambda c: c["config"]["layers"][1].update(class_name="NotEqual")),
        "unknown layer",
    ),
    "a backward layer of its own": (
        of_config(
            lambda c: c["config"]["layers"].__setitem__(
                1,
                {
                    "class_name": "Bidirectional",
                    "config": {
                        "name": "b",
                        "layer": {"class_name": "LSTM", "config": {"units": 1}},
                        "backward_layer": {"class_name": "LSTM", "config": {"units": 2}},
                    },
                },
            )
        ),
        "backward_layer of its own",
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(name, good, tmp_path):
    change, message = ARCHIVES[name]
    path = tmp_path / "model.keras"
    path.write_bytes(change(members_of(good / "model.keras")))
    refused(load_model, path, message)


def test_a_name_twice(good, tmp_path):
    members = list(members_of(good / "model.keras").items())
    path = tmp_path / "model.keras"
    with pytest.warns(UserWarning, match="Duplicate name"):
        path.write_bytes(archived([*members, members[0]]))
    refused(load_model, path, "same name")


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}"
ARRAYS = {
    "objects": (npy(HEADER.format("|O", "1,"), b"cos\nsystem\n"), "not one of numbers"),
    "raw bytes": (npy(HEADER.format("|V4", "1,"), bytes(4)), "not one of numbers"),
    "records": (npy("{'descr': [('a', '<f4')], 'shape': (1,), }", bytes(4)), "not one of"),
    "an expression": (npy(HEADER.format("<f4", "__import__('os')")), "not one of numbers"),
    "a large shape": (npy(HEADER.format("<f4", "1000000, 1000000")), "has 0 bytes"),
    "more than its shape": (npy(HEADER.format("<f4", "1,"), bytes(12)), "has 12 bytes"),
    "many axes": (npy(HEADER.format("<f4", "1, " * 9), bytes(4)), "shape"),
    "a long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "a header of"),
    "a float of one byte": (npy(HEADER.format("<f1", "1,"), bytes(1)), "f1"),
    "no array": (b"text", "no array"),
    "cut off": (npy(HEADER.format("<f4", "2,"), bytes(8))[:60], "cut off"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name, good, tmp_path):
    content, message = ARRAYS[name]
    members = members_of(good / "w.npz")
    path = tmp_path / "w.npz"
    path.write_bytes(archived({**members, "first/kernel.npy": content}.items()))
    refused(small().load_weights, path, message)


# ---------------------------------------------------------------------- together

AUDITED = """
import difflib
import os
import sys

import numpy.ma

import cylstm
from cylstm._layer_names import LAYERS
from cylstm.models import load_model
from cylstm.saving import FORMATS, FormatError

good, *hostile = sys.argv[1:]
load_model(good + "/model.h5"), load_model(good + "/model.keras")
dict(LAYERS), [module.suffixes for module in FORMATS.values()]  # modules of cylstm, on first use
watching, events = [], []


def hook(event, arguments):
    if not watching:
        return
    if event == "open" and arguments[0] == watching[0]:
        return
    if event.split(".")[0] in {
        "open", "exec", "compile", "import", "marshal", "pickle", "os", "shutil", "subprocess",
        "socket", "ctypes", "tempfile", "urllib", "glob", "code",
    }:
        events.append((event, str(arguments)[:200]))


import resource

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.addaudithook(hook)
for path in hostile:
    watching.append(path)
    try:
        load_model(path)
        print("loaded", os.path.basename(path))
    except FormatError:
        pass
    watching.clear()
print(events)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_nothing_is_run_or_opened_and_little_memory_taken(good, changed, tmp_path):
    files = []
    for i, (change, _) in enumerate(HDF5.values()):
        files.append(changed(change).rename(tmp_path / f"{i}.h5"))
    for i, (change, _) in enumerate(ARCHIVES.values()):
        files.append(tmp_path / f"{i}.keras")
        files[-1].write_bytes(change(members_of(good / "model.keras")))
    result = subprocess.run(
        [sys.executable, "-c", AUDITED, good, *files],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *loaded, events, memory = result.stdout.splitlines()
    assert loaded == []
    assert events == "[]"
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    assert int(memory) * unit < 64 * 2**20
