"""Tensors of PyTorch, and arrays of JAX where it is installed, are taken as they are."""

import importlib.util

import numpy as np
import pytest
import torch

import cylstm
from cylstm import _checks
from cylstm.layers import LSTM, Dense
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.sklearn import LSTMClassifier

X = np.linspace(-1, 1, 4 * 5 * 3, dtype="float32").reshape(4, 5, 3)
Y = np.array([0, 1, 1, 0])


def as_jax(array):
    import jax.numpy

    return jax.numpy.asarray(array)


LIBRARIES = {"torch": torch.from_numpy}
if importlib.util.find_spec("jax"):
    LIBRARIES["jax"] = as_jax


def address(tensor):
    return tensor.data_ptr() if hasattr(tensor, "data_ptr") else tensor.unsafe_buffer_pointer()


def trained():
    cylstm.utils.set_random_seed(3)
    model = cylstm.Sequential([LSTM(3, input_shape=(5, 3)), Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize("library", LIBRARIES)
def test_nothing_is_copied(library):
    tensor = LIBRARIES[library](X)
    array = _checks.as_array(tensor, X.dtype, "x")
    assert array.__array_interface__["data"][0] == address(tensor)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_entry(library):
    made = LIBRARIES[library]
    ours, theirs = trained(), trained()
    weight = np.array([1, 2, 3, 4], "float32")
    found = []
    for model, x, y, w in ((ours, X, Y, weight), (theirs, made(X), made(Y), made(weight))):
        model.fit(x, y, sample_weight=w, validation_data=(x, y), shuffle=False, verbose=0)
        model.train_on_batch(x, y)
        stream = model.layers[0].stream(batch_size=4)
        classes = LSTMClassifier(2, max_iter=1, random_state=0).fit(x, y).predict_proba(x)
        rows = LSTMClassifier(2, max_iter=1, random_state=0).fit([*x], y).predict_proba([*x])
        found.append([
            model.predict(x), model(x), model.evaluate(x, y, verbose=0), stream(x[:, 0]),
            model.layers[0](x, initial_state=[x[:, 0], x[:, 1]]), classes, rows,
            pad_sequences([*x], maxlen=3, dtype="float32"), model([*x]),
        ])  # fmt: skip
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    theirs.set_weights([made(w) for w in trained().get_weights()])
    for a, b in zip(theirs.get_weights(), trained().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(4, 5, 3, requires_grad=True), r"requires grad.*give x\.detach\(\)"),
        (torch.zeros(4, 5, 3, dtype=torch.bfloat16), r"BFloat16.*give x\.float\(\)"),
        (torch.zeros(4, 5, 3, device="meta"), r"Tensor\.cpu\(\)"),  # as one on a GPU is refused
        (torch.zeros(4, 5, 3).to_sparse(), r"Tensor\.to_dense\(\)"),
        (torch.zeros(4, 5, 3, dtype=torch.complex64), "two features"),
    ],
    ids="gradient bfloat16 device sparse complex".split(),
)
def test_what_torch_keeps_is_told(tensor, message):
    model = trained()
    for call in (LSTM(3), model, model.predict, lambda x: model.fit(x, Y, verbose=0)):
        with pytest.raises(TypeError, match=message):
            call(tensor)
    with pytest.raises(TypeError, match=message):
        model.fit(X, tensor, verbose=0)
    with pytest.raises(TypeError, match=message):
        LSTM(3)([*tensor] if not tensor.is_sparse else tensor)


@pytest.mark.skipif("jax" not in LIBRARIES, reason="JAX is not installed")
def test_what_jax_keeps_is_told():
    import jax

    with pytest.raises(TypeError, match=r"astype\('float32'\)"):
        LSTM(3)(as_jax(X).astype("bfloat16"))
    with pytest.raises(TypeError, match="cannot be made an array: .*traced array"):
        jax.jit(LSTM(3))(as_jax(X))
