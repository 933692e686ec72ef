"""What the README, and the pages for those who come from Keras 3 or PyTorch, say."""

import re
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Dense

README = Path(__file__).resolve().parents[1] / "README.md"
X = np.random.default_rng(3).normal(size=(10, 6, 3))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def torch_lstm(x, weight_ih, weight_hh, bias_ih, bias_hh):
    """The equations in the documentation of torch.nn.LSTM, with its names, batch first."""
    h = c = np.zeros((len(x), weight_hh.shape[1]))
    outputs = []
    for t in range(x.shape[1]):
        z = x[:, t] @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def test_weights_of_pytorch():
    rng = np.random.default_rng(0)
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    shapes = [(16, 3), (16, 4), (16,), (16,)]
    weights = [rng.normal(size=shape) for shape in shapes]
    layer = cylstm.from_torch(dict(zip(names, weights, strict=True)))[""]
    np.testing.assert_allclose(layer(X), torch_lstm(X, *weights), rtol=1e-12, atol=1e-14)


@pytest.fixture
def sequential():
    model = cylstm.Sequential([LSTM(2, input_shape=(6, 3)), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def test_epochs_and_the_name_of_accuracy(sequential):
    y = (X.sum(axis=(1, 2)) > 0)[:, None]
    history = sequential.fit(X, y, validation_split=0.2, verbose=0)
    assert len(history.epoch) == 10
    assert {"acc", "val_acc"} <= history.history.keys()
    model = cylstm.Model(sequential.inputs, sequential.outputs)
    model.compile("adam", "binary_crossentropy")
    assert len(model.fit(X, y, verbose=0).epoch) == 1


def test_validation_is_on_the_last_samples(sequential):
    y = (X.sum(axis=(1, 2)) > 0)[:, None]
    history = sequential.fit(X, y, epochs=1, validation_split=0.2, verbose=0)
    loss = sequential.evaluate(X[8:], y[8:], verbose=0)[0]
    assert history.history["val_loss"] == pytest.approx([loss])


def test_gates_and_start_values():
    layer = LSTM(4)
    layer.build((None, None, 3))
    steep = np.array([-2.5, 0.0, 1.0, 2.5])
    assert layer.recurrent_activation(steep).tolist() == [0.0, 0.5, 0.7, 1.0]
    recurrent = layer.recurrent_kernel.value
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-6)
    assert layer.bias.value.tolist() == [0] * 4 + [1] * 4 + [0] * 8
    adam = cylstm.optimizers.get("adam")
    assert (adam.lr, adam.epsilon) == (0.001, 1e-8)


def test_clipnorm_is_of_all_gradients_together():
    variables = [cylstm.Variable([0.0]), cylstm.Variable([0.0])]
    cylstm.optimizers.SGD(lr=1.0, clipnorm=1.0).apply([np.array([3.0]), np.array([4.0])], variables)
    np.testing.assert_allclose([v.value[0] for v in variables], [-0.6, -0.8], rtol=1e-6)


def test_dropout_drops_the_same_inputs_at_every_timestep():
    layer = LSTM(3, dropout=0.5, implementation=2, return_sequences=True, dtype="float64")
    layer.build((None, None, 40))
    cylstm.utils.set_random_seed(1)
    _, pullback = layer.vjp(np.ones((1, 5, 40)), training=True)
    dropped = pullback(np.ones((1, 5, 3))).inputs[0] == 0
    assert 0 < dropped[0].sum() < 40
    assert (dropped == dropped[0]).all()


def test_predict_goes_by_32():
    sizes = []

    class Count(cylstm.layers.Layer):
        def call(self, inputs):
            sizes.append(len(inputs))
            return inputs

    cylstm.Sequential([Count(input_shape=(2,))]).predict(np.ones((40, 2)))
    assert sizes == [32, 8]


def test_the_quick_part_of_the_tests_exists():
    command = re.search(r"^    python -m pytest (.*)$", README.read_text(), re.MULTILINE)[1]
    root = README.parent
    for path in command.split():
        assert list(root.glob(path)), path
