"""What optimizers compute for each element in the core, against the same formulas in NumPy."""

import numpy as np
import pytest

from cylstm import Variable, _core, _threads, optimizers


def numbers(rng, shape, dtype):
    """Of all sizes, with zeros of both signs, infinities and NaN among them."""
    x = (rng.normal(size=shape) * 10.0 ** rng.integers(-9, 9, shape)).astype(dtype)
    odd = rng.random(shape) < 0.1
    x[odd] = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype), odd.sum())
    return x


READ_ONLY = np.ones(6)
READ_ONLY.flags.writeable = False


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


# ------------------------------------------------------------------------------------ _core.update


FACTORS = {
    "mean and square": (True, True, (0.9, 0.1, 0.75, 0.25, 0.0, 0.5, 1.0, 1e-3)),
    "all factors": (True, True, (0.9, 0.1, 0.75, 0.25, 0.3, 0.5, 2.0, 1e-3)),
    "square": (False, True, (0.0, 0.0, 1.0, 1.0, 0.5, 0.0, 1.0, 1e-3)),
    "mean": (True, False, (0.7, -0.1, 0.0, 0.0, 0.1, -0.7, 0.0, 0.0)),
    "mean alone": (True, False, (0.7, -0.1, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0)),
}


def as_written(g, w, m, v, factors):
    """w', m' and v' by the formulas in `_engine/update.h`."""
    keep_m, add_m, keep_v, add_v, of_g, of_m, of_v, epsilon = (w.dtype.type(f) for f in factors)
    step = np.zeros_like(w)
    if m is not None:
        m = keep_m * m + add_m * g
        step = of_m * m
    if of_g:
        step = step + of_g * g
    if v is not None:
        v = keep_v * v + add_v * g**2
        step = step / (np.sqrt(of_v * v) + epsilon)
    return w - step, m, v


def drawn(kind, shape, dtype, seed=0):
    """A gradient, a value, and the slots; squares are not negative."""
    mean, square, factors = FACTORS[kind]
    rng = np.random.default_rng(seed)
    g, w, m, v = (rng.normal(size=shape).astype(dtype) for _ in range(4))
    return g, w, m if mean else None, np.abs(v) if square else None, np.array(factors)


def copied(array):
    return None if array is None else array.copy()


def updated(g, w, slots, factors, indices=None, pool=None, shape=None):
    """w' and the new slots, which are arrays of their own."""
    out = np.full(g.shape if shape is None else shape, 7, g.dtype)
    new = tuple(None if s is None else np.empty_like(s) for s in slots)
    _core.update([(g, indices, w, slots, new, out, factors)], pool)
    return out, *new


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (), (1,), (3, 5), (4, 16), (2, 7, 11), (1003,)])
@pytest.mark.parametrize("kind", FACTORS)
def test_an_update_by_its_formulas(kind, shape, dtype):
    g, w, m, v, factors = drawn(kind, shape, dtype)
    found = updated(g, w, (m, v), factors)
    for got, expected in zip(found, as_written(g, w, m, v, factors), strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == "float32" else 1e-13,
                                       atol=1e-5 if dtype == "float32" else 1e-13)  # fmt: skip


@pytest.mark.parametrize("kind", FACTORS)
def test_slots_may_be_overwritten(kind):
    g, w, m, v, factors = drawn(kind, (5, 33), "float32")
    expected = updated(g, w, (m, v), factors)
    slots, out = (copied(m), copied(v)), np.empty_like(w)
    _core.update([(g, None, w, slots, slots, out, factors)], None)
    assert_same_bits((out, *slots), expected)


