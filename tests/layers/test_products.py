"""What Dense and Conv1D compute follows their weights, in every engine and in copies."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm.layers import Activation, Conv1D, Dense, DenseStream, _engines
from cylstm.layers._products import gradients

SOURCE = str(Path(cylstm.__file__).parents[1])
X = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
MADE = {
    "dense": lambda **more: Dense(3, **more),
    "convolution": lambda **more: Conv1D(3, 2, **more),
}


@pytest.mark.parametrize("kind", MADE)
def test_new_weights_and_activations_count_at_once(kind):
    layer = MADE[kind](activation="relu")
    before = layer(X)
    np.testing.assert_array_equal(layer(X), before)
    for variable in layer.weights:
        variable.assign(variable.value + 1)
        after = layer(X)
        assert not np.array_equal(after, before)
        before = after
    layer.activation = np.negative
    linear = MADE[kind](weights=layer.get_weights())
    np.testing.assert_array_equal(layer(X), -linear(X))
    assert (layer(X) < 0).any()


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_compute_the_same_and_go_their_own_way(kind, copied):
    layer = MADE[kind](activation="softmax")
    expected = layer(X)
    other = copied(layer)
    np.testing.assert_array_equal(other(X), expected)
    other.set_weights([0 * w for w in other.get_weights()])
    np.testing.assert_allclose(other(X), 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(layer(X), expected)


CODE = """
import numpy as np, sys
from cylstm.layers import Conv1D, Dense
x = np.linspace(-1, 1, 48, dtype="float32").reshape(2, 6, 4)
for layer in (Dense(3, activation="tanh"), Conv1D(3, 2, padding="causal", activation="softmax")):
    layer.build((None, 6, 4))
    layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in layer.get_weights()])
    print(*layer(x).ravel())
    if isinstance(layer, Dense):
        print(*layer.stream(2)(x[:, 0]).ravel())
    else:
        print(*layer.prepared(2, 6)(x).ravel())
"""


def test_every_engine_computes_the_same():
    found = []
    for engine in ("fused", "blas", "reference"):
        environment = os.environ | {"CYLSTM_ENGINE": engine, "PYTHONPATH": SOURCE}
        done = subprocess.run(
            [sys.executable, "-P", "-c", CODE], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        found.append([float(number) for number in done.stdout.split()])
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_array_equal(found[1], found[2])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_a_stream_has_the_bits_of_the_layer(activation):
    layer = Dense(30, activation=activation)
    whole = layer(X)
    stream = layer.stream(2)
    assert type(stream) is DenseStream
    for t in range(6):
        np.testing.assert_array_equal(stream(X[:, t]), whole[:, t])
    np.testing.assert_array_equal(stream.copy()(X[:, 0]), whole[:, 0])
    with pytest.raises(ValueError, match="read-only"):
        stream(X[:, 0])[0] = 0


@pytest.mark.parametrize("activation", ["relu", "softmax", np.cos])
def test_streams_of_activations(activation):
    layer = Activation(activation)
    whole = layer(X)
    for stream in (layer.stream(2), layer.stream(2).copy()):
        for t in range(6):
            np.testing.assert_allclose(stream(X[:, t]), whole[:, t], rtol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "softmax", np.sin])
def test_training_reads_a_large_matrix_as_it_is(activation):
    layer = Dense(2**14, activation=activation)
    x = np.random.default_rng(1).normal(size=(3, 130)).astype("float32")
    expected = layer(x)
    found, pullback = layer.vjp(x)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert pullback(np.ones_like(found)).inputs.shape == x.shape
    layer.kernel.assign(0 * layer.kernel.value)
    assert np.ptp(layer.vjp(x)[0]) == 0


GRADIENTS = [(1, 1, 1), (7, 5, 3), (7, 3, 5), (33, 17, 17), (0, 3, 2), (3200, 20, 12)]


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", GRADIENTS)
def test_gradients_are_those_of_numpy(shape, dtype, order):
    """In double precision, whatever the order in memory."""
    rows, features, columns = shape
    rng = np.random.default_rng(rows)
    x, kernel, dz = (
        np.asarray(rng.standard_normal(s), dtype, order)
        for s in ((rows, features), (features, columns), (rows, columns))
    )
    d_kernel, d_bias, d_x = gradients(x, kernel, dz)
    wide_x, wide_kernel, wide_dz = (a.astype("float64") for a in (x, kernel, dz))
    tolerance = (
        {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-11}
    )
    np.testing.assert_allclose(d_kernel, wide_x.T @ wide_dz, **tolerance)
    np.testing.assert_allclose(d_bias, wide_dz.sum(axis=0), **tolerance)
    np.testing.assert_allclose(d_x, wide_dz @ wide_kernel.T, **tolerance)
    assert {a.dtype for a in (d_kernel, d_bias, d_x)} == {np.dtype(dtype)}
    assert d_kernel.flags.c_contiguous


def test_a_large_matrix_is_not_packed_for_few_rows(monkeypatch):
    x, dz = np.ones((2, 3), "float32"), np.ones((2, 4), "float32")
    kernel = np.arange(12, dtype="float32").reshape(3, 4)
    packed = gradients(x, kernel, dz)
    monkeypatch.setattr(_engines, "is_cheaper_unpacked", lambda kernel, rows: True)
    monkeypatch.setattr(_engines, "made_affine", None)
    for one, other in zip(packed, gradients(x, kernel, dz), strict=True):
        np.testing.assert_array_equal(one, other)
