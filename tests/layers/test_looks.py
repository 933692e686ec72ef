"""What layers look like when they are printed."""

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.layers import LSTM, Activation, Bidirectional, Conv1D, Dense, Embedding, Layer


def twice(x):
    return 2 * x


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (LSTM(64, return_sequences=True, name="a"), "LSTM(64, return_sequences=True, name='a')"),
        (LSTM(2, "tanh", "hard_sigmoid", name="a"), "LSTM(2, name='a')"),
        (
            LSTM(2, None, kernel_regularizer="l2", kernel_initializer="he_normal", name="a"),
            "LSTM(2, activation='linear', kernel_initializer=VarianceScaling(scale=2.0), "
            "kernel_regularizer=L1L2(l2=0.01), name='a')",
        ),
        (
            LSTM(2, kernel_constraint="non_neg", name="a"),
            "LSTM(2, kernel_constraint=NonNeg(), name='a')",
        ),
        (LSTM(2, input_shape=(5, 3), name="a"), "LSTM(2, input_shape=(5, 3), name='a')"),
        (
            LSTM(2, stateful=True, batch_input_shape=(4, 5, 3), name="a"),
            "LSTM(2, stateful=True, batch_input_shape=(4, 5, 3), name='a')",
        ),
        (
            Dense(2, "relu", trainable=False, dtype="float64", name="a"),
            "Dense(2, activation='relu', trainable=False, dtype='float64', name='a')",
        ),
        (
            Bidirectional(LSTM(3, name="b"), merge_mode=None, name="a"),
            "Bidirectional(LSTM(3, name='b'), merge_mode=None, name='a')",
        ),
        (Embedding(5, 2, mask_zero=True, name="a"), "Embedding(5, 2, mask_zero=True, name='a')"),
        (Conv1D(3, 2, name="a"), "Conv1D(3, (2,), name='a')"),
        (Conv1D(3, 2, strides=4, name="a"), "Conv1D(3, (2,), strides=(4,), name='a')"),
        (Activation(twice, name="a"), "Activation('twice', name='a')"),
        (layers.Flatten(name="a"), "Flatten(name='a')"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_repr_is_the_call_that_makes_the_layer(layer, text):
    assert repr(layer) == text


def test_the_repr_of_a_layer_of_the_users_own():
    class Scale(Layer):
        def __init__(self, factor, *, table=None, kept=0, **kwargs):
            super().__init__(**kwargs)
            self.factor, self.table = factor, table

    scale = Scale(2.5, table=np.ones((30, 40)), name="a")
    assert repr(scale) == "Scale(2.5, table=an array of the shape (30, 40), name='a')"


def test_a_half_made_layer_has_a_repr():
    assert repr(object.__new__(Dense)) == "Dense()"


def test_the_repr_of_streams():
    model = cylstm.Sequential(
        [LSTM(4, input_shape=(None, 3)), layers.Dropout(0.5, name="drop"), Dense(2)]
    )
    assert repr(model.layers[0].stream(7)) == "Stream(7 x 3 -> 4, float32)"
    assert repr(model.stream()) == (
        "ChainStream(Stream(1 x 3 -> 4, float32), FrameStream(Dropout(0.5, name='drop')), "
        "DenseStream(1 x 4 -> 2, float32))"
    )
    own = LSTM(4, activation=twice, name="own")
    own(np.ones((2, 5, 3)))
    assert repr(own.stream(2)) == (
        "LayerStream(LSTM(4, activation='twice', return_state=True, name='own'), 2 at a time)"
    )
