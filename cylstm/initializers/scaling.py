"""Initializers whose variance suits the number of inputs and outputs of a unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cylstm._numbers import real
from cylstm.initializers.random import Random, standard_truncated_normal

__all__ = [
    "VarianceScaling",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
]

if TYPE_CHECKING:
    from typing import Protocol

    class Make(Protocol):
        """A function that returns a `VarianceScaling`."""

        __name__: str
        __qualname__: str

        def __call__(
            self, seed: int | None = None, dtype: npt.DTypeLike | None = "float32"
        ) -> VarianceScaling: ...


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("normal", "uniform", "truncated_normal", "untruncated_normal")

# Standard deviation of a standard normal variable that is redrawn beyond 2.
_TRUNCATED_STDDEV = 0.87962566103423978


class VarianceScaling(Random):
    """Random with a variance that suits the shape of the weights.

    With n as `mode` says, "normal" draws from a normal distribution of mean 0 and standard
    deviation sqrt(scale / n), truncated at twice that (which lowers the variance; TensorFlow 1.4
    does not correct it); "uniform" draws between -sqrt(3 scale / n) and sqrt(3 scale / n).

    For a matrix fan_in is the number of rows and fan_out that of columns; a vector of n numbers has
    n of both; with more axes the last two count, each times the sizes of the others.

    Parameters
    ----------
    scale : float, default 1.0
        A positive factor.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        Whether n is the number of inputs of a unit, of outputs, or the mean of both.
    distribution : str, default "normal"
        "normal" or "uniform". Configs of later versions of TensorFlow are read too, with what they
        mean there: "truncated_normal" is "normal" with the variance corrected, and
        "untruncated_normal" is not truncated.
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If the scale is not a positive number, mode or distribution unknown, or the seed not an
        integer.

    Examples
    --------
    >>> w = VarianceScaling(2.0, "fan_out", "uniform", seed=1)((3, 600))
    >>> bool(0.09 < abs(w).max() <= 0.1)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "normal",
        seed: int | None = None,
        dtype: npt.DTypeLike | None = "float32",
    ) -> None:
        super().__init__(seed, dtype)
        self.scale: int | float = real(scale, "scale")
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, got {scale!r}")
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {_MODES}, got {mode!r}")
        self.mode = mode
        self.distribution: str = str(distribution).lower()
        if self.distribution not in _DISTRIBUTIONS:
            raise ValueError(f"distribution must be one of {_DISTRIBUTIONS}, got {distribution!r}")

    def _draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        fan_in, fan_out = _fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            return math.sqrt(3 * variance) * (2 * random.random(shape) - 1)
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return stddev * random.standard_normal(shape)
        if self.distribution == "truncated_normal":
            stddev /= _TRUNCATED_STDDEV
        return stddev * standard_truncated_normal(shape, random)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Count the inputs and outputs of a unit whose weights have this shape."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def _scaling(name: str, scale: float, mode: str, distribution: str, formula: str) -> Make:
    """Make one of the functions that return a VarianceScaling."""

    def make(seed: int | None = None, dtype: npt.DTypeLike | None = "float32") -> VarianceScaling:
        return VarianceScaling(scale, mode, distribution, seed, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""Return an initializer: {formula}.

    Parameters
    ----------
    seed : int or None, default None
        Makes the numbers repeatable.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Returns
    -------
    VarianceScaling
        The initializer.

    Raises
    ------
    TypeError
        If the seed is not an integer.

    Examples
    --------
    >>> {name}(seed=3).get_config()["distribution"]
    '{distribution}'
    """
    return make


lecun_uniform: Make = _scaling(
    "lecun_uniform", 1.0, "fan_in", "uniform", "uniform within ± sqrt(3 / fan_in) (LeCun 1998)"
)
lecun_normal: Make = _scaling(
    "lecun_normal", 1.0, "fan_in", "normal", "truncated normal, sqrt(1 / fan_in) (LeCun 1998)"
)
glorot_uniform: Make = _scaling(
    "glorot_uniform",
    1.0,
    "fan_avg",
    "uniform",
    "uniform within ± sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)",
)
glorot_normal: Make = _scaling(
    "glorot_normal",
    1.0,
    "fan_avg",
    "normal",
    "truncated normal, sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)",
)
he_uniform: Make = _scaling(
    "he_uniform", 2.0, "fan_in", "uniform", "uniform within ± sqrt(6 / fan_in) (He et al. 2015)"
)
he_normal: Make = _scaling(
    "he_normal", 2.0, "fan_in", "normal", "truncated normal, sqrt(2 / fan_in) (He et al. 2015)"
)
