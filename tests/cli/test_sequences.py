"""Sequences in CSV, parquet and .npz: what is read, and what is refused with its place."""

import os
import sys

import numpy as np
import pyarrow
import pytest
from cli_runs import write_long, write_wide
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv as pyarrow_csv
from pyarrow import parquet

from cylstm.cli._sequences import read
from cylstm.cli._tables import Layout
from cylstm.saving import FormatError

LIMIT = 2**20


def text(tmp_path, contents, layout=None, name="data.csv", limit=LIMIT):
    path = tmp_path / name
    if isinstance(contents, str):
        contents = contents.encode()
    path.write_bytes(contents)
    return read(path, layout or Layout(), limit)


def same(found, wanted):
    assert found.names == wanted.names
    assert [a.tolist() for a in found.inputs] == [a.tolist() for a in wanted.inputs]
    assert (found.features, found.target_names) == (wanted.features, wanted.target_names)
    np.testing.assert_array_equal(found.targets, wanted.targets)


def test_a_row_for_each_sequence(tmp_path):
    found = text(tmp_path, "a,b,c,d,target\n1,2,3,4,x\n5,6,,,y\n", Layout(per_step=2))
    assert [a.tolist() for a in found.inputs] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert found.targets.tolist() == ["x", "y"]
    assert found.inputs[0].dtype == np.float32
    assert (found.names, found.width) == (["0", "1"], 2)


def test_a_row_for_each_step_in_any_order(tmp_path):
    rows = "sequence,step,u,v,target\nb,2,3,30,7\na,0,9,90,8\nb,0,1,10,7\nb,1,2,20,7\n"
    found = text(tmp_path, rows)
    assert found.names == ["b", "a"]
    assert [a.tolist() for a in found.inputs] == [[[1, 10], [2, 20], [3, 30]], [[9, 90]]]
    assert found.targets.tolist() == [[7], [8]]
    assert found.features == ("u", "v")


def test_names_of_columns_are_ones_own(tmp_path):
    layout = Layout("long", "id", "t", ("p", "q"), ("note",))
    found = text(tmp_path, "note,id,t,u,p,q\nhm,a,0,1,2,3\n", layout)
    assert (found.names, found.features) == (["a"], ("u",))
    assert found.targets.tolist() == [[2, 3]]
    wide = text(tmp_path, "sequence,a,b,target\nfirst,1,2,1\n", Layout("wide"))
    assert (wide.names, wide.inputs[0].tolist()) == (["first"], [[1], [2]])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_ends_of_lines_and_marks(delimiter, end, tmp_path):
    lines = ["a,b,target", '1,2,"x', 'y"', "", " 3 ,4e-1,z"]
    contents = end.join(lines).replace(",", delimiter).encode("utf-8-sig")
    found = text(tmp_path, contents)
    assert [a.ravel().tolist() for a in found.inputs] == [[1, 2], [3, np.float32(0.4)]]
    assert found.targets.tolist() == [f"x{end}y", "z"]


@pytest.mark.parametrize("write", [write_wide, write_long])
def test_parquet_is_as_csv(write, tmp_path):
    write(tmp_path / "data.csv")
    options = pyarrow_csv.ConvertOptions(strings_can_be_null=True)
    table = pyarrow_csv.read_csv(tmp_path / "data.csv", convert_options=options)
    parquet.write_table(table, tmp_path / "data.parquet")
    layout = Layout("auto", "machine", "hour", ("wear", "cost"))
    layout = layout if write is write_long else Layout()
    same(*(read(tmp_path / f"data.{s}", layout, LIMIT) for s in ("parquet", "csv")))


@pytest.mark.parametrize(
    "y", [np.array([1, 0]), np.array([True, False]), np.array(["a", "b"]), np.array([[1.5], [2]])]
)
def test_arrays(y, tmp_path):
    x = np.arange(12.0).reshape(2, 3, 2)
    np.savez_compressed(tmp_path / "data.npz", x=x, y=y, lengths=np.array([3, 2], "uint8"))
    found = read(tmp_path / "data.npz", Layout(), LIMIT)
    assert [a.tolist() for a in found.inputs] == [x[0].tolist(), x[1, :2].tolist()]
    wanted = y if y.dtype.kind == "U" else y.reshape(2, 1)
    wanted = np.array([str(value) for value in y]) if y.dtype == bool else wanted
    np.testing.assert_array_equal(found.targets, wanted)


