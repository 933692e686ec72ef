"""One row for each configuration of a layer that `layers/test_every_layer.py` puts to the test."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cylstm import backend as K
from cylstm.layers import (
    ELU,
    LSTM,
    RNN,
    Activation,
    ActivityRegularization,
    Add,
    AlphaDropout,
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
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Lambda,
    Layer,
    LayerNormalization,
    LeakyReLU,
    LSTMCell,
    Masking,
    Maximum,
    MaxPooling1D,
    Minimum,
    Multiply,
    Permute,
    PReLU,
    RepeatVector,
    Reshape,
    SpatialDropout1D,
    Subtract,
    ThresholdedReLU,
    TimeDistributed,
    UpSampling1D,
    ZeroPadding1D,
)
from cylstm.saving._onnx import _number_layers as onnx
from cylstm.saving._onnx._layers import (
    OnnxConstant,
    OnnxLengthsMask,
    OnnxSlice,
    OnnxTake,
    OnnxZeroPastEnd,
)


class LayerCase(NamedTuple):
    """A layer and a call of it.

    `make` takes the dtype. `refused` is an input (or a list) that does not fit the layer, such as
    one with another number of axes; None where every input fits. Inputs and arguments that are
    arrays have the batch as their first axis. No number is within 2e-3 of a kink.
    """

    name: str
    make: Callable[..., Layer]
    inputs: Any
    arguments: dict[str, Any] = {}
    refused: Any = None


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


VECTORS = numbers(3, 4)
SEQUENCES = numbers(3, 5, 4)
GRIDS = numbers(2, 3, 5, 4)
INDICES = np.array([[1, 4, 4, 0], [3, 1, 0, 0], [4, 4, 4, 4]])
SOME = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
SENTENCES = np.array([[[1, 1, 0, 1, 1], [0] * 5, [1, 0, 0, 0, 0]]] * 2, bool)
STATES = [numbers(3, 2, seed=i) for i in range(4)]
IN_TRAINING = {"training": True}


def lstm(**kwargs):
    return LSTM(2, recurrent_activation="sigmoid", bias_initializer="glorot_uniform", **kwargs)


def smooth_cell(units, dtype):
    return LSTMCell(
        units,
        recurrent_activation="sigmoid",
        bias_initializer="glorot_uniform",
        dropout=0.3,
        recurrent_dropout=0.3,
        dtype=dtype,
    )


def rnn(dtype):
    return RNN(smooth_cell(2, dtype))


def around(wrapper, inner, **kwargs):
    """A row's `make` for a wrapper: the dtype goes to the layer within."""
    return lambda dtype: wrapper(inner(dtype=dtype), **kwargs)


def dense(**kwargs):
    return Dense(3, activation="tanh", bias_initializer="glorot_uniform", **kwargs)


def swish(x):
    return x * K.sigmoid(x)


def weighted(inputs, factor=1.0):
    scores, values = inputs
    return factor * K.batch_dot(K.softmax(scores), values, axes=(1, 1))


def halves(x):
    return [x[..., :2], x[..., 2:] ** 2]


def last_size(shape):
    return shape[0][0], shape[1][-1]


# What a config names, and who reads one has to know.
FUNCTIONS = {f.__name__: f for f in (swish, weighted, halves, last_size)}

