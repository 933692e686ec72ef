"""The trace: arguments and results, variables, threads, steps of their own, and no autograd."""

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from trace_cases import RNG, B, X, Y, worst_error

from cylstm import Variable
from cylstm import backend as K
from cylstm._trace import differentiate, is_traced, record, require, stop, suspended
from cylstm.testing import numerical_gradient

# ---------------------------------------------------------------------- dtypes and structure


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.mean(x) * 0.5,
        lambda x: np.max(x, axis=-1) / 3,
        lambda x: np.where(x > 1, x, 0.0),
        lambda x: np.maximum(x, 0.5) ** 2,
        lambda x: np.std(x) + np.var(x, axis=0) * 2,
        lambda x: x[0, 0] * 0.1 + np.float32(3) * x,
        lambda x: 0.5 * np.sum(x) * x.sum() + 1,
        lambda x: x * np.arange(4) + x * True,
        lambda x: x * np.linspace(0, 1, 4),  # a float64 array of the user's own
        lambda x: np.linalg.norm(x) * K.epsilon(),
        lambda x: np.concatenate([x, np.ones((1, 4))]),
        lambda x: np.stack([x, np.ones((3, 4))]),
        lambda x: x.astype("float64").sum(axis=0),
    ],
)
def test_values_and_gradients_keep_the_dtype(function, dtype):
    x = X.astype(dtype)
    value, pullback = differentiate(function, [x])
    (gradient,), _ = pullback(np.ones(value.shape))
    assert value.dtype == dtype
    assert gradient.dtype == dtype
    assert gradient.shape == x.shape
    double, pull_double = differentiate(function, [X])
    np.testing.assert_allclose(value, double, rtol=2e-6)
    np.testing.assert_allclose(gradient, pull_double(np.ones(value.shape))[0][0], rtol=1e-5)


def test_arguments_and_results_may_be_lists():
    def function(pair, scale, training, flag=None):
        x, (y, index) = pair
        assert (scale, training) == (3, True)
        return [x * y * scale, y[index]]

    arguments = [[X, (Y, np.array([0, 2]))], 3, True, None]
    (a, b), pullback = differentiate(function, arguments)
    np.testing.assert_allclose(a, X * Y * 3)
    ((dx, (dy, none)), *rest), _ = pullback([np.ones_like(a), None])
    assert rest == [None, None, None]
    assert none is None
    np.testing.assert_allclose(dx, 3 * Y)
    np.testing.assert_allclose(dy, 3 * X)
    (_, (dy, _)), *_ = pullback([None, np.ones_like(b)])[0]
    np.testing.assert_allclose(dy, [[1] * 4, [0] * 4, [1] * 4])


def test_a_pullback_may_be_called_often_and_gives_new_arrays():
    _, pullback = differentiate(lambda x: x + x[::-1], [X])
    first, second = pullback(X)[0][0], pullback(X)[0][0]
    np.testing.assert_array_equal(first, second)
    first[:] = 0
    assert second.any()
    assert X.any()
    value, pullback = differentiate(lambda x: x, [X])
    gradient = pullback(Y)[0][0]
    gradient[:] = 0
    assert Y.any()


def test_a_wrong_number_of_cotangents_raises():
    _, pullback = differentiate(lambda x: [x, x], [X])
    with pytest.raises(ValueError, match="shorter|argument"):
        pullback([X])


def test_no_arguments_of_floats_and_no_arrays():
    value, pullback = differentiate(lambda n: np.arange(n), [3])
    assert value.tolist() == [0, 1, 2]
    assert pullback(None) == ([None], [])


def test_empty_arrays():
    for shape in [(0, 4), (3, 0)]:
        value, pullback = differentiate(lambda x: np.sum(x * 2, axis=-1), [np.ones(shape)])
        assert value.shape == shape[:1]
        assert pullback(np.ones(shape[:1]))[0][0].shape == shape


# ---------------------------------------------------------------------- variables


def test_variables_compute_as_their_values():
    w = Variable(X, "w", dtype="float64")
    for found, expected in [
        (w * 2, X * 2),
        (2 - w, 2 - X),
        (X + w, X + X),
        (w / w, np.ones((3, 4))),
        (-w, -X),
        (abs(-w), X),
        (w**2, X**2),
        (w[0], X[0]),
        (w[:, 1:] * 1, X[:, 1:]),
        (w.T, X.T),
        (w @ B, X @ B),
        (Y.T @ w, Y.T @ X),
        (w > 1, X > 1),
        (np.dot(w, B), X @ B),
        (np.concatenate([w, X]), np.concatenate([X, X])),
        (np.stack(list(w)), X),
        (np.exp(w), np.exp(X)),
        (np.float64(2) * w, 2 * X),
        (np.sum(w, axis=0), X.sum(axis=0)),
    ]:
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected)
    assert (w.shape, w.ndim, w.size, w.dtype) == ((3, 4), 2, 12, np.dtype("float64"))