def test_without_a_value_it_is_from_zero():
    g, w, m, v, factors = drawn("mean and square", (4, 5), "float64")
    steps = updated(g, None, (m, v), factors)[0]
    assert_same_bits([steps], [updated(g, np.zeros_like(w), (m, v), factors)[0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 3, 16, 17, 100])
@pytest.mark.parametrize("kind", FACTORS)
def test_rows_are_as_the_whole_matrix(kind, width, dtype):
    whole, w, m, v, factors = drawn(kind, (40, width), dtype)
    for some in ([], [0], [39], [0, 39], [3, 4, 5, 30], list(range(40))):
        indices = np.array(some, np.int64)
        g = np.zeros_like(whole)
        g[indices] = whole[indices]
        expected = updated(g, w, (m, v), factors)
        rows = whole[indices]
        assert_same_bits(updated(rows, w, (m, v), factors, indices, shape=w.shape), expected)


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("shape", [(40, 17), (9, 1), (1, 1000), (3, 16)])
def test_threads_do_not_change_a_bit(threads, shape, monkeypatch):
    least = _core.set_least_elements(0)
    before = _threads.get_num_threads()
    g, w, m, v, factors = drawn("mean and square", shape, "float32")
    indices = np.flatnonzero(np.random.default_rng(1).random(shape[0]) < 0.5)
    try:
        _threads.set_num_threads(threads)
        pool = _threads.pool()
        for gradient, which in ((g, None), (g[indices], indices)):
            alone = updated(gradient, w, (m, v), factors, which, shape=shape)
            shared = updated(gradient, w, (m, v), factors, which, pool, shape)
            assert_same_bits(shared, alone)
    finally:
        _threads.set_num_threads(before)
        _core.set_least_elements(least)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_arrays_that_are_written_past_the_caches(dtype):
    """From 2^20 elements on, where rows are whole vectors at aligned addresses, and elsewhere."""
    shape = (2**14, 64)
    g, w, m, v, factors = drawn("mean and square", shape, dtype)
    indices = np.arange(3, len(g), 7)
    rows = np.zeros_like(g)
    rows[indices] = g[indices]
    for gradient in (g, rows):
        parts = [
            updated(*(a[i : i + 1024] for a in (gradient, w)), (m[i : i + 1024], v[i : i + 1024]),
                    factors)
            for i in range(0, len(g), 1024)
        ]  # fmt: skip
        expected = [np.concatenate(part) for part in zip(*parts, strict=True)]
        assert_same_bits(updated(gradient, w, (m, v), factors, pool=_threads.pool()), expected)
    some = updated(g[indices], w, (m, v), factors, indices, _threads.pool(), shape)
    assert_same_bits(some, expected)
    memory = _core.empty((w.size + 16,), w.dtype)
    for shift in (0, 1):
        out = memory[shift : shift + w.size].reshape(shape)
        _core.update([(g[indices], indices, w, (m, v), (m.copy(), v.copy()), out, factors)], None)
        assert_same_bits([out], expected[:1])


def test_infinite_and_missing_numbers_spread_as_in_the_formulas():
    for kind in FACTORS:
        g, w, m, v, factors = drawn(kind, (1, 40), "float64")
        g[0, :4] = np.inf, -np.inf, np.nan, 0
        with np.errstate(all="ignore"):
            expected = as_written(g, w, m, v, factors)
        np.testing.assert_allclose(updated(g, w, (m, v), factors)[0], expected[0], rtol=1e-12)


def test_several_updates_are_all_done_or_none():
    g, w, m, v, factors = drawn("mean and square", (3, 4), "float32")
    before = m.copy()
    good = (g, None, w, (m, v), (m, v), np.empty_like(w), factors)
    for position, wrong in enumerate(
        [g[:2], np.array([0]), w.astype("float64"), (m, v[:1]), (m[:, :2], v), READ_ONLY]
    ):
        bad = list(good)
        bad[position] = wrong
        with pytest.raises((ValueError, TypeError, BufferError)):
            _core.update([good, tuple(bad)], None)
        assert_same_bits([m], [before])
    with pytest.raises(ValueError, match="does not fit"):
        _core.update([(*good[:-1], factors[:7])], None)
    assert_same_bits([m], [before])
    _core.update([good], None)
    assert not np.array_equal(m, before)


@pytest.mark.parametrize("indices", [[-1], [3], [1, 1], [2, 0]])
def test_rows_that_are_not_there_or_out_of_order_raise(indices):
    g, w, m, v, factors = drawn("mean and square", (3, 4), "float32")
    with pytest.raises(ValueError, match="do not ascend from 0 to below 3"):
        updated(g[: len(indices)], w, (m, v), factors, np.array(indices), shape=w.shape)


# ---------------------------------------------------------------------------------- _core.sum_rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "width", "size"), [(0, 3, 4), (1, 1, 1), (50, 7, 9), (9, 0, 5)])
def test_rows_of_one_index_add_up_in_their_order(count, width, size, dtype):
    rng = np.random.default_rng(4)
    indices = rng.integers(0, size, count)
    rows = numbers(rng, (count, width), dtype)
    with np.errstate(all="ignore"):
        expected = np.zeros((size, width), dtype)
        np.add.at(expected, indices, rows)
    found, sums = _core.sum_rows(indices, rows, size)
    np.testing.assert_array_equal(found, np.unique(indices))
    np.testing.assert_array_equal(sums, expected[found])


@pytest.mark.parametrize(
    ("indices", "rows"),
    [
        (np.array([0, 5]), np.ones((2, 3))),
        (np.array([-1, 0]), np.ones((2, 3))),
        (np.array([0, 1], np.int32), np.ones((2, 3))),
        (np.array([0, 1]), np.ones((3, 3))),
        (np.array([0, 1]), np.ones((2, 6))[:, ::2]),
        (np.array([0, 1]), np.ones((2, 3), np.int64)),
    ],
    ids=["too large", "negative", "int32", "too many rows", "strided", "integers"],
)
def test_what_cannot_be_summed_raises(indices, rows):
    with pytest.raises(ValueError, match="does not fit|is not from 0"):
        _core.sum_rows(indices, rows, 5)
