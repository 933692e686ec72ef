"""The names of optimizers, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm._registry import Registry
from cylstm.optimizers.adam import Adam, Adamax, Nadam
from cylstm.optimizers.descent import SGD, Adadelta, Adagrad, RMSprop
from cylstm.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from cylstm._registry import Deserialize, Get, Serialize

__all__ = [
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

sgd = SGD
rmsprop = RMSprop
adagrad = Adagrad
adadelta = Adadelta
adam = Adam
adamax = Adamax
nadam = Nadam

_registry = Registry(
    "optimizer",
    {cls.__name__: cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, Adamax, Nadam)},
    base=Optimizer,
    ignore_case=True,
)

get: Get[Optimizer] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Optimizer] = _registry.deserialize
