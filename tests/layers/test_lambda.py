"""Lambda, and what a function of the user's own may do in it; numbers against NumPy."""

import json
import subprocess
import sys

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential
from cylstm import backend as K
from cylstm.layers import LSTM, Dense, Embedding, Lambda, Masking, TimeDistributed
from cylstm.models import clone_model, load_model
from cylstm.testing import gradient_error

RNG = np.random.default_rng(10)
X = RNG.normal(size=(3, 5, 4))
F8 = {"dtype": "float64"}


def scaled(x, factor=1.0):
    return x * factor


def sum_over_time(x):
    return K.sum(x, axis=1)


def without_time(shape):
    return (shape[0], shape[2])


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: x**2, (None, 5, 4), (None, 5, 4)),
        (lambda x: K.mean(x, axis=1), (None, 5, 4), (None, 4)),
        (lambda x: x[:, -1], (None, None, 4), (None, 4)),
        (lambda x: x[:, 10:], (None, None, 4), (None, None, 4)),
        (lambda x: K.sum(x, axis=-1), (None, None, 4), (None, None)),
        (lambda x: K.concatenate([x, x], axis=1), (None, None, 4), (None, None, 4)),
        (lambda x: K.reshape(x, (-1, 20)), (None, 5, 4), (None, 20)),
        (lambda x: K.expand_dims(x), (7, 5, 4), (7, 5, 4, 1)),
        (lambda x: K.dropout(x, 0.5), (None, 2), (None, 2)),
        (lambda x: [x, x[:, 0]], (None, 5, 4), [(None, 5, 4), (None, 4)]),
        (lambda x: (x, x[:, 0]), (None, 5, 4), [(None, 5, 4), (None, 4)]),
        (lambda x: x[0] * x[1], [(None, 5, 4), (None, 1, 4)], (None, 5, 4)),
        (lambda x: K.zeros((2, 3)) + K.sum(x), (None, 5), (2, 3)),
        (lambda x: K.log(x), (None, 5), (None, 5)),
    ],
)
def test_the_shape_is_found_by_trying(function, shape, expected):
    assert Lambda(function).compute_output_shape(shape) == expected


def test_trying_draws_no_random_numbers():
    cylstm.utils.set_random_seed(1)
    expected = Dense(2)(X)
    cylstm.utils.set_random_seed(1)
    Lambda(lambda x: K.dropout(x, 0.5)).compute_output_shape((None, 3))
    np.testing.assert_array_equal(Dense(2)(X), expected)


def test_what_cannot_be_tried_asks_for_the_shape():
    def fails(x):
        raise RuntimeError("not with zeros")

    with pytest.raises(ValueError, match=r"lambda_\d+ cannot be tried on zeros.*RuntimeError: not"):
        Lambda(fails)(Input((3,)))
    assert Lambda(fails, output_shape=(3,))(Input((3,))).shape == (None, 3)
    with pytest.raises(ValueError, match="give its output_shape"):
        Lambda(lambda x: x[0] if len(x) == 2 else x)(Input((3,)))


@pytest.mark.parametrize("output_shape", [(4,), [4], without_time])
def test_output_shapes_that_are_given(output_shape):
    x = Input((5, 4), **F8)
    y = Lambda(sum_over_time, output_shape=output_shape, **F8)(x)
    assert y.shape == (None, 4)
    np.testing.assert_allclose(Model(x, y).predict(X), X.sum(axis=1))


def test_an_output_shape_that_is_wrong_is_reported():
    x = Input((5, 4))
    model = Model(x, Lambda(sum_over_time, output_shape=(3,), name="summed")(x))
    with pytest.raises(ValueError, match=r"summed returned \(3, 4\) for .*says \(3, 3\)"):
        model.predict(X)


