"""Merging layers: several inputs become one output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np

from cylstm.layers._merging import Merge, Shape
from cylstm.layers._options import LayerOptions
from cylstm.layers.differentiable import Backward, Pulled
from cylstm.layers.merge_axes import Concatenate, Dot

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class _Elementwise(Merge):
    """The frame of a layer that merges element by element.

    Inputs of fewer axes get axes of size 1 after the batch axis, and axes of size 1 are repeated.
    A subclass defines `merged` and `slopes` for arrays that have the same number of axes.
    """

    if TYPE_CHECKING:

        def merged(self, inputs: list[np.ndarray]) -> np.ndarray: ...

        def slopes(
            self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
        ) -> list[np.ndarray]: ...

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape that the inputs have in common, given the list of their shapes.

        Raises
        ------
        ValueError
            If the shapes do not fit each other.
        """
        shapes = self._counted(input_shape)
        batches = {shape[0] for shape in shapes} - {None}
        if len(batches) > 1:
            raise self._mismatch(shapes, "the batch sizes must be equal")
        output: list[int | None] = [batches.pop() if batches else None]
        for sizes in list(zip(*_aligned_shapes(shapes), strict=True))[1:]:
            known = set(sizes) - {None, 1}
            if len(known) > 1:
                raise self._mismatch(shapes, "axes, counted from the last, must be equal or 1")
            output.append(known.pop() if known else None if None in sizes else 1)
        return tuple(output)

    def forward(
        self, inputs: list[np.ndarray], mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Bring the inputs to the same number of axes, and merge them; see the class."""
        shapes = _aligned_shapes([x.shape for x in inputs])
        aligned = [x.reshape(shape) for x, shape in zip(inputs, shapes, strict=True)]

        outputs = self.merged(aligned)

        def backward(d_outputs: np.ndarray) -> Pulled:
            slopes = self.slopes(aligned, outputs, d_outputs)
            return [
                _summed(d, a.shape).reshape(x.shape)
                for d, a, x in zip(slopes, aligned, inputs, strict=True)
            ], {}

        return outputs, backward


class Add(_Elementwise):
    """The sum of the inputs.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of at least two inputs whose shapes fit.

    Notes
    -----
    Of inputs (batch, ...) with different numbers of axes, those with fewer get axes of size 1
    after the batch axis: (batch, features) is added to every timestep of (batch, timesteps,
    features). Axes of size 1 are repeated. Of masks, the output is masked where any of them is.
    Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Add
    >>> Add()([np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[10.0, 20.0]])]).tolist()
    [[[11.0, 22.0], [13.0, 24.0]]]
    """

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        return reduce(np.add, inputs)

    def slopes(
        self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
    ) -> list[np.ndarray]:
        """The gradient with respect to each input, before repeated axes are summed."""
        return [d_outputs] * len(inputs)


class Subtract(_Elementwise):
    """The first input minus the second.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of two inputs whose shapes fit.

    Notes
    -----
    Shapes and masks as for `Add`. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Subtract
    >>> Subtract()([np.array([[5.0, 7.0]]), np.array([[1.0, 2.0]])]).tolist()
    [[4.0, 5.0]]
    """

    greatest_number: float = 2

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        difference: np.ndarray = inputs[0] - inputs[1]
        return difference

    def slopes(
        self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
    ) -> list[np.ndarray]:
        """The gradient with respect to each input, before repeated axes are summed."""
        return [d_outputs, -d_outputs]


class Multiply(_Elementwise):
    """The product of the inputs, element by element.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of at least two inputs whose shapes fit.

    Notes
    -----
    Shapes and masks as for `Add`. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Multiply
    >>> Multiply()([np.array([[5.0, 7.0]]), np.array([[1.0, 2.0]])]).tolist()
    [[5.0, 14.0]]
    """

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        return reduce(np.multiply, inputs)

    def slopes(
        self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
    ) -> list[np.ndarray]:
        """The gradient with respect to each input, before repeated axes are summed."""
        # Products of the others, not output / input: inputs may be zero.
        return [
            reduce(np.multiply, inputs[:i] + inputs[i + 1 :], d_outputs) for i in range(len(inputs))
        ]


class Average(_Elementwise):
    """The mean of the inputs, element by element.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of at least two inputs whose shapes fit.

    Notes
    -----
    Shapes and masks as for `Add`. Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Average
    >>> Average()([np.array([[5.0, 7.0]]), np.array([[1.0, 2.0]])]).tolist()
    [[3.0, 4.5]]
    """

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        mean: np.ndarray = reduce(np.add, inputs) / self._dtype.type(len(inputs))
        return mean

    def slopes(
        self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
    ) -> list[np.ndarray]:
        """The gradient with respect to each input, before repeated axes are summed."""
        return [d_outputs / self._dtype.type(len(inputs))] * len(inputs)


class _Extreme(_Elementwise):
    """The frame of Maximum and Minimum: each element is that of one input."""

    def slopes(
        self, inputs: list[np.ndarray], outputs: np.ndarray, d_outputs: np.ndarray
    ) -> list[np.ndarray]:
        """The gradient with respect to each input, before repeated axes are summed."""
        unclaimed, slopes = np.ones(outputs.shape, bool), []
        for x in inputs:
            first = (x == outputs) & unclaimed
            slopes.append(d_outputs * first)
            unclaimed ^= first
        return slopes


class Maximum(_Extreme):
    """The largest of the inputs, element by element.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of at least two inputs whose shapes fit.

    Notes
    -----
    Shapes and masks as for `Add`. Of equal inputs the first gets the gradient, as in TensorFlow.
    Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Maximum
    >>> Maximum()([np.array([[5.0, 1.0]]), np.array([[1.0, 2.0]])]).tolist()
    [[5.0, 2.0]]
    """

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        return reduce(np.maximum, inputs)


class Minimum(_Extreme):
    """The smallest of the inputs, element by element.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError
        When called, for anything but a list of at least two inputs whose shapes fit.

    Notes
    -----
    Shapes and masks as for `Add`. Of equal inputs the first gets the gradient, as in TensorFlow.
    Behaviour: Keras 2.0.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Minimum
    >>> Minimum()([np.array([[5.0, 1.0]]), np.array([[1.0, 2.0]])]).tolist()
    [[1.0, 1.0]]
    """

    def merged(self, inputs: list[np.ndarray]) -> np.ndarray:
        """The output."""
        return reduce(np.minimum, inputs)


@overload
def _aligned_shapes(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]: ...
@overload
def _aligned_shapes(shapes: Sequence[Shape]) -> list[tuple[int | None, ...]]: ...
def _aligned_shapes(shapes: Sequence[Shape]) -> Any:
    """Shapes of the same number of axes: ones come in after the batch axis."""
    ndim = max(map(len, shapes))
    return [(shape[0], *[1] * (ndim - len(shape)), *shape[1:]) for shape in shapes]


def _summed(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of an array of this shape that was repeated to the gradient's."""
    axes = tuple(
        i for i, (n, m) in enumerate(zip(shape, gradient.shape, strict=True)) if n == 1 != m
    )
    return gradient.sum(axis=axes, keepdims=True) if axes else gradient


def add(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Add`; `kwargs` are its arguments.

    Examples
    --------
    >>> from cylstm.layers import add
    >>> add([[[1.0, 2.0]], [[3.0, 4.0]]]).tolist()
    [[4.0, 6.0]]
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Subtract`; `kwargs` are its arguments."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Multiply`; `kwargs` are its arguments."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Average`; `kwargs` are its arguments."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Maximum`; `kwargs` are its arguments."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Minimum`; `kwargs` are its arguments."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Unpack[LayerOptions]) -> Any:
    """Merge by `Concatenate`; the other arguments are its own."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(
    inputs: Any, axes: int | Sequence[int], normalize: bool = False, **kwargs: Unpack[LayerOptions]
) -> Any:
    """Merge by `Dot`; the other arguments are its own."""
    return Dot(axes=axes, normalize=normalize, **kwargs)(inputs)
