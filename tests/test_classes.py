"""Rows of probabilities of classes, as the core computes with them."""

import numpy as np
import pytest

from cylstm import _core, activations, losses

LEAST = float(np.float32(1e-7))
DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def drawn(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(shape[-1], 0.3), shape[:-1]).astype(dtype)
    return p, rng.integers(0, shape[-1], shape[:-1]), rng.normal(size=shape).astype(dtype)


def computed(p, whole, numbers=None, dp=None):
    out = np.full(p.shape if whole else p.shape[:-1], np.nan, p.dtype)
    _core.classes(p.itemsize == 8, p.shape[-1], whole, p, numbers, dp, LEAST, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 12, 17])
def test_back_through_a_softmax(dtype, classes):
    p, _, dp = drawn(dtype, (3, 5, classes))
    expected = activations.vjp(activations.softmax)(None, p, dp)
    np.testing.assert_allclose(computed(p, True, dp=dp), expected, 0, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 12, 17])
def test_likelihoods_of_the_true_classes(dtype, classes):
    p, numbers, _ = drawn(dtype, (7, classes))
    p[0, 0], numbers[0], p[1, -1] = 0, 0, 1
    clipped = np.clip(p, p.dtype.type(LEAST), 1 - p.dtype.type(LEAST))
    chosen = np.take_along_axis(clipped, numbers[:, None], 1)
    total = clipped.sum(axis=1, keepdims=True)
    ratios = computed(p, False, numbers)
    np.testing.assert_allclose(ratios, (total / chosen)[:, 0], TOLERANCE[dtype])
    slopes = np.where(np.arange(classes) == numbers[:, None], 1 / total - 1 / chosen, 1 / total)
    slopes[clipped != p] = 0
    np.testing.assert_allclose(computed(p, True, numbers), slopes, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows(dtype):
    p = np.ones((0, 3), dtype)
    assert computed(p, False, np.zeros(0, np.int64)).shape == (0,)
    assert computed(p, True, np.zeros(0, np.int64)).shape == (0, 3)
    assert computed(p, True, dp=p).shape == (0, 3)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_class_that_there_is_not_raises(number):
    with pytest.raises(ValueError, match="out of range"):
        computed(np.ones((2, 3)), True, np.array([0, number]))


@pytest.mark.parametrize(
    ("n", "whole", "p", "numbers", "dp", "out"),
    [
        (3, True, np.ones((2, 3), "float32"), None, np.ones((2, 3)), np.ones((2, 3))),
        (3, True, np.ones((2, 3)), None, np.ones((2, 2)), np.ones((2, 3))),
        (3, False, np.ones((2, 3)), None, np.ones((2, 3)), np.ones(2)),
        (3, True, np.ones((2, 3)), np.zeros(2, np.int64), None, np.ones(2)),
        (3, False, np.ones((2, 3)), np.zeros(2, np.int64), None, np.ones((2, 3))),
        (3, False, np.ones((2, 3)), np.zeros(3, np.int64), None, np.ones(2)),
        (3, False, np.ones((2, 3)), np.zeros(2, np.int32), None, np.ones(2)),
        (0, False, np.ones((2, 3)), np.zeros(2, np.int64), None, np.ones(2)),
    ],
)
def test_arrays_that_do_not_fit_raise(n, whole, p, numbers, dp, out):
    with pytest.raises(ValueError, match="does not fit"):
        _core.classes(True, n, whole, p, numbers, dp, LEAST, out)


@pytest.mark.parametrize("dtype", ["uint8", "int32", ">i4", "float32", "float64", "bool"])
def test_targets_of_any_dtype_give_the_same_loss(dtype):
    p, numbers, _ = drawn("float32", (3, 4, 2))
    loss, targets = losses.sparse_categorical_crossentropy, numbers.astype(dtype)
    for given in (targets, np.asfortranarray(targets), targets[..., None]):
        np.testing.assert_array_equal(loss(given, p), loss(numbers, p))
        np.testing.assert_array_equal(loss.gradient(given, p), loss.gradient(numbers, p))


@pytest.mark.parametrize("target", [3, -1, 255])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_numbers_beyond_the_classes_are_named(target, dtype):
    targets = np.array([0, target], dtype)
    with pytest.raises(ValueError, match=f"from 0 to 2 .* got {target}"):
        losses.sparse_categorical_crossentropy(targets, np.full((2, 3), 0.3))
