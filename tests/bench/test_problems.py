"""Shapes, cases and the data that all peers are given."""

import numpy as np
import pytest

from bench.problems import (
    BATCHES,
    FRAMES,
    LADDER,
    MODES,
    PUBLISHED,
    STEPS,
    Case,
    Shape,
    make_data,
    plan,
)

SMALL = Shape(3, 5, 4, 2)


def test_shapes_are_read_as_they_are_printed():
    assert str(Shape.parse("32,100,64,128")) == "32,100,64,128"


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,0,3,4", "1,-2,3,4", "1.5,2,3,4"]
)
def test_other_shapes_are_refused(text):
    with pytest.raises(ValueError, match="four positive integers B,T,D,U; got"):
        Shape.parse(text)


def test_lengths_go_from_a_fifth_to_all_steps_in_mixed_order():
    lengths = Case("forward", Shape(32, 100, 1, 1), ragged=True).lengths
    assert (lengths.min(), lengths.max(), lengths.shape) == (20, 100, (32,))
    assert (np.diff(lengths) < 0).any()
    assert (np.diff(lengths) > 0).any()
    assert Case("forward", SMALL).lengths is None


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_no_sequence_is_empty(steps):
    assert Case("forward", Shape(7, steps, 1, 1), ragged=True).lengths.min() >= 1


def test_operations_of_the_products():
    # Two products for each of the four gates, a multiplication and an addition each.
    forward = 2 * 3 * 5 * 4 * (4 * 2 + 2 * 2)
    assert Case("forward", SMALL).flops == forward
    assert Case("train", SMALL).flops == 3 * forward
    ragged = Case("forward", SMALL, ragged=True)
    assert ragged.flops == forward * ragged.lengths.sum() / 15


def test_bytes_of_the_weights_that_one_row_reads():
    case = Case("forward", Shape(1, 5, 4, 2), "float64")
    assert case.streamed_bytes == 8 * (4 * 8 + 5 * 2 * 8)


@pytest.mark.parametrize("mode", MODES)
def test_both_dtypes_are_given_the_same_numbers(mode):
    data = [make_data(Case(mode, SMALL, dtype)) for dtype in ("float32", "float64")]
    for name in ("inputs", "kernel", "recurrent_kernel", "bias", "d_outputs"):
        one, two = (getattr(d, name) for d in data)
        assert (one.dtype, two.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(one, two.astype(np.float32))
    steps = FRAMES if mode == "step" else 5
    assert data[0].inputs.shape == (3, steps, 4)
    assert data[0].kernel.shape == (4, 8)
    assert data[0].recurrent_kernel.shape == (2, 8)
    assert data[0].d_outputs.shape == (3, 5 if mode == "train" else 0, 2)


def test_ragged_data_are_zero_beyond_the_lengths():
    data = make_data(Case("train", SMALL, ragged=True))
    np.testing.assert_array_equal(data.mask.sum(axis=1), data.lengths)
    np.testing.assert_array_equal(data.mask, data.inputs.any(axis=2))
    np.testing.assert_array_equal(data.mask, data.d_outputs.any(axis=2))


def test_gates_are_put_into_another_order():
    data = make_data(Case("forward", SMALL))
    kernel, recurrent_kernel, bias = data.gates("ocif")
    i, f, c, o = np.split(data.kernel, 4, axis=1)
    np.testing.assert_array_equal(kernel, np.concatenate([o, c, i, f], axis=1).T)
    i, f, c, o = np.split(data.recurrent_kernel, 4, axis=1)
    np.testing.assert_array_equal(recurrent_kernel, np.concatenate([o, c, i, f], axis=1).T)
    i, f, c, o = np.split(data.bias, 4)
    np.testing.assert_array_equal(bias, np.concatenate([o, c, i, f]))


def shapes_of(cases, mode, dtype, ragged):
    return [c.shape for c in cases if (c.mode, c.dtype, c.ragged) == (mode, dtype, ragged)]


def test_a_run_without_options_has_every_table():
    cases = plan(list(MODES), ["float32", "float64"], [False, True], None)
    assert shapes_of(cases, "forward", "float32", False) == LADDER + PUBLISHED
    assert shapes_of(cases, "train", "float32", False) == LADDER + PUBLISHED
    for mode in ("forward", "train"):
        assert shapes_of(cases, mode, "float64", False) == BATCHES
        assert shapes_of(cases, mode, "float32", True) == BATCHES
    assert shapes_of(cases, "step", "float32", False) == STEPS
    assert not shapes_of(cases, "step", "float32", True)
    assert len(set(cases)) == len(cases)


def test_a_quick_run_has_less_of_each():
    assert plan(list(MODES), ["float32"], [False], None, quick=True)
    assert len(plan(list(MODES), ["float32"], [False], None, quick=True)) < 10


def test_shapes_that_are_asked_for():
    shapes = [Shape(2, 7, 3, 4), Shape(2, 9, 3, 4), Shape(1, 7, 3, 4)]
    cases = plan(list(MODES), ["float32"], [False, True], shapes)
    assert shapes_of(cases, "forward", "float32", False) == shapes
    # One step is one step of either; a single sequence is not ragged.
    assert shapes_of(cases, "step", "float32", False) == [Shape(2, 1, 3, 4), Shape(1, 1, 3, 4)]
    assert shapes_of(cases, "train", "float32", True) == shapes[:2]
