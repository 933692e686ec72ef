"""Optimizers: how weights follow from gradients.

`optimizer.apply(gradients, variables)` updates variables once. Names, arguments, defaults and
formulas are those of TensorFlow 1.4's Keras.
"""

from cylstm.optimizers.adam import Adam, Adamax, Nadam
from cylstm.optimizers.descent import SGD, Adadelta, Adagrad, RMSprop
from cylstm.optimizers.names import (
    adadelta,
    adagrad,
    adam,
    adamax,
    deserialize,
    get,
    nadam,
    rmsprop,
    serialize,
    sgd,
)
from cylstm.optimizers.optimizer import Optimizer

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "deserialize",
    "get",
    "nadam",
    "rmsprop",
    "serialize",
    "sgd",
]
