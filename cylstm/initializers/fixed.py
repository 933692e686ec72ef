"""Initializers that do not draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm._numbers import real
from cylstm.initializers.initializer import Filling

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Zeros(Filling):
    """All 0.

    Parameters
    ----------
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Examples
    --------
    >>> Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


class Ones(Filling):
    """All 1.

    Parameters
    ----------
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Examples
    --------
    >>> Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape)


class Constant(Filling):
    """A given number, or given numbers in C order.

    Parameters
    ----------
    value : float, sequence or array, default 0
        One number for all elements; or numbers for the first elements, the last of which also
        fills the rest.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".
    verify_shape : bool, default False
        Whether the value must have the shape itself. It is not part of the config.

    Raises
    ------
    TypeError
        If the value does not consist of real numbers; on a call with verify_shape, if the value
        has another shape.
    ValueError
        On a call, if there are more numbers than elements, or none.

    Examples
    --------
    >>> Constant([1, 2])((2, 2)).tolist()
    [[1.0, 2.0], [2.0, 2.0]]
    """

    def __init__(
        self,
        value: npt.ArrayLike = 0,
        dtype: npt.DTypeLike | None = "float32",
        verify_shape: bool = False,
    ) -> None:
        super().__init__(dtype)
        if np.asarray(value).dtype.kind not in "fiub":
            raise TypeError(f"value must be a number or an array of numbers, got {value!r}")
        self.value = value
        self.verify_shape = verify_shape

    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        given = np.asarray(self.value, dtype=np.float64)
        size = math.prod(shape)
        if self.verify_shape and given.shape != shape:
            raise TypeError(f"the value has shape {given.shape}, expected {shape}")
        if given.size > max(1, size) or (size and not given.size):
            raise ValueError(
                f"Constant was given {given.size} numbers for the {size} elements of an array of "
                f"shape {shape}; give one number, or at most as many as there are elements"
            )
        values = np.full(size, given.flat[-1] if given.size else 0.0)
        values[: given.size] = given.ravel()[:size]
        return values.reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the object, without verify_shape (as TensorFlow)."""
        config = super().get_config()
        del config["verify_shape"]
        return config


class Identity(Filling):
    """Ones on the diagonal of a matrix, zeros elsewhere.

    Parameters
    ----------
    gain : float, default 1.0
        A factor of the matrix.
    dtype : dtype, default "float32"
        That of the array where a call names none: "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If the gain is not a finite number; on a call, if the shape does not have two axes.

    Examples
    --------
    >>> Identity(0.5)((2, 3)).tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]
    """

    def __init__(self, gain: float = 1.0, dtype: npt.DTypeLike | None = "float32") -> None:
        super().__init__(dtype)
        self.gain: int | float = real(gain, "gain")

    def _values(self, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity needs a shape of two axes, got {shape}")
        return self.gain * np.eye(*shape)
