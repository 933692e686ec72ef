"""The backend: every function against Keras 2.0.9 on TensorFlow 1.4.1, and exact derivatives."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import _phase
from cylstm import backend as K
from cylstm._trace import differentiate
from cylstm.backend import _absent
from cylstm.testing import numerical_gradient

DATA = Path(__file__).parents[1] / "data"
RECORDED = json.loads((DATA / "backend.json").read_text())
ARRAYS = dict(np.load(DATA / "backend.npz"))
INPUTS = {n.split("/")[1]: a for n, a in ARRAYS.items() if n.startswith("inputs/")}

_spec = importlib.util.spec_from_file_location("record_backend", DATA / "record_backend.py")
recorder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recorder)
CASES = recorder.CASES

# No number can be compared for these: each has a test of its own below.
OF_CHANCE = {
    "dropout",
    "random_binomial",
    "random_normal",
    "random_normal_variable",
    "random_uniform",
    "random_uniform_variable",
    "truncated_normal",
}
OURS = {"backend", "learning_phase"}


def is_tensor(name, number):
    return RECORDED["values"][name][number] is None and f"{name}/{number}" in ARRAYS


def as_array(result):
    return result.value if isinstance(result, cylstm.Variable) else np.asarray(result)


# ---------------------------------------------------------------------- against Keras


@pytest.mark.parametrize("name", sorted(CASES))
def test_values_are_those_of_keras(name, capsys):
    case = CASES[name]
    results = case(K, *[INPUTS[n] for n in recorder.names_of(case)])
    assert len(results) == len(RECORDED["values"][name])
    for number, result in enumerate(results):
        if not is_tensor(name, number):
            assert result == RECORDED["values"][name][number]
            continue
        expected, found = ARRAYS[f"{name}/{number}"], as_array(result)
        assert found.shape == expected.shape, number
        assert found.dtype == expected.dtype, number
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6, err_msg=str(number))


def weighted(results, name):
    """The sum that the recorded gradients are of."""
    total = 0
    for number, result in enumerate(results):
        if is_tensor(name, number) and ARRAYS[f"{name}/{number}"].dtype.kind == "f":
            shape = np.shape(result)
            total = total + K.sum(K.cast(result, result.dtype) * recorder.cotangent(shape))
    return total


def gradients_of(name, inputs):
    case, names = CASES[name], recorder.names_of(CASES[name])
    arguments = [inputs[n] for n in names]
    value, pullback = differentiate(
        lambda *a: weighted(case(K, *a), name) + K.sum(0 * a[0]), arguments
    )
    found = pullback(np.ones_like(value))[0]
    return {n: g for n, g in zip(names, found, strict=True) if g is not None}


DIFFERENTIABLE = sorted({n.split("/")[0] for n in ARRAYS if "/d_" in n} - {"inputs"})


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_of_keras(name, capsys):
    found = gradients_of(name, INPUTS)
    for n, gradient in found.items():
        assert gradient.dtype == np.float32
        assert gradient.shape == INPUTS[n].shape
        expected = ARRAYS.get(f"{name}/d_{n}", np.zeros_like(gradient))
        np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=2e-5, err_msg=n)


# ---------------------------------------------------------------------- finite differences

KINKS = {"k", "z"}  # inputs on which differences mean nothing
DOUBLE = {n: a.astype("float64") if a.dtype == "float32" else a for n, a in INPUTS.items()}
# The recorded cases that step over a kink with smooth inputs, or that Keras leaves constant.
NOT_SMOOTH = {
    "binary_crossentropy",  # clips at 1
    "categorical_crossentropy",  # no gradient of the target from logits
    "l2_normalize",  # of zeros
    "stop_gradient",
}


@pytest.mark.parametrize("name", sorted(set(DIFFERENTIABLE) - NOT_SMOOTH))
def test_gradients_are_those_of_finite_differences(name, capsys):
    names = recorder.names_of(CASES[name])
    found = gradients_of(name, DOUBLE)
    for n in [n for n in found if n not in KINKS]:
        assert found[n].dtype == np.float64

        def total(moved, n=n):
            inputs = {**DOUBLE, n: moved}
            return float(weighted(CASES[name](K, *[inputs[m] for m in names]), name))

        expected = numerical_gradient(total, DOUBLE[n])
        np.testing.assert_allclose(found[n], expected, rtol=1e-6, atol=1e-6, err_msg=n)


OF_BOOLS = {("cast", 1), ("mean", 3), ("var", 3)}


def test_float64_stays_float64_and_float32_float32():
    for name in DIFFERENTIABLE:
        names = recorder.names_of(CASES[name])
        for inputs, dtype in ((INPUTS, "float32"), (DOUBLE, "float64")):
            results = CASES[name](K, *[inputs[n] for n in names])
            for number, result in enumerate(results):
                if (name, number) in OF_BOOLS or ARRAYS[f"{name}/{number}"].dtype != "float32":
                    assert name in ("cast", "mean", "ones_like", "sum", "var", "zeros_like")
                else:
                    assert result.dtype == dtype, (name, number)


# ---------------------------------------------------------------------- autograd's own boxes


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_autograd_differentiates_them_too(name, capsys):
    import autograd

    names = recorder.names_of(CASES[name])
    expected = gradients_of(name, DOUBLE)
    for position, n in enumerate(names):
        if n not in expected:
            continue
        arguments = [DOUBLE[m] for m in names]

        def total(x, position=position, arguments=arguments):
            arguments = [*arguments[:position], x, *arguments[position + 1 :]]
            return weighted(CASES[name](K, *arguments), name) + K.sum(0 * x)

        with np.errstate(all="ignore"):  # the square root at 0
            found = autograd.grad(total)(DOUBLE[n])
        np.testing.assert_allclose(found, expected[n], rtol=1e-9, atol=1e-9, err_msg=n)


# ---------------------------------------------------------------------- which names there are


def test_every_name_of_keras_is_here_or_says_why_not():
    assert set(RECORDED["public"]) == set(K.__all__) | set(_absent.ABSENT)
    assert not set(K.__all__) & set(_absent.ABSENT)
    for name in _absent.ABSENT:
        with pytest.raises(AttributeError, match=f"no {name}: "):
            getattr(K, name)
    with pytest.raises(AttributeError, match="neither has Keras"):
        getattr(K, "no_such_function")  # noqa: B009
    assert not hasattr(K, "placeholder")


def test_every_name_is_compared_with_keras_or_tested_here():
    assert set(K.__all__) == set(CASES) | OF_CHANCE | OURS
    assert K.backend() == "tensorflow"


def test_the_table_of_the_documentation_has_every_name():
    lines = _absent.table(K).splitlines()
    assert len(lines) == 2 + len(K.__all__) + len(_absent.ABSENT)
    assert "| `square` | x * x. |" in lines
    assert any(line.startswith("| `placeholder` | absent: use cylstm.Input") for line in lines)
    assert all(line.count("|") == 3 for line in lines)


def test_every_function_has_an_example():
    for name in K.__all__:
        function = getattr(K, name)
        examples = [line for line in function.__doc__.splitlines() if line.lstrip()[:3] == ">>>"]
        assert any(f"{function.__name__}(" in line for line in examples), name


# ---------------------------------------------------------------------- operands


def test_numbers_and_lists_are_those_of_tensorflow():
    assert K.square([1.0, 2.0]).dtype == "float32"
    assert K.square([1, 2]).dtype == "int32"
    assert K.sum([1, 2]).dtype == "int32"
    assert K.square(np.array([1.0])).dtype == "float64"
    assert K.maximum(np.float32([1, 2]), 1.5).dtype == "float32"
    assert K.maximum(1.5, np.float32([1, 2])).dtype == "float32"
    assert K.pow(np.float32(3), 2).dtype == "float32"
    assert K.greater(np.array([1, 2]), 1.5).tolist() == [False, True]  # 1.5 is not cut off
    assert K.concatenate([np.float32([[1]]), [[2.0]]]).dtype == "float32"


@pytest.mark.parametrize("bad", ["text", [[1.0], [2.0, 3.0]], None, {"a": 1}, [None]])
def test_what_is_no_array_raises(bad):
    with pytest.raises((TypeError, ValueError)):
        K.square(bad)


def test_symbolic_tensors_have_shapes_but_no_values():
    x = cylstm.Input((5, 3))
    assert K.int_shape(x) == (None, 5, 3)
    assert K.ndim(x) == 3
    assert K.dtype(x) == "float32"
    assert K.is_keras_tensor(x)
    for compute in (
        lambda: K.square(x),
        lambda: K.mean(x, axis=-1),
        lambda: K.dot(x, np.ones((3, 2))),
        lambda: K.concatenate([x, x]),
        lambda: K.equal(x, 0),
        lambda: K.zeros_like(x),
    ):
        with pytest.raises(TypeError, match="Lambda"):
            compute()
    with pytest.raises(ValueError, match="symbolic"):
        K.is_keras_tensor("x")
    assert not K.is_keras_tensor(np.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: K.dot(np.ones((2, 3)), np.ones(3)), ValueError, "expand_dims"),
        (lambda: K.dot(np.ones((2, 3)), np.ones((4, 3))), ValueError, "differ"),
        (lambda: K.batch_dot(np.ones((2, 3)), np.ones((2, 3))), ValueError, "axes"),
        (lambda: K.batch_dot(np.ones((2, 3, 4)), np.ones((2, 3, 4))), ValueError, "do not fit"),
        (lambda: K.batch_dot(np.ones(2), np.ones(2), 0), ValueError, "batch axis"),
        (lambda: K.gather(np.ones((2, 3)), [0.0]), TypeError, "cast"),
        (lambda: K.gather(np.ones((2, 3)), [2]), ValueError, "0 to 1"),
        (lambda: K.one_hot([0.5], 2), TypeError, "cast"),
        (lambda: K.tile(np.ones((2, 3)), 2), ValueError, "2 axes"),
        (lambda: K.repeat(np.ones(3), 2), ValueError, "batch, size"),
        (lambda: K.temporal_padding(np.ones((2, 3))), ValueError, "timesteps"),
        (lambda: K.bias_add(np.ones((2, 3)), np.ones(3), "last"), ValueError, "channels_last"),
        (lambda: K.bias_add(np.ones((2, 3, 4)), np.ones((2, 3, 4))), ValueError, "one axis"),
        (lambda: K.switch(np.ones((2, 2), bool), [1.0], [2.0]), ValueError, "more than"),
        (lambda: K.rnn(lambda x, s: (x, s), np.ones((2, 3)), []), ValueError, "three axes"),
        (lambda: K.rnn(lambda x, s: (x, s), np.ones((2, 0, 3)), []), ValueError, "one timestep"),
        (
            lambda: K.rnn(lambda x, s: (x, s), np.ones((2, 3, 1)), [], input_length=4),
            ValueError,
            "input_length=4",
        ),
        (
            lambda: K.rnn(lambda x, s: (x, s), np.ones((2, 3, 1)), [], mask=np.ones((2, 3))),
            ValueError,
            "initial states",
        ),
        (lambda: K.sparse_categorical_crossentropy([3], [[0.5, 0.5]]), ValueError, "0 to 1"),
        (lambda: K.dropout(np.ones(3), 1.0), ValueError, "below 1"),
        (lambda: K.conv1d(np.ones((1, 2, 1)), np.ones((3, 1, 1))), ValueError, "spans"),
        (lambda: K.conv1d(np.ones((1, 5, 1)), np.ones((3, 1, 1)), 2, "s"), ValueError, "causal"),
        (
            lambda: K.conv1d(np.ones((1, 9, 1)), np.ones((3, 1, 1)), 2, dilation_rate=2),
            ValueError,
            "not both",
        ),
        (lambda: K.set_value(np.ones(3), 1.0), TypeError, "variables"),
        (lambda: K.set_value(K.ones((3,)), [1.0]), ValueError, "shape"),
        (lambda: K.constant([1, 2, 3], shape=(2,)), ValueError, "3 numbers"),
        (lambda: K.set_floatx("float64"), ValueError, "dtype='float64'"),
        (lambda: K.set_epsilon(1e-5), ValueError, "1e-07"),
        (lambda: K.set_image_data_format("channels_first"), ValueError, "last"),
        (lambda: K.set_image_dim_ordering("th"), ValueError, "last"),
        (lambda: K.variable([1], dtype="int32"), ValueError, "float32"),
    ],
)
def test_bad_input_raises(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_nothing_warns_where_tensorflow_does_not():
    x = np.float32([0, -1, 1e30, np.inf, np.nan])
    names = "log exp sqrt square softmax sigmoid softplus softsign std elu relu sum hard_sigmoid"
    for function in (getattr(K, name) for name in names.split()):
        function(x)
        _, pullback = differentiate(lambda x, f=function: K.sum(f(x)), [x])
        pullback(1.0)
    K.cast(x, "int32")
    K.l2_normalize(np.zeros(3))
    K.logsumexp(np.float32([-np.inf, -np.inf]))
    K.pow(x, -1.0)


# ---------------------------------------------------------------------- values and settings


def test_set_values_all_or_none():
    v, w = K.variable([1.0]), K.variable([2.0])
    with pytest.raises(ValueError, match="shape"):
        K.batch_set_value([(v, [5.0]), (w, [1.0, 2.0])])
    assert (v.value, w.value) == (1.0, 2.0)


def test_zeros_of_integers_are_arrays():
    assert type(K.zeros((2,), "int32")) is np.ndarray
    assert K.ones((2,), bool).tolist() == [True, True]


def test_variables_have_constraints_and_names():
    v = K.variable(1.0, name="v", constraint=abs)
    assert (v.name, v.constraint) == ("v", abs)


def test_default_names_start_again():
    K.clear_session()
    assert cylstm.layers.Dense(1).name == "dense_1"
    assert K.get_uid("dense") == 2
    assert cylstm.layers.Dense(1).name == "dense_3"
    K.reset_uids()
    assert cylstm.layers.Dense(1).name == "dense_1"


def test_the_phase_of_training():
    assert K.learning_phase() == 0
    assert K.in_train_phase("train", "test") == "test"
    with _phase.training_phase(True):
        assert K.learning_phase() == 1
        assert K.in_train_phase("train", "test") == "train"
        assert K.in_test_phase("test", "train") == "train"
        with _phase.training_phase(None):
            assert K.learning_phase() == 0
        assert K.in_train_phase("train", "test", training=False) == "test"
        assert K.in_train_phase("train", "test", training=np.bool_(False)) == "test"
    assert K.learning_phase() == 0


def test_only_the_branch_that_is_chosen_is_called():
    def fails():
        raise AssertionError("called")

    assert K.switch(True, lambda: 1.0, fails) == 1
    assert K.switch(np.array(0.0), fails, 2.0) == 2
    x = np.float64([[1, 4]])
    _, pullback = differentiate(lambda x: K.switch(K.sum(x) > 0, lambda: K.sqrt(x), fails), [x])
    assert pullback(np.ones((1, 2)))[0][0].tolist() == [[0.5, 0.25]]


def test_print_tensor_prints(capsys):
    K.print_tensor(np.ones(2), "here")
    assert capsys.readouterr().err == "here [1. 1.]\n"


# ---------------------------------------------------------------------- chance


def test_random_numbers_have_their_distributions():
    shape = (200, 100)
    normal = K.random_normal(shape, 3.0, 2.0, seed=1)
    assert abs(normal.mean() - 3) < 0.05
    assert abs(normal.std() - 2) < 0.05
    uniform = K.random_uniform(shape, -1, 3, seed=2)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() < 3
    assert abs(uniform.mean() - 1) < 0.05
    assert set(np.unique(K.random_uniform(shape, 0, 3, "int32", seed=3))) == {0, 1, 2}
    binomial = K.random_binomial(shape, 0.3, seed=4)
    assert set(np.unique(binomial)) == {0, 1}
    assert abs(binomial.mean() - 0.3) < 0.02
    truncated = K.truncated_normal(shape, 1.0, 2.0, seed=5)
    assert np.abs(truncated - 1).max() <= 4
    assert abs(truncated.std() / 2 - 0.8796) < 0.02  # of a normal cut off at two deviations
    for drawn in (normal, uniform, binomial, truncated):
        assert drawn.dtype == "float32"
        assert drawn.shape == shape
    assert K.random_normal((2,), dtype="float64").dtype == "float64"
    assert K.random_normal_variable((2,), 0, 1, "float64", "v").name == "v"
    assert K.random_uniform_variable((2,), 5, 6, seed=1).value.min() >= 5


def test_seeds_repeat_random_numbers():
    for function in (K.random_normal, K.random_uniform, K.random_binomial, K.truncated_normal):
        a, b, c = (function((50,), seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert function is K.random_binomial or (a != c).any()
        cylstm.utils.set_random_seed(3)
        first = function((50,))
        second = function((50,))
        cylstm.utils.set_random_seed(3)
        np.testing.assert_array_equal(function((50,)), first)
        assert function is K.random_binomial or (first != second).any()


def test_dropout_keeps_the_mean_and_its_gradient_has_the_mask():
    x = np.full((100, 200), 2.0, "float32")
    value, pullback = differentiate(lambda x: K.dropout(x, 0.25, seed=7), [x])
    assert set(np.unique(value)) == {0, np.float32(2 / 0.75)}
    assert abs(value.mean() - 2) < 0.05
    gradient = pullback(np.ones_like(x))[0][0]
    np.testing.assert_array_equal(gradient, value / 2)
    rows = K.dropout(x, 0.5, noise_shape=(100, 1), seed=7)
    assert (rows == rows[:, :1]).all()
    np.testing.assert_array_equal(K.dropout(x, 0.0), x)


def test_softmax_along_another_axis():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    weights = np.random.default_rng(1).normal(size=x.shape)
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(K.softmax(x, axis=1), expected, rtol=1e-12)
    _, pullback = differentiate(lambda x: K.sum(weights * K.softmax(x, axis=1)), [x])
    within = (weights * expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pullback(1.0)[0][0], expected * (weights - within), rtol=1e-9)
