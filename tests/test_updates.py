"""What optimizers compute for each element in the core, against the same formulas in NumPy."""

import numpy as np
import pytest

from cylstm import Variable, _core, optimizers


def numbers(rng, shape, dtype):
    """Of all sizes, with zeros of both signs, infinities and NaN among them."""
    x = (rng.normal(size=shape) * 10.0 ** rng.integers(-9, 9, shape)).astype(dtype)
    odd = rng.random(shape) < 0.1
    x[odd] = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype), odd.sum())
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 7, 11), (1000,)])
@pytest.mark.parametrize("squares", [False, True])
def test_average(dtype, shape, squares):
    rng = np.random.default_rng(1)
    old, new, out = (numbers(rng, shape, dtype) for _ in range(3))
    _core.average(old, new, 0.9, out, squares)
    with np.errstate(all="ignore"):
        expected = 0.9 * old + (1 - 0.9) * (new * new if squares else new)
    assert expected.dtype == dtype
    np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 7, 11), (1000,)])
def test_divide_by_root(dtype, shape):
    rng = np.random.default_rng(2)
    a, squares, out = (numbers(rng, shape, dtype) for _ in range(3))
    with np.errstate(all="ignore"):
        expected = 0.25 * a / (np.sqrt(squares) + 1e-8)
    _core.divide_by_root(a, squares, 0.25, 1e-8, out)
    np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps)


def test_results_may_replace_what_they_are_made_of():
    old, new = np.arange(37.0), np.linspace(-3, 5, 37)
    expected = 0.5 * old + 0.5 * new**2
    _core.average(old, new, 0.5, old, squares=True)
    np.testing.assert_allclose(old, expected, rtol=1e-15)
    expected = 2 * old / (np.sqrt(old) + 1)
    _core.divide_by_root(old, old, 2, 1, old)
    np.testing.assert_allclose(old, expected, rtol=1e-15)


READ_ONLY = np.ones(6)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize(
    "wrong",
    [
        np.ones(5),
        np.ones(12, "float32"),
        np.ones(6, "int64"),
        np.ones(6, ">f8"),
        np.ones(12)[::2],
        [1.0] * 6,
        None,
    ],
    ids=["short", "float32", "integers", "bytes swapped", "strided", "list", "None"],
)
@pytest.mark.parametrize("of_core", [_core.average, _core.divide_by_root])
def test_other_arrays_raise(of_core, position, wrong):
    arrays = [np.ones(6) for _ in range(3)]
    arrays[position] = wrong
    first, second, out = arrays
    factors = (0.5,) if of_core is _core.average else (0.5, 1e-8)
    with pytest.raises(ValueError, match="expected arrays"):
        of_core(first, second, *factors, out)
    assert all((a == 1).all() for a in arrays if isinstance(a, np.ndarray))


def test_read_only_results_raise():
    with pytest.raises(ValueError, match="writable"):
        _core.average(np.ones(6), np.ones(6), 0.5, READ_ONLY)


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam"])
@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.5}, {"clipvalue": 0.25}])
def test_gradients_of_any_layout_and_variables_without_axes(name, clip):
    """A gradient in Fortran's order, and the numbers that NumPy makes of arrays without axes."""
    rng = np.random.default_rng(3)
    matrix, gradient = rng.normal(size=(2, 4, 6))
    expected, fortran = (Variable(matrix, dtype="float64") for _ in range(2))
    alone = Variable(0.5, dtype="float64")
    for variable, g in ((expected, gradient), (fortran, np.asfortranarray(gradient))):
        getattr(optimizers, name)(**clip).apply([g], [variable])
    np.testing.assert_array_equal(fortran.value, expected.value)
    assert not np.array_equal(expected.value, matrix)
    getattr(optimizers, name)(**clip).apply([np.float64(3.0)], [alone])
    assert alone.value.shape == ()
    assert alone.value < 0.5
