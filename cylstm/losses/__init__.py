"""Losses: how far predictions are from their targets, and how that changes with them.

A loss takes targets and predictions, arrays of one shape, and returns one value for each sample
(and each timestep): an array without the last axis. The built-in ones are those of TensorFlow
1.4's Keras, which keeps probabilities within [1e-7, 1 - 1e-7]; float32 and float64 stay what
they are, and other predictions become float32. What does not fit raises a ValueError; what is
not finite gives infinities and NaN without a warning.

To add one, write the function under `@builtin(its gradient)` in `_distances.py` or
`_likelihoods.py` and import it here: names, configs and gradient tests follow. A loss of your own,
of NumPy or `cylstm.backend`, evaluates as it is, and trains where the package autograd is
installed; or it has a gradient of its own: see `with_gradient`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm._registry import Registry
from cylstm.losses._differentiable import ALIASES, BUILTINS, check_target, gradient, with_gradient
from cylstm.losses._distances import (
    categorical_hinge,
    cosine_proximity,
    hinge,
    logcosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    squared_hinge,
)
from cylstm.losses._likelihoods import (
    binary_crossentropy,
    categorical_crossentropy,
    kullback_leibler_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from cylstm.losses._today import (
    CLASSES,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

if TYPE_CHECKING:
    from cylstm._registry import Deserialize, GetOptional, Serialize
    from cylstm.losses._differentiable import Loss

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "Hinge",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "check_target",
    "cosine",
    "cosine_proximity",
    "deserialize",
    "get",
    "gradient",
    "hinge",
    "kld",
    "kullback_leibler_divergence",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "with_gradient",
]

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence
cosine = cosine_proximity

_registry = Registry("loss function", BUILTINS, ALIASES | CLASSES, instantiate=False, default=None)

get: GetOptional[Loss] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Loss] = _registry.deserialize
