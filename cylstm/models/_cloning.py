"""clone_model: the same model once more, with weights of its own."""

from __future__ import annotations

from typing import Any

from cylstm.graph import SymbolicTensor
from cylstm.layers._losses import as_list
from cylstm.layers.input_layer import Input, InputLayer
from cylstm.layers.layer import Layer
from cylstm.models.model import Model
from cylstm.models.sequential import Sequential

__all__ = ["clone_model"]


def clone_model(model: Model, input_tensors: Any = None) -> Model:
    """A new model of the same layers, connected in the same way, with new weights.

    It is not compiled.

    Parameters
    ----------
    model : Model
        What to clone; a Sequential gives a Sequential.
    input_tensors : SymbolicTensor or list of SymbolicTensor, optional
        What the new model begins with, one for each input, from `Input`. By default new ones.

    Returns
    -------
    Model

    Raises
    ------
    TypeError
        If `model` is no model, or an input is not symbolic.
    ValueError
        If the number of inputs is another, one is not from `Input`, or does not fit.

    Examples
    --------
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> clone = cylstm.models.clone_model(model)
    >>> clone.output_shape, clone.layers[0] is model.layers[0]
    ((None, 4), False)
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model takes a model, got {model!r}.")
    given = None if input_tensors is None else _checked_inputs(model, as_list(input_tensors))
    if isinstance(model, Sequential):
        return _clone_sequential(model, given)
    inputs = given or _new_inputs(model)
    found = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    clones: dict[int, Layer] = {}
    for node in model._nodes:
        if isinstance(node.layer, InputLayer):
            continue
        if id(node.layer) not in clones:
            clones[id(node.layer)] = _clone(node.layer)
        tensors = [found[id(tensor)] for tensor in node.input_tensors]
        several = len(tensors) > 1
        outputs = clones[id(node.layer)](tensors if several else tensors[0], **node.arguments)
        for old, new in zip(node.output_tensors, as_list(outputs), strict=True):
            found[id(old)] = new
    return type(model)(inputs, [found[id(tensor)] for tensor in model.outputs], name=model.name)


def _clone_sequential(model: Sequential, given: list[SymbolicTensor] | None) -> Model:
    if given is None and model._begins_with_input:
        given = _new_inputs(model)
    layers = [tensor.layer for tensor in given or []] + [_clone(layer) for layer in model.layers]
    clone = type(model)(layers, name=model.name)
    if model.built:
        clone.build(model.inputs[0].shape)
    return clone


def _new_inputs(model: Model) -> list[SymbolicTensor]:
    return [
        Input(batch_shape=tensor.shape, dtype=tensor.layer.dtype, name=tensor.layer.name)
        for tensor in model.inputs
    ]


def _clone(layer: Layer) -> Layer:
    if isinstance(layer, Model):
        return clone_model(layer)
    return layer._twin()


def _checked_inputs(model: Model, tensors: list[Any]) -> list[SymbolicTensor]:
    wanted = len(model.inputs) if model.built else 1
    if len(tensors) != wanted:
        raise ValueError(f"Model {model.name} has {wanted} inputs, got {len(tensors)} tensors.")
    for tensor in tensors:
        if not isinstance(tensor, SymbolicTensor):
            raise TypeError(f"input_tensors are symbolic tensors, from Input: got {tensor!r}.")
        if not isinstance(tensor.layer, InputLayer):
            raise ValueError(f"{tensor!r} is no input: a model begins with `Input`.")
    return tensors
