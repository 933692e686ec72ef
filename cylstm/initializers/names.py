"""The names of initializers, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm._registry import Registry
from cylstm.initializers.fixed import Constant, Identity, Ones, Zeros
from cylstm.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from cylstm.initializers.scaling import (
    VarianceScaling,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from cylstm._registry import Deserialize, Get, Serialize
    from cylstm.initializers.scaling import Make

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "constant",
    "deserialize",
    "get",
    "identity",
    "normal",
    "one",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "uniform",
    "zero",
    "zeros",
]

zero = zeros = Zeros
one = ones = Ones
constant = Constant
uniform = random_uniform = RandomUniform
normal = random_normal = RandomNormal
truncated_normal = TruncatedNormal
orthogonal = Orthogonal
identity = Identity
# the classes of later versions of Keras
GlorotNormal: Make = glorot_normal
GlorotUniform: Make = glorot_uniform
HeNormal: Make = he_normal
HeUniform: Make = he_uniform
LecunNormal: Make = lecun_normal
LecunUniform: Make = lecun_uniform

_CLASSES: list[type] = [
    Zeros,
    Ones,
    Constant,
    RandomUniform,
    RandomNormal,
    TruncatedNormal,
    VarianceScaling,
    Orthogonal,
    Identity,
]

_registry = Registry(
    "initializer",
    {cls.__name__: cls for cls in _CLASSES}
    | {
        "lecun_uniform": lecun_uniform,
        "lecun_normal": lecun_normal,
        "glorot_uniform": glorot_uniform,
        "glorot_normal": glorot_normal,
        "he_uniform": he_uniform,
        "he_normal": he_normal,
    },
    {
        "zero": "Zeros",
        "zeros": "Zeros",
        "one": "Ones",
        "ones": "Ones",
        "constant": "Constant",
        "uniform": "RandomUniform",
        "random_uniform": "RandomUniform",
        "normal": "RandomNormal",
        "random_normal": "RandomNormal",
        "truncated_normal": "TruncatedNormal",
        "orthogonal": "Orthogonal",
        "identity": "Identity",
        # the classes of later versions of Keras 2
        "LecunUniform": "lecun_uniform",
        "LecunNormal": "lecun_normal",
        "GlorotUniform": "glorot_uniform",
        "GlorotNormal": "glorot_normal",
        "HeUniform": "he_uniform",
        "HeNormal": "he_normal",
    },
)

get: Get[Callable[..., np.ndarray]] = _registry.get
serialize: Serialize = _registry.serialize
deserialize: Deserialize[Callable[..., np.ndarray]] = _registry.deserialize