CASES = [
    LayerCase("lambda", lambda dtype: Lambda(swish, dtype=dtype), SEQUENCES),
    LayerCase("lambda of a shape", lambda dtype: Lambda(swish, (5, 4), dtype=dtype), SEQUENCES),
    LayerCase(
        "lambda of several",
        lambda dtype: Lambda(weighted, last_size, arguments={"factor": 0.5}, dtype=dtype),
        [numbers(3, 5), SEQUENCES],
    ),
    LayerCase("lambda to several", lambda dtype: Lambda(halves, dtype=dtype), SEQUENCES),
    LayerCase("dense", lambda dtype: dense(dtype=dtype), VECTORS, {}, np.ones(4)),
    LayerCase("dense, sequences", lambda dtype: dense(dtype=dtype), SEQUENCES, {"mask": SOME}),
    LayerCase("dense, four axes", lambda dtype: dense(dtype=dtype), GRIDS),
    LayerCase(
        "dense, softmax without bias",
        lambda dtype: Dense(3, "softmax", use_bias=False, dtype=dtype),
        SEQUENCES,
        {},
        np.ones(4),
    ),
    LayerCase("activation", lambda dtype: Activation("softmax", dtype=dtype), SEQUENCES),
    LayerCase("linear activation", lambda dtype: Activation(None, dtype=dtype), VECTORS),
    LayerCase("leaky relu", lambda dtype: LeakyReLU(0.2, dtype=dtype), SEQUENCES),
    LayerCase("masking", lambda dtype: Masking(0.5, dtype=dtype), SEQUENCES, {}, np.ones(4)),
    LayerCase("dropout", lambda dtype: Dropout(0.4, dtype=dtype), VECTORS),
    LayerCase("dropout in training", lambda dtype: Dropout(0.4, dtype=dtype), GRIDS, IN_TRAINING),
    LayerCase(
        "dropout of timesteps",
        lambda dtype: Dropout(0.4, noise_shape=(None, None, 1), dtype=dtype),
        SEQUENCES,
        IN_TRAINING,
        np.ones((2, 3)),
    ),
    LayerCase(
        "dropout of features",
        lambda dtype: SpatialDropout1D(0.4, dtype=dtype),
        SEQUENCES,
        IN_TRAINING,
        VECTORS,
    ),
    LayerCase("noise", lambda dtype: GaussianNoise(0.4, dtype=dtype), SEQUENCES, IN_TRAINING),
    LayerCase("flatten", lambda dtype: Flatten(dtype=dtype), GRIDS, {}, np.ones(4)),
    LayerCase("reshape", lambda dtype: Reshape((4, 5), dtype=dtype), SEQUENCES, {}, VECTORS),
    LayerCase(
        "reshape with an open size",
        lambda dtype: Reshape((10, -1), dtype=dtype),
        SEQUENCES,
        {},
        VECTORS,
    ),
    LayerCase("permute", lambda dtype: Permute((3, 1, 2), dtype=dtype), GRIDS, {}, VECTORS),
    LayerCase("repeat", lambda dtype: RepeatVector(3, dtype=dtype), VECTORS, {}, SEQUENCES),
    LayerCase(
        "embedding",
        lambda dtype: Embedding(6, 3, mask_zero=True, input_length=4, dtype=dtype),
        INDICES,
        {},
        INDICES[0],
    ),
    LayerCase("lstm", lambda dtype: lstm(dtype=dtype), SEQUENCES, {"mask": SOME}, VECTORS),
    LayerCase(
        "lstm with states",
        lambda dtype: lstm(dtype=dtype, return_sequences=True, return_state=True),
        SEQUENCES,
        {"initial_state": STATES[:2]},
        VECTORS,
    ),
    *(
        LayerCase(
            f"rnn of {name}",
            lambda dtype, cells=cells, options=options: RNN(
                [smooth_cell(n, dtype) for n in cells], **options
            ),
            SEQUENCES,
            arguments,
            VECTORS,
        )
        for name, cells, arguments, options in (
            ("a cell", [2], {"mask": SOME}, {}),
            ("a cell, backwards", [2], {}, {"go_backwards": True}),
            ("a stack", [3, 2], {"mask": SOME}, {"return_sequences": True, "unroll": True}),
            ("a cell with states", [2], {"initial_state": STATES[:2]}, {"return_state": True}),
        )
    ),
    LayerCase("rnn, bidirectional", around(Bidirectional, rnn), SEQUENCES, {}, VECTORS),
    LayerCase("rnn at each timestep", around(TimeDistributed, rnn), GRIDS, {}, SEQUENCES),
    LayerCase("dense at each timestep", around(TimeDistributed, dense), SEQUENCES, {}, VECTORS),
    LayerCase("lstm at each timestep", around(TimeDistributed, lstm), GRIDS, {}, SEQUENCES),
    LayerCase(
        "lstm at each timestep, masked",
        around(TimeDistributed, lstm),
        GRIDS,
        {"mask": SENTENCES},
        SEQUENCES,
    ),
    LayerCase(
        "dropout at each timestep",
        around(TimeDistributed, lambda dtype: Dropout(0.4, dtype=dtype)),
        SEQUENCES,
        IN_TRAINING,
        VECTORS,
    ),
    LayerCase(
        "embedding at each timestep",
        around(TimeDistributed, lambda dtype: Embedding(6, 3, dtype=dtype)),
        INDICES[:, :, None],
        {},
        INDICES,
    ),
    LayerCase(
        "layers in layers",
        around(TimeDistributed, around(TimeDistributed, dense)),
        GRIDS,
        {},
        SEQUENCES,
    ),
    *(
        LayerCase(
            f"bidirectional, {mode}, {'sequences' if sequences else 'last'}",
            around(
                Bidirectional,
                lambda dtype, sequences=sequences: lstm(dtype=dtype, return_sequences=sequences),
                merge_mode=mode,
            ),
            SEQUENCES,
            {"mask": SOME} if sequences else {},
            VECTORS,
        )
        for mode in ("sum", "mul", "ave", "concat", None)
        for sequences in (True, False)
    ),
    *(
        LayerCase(
            f"bidirectional with states, {mode}",
            around(
                Bidirectional,
                lambda dtype: lstm(
                    dtype=dtype, return_sequences=True, return_state=True, go_backwards=True
                ),
                merge_mode=mode,
            ),
            SEQUENCES,
            {"initial_state": STATES, "mask": SOME},
            VECTORS,
        )
        for mode in ("concat", None)
    ),
    LayerCase(
        "bidirectional, states in the inputs",
        around(Bidirectional, lstm),
        [SEQUENCES, *STATES],
        {},
        [SEQUENCES, *STATES[:3]],
    ),
]

