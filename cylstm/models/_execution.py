"""Run: one pass of arrays through the nodes of a model, and back."""

from __future__ import annotations

from collections.abc import Container
from contextlib import nullcontext
from typing import Any

import numpy as np

from cylstm import regularizers
from cylstm._phase import learning_phase, training_phase
from cylstm._rows import Rows
from cylstm.graph import Node, SymbolicTensor
from cylstm.layers._losses import as_list
from cylstm.layers.input_layer import InputLayer
from cylstm.layers.nested import accepted
from cylstm.variables import Variable

__all__ = ["Accumulated", "Run", "added_up"]


class Run:
    """The values and masks of every tensor of a graph for given inputs.

    Parameters
    ----------
    nodes : list of Node
        In an order in which each comes after those that it depends on.
    inputs, outputs : list of SymbolicTensor
        Where the arrays go in, and where they come out.
    arrays : list of ndarray
        Their values.
    masks : list of (ndarray or None)
        Their masks.
    training : bool
        Passed to the layers that take it.
    keep : bool
        Whether to keep what `backward` needs.

    Attributes
    ----------
    values, masks : dict
        By the identity of the tensor.
    """

    def __init__(
        self,
        nodes: list[Node],
        inputs: list[SymbolicTensor],
        outputs: list[SymbolicTensor],
        arrays: list[np.ndarray],
        masks: list[np.ndarray | None],
        training: bool,
        keep: bool,
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.values = {id(t): a for t, a in zip(inputs, arrays, strict=True)}
        self.masks = {id(t): m for t, m in zip(inputs, masks, strict=True)}
        self._steps: list[_Step] = []
        changes = bool(training) != bool(learning_phase())  # entering one takes microseconds
        with training_phase(training) if changes else nullcontext():
            for node in nodes:
                if not isinstance(node.layer, InputLayer):
                    arrays = [self.values[id(t)] for t in node.input_tensors]
                    looked_up = node.layer._gives_lookups and _is_read_once(node, nodes, outputs)
                    self._run(_Step(node, arrays, looked_up), training, keep)

    def _run(self, step: _Step, training: bool, keep: bool) -> None:
        masks = [self.masks[id(t)] for t in step.node.input_tensors]
        for t, value, mask in step.run(masks, training, keep):
            self.values[id(t)], self.masks[id(t)] = value, mask
        self._steps.append(step)

    def results(self) -> list[np.ndarray]:
        """The values of the outputs."""
        return [self.values[id(t)] for t in self.outputs]

    def activity_penalties(self) -> list[float]:
        """The activity losses of every call of the graph, in its order."""
        return [penalty for step in self._steps for penalty in step.activity_penalties(self.values)]

    def backward(
        self,
        cotangents: dict[int, np.ndarray | None],
        *,
        penalties: bool = False,
        training: bool = False,
        unwanted: Container[int] | None = None,
    ) -> Accumulated:
        """Pull gradients back from the tensors named by identity to all others.

        Parameters
        ----------
        cotangents : dict
            The gradient for each tensor that the loss depends on, by identity.
        penalties : bool, default False
            Whether the activity losses belong to the loss.
        training : bool, default False
            Whether only weights are to be updated: gradients of embeddings may then be `Rows`.
        unwanted : container of int, optional
            Inputs, by identity, whose gradients are not wanted: in training, by default all.
        """
        if unwanted is None:
            unwanted = [id(t) for t in self.inputs] if training else ()
        found = Accumulated(dict(cotangents))
        for step in reversed(self._steps):
            step.backward(found, self.values, penalties, training, unwanted)
        return found


def _is_read_once(node: Node, nodes: list[Node], outputs: list[SymbolicTensor]) -> bool:
    """Whether the vectors of an embedding are for one LSTM alone, which may do without them."""
    tensor = node.output_tensors[0]
    readers = [n for n in nodes for t in n.input_tensors if t is tensor]
    return (
        len(readers) == 1
        and len(readers[0].input_tensors) == 1
        and readers[0].layer._reads_lookups
        and not any(t is tensor for t in outputs)
    )


class _Step:
    """One call of a layer within a run; `looked_up`: of an embedding, which gives lookups."""

    def __init__(self, node: Node, inputs: list[np.ndarray], looked_up: bool) -> None:
        self.node = node
        self._looked_up = looked_up
        self.layer = node.layer
        self.inputs = inputs
        self.variables: list[Variable] = []
        self.pullback: Any = None
        self.inner: Run | None = None  # of a model within the model

    def run(
        self, masks: list[np.ndarray | None], training: bool, keep: bool
    ) -> list[tuple[SymbolicTensor, np.ndarray, np.ndarray | None]]:
        """Call the layer: its output tensors with their values and masks."""
        inputs: Any = self.inputs[0]
        mask: Any = masks[0]
        if len(masks) > 1:
            inputs = self.inputs
            mask = masks if any(m is not None for m in masks) else None
        given = {"mask": mask, "training": training or None}
        self.inner = self.layer._inner_run(inputs, mask, training, keep)
        if self.inner is not None:
            outputs = self.inner.results()
        elif self._looked_up:
            self.variables = self.layer.trainable_weights
            outputs, self.pullback = self.layer._with_lookups(inputs)
        elif keep:
            self.variables = self.layer.trainable_weights
            given = self.node.arguments | accepted(self.layer.vjp, **given)
            outputs, self.pullback = self.layer.vjp(inputs, **given)
        elif mask is None and not training:
            outputs = self.layer(inputs, **self.node.arguments)
        else:
            given = self.node.arguments | accepted(self.layer.call, **given)
            outputs = self.layer(inputs, **given)
        outputs = as_list(outputs)
        tensors = self.node.output_tensors
        return list(zip(tensors, outputs, self._output_masks(inputs, mask), strict=True))

    def _output_masks(self, inputs: Any, mask: Any) -> list[np.ndarray | None]:
        tensors = self.node.output_tensors
        if self.inner is not None:
            return [self.inner.masks[id(t)] for t in self.inner.outputs]
        if mask is None and all(t.mask is None for t in tensors):
            return [None] * len(tensors)
        if isinstance(inputs, list) and mask is None:
            mask = [None] * len(inputs)
        masks = self.layer.compute_mask(inputs, mask)
        return masks if isinstance(masks, list) else [masks] * len(tensors)

    def activity_penalties(self, values: dict[int, np.ndarray]) -> list[float]:
        """The activity losses of this call."""
        inner = [] if self.inner is None else self.inner.activity_penalties()
        regularizer = self.layer.activity_regularizer
        if regularizer is None:
            return inner
        tensors = self.node.output_tensors
        return inner + [regularizers.penalty(regularizer, values[id(t)]) for t in tensors]

    def backward(
        self,
        found: Accumulated,
        values: dict[int, np.ndarray],
        penalties: bool,
        training: bool,
        unwanted: Container[int],
    ) -> None:
        """Add the gradients of the inputs and weights, given those of the outputs."""
        tensors = self.node.output_tensors
        regularizer = self.layer.activity_regularizer if penalties else None
        if regularizer is not None:
            for t in tensors:
                found.add(t, regularizers.gradient(regularizer, values[id(t)]))
        wanted = [found.by_identity.get(id(t)) for t in tensors]
        if self.inner is not None:
            cotangents = added_up(self.inner.outputs, wanted)
            ends = list(zip(self.node.input_tensors, self.inner.inputs, strict=True))
            inner = self.inner.backward(
                cotangents,
                penalties=penalties,
                training=training,
                unwanted={id(end) for t, end in ends if id(t) in unwanted},
            )
            for t, end in ends:
                found.add(t, inner.by_identity.get(id(end)))
            for variable in self.layer.trainable_weights:
                found.add(variable, inner.by_identity.get(id(variable)))
            return
        if all(w is None for w in wanted):
            return
        filled = [
            np.zeros_like(values[id(t)]) if w is None else w
            for t, w in zip(tensors, wanted, strict=True)
        ]
        pullback = getattr(self.pullback, "by_rows", self.pullback) if training else self.pullback
        if all(id(t) in unwanted for t in self.node.input_tensors):
            pullback = getattr(pullback, "of_weights", pullback)
        gradients = pullback(filled if len(filled) > 1 else filled[0])
        for t, gradient in zip(self.node.input_tensors, as_list(gradients.inputs), strict=True):
            found.add(t, gradient)
        for variable, gradient in zip(self.variables, gradients.weights, strict=True):
            found.add(variable, gradient)


def added_up(
    tensors: list[SymbolicTensor], gradients: list[np.ndarray | None]
) -> dict[int, np.ndarray | None]:
    """Gradients by the identity of their tensor: the sum, for a tensor that stands there twice."""
    found = Accumulated({})
    for tensor, gradient in zip(tensors, gradients, strict=True):
        found.add(tensor, gradient)
    return found.by_identity


class Accumulated:
    """Gradients of tensors and variables, added up where several paths meet."""

    def __init__(self, by_identity: dict[int, Any]) -> None:
        self.by_identity = by_identity

    def add(self, target: SymbolicTensor | Variable, gradient: np.ndarray | Rows | None) -> None:
        """Add a gradient of a tensor or variable; None is zero."""
        if gradient is None:
            return
        before = self.by_identity.get(id(target))
        # Not in place: the array may be the caller's, or serve as another gradient too.
        self.by_identity[id(target)] = gradient if before is None else before + gradient

    def of(self, variable: Variable) -> Any:
        """The gradient of a variable, an array or `Rows`: zeros where no path leads to it."""
        gradient = self.by_identity.get(id(variable))
        return np.zeros(variable.shape, variable.dtype) if gradient is None else gradient
