"""Plain NumPy in functions of users: derivatives are exact or refused, never lost."""

import numpy as np
import pytest
from trace_cases import NUMPY, REFUSED, SQUARE, X, Y, worst_error

from cylstm import Variable
from cylstm import backend as K
from cylstm._trace import differentiate, evaluate


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_numpy_is_followed(name):
    function, *points = NUMPY[name]
    assert worst_error(function, *points) < 1e-6


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_lose_the_gradient_raises(name):
    with pytest.raises(TypeError, match=r"cylstm\.backend|has a derivative|several arrays"):
        differentiate(REFUSED[name], [X], name="the loss f")
    # nothing is left behind
    assert K.sum(Variable([1.0, 2.0])) == 3
    assert worst_error(lambda x: x * 2, X) < 1e-9


def test_a_derivative_that_does_not_work_out_names_the_function():
    _, pullback = differentiate(lambda s: np.einsum("ii->i", s), [SQUARE])
    with pytest.raises(TypeError, match=r"einsum.*cylstm\.backend"):
        pullback(np.ones(3))


def test_the_message_names_the_function_and_the_way_out():
    def my_loss(x):
        return np.array(x).sum()

    with pytest.raises(TypeError, match=r"the function my_loss .*cylstm\.backend.*stop_gradient"):
        differentiate(my_loss, [X])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: K.zeros_like(x),
        lambda x: K.stop_gradient(x) * 3.0,
        lambda x: K.stop_gradient(np.ones(3)),
        lambda x: K.one_hot(K.cast(x, "int32"), 3),
        lambda x: K.cast(K.greater(x, 1), "float32"),
        lambda x: K.round(x),
        lambda x: (x > 1) & (x < 1.5),
        lambda x: np.floor(x) + np.sign(x),
    ],
)
def test_what_has_no_gradient_has_zeros(function):
    value, pullback = differentiate(function, [X.astype("float32")])
    (gradient,), _ = pullback(np.ones_like(value))
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))
    assert type(value) is np.ndarray


def test_constants_become_plain_arrays_freely():
    def rows(x):
        order = np.asarray(np.argsort(x[:, 0]))
        assert type(order) is np.ndarray
        count = int(np.sum(x > 1))
        return x[order] * count * float(np.round(x[0, 0])) * X[np.argmax(x, 0)].sum()

    assert worst_error(rows, X) < 1e-6


# ---------------------------------------------------------------------- without a derivative


@pytest.mark.parametrize("name", sorted(NUMPY))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_evaluation_gives_the_numbers_of_training(name, dtype):
    function, *points = NUMPY[name]
    points = [p.astype(dtype) for p in points]
    found = evaluate(function, points)
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, differentiate(function, points)[0])
    expected = np.asarray(function(*points))
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("name", sorted(set(REFUSED) - {"written_to", "view", "none", "index"}))
def test_evaluation_may_use_plain_arrays(name):
    found = evaluate(REFUSED[name], [X])
    expected = REFUSED[name](X)
    for a, b in zip(*[r if isinstance(r, list) else [r] for r in (found, expected)], strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))


def test_evaluation_does_not_change_its_arguments():
    w = Variable(Y, "w", dtype="float64")

    def function(x):
        before = x
        x += w
        total = w * 1
        total += x
        total *= 2
        return [x, before, total]

    given = X.copy()
    for found in (evaluate(function, [given]), differentiate(function, [given], [w])[0]):
        np.testing.assert_array_equal(given, X)
        np.testing.assert_array_equal(found[0], X + Y)
        np.testing.assert_array_equal(found[1], X)
        np.testing.assert_allclose(found[2], 2 * (X + 2 * Y))
    np.testing.assert_array_equal(w.value, Y)
    with pytest.raises(TypeError, match="written"):
        evaluate(REFUSED["written_to"], [X])


def test_evaluation_passes_lists_and_other_arguments_on():
    def function(pair, index, flag):
        assert flag is None
        return (pair[0][index], pair[1] * 2)

    found = evaluate(function, [[X, Y], np.array([0, 0]), None])
    np.testing.assert_array_equal(found[0], X[[0, 0]])
    np.testing.assert_array_equal(found[1], Y * 2)
    with pytest.raises(ZeroDivisionError):
        evaluate(lambda x: 1 / 0, [X])
    assert type(Variable([1.0]) * 2) is np.ndarray  # nothing is left behind