def test_arrays_of_one_feature_and_no_targets(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones((2, 3), ">i2", order="F"))
    found = read(tmp_path / "data.npz", Layout(), LIMIT)
    assert [a.shape for a in found.inputs] == [(3, 1)] * 2
    assert found.targets is None


WIDE = {
    "": "its first line is empty",
    "a,b\n": "it has no rows",
    "a,,target\n1,2,3\n": "its column 2 has no name",
    "1,2,3\n4,5,6\n": "its first line holds the numbers",
    "a,a,target\n1,2,3\n": "two columns 'a'",
    "a,b,target\n1,2\n": "line 2 has 2 cells, and the header 3 names",
    "a,b,target\n1,2,3,4\n": "line 2 has 4 cells",
    "a,b,target\n1,2,3\n1,x,3\n": "line 3, column 'b': 'x' is no number",
    "a,b,target\n1,1_000,3\n": "'1_000' is no number",
    "a,b,target\n1,inf,3\n": "line 2 holds a number that is infinite",
    "a,b,target\n1,1e300,3\n": "too large",
    "a,b,target\n,1,3\n": "line 2, column 'a' is empty; only the end of a row may be",
    "a,b,target\n,,3\n": "line 2: the sequence has no steps",
    "a,b,target\n1,2,\n": "line 2, column 'target' is empty",
    "a,b,target\n1,2,nan\n": "a target is infinite or NaN",
    'a,b,target\n1,2,"3\n': "line",
    "target\n3\n": "no columns are left",
    "a,b,target\n1,2,\0\n3,\0,1\n": "is no number",
    b"\xff\xfe\x00a": "can't decode",
    "a,target\n" + "9" * 200_000 + ",1\n": "field larger than field limit",
}


@pytest.mark.parametrize("contents", WIDE)
def test_what_is_no_wide_table(contents, tmp_path):
    with pytest.raises(FormatError, match="Cannot read '.*data.csv': ") as caught:
        text(tmp_path, contents)
    assert WIDE[contents] in str(caught.value)


LONG = {
    "sequence,step,u\na,0,1\na,0,2\n": "two rows of the step 0",
    "sequence,step,u\na,,1\n": "does not say which step",
    "sequence,step,u\na,0,\n": "line 2, column 'u' is empty",
    "sequence,u,target\na,1,x\nb,1,x\na,2,y\n": "two values of 'target': 'x' in line 2 and 'y'",
    "sequence,u\na,nan\n": "line 2, column 'u' is empty",
    "sequence,u\na,inf\n": "the sequence 'a' holds a number that is infinite",
    "sequence,target\na,1\n": "no columns are left",
}


@pytest.mark.parametrize("contents", LONG)
def test_what_is_no_long_table(contents, tmp_path):
    with pytest.raises(FormatError) as caught:
        text(tmp_path, contents)
    assert LONG[contents] in str(caught.value)


