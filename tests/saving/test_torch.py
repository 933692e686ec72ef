"""Files of PyTorch, read without it: as it reads them, and hostile ones refused.

`tests/data/record_torch.py` made the files in `tests/data/torch`.
"""

import io
import pickle
import shutil
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Bidirectional, Dense
from cylstm.saving import FormatError, load_tensors, save_tensors

FILES = Path(__file__).parents[1] / "data" / "torch"
MODULES = ["modules.pt", "modules_legacy.pt", "modules_protocol_4.pt", "modules.safetensors"]
SECONDS, MEMORY = 0.1, 2**26


def answers(name):
    with np.load(FILES / name) as arrays:
        return dict(arrays)


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, strict=True)


# ---------------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", ["views.pt", "views_legacy.pt"])
def test_views_and_dtypes(name):
    found = load_tensors(FILES / name)
    assert_same(found, answers("views.npz"))
    assert np.shares_memory(found["base"], found["transposed"])
    assert not any(array.flags.writeable for array in found.values())


def test_safetensors_of_pytorch():
    wanted = answers("views.npz")
    del wanted["expanded"]
    found = load_tensors(FILES / "views.safetensors")
    assert_same(found, {name: wanted[name] for name in found})
    assert set(found) == set(wanted)


@pytest.mark.parametrize("name", MODULES)
def test_containers_hold_the_same(name):
    first = load_tensors(FILES / "modules.pt")
    found = load_tensors(FILES / name)
    assert_same({key: found[key] for key in first}, first)
    assert len(found) == len(first)


@pytest.mark.parametrize("name", ["checkpoint.pt", "checkpoint_legacy.pth"])
def test_the_state_dict_of_a_checkpoint(name):
    shapes = {key: array.shape for key, array in load_tensors(FILES / name).items()}
    assert shapes == {
        "weight_ih_l0": (8, 3),
        "weight_hh_l0": (8, 2),
        "bias_ih_l0": (8,),
        "bias_hh_l0": (8,),
    }


def test_two_state_dicts_in_a_checkpoint_keep_their_keys():
    found = load_tensors(FILES / "two_models.pt")
    assert {name.partition(".")[0] for name in found} == {"generator", "critic"}
    assert found["critic.weight"].shape == (1, 2)


def swapped(entries):
    """The entries of an archive of float32 storages, as a big-endian machine writes them."""
    found = dict(entries)
    for name, data in entries.items():
        if "/data/" in name:
            found[name] = np.frombuffer(data, "<f4").astype(">f4").tobytes()
    [order] = [name for name in entries if name.endswith("/byteorder")]
    return {**found, order: b"big"}


def test_big_endian_archives(tmp_path):
    with zipfile.ZipFile(FILES / "gru.pt") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    write_archive(tmp_path / "big.pt", swapped(entries))
    assert_same(load_tensors(tmp_path / "big.pt"), load_tensors(FILES / "gru.pt"))


def test_big_endian_streams(tmp_path):
    head = stream(Pickle().tensor(3).named(), little=False)
    (tmp_path / "big.pt").write_bytes(
        head + struct.pack(">q", 3) + np.array([1, 2, -3], ">f4").tobytes()
    )
    found = load_tensors(tmp_path / "big.pt")["w"]
    assert (found.dtype, found.tolist()) == (np.dtype(np.float32), [1, 2, -3])


def test_only_the_storages_of_the_state_dict_are_read(tmp_path):
    """Damage in those of the optimizer does not matter, nor do they take memory."""
    data = bytearray((FILES / "checkpoint.pt").read_bytes())
    with zipfile.ZipFile(FILES / "checkpoint.pt") as archive:
        places = {i.filename.rpartition("/")[2]: i.header_offset for i in archive.infolist()}
    start = places["7"]
    data[start + 30 : start + 38] = b"xxxxxxxx"  # another name, before the data
    (tmp_path / "damaged.pt").write_bytes(data)
    assert_same(load_tensors(tmp_path / "damaged.pt"), load_tensors(FILES / "checkpoint.pt"))


