"""Models of ours that go into ONNX files: `tests/data/onnx` has the files and what ONNX Runtime
computes from them."""

import numpy as np

import cylstm
from cylstm.layers import (
    ELU,
    LSTM,
    Activation,
    ActivityRegularization,
    Add,
    Average,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Cropping1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    MaxPooling1D,
    Minimum,
    Multiply,
    Permute,
    PReLU,
    RepeatVector,
    Reshape,
    Subtract,
    ThresholdedReLU,
    TimeDistributed,
    UpSampling1D,
    ZeroPadding1D,
)

__all__ = ["CASES", "made"]


def _in_a_row(*layers):
    return cylstm.Sequential(list(layers))


def last_output():
    return _in_a_row(
        LSTM(4, input_shape=(None, 3), name="lstm"), Dense(2, activation="softmax", name="dense")
    )


def sequences():
    return _in_a_row(
        LSTM(3, return_sequences=True, recurrent_activation="sigmoid", input_shape=(6, 3)),
        LSTM(2, return_sequences=True, go_backwards=True, use_bias=False, activation="relu"),
        LSTM(2, recurrent_activation="hard_sigmoid_6", activation="softsign"),
    )


def linear_gates():
    return _in_a_row(
        LSTM(2, return_sequences=True, activation="linear", input_shape=(6, 3)),
        LSTM(2, recurrent_activation="softplus", activation="elu", go_backwards=True),
    )


def _both(mode, sequences):
    x = cylstm.Input((6, 3), name="x")
    layer = LSTM(2, return_sequences=sequences, return_state=mode is None)
    return cylstm.Model(x, Bidirectional(layer, merge_mode=mode, name="both")(x))


def states():
    x, h, c = (cylstm.Input(shape, name=n) for shape, n in (((None, 3), "x"), ((4,), "h"),
                                                             ((4,), "c")))  # fmt: skip
    layer = LSTM(4, return_sequences=True, return_state=True)
    return cylstm.Model([x, h, c], layer(x, initial_state=[h, c]))


def both_states():
    x = cylstm.Input((None, 3), name="x")
    h, c = (cylstm.Input((2,), name=name) for name in "hc")
    layer = Bidirectional(LSTM(2, return_state=True), merge_mode="sum")
    return cylstm.Model([x, h, c], layer(x, initial_state=[h, c, c, h]))


def windows():
    return _in_a_row(
        Conv1D(4, 3, padding="same", activation="relu", input_shape=(12, 3)),
        MaxPooling1D(2),
        Conv1D(3, 2, padding="causal", dilation_rate=2),
        Conv1D(3, 2, strides=2, use_bias=False),
        BatchNormalization(),
        AveragePooling1D(2, padding="same", strides=1),
        LSTM(3, return_sequences=True),
        LayerNormalization(),
        Dropout(0.4),
        GlobalAveragePooling1D(),
        LeakyReLU(0.2),
    )


def embedded():
    return _in_a_row(
        Embedding(7, 3, input_length=6),
        LSTM(3, return_sequences=True),
        Flatten(),
        Dense(2, activation="sigmoid"),
        BatchNormalization(scale=False),
    )


def shapes():
    return _in_a_row(
        LSTM(4, return_sequences=True, input_shape=(6, 3)),
        TimeDistributed(Dense(2, activation="tanh")),
        ZeroPadding1D((1, 2)),
        Cropping1D((1, 0)),
        UpSampling1D(2),
        GaussianNoise(0.1),
        ActivityRegularization(l2=0.1),
        Permute((2, 1)),
        Reshape((4, -1)),
        GlobalMaxPooling1D(),
        RepeatVector(3),
        PReLU(shared_axes=[1]),
        ThresholdedReLU(0.1),
        ELU(0.5),
    )


def merged():
    x = cylstm.Input((6, 3), name="x")
    a = LSTM(3, return_sequences=True)(x)
    b, d = Dense(3, activation="selu")(x), LSTM(3)(x)
    parts = [Add()([a, b, d]), Multiply()([a, b]), Subtract()([a, b]), Average()([a, b])]
    parts += [Maximum()([a, b]), Minimum()([a, b, d])]
    joined = Concatenate()(parts)
    return cylstm.Model(x, [joined, Concatenate(1)([a, b]), Dot(2)([a, b]), Dot((1, 1))([a, b])])


def nested():
    x = cylstm.Input((6, 3), name="x")
    inner = _in_a_row(LSTM(3, input_shape=(6, 3)), Dense(2))
    return cylstm.Model(x, Concatenate()([inner(x), inner(Activation("tanh")(x))]))


CASES = {
    "last_output": last_output,
    "sequences": sequences,
    "linear_gates": linear_gates,
    "states": states,
    "both_states": both_states,
    "windows": windows,
    "embedded": embedded,
    "shapes": shapes,
    "merged": merged,
    "nested": nested,
    **{
        f"both_{mode}_{'sequences' if sequences else 'last'}": (
            lambda mode=mode, sequences=sequences: _both(mode, sequences)
        )
        for mode in ("concat", "sum", "mul", "ave", None)
        for sequences in (True, False)
    },
}


def made(name):
    """A model of `CASES` with random weights, which are always the same."""
    model = CASES[name]()
    chance = np.random.RandomState(4)
    arrays = [chance.normal(0, 0.5, weight.shape) for weight in model.get_weights()]
    variables = [v.name for v in model.weights]
    model.set_weights(
        [np.abs(a) + 0.1 if "variance" in v else a for a, v in zip(arrays, variables, strict=True)]
    )
    return model
