"""cylstm: a fast LSTM for the CPU, with the behaviour of `tf.keras.layers.LSTM` (TensorFlow 1.4).

NumPy arrays go in and out. See `cylstm.LSTM` to begin with.
"""

from cylstm._version import __version__

try:
    from cylstm import _core  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"The compiled core of cylstm cannot be imported ({error}). In a source checkout, build it "
        "with `pip install -e .`; elsewhere, install cylstm again."
    ) from error

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
from cylstm._threads import get_num_threads, set_num_threads
from cylstm.layers import LSTM, Input, Layer
from cylstm.models import Model, Sequential
from cylstm.variables import Variable

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
    "utils",
]
