"""Small jobs on NumPy arrays, under the names of `keras.utils.np_utils`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cylstm import _checks
from cylstm._arguments import suggesting

__all__ = ["normalize", "to_categorical"]


@suggesting
def to_categorical(y: npt.ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """Turn numbers of classes into rows of 0 and 1.

    Parameters
    ----------
    y : array of integers
        Numbers of classes, from 0; of any shape, and flattened.
    num_classes : int, optional
        How many classes there are: one more than the greatest number by default.

    Returns
    -------
    array (y.size, num_classes), float64
        1 at the number of the class, elsewhere 0.

    Raises
    ------
    TypeError
        If y does not consist of real numbers, or `num_classes` is not an integer.
    ValueError
        If y holds anything but integers from 0 to num_classes - 1, or is empty and
        `num_classes` is not given.

    Examples
    --------
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    numbers = _checks.as_array(y, np.dtype(np.float64), "y").ravel()
    if num_classes is not None:
        classes = _checks.positive_int(num_classes, "num_classes")
    elif numbers.size:
        classes = int(numbers.max()) + 1 if np.isfinite(numbers).all() else 0
    else:
        raise ValueError("y is empty, so num_classes must say how many classes there are.")
    fits = (numbers >= 0) & (numbers < max(classes, 1)) & (numbers == np.floor(numbers))
    if not fits.all():
        allowed = f"from 0 to {classes - 1}" if num_classes is not None else "from 0"
        raise ValueError(f"y must hold integers {allowed}, got {numbers[~fits][0]}.")
    rows = np.zeros((numbers.size, classes))
    rows[np.arange(numbers.size), numbers.astype(np.int64)] = 1
    return rows


def normalize(x: npt.ArrayLike, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """Divide an array by its norm along an axis; a vector of norm 0 stays as it is.

    Parameters
    ----------
    x : array
        The values.
    axis : int, default -1
        The axis along which the norms become 1.
    order : int or float, default 2
        The order of the norm, as `numpy.linalg.norm` takes it.

    Returns
    -------
    array
        Of the shape of x; float32 and float64 are kept.

    Raises
    ------
    TypeError
        If x does not consist of real numbers.
    ValueError
        If x has no such axis.

    Examples
    --------
    >>> normalize([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    given = _checks.real_array(x, "x")
    dtype = np.float32 if given.dtype == np.float32 else np.float64
    array = _checks.as_array(given, np.dtype(dtype), "x")
    norms = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norms == 0, 1, norms)