def test_equality_of_variables_is_identity():
    v, w = Variable([1.0]), Variable([1.0])
    assert v == v
    assert v != w
    assert {v: 1, w: 2}[v] == 1
    assert K.equal(v, w).all()
    assert bool(v)  # as before there were operators


def test_numpy_does_not_write_to_a_variable():
    v = Variable([1.0, 2.0])
    with pytest.raises(TypeError, match="assign"):
        np.add(v, 1, out=v)
    with pytest.raises(TypeError):
        v[0] = 3.0
    assert v.value.tolist() == [1.0, 2.0]


WITH_WEIGHTS = {
    "times": lambda x, w: x * w,
    "times_left": lambda x, w: w * x,
    "minus": lambda x, w: x - w,
    "minus_plain": lambda x, w: X - w,
    "over": lambda x, w: x / w,
    "power": lambda x, w: w**x,
    "negative": lambda x, w: x * -w,
    "row": lambda x, w: x * w[0],
    "transposed": lambda x, w: x @ w.T,
    "matmul": lambda x, w: w @ x.T,
    "value": lambda x, w: x * w.value,
    "dot": lambda x, w: np.dot(x, w.T),
    "K": lambda x, w: K.dot(x, K.transpose(w)) * K.sum(w),
    "concatenate": lambda x, w: np.concatenate([x, w]),
    "stack": lambda x, w: K.stack([x, w]),
    "list": lambda x, w: K.sum([x, w], axis=0),
    "where": lambda x, w: np.where(x > 1, w, x),
    "maximum": lambda x, w: K.maximum(x, w),
    "ufunc": lambda x, w: np.multiply(np.exp(w), x),
    "scalar": lambda x, w: x * K.mean(w),
    "rows": lambda x, w: sum(row * w_row for row, w_row in zip(x, w, strict=True)),
    "itself": lambda x, w: w,
    "both": lambda x, w: w * w + w,
    "by_name": lambda x, w: np.sum(a=w, axis=0) * x,
}


@pytest.mark.parametrize("name", sorted(WITH_WEIGHTS))
def test_gradients_of_variables(name):
    function = WITH_WEIGHTS[name]
    w = Variable(Y, "w", dtype="float64")
    value, pullback = differentiate(lambda x: function(x, w), [X], [w])
    weights = np.cos(np.arange(value.size)).reshape(value.shape)
    (dx,), (dw,) = pullback(weights)

    def total(x, y):
        return float((np.asarray(function(x, Variable(y, dtype="float64"))) * weights).sum())

    np.testing.assert_allclose(dx, numerical_gradient(lambda x: total(x, Y), X), atol=1e-6)
    np.testing.assert_allclose(dw, numerical_gradient(lambda y: total(X, y), Y), atol=1e-6)
    assert (w.value == Y).all()


def test_other_variables_are_constants():
    w, other = Variable(Y, dtype="float64"), Variable(X, dtype="float64")
    _, pullback = differentiate(lambda x: x * w + other, [X], [w])
    (dx,), (dw,) = pullback(np.ones((3, 4)))
    np.testing.assert_allclose(dx, Y)
    np.testing.assert_allclose(dw, X)


def test_a_variable_that_is_differentiated_does_not_become_a_plain_array():
    w = Variable(Y, dtype="float64")
    with pytest.raises(TypeError, match=r"cylstm\.backend"):
        differentiate(lambda x: x * np.asarray(w), [X], [w])
    assert np.asarray(w) is w.value
    value, pullback = differentiate(lambda x: x * w.numpy(), [X], [w])  # plain on purpose
    assert not pullback(value)[1][0].any()


# ---------------------------------------------------------------------- several traces


