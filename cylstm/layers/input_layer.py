"""Input: where a graph of layers begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm import _spellings
from cylstm._arguments import suggesting
from cylstm._names import unique_name
from cylstm.graph import Node, SymbolicTensor
from cylstm.layers.layer import Layer

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """The beginning of a graph: it has one symbolic output and no weights.

    Parameters
    ----------
    input_shape : tuple of (int or None)
        The shape of a sample, or
    batch_input_shape : tuple of (int or None)
        the shape of a batch.
    batch_size : int, optional
        The size of the batch axis, to go with `input_shape`.
    dtype : str, default "float32"
        What will be fed in; integers are for `Embedding`.
    name : str, optional
        Default: ``input_1``, ``input_2``, ...
    sparse : bool, default False
        Kept for old configurations; only False is possible.

    Raises
    ------
    ValueError
        If no shape is given, or both, or a sparse input is asked for.
    """

    @_spellings.input_layer
    def __init__(
        self,
        input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool = False,
        name: str | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
    ) -> None:
        if (input_shape is None) == (batch_input_shape is None):
            raise ValueError(
                "An input needs either the shape of a sample or the shape of a batch: got "
                f"{input_shape} and {batch_input_shape}."
            )
        if sparse:
            raise ValueError("Sparse inputs are not supported.")
        super().__init__(
            name=name or unique_name("input"),
            input_shape=input_shape,
            batch_input_shape=batch_input_shape,
            batch_size=batch_size,
        )
        self.sparse = False
        self.input_dtype = np.dtype(dtype or "float32").name
        self.supports_masking = True
        self.built = True
        tensor = SymbolicTensor(self.batch_input_shape or (), self.input_dtype, self.name)
        Node(self, [], [tensor])
        self.inbound_nodes[0].input_tensors.append(tensor)  # as in Keras: its input is its output

    @property
    def dtype(self) -> str:
        """The name of the dtype that is fed in."""
        return self.input_dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again."""
        return {
            "batch_input_shape": self.batch_input_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "name": self.name,
        }


@suggesting
@_spellings.input_tensor
def Input(
    shape: Sequence[int | None] | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    dtype: Any = None,
    batch_size: int | None = None,
) -> SymbolicTensor:
    """A symbolic tensor to build a model from.

    Parameters
    ----------
    shape : tuple of (int or None)
        The shape of a sample, without the batch axis; None for an axis of any size.
    batch_shape : tuple of (int or None)
        Instead of `shape`: with the batch axis.
    name : str, optional
        Default: ``input_1``, ``input_2``, ...
    dtype : str, default "float32"
        What will be fed in.
    batch_size : int, optional
        The size of the batch axis, to go with `shape`.

    Returns
    -------
    SymbolicTensor

    Raises
    ------
    ValueError
        If neither or both of `shape` and `batch_shape` are given.

    Examples
    --------
    >>> import cylstm
    >>> cylstm.Input((None, 3)).shape
    (None, None, 3)
    """
    layer = InputLayer(
        input_shape=shape,
        batch_input_shape=batch_shape,
        batch_size=batch_size,
        name=name,
        dtype=dtype,
    )
    return layer.inbound_nodes[0].output_tensors[0]
