"""Rows stand for the arrays that they are not."""

import numpy as np
import pytest

from cylstm._rows import Rows


def drawn(seed, dtype="float32", count=6, length=9, width=3):
    """Rows, and the array they stand for."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, length, count)
    values = rng.normal(size=(count, width)).astype(dtype)
    whole = np.zeros((length, width), dtype)
    np.add.at(whole, indices, values)
    return Rows.summed(indices, values, length), whole


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_become_an_array(dtype):
    rows, whole = drawn(0, dtype)
    assert (rows.shape, rows.dtype) == (whole.shape, whole.dtype)
    assert np.asarray(rows).tobytes() == whole.tobytes()
    assert np.asarray(rows, "float64").dtype == "float64"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_add_up_as_arrays_do(dtype):
    (one, first), (other, second) = drawn(1, dtype), drawn(2, dtype)
    total = one + other
    assert isinstance(total, Rows)
    assert (np.diff(total.indices) > 0).all()
    assert np.asarray(total).tobytes() == (first + second).tobytes()
    for mixed in (one + second, second + one):
        assert type(mixed) is np.ndarray
        assert mixed.tobytes() == (first + second).tobytes()


def test_indices_of_any_kind_of_integer():
    values = np.ones((2, 1))
    for dtype in ("int8", "int32", "uint16"):
        assert Rows.summed(np.array([3, 3], dtype), values, 4).values.tolist() == [[2.0]]


def test_a_change_is_of_the_rows_alone():
    rows, whole = drawn(3)
    assert np.asarray(rows.changed(lambda a: a * 2)).tobytes() == (whole * 2).tobytes()
    assert np.asarray(rows).tobytes() == whole.tobytes()
