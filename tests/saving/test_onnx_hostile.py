"""Damaged and hostile ONNX files: a FormatError that says where, soon, and in little memory."""

import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx_fuzz
import pytest
from onnx_graphs import graph, info, lstm_weights, model, node

from cylstm.models import load_model
from cylstm.saving import FormatError
from cylstm.saving._onnx._document import Dimension, Entry, Graph, Model, OperatorSet, Tensor
from cylstm.saving._onnx._tensors import tensor_of

FILES = Path(__file__).resolve().parents[1] / "data" / "onnx"
SECONDS = 0.5  # what a hostile file may take at most, on a busy machine; most take a millisecond
MEMORY = 2**26


def refused(path, message):
    """Check that a file is refused, in time and memory, and names itself and the place."""
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(FormatError, match=message) as caught:
        load_model(path)
    taken = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1] - 4 * path.stat().st_size
    tracemalloc.stop()
    assert taken < 5 * SECONDS  # tracing takes several times as long
    assert peak < MEMORY
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.fixture
def written(tmp_path):
    """Write bytes, or a message, as a file."""

    def write(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.encoded())
        return path

    return write


LSTM = node("LSTM", "x W R B", "y", layout=1)
GOOD = model([LSTM], lstm_weights()).encoded()


def test_the_file_that_is_changed_is_good(written):
    assert len(load_model(written(GOOD)).layers) == 3


# ---------------------------------------------------------------------- bytes

VARINT_11 = b"\x08" + b"\xff" * 10 + b"\x01"
NESTED = b""
for _ in range(200):  # graphs in attributes in nodes in graphs
    NESTED = b"\x32" + onnx_fuzz.varint(len(NESTED)) + NESTED
    NESTED = b"\x2a" + onnx_fuzz.varint(len(NESTED)) + NESTED
    NESTED = b"\x0a" + onnx_fuzz.varint(len(NESTED)) + NESTED


