"""cylstm: LSTM models on the CPU, as Keras 2 has them (tf.keras of TensorFlow 1.4).

NumPy arrays go in and out. A model that tells whether a series sums up to more than zero:

>>> import numpy as np
>>> import cylstm
>>> from cylstm.layers import LSTM, Dense
>>> x = np.random.default_rng(1).standard_normal((64, 20, 3))  # samples, timesteps, features
>>> target = x.sum(axis=(1, 2)) > 0
>>> model = cylstm.Sequential([LSTM(8, input_shape=(20, 3)), Dense(1, activation="sigmoid")])
>>> model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
>>> history = model.fit(x, target[:, np.newaxis], epochs=2, verbose=0)
>>> model.predict(x).shape
(64, 1)

What there is, and where
------------------------
LSTM, Input, Sequential, Model
    The layer, and the models around it: `compile`, `fit`, `evaluate`, `predict`, `summary`,
    `save`. ``layer(x)`` and ``layer.vjp(x)`` compute outputs and gradients of arrays at once,
    ``layer.stream()`` and ``model.stream()`` one timestep after the other.
layers
    LSTM, Dense, Embedding, Masking, Bidirectional, TimeDistributed, Dropout, Conv1D, pooling,
    merging, normalization, reshaping; Lambda for functions, Layer and Differentiable for layers of
    your own, Variable for their weights; RNN for cells of your own, LSTMCell.
backend
    Array functions under Keras' names (`from cylstm import backend as K`): what losses, activations
    and layers of your own are written with. They train where the package autograd is installed.
models
    `load_model`, and models from their configs.
optimizers, losses, metrics, callbacks
    What `compile` and `fit` take, by name or as objects: Adam, "mse", "accuracy", EarlyStopping.
activations, initializers, regularizers, constraints
    What layers take, by name or as objects.
preprocessing
    Sequences and text as arrays: `sequence.pad_sequences`, `sequence.TimeseriesGenerator`,
    `text.Tokenizer`.
utils
    `set_random_seed`, `to_categorical`, `Sequence`, `custom_object_scope`.
saving
    The file formats, and `FormatError`; `load_tensors` and `save_tensors`: named arrays.
from_torch, to_torch
    Layers from a PyTorch state dict or its file, without PyTorch, and back.
sklearn, wrappers.scikit_learn
    Estimators of scikit-learn: `LSTMClassifier`, `LSTMRegressor`; `KerasClassifier`,
    `KerasRegressor` around models of your own. To be imported by name.
distributed
    `distributed.predict`: predictions on arrays and bags of Dask. To be imported by name, where
    Dask is installed.
torch
    `torch.LSTM`: `torch.nn.LSTM` by our kernels, in programs of PyTorch. To be imported by name,
    where PyTorch is installed.
testing
    `gradient_error`: checks the gradients of a layer of your own. To be imported by name.
set_num_threads, get_num_threads
    How many threads a call may use: what ``CYLSTM_NUM_THREADS`` says, else one for each CPU.

``help(cylstm.LSTM)`` shows every argument with its default. ``CYLSTM_ISA`` forces the kernels
of an instruction set: generic, avx2, avx512 or (ARM) neon.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING

from cylstm._version import __version__

try:
    from cylstm import _core  # noqa: F401

    if _find_spec("cylstm._blas") is None:  # it is loaded when first needed, which may be late
        raise ImportError("No module named 'cylstm._blas'")
except ImportError as _error:
    raise ImportError(
        f"The compiled core of cylstm cannot be imported ({_error}). In a source checkout, build "
        "it with `pip install -e .`; elsewhere, install cylstm again."
    ) from _error

from cylstm import _keras_names, _layer_names, _lazy, _storage

if TYPE_CHECKING:
    from cylstm import (
        activations,
        backend,
        callbacks,
        constraints,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        preprocessing,
        regularizers,
        saving,
        utils,
    )
    from cylstm import graph as graph
    from cylstm._from_torch import from_torch, to_torch
    from cylstm._threads import get_num_threads, set_num_threads
    from cylstm.layers import LSTM, Input, Layer
    from cylstm.models import Model, Sequential
    from cylstm.variables import Variable
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "": "activations backend callbacks constraints graph initializers layers losses "
            "metrics models optimizers preprocessing regularizers saving utils",
            "_from_torch": "from_torch to_torch",
            "_threads": "get_num_threads set_num_threads",
            "layers": "LSTM Input Layer",
            "models": "Model Sequential",
            "variables": "Variable",
        },
    )

__all__ = [
    "LSTM",
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "from_torch",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "saving",
    "set_num_threads",
    "to_torch",
    "utils",
]

_layer_names.LAYERS.add("cylstm.models", {"model": "Model", "sequential": "Sequential"})
_layer_names.LAYERS.add(
    "cylstm.saving._onnx",
    {
        "_layers": "OnnxConstant OnnxLengthsMask OnnxSlice OnnxTake OnnxZeroPastEnd",
        "_number_layers": "OnnxFunction OnnxOperation OnnxReduce",
    },
)
_storage.provide_later(lambda: _import_module("cylstm.saving"))
_keras_names.install()