def test_arguments_and_the_mask():
    def counted(x, mask=None, factor=1.0):
        return factor * K.sum(x * K.expand_dims(K.cast(mask, x.dtype)), axis=1)

    inputs = X.copy()
    inputs[0, 3:] = 0
    x = Input((5, 4), **F8)
    y = Lambda(counted, arguments={"factor": 2.0}, output_shape=(4,), **F8)(Masking(**F8)(x))
    model = Model(x, y)
    np.testing.assert_allclose(model.predict(inputs), 2 * inputs.sum(axis=1))
    _, pullback = model.vjp(inputs)
    slopes = pullback(np.ones((3, 4))).inputs
    np.testing.assert_array_equal(slopes, 2 * np.any(inputs, axis=-1, keepdims=True) * np.ones(4))
    assert y.mask is None


def test_masks_of_the_output():
    x = Masking()(Input((5, 4)))
    assert Lambda(lambda x: x)(x).mask is None
    kept = Lambda(lambda x: x[:, 1:], mask=lambda inputs, mask: mask[:, 1:])(x)
    assert kept.mask.shape == (None, None)
    layer = Lambda(lambda x: x, mask=lambda inputs, mask: K.any(K.not_equal(inputs, 0), axis=-1))
    np.testing.assert_array_equal(layer.compute_mask(np.eye(3)), [True] * 3)
    fixed = Lambda(lambda x: x, mask=[[True, False]])
    np.testing.assert_array_equal(fixed.compute_mask(X), [[True, False]])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: K.softmax(K.dot(x, K.constant(np.ones((4, 2))))),
        lambda x: [K.tanh(x), K.max(x, axis=1)],
        lambda x: np.cumsum(x, axis=1) / 3,
        lambda x: K.concatenate([x, K.reverse(x, 1)], axis=-1) ** 2,
        lambda x: cylstm.losses.mse(K.constant(np.ones((3, 5, 4))), x),
    ],
)
def test_gradients(function):
    assert gradient_error(Lambda(function, **F8), X) < 1e-6
    outputs, pullback = Lambda(function).vjp(X)
    one = outputs[0] if isinstance(outputs, list) else outputs
    assert one.dtype == "float32"
    assert pullback(outputs).inputs.dtype == "float32"


def test_gradients_of_several_inputs():
    points = [X, RNG.normal(size=(3, 4)), RNG.normal(size=(3, 5))]
    layer = Lambda(lambda x: K.batch_dot(x[0] * K.expand_dims(x[1], 1), x[2], axes=(1, 1)), **F8)
    assert gradient_error(layer, points) < 1e-6


def test_integers_stay_integers():
    x = Input((5,), dtype="int32")
    model = Model(x, LSTM(2)(Lambda(lambda x: K.one_hot(x, 6), output_shape=(5, 6))(x)))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.train_on_batch(np.arange(10).reshape(2, 5) % 6, np.ones((2, 2)))
    assert not np.array_equal(model.get_weights()[0], before[0])
    shifted = Sequential(
        [Lambda(lambda x: x + 1, input_shape=(3,), dtype="float32"), Embedding(9, 2)]
    )
    assert shifted.predict(np.arange(6).reshape(2, 3)).shape == (2, 3, 2)


def test_the_inputs_stay_as_they_are():
    def spoils(x):
        x += 1
        return x

    before = X.copy()
    np.testing.assert_allclose(Lambda(spoils, **F8)(X), before + 1)
    np.testing.assert_array_equal(X, before)


def test_within_time_distributed_and_sequential():
    cylstm.utils.set_random_seed(1)
    model = Sequential(
        [
            TimeDistributed(Lambda(lambda x: K.l2_normalize(x, axis=-1), **F8), input_shape=(5, 4)),
            LSTM(3, return_sequences=True, **F8),
            Lambda(lambda x: x[:, -1] * K.sigmoid(x[:, 0]), **F8),
            Dense(2, **F8),
        ]
    )
    assert model.output_shape == (None, 2)
    assert gradient_error(model, X) < 1e-6
    model.compile("sgd", "mse")
    assert model.train_on_batch(X, np.ones((3, 2))) > 0


def test_in_training_only():
    layer = Lambda(lambda x: K.in_train_phase(x * 0, x), **F8)
    np.testing.assert_array_equal(layer(X), X)
    x = Input((5, 4), **F8)
    model = Model(x, layer(x))
    np.testing.assert_array_equal(model.predict(X), X)
    assert not model(X, training=True).any()
    assert not layer(X, training=True).any()
    assert not TimeDistributed(layer)(X, training=True).any()
    assert not model.vjp(X, training=True)[0].any()


