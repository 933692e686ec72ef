"""Layers: the parts that models are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _layer_names, _lazy

if TYPE_CHECKING:
    from cylstm.layers.advanced_activations import ELU, LeakyReLU, PReLU, ThresholdedReLU
    from cylstm.layers.bidirectional import Bidirectional
    from cylstm.layers.cells import StackedRNNCells
    from cylstm.layers.convolutional import Conv1D, Convolution1D
    from cylstm.layers.core import Activation, ActivityRegularization, Dense, Masking
    from cylstm.layers.differentiable import Differentiable
    from cylstm.layers.embedding import Embedding
    from cylstm.layers.function import Lambda
    from cylstm.layers.input_layer import Input, InputLayer
    from cylstm.layers.input_spec import InputSpec
    from cylstm.layers.layer import Gradients, Layer
    from cylstm.layers.lstm import LSTM
    from cylstm.layers.lstm_cell import LSTMCell
    from cylstm.layers.merge import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from cylstm.layers.nested import Nested
    from cylstm.layers.noise import (
        AlphaDropout,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        SpatialDropout1D,
    )
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
    from cylstm.layers.reshaping import (
        Cropping1D,
        Flatten,
        Permute,
        RepeatVector,
        Reshape,
        UpSampling1D,
        ZeroPadding1D,
    )
    from cylstm.layers.rnn import RNN
    from cylstm.layers.serialization import deserialize, serialize
    from cylstm.layers.streams import (
        ActivationStream,
        DenseStream,
        FrameStream,
        LayerStream,
        Stream,
    )
    from cylstm.layers.wrappers import TimeDistributed, Wrapper
else:
    # The classes that configs name; `deserialize` knows them by these names only.
    _CLASSES = {
        "advanced_activations": "ELU LeakyReLU PReLU ThresholdedReLU",
        "bidirectional": "Bidirectional",
        "cells": "StackedRNNCells",
        "convolutional": "Conv1D",
        "core": "Activation ActivityRegularization Dense Masking",
        "embedding": "Embedding",
        "function": "Lambda",
        "input_layer": "InputLayer",
        "lstm": "LSTM",
        "lstm_cell": "LSTMCell",
        "merge": "Add Average Concatenate Dot Maximum Minimum Multiply Subtract",
        "noise": "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D",
        "normalization": "BatchNormalization LayerNormalization",
        "pooling": "AveragePooling1D GlobalAveragePooling1D GlobalMaxPooling1D MaxPooling1D",
        "reshaping": "Cropping1D Flatten Permute RepeatVector Reshape UpSampling1D ZeroPadding1D",
        "rnn": "RNN",
        "wrappers": "TimeDistributed",
    }
    _OTHERS = {
        "convolutional": "Convolution1D",
        "differentiable": "Differentiable",
        "input_layer": "Input",
        "input_spec": "InputSpec",
        "layer": "Gradients Layer",
        "merge": "add average concatenate dot maximum minimum multiply subtract",
        "nested": "Nested",
        "pooling": "AvgPool1D GlobalAvgPool1D GlobalMaxPool1D MaxPool1D",
        "recurrent": "Recurrent",
        "serialization": "deserialize serialize",
        "streams": "ActivationStream DenseStream FrameStream LayerStream Stream",
        "wrappers": "Wrapper",
    }
    _layer_names.LAYERS.add(__name__, _CLASSES)
    __getattr__, __dir__ = _lazy.lazy(__name__, _CLASSES, _OTHERS)

__all__ = [
    "ELU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivationStream",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AvgPool1D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Convolution1D",
    "Cropping1D",
    "Dense",
    "DenseStream",
    "Differentiable",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "FrameStream",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "Gradients",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LayerStream",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPooling1D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Nested",
    "PReLU",
    "Permute",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Stream",
    "Subtract",
    "ThresholdedReLU",
    "TimeDistributed",
    "UpSampling1D",
    "Wrapper",
    "ZeroPadding1D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]
