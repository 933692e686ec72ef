"""Concatenate and Dot: merging along chosen axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm.layers._merging import Merge, Shape
from cylstm.layers._options import LayerOptions
from cylstm.layers.differentiable import Backward, Pulled

__all__ = ["Concatenate", "Dot"]


class Concatenate(Merge):
    """The inputs one after the other along an axis.

    Parameters
    ----------
    axis : int, default -1
        The axis, the batch axis being 0.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    TypeError
        If the axis is no integer.
    ValueError
        When called, for anything but a list of at least two inputs whose shapes agree in all
        other axes.

    Notes
    -----
    Where masks have the axis (joining sequences in time) they are joined as well, and an input
    without one counts as unmasked; otherwise the output is masked where any input is. Behaviour:
    Keras 2.0, which however fails where only some of the sequences joined in time have a mask.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Concatenate
    >>> Concatenate()([np.array([[5.0, 1.0]]), np.array([[7.0]])]).tolist()
    [[5.0, 1.0, 7.0]]
    """

    def __init__(self, axis: int = -1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis: int = _integer(axis, "axis", TypeError)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of the output, given the list of shapes of the inputs.

        Raises
        ------
        ValueError
            If they differ in another axis, or do not have the axis.
        """
        shapes = self._counted(input_shape)
        ndim = len(shapes[0])
        if any(len(shape) != ndim for shape in shapes):
            raise self._mismatch(shapes, "they need the same number of axes")
        if not -ndim <= self.axis < ndim:
            raise self._mismatch(shapes, f"they have no axis {self.axis}")
        output: list[int | None] = []
        for axis, sizes in enumerate(zip(*shapes, strict=True)):
            known = set(sizes) - {None}
            if axis == self.axis % ndim:
                output.append(None if None in sizes else sum(sizes))
            elif len(known) > 1:
                raise self._mismatch(shapes, f"axes other than {self.axis} must be equal")
            else:
                output.append(known.pop() if known else None)
        return tuple(output)

    def compute_mask(self, inputs: Any, mask: Any = None) -> np.ndarray | None:
        """The mask of the outputs; see the class.

        Parameters
        ----------
        inputs : list of ndarray
            As for calling the layer.
        mask : list of (ndarray or None), optional
            One for each input.

        Returns
        -------
        ndarray of bool, or None
            None where no input has a mask.

        Raises
        ------
        ValueError
            If `mask` is no list with an entry for each input, or the masks do not fit.
        """
        masks = self._checked_masks(inputs, mask)
        ndim = np.ndim(inputs[0])
        masks = [m.all(axis=-1) if m is not None and m.ndim == ndim else m for m in masks]
        given = [m for m in masks if m is not None]
        axis = self.axis % ndim
        if not given or axis >= given[0].ndim:
            return self._all_of(given)
        masks = [
            np.ones(np.shape(x)[: given[0].ndim], bool) if m is None else m
            for x, m in zip(inputs, masks, strict=True)
        ]
        rest = self._common_shape_of([(*m.shape[:axis], 1, *m.shape[axis + 1 :]) for m in masks])
        return np.concatenate(
            [np.broadcast_to(m, (*rest[:axis], m.shape[axis], *rest[axis + 1 :])) for m in masks],
            axis=axis,
        )

    def forward(
        self, inputs: list[np.ndarray], mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Join the inputs; see the class."""
        ends = np.cumsum([x.shape[self.axis] for x in inputs])[:-1]

        def backward(d_outputs: np.ndarray) -> Pulled:
            return np.split(d_outputs, ends, axis=self.axis), {}

        return np.concatenate(inputs, axis=self.axis), backward


class Dot(Merge):
    """The scalar products of the samples of two inputs, along one axis of each.

    Parameters
    ----------
    axes : int or pair of int
        The axis of each input to sum over (for both the same if it is one number), the batch axis
        being 0. It must be one of the last two.
    normalize : bool, default False
        Divide by the Euclidean norms along these axes first: the cosine of the angle.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    TypeError, ValueError
        If `axes` is neither an integer nor a pair of them; when called, for anything but a list
        of two inputs whose shapes fit.

    Notes
    -----
    The output has the axes of the first input without the one summed over, then those of the
    second without it and the batch axis: (batch, n, d) and (batch, m, d) give (batch, n, m) with
    axes 2. Two inputs (batch, d) give (batch, 1). Of inputs with more than three axes all but the
    last two are shared, as TensorFlow's `matmul` does: (batch, heads, n, d) and (batch, heads, m,
    d) give (batch, heads, n, m). The output has no mask. Norms below 1e-6 count as 1e-6.
    Behaviour: TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Dot
    >>> a, b = np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])
    >>> Dot(axes=1)([a, b])
    array([[3.]], dtype=float32)
    >>> Dot(axes=1, normalize=True)([a, b])
    array([[0.6]], dtype=float32)
    """

    greatest_number: float = 2

    def __init__(
        self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axes, list | tuple):
            if len(axes) != 2:
                raise ValueError(f"axes must be an integer or a pair of them, got {axes!r}.")
            self.axes: Any = tuple(_integer(axis, "axes", ValueError) for axis in axes)
        else:
            self.axes = _integer(axes, "axes", TypeError)
        self.normalize: bool = bool(normalize)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of the output, given the list of shapes of both inputs.

        Raises
        ------
        ValueError
            If they do not fit each other, or an axis is not among the last two.
        """
        shapes = self._counted(input_shape)
        if min(map(len, shapes)) < 2:
            raise self._mismatch(shapes, "they need a batch axis and at least one more")
        axes = self._resolved(shapes)
        for shape, axis in zip(shapes, axes, strict=True):
            if not max(1, len(shape) - 2) <= axis < len(shape):
                raise self._mismatch(
                    shapes, f"axes {self.axes} must be among the last two, and not the batch axis"
                )
        first, second = shapes
        leading, others = first[: max(1, len(first) - 2)], second[: max(1, len(second) - 2)]
        if len(leading) != len(others) or not all(map(_may_be_equal, leading, others)):
            raise self._mismatch(shapes, "the axes before the last two must be equal")
        if not _may_be_equal(first[axes[0]], second[axes[1]]):
            raise self._mismatch(shapes, f"the axes {self.axes} must be equally long")
        shared = [b if a is None else a for a, b in zip(leading, others, strict=True)]
        rest = [
            shape[k]
            for shape, axis in zip(shapes, axes, strict=True)
            for k in range(len(leading), len(shape))
            if k != axis
        ]
        return (*shared, *rest) if rest or len(shared) > 1 else (*shared, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: the output has no mask, whatever the inputs have."""
        return None

    def _resolved(self, shapes: Sequence[Shape]) -> list[int]:
        """The axis of each input, counted from its first; out of range where it is."""
        axes = self.axes if isinstance(self.axes, tuple) else [self.axes] * 2
        return [a + len(shape) if a < 0 else a for a, shape in zip(axes, shapes, strict=True)]

    def forward(
        self, inputs: list[np.ndarray], mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """A product of matrices for each sample; see the class."""
        shape = self.compute_output_shape([x.shape for x in inputs])
        axes = self._resolved([x.shape for x in inputs])
        norms = [
            _inverse_norm(x, a) if self.normalize else None
            for x, a in zip(inputs, axes, strict=True)
        ]
        factors = [x if n is None else x * n[0] for x, n in zip(inputs, norms, strict=True)]
        rows = _matrices(factors[0], axes[0])
        columns = _matrices(factors[1], axes[1])
        product = rows @ columns.swapaxes(-1, -2)

        def backward(d_outputs: np.ndarray) -> Pulled:
            d_product = d_outputs.reshape(product.shape)
            d_matrices = [d_product @ columns, d_product.swapaxes(-1, -2) @ rows]
            gradients = []
            for d, factor, axis, norm in zip(d_matrices, factors, axes, norms, strict=True):
                if factor.ndim > 2 and axis == factor.ndim - 2:
                    d = d.swapaxes(-1, -2)
                d = d.reshape(factor.shape)
                if norm is not None:
                    inverse, passes = norm
                    along = np.sum(d * factor, axis=axis, keepdims=True)
                    d = inverse * (d - np.where(passes, along, 0) * factor)
                gradients.append(d)
            return gradients, {}

        return product.reshape(shape), backward


def _integer(value: Any, name: str, error: type[Exception]) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise error(f"{name} must be made of integers, got {value!r}.") from None


def _may_be_equal(a: int | None, b: int | None) -> bool:
    return a is None or b is None or a == b


def _inverse_norm(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """1 / max(norm, 1e-6) along an axis, and where it is the norm that counts."""
    squares = np.sum(x * x, axis=axis, keepdims=True)
    least = x.dtype.type(1e-12)
    return 1 / np.sqrt(np.maximum(squares, least)), squares >= least


def _matrices(x: np.ndarray, axis: int) -> np.ndarray:
    """Samples as matrices whose last axis is the one to sum over: a view."""
    if x.ndim == 2:
        return x[:, None]
    return x.swapaxes(-1, -2) if axis == x.ndim - 2 else x
