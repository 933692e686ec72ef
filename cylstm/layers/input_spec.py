"""InputSpec: what a layer expects of one input."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["InputSpec"]


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
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(self.shape)
        self.min_ndim = min_ndim
        self.max_ndim = max_ndim
        self.axes = dict(axes or {})

    def check(self, shape: Sequence[int | None], what: str) -> None:
        """Raise ValueError if an input of this shape does not fit; `what` names the input."""
        ndim, shape = len(shape), tuple(shape)
        if self.ndim is not None and ndim != self.ndim:
            raise ValueError(f"{what}: expected {self.ndim} axes, got the shape {shape}.")
        if self.min_ndim is not None and ndim < self.min_ndim:
            raise ValueError(f"{what}: expected at least {self.min_ndim} axes, got {shape}.")
        if self.max_ndim is not None and ndim > self.max_ndim:
            raise ValueError(f"{what}: expected at most {self.max_ndim} axes, got {shape}.")
        sizes = dict(enumerate(self.shape or ())) | self.axes
        for axis, size in sizes.items():
            if size is not None and shape[axis] is not None and shape[axis] != size:
                raise ValueError(
                    f"{what}: expected the size {size} along axis {axis}, got the shape {shape}."
                )