BYTES = {
    "nothing": (b"", "format is unknown|no ONNX model"),
    "no message": (b"\xff" * 40, "integer of more than 10 bytes"),
    "a pickle": (b"\x80\x04\x95 no pickle is ever loaded", "number 0|type|is cut off"),
    "a zip": (b"PK\x03\x04" + b"\0" * 100, "is cut off|number|no ONNX"),
    "a long integer": (VARINT_11, "model holds an integer of more than 10 bytes"),
    "an integer cut off": (b"\x08\xff", "model is cut off within an integer"),
    "a length beyond the end": (
        b"\x08\x08\x3a\xff\xff\xff\xff\x0f" + b"\0" * 9, "model is cut off"
    ),
    "a length of 2**63": (b"\x08\x08\x3a" + b"\xff" * 9 + b"\x00", "is cut off"),
    "a group": (b"\x08\x08\x3b", "field of the type 3"),
    "a field of number 0": (b"\x08\x08\x00\x00", "field of the number 0"),
    "a graph that is a number": (b"\x08\x08\x38\x01", "model.graph is encoded as no bytes"),
    "a version that is a text": (b"\x0a\x01x\x3a\x00", "model.ir_version is encoded as no int"),
    "a text that is none": (
        b"\x08\x08\x12\x02\xff\xfe\x3a\x00", "model.producer_name is no text"
    ),
    "no graph": (b"\x08\x08", "holds no graph"),
    "messages in messages": (
        b"\x08\x08\x3a" + onnx_fuzz.varint(len(NESTED)) + NESTED, "nested more than 24 deep"
    ),
    "two million fields": (
        b"\x08\x08\x3a" + onnx_fuzz.varint(2**21) + b"\x12\x00" * 2**20, "more parts than"
    ),
    "a million numbers of one byte": (
        Model(graph=graph([node("Squeeze", "x", axes=[1] * 2**20)])).encoded(), "more parts than"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_bytes(name, written):
    content, message = BYTES[name]
    refused(written(content), message)


def test_every_truncation_is_refused(written):
    path = written(GOOD)
    for length in reversed(range(len(GOOD))):
        os.truncate(path, length)
        with pytest.raises(FormatError):
            load_model(path)


def test_a_packed_list_that_is_cut_off(written):
    floats = b"\x3a\x05" + b"\0" * 5  # an attribute's floats
    inner = b"\x0a\x01a" + floats
    entry = b"\x2a" + onnx_fuzz.varint(len(inner)) + inner
    nodes = b"\x0a" + onnx_fuzz.varint(len(entry)) + entry
    refused(
        written(b"\x08\x08\x3a" + onnx_fuzz.varint(len(nodes)) + nodes),
        "model.graph.node.attribute.floats is cut off within a number",
    )


# ---------------------------------------------------------------------- tensors


def with_tensor(**fields):
    """A file whose W is another tensor."""
    found = model([LSTM], lstm_weights())
    whole = found.graph.initializer[0]
    for name, value in fields.items():
        setattr(whole, name, value)
    return found


TENSORS = {
    "more numbers than bytes": (with_tensor(dims=[1, 8, 300]), "'W' has 96 bytes.* need 9600"),
    "a shape of 2**80 numbers": (with_tensor(dims=[2**40, 2**40]), "'W' has 96 bytes"),
    "a negative size": (with_tensor(dims=[-1, 8, 3]), r"'W' has the shape \(-1, 8, 3\)"),
    "ten axes": (with_tensor(dims=[1] * 8 + [8, 3]), "'W' has the shape"),
    "an unknown type": (with_tensor(data_type=77), "'W' has the type 77"),
    "texts": (with_tensor(data_type=8), "'W' has the type 8"),
    "no type": (with_tensor(data_type=None), "'W' has the type None"),
    "no data": (with_tensor(raw_data=None), "'W' has 0 numbers"),
    "a part": (with_tensor(segment=b"\x08\x00"), "'W' is a part of one"),
    "numbers of two kinds": (
        with_tensor(raw_data=None, data_type=7, int64_data=[1, 2]), "'W' has 2 numbers"
    ),
    "a number out of range": (
        with_tensor(raw_data=None, data_type=3, dims=[1], int32_data=[300]), "no int8"
    ),
    "another dtype": (
        with_tensor(data_type=9, raw_data=b"\1" * 24), "computes with float32 and bool"
    ),
    "twice": (
        Model(opset_import=[OperatorSet(version=17)], graph=Graph(
            node=[LSTM], input=[info("x")], output=[info("y")],
            initializer=[tensor_of(np.ones(3), "W")] * 2)),
        "two tensors named 'W'",
    ),
    "without a name": (with_tensor(name=""), "two tensors named ''"),
    "sparse": (
        Model(opset_import=[OperatorSet(version=17)], graph=Graph(
            node=[LSTM], sparse_initializer=[b""])), "sparse"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(name, written):
    document, message = TENSORS[name]
    refused(written(document), message)


# ---------------------------------------------------------------------- data in other files


@pytest.fixture
def external(tmp_path):
    """A file whose W lies elsewhere, in a folder with the weights beside it."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    raw = lstm_weights()["W"].tobytes()
    for place in (folder / "weights.bin", folder / "inner" / "weights.bin", tmp_path / "out.bin"):
        place.write_bytes(b"12345678" + raw)

    def write(location="weights.bin", offset="8", length="96", **more):
        entries = {"location": location, "offset": offset, "length": length} | more
        document = with_tensor(
            raw_data=None, data_location=1,
            external_data=[Entry(key=k, value=v) for k, v in entries.items() if v is not None],
        )  # fmt: skip
        path = folder / "model.onnx"
        path.write_bytes(document.encoded())
        return path

    return write


@pytest.mark.parametrize("location", ["weights.bin", "inner/weights.bin", "./weights.bin"])
@pytest.mark.parametrize("length", ["96", None])
def test_data_in_the_folder_are_read(location, length, external, tmp_path):
    found = load_model(external(location, length=length))
    expected = load_model(_good_in(tmp_path))
    for one, two in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_data_in_other_files_count_as_what_is_held(tmp_path):
    """A small file may have weights of any size, if these are really there."""
    weights = lstm_weights(units=150, width=100)
    document = model([LSTM], weights, [info("x", ("batch", None, 100))])
    for tensor in document.graph.initializer:
        (tmp_path / f"{tensor.name}.bin").write_bytes(tensor.raw_data)
        tensor.raw_data, tensor.data_location = None, 1
        tensor.external_data = [Entry(key="location", value=f"{tensor.name}.bin")]
    (tmp_path / "model.onnx").write_bytes(document.encoded())
    found = load_model(tmp_path / "model.onnx")
    assert found.count_params() == 600 * 251


def _good_in(folder):
    (folder / "good.onnx").write_bytes(GOOD)
    return folder / "good.onnx"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/passwd", "folder of the model only"),
        ("../out.bin", "folder of the model only"),
        ("inner/../../out.bin", "folder of the model only"),
        ("inner/./weights.bin", "folder of the model only"),
        ("inner//weights.bin", "folder of the model only"),
        ("", "folder of the model only"),
        ("..", "folder of the model only"),
        ("C:\\weights.bin", "folder of the model only"),
        ("..\\out.bin", "folder of the model only"),
        ("file:///etc/passwd", "folder of the model only"),
        ("weights.bin\0.txt", "folder of the model only"),
        ("missing.bin", "not there"),
        ("inner", "link or odd"),
        ("weights.bin/deeper", "link or odd"),
        ("linked.bin", "link or odd"),
        ("linked/weights.bin", "link or odd"),
        ("hard.bin", "linked or no regular file"),
        ("pipe", "link or odd"),
    ],
)
def test_data_elsewhere_are_not_read(location, message, external, tmp_path):
    path = external(location)
    folder = path.parent
    (folder / "linked.bin").symlink_to(tmp_path / "out.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.link(tmp_path / "out.bin", folder / "hard.bin")
    os.mkfifo(folder / "pipe")
    refused(path, f"tensor 'W'.*{message}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"offset": "9"}, "96 bytes from 9"),
        ({"offset": "-8"}, "offset of tensor 'W' is '-8'"),
        ({"offset": "9999999999999999999"}, "offset of tensor 'W'"),
        ({"offset": "1e3"}, "offset of tensor 'W' is '1e3'"),
        ({"length": "95"}, "95 bytes, and its shape and type need 96"),
        ({"length": "9" * 18}, "need 96"),
        ({"url": "x"}, "external data .*url"),
    ],
)
def test_places_in_other_files_are_checked(more, message, external):
    refused(external(**more), message)


def test_data_in_other_files_count_for_max_size(external):
    path = external()
    size = path.stat().st_size
    load_model(path, max_size=size + 96)
    with pytest.raises(FormatError, match="more than max_size allows"):
        load_model(path, max_size=size + 95)
    with pytest.raises(FormatError, match=f"max_size={size}"):
        load_model(path, max_size=size - 1)


# ---------------------------------------------------------------------- graphs


def chain(op, count, tensors=None, **attributes):
    """One node after the other."""
    more = " " + " ".join(tensors) if tensors else ""
    names = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
    nodes = [
        node(op, names[i] + more, names[i + 1], **attributes) for i in range(count)
    ]
    return model(nodes, tensors)


def doubled(count):
    """A constant that is joined with itself, again and again."""
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(count)]
    return model([*nodes, node("Add", f"x c{count}")], {"c0": np.ones(3, "float32")})


def of_shape(*sizes):
    nodes = [node("ConstantOfShape", "s", "c"), node("Add", "x c")]
    return model(nodes, {"s": np.array(sizes)})


def branches(depth):
    """Ifs in ifs."""
    inner = graph([node("Identity", "x", "r")], outputs="r", inputs=[])
    for _ in range(depth):
        inner = graph(
            [node("If", "yes", "r", then_branch=inner, else_branch=inner)], outputs="r", inputs=[]
        )
    return inner


def recursive():
    inner = graph([node("Identity", "x", "r")], outputs="r", inputs=[])
    for _ in range(9):
        inner = graph(
            [node("If", "yes", "r", then_branch=inner, else_branch=graph([], outputs="x"))],
            outputs="r", inputs=[],
        )  # fmt: skip
    return model(
        [node("If", "yes", "y", then_branch=inner, else_branch=inner)], {"yes": np.array(True)}
    )


FLOATS = {"k": np.ones(3, "float32")}
GRAPHS = {
    "no nodes": (model([]), "holds no graph of nodes"),
    "no outputs": (model([LSTM], lstm_weights(), outputs=""), "no outputs"),
    "no inputs": (model([LSTM], lstm_weights(), inputs=[]), "the_LSTM.*reads 'x'"),
    "an unknown input": (model([node("Relu", "z")]), "the_Relu.*reads 'z'"),
    "a circle": (model([node("Add", "x z", "y"), node("Relu", "y", "z")]), "reads 'z'"),
    "itself": (model([node("Add", "x y", "y")]), "reads 'y'"),
    "an output twice": (
        model([node("Relu", "x", "y"), node("Tanh", "x", "y")]), "gives 'y', which there is"
    ),
    "an input of the name of an output": (
        model([node("Relu", "x", "x")], outputs="x"), "gives 'x'"
    ),
    "an output that is a constant": (
        model([node("Relu", "x", "z"), node("Identity", "k", "y")], FLOATS), "does not depend"
    ),
    "an output that nothing gives": (model([node("Relu", "x", "z")]), "output 'y' reads 'y'"),
    "no operator": (model([node("", "x")]), "operators of this kind"),
    "a version of 2099": (model([LSTM], lstm_weights(), version=99), r"version \[99\]"),
    "a version of before 2017": (model([LSTM], lstm_weights(), version=6), r"version \[6\]"),
    "no version": (Model(graph=graph([LSTM])), r"version \[\]"),
    "an input that is a sequence": (
        Model(opset_import=[OperatorSet(version=17)],
              graph=Graph(node=[LSTM], input=[info("x")], output=[info("y")])), "reads 'W'"
    ),
    "an input of texts": (model([node("Relu", "x")], inputs=[info("x", kind=8)]), "the type 8"),
    "an input of 2**50 features": (
        model([node("Relu", "x")], inputs=[info("x", ("b", 2**50))]), "axis of size"
    ),
    "an input of 60 axes": (
        model([node("Relu", "x")], inputs=[info("x", ("b",) * 60)]), "shape of at most 8 axes"
    ),
    "integers through a layer": (
        model([node("Tanh", "x")], inputs=[info("x", kind=7)]), "the_Tanh.*computes with int64"
    ),
    "a thousand million numbers": (of_shape(10**5, 10**4), "the_Add.*constant of"),
    "a kernel that nobody sent": (
        model([node("ConstantOfShape", "s", "k"), node("MatMul", "x k")],
              {"s": np.array([3, 2**40])}), "the_MatMul.*too large"
    ),
    "a product of what nobody sent": (
        model([node("ConstantOfShape", "s", "k"), node("Gemm", "f k"), ],
              {"s": np.array([3, 2**40])}, [info("f", ("batch", 3))]), "the_Gemm.*too large"
    ),
    "units that nobody sent": (
        model([node("ConstantOfShape", "w", "W"), node("ConstantOfShape", "r", "R"),
               node("LSTM", "x W R", layout=1)],
              {"w": np.array([1, 2**22, 3]), "r": np.array([1, 2**22, 2**20])}),
        "the_LSTM.*too large"
    ),
    "a table that nobody sent": (
        model([node("ConstantOfShape", "s", "k"), node("Gather", "k x")],
              {"s": np.array([2**40, 3])}, [info("x", ("batch", 3), 7)]), "the_Gather.*too large"
    ),
    "a window that nobody sent": (
        model([node("ConstantOfShape", "s", "k"), node("Conv", "x k")],
              {"s": np.array([2**20, 3, 2**20])}, [info("x", ("batch", 3, 9))]),
        "the_Conv.*too large"
    ),
    "a shape of negative sizes": (of_shape(-5), "the_ConstantOfShape.*size -5"),
    "a shape of ten axes": (of_shape(*[1] * 10), "shape has 10 axes"),
    "a constant that doubles": (doubled(60), "the_Concat.*too large"),
    "an axis that is not there": (chain("Softmax", 1, axis=7), "axis is 7, for 3 axes"),
    "ten thousand layers": (chain("Tanh", 10_000), "has .* nodes|becomes .* layers|more parts"),
    "two thousand layers": (chain("Tanh", 2_000), "becomes .* layers"),
    "ten thousand nodes for nothing": (
        model([*(node("Shape", "x", f"v{i}") for i in range(9_000)), node("Tanh", "x")]),
        "nodes|more parts",
    ),
    "axes without end": (
        model([node("Unsqueeze", "x a", "u")] + [node("Identity", "u", "y")],
              {"a": np.arange(1, 30)}),
        "puts in the axes",
    ),
    "an order that is none": (chain("Transpose", 1, perm=[0, 0, 1]), "perm is"),
    "a repeat without end": (
        model([node("Unsqueeze", "x a", "u"), node("Tile", "u r")],
              {"a": np.array([3]), "r": np.array([1, 1, 1, 2**50])}),
        "the_Tile.*repeats a value",
    ),
    "pads without end": (
        chain("Pad", 1, {"p": np.array([0, 2**60, 0, 0, 2**60, 0])}), "the_Pad.*zeros"
    ),
    "steps of zero": (
        model([node("Slice", "x a b c d")], {n: np.array([0]) for n in "abcd"}), "steps"
    ),
    "a division of integers by zero": (
        model([node("Div", "a b", "c"), node("Reshape", "x c")],
              {"a": np.array([1]), "b": np.array([0])}),
        "divides by zero",
    ),
    "a range without end": (
        model([node("Range", "a b c", "r"), node("Add", "x r")],
              {"a": np.array(0.0), "b": np.array(1e300), "c": np.array(1e-9)}),
        "the_Range.*too large",
    ),
    "a range of NaN": (
        model([node("Range", "a b c", "r"), node("Add", "x r")],
              {"a": np.array(0.0), "b": np.array(np.nan), "c": np.array(1.0)}), "the_Range"
    ),
    "a shape of floats": (chain("Reshape", 1, {"s": np.ones(3)}), "no list of sizes"),
    "two unknown sizes": (chain("Reshape", 1, {"s": np.array([-1, -1])}), "its shape is"),
    "a kernel of no numbers": (
        chain("MatMul", 1, {"k": np.ones((3, 0), "float32")}), "the_MatMul"
    ),
    "no kernel": (chain("MatMul", 1, {"k": np.ones((5, 2), "float32")}), "the_MatMul.*multiplies"),
    "two functions in one": (chain("Conv", 1, {"k": np.ones((2, 3, 0), "float32")}), "the_Conv"),
    "an attribute of another type": (chain("Elu", 1, alpha="steep"), "its alpha is 'steep'"),
    "an attribute of no type": (
        model([node("Elu", "x")], version=17), "^$"
    ),
    "branches in branches": (recursive(), "nested more than 24 deep"),
    "a branch that is no graph": (
        model([node("If", "yes", "y", then_branch=1, else_branch=2)], {"yes": np.array(True)}),
        "no condition with two branches|then_branch",
    ),
    "a name of a megabyte": (model([node("Erf", "x", "n" * 2**20)]), "operators of this kind"),
    "a concatenation of nothing": (model([node("Concat", "", axis=0)]), "the_Concat"),
    "a concatenation of what does not fit": (
        model([node("Concat", "x k", axis=2)], {"k": np.ones((2, 2), "float32")}), "the_Concat"
    ),
    "an LSTM of 2**40 units": (
        model([node("LSTM", "x W R", layout=1, hidden_size=2**40)],
              {"W": np.ones((1, 8, 3), "float32"), "R": np.ones((1, 8, 2), "float32")}),
        "hidden_size",
    ),
}  # fmt: skip
# A node with an attribute that says no type; and one that is a part of a function.
GRAPHS["an attribute of no type"][0].graph.node[0].attribute = [
    type(node("Elu", "x", alpha=1.0).attribute[0])(name="alpha", f=1.0)
]
GRAPHS["an attribute of no type"] = (
    GRAPHS["an attribute of no type"][0], "attribute 'alpha' of the type None"
)  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name, written):
    document, message = GRAPHS[name]
    refused(written(document), message)


def test_there_are_enough_hostile_files():
    assert len(BYTES) + len(TENSORS) + len(GRAPHS) > 70


def test_sizes_that_nobody_sent_cost_nothing(written):
    """Initial states of a million numbers that are all the same are no memory."""
    weights = lstm_weights()
    nodes = [
        node("Shape", "x", "all"), node("Slice", "all zero one zero", "n"),
        node("Concat", "one n units", "s", axis=0), node("ConstantOfShape", "s", "h"),
        LSTM,
    ]  # fmt: skip
    nodes[-1] = node("LSTM", "t W R B . h h", "y")
    nodes.insert(0, node("Transpose", "x", "t", perm=[1, 0, 2]))
    tensors = weights | {"zero": np.array([0]), "one": np.array([1]), "units": np.array([2])}
    document = model(nodes, tensors, [info("x", (10**6, 5, 3))])
    with pytest.warns(UserWarning, match="samples on axis"):
        found = load_model(written(document))
    assert found.predict(np.ones((2, 5, 3), "float32")).shape == (2, 5, 1, 2)


def test_dimensions_may_say_nothing(written):
    document = model([LSTM], lstm_weights())
    document.graph.input[0].type.tensor_type.shape.dim[0] = Dimension()
    document.graph.input[0].type.tensor_type.shape.dim[1] = Dimension(value=0)
    assert load_model(written(document)).inputs[0].shape == (None, None, 3)


def test_tensors_may_lie_in_lists(written):
    """Numbers that are not raw bytes, as some writers have them."""
    document = model([LSTM], lstm_weights())
    for tensor in document.graph.initializer:
        tensor.float_data = np.frombuffer(tensor.raw_data, "float32").tolist()
        tensor.raw_data = None
    found = load_model(written(document))
    expected = load_model(written(GOOD))
    for one, two in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_half_precision_is_cast(written):
    weights = lstm_weights()
    nodes = [node("Cast", f"{n}16", n, to=1) for n in weights]
    tensors = {f"{n}16": a.astype("float16") for n, a in weights.items()}
    found = load_model(written(model([*nodes, LSTM], tensors)))
    np.testing.assert_array_equal(
        found.layers[1].kernel.value[:, :2], tensors["W16"][0, :2].T.astype("float32")
    )
    large = lstm_weights(units=128, width=128)
    nodes = [node("Cast", f"{n}16", n, to=1) for n in large]
    tensors = {f"{n}16": a.astype("float16") for n, a in large.items()}
    document = model([*nodes, LSTM], tensors, [info("x", ("batch", None, 128))])
    assert load_model(written(document)).count_params() == 512 * 257
    stored = Tensor(
        dims=[1], data_type=10, int32_data=[int(np.float16(1.5).view("uint16"))], name="half"
    )
    document = model([node("Cast", "half", "k", to=1), node("Mul", "x k")])
    document.graph.initializer = [stored]
    assert load_model(written(document)).layers[1].number == 1.5


def test_mutated_files(tmp_path):
    """A short run of `python tests/onnx_fuzz.py`, in a process of its own."""
    command = [sys.executable, onnx_fuzz.__file__, "600", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["events"] == []
    assert found["loaded"] + found["refused"] == 600
    assert found["refused"] > 200
    assert found["grown"] < 2**16  # KiB
