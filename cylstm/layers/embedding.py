"""Embedding: a vector for each of a set of indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _checks, _spellings, _trace, constraints, initializers, regularizers
from cylstm.layers._lookups import Lookups
from cylstm.layers._options import Constrain, Initialize, Penalize, WeightedOptions
from cylstm.layers.differentiable import Backward, Differentiable, Pullback, Pulled
from cylstm.variables import Variable

__all__ = ["Embedding"]


class Embedding(Differentiable):
    """Replace each index, such as that of a word, by a vector that is learned.

    Parameters
    ----------
    input_dim : int
        How many indices there are: they go from 0 to input_dim - 1.
    output_dim : int
        The size of the vectors.
    embeddings_initializer : str, callable or dict, default "uniform"
        See `cylstm.initializers`.
    embeddings_regularizer : callable, str or dict, optional
        Penalty of the vectors. See `cylstm.regularizers`.
    activity_regularizer : callable, str or dict, optional
        Penalty of the outputs.
    embeddings_constraint : callable, str or dict, optional
        Applied to the vectors after each update. See `cylstm.constraints`.
    mask_zero : bool, default False
        Whether index 0 stands for no input, and is to be skipped by the layers that follow.
    input_length : int, or tuple of (int or None), optional
        The number of timesteps, where it is always the same; a tuple for inputs with more axes.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    embeddings : Variable
        The vectors, (input_dim, output_dim), once the layer is built.

    Raises
    ------
    ValueError, TypeError
        For sizes that are no positive integers, or an unknown name; when called, for an index that
        is out of range or no whole number, or inputs that do not have the `input_length`.

    Notes
    -----
    Inputs (batch, timesteps) of integers, or floats that are whole numbers; outputs (batch,
    timesteps, output_dim). More axes between are allowed. Indices have no gradient: that of the
    inputs is None. Behaviour: `tf.keras.layers.Embedding` of TensorFlow 1.4, but that it cuts off
    the fractions of indices.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Embedding
    >>> layer = Embedding(5, 2, mask_zero=True)
    >>> layer(np.array([[4, 1, 0]])).shape
    (1, 3, 2)
    >>> layer.compute_mask(np.array([[4, 1, 0]])).tolist()
    [[True, True, False]]
    """

    @_spellings.embedding
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        activity_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        input_length: int | Sequence[int | None] | None = None,
        **kwargs: Unpack[WeightedOptions],
    ) -> None:
        self.input_length: int | tuple[int | None, ...] | None = _checked_length(input_length)
        if "input_shape" not in kwargs:
            length = self.input_length
            kwargs["input_shape"] = length if isinstance(length, tuple) else (length,)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.input_dim: int = _checks.positive_int(input_dim, "input_dim")
        self.output_dim: int = _checks.positive_int(output_dim, "output_dim")
        self.embeddings_initializer: Initialize = initializers.get(embeddings_initializer)
        self.embeddings_regularizer: Penalize = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint: Constrain = constraints.get(embeddings_constraint)
        self.mask_zero: bool = bool(mask_zero)

    @property
    def framewise(self) -> bool:  # type: ignore[override]  # it depends on an argument
        """Whether it may stream: not where it masks, as streams skip no timesteps."""
        return not self.mask_zero

    def build(self, input_shape: Any) -> None:
        """Create the vectors; the input shape does not matter to them."""
        self.embeddings: Variable = self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, timesteps, output_dim).

        Raises
        ------
        ValueError
            If the input does not have the `input_length`.
        """
        sizes = tuple(input_shape[1:])
        if self.input_length is None:
            return (*input_shape, self.output_dim)
        lengths = (
            self.input_length if isinstance(self.input_length, tuple) else (self.input_length,)
        )
        fits = len(lengths) == len(sizes) and all(
            None in (length, size) or length == size
            for length, size in zip(lengths, sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"Layer {self.name} has the input_length {self.input_length}, but was given the "
                f"shape {tuple(input_shape)}."
            )
        known = (size if n is None else n for n, size in zip(lengths, sizes, strict=True))
        return (input_shape[0], *known, self.output_dim)

    def compute_mask(self, inputs: Any, mask: Any = None) -> np.ndarray | None:
        """Where the index is not 0, with `mask_zero`; a mask of the inputs is not looked at."""
        return np.not_equal(inputs, 0) if self.mask_zero else None

    def _cast(self, value: Any, what: str) -> np.ndarray:
        """The indices as integers, all in range."""
        _checks.refuse_masked(value, what)
        array = _checks.plain_array(value, what)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{what} must hold integers, got an array of dtype {array.dtype}.")
        if array.dtype.kind == "f":
            whole = np.isfinite(array) & (array == np.floor(array))
            if not whole.all():
                raise ValueError(f"{what} must hold whole numbers, got {array[~whole].flat[0]}.")
        if array.size and not (array.min() >= 0 and array.max() < self.input_dim):
            wrong = array[(array < 0) | (array >= self.input_dim)].flat[0]
            raise ValueError(
                f"{what} holds the index {int(wrong)}, but input_dim={self.input_dim} allows 0 to "
                f"{self.input_dim - 1}."
            )
        return np.ascontiguousarray(array, np.intp)

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        super()._check_shapes(shapes)
        self.compute_output_shape(shapes[0])

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`; the gradient of the inputs is None."""
        looked, backward = self._looked_up(inputs)
        return looked.vectors(), backward

    @property
    def _gives_lookups(self) -> bool:
        """Whether `_with_lookups` may stand for calling the layer."""
        changed = type(self) is not Embedding or self.activity_regularizer is not None
        return not changed and _trace.current.get() is None

    def _with_lookups(self, inputs: Any) -> tuple[Lookups, Pullback]:
        """`vjp` for a reader that may do without the vectors themselves."""
        looked, backward = self._looked_up(inputs)
        return looked, Pullback(self.trainable_weights, backward)

    def _looked_up(self, inputs: Any) -> tuple[Lookups, Backward]:
        indices = self._cast(inputs, f"Input 0 of layer {self.name}")
        self._check_shapes([indices.shape])
        looked = Lookups(self.embeddings.value, indices)

        def backward(d_outputs: np.ndarray) -> Pulled:
            return None, {self.embeddings: looked.gradient(d_outputs)}

        return looked, backward


def _checked_length(value: Any) -> int | tuple[int | None, ...] | None:
    if isinstance(value, list | tuple):
        return tuple(None if n is None else _checks.positive_int(n, "input_length") for n in value)
    return None if value is None else _checks.positive_int(value, "input_length")
