"""Losses under the names of classes, as later versions of Keras have them."""

from __future__ import annotations

from collections.abc import Callable

from cylstm._spellings import Fixed, class_form
from cylstm.losses import _distances, _likelihoods
from cylstm.losses._differentiable import Loss

__all__ = [
    "CLASSES",
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
]

Make = Callable[..., Loss]

CLASSES: dict[str, str] = {}
"""The names of the classes to those of the functions."""

_LOSS: dict[str, Fixed] = {
    "reduction": (("sum_over_batch_size", "auto"), "the loss is the mean over the samples"),
}
_PROBABILITIES: dict[str, Fixed] = {
    "from_logits": ((False,), "end the model with a softmax or sigmoid activation"),
    "label_smoothing": ((0,), "smooth the targets yourself"),
    "axis": ((-1,), "classes are on the last axis"),
}


def _class_form(name: str, loss: Loss, **fixed: Fixed) -> Make:
    CLASSES[name] = loss.__name__
    return class_form("cylstm.losses", name, loss, _LOSS | fixed)


MeanSquaredError: Make = _class_form("MeanSquaredError", _distances.mean_squared_error)
MeanAbsoluteError: Make = _class_form("MeanAbsoluteError", _distances.mean_absolute_error)
MeanAbsolutePercentageError: Make = _class_form(
    "MeanAbsolutePercentageError", _distances.mean_absolute_percentage_error
)
MeanSquaredLogarithmicError: Make = _class_form(
    "MeanSquaredLogarithmicError", _distances.mean_squared_logarithmic_error
)
Hinge: Make = _class_form("Hinge", _distances.hinge)
SquaredHinge: Make = _class_form("SquaredHinge", _distances.squared_hinge)
CategoricalHinge: Make = _class_form("CategoricalHinge", _distances.categorical_hinge)
LogCosh: Make = _class_form("LogCosh", _distances.logcosh)
Poisson: Make = _class_form("Poisson", _likelihoods.poisson)
KLDivergence: Make = _class_form("KLDivergence", _likelihoods.kullback_leibler_divergence)
BinaryCrossentropy: Make = _class_form(
    "BinaryCrossentropy", _likelihoods.binary_crossentropy, **_PROBABILITIES
)
CategoricalCrossentropy: Make = _class_form(
    "CategoricalCrossentropy", _likelihoods.categorical_crossentropy, **_PROBABILITIES
)
SparseCategoricalCrossentropy: Make = _class_form(
    "SparseCategoricalCrossentropy",
    _likelihoods.sparse_categorical_crossentropy,
    from_logits=_PROBABILITIES["from_logits"],
    ignore_class=((None,), "give those samples the sample_weight 0"),
    axis=_PROBABILITIES["axis"],
)
