"""Layers that only move numbers: Flatten, Reshape, Permute and RepeatVector."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm import _checks, _spellings
from cylstm.layers.differentiable import Backward, Differentiable
from cylstm.layers.input_spec import InputSpec

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


class Flatten(Differentiable):
    """Put all axes but the first into one.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Notes
    -----
    Inputs (batch, ...), outputs (batch, features). Masks are not supported. Behaviour:
    `tf.keras.layers.Flatten` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Flatten
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    @_spellings.flatten
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_spec = [InputSpec(min_ndim=2)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, features), with None features where a size is unknown."""
        self._check_shapes([input_shape])
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else math.prod(sizes))

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        shape = inputs.shape
        return inputs.reshape(self.compute_output_shape(shape)), lambda d_outputs: (
            d_outputs.reshape(shape),
            {},
        )


class Reshape(Differentiable):
    """Give each sample another shape; its numbers keep their order.

    Parameters
    ----------
    target_shape : tuple of int
        The new shape, without the batch axis. One size may be -1: it follows from the others.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For sizes that are no positive integers, or more than one -1; when called, for an input
        whose samples do not have as many numbers.

    Notes
    -----
    Inputs (batch, ...), outputs (batch, *target_shape). Masks are not supported. Behaviour:
    `tf.keras.layers.Reshape` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Reshape
    >>> Reshape((3, -1))(np.ones((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = _integers(target_shape, "target_shape")
        if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
            raise ValueError(
                f"target_shape must hold positive sizes, one of which may be -1, got {sizes}."
            )
        self.target_shape = sizes
        self.input_spec = [InputSpec(min_ndim=1)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, *target_shape), where a size of -1 is None if it is not known yet.

        Raises
        ------
        ValueError
            If samples of this shape have another number of elements.
        """
        self._check_shapes([input_shape])
        target, sizes = self.target_shape, tuple(input_shape[1:])
        if None in sizes:
            return (input_shape[0], *(None if size == -1 else size for size in target))
        known, given = math.prod(size for size in target if size != -1), math.prod(sizes)
        if given % known or (-1 not in target and given != known):
            raise ValueError(
                f"Layer {self.name} cannot give samples of the shape {sizes} ({given} numbers) "
                f"the shape {target}."
            )
        return (input_shape[0], *(given // known if size == -1 else size for size in target))

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        shape = inputs.shape
        return inputs.reshape(self.compute_output_shape(shape)), lambda d_outputs: (
            d_outputs.reshape(shape),
            {},
        )


class Permute(Differentiable):
    """Put the axes of each sample into another order.

    Parameters
    ----------
    dims : tuple of int
        Which axis of the input each axis of the output is; the batch axis is 0 and stays. With
        (2, 1) timesteps and features change places.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        If `dims` does not hold each of 1, 2, ... once.

    Notes
    -----
    Masks are not supported. Behaviour: `tf.keras.layers.Permute` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Permute
    >>> Permute((2, 1))(np.ones((2, 3, 4))).shape
    (2, 4, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = _integers(dims, "dims")
        if not self.dims or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "dims must hold the axes 1, 2, ... of a sample, each once and none else, got "
                f"{self.dims}."
            )
        self.input_spec = [InputSpec(ndim=len(self.dims) + 1)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input shape in the order of `dims`."""
        self._check_shapes([input_shape])
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        order = (0, *self.dims)
        inverse = np.argsort(order)
        return np.ascontiguousarray(inputs.transpose(order)), lambda d_outputs: (
            np.ascontiguousarray(d_outputs.transpose(inverse)),
            {},
        )


class RepeatVector(Differentiable):
    """Repeat a vector, as if it came at every timestep of a sequence.

    Parameters
    ----------
    n : int
        How many times.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For an `n` that is no positive integer.

    Notes
    -----
    Inputs (batch, features), outputs (batch, n, features). Masks are not supported. Behaviour:
    `tf.keras.layers.RepeatVector` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import RepeatVector
    >>> RepeatVector(2)(np.array([[1.0, 2.0]])).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = _checks.positive_int(n, "n")
        self.input_spec = [InputSpec(ndim=2)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, n, features)."""
        self._check_shapes([input_shape])
        return (input_shape[0], self.n, input_shape[1])

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = np.repeat(inputs[:, None], self.n, axis=1)
        return outputs, lambda d_outputs: (d_outputs.sum(axis=1), {})


def _integers(values: Any, name: str) -> tuple[int, ...]:
    """`values` as a tuple of ints; TypeError where it is none."""
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of integers, got {values!r}.") from None
