"""InputSpec: what a layer expects of one input."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from cylstm import _checks

__all__ = ["InputSpec"]


class AxesError(ValueError):
    """An input has another number of axes than the layer reads."""


def axes_advice(shape: Sequence[int | None]) -> str:
    """What to do with data of this shape where (samples, timesteps, features) is read.

    Examples
    --------
    >>> from cylstm.layers.input_spec import axes_advice
    >>> axes_advice((64, 20)).split(":", 1)[0]
    'It reads (samples, timesteps, features)'
    """
    reads = "It reads (samples, timesteps, features): "
    if len(shape) == 1:
        return (
            f"{reads}for one sample of one feature give "
            "x[np.newaxis, :, np.newaxis], for samples of one number x[:, np.newaxis, np.newaxis]."
        )
    if len(shape) == 2:
        return (
            f"{reads}for one feature give x[:, :, np.newaxis], for one "
            "timestep x[:, np.newaxis, :], for one sample x[np.newaxis]."
        )
    if len(shape) == 4:
        return (
            f"{reads}sequences of sequences go through "
            "TimeDistributed(layer), and features in several axes into one by Reshape."
        )
    return f"{reads[:-2]}."


class InputSpec:
    """What a layer expects of one input.

    Parameters
    ----------
    ndim : int, optional
        The exact number of axes.
    shape : tuple of (int or None), optional
        The shape; None where any size will do. It implies `ndim`.
    min_ndim, max_ndim : int, optional
        Bounds of the number of axes.
    axes : dict of {int: int}, optional
        The sizes of single axes.

    Examples
    --------
    >>> from cylstm.layers import InputSpec
    >>> InputSpec(shape=(None, None, 3)).ndim
    3
    """

    def __init__(
        self,
        ndim: int | None = None,
        shape: Sequence[int | None] | None = None,
        min_ndim: int | None = None,
        max_ndim: int | None = None,
        axes: dict[int, int] | None = None,
    ) -> None:
        self.shape: tuple[int | None, ...] | None = None if shape is None else tuple(shape)
        self.ndim: int | None = ndim if self.shape is None else len(self.shape)
        self.min_ndim = min_ndim
        self.max_ndim = max_ndim
        self.axes: dict[int, int] = dict(axes or {})
        sizes = dict(enumerate(self.shape or ())) | self.axes
        self._known = [(axis, size) for axis, size in sizes.items() if size is not None]

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The shape, of what has one: a state, or the input of a layer that is built."""
        if self.shape is None:
            raise ValueError("This InputSpec has no shape.")
        return self.shape

    def check(self, shape: Sequence[int | None], what: str) -> None:
        """Raise ValueError if an input of this shape does not fit; `what` names the input."""
        ndim, shape = len(shape), tuple(shape)
        if self.ndim is not None and ndim != self.ndim:
            advice = self._advice(shape)
            raise AxesError(f"{what}: expected {self.ndim} axes, got the shape {shape}.{advice}")
        if self.min_ndim is not None and ndim < self.min_ndim:
            advice = self._advice(shape)
            raise AxesError(f"{what}: expected at least {self.min_ndim} axes, got {shape}.{advice}")
        if self.max_ndim is not None and ndim > self.max_ndim:
            raise AxesError(f"{what}: expected at most {self.max_ndim} axes, got {shape}.")
        for axis, size in self._known:
            if shape[axis] is not None and shape[axis] != size:
                features = f": {shape[axis]} features, not {size}" if axis in (2, -1) else ""
                raise ValueError(
                    f"{what}: expected the size {size} along axis {axis}, got the shape {shape}"
                    f"{features}."
                )

    def fits(self, shape: Sequence[int | None]) -> bool:
        """Whether a shape is plainly right: quick to see. If not, `check` finds out."""
        ndim = len(shape)
        if ndim != self.ndim and (
            self.ndim is not None or self.min_ndim is None or ndim < self.min_ndim or self.max_ndim
        ):
            return False
        for axis, size in self._known:
            if shape[axis] != size:
                return False
        return True

    def _advice(self, shape: tuple[int | None, ...]) -> str:
        if 3 in (self.ndim, self.min_ndim):
            return f" {axes_advice(shape)}"
        one_sample = self.min_ndim == 2 and len(shape) == 1
        return " One sample is given as x[np.newaxis]." if one_sample else ""


def batch_shape(
    input_shape: Any, batch_input_shape: Any, batch_size: int | None
) -> tuple[int | None, ...] | None:
    """The shape with the batch axis that these arguments of a layer stand for; None for none."""
    if batch_input_shape is not None:
        return _sizes(batch_input_shape, "batch_input_shape", "(32, 10, 3)")
    if input_shape is not None:
        return (batch_size, *_sizes(input_shape, "input_shape", "(10, 3)"))
    return None


def _sizes(shape: Any, name: str, example: str) -> tuple[int | None, ...]:
    """A shape as the user gave it, as a tuple of None and integers."""
    try:
        sizes = tuple(None if n is None else operator.index(n) for n in shape)
    except TypeError:
        hint = f"; a tuple of one is written ({shape!r},)" if isinstance(shape, int) else ""
        raise TypeError(
            f"{name} must be a tuple of integers or None, such as {example}, got "
            f"{_checks.described(shape)}{hint}."
        ) from None
    if any(n is not None and n < 0 for n in sizes):
        raise ValueError(f"{name} must have sizes of at least 0, got {sizes}.")
    return sizes
