"""The graph that is being written: nodes, constants, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm.saving._onnx._document import Node, Tensor, attribute
from cylstm.saving._onnx._tensors import tensor_of, type_number
from cylstm.saving._weights import unused_name

__all__ = ["Emitter"]


class Emitter:
    """Collects nodes and constants, with names that are used once.

    Attributes
    ----------
    nodes : list of Node
    tensors : list of Tensor
    dtypes : dict
        Of each value so far.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensors: list[Tensor] = []
        self.dtypes: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._node_names: set[str] = set()
        self._constants: dict[Any, str] = {}
        self._layer = ""
        self._is_first = True

    def enter(self, layer: str) -> None:
        """Say which layer the next nodes are of."""
        self._layer = layer
        self._is_first = True

    def name(self, wanted: str, dtype: str) -> str:
        """A name for a value."""
        found = unused_name(wanted, self.dtypes, self._numbers)
        self.dtypes[found] = dtype
        return found

    def main(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """The node that is the layer itself, and has its name."""
        return self._node(self._layer, op, inputs, outputs, attributes)

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """A node that helps: the name of its output, or a list of names."""
        return self._node(f"{self._layer}/{op}", op, inputs, outputs, attributes)

    def _node(
        self, wanted: str, op: str, inputs: Sequence[str], outputs: int, attributes: dict[str, Any]
    ) -> Any:
        dtype = attributes.pop("dtype", None) or self.dtypes[next(filter(None, inputs))]
        names = [self.name(f"{wanted}:{i}" if i else wanted, dtype) for i in range(outputs)]
        title = unused_name(wanted, self._node_names)
        self._node_names.add(title)
        entries = [attribute(name, value) for name, value in attributes.items()]
        self.nodes.append(
            Node(input=list(inputs), output=names, name=title, op_type=op, attribute=entries)
        )
        return names if outputs > 1 else names[0]

    def weight(self, array: np.ndarray, wanted: str, owner: Any = None) -> str:
        """A constant that stands in the file under a name of its own.

        Of one owner, a layer that is called again, it stands there once.
        """
        key = (id(owner), wanted)
        if owner is None or key not in self._constants:
            name = self.name(wanted, array.dtype.name)
            self.tensors.append(tensor_of(array, name))
            self._constants[key] = name
            return name
        return self._constants[key]

    def constant(self, value: Any, dtype: str = "int64") -> str:
        """A small constant; the same ones are there once."""
        array = np.asarray(value, dtype)
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(array, "constant")
        return self._constants[key]

    def cast(self, name: str, dtype: str) -> str:
        """A value as another dtype."""
        if self.dtypes[name] == dtype:
            return name
        return str(self.node("Cast", [name], to=type_number(dtype), dtype=dtype))

    def transposed(self, name: str, *order: int) -> str:
        """A value with its axes in another order."""
        return str(self.node("Transpose", [name], perm=list(order)))

    def unsqueezed(self, name: str, *axes: int) -> str:
        """A value with axes of size 1 put in."""
        return str(self.node("Unsqueeze", [name, self.constant(axes)]))

    def squeezed(self, name: str, *axes: int) -> str:
        """A value with axes of size 1 taken out."""
        return str(self.node("Squeeze", [name, self.constant(axes)]))

    def reshaped(self, name: str, sizes: Sequence[int]) -> str:
        """A value with other axes; 0 copies a size, -1 is what is left."""
        return str(self.node("Reshape", [name, self.constant(list(sizes))]))

    def at(self, name: str, axis: int, index: int) -> str:
        """What stands at a place of an axis, without the axis."""
        return str(self.node("Gather", [name, self.constant(index)], axis=axis))

    def turned(self, name: str, axis: int) -> str:
        """A value read from the end of an axis."""
        ends = [self.constant([-1]), self.constant([-(2**63) + 1])]
        return str(self.node("Slice", [name, *ends, self.constant([axis]), self.constant([-1])]))