def test_what_save_tensors_writes_is_read_by_others(tmp_path):
    import safetensors.numpy

    tensors = {"a.b": np.arange(6.0).reshape(2, 3), "n": np.array(3), "t": np.ones((3, 2)).T}
    save_tensors(tensors, tmp_path / "named.safetensors")
    found = safetensors.numpy.load_file(tmp_path / "named.safetensors")
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert_same(load_tensors(tmp_path / "named.safetensors"), found)
    with pytest.raises(FileExistsError):
        save_tensors(tensors, tmp_path / "named.safetensors", overwrite=False)


def test_tensors_of_our_own_files(saved):
    assert {"first/kernel", "second/bias"} < set(load_tensors(saved))


# ---------------------------------------------------------------------- models


def flat_model(**options):
    gates = {"recurrent_activation": "sigmoid", **options}
    model = cylstm.Sequential(
        [
            LSTM(2, return_sequences=True, input_shape=(None, 3), **gates),
            LSTM(2, return_sequences=True, **gates),
            LSTM(2, return_sequences=True, **gates),
        ]
    )
    model.build()
    return model


def stack_of(name, path):
    """A file with the one stacked LSTM of all modules, in the container of another file."""
    state = load_tensors(FILES / name)
    kept = {key: array for key, array in state.items() if key.startswith("stack.")}
    save_tensors(kept, path)
    return path


def test_weights_go_into_a_model_in_order(tmp_path):
    wanted = answers("answers.npz")
    model = flat_model()
    model.load_weights(stack_of("modules.pt", tmp_path / "stack.safetensors"))
    np.testing.assert_allclose(model.predict(wanted["x"]), wanted["stack"], atol=1e-6)


@pytest.mark.parametrize("name", MODULES)
def test_weights_go_into_a_model_by_name(name):
    wanted = answers("answers.npz")
    x = cylstm.Input((6, 3))
    gates = {"recurrent_activation": "sigmoid", "return_sequences": True}
    y = Bidirectional(LSTM(4, **gates), name="lstm.0")(x)
    y = Bidirectional(LSTM(4, **gates), name="lstm.1")(y)
    model = cylstm.Model(x, Dense(3, name="fc")(y))
    model.load_weights(FILES / name, by_name=True)
    np.testing.assert_allclose(model.predict(wanted["x"]), wanted["fc"], atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"recurrent_activation": "hard_sigmoid"}, {"activation": None}]
)
def test_an_lstm_with_other_activations_takes_no_weights_of_pytorch(options, tmp_path):
    model = flat_model(**options)
    before = model.get_weights()
    [name] = options
    with pytest.raises(
        ValueError, match=f"Cannot load.*LSTM of {name}=.*layer {model.layers[0].name}"
    ):
        model.load_weights(stack_of("modules.pt", tmp_path / "stack.safetensors"))
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_sorted_tensors_go_nowhere_in_order():
    """Layers of the same shape would take each other's weights."""
    with pytest.raises(ValueError, match=r"in order: safetensors.*by_name=True"):
        flat_model().load_weights(FILES / "modules.safetensors")


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    model = flat_model()
    with pytest.raises(ValueError, match=r"checkpoint.pt.*1 layers.*3 layers"):
        model.load_weights(FILES / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"gru.pt.*nn.GRU"):
        model.load_weights(FILES / "gru.pt")
    with pytest.raises(ValueError, match="No weights are written"):
        model.save_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["modules.pt", "modules.safetensors"])
def test_there_is_no_model_in_a_state_dict(name):
    with pytest.raises(FormatError, match=r"tensors \(.*no model: cylstm.from_torch"):
        cylstm.models.load_model(FILES / name)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whole_module.pt", r"__main__.Own.*torch.save\(model.state_dict\(\), path\)"),
        ("whole_module_legacy.pt", r"__main__.Own.*torch.save\(model.state_dict\(\), path\)"),
        ("tensor.pt", "one tensor and no dict"),
        ("scripted.pt", r"TorchScript.*torch.jit.load\(path\).state_dict\(\)"),
    ],
)
def test_what_holds_code_is_refused_with_advice(name, message):
    with pytest.raises(FormatError, match=message):
        load_tensors(FILES / name)
    with pytest.raises(FormatError, match=message):
        cylstm.models.load_model(FILES / name)


