"""Symbolic calls: tensors without values, the nodes that connect them, and a layer's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from cylstm._trace import Shape

__all__ = [
    "Connectable",
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
        self.shape = Shape(shape)
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

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = (
        _refuse
    )
    __matmul__ = __rmatmul__ = __pow__ = __neg__ = __getitem__ = __float__ = _refuse

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
        self.input_tensors = list(input_tensors)
        self.output_tensors = list(output_tensors)
        self.arguments = arguments or {}
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
        return [t.node for t in self.input_tensors if t.node is not self]


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
        stack = [(output.node, False)]
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


class Connectable:
    """The members of a layer that read its nodes.

    A node is one symbolic call: its ``input_tensors`` and ``output_tensors``, each with a
    ``shape`` and a ``mask``. `input`, `output`, ... speak of the only node; the methods that
    end in ``_at`` take the number of a node, in the order of the calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inbound_nodes: list[Any] = []
        self.outbound_nodes: list[Any] = []

    @property
    def scope_name(self) -> str:
        """The name under which the layer was first used: its own.

        Raises
        ------
        ValueError
            If it has not been used yet.
        """
        if not self.built:
            raise ValueError(f"Layer {self.name} has not been used yet, so it has no scope.")
        return self.name

    def get_input_at(self, node_index: int) -> Any:
        """The input tensor, or list of tensors, of a call.

        Raises
        ------
        RuntimeError
            If the layer has no nodes.
        ValueError
            If it has fewer.
        """
        return _one_or_list(self._node_at(node_index, "input").input_tensors)

    def get_output_at(self, node_index: int) -> Any:
        """The output tensor, or list of tensors, of a call; errors as `get_input_at`."""
        return _one_or_list(self._node_at(node_index, "output").output_tensors)

    def get_input_shape_at(self, node_index: int) -> Any:
        """The input shape, or list of shapes, of a call; errors as `get_input_at`."""
        return _each("shape", self._node_at(node_index, "input shape").input_tensors)

    def get_output_shape_at(self, node_index: int) -> Any:
        """The output shape, or list of shapes, of a call; errors as `get_input_at`."""
        return _each("shape", self._node_at(node_index, "output shape").output_tensors)

    def get_input_mask_at(self, node_index: int) -> Any:
        """The input mask (None without one), or list of masks, of a call; errors likewise."""
        return _each("mask", self._node_at(node_index, "input mask").input_tensors)

    def get_output_mask_at(self, node_index: int) -> Any:
        """The output mask (None without one), or list of masks, of a call; errors likewise."""
        return _each("mask", self._node_at(node_index, "output mask").output_tensors)

    @property
    def input(self) -> Any:
        """The input tensor, or list of tensors, of the only call.

        Raises
        ------
        AttributeError
            If the layer has no node, or several.
        """
        return _one_or_list(self._only_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The output tensor, or list of tensors, of the only call; errors as `input`."""
        return _one_or_list(self._only_node("output").output_tensors)

    @property
    def input_mask(self) -> Any:
        """The input mask, or list of masks, of the only call; errors as `input`."""
        return _each("mask", self._only_node("input mask").input_tensors)

    @property
    def output_mask(self) -> Any:
        """The output mask, or list of masks, of the only call; errors as `input`."""
        return _each("mask", self._only_node("output mask").output_tensors)

    @property
    def input_shape(self) -> Any:
        """The input shape, or list of shapes, if it is the same in all calls.

        Raises
        ------
        AttributeError
            If the layer has no node, or nodes of different shapes.
        """
        return self._common_shape("input")

    @property
    def output_shape(self) -> Any:
        """The output shape, or list of shapes, if the same in all calls; errors likewise."""
        return self._common_shape("output")

    def _node_at(self, index: int, what: str) -> Any:
        if not self.inbound_nodes:
            raise NotConnectedError(
                f"Layer {self.name} has no {what}: it was never called on symbolic tensors."
            )
        if not 0 <= index < len(self.inbound_nodes):
            raise ValueError(
                f"Asked for the {what} of call {index} of layer {self.name}, which has "
                f"{len(self.inbound_nodes)}, counted from 0."
            )
        return self.inbound_nodes[index]

    def _only_node(self, what: str) -> Any:
        node = self._node_at(0, what)
        if len(self.inbound_nodes) > 1:
            raise AttributeError(
                f"Layer {self.name} was called {len(self.inbound_nodes)} times, so its {what} is "
                f"ambiguous: use get_{what.replace(' ', '_')}_at(index)."
            )
        return node

    def _common_shape(self, end: str) -> Any:
        self._node_at(0, f"{end} shape")
        shapes = [_each("shape", getattr(n, f"{end}_tensors")) for n in self.inbound_nodes]
        if any(shape != shapes[0] for shape in shapes):
            raise AttributeError(
                f"Layer {self.name} was called with different shapes, so its {end} shape is "
                f"ambiguous: use get_{end}_shape_at(index)."
            )
        return shapes[0]


def _one_or_list(values: list) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _each(attribute: str, tensors: list) -> Any:
    return _one_or_list([getattr(tensor, attribute) for tensor in tensors])
