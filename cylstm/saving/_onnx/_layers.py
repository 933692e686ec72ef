"""Layers for operators of ONNX that move numbers, and that no layer of Keras 2 is.

They predict, train and are saved as all others are. Their names begin with Onnx; axes count from
the axis of the samples, which is 0 and stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm.layers._merging import Merge
from cylstm.layers.differentiable import Backward, Differentiable
from cylstm.layers.input_spec import InputSpec
from cylstm.saving._onnx._checks import sample_axis, sizes

__all__ = [
    "OnnxConstant",
    "OnnxLengthsMask",
    "OnnxSlice",
    "OnnxTake",
    "OnnxZeroPastEnd",
]

Shape = Any


class OnnxSlice(Differentiable):
    """A part of an axis: from `begin` to before `end`, every `step`, as Python's slices.

    Parameters
    ----------
    axis : int
        From 1 on.
    begin, end : int or None
        None: from or to the end that `step` says.
    step : int, default 1
        Negative: from the end.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxSlice(1, None, None, -1)(np.array([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 2.0, 1.0]]
    """

    def __init__(
        self, axis: int, begin: int | None, end: int | None, step: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = sample_axis(axis)
        self.begin, self.end, self.step = begin, end, step
        self._part = slice(begin, end, step)
        self._part.indices(1)  # raises for what is no slice
        self.supports_masking = True
        self.input_spec = [InputSpec(min_ndim=axis + 1)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: a part of a sequence has no mask, whatever the sequence has."""
        return None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with the axis as long as the part."""
        size = input_shape[self.axis]
        length = None if size is None else len(range(size)[self._part])
        return (*input_shape[: self.axis], length, *input_shape[self.axis + 1 :])

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        where = (slice(None),) * self.axis + (self._part,)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            d_inputs = np.zeros_like(inputs)
            d_inputs[where] = d_outputs
            return d_inputs, {}

        return np.ascontiguousarray(inputs[where]), backward


class OnnxTake(Differentiable):
    """What stands at one place of an axis, which is then gone, or at each of a list of places.

    Parameters
    ----------
    axis : int
        From 1 on.
    indices : int or list of int
        Negative ones count from the end.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxTake(1, -1)(np.array([[[1.0], [2.0]]])).tolist()
    [[2.0]]
    """

    def __init__(self, axis: int, indices: int | Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = sample_axis(axis)
        one = type(indices) is int
        if not one and not (
            isinstance(indices, list | tuple) and all(type(n) is int for n in indices)
        ):
            raise ValueError(f"indices must be an integer or a list of them, got {indices!r}.")
        self.indices: Any = indices if one else list(indices)  # type: ignore[arg-type]  # a list, then
        self.input_spec = [InputSpec(min_ndim=axis + 1)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape without the axis, or with one as long as the list."""
        size = input_shape[self.axis]
        places = np.atleast_1d(self.indices)
        if size is not None and len(places) and not -size <= places.min() <= places.max() < size:
            raise ValueError(
                f"Layer {self.name} takes {self.indices} of an axis of size {size}, which has "
                "no such place."
            )
        kept = [] if isinstance(self.indices, int) else [len(self.indices)]
        return (*input_shape[: self.axis], *kept, *input_shape[self.axis + 1 :])

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        self.compute_output_shape(inputs.shape)
        where = (slice(None),) * self.axis + (self.indices,)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            d_inputs = np.zeros_like(inputs)
            np.add.at(d_inputs, where, d_outputs)
            return d_inputs, {}

        return np.ascontiguousarray(inputs[where]), backward


class OnnxConstant(Differentiable):
    """An array that is a weight, the same for every sample of the input.

    Parameters
    ----------
    shape : list of int
        Of the array.
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxConstant([2])(np.ones((3, 5))).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = sizes(shape)
        self.input_spec = [InputSpec(min_ndim=1)]

    def build(self, input_shape: Shape) -> None:
        """Create the weight."""
        self.constant = self.add_weight("constant", tuple(self.shape), initializer="zeros")
        self.built = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: the outputs have no mask, whatever the inputs have."""
        return None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, *shape)."""
        return (input_shape[0], *self.shape)

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        weight = self.constant
        outputs = np.repeat(weight.value[None], len(inputs), axis=0)

        def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, dict[Any, Any]]:
            return np.zeros_like(inputs), {weight: d_outputs.sum(axis=0)}

        return outputs, backward


class _OfLengths(Merge):
    """The frame of a layer of sequences and how long each of them is."""

    greatest_number: float = 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """That of the sequences."""
        shapes = self._counted(input_shape)
        if len(shapes[0]) < 3 or len(shapes[1]) != 1 and tuple(shapes[1][1:]) != (1,):
            raise self._mismatch(shapes, "expected sequences and one length for each")
        return shapes[0]


class OnnxLengthsMask(_OfLengths):
    """Sequences, with a mask of what is within the length of each.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 3, 1))
    >>> OnnxLengthsMask().compute_mask([x, np.array([2])]).tolist()
    [[True, True, False]]
    """

    def compute_mask(self, inputs: Any, mask: Any = None) -> np.ndarray:
        """Where a timestep is before the length."""
        return np.arange(inputs[0].shape[1]) < np.reshape(inputs[1], (-1, 1))

    def forward(
        self, inputs: list[np.ndarray], mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        return inputs[0], lambda d_outputs: ([d_outputs, None], {})


class OnnxZeroPastEnd(_OfLengths):
    """Sequences with zeros from the length of each on; they have no mask.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> OnnxZeroPastEnd()([np.ones((1, 3, 1)), np.array([2])]).ravel().tolist()
    [1.0, 1.0, 0.0]
    """

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None."""
        return None

    def forward(
        self, inputs: list[np.ndarray], mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        x, lengths = inputs
        within = np.arange(x.shape[1]) < lengths.reshape(-1, 1)
        within = within.reshape(within.shape + (1,) * (x.ndim - 2))
        return np.where(within, x, 0), lambda d_outputs: (
            [np.where(within, d_outputs, 0), None],
            {},
        )
