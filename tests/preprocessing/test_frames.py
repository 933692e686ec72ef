"""sequences_from_frame: tables of every library become sequences, or are refused with the row."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cylstm
from cylstm.layers import LSTM, Dense, Masking
from cylstm.preprocessing import sequences_from_frame
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.sklearn import LSTMClassifier

DATA = {
    "user": ["b", "a", "b", "c", "a", "b"],
    "hour": [3, 1, 1, 5, 0, 2],
    "x": [3.0, 10.0, 1.0, 7.0, 9.0, 2.0],
    "k": [30, 100, 10, 70, 90, 20],
    "on": [True, False, True, True, False, True],
    "mood": ["up", "down", "up", "up", "down", "up"],
}
DAYS = [datetime.datetime(2020, 1, day + 1) for day in DATA["hour"]]
FRAMES = {
    "dict": dict,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "pyarrow batch": lambda d: pa.RecordBatch.from_pydict(d),
    "pandas of Arrow": lambda d: pa.table(d).to_pandas(types_mapper=pd.ArrowDtype),
}
SORTED = {"b": [[1, 10], [2, 20], [3, 30]], "a": [[9, 90], [10, 100]], "c": [[7, 70]]}


def listed(arrays):
    return [array.tolist() for array in arrays]


@pytest.fixture(params=FRAMES)
def made(request):
    return FRAMES[request.param]


def test_groups_are_in_order_of_appearance_and_steps_in_their_own(made):
    found = sequences_from_frame(made(DATA), "user", "hour", ["x", "k"], "mood")
    assert found.groups == ["b", "a", "c"]
    assert listed(found.inputs) == [SORTED[name] for name in found.groups]
    assert {a.dtype.name for a in found.inputs} == {"float32"}
    assert found.targets.tolist() == ["up", "down", "up"]
    assert (found.features, found.categories) == (["x", "k"], {})


def test_without_an_order_rows_stay(made):
    found = sequences_from_frame(made(DATA), "user", features=["hour"], dtype="float64")
    assert listed(found.inputs) == [[[3], [1], [2]], [[1], [0]], [[5]]]
    assert found.targets is None
    assert found.inputs[0].dtype == "float64"


def test_what_is_named_nowhere_is_a_feature(made):
    found = sequences_from_frame(made(DATA), "user", "hour", target="mood")
    assert found.features == ["x", "k", "on"]
    assert found.inputs[1].tolist() == [[9, 90, 0], [10, 100, 0]]


@pytest.mark.parametrize("times", [DAYS, [d.date() for d in DAYS], [str(d) for d in DAYS]])
def test_times_and_texts_are_orders(made, times):
    found = sequences_from_frame(made({**DATA, "hour": times}), "user", "hour", ["x", "k"])
    assert listed(found.inputs) == [SORTED[name] for name in found.groups]


def test_an_order_and_a_group_of_several_columns(made):
    data = {**DATA, "half": [0, 0, 0, 0, 0, 1], "hour": [3, 1, 2, 5, 0, 2]}
    found = sequences_from_frame(made(data), ["user", "on"], ["hour", "half"], ["x"])
    assert found.groups == [("b", True), ("a", False), ("c", True)]
    assert listed(found.inputs) == [[[1], [2], [3]], [[9], [10]], [[7]]]


def test_targets_of_each_step_and_several(made):
    frame = made(DATA)
    per_step = sequences_from_frame(frame, "user", "hour", ["x"], "k", per_step=True)
    assert listed(per_step.targets) == [[10, 20, 30], [90, 100], [70]]
    two = sequences_from_frame(frame, "user", "hour", ["x"], ["k", "on"], per_step=True)
    assert listed(two.targets)[1] == [[90, 0], [100, 0]]
    moods = sequences_from_frame(frame, "user", "hour", ["x"], ["on", "mood"], categories=["mood"])
    assert moods.targets.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert moods.categories == {"mood": ["down", "up"]}


def test_categories_are_columns_or_numbers_and_are_kept(made):
    frame = made(DATA)
    found = sequences_from_frame(frame, "user", "hour", ["x", "mood"], categories=["mood"])
    assert found.features == ["x", "mood=down", "mood=up"]
    assert found.inputs[1].tolist() == [[9, 1, 0], [10, 1, 0]]
    numbered = sequences_from_frame(
        frame, "user", "hour", ["mood"], categories={"mood": ["up", "sideways", "down"]},
        one_hot=False,
    )  # fmt: skip
    assert listed(numbered.inputs) == [[[1]] * 3, [[3]] * 2, [[1]]]
    part = {name: values[:1] for name, values in DATA.items()}
    again = sequences_from_frame(made(part), "user", features=["mood"], categories=found.categories)
    assert again.inputs[0].tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="row 1, column 'mood': 'down' is none of the categories"):
        sequences_from_frame(frame, "user", features=["mood"], categories={"mood": ["up"]})


def test_categories_of_every_library():
    for column in (
        pd.Series(DATA["mood"], dtype="category"),
        pl.Series("mood", DATA["mood"], dtype=pl.Categorical),
        pl.Series("mood", DATA["mood"], dtype=pl.Enum(["up", "down"])),
        pa.array(DATA["mood"]).dictionary_encode(),
        np.array(DATA["mood"]),
    ):
        found = sequences_from_frame(
            {**DATA, "mood": column}, "user", "hour", ["mood"], categories=["mood"]
        )
        assert found.inputs[1].tolist() == [[1, 0]] * 2
        assert found.categories == {"mood": ["down", "up"]}


def test_what_comes_out_goes_into_fit_and_estimators():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 6, 24)
    group = np.repeat(np.arange(24), lengths)
    frame = pd.DataFrame({"id": group, "u": rng.standard_normal(len(group)), "y": group % 2})
    frame["u"] += 3 * frame["y"]
    found = sequences_from_frame(frame.sample(frac=1, random_state=0), "id", target="y")
    assert sorted(map(len, found.inputs)) == sorted(lengths)
    fitted = LSTMClassifier(4, random_state=0, max_iter=60).fit(found.inputs, found.targets)
    assert fitted.score(found.inputs, found.targets) > 0.9
    model = cylstm.Sequential([Masking(input_shape=(None, 1)), LSTM(4), Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(
        pad_sequences(found.inputs, dtype="float32"), found.targets, epochs=2, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


def test_sequences_share_one_block_of_memory():
    found = sequences_from_frame(DATA, "user", "hour", ["x"])
    assert all(np.shares_memory(a, found.inputs[0].base) for a in found.inputs)
    assert all(a.flags.c_contiguous for a in found.inputs)


def test_names_of_columns_may_be_anything():
    frame = pd.DataFrame({0: [1, 1], ("a", "b"): [5, 6], "columns": [7, 8]})
    found = sequences_from_frame(frame, 0)
    assert found.features == [("a", "b"), "columns"]
    assert found.groups == [1]
    exact = pa.table({"g": [1], "d": pa.array([decimal.Decimal("1.5")])})
    assert sequences_from_frame(exact, "g").inputs[0].tolist() == [[1.5]]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "message"),
    [
        ({"x": [1, 2, None, 4, 5, 6]}, {}, ValueError, "row 2, column 'x' is empty; fill it first"),
        ({"user": ["b", None, *"bcab"]}, {}, ValueError, "row 1, column 'user' does not say which"),
        ({"hour": [0, 1, 2, 3, 4, None]}, {}, ValueError, "row 5, column 'hour' does not say"),
        ({"hour": [1, 2, 1, 3, 4, 5]}, {}, ValueError, "'b' has two rows of the step 1: row 0 and"),
        ({"x": [1.0, 2.0, np.inf, 4.0, 5.0, 6.0]}, {}, ValueError, "'b' holds a .*inf.*row 2"),
        ({"x": [1.0, 2.0, 1e300, 4.0, 5.0, 6.0]}, {}, ValueError, "large: 1.*e.300 in row 2"),
        ({"mood": ["up", *["down"] * 5]}, {}, ValueError, "'b' has two values of 'mood': 'up' in"),
        ({"mood": [None, *["down"] * 5]}, {}, ValueError, "row 0, column 'mood' is empty"),
        ({}, {"features": ["mood"], "target": None}, TypeError, r"text: name it in categories=\["),
        ({"x": DAYS}, {}, TypeError, "holds times: give numbers"),
        ({"x": [[1]] * 6}, {}, TypeError, "column 'x' holds lists"),
        ({}, {"group": "usr"}, ValueError, "'usr'; did you mean 'user'. There are 'user'"),
        ({}, {"group": []}, ValueError, "group must name"),
        ({}, {"features": []}, ValueError, "no columns are left"),
        ({}, {"features": ["x", "user"]}, ValueError, "column 'user' is named twice"),
        ({}, {"categories": ["k"]}, ValueError, "'k', which is neither a feature nor a target"),
        ({}, {"target": ["mood", "k"]}, TypeError, "several targets must be numbers"),
        ({}, {"dtype": "int32"}, ValueError, "dtype must be"),
    ],
)  # fmt: skip
def test_what_cannot_be(made, changes, arguments, error, message):
    given = {"group": "user", "order": "hour", "features": ["x"], "target": "mood", **arguments}
    with pytest.raises(error, match=message):
        sequences_from_frame(made({**DATA, **changes}), **given)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.LazyFrame(DATA), r"frame\.collect\(\)"),
        (np.zeros((3, 2)), "frame must be a DataFrame"),
        (None, "frame must be a DataFrame"),
    ],
)
def test_what_is_no_frame(frame, message):
    with pytest.raises(TypeError, match=message):
        sequences_from_frame(frame, "user")


def test_other_frames_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\.reset_index\(\)"):
        sequences_from_frame(pd.DataFrame(DATA).set_index("user"), "user")
    with pytest.raises(ValueError, match="two columns 'x'"):
        sequences_from_frame(pd.DataFrame([[1, 2, 3]], columns=["g", "x", "x"]), "g")
    with pytest.raises(ValueError, match="column 'user' has no rows"):
        sequences_from_frame({name: [] for name in DATA}, "user", "hour", ["x"])
    with pytest.raises(ValueError, match="column 'x' has 5 and 6 of another rows"):
        sequences_from_frame({**DATA, "x": [1.0] * 5}, "user", "hour", ["x"])
    with pytest.raises(TypeError, match="did you mean 'group'"):
        sequences_from_frame(DATA, groups="user")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), min_size=1, max_size=30, unique=True)
)
def test_every_row_is_in_its_place(rows):
    """Against the obvious loop."""
    names, steps = [row[0] for row in rows], [row[1] for row in rows]
    frame = {"g": names, "t": steps, "row": list(range(len(rows)))}
    found = sequences_from_frame(frame, "g", "t")
    expected = {}
    for number, (name, step) in enumerate(rows):
        expected.setdefault(name, []).append((step, number))
    assert found.groups == list(expected)
    for array, pairs in zip(found.inputs, expected.values(), strict=True):
        assert array[:, 0].tolist() == [number for _, number in sorted(pairs)]