# Merging, convolution, pooling and normalization

OTHERS = numbers(3, 5, 4, seed=1)
PAIR = [VECTORS, numbers(3, 4, seed=1)]
SEQUENCE_PAIR = [SEQUENCES, OTHERS]
RANKS = [VECTORS, SEQUENCES, numbers(3, 1, 4, seed=1)]
UNLIKE = [numbers(3, 5, 4), numbers(3, 5, 3)]
MATRICES = numbers(3, 2, 5, 4)
WINDOWS = [
    {"pool_size": 2},
    {"pool_size": 3, "strides": 1, "padding": "same"},
    {"pool_size": 2, "strides": 3, "padding": "same"},
]


def row(cls, inputs, arguments=None, refused=None, label="", **config):
    """The case of a layer with this configuration."""
    words = [cls.__name__, *(f"{k}={v}" for k, v in config.items()), label]
    return LayerCase(
        " ".join(filter(None, words)),
        lambda dtype: cls(**config, dtype=dtype),
        inputs,
        arguments or {},
        refused,
    )


MERGING = [
    *(
        row(cls, PAIR, refused=VECTORS)
        for cls in (Add, Subtract, Multiply, Average, Maximum, Minimum)
    ),
    *(
        row(cls, RANKS, refused=UNLIKE, label="of several ranks")
        for cls in (Add, Multiply, Average, Maximum, Minimum)
    ),
    row(Add, SEQUENCE_PAIR, {"mask": [SOME, ~SOME]}, UNLIKE, "masked"),
    row(Concatenate, UNLIKE, refused=[SEQUENCES, VECTORS]),
    row(Concatenate, SEQUENCE_PAIR, {"mask": [SOME, ~SOME]}, UNLIKE, "masked", axis=1),
    row(Dot, PAIR, refused=[VECTORS, SEQUENCES], axes=1),
    row(Dot, PAIR, refused=UNLIKE, axes=-1, normalize=True),
    row(Dot, SEQUENCE_PAIR, refused=UNLIKE, axes=2),
    row(Dot, UNLIKE, refused=[SEQUENCES, SEQUENCES[:, 1:]], axes=(1, 1), normalize=True),
    row(Dot, [SEQUENCES, VECTORS], refused=PAIR, axes=(2, 1)),
    row(Dot, [MATRICES, MATRICES + 1], refused=SEQUENCE_PAIR, axes=3),
]

CONVOLUTIONS = [
    row(
        Conv1D,
        SEQUENCES,
        refused=VECTORS,
        filters=3,
        kernel_size=2,
        activation="tanh",
        bias_initializer="glorot_uniform",
        **config,
    )
    for config in (
        {},
        {"strides": 2, "padding": "same"},
        {"dilation_rate": 2, "padding": "causal"},
        {"padding": "same", "use_bias": False},
    )
]

POOLING = [
    *(
        row(cls, SEQUENCES, refused=VECTORS, **config)
        for cls in (MaxPooling1D, AveragePooling1D)
        for config in WINDOWS
    ),
    row(GlobalMaxPooling1D, SEQUENCES, refused=VECTORS),
    row(GlobalAveragePooling1D, SEQUENCES, refused=VECTORS),
]