class Pickle:
    """A pickle of a tensor in a dict, for files that are made here; each part can be another."""

    def __init__(self):
        self.data = b""

    def storage(self, count=3, kind="torch\nFloatStorage", key="0"):
        self.data += (
            b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cuda:7")
        )
        self.data += value(count) + b"tQ"
        return self

    def tensor(self, *shape, offset=0, strides=None, **options):
        if strides is None:
            strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        self.data += b"ctorch._utils\n_rebuild_tensor_v2\n("
        options.setdefault("count", int(np.prod(shape)))
        self.storage(**options)
        self.data += value(offset) + value(shape) + value(tuple(strides)) + b"\x89N" + b"tR"
        return self

    def named(self, name="w"):
        return b"\x80\x02}" + text(name) + self.data + b"s."


def text(words):
    return b"X" + struct.pack("<I", len(words.encode())) + words.encode()


def value(thing):
    """The opcodes of a plain value, without the frame around them."""
    return pickle.dumps(thing, 2)[2:-1]


def write_archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def archive_of(data, storages=None):
    """An archive of torch.save with this pickle."""
    file = io.BytesIO()
    write_archive(file, {"a/data.pkl": data, **(storages or {"a/data/0": bytes(12)})})
    return file.getvalue()


def stream(data, keys=("0",), little=True, version=1001):
    """The pickles of a stream of torch.save; the storages are to follow."""
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
    parts = [0x1950A86A20F9469CFC6C, version, system]
    return b"".join(pickle.dumps(part, 2) for part in parts) + data + pickle.dumps(list(keys), 2)


