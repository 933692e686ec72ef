"""Initializers: the first values of weights.

An initializer is called as `initializer(shape, dtype=None)` and returns an array. A seed makes its
numbers repeatable: every call then returns the same ones. Without a seed the call takes one from
`numpy.random`, as in Keras, unless `cylstm.utils.set_random_seed` was called. Numbers are drawn in
double precision and then rounded, so that a float32 and a float64 layer with one seed start from
the same weights.

Names, arguments and formulas are those of TensorFlow 1.4. So are the defaults, but for the spread
of `RandomNormal`, `TruncatedNormal` and `RandomUniform`: 0.05, as in Keras 2.0 and every TensorFlow
after 1.4.
"""

from cylstm.initializers.fixed import Constant, Identity, Ones, Zeros
from cylstm.initializers.initializer import Initializer
from cylstm.initializers.names import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    constant,
    deserialize,
    get,
    identity,
    normal,
    one,
    ones,
    orthogonal,
    random_normal,
    random_uniform,
    serialize,
    truncated_normal,
    uniform,
    zero,
    zeros,
)
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

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Constant",
    "Identity",
    "Initializer",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
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