NORMALIZATION = [
    row(BatchNormalization, SEQUENCES, {"mask": SOME}, numbers()),
    row(BatchNormalization, SEQUENCES, IN_TRAINING, numbers(), "in training"),
    row(BatchNormalization, SEQUENCES, IN_TRAINING, numbers(3), "in training", axis=1),
    row(BatchNormalization, MATRICES, IN_TRAINING, numbers(), "in training, four axes"),
    row(BatchNormalization, VECTORS, IN_TRAINING, numbers(), scale=False, center=False),
    row(LayerNormalization, SEQUENCES, {"mask": SOME}, numbers()),
    row(LayerNormalization, SEQUENCES, refused=VECTORS, axis=[1, 2], epsilon=0.1),
    row(LayerNormalization, VECTORS, refused=numbers(), center=False),
]

# Activations with numbers or weights of their own, noise, and what changes the number of timesteps

RECTIFIERS = [
    row(LeakyReLU, VECTORS, alpha=-0.5),
    row(ELU, SEQUENCES, {"mask": SOME}, alpha=0.7),
    row(ELU, MATRICES),
    row(ThresholdedReLU, SEQUENCES, {"mask": SOME}, theta=0.25),
    row(PReLU, VECTORS, refused=np.ones(4), alpha_initializer="ones"),
    row(PReLU, SEQUENCES, {"mask": SOME}, VECTORS[0], alpha_initializer="glorot_uniform"),
    row(PReLU, SEQUENCES, refused=VECTORS[0], alpha_initializer="ones", shared_axes=[1]),
    row(PReLU, MATRICES, refused=VECTORS, alpha_initializer="glorot_uniform", shared_axes=[1, 3]),
    row(ActivityRegularization, SEQUENCES, {"mask": SOME}, l1=0.1, l2=0.2),
]

DISTURBANCES = [
    row(GaussianDropout, SEQUENCES, IN_TRAINING, label="in training", rate=0.4),
    row(AlphaDropout, SEQUENCES, IN_TRAINING, label="in training", rate=0.4),
    row(AlphaDropout, SEQUENCES, IN_TRAINING, VECTORS, rate=0.4, noise_shape=(None, 1, None)),
    row(AlphaDropout, VECTORS, rate=0.4, seed=1),
]

LENGTHS = [
    row(UpSampling1D, SEQUENCES, refused=VECTORS, size=3),
    row(ZeroPadding1D, SEQUENCES, refused=VECTORS, padding=(2, 1)),
    row(Cropping1D, SEQUENCES, refused=SEQUENCES[:, :2], cropping=(1, 2)),
    row(Cropping1D, SEQUENCES, refused=VECTORS, cropping=0),
]

# What files of ONNX have beyond the layers of Keras: `cylstm.saving`

POSITIVE = np.abs(SEQUENCES) + 0.5
FROM_ONNX = [
    row(OnnxSlice, SEQUENCES, refused=VECTORS[:, 0], axis=1, begin=3, end=None, step=-2),
    row(OnnxSlice, MATRICES, {"mask": None}, axis=2, begin=1, end=-1),
    row(OnnxTake, SEQUENCES, refused=SEQUENCES[:, :2], axis=1, indices=[0, 3, 3]),
    row(OnnxTake, SEQUENCES, refused=VECTORS, axis=2, indices=-1),
    row(OnnxConstant, VECTORS, shape=[2, 3]),
    *(row(onnx.OnnxFunction, POSITIVE, {"mask": SOME}, function=name) for name in onnx.FUNCTIONS),
    *(row(onnx.OnnxOperation, POSITIVE, operation=name, number=1.25) for name in onnx.OPERATIONS),
    *(row(onnx.OnnxOperation, POSITIVE, refused=SEQUENCES[:, :3], operation=name, shape=[5, 1])
      for name in onnx.OPERATIONS if name not in ("Div", "Pow")),
    *(row(onnx.OnnxReduce, SEQUENCES, refused=VECTORS, operation=name, axes=[2])
      for name in onnx.REDUCTIONS),
    row(onnx.OnnxReduce, MATRICES, operation="ReduceL2", axes=[1, 3]),
    row(OnnxLengthsMask, [SEQUENCES, np.array([[5.0], [2.0], [0.0]])], refused=PAIR),
    row(OnnxZeroPastEnd, [SEQUENCES, np.array([[5.0], [2.0], [0.0]])], refused=PAIR),
]  # fmt: skip

CASES += FROM_ONNX
CASES += [*RECTIFIERS, *DISTURBANCES, *LENGTHS]
CASES += [*MERGING, *CONVOLUTIONS, *POOLING, *NORMALIZATION]