def refused(data, tmp_path, message="Cannot read"):
    """Check that a file is refused, in time and with little memory; return the message."""
    path = tmp_path / "hostile.pt"
    path.write_bytes(data)
    took = []
    for _ in range(3):  # the machine, or the collector of garbage, may be busy once
        start = time.process_time()
        with pytest.raises(FormatError, match=message) as caught:
            load_tensors(path)
        took.append(time.process_time() - start)
    assert min(took) < SECONDS
    assert len(str(caught.value)) < 2000
    tracemalloc.start()
    with pytest.raises(FormatError):
        load_tensors(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()


def called(module, name, *arguments):
    return f"c{module}\n{name}\n".encode() + value(arguments) + b"R."


UTILS = "torch._utils"
LONG_TEXT = b"X\x00\x00\x04\x00" + b"x" * 2**18
MEMO = b"".join(b"r" + struct.pack("<I", i) for i in range(2 * 10**5))
HELD_TWICE = b"}" + text("a") + b"h\x00s" + text("b") + b"h\x00sq\x00"

PICKLES = {
    "os.system": (called("os", "system", "true"), "os.system"),
    "eval": (called("builtins", "eval", "1"), "builtins.eval"),
    "eval of Python 2": (called("__builtin__", "eval", "1"), "__builtin__.eval"),
    "a name from the stack": (text("os") + text("system") + b"\x93.", "os.system"),
    "a name of a name": (text("collections") + text("OrderedDict.get") + b"\x93.", "Dict.get"),
    "a name that is a number": (b"K\x01K\x02\x93.", "no text"),
    "an instance": (b"(ios\nsystem\n.", "opcode b'i'"),
    "an object": (b"(o.", "opcode b'o'"),
    "a new object": (b"cos\nsystem\n)\x81.", "os.system"),
    "an opcode for new objects": (b")\x81.", r"opcode b'\\x81'"),
    "an extension": (b"\x82\x01.", "opcode"),
    "a persistent text": (b"Pos\n.", "opcode b'P'"),
    "bytes": (b"B\xff\xff\xff\xff.", "opcode b'B'"),
    "a buffer out of band": (b"\x97.", "opcode"),
    "torch.load": (called("torch", "load", "x"), "torch.load"),
    "storages within pickles": (called("torch.storage", "_load_from_bytes", "x"), "_load_from"),
    "a sparse tensor": (called(UTILS, "_rebuild_sparse_tensor", 1), "_rebuild_sparse"),
    "a quantized tensor": (called(UTILS, "_rebuild_qtensor", 1), "_rebuild_qtensor"),
    "code of Python": (called("codecs", "encode", "x", "hex"), "codecs.encode"),
    "a dtype that is called": (called("torch", "FloatStorage", 3), "cannot be called"),
    "an OrderedDict of more": (called("collections", "OrderedDict", [], 1), "at byte"),
    "an OrderedDict of no pairs": (called("collections", "OrderedDict", 5), "no pairs"),
    "a parameter of no tensor": (called(UTILS, "_rebuild_parameter", 1, True, 1), "no tensor"),
    "a tensor of no storage": (called(UTILS, "_rebuild_tensor_v2", 1, 0, (1,), (1,)), "without"),
    "a tensor of too few": (called(UTILS, "_rebuild_tensor_v2", 1), "at byte"),
    "a call without arguments": (b"ccollections\nOrderedDict\nK\x05R.", "cannot be called"),
    "a state of a tensor": (Pickle().tensor(3).data + b"}b.", "no dict"),
    "a state that is no dict": (b"}K\x01b.", "state"),
    "items for a list": (b"]K\x01K\x02s.", "no dict"),
    "an item for a dict": (b"}K\x01a.", "no list"),
    "items in odd number": (b"}(K\x01K\x02K\x03u.", "at byte"),
    "a list for a key": (b"}]K\x02s.", "key of a dict that is a list"),
    "tuples for keys, whose hashes can be chosen": (b"})K\x02s.", "key of a dict that is a tuple"),
    "a storage that is a module": (b"(" + text("module") + b"tQ.", "whole module"),
    "a storage that is no tuple": (b"K\x01Q.", "whole module"),
    "an empty stack": (b".", "0 values"),
    "two values": (b"NN.", "2 values"),
    "a stack that is too short": (b"K\x01\x87.", "damaged"),
    "a mark too few": (b"t.", "damaged"),
    "a memo that was never made": (b"h\x07.", "damaged"),
    "no end": (b"NNN", "file ends"),
    "no bytes at all": (b"", "file ends"),
    "a text without its bytes": (b"X\xff\xff\xff\xffabc", "file ends|bytes of text"),
    "a text that is no text": (b"X\x02\x00\x00\x00\xff\xff.", "at byte"),
    "an integer of 255 bytes": (b"\x8a\xff" + bytes(255) + b".", "integer of 255"),
    "a name without an end": (b"c" + b"x" * 5000, "without an end"),
    "a frame without its bytes": (b"\x95\xff", "file ends"),
    "lists without end": (b"]" * 10**6 + b".", "opcodes"),
    "dicts without end": (b"}" * 10**6 + b".", "opcodes"),
    "marks without end": (b"(" * 10**6 + b".", "opcodes"),
    "a memo without end": (b"N" + MEMO, "opcodes"),
    "lists 15,000 deep": (b"]" * 15_000 + b"a" * 14_999 + b".", "a list and no dict"),
    "a dict that holds itself": (b"}q\x00" + text("a") + b"h\x00s.", "no dict of tensors"),
    "dicts that hold dicts twice": (
        b"}" + text("x") + b"(}q\x00" + HELD_TWICE * 99 + b"ts" + text("y") + b"h\x00s.",
        "a dict and no dict of tensors",
    ),
    "texts without end": (LONG_TEXT * 40 + b".", "text|pickle has"),
}  # fmt: skip

TENSORS = {
    "beyond its storage": (Pickle().tensor(4, count=3), "reaches number 3 of a storage of 3"),
    "beyond by its offset": (Pickle().tensor(3, offset=1, count=3), "reaches number 3"),
    "beyond by its strides": (Pickle().tensor(3, strides=[2], count=3), "reaches number 4"),
    "of a negative offset": (Pickle().tensor(3, offset=-1, count=3), "offset"),
    "of a negative stride": (Pickle().tensor(3, strides=[-1], count=3), "shape and strides"),
    "of a negative size": (Pickle().tensor(-3, strides=[1], count=3), "shape and strides"),
    "of strides that wrap around": (Pickle().tensor(2, 2, strides=[2**62, 1], count=4), "reaches"),
    "of a size that wraps around": (Pickle().tensor(2**62, 4, strides=[0, 0], count=3), "bytes"),
    "that is a bomb of stride 0": (Pickle().tensor(2**40, strides=[0], count=3), "bytes"),
    "of nine axes": (Pickle().tensor(*[1] * 9, count=3), "9 axes"),
    "of a size that is a bool": (Pickle().tensor(True, strides=[1], count=3), "shape and strides"),
    "of a size that is a float": (Pickle().tensor(1.0, strides=[1], count=3), "shape and strides"),
    "of fewer strides": (Pickle().tensor(1, 3, strides=[1], count=3), "shape and strides"),
    "of a huge empty shape": (Pickle().tensor(0, 2**62, 2**62, strides=[0] * 3, count=3), "read"),
    "of a storage with a path": (Pickle().tensor(3, key="../../etc/passwd"), "no member"),
    "of a storage with an absolute path": (Pickle().tensor(3, key="/etc/passwd"), "no member"),
    "of a storage that is not there": (Pickle().tensor(3, key="1"), "no member"),
    "of a storage that is larger": (Pickle().tensor(3, count=4), "12 bytes"),
    "of a storage that is huge": (Pickle().tensor(3, count=2**60), "storages take"),
    "of a storage of a negative size": (Pickle().tensor(3, count=-1), "key, place and size"),
    "of a storage of another type": (Pickle().tensor(3, kind="torch\nDoubleStorage"), "12 bytes"),
    "of complex numbers": (Pickle().tensor(3, kind="torch\nComplexFloatStorage"), "ComplexFloat"),
    "of a storage of no type": (Pickle().tensor(3, kind="collections\nOrderedDict"), "known type"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_pickles(name, tmp_path):
    data, message = PICKLES[name]
    refused(archive_of(b"\x80\x02" + data), tmp_path, message)
    refused(stream(b"\x80\x02" + data), tmp_path)


@pytest.mark.parametrize("name", TENSORS)
def test_hostile_tensors(name, tmp_path):
    made, message = TENSORS[name]
    refused(archive_of(made.named()), tmp_path, message)
    refused(stream(made.named()) + struct.pack("<q", 3) + bytes(12), tmp_path)


def test_the_files_are_hostile_for_one_reason_each(tmp_path):
    good = Pickle().tensor(3).named()
    for data in (archive_of(good), stream(good) + struct.pack("<q", 3) + bytes(12)):
        (tmp_path / "good.pt").write_bytes(data)
        assert_same(load_tensors(tmp_path / "good.pt"), {"w": np.zeros(3, np.float32)})


def test_a_storage_of_two_types(tmp_path):
    one, two = Pickle().tensor(3).data, Pickle().tensor(3, kind="torch\nIntStorage").data
    data = b"\x80\x02}(" + text("a") + one + text("b") + two + b"u."
    refused(archive_of(data), tmp_path, "another type")


def test_many_views_of_one_storage_are_not_to_be_had(tmp_path):
    """Each would take as much when it is copied."""
    pairs = b"".join(text(str(i)) + Pickle().tensor(10**5).data for i in range(900))
    data = b"\x80\x02}(" + pairs + b"u."
    refused(archive_of(data, {"a/data/0": bytes(4 * 10**5)}), tmp_path, "tensors take 360000000")


# ---------------------------------------------------------------------- containers


GOOD = archive_of(Pickle().tensor(3).named())


def changed(place, form, *values, data=GOOD):
    found = bytearray(data)
    struct.pack_into(form, found, place if place >= 0 else len(data) + place, *values)
    return bytes(found)


def compressed(entries):
    file = io.BytesIO()
    write_archive(file, entries, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def twice():
    """Two entries of one name; the library that writes it warns."""
    data = archive_of(Pickle().tensor(3).named(), {"a/data/0": bytes(12), "a/data/1": b"other"})
    return data.replace(b"a/data/1", b"a/data/0")


DIRECTORY = GOOD.index(b"PK\x01\x02")
ARCHIVES = {
    "cut off": (GOOD[:-1], "cut off"),
    "only its beginning": (GOOD[:40], "cut off"),
    "a directory behind the end": (changed(-6, "<I", 2**31), "refers to byte"),
    "a directory that is too long": (changed(-10, "<I", 2**31), "list of its members"),
    "64 bits, and no record of them": (changed(-6, "<I", 2**32 - 1), "refers to byte"),
    "an entry behind the end": (changed(DIRECTORY + 42, "<I", 2**31), "refers to byte"),
    "an entry that is too long": (changed(DIRECTORY + 20, "<II", 2**31, 2**31), "larger than"),
    "an entry that is in the directory": (changed(DIRECTORY + 42, "<I", DIRECTORY), "damaged"),
    "a name that is too long": (changed(DIRECTORY + 28, "<H", 65535), "not read|cut off"),
    "another checksum": (changed(DIRECTORY + 16, "<I", 1), "CRC"),
    "an entry that is encrypted": (changed(DIRECTORY + 8, "<H", 1), "encrypted"),
    "two names for an entry": (GOOD.replace(b"a/data.pkl", b"b/data.pkl", 1), "header"),
    "a name twice": (twice(), "same name"),
    "a compressed pickle of 10 MB": (compressed({"a/data.pkl": b"]" * 10**7}), "pickle has"),
    "a compressed storage of 40 MB": (
        compressed({"a/data.pkl": Pickle().tensor(10**7).named(), "a/data/0": bytes(4 * 10**7)}),
        "larger than|storages take|tensors take",
    ),
    "a compressed storage behind one number": (
        compressed(
            {
                "a/data.pkl": Pickle().tensor(1, count=25 * 10**5).named(),
                "a/data/0": bytes(10**7),
            }
        ),
        "storages take",
    ),
    "no pickle": (compressed({"a/b": b"x"}), "no data.pkl"),
    "no folder": (compressed({"data.pkl": b"x"}), "no data.pkl"),
    "an exported program": (compressed({"a/models/model.json": b"x"}), "exported program"),
    "a byte order": (
        archive_of(Pickle().tensor(3).named(), {"a/data/0": bytes(12), "a/byteorder": b"odd"}),
        "byte order 'odd'",
    ),
    "a pickle of 10 MB": (archive_of(b"\x80\x02" + LONG_TEXT * 40 + b"."), "pickle has"),
    "nothing": (b"", "no file of torch.save"),
    "a pickle by itself": (pickle.dumps({"a": 1}), "torch.save did not write it"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no file of torch.save"),
}  # fmt: skip

TENSOR = Pickle().tensor(3).named()
STREAM = stream(TENSOR) + struct.pack("<q", 3) + bytes(12)
STREAMS = {
    "another magic number": (STREAM.replace(b"l\xfc\x9c", b"l\xfd\x9c", 1), "torch.save did not"),
    "another version": (stream(TENSOR, version=1002), "another version"),
    "an order that is a number": (stream(TENSOR, little=1), "another version"),
    "cut off": (STREAM[:-1], "cut off"),
    "cut off before the storages": (stream(TENSOR), "cut off"),
    "bytes behind": (STREAM + b"\0", "end at byte"),
    "another size": (stream(TENSOR) + struct.pack("<q", 4) + bytes(16), "another size"),
    "a huge size": (stream(TENSOR) + struct.pack("<Q", 2**63) + bytes(16), "another size"),
    "no keys": (stream(TENSOR, keys=[]), "not those"),
    "a key twice": (stream(TENSOR, keys=["0", "0"]), "not those"),
    "keys that are numbers": (stream(TENSOR, keys=[0]), "not named"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives(name, tmp_path):
    refused(ARCHIVES[name][0], tmp_path, ARCHIVES[name][1])


@pytest.mark.parametrize("name", STREAMS)
def test_hostile_streams(name, tmp_path):
    refused(STREAMS[name][0], tmp_path, STREAMS[name][1])


@pytest.mark.parametrize("name", ["views.pt", "views_legacy.pt"])
def test_every_truncation_is_refused(name, tmp_path):
    data = (FILES / name).read_bytes()
    path = tmp_path / "cut.pt"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            load_tensors(path)


def test_too_large_for_what_is_allowed(tmp_path):
    with pytest.raises(FormatError, match="at most 100 are allowed: give max_size"):
        load_tensors(FILES / "views.pt", max_size=100)
    shutil.copy(FILES / "views.pt", tmp_path / "copy.PT")
    assert len(load_tensors(tmp_path / "copy.PT")) == len(load_tensors(FILES / "views.pt"))