def test_a_stream_is_refused():
    model = Sequential([LSTM(3, return_sequences=True, input_shape=(None, 4)), Lambda(scaled)])
    with pytest.raises(ValueError, match=r"lambda_\d+ \(Lambda\).*cannot stream"):
        model.stream()


# ---------------------------------------------------------------------- files and copies


def named_model():
    x = Input((5, 4))
    y = Lambda(scaled, arguments={"factor": np.arange(4.0)})(x)
    return Model(x, Dense(2)(Lambda(sum_over_time, output_shape=without_time)(y)))


def test_named_functions_go_into_files_by_name(tmp_path):
    model = named_model()
    path = tmp_path / "model.safetensors"
    model.save(path)
    known = {f.__name__: f for f in (scaled, sum_over_time, without_time)}
    twin = load_model(path, custom_objects=known)
    np.testing.assert_allclose(twin.predict(X), model.predict(X), rtol=1e-6)
    with pytest.raises(ValueError, match="function of a Lambda: 'scaled'.*custom_objects"):
        load_model(path)


def test_a_lambda_goes_into_no_file(tmp_path):
    model = Sequential([Lambda(lambda x: x, input_shape=(3,)), Dense(2)])
    with pytest.raises(ValueError, match=r"\['function'\] is a lambda.*custom_objects"):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "weights.safetensors")
    model.load_weights(tmp_path / "weights.safetensors")


def test_the_code_in_a_file_of_keras_is_not_run():
    config = {"name": "l", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}
    with pytest.raises(ValueError, match="holds the code of a Python lambda. Nothing from a file"):
        Lambda.from_config(config)
    config = {"name": "l", "function": "scaled", "function_type": "function"}
    config |= {"output_shape": [4], "output_shape_type": "raw", "arguments": {"factor": 2}}
    layer = Lambda.from_config(json.loads(json.dumps(config)), {"scaled": scaled})
    np.testing.assert_allclose(layer(X), 2 * X, rtol=1e-6)
    assert layer.compute_output_shape((None, 4)) == (None, 4)


def test_clones_keep_a_lambda():
    model = Sequential([Lambda(lambda x: 3 * x, input_shape=(4,), **F8)])
    np.testing.assert_allclose(clone_model(model).predict(X[0]), 3 * X[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"function": "tanh"}, "Lambda takes a function, got 'tanh'|got a str"),
        ({"output_shape": 3}, "output_shape is a tuple"),
        ({"output_shape": "3"}, "output_shape is a tuple"),
        ({"output_shape": (2.5,)}, "a size in output_shape"),
        ({"arguments": [2]}, "arguments is a dict"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(TypeError, match=words):
        Lambda(**{"function": scaled} | arguments)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: np.ones((3, 2)), r"lambda_\d+ returned a plain array.*cylstm.backend"),
        (lambda x: None, r"lambda_\d+ returned None"),
        (lambda x: float(x[0, 0, 0]) * x, r"derivative of layer lambda_\d+ cannot be followed"),
    ],
)
def test_what_cannot_be_followed_is_refused(function, words):
    with pytest.raises(TypeError, match=words):
        Lambda(function, output_shape=(2,)).vjp(X)


def test_without_autograd_it_predicts():
    program = """
import sys
sys.modules["autograd"] = None
import numpy as np
from cylstm import Sequential, backend as K
from cylstm.layers import Dense, Lambda
model = Sequential([Dense(2, input_shape=(3,)), Lambda(lambda x: K.softmax(x))])
model.compile("sgd", "mse")
assert model.predict(np.ones((4, 3))).shape == (4, 2)
try:
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
except TypeError as error:
    assert "layer lambda_1 has no derivative" in str(error), error
    assert "cylstm[autograd]" in str(error) and "vjp" in str(error), error
else:
    raise AssertionError("trained")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_a_lambda_is_not_found_by_its_name():
    layer = Lambda(lambda x: 2 * x)
    with pytest.raises(ValueError, match="A Python lambda has no name to be .*clone_model"):
        Lambda.from_config(layer.get_config())
