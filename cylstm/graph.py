"""What a layer was connected to: the nodes that symbolic calls leave behind, and their readers."""

from __future__ import annotations

from typing import Any

__all__ = ["Connectable", "NotConnectedError"]


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