def test_layouts_that_do_not_fit(tmp_path):
    rows = "a,b,c,target\n1,2,3,4\n1,2,3,4\n"
    for layout, message in [
        (Layout("long"), "no column 'sequence' that says"),
        (Layout(ignore=("z",)), "no column 'z' to ignore"),
        (Layout(per_step=2), "no multiple of the 2"),
        (Layout(target=("target", "z")), "no column 'z'"),
        (Layout(sequence="a", features=("z",)), "no column 'z', an input of the model"),
        (Layout("wide", sequence="a"), "two rows are of the sequence '1': is the layout long?"),
    ]:
        with pytest.raises(FormatError, match=message):
            text(tmp_path, rows, layout)
    with pytest.raises(FormatError, match="has 3 numbers, which is no multiple of the 2"):
        text(tmp_path, "a,b,c,d,target\n1,2,3,,1\n", Layout(per_step=2))
    with pytest.raises(FormatError, match="several targets must be numbers"):
        text(tmp_path, rows.replace("4", "x"), Layout(target=("c", "target")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(3)}, "no array x"),
        ({"x": np.ones(3)}, "must be numbers of the shape"),
        ({"x": np.array([["a"]])}, "must be numbers"),
        ({"x": np.ones((0, 3))}, "holds no sequences"),
        ({"x": np.ones((2, 0, 3))}, "holds no sequences"),
        ({"x": np.ones((2, 3)), "y": np.ones(3)}, "y must have the shape"),
        ({"x": np.ones((2, 3)), "y": np.ones((2, 1, 1))}, "y must have the shape"),
        ({"x": np.ones((2, 3)), "y": np.array([["a", "b"]] * 2)}, "several targets must be"),
        ({"x": np.ones((2, 3)), "y": np.array([1, np.nan])}, "a target is infinite or NaN"),
        ({"x": np.ones((2, 3)), "lengths": np.array([3.0, 2])}, "lengths must be integers"),
        ({"x": np.ones((2, 3)), "lengths": np.array([3, 4])}, "from 1 to the 3 steps"),
        ({"x": np.ones((2, 3)), "lengths": np.array([0, 3])}, "from 1 to the 3 steps"),
        ({"x": np.array([[1, np.inf]])}, "sequence 0 of x holds a number that is infinite"),
        ({"x": np.array([[1, None]])}, "is not one of numbers"),
    ],
)
def test_arrays_that_are_no_sequences(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", allow_pickle=True, **arrays)
    with pytest.raises(FormatError, match=message):
        read(tmp_path / "data.npz", Layout(), LIMIT)


def test_padding_may_hold_anything(tmp_path):
    x = np.array([[1, np.nan], [1, 2]])
    np.savez(tmp_path / "data.npz", x=x, lengths=np.array([1, 2]))
    assert read(tmp_path / "data.npz", Layout(), LIMIT).lengths.tolist() == [1, 2]


def test_parquet_that_is_none(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(FormatError, match="Cannot read"):
        read(path, Layout(), LIMIT)
    parquet.write_table(pyarrow.table({"a": ["x"], "target": [1]}), path)
    with pytest.raises(FormatError, match="column 'a' is of string"):
        read(path, Layout(), LIMIT)
    parquet.write_table(pyarrow.table({"a": [1.0, None], "b": [1, 2], "target": [1, 2]}), path)
    with pytest.raises(FormatError, match="row 1, column 'a' is empty"):
        read(path, Layout(), LIMIT)


def test_parquet_that_unfolds(tmp_path):
    """Few bytes can stand for many numbers."""
    path = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"a": np.zeros(10**6), "target": np.zeros(10**6)}), path)
    assert path.stat().st_size < 2**15
    with pytest.raises(FormatError, match="take 8000000 bytes, and at most 1048576 are allowed"):
        read(path, Layout(), LIMIT)


def test_parquet_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'cylstm\[parquet\]'"):
        read(tmp_path / "data.parquet", Layout(), LIMIT)


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, error, message in [
        ("no.csv", FileNotFoundError, "no.csv"),
        ("pipe.csv", FormatError, "no regular file"),
        ("folder.csv", FormatError, "it is a folder"),
        ("data.xlsx", ValueError, "sequences are read from .csv, .tsv"),
        ("data", ValueError, "sequences are read from"),
    ]:
        with pytest.raises(error, match=message):
            read(tmp_path / name, Layout(), LIMIT)
    with pytest.raises(FormatError, match="at most 10 are allowed"):
        text(tmp_path, "a,b,target\n1,2,3\n", limit=10)


@given(st.binary(max_size=200), st.sampled_from(["csv", "npz", "parquet"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, suffix):
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(data)
    try:
        found = read(path, Layout(), LIMIT)
    except FormatError:
        return
    assert all(np.isfinite(sequence).all() for sequence in found.inputs)


@given(st.text(st.sampled_from('ab,;\t\n\r"1.-e \0_x'), max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, contents):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("a,b,target\n1,2,3\n" + contents, encoding="utf-8")
    try:
        found = read(path, Layout(), LIMIT)
    except FormatError:
        return
    assert found.lengths.min() > 0
