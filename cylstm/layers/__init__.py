"""Layers: the parts that models are made of."""

from cylstm.layers.bidirectional import Bidirectional
from cylstm.layers.convolutional import Conv1D, Convolution1D
from cylstm.layers.core import Activation, Dense, LeakyReLU, Masking
from cylstm.layers.differentiable import Differentiable
from cylstm.layers.embedding import Embedding
from cylstm.layers.input_layer import Input, InputLayer
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.lstm import LSTM
from cylstm.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    multiply,
    subtract,
)
from cylstm.layers.nested import Nested
from cylstm.layers.noise import Dropout, GaussianNoise, SpatialDropout1D
from cylstm.layers.normalization import BatchNormalization, LayerNormalization
from cylstm.layers.pooling import (
    AveragePooling1D,
    AvgPool1D,
    GlobalAveragePooling1D,
    GlobalAvgPool1D,
    GlobalMaxPool1D,
    GlobalMaxPooling1D,
    MaxPool1D,
    MaxPooling1D,
)
from cylstm.layers.recurrent import Recurrent
from cylstm.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from cylstm.layers.serialization import deserialize, register, serialize
from cylstm.layers.wrappers import TimeDistributed, Wrapper

register(
    LSTM,
    Activation,
    Add,
    Average,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    InputLayer,
    LayerNormalization,
    LeakyReLU,
    Masking,
    MaxPooling1D,
    Maximum,
    Multiply,
    Permute,
    RepeatVector,
    Reshape,
    SpatialDropout1D,
    Subtract,
    TimeDistributed,
)

__all__ = [
    "LSTM",
    "Activation",
    "Add",
    "Average",
    "AveragePooling1D",
    "AvgPool1D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Convolution1D",
    "Dense",
    "Differentiable",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "Gradients",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPooling1D",
    "Maximum",
    "Multiply",
    "Nested",
    "Permute",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "Subtract",
    "TimeDistributed",
    "Wrapper",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "multiply",
    "serialize",
    "subtract",
]
