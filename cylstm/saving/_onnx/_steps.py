"""Steps: the list of what will become layers, as it grows while a graph is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cylstm.saving._onnx._values import Flow, Known, Made, Source, Step

__all__ = ["Steps"]

_FEW = 3  # times that a layer may be called on what it has given


class Steps:
    """The steps of a graph so far.

    Parameters
    ----------
    uses : dict
        How many nodes and outputs read each value, by its name in the file.
    """

    def __init__(self, uses: dict[str, int]) -> None:
        self.all: list[Step] = []
        self.uses = uses
        self._title = self._name = ""
        self._kernels: dict[int, int] = {}
        self._products: Counter[int] = Counter()
        self._kept: list[Known] = []

    def enter(self, title: str, name: str) -> None:
        """Say which node the next steps are of."""
        self._title, self._name = title, name

    def add(
        self,
        inputs: Sequence[Flow],
        outputs: int,
        make: Callable[[Any], Made],
    ) -> list[Source]:
        """A new step; its outputs. See `Step`."""
        step = Step(self._title, self._name, inputs, outputs, make)
        self.all.append(step)
        return step.outputs

    def keep(self, known: Known) -> int:
        """The identity of a constant, which from now on stands for no other one."""
        self._kept.append(known)
        return id(known)

    def use_kernel(self, kernel: Known, inputs: Flow, source: Source) -> None:
        """Note which weights a value was multiplied by.

        Raises
        ------
        ValueError
            If it was computed with the same ones, again and again: that is what a recurrent layer
            looks like whose steps are written out one by one.
        """
        bit = self._kernels.setdefault(self.keep(kernel), 1 << len(self._kernels))
        self._products[id(kernel)] += 1
        if inputs.source.kernels & bit and self._products[id(kernel)] > _FEW:
            raise ValueError(
                "it multiplies what was computed with its own weights: a recurrent layer that is "
                "unrolled, step by step, is not read. Export it with one LSTM node: in Keras "
                "without unroll=True, in PyTorch as nn.LSTM instead of cells in a loop"
            )
        source.kernels |= bit
