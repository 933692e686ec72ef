"""Symbolic calls: tensors without values, the nodes that connect them, and a layer's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from cylstm._trace import Shape

__all__ = [
    "Node",
    "NotConnectedError",
    "SymbolicTensor",
    "is_symbolic",
    "walk",
]


class SymbolicTensor:
    """What a layer returns when it is called on symbolic tensors: a shape, and where it is from.

    Parameters
    ----------
    shape : sequence of (int or None)
        With the batch axis; None where unknown.
    dtype : str, default "float32"
        The name of the dtype.
    name : str, default ""
        For people to read.
    mask : SymbolicTensor, optional
        What stands for the mask of its timesteps.

    Attributes
    ----------
    node : Node or None
        The call that it is an output of.
    index : int
        Which output of that call.

    Examples
    --------
    >>> import cylstm
    >>> x = cylstm.Input((5, 3))
    >>> cylstm.LSTM(4, name="lstm")(x)
    <SymbolicTensor lstm float32 (None, 4)>
    """

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: str = "float32",
        name: str = "",
        mask: SymbolicTensor | None = None,
    ) -> None:
        self.shape: Shape = Shape(shape)
        self.dtype = dtype
        self.name = name
        self.mask = mask
        self.node: Node | None = None
        self.index = 0

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def layer(self) -> Any:
        """The layer that it is an output of."""
        return None if self.node is None else self.node.layer

    def get_shape(self) -> Shape:
        """The same as `shape`: TensorFlow's name for it."""
        return self.shape

    @property
    def _keras_shape(self) -> Shape:
        return self.shape

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} has no values: make a Model(inputs, outputs) of it and call that on arrays."
        )

    def _refuse(self, *others: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} has no values to compute with: tensors are combined by layers, such as "
            "cylstm.layers.add([a, b]), multiply or concatenate, or Lambda(function)([a, b])."
        )

    if not TYPE_CHECKING:  # which reports operators that are not there
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _refuse
        __rtruediv__ = __matmul__ = __rmatmul__ = __pow__ = __neg__ = _refuse
        __getitem__ = __float__ = _refuse

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.name} {self.dtype} {self.shape}>"


def is_symbolic(value: Any) -> bool:
    """Whether a value is a symbolic tensor, or a list with one in it."""
    if isinstance(value, list | tuple):
        for v in value:
            if isinstance(v, SymbolicTensor):
                return True
        return False
    return isinstance(value, SymbolicTensor)


class Node:
    """One symbolic call of a layer: from which tensors to which.

    Making it enters it in the layer's `inbound_nodes` and in the `outbound_nodes` of the layers
    that the inputs are from.

    Parameters
    ----------
    layer : Layer
        What was called.
    input_tensors, output_tensors : list of SymbolicTensor
        Of the call; an output belongs to the node from now on.
    arguments : dict, optional
        The further arguments of the call.
    """

    def __init__(
        self,
        layer: Any,
        input_tensors: Sequence[SymbolicTensor],
        output_tensors: Sequence[SymbolicTensor],
        arguments: dict[str, Any] | None = None,
    ) -> None:
        self.layer = layer
        self.input_tensors: list[SymbolicTensor] = list(input_tensors)
        self.output_tensors: list[SymbolicTensor] = list(output_tensors)
        self.arguments: dict[str, Any] = arguments or {}
        for index, tensor in enumerate(self.output_tensors):
            tensor.node, tensor.index = self, index
        self.enter()

    def enter(self) -> None:
        """Make the node known to its layer, and to those that its inputs are from."""
        self.layer.inbound_nodes.append(self)
        for node in self.inbound_nodes:
            node.layer.outbound_nodes.append(self)

    @property
    def inbound_nodes(self) -> list[Node]:
        """The nodes that the inputs are outputs of; none for the node of an input layer."""
        nodes = map(_node_of, self.input_tensors)
        return [node for node in nodes if node is not self]


def _node_of(tensor: SymbolicTensor) -> Node:
    if tensor.node is None:
        raise ValueError(f"{tensor!r} is not from a layer: begin with Input(shape).")
    return tensor.node


def walk(
    inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]
) -> tuple[list[Node], list[Any]]:
    """The nodes that lead from inputs to outputs, and their layers.

    Returns
    -------
    nodes : list of Node
        Each after those that it depends on.
    layers : list of Layer
        In Keras' order: the farthest from the outputs first; at one distance, in the order in
        which a walk back from the outputs meets them. Weights are listed, and stored in files,
        in this order.

    Raises
    ------
    ValueError
        If an output depends on an input that is not among `inputs`, or an input is not used.
    """
    ends = {id(tensor.node) for tensor in inputs}
    done: dict[int, Node] = {}  # dicts keep the order of insertion
    met: dict[int, Any] = {}
    for output in outputs:
        stack = [(_node_of(output), False)]
        while stack:
            node, entered = stack.pop()
            if id(node) in done:
                continue
            if entered:
                done[id(node)] = node
                continue
            met.setdefault(id(node.layer), node.layer)
            before = node.inbound_nodes
            if not before and id(node) not in ends:
                raise ValueError(
                    f"{output!r} depends on {node.output_tensors[0]!r}, which is not among the "
                    "inputs of the model."
                )
            stack.append((node, True))
            stack += [(n, False) for n in reversed(before)]
    for tensor in inputs:
        if id(tensor.node) not in done:
            raise ValueError(f"{tensor!r} is an input, but no output depends on it.")
    nodes = list(done.values())
    depths = _layer_depths(nodes)
    return nodes, sorted(met.values(), key=lambda layer: -depths[id(layer)])


def _layer_depths(nodes: list[Node]) -> dict[int, int]:
    """For each layer by identity, the longest way from any of its calls to an output."""
    of_node: dict[int, int] = {}
    of_layer: dict[int, int] = {}
    for node in reversed(nodes):
        depth = max(of_node.get(id(node), 0), of_layer.get(id(node.layer), 0))
        of_layer[id(node.layer)] = depth
        for before in node.inbound_nodes:
            of_node[id(before)] = max(of_node.get(id(before), 0), depth + 1)
    return of_layer


class NotConnectedError(AttributeError, RuntimeError):
    """Asked of a layer that has no node: it was never called, or with arrays only.

    TensorFlow 1.4 documents AttributeError for the attributes of such a layer, and RuntimeError
    for its methods and wherever arrays are computed at once: this is both.
    """
