import numpy as np
import pytest

from cylstm import _checks

F4, F8 = np.dtype("float32"), np.dtype("float64")


def test_a_fitting_array_is_used_in_place():
    x = np.arange(6.0).reshape(2, 3)
    assert _checks.as_array(x, F8, "x") is x


@pytest.mark.parametrize(
    "odd",
    [
        np.arange(6.0).reshape(2, 3, order="F"),
        np.arange(12.0).reshape(2, 6)[:, ::2],
        np.arange(6.0).reshape(3, 2).T,
        np.arange(6).reshape(2, 3),
        np.arange(6, dtype="float16").reshape(2, 3),
        np.arange(6.0).reshape(2, 3).astype(">f8"),
        np.frombuffer(b"\0" + np.arange(6.0).tobytes(), "f8", offset=1).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).astype("float32"),
        [[0.0, 1, 2], [3, 4, 5]],
        ((0.0, 1, 2), np.array([3, 4, 5])),
    ],
    ids="fortran strided transposed int half swapped misaligned single list mixed".split(),
)
def test_odd_arrays_become_plain_ones(odd):
    array = _checks.as_array(odd, F8, "x")
    assert array.dtype == F8
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.aligned
    np.testing.assert_array_equal(array, np.asarray(odd, float))


def test_whatever_has_an_array_method_is_accepted():
    class Frame:
        def __array__(self, dtype=None, copy=None):
            return np.ones((2, 3))

    assert _checks.as_array(Frame(), F4, "x").dtype == F4


def test_subclasses_become_plain_arrays():
    class Mine(np.ndarray):
        pass

    assert type(_checks.as_array(np.ones((2, 3)).view(Mine), F8, "x")) is np.ndarray


@pytest.mark.parametrize(
    "bad",
    [
        np.ones(3, complex),
        np.array([1, None]),
        np.array(["a"]),
        "text",
        None,
        np.array(["2020-01-01"], "datetime64[D]"),
    ],
    ids="complex object string text none date".split(),
)
def test_what_holds_no_real_numbers_is_refused(bad):
    with pytest.raises(TypeError, match="^x must hold real numbers"):
        _checks.as_array(bad, F8, "x")


def test_masked_arrays_are_refused_with_advice():
    with pytest.raises(TypeError, match="filled"):
        _checks.as_array(np.ma.masked_array([1.0, 2.0], [True, False]), F8, "x")


def test_uneven_lists_are_refused():
    with pytest.raises(ValueError, match="^x cannot be made an array"):
        _checks.as_array([[1.0], [1.0, 2.0]], F8, "x")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.ones((2, 3, 4)), 3), ([[1, 2]], 2), ([np.ones(3)], 2), ([], 1), (3.0, 0), ([None], 1)],
)
def test_rank(value, expected):
    assert _checks.rank(value) == expected


def test_masks_become_bool():
    mask = _checks.as_mask([[1, 0], [2.5, 0.0]], (2, 2))
    np.testing.assert_array_equal(mask, [[True, False], [True, False]])
    with pytest.raises(ValueError, match=r"\(2, 3\), got \(2, 2\)"):
        _checks.as_mask(mask, (2, 3))


@pytest.mark.parametrize("good", [1, 7, np.int64(3)])
def test_positive_int(good):
    assert _checks.positive_int(good, "units") == good


@pytest.mark.parametrize(
    ("bad", "error"),
    [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("3", TypeError), (True, TypeError)],
)
def test_positive_int_refuses(bad, error):
    with pytest.raises(error, match="^units must be a positive integer"):
        _checks.positive_int(bad, "units")


def test_fraction_clips_and_refuses():
    assert [_checks.fraction(v, "dropout") for v in (-1, 0.25, 1.5)] == [0.0, 0.25, 1.0]
    with pytest.raises(ValueError, match="NaN"):
        _checks.fraction(float("nan"), "dropout")
    with pytest.raises(TypeError, match="^dropout must be a number"):
        _checks.fraction("much", "dropout")


@pytest.mark.parametrize("bad", ["float16", "int32", "no_such", complex, object()])
def test_only_two_dtypes_compute(bad):
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        _checks.float_dtype(bad)
