"""Layers that move numbers, repeat them or leave them out, and compute nothing."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _checks, _spellings
from cylstm.layers._options import LayerOptions
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec

__all__ = [
    "Cropping1D",
    "Flatten",
    "Permute",
    "RepeatVector",
    "Reshape",
    "UpSampling1D",
    "ZeroPadding1D",
]


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
    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=2)]

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
    Inputs (batch, ...), outputs `(batch, *target_shape)`. Masks are not supported. Behaviour:
    `tf.keras.layers.Reshape` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Reshape
    >>> Reshape((3, -1))(np.ones((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        sizes = _integers(target_shape, "target_shape")
        if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
            raise ValueError(
                f"target_shape must hold positive sizes, one of which may be -1, got {sizes}."
            )
        self.target_shape = sizes
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=1)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, *target_shape)`, where a size of -1 is None if it is not known yet.

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

    def __init__(self, dims: Sequence[int], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.dims: tuple[int, ...] = _integers(dims, "dims")
        if not self.dims or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "dims must hold the axes 1, 2, ... of a sample, each once and none else, got "
                f"{self.dims}."
            )
        self.input_spec: list[InputSpec] = [InputSpec(ndim=len(self.dims) + 1)]

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

    def __init__(self, n: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.n: int = _checks.positive_int(n, "n")
        self.input_spec: list[InputSpec] = [InputSpec(ndim=2)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, n, features)."""
        self._check_shapes([input_shape])
        return _possible((input_shape[0], self.n, input_shape[1]), self)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        self.compute_output_shape(inputs.shape)
        outputs = np.repeat(inputs[:, None], self.n, axis=1)
        return outputs, lambda d_outputs: (d_outputs.sum(axis=1), {})


class UpSampling1D(Differentiable):
    """Repeat each timestep, so that the sequence becomes longer.

    Parameters
    ----------
    size : int, default 2
        How many times each timestep comes.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `size` that is no positive integer; when called, for a sequence that would become
        too long for any memory.

    Notes
    -----
    Inputs (batch, timesteps, features), outputs (batch, timesteps * size, features). Masks are not
    supported. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import UpSampling1D
    >>> UpSampling1D(2)(np.array([[[1.0], [5.0]]])).ravel().tolist()
    [1.0, 1.0, 5.0, 5.0]
    """

    @_spellings.upsampling1d
    def __init__(self, size: int = 2, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.size: int = _checks.positive_int(size, "size")
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, timesteps * size, features)."""
        self._check_shapes([input_shape])
        batch, timesteps, features = input_shape
        steps = None if timesteps is None else timesteps * self.size
        return _possible((batch, steps, features), self)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        self.compute_output_shape(inputs.shape)
        batch, timesteps, features = inputs.shape
        repeated = (batch, timesteps, self.size, features)
        return np.repeat(inputs, self.size, axis=1), lambda d_outputs: (
            d_outputs.reshape(repeated).sum(axis=2),
            {},
        )


class ZeroPadding1D(Differentiable):
    """Put timesteps of zeros before and after the sequence.

    Parameters
    ----------
    padding : int or tuple of two int, default 1
        How many: before and after, each at least 0. An integer stands for both.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `padding` that is not that; when called, for a sequence that would become too long
        for any memory.

    Notes
    -----
    Inputs (batch, timesteps, features), outputs (batch, before + timesteps + after, features).
    Masks are not supported. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import ZeroPadding1D
    >>> ZeroPadding1D((2, 1))(np.array([[[1.0], [5.0]]])).ravel().tolist()
    [0.0, 0.0, 1.0, 5.0, 0.0]
    """

    def __init__(self, padding: int | Sequence[int] = 1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.padding: tuple[int, int] = _ends(padding, "padding")
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, before + timesteps + after, features)."""
        self._check_shapes([input_shape])
        batch, timesteps, features = input_shape
        steps = None if timesteps is None else timesteps + sum(self.padding)
        return _possible((batch, steps, features), self)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = np.zeros(self.compute_output_shape(inputs.shape), inputs.dtype)
        within = slice(self.padding[0], self.padding[0] + inputs.shape[1])
        outputs[:, within] = inputs
        return outputs, lambda d_outputs: (d_outputs[:, within], {})


class Cropping1D(Differentiable):
    """Leave out timesteps at the beginning and at the end of the sequence.

    Parameters
    ----------
    cropping : int or tuple of two int, default (1, 1)
        How many: at the beginning and at the end, each at least 0. An integer stands for both.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `cropping` that is not that; when called, for a sequence that is shorter than what
        is to be left out.

    Notes
    -----
    Inputs (batch, timesteps, features), outputs (batch, timesteps - cropped, features). Masks are
    not supported. Behaviour: Keras 2.0, which makes nothing of a sequence that is too short.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Cropping1D
    >>> Cropping1D((2, 1))(np.arange(5.0).reshape(1, 5, 1)).ravel().tolist()
    [2.0, 3.0]
    """

    def __init__(
        self, cropping: int | Sequence[int] = (1, 1), **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.cropping: tuple[int, int] = _ends(cropping, "cropping")
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, timesteps - cropped, features).

        Raises
        ------
        ValueError
            If there are fewer timesteps than are to be left out.
        """
        self._check_shapes([input_shape])
        batch, timesteps, features = input_shape
        if timesteps is None:
            return (batch, None, features)
        if timesteps < sum(self.cropping):
            raise ValueError(
                f"Layer {self.name} leaves out {sum(self.cropping)} timesteps, got an input of "
                f"{timesteps}: give longer sequences or a smaller cropping."
            )
        return (batch, timesteps - sum(self.cropping), features)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        steps = self.compute_output_shape(inputs.shape)[1]
        within = slice(self.cropping[0], self.cropping[0] + steps)

        def backward(d_outputs: np.ndarray) -> Pulled:
            d_inputs = np.zeros_like(inputs)
            d_inputs[:, within] = d_outputs
            return d_inputs, {}

        return np.ascontiguousarray(inputs[:, within]), backward


def _possible(shape: tuple[int | None, ...], layer: Differentiable) -> tuple[int | None, ...]:
    """The shape; ValueError where no memory could hold as many numbers."""
    if math.prod(max(size or 1, 1) for size in shape) > sys.maxsize // 8:
        raise ValueError(
            f"Layer {layer.name} would make an output of the shape {shape}, which no memory holds."
        )
    return shape


def _ends(value: Any, name: str) -> tuple[int, int]:
    """A number for each end of a sequence, from one for both or from two."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    counts = _integers(pair, name)
    if len(counts) != 2 or min(counts) < 0:
        raise ValueError(
            f"{name} must be an integer that is at least 0, or a tuple of two, got {value!r}."
        )
    return counts


def _integers(values: Any, name: str) -> tuple[int, ...]:
    """`values` as a tuple of ints; TypeError where it is none."""
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of integers, got {values!r}.") from None
