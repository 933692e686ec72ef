"""`_core.Affine`, products beside the LSTM: against its NumPy twin, and on its own."""

import pickle
from functools import partial

import numpy as np
import pytest
from core_problems import NAMES, NUMBERS
from hypothesis import given
from hypothesis import strategies as st

from cylstm import _core, _reference, _threads

ALL = sorted(_core.ACTIVATIONS)
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def alone():
    """No pool: one thread."""


def normal(rng, *shape, dtype="float32"):
    return np.asarray(rng.normal(size=shape), dtype)


def assert_near(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    scale = 1 + np.max(np.abs(expected), initial=0)
    assert np.max(np.abs(found - expected), initial=0) < TOLERANCE[found.dtype.name] * scale


@st.composite
def products(draw):
    """A kernel, a bias or none, an activation, inputs, and windows or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    features, columns = draw(st.integers(0, 20)), draw(st.sampled_from([1, 3, 16, 17, 65, 130]))
    windowed = draw(st.booleans())
    size = draw(st.integers(0, 4)) if windowed else 1
    shape = (size, features, columns) if windowed else (features, columns)
    bias = normal(rng, columns, dtype=dtype) if draw(st.booleans()) else None
    activation = NUMBERS[draw(st.sampled_from(ALL))]
    windows = None
    if windowed:
        shape_of_x = draw(st.integers(0, 3)), draw(st.integers(0, 9)), features
        windows = tuple(draw(st.integers(low, 9)) for low in (0, 1, 1, 0))
    else:
        shape_of_x = (*draw(st.lists(st.integers(0, 9), min_size=1, max_size=3)), features)
    x = normal(rng, *shape_of_x, dtype=dtype)
    return normal(rng, *shape, dtype=dtype), bias, activation, x, windows


@given(products())
def test_core_and_twin_agree(product):
    kernel, bias, activation, x, windows = product
    found, expected = (
        of.Affine(kernel, bias, activation=activation).forward(x, windows, alone)
        for of in (_core, _reference)
    )
    assert_near(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(1, 1300, 70), (7, 600, 33), (100, 1030, 200), (131, 40, 1000)]
)
def test_large_products_agree(dtype, rows, depth, columns):
    rng = np.random.default_rng(0)
    kernel, bias = normal(rng, depth, columns, dtype=dtype), normal(rng, columns, dtype=dtype)
    x = normal(rng, rows, depth, dtype=dtype) / np.sqrt(depth, dtype=dtype)
    for name in ("linear", "tanh", "softmax"):
        found, expected = (
            of.Affine(kernel, bias, activation=NUMBERS[name]).forward(x, None, alone)
            for of in (_core, _reference)
        )
        assert_near(found, expected)


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "softmax"])
@pytest.mark.parametrize("columns", [1, 40, 700])
def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_threads(columns, activation):
    rng = np.random.default_rng(0)
    affine = _core.Affine(
        normal(rng, 530, columns), normal(rng, columns), activation=NUMBERS[activation]
    )
    x = normal(rng, 150, 530)
    whole = affine.forward(x, None, alone)
    for some in (1, 2, 5, 6, 7, 47, 49):
        np.testing.assert_array_equal(affine.forward(x[:some], None, alone), whole[:some])
    stepper = _core.AffineStepper(
        affine, (1, 530), None, out := np.empty((1, columns), "f"), out, alone
    )
    for i in (0, 7, 149):
        np.testing.assert_array_equal(stepper(x[i : i + 1])[0], whole[i])
    before = _core.set_least_work(0)
    try:
        for pool in map(_core.Pool, (2, 3, 8)):
            for some in (3, 150):
                found = affine.forward(x[:some], None, partial(lambda p: p, pool))
                np.testing.assert_array_equal(found, whole[:some])
    finally:
        _core.set_least_work(before)


def test_threads_that_serve_compute_the_same_bits():
    rng = np.random.default_rng(0)
    affine = _core.Affine(normal(rng, 3, 64, 300), normal(rng, 300), activation=NUMBERS["relu"])
    x = normal(rng, 4, 200, 64)
    windows = 200, 1, 1, 1
    whole = affine.forward(x, windows, alone)
    for _ in range(20):
        np.testing.assert_array_equal(affine.forward(x, windows, _threads.pool), whole)
        np.testing.assert_array_equal(
            affine.forward(x[:1, :5], (3, 1, 1, 1), _threads.pool)[0], whole[0, :3]
        )


def test_a_window_has_the_same_bits_wherever_it_is_read_from():
    rng = np.random.default_rng(0)
    affine = _core.Affine(normal(rng, 3, 8, 20), normal(rng, 20), activation=NUMBERS["tanh"])
    x = normal(rng, 2, 30, 8)
    whole = affine.forward(x, (30, 1, 1, 1), alone)
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    np.testing.assert_array_equal(affine.forward(padded, (30, 1, 1, 0), alone), whole)
    np.testing.assert_array_equal(affine.forward(x, (15, 2, 1, 1), alone), whole[:, ::2])
    spread = np.repeat(x, 2, axis=1)[:, ::2]  # steps that are apart
    np.testing.assert_array_equal(affine.forward(spread, (30, 1, 1, 1), alone), whole)
    mirrored = x[:, ::-1].copy()[:, ::-1]  # and against the order
    np.testing.assert_array_equal(affine.forward(mirrored, (30, 1, 1, 1), alone), whole)
    dilated = np.repeat(x, 2, axis=1)
    np.testing.assert_array_equal(affine.forward(dilated, (30, 2, 2, 2), alone), whole)


def test_rows_that_are_apart():
    rng = np.random.default_rng(0)
    affine = _core.Affine(normal(rng, 8, 20), None, activation=NUMBERS["linear"])
    x = normal(rng, 6, 4, 8)
    whole = affine.forward(x, None, alone)
    np.testing.assert_array_equal(affine.forward(x[:, 1], None, alone), whole[:, 1])
    np.testing.assert_array_equal(affine.forward(x[:, ::2], None, alone), whole[:, ::2])
    np.testing.assert_array_equal(affine.forward(x[::-1, 0], None, alone), whole[::-1, 0])
    with pytest.raises(ValueError, match="its rows are not evenly apart"):
        affine.forward(x[:, :3], None, alone)


def test_results_go_where_they_are_wanted():
    rng = np.random.default_rng(0)
    kernel, x = normal(rng, 3, 5), normal(rng, 4, 3)
    for of in (_core, _reference):
        affine = of.Affine(kernel, None, activation=NUMBERS["relu"])
        out = np.full((4, 5), np.nan, "f")
        assert affine.forward(x, None, alone, out) is out
        np.testing.assert_array_equal(out, affine.forward(x, None, alone))


def test_not_a_number_stays_in_its_row():
    rng = np.random.default_rng(0)
    kernel, x = normal(rng, 30, 70), normal(rng, 20, 30)
    for name in NAMES:
        affine = _core.Affine(kernel, None, activation=NUMBERS[name])
        whole = affine.forward(x, None, alone)
        x[5, 3], before = np.nan, x[5, 3]
        found = affine.forward(x, None, alone)
        x[5, 3] = before
        assert np.isnan(found[5]).all()
        np.testing.assert_array_equal(np.delete(found, 5, 0), np.delete(whole, 5, 0))


def test_denormal_numbers_count_as_zeros():
    affine = _core.Affine(np.ones((1, 4), "f"), None, activation=NUMBERS["linear"])
    found = affine.forward(np.array([[1e-40], [1.0]], "f"), None, alone)
    np.testing.assert_array_equal(found, [[0] * 4, [1] * 4])


# What is refused, by the core and by the twin -----------------------------------------------------

W, B, X = np.ones((3, 4), "f"), np.ones(4, "f"), np.ones((2, 3), "f")
WINDOWS = 2, 1, 1, 0


def reject(of, error, text, *, kernel=W, bias=B, x=X, windows=None, out=None, activation=0):
    with pytest.raises(error, match=text):
        of.Affine(kernel, bias, activation=activation).forward(x, windows, alone, out)


@pytest.mark.parametrize("of", [_core, _reference])
def test_refusals_name_what_does_not_fit(of):
    reject(of, TypeError, "kernel must be an array, got list", kernel=[[1.0]])
    reject(of, ValueError, r"kernel must have two or three axes, got the shape \(4,\)", kernel=B)
    reject(of, ValueError, "kernel is not C-contiguous", kernel=W.T)
    reject(of, ValueError, "kernel has the dtype int64, expected float32", kernel=W.astype("i8"))
    reject(of, ValueError, "bias has the dtype float64, expected float32", bias=B.astype("f8"))
    reject(of, ValueError, r"bias has the shape \(3,\), expected \(4,\)", bias=B[:3])
    reject(of, TypeError, "inputs must be an array, got list", x=[[1.0]])
    reject(of, ValueError, "inputs has the dtype float64, expected float32", x=X.astype("f8"))
    reject(of, ValueError, r"the shape \(2, 2\), expected \(..., 3\)", x=X[:, :2])
    reject(of, ValueError, r"the shape \(3,\), expected \(..., 3\)", x=X[0])
    reject(of, ValueError, "inputs is not contiguous", x=np.ones((2, 6), "f")[:, ::2])
    reject(of, ValueError, "a kernel of two axes has no windows", windows=WINDOWS)
    reject(of, ValueError, r"out has the shape \(2, 3\), expected \(2, 4\)", out=X)
    reject(of, ValueError, "out has the dtype float64", out=np.ones((2, 4)))
    reject(of, ValueError, "out is not C-contiguous", out=np.ones((4, 2), "f").T)
    frozen = np.ones((2, 4), "f")
    frozen.flags.writeable = False
    reject(of, ValueError, "out is read-only", out=frozen)
    reject(of, ValueError, "99 is not the number of an activation", activation=99)


@pytest.mark.parametrize("of", [_core, _reference])
def test_refusals_of_windows(of):
    kernel = np.ones((2, 3, 4), "f")
    x = np.ones((1, 5, 3), "f")
    reject(of, ValueError, r"expected \(batch, timesteps, 3\)", kernel=kernel, windows=WINDOWS)
    for wrong in ((-1, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, -1)):
        reject(of, ValueError, "are no windows", kernel=kernel, x=x, windows=wrong)


def test_windows_beyond_all_sizes_are_refused():
    kernel, x = np.ones((2, 3, 4), "f"), np.ones((1, 5, 3), "f")
    for wrong in ((2, 2**62, 1, 0), (1, 1, 2**62, 0), (1, 1, 1, 2**62 + 1)):
        reject(_core, ValueError, "are no windows", kernel=kernel, x=x, windows=wrong)
    reject(_core, MemoryError, "no memory", kernel=kernel, x=x, windows=(2**60, 1, 1, 0))


def test_steppers_refuse_frames_that_do_not_fit():
    affine, out = _core.Affine(W, B, activation=0), np.empty((2, 4), "f")
    for shape, outputs in (((2, 4), out), ((2, 3, 3), out), ((3, 3), out), ((2, 3), X)):
        with pytest.raises(ValueError, match="shape"):
            _core.AffineStepper(affine, shape, None, outputs, None, alone)
    stepper = _core.AffineStepper(affine, (2, 3), None, out, "done", alone)
    for frame in (X[:1], X[0], X[:, :2], X.astype("f8"), np.ones((2, 6), "f")[:, ::2], [[1.0]]):
        with pytest.raises(ValueError, match=r"a frame must have the shape \(2, 3\)"):
            stepper(frame)
    assert stepper(X) == "done"
    np.testing.assert_array_equal(out, 4)
    with stepper.claim, pytest.raises(RuntimeError, match="in use"):
        stepper(X)


def test_steps_of_windows():
    rng = np.random.default_rng(0)
    affine = _core.Affine(normal(rng, 3, 8, 20), normal(rng, 20), activation=NUMBERS["relu"])
    windows, out = (4, 2, 1, 1), np.empty((2, 4, 20), "f")
    stepper = _core.AffineStepper(affine, (2, 7, 8), windows, out, out, alone)
    for _ in range(3):
        x = normal(rng, 2, 7, 8)
        np.testing.assert_array_equal(stepper(x), affine.forward(x, windows, alone))


def test_packed_weights_do_not_travel():
    affine = _core.Affine(W, B, activation=0)
    stepper = _core.AffineStepper(affine, (2, 3), None, np.empty((2, 4), "f"), None, alone)
    for which in (affine, stepper):
        with pytest.raises(TypeError, match="belong to one process"):
            pickle.dumps(which)
