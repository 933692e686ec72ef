"""Trainable: what training reads of a model, sets in it and asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from cylstm.callbacks import History
from cylstm.graph import SymbolicTensor
from cylstm.variables import Variable

__all__ = ["Found", "Pass", "Trainable"]


class Found(Protocol):
    """Gradients that a pass backward has found."""

    def add(self, target: Variable, gradient: np.ndarray | None) -> None:
        """Add a gradient of a variable."""

    def of(self, variable: Variable) -> Any:
        """The gradient of a variable."""


class Pass(Protocol):
    """A pass of a batch through a model, and back; values and masks by the identity of tensors."""

    values: dict[int, np.ndarray]
    masks: dict[int, np.ndarray | None]

    def activity_penalties(self) -> list[float]:
        """The losses of outputs that layers have regularizers for."""

    def backward(
        self, cotangents: dict[int, Any], *, penalties: bool = False, training: bool = False
    ) -> Found:
        """Pull gradients back from the tensors named by identity to all weights."""


class Trainable(Protocol):
    """What a `Trainer` trains: a model.

    The methods that a caller of the model may have overridden are asked of it, not of the trainer:
    `fit` of a generator goes by the ``fit_generator`` of the model.
    """

    name: str
    built: bool
    inputs: list[SymbolicTensor]
    outputs: list[SymbolicTensor]

    # What `compile` was given, and what `fit` tells; callbacks read and set them too.
    optimizer: Any
    loss: Any
    metrics: Any
    loss_weights: Any
    sample_weight_mode: Any
    weighted_metrics: Any
    metrics_names: list[str]
    history: Any
    stop_training: bool

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""

    @property
    def layers(self) -> Sequence[Any]:
        """The layers, the one of the output last."""

    @property
    def stateful(self) -> bool:
        """Whether states are kept from batch to batch."""

    @property
    def losses(self) -> list[Any]:
        """The losses beside those of the outputs."""

    @property
    def weights(self) -> list[Variable]:
        """All weights."""

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights to be trained."""

    def build(self, input_shape: Any) -> None:
        """Build for inputs of this shape."""

    @property
    def fit_generator(self) -> Callable[..., History]:
        """How it trains on batches that are made one by one."""

    @property
    def evaluate_generator(self) -> Callable[..., float | list[float]]:
        """How it is evaluated on them."""

    @property
    def predict_generator(self) -> Callable[..., Any]:
        """How it predicts for them."""

    def _run(self, inputs: Any, mask: Any, training: bool, *, keep: bool) -> Pass: ...

    def _penalised_weights(self) -> list[Variable]: ...

    def _sublayers(self) -> Sequence[Any]: ...