def test_threads_trace_the_same_variable_at_once():
    w = Variable(Y, dtype="float64")
    meet = threading.Barrier(4, timeout=30)
    found = [None] * 4

    def work(number):
        def function(x):
            meet.wait()
            y = x
            for _ in range(20):
                y = y * w + number
            meet.wait()
            return y * w

        _, pullback = differentiate(function, [X * 0.1], [w])
        meet.wait()
        assert type(w.value) is np.ndarray
        found[number] = pullback(np.ones((3, 4)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):

        def alone(x, number=number):
            y = x
            for _ in range(20):
                y = y * w + number
            return y * w

        _, pullback = differentiate(alone, [X * 0.1], [w])
        (dx,), (dw,) = pullback(np.ones((3, 4)))
        np.testing.assert_array_equal(found[number][0][0], dx)
        np.testing.assert_array_equal(found[number][1][0], dw)


def test_a_trace_within_a_trace():
    w, v = Variable(Y, dtype="float64"), Variable(X, dtype="float64")

    def function(x):
        # of plain numbers, with another variable: a derivative of its own
        value, pullback = differentiate(lambda y: y * y * v, [Y], [v])
        inner = pullback(np.ones((3, 4)))[0][0]
        return x * w * inner

    _, pullback = differentiate(function, [X], [w])
    (dx,), (dw,) = pullback(np.ones((3, 4)))
    np.testing.assert_allclose(dx, Y * 2 * Y * X)
    np.testing.assert_allclose(dw, X * 2 * Y * X)


def test_a_variable_of_the_outer_trace_is_not_lost_in_an_inner_one():
    w = Variable(Y, "w", dtype="float64")

    def function(x):
        inner, _ = differentiate(lambda y: y * w, [Y], name="the inner one")
        return x * inner

    with pytest.raises(TypeError, match=r"<Variable w.*the inner one"):
        differentiate(function, [X], [w])
    assert type(w * 1) is np.ndarray


def test_second_derivatives_and_mixed_traces_are_refused():
    with pytest.raises(TypeError, match="second derivatives"):
        differentiate(lambda x: differentiate(lambda y: y * y, [x])[0], [X])
    kept = []
    differentiate(lambda x: kept.append(x) or x, [X])
    with pytest.raises(TypeError, match="ended"):
        kept[0] * 2
    with pytest.raises(TypeError, match="meets"):
        differentiate(lambda x: x * kept[0], [X])
    with pytest.raises(TypeError, match="another derivative"):
        differentiate(lambda x: kept[0], [X])


def test_autograd_itself_is_left_alone():
    import autograd
    import autograd.numpy as anp
    from autograd.tracer import Box, trace_stack

    before = (dict(Box.type_mappings), set(Box.types))
    assert worst_error(lambda x: np.tanh(x) @ B, X) < 1e-6
    assert (dict(Box.type_mappings), set(Box.types)) == before
    assert trace_stack.top == -1
    gradient = autograd.grad(lambda x: anp.sum(x**2))(X)
    np.testing.assert_allclose(gradient, 2 * X)
    # a derivative of autograd's within ours, of plain numbers
    assert worst_error(lambda x: x * autograd.grad(lambda y: anp.sum(y**3))(Y), X) < 1e-6
    # functions of autograd.numpy on traced arrays
    assert worst_error(lambda x: anp.sum(anp.exp(x) * anp.concatenate([x, x])[:3]), X) < 1e-6


def test_a_trace_is_freed_with_its_pullback():
    boxes = []

    class Watched(np.ndarray):
        """An array that can be referred to weakly."""

    def function(x):
        big = np.ones((3, 4)).view(Watched)
        boxes.append(weakref.ref(big))
        return x * big

    _, pullback = differentiate(function, [X])
    assert boxes[0]() is not None  # the derivative needs it
    del pullback
    gc.collect()
    assert boxes[0]() is None


# ---------------------------------------------------------------------- steps of their own


def test_a_recorded_step_takes_lists_and_variables():
    w = Variable(Y, dtype="float64")

    def layer(x, pair):
        assert not is_traced(x, pair)
        assert type(w.value) is np.ndarray
        y, z = pair

        def pullback(cotangents):
            d_first, d_second = cotangents
            return [d_first * y, [d_first * x + 2 * d_second, None]], [d_second * 3]

        return [x * y, 2 * y + 3 * w.value], pullback

    def function(x):
        first, second = record(layer, [x, [x * x, np.ones(1)]], [w])
        assert is_traced(first)
        return first * 2 + second

    value, pullback = differentiate(function, [X], [w])
    np.testing.assert_allclose(value, 2 * X**3 + 2 * X**2 + 3 * Y)
    (dx,), (dw,) = pullback(np.ones((3, 4)))
    np.testing.assert_allclose(dx, 6 * X**2 + 4 * X)
    np.testing.assert_allclose(dw, np.full((3, 4), 3.0))
    _, pullback = differentiate(lambda x: record(layer, [x, [x, x]], [w])[1], [X], [w])
    np.testing.assert_allclose(pullback(np.ones((3, 4)))[0][0], np.full((3, 4), 2.0))


def test_a_recorded_step_of_plain_numbers_is_plain():
    assert record(lambda x: (x * 2, None), [X]) is not None
    assert type(record(lambda x: (x * 2, None), [X])) is np.ndarray


def test_suspended_and_stop():
    w = Variable(Y, dtype="float64")

    def function(x):
        assert is_traced(w.value)
        with suspended():
            assert type(w.value) is np.ndarray
        assert is_traced(stop(np.ones(3)))
        return x * w

    differentiate(function, [X], [w])
    assert stop(X) is X


# ---------------------------------------------------------------------- without autograd

WITHOUT = """
import sys
sys.modules["autograd"] = None
import numpy as np
import cylstm
from cylstm import Variable, backend as K
from cylstm._trace import differentiate, evaluate
x, w = np.ones((2, 3), "float32"), Variable(np.ones((3, 4)))
assert K.dot(x * 2, w).tolist() == [[6.0] * 4] * 2
assert evaluate(lambda x: K.dot(x * 2, w), [x]).tolist() == [[6.0] * 4] * 2
assert evaluate(lambda x: np.block([[x, x]]) * np.median(x), [x]).shape == (2, 6)
assert K.softmax(K.concatenate([x, x])).dtype == "float32"
assert K.rnn(lambda x, s: (x + s[0], [x + s[0]]), np.ones((2, 3, 4)), [np.zeros((2, 4))])
try:
    differentiate(lambda x: x, [x], name="the loss f", instead="decorate it with with_gradient")
except TypeError as error:
    print(error)
else:
    raise SystemExit("no error")
"""


def test_without_autograd_values_work_and_derivatives_say_what_to_install():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the loss f has no derivative" in done.stdout
    assert "pip install 'cylstm[autograd]'" in done.stdout
    assert "decorate it with with_gradient" in done.stdout


def test_autograd_is_imported_for_the_first_derivative_only():
    code = (
        "import sys, numpy as np, cylstm; from cylstm import backend as K\n"
        "K.softmax(K.dot(np.ones((2, 3)), cylstm.Variable(np.ones((3, 2)))))\n"
        "assert not any(name.startswith('autograd') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_require_is_silent_where_autograd_is():
    require("f", "g")


# ---------------------------------------------------------------------- what users write


def additive_attention(x, query, w1, w2, v):
    """Bahdanau's: the score of each step, and the mean of the steps that they weigh."""
    scores = K.dot(K.tanh(K.dot(x, w1) + K.expand_dims(K.dot(query, w2), 1)), v)
    weights = K.softmax(K.squeeze(scores, -1))
    return K.batch_dot(weights, x, axes=(1, 1)), weights


def cell(x, states, kernel, recurrent, bias):
    """A step of an LSTM in K."""
    h, c = states
    z = K.dot(x, kernel) + K.dot(h, recurrent) + bias
    i, f, g, o = (z[:, 2 * k : 2 * k + 2] for k in range(4))
    c = K.sigmoid(f) * c + K.sigmoid(i) * K.tanh(g)
    h = K.sigmoid(o) * K.tanh(c)
    return h, [h, c]


def assert_exact(function, inputs, weights):
    """The gradients of a list of outputs, of inputs and weights, are those of differences."""
    held = [Variable(w, dtype="float64") for w in weights]
    values, pullback = differentiate(lambda *a: function(*a, *held), inputs, held)
    cotangents = [np.cos(np.arange(v.size) + k).reshape(v.shape) for k, v in enumerate(values)]
    of_inputs, of_weights = pullback(cotangents)
    points = [*inputs, *weights]
    for k, gradient in enumerate([*of_inputs, *of_weights]):

        def total(moved, k=k):
            results = function(*points[:k], moved, *points[k + 1 :])
            return float(sum((r * c).sum() for r, c in zip(results, cotangents, strict=True)))

        expected = numerical_gradient(total, points[k])
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


def normal(*shapes):
    return [RNG.normal(size=shape) for shape in shapes]


def test_attention():
    assert_exact(additive_attention, normal((2, 4, 3), (2, 2)), normal((3, 5), (2, 5), (5, 1)))


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_cell_with_a_mask_and_states(unroll, backwards):
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)

    def run(x, h, c, *weights):
        last, outputs, states = K.rnn(
            lambda x, s: cell(x, s, *weights), x, [h, c], backwards, mask, unroll=unroll
        )
        return [outputs, last, *states]

    assert_exact(run, normal((2, 4, 3), (2, 2), (2, 2)), normal((3, 8), (2, 8), (8,)))
