"""Which engine computes an LSTM: it is chosen here, and nowhere else.

| engine | computes | chosen for |
| --- | --- | --- |
| fused | kernels of our own on packed weights, threads | built-in activations of one number each |
| blas | products by SciPy's BLAS, all else as fused | softmax |
| reference | NumPy | activations of the user's own |
| steps | Python, one step after the other | a subclass with a `step` of its own |

The environment variable CYLSTM_ENGINE, for tests and comparisons, names an engine that is taken
instead wherever it can compute the same: `blas` can what `fused` can, `reference` what both can.

The products of `Dense` and `Conv1D` are those of the fused kernels; by either of the other names
they are NumPy's, which are BLAS' as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from cylstm import _core, _reference, _threads, activations

__all__ = [
    "Affine",
    "Cell",
    "Run",
    "choose",
    "elementwise_number",
    "instruction_sets",
    "is_cheaper_unpacked",
    "made_affine",
    "made_cell",
    "require_derivatives",
    "vjp",
]

Affine = _core.Affine | _reference.Affine
Cell = _core.Cell | _reference.Cell

_NUMBERS = {activations.get(name): number for name, number in _core.ACTIVATIONS.items()}
_ABILITIES = {  # the engines that can compute what one was chosen for
    "fused": ("fused", "blas", "reference"),
    "blas": ("blas", "reference"),
    "reference": ("reference",),
    "steps": ("steps",),
}


def _forced(given: str) -> str:
    """The value of CYLSTM_ENGINE, if it is one."""
    if given and given not in ("fused", "blas", "reference"):
        raise ValueError(
            f"The environment variable CYLSTM_ENGINE is {given!r}: set it to fused, blas or "
            "reference, or leave it unset."
        )
    return given


_FORCED = _forced(os.environ.get("CYLSTM_ENGINE", ""))


def choose(activation: Any, recurrent_activation: Any, own_step: bool = False) -> str:
    """The engine for these activations, and for a layer that has a `step` of its own."""
    numbers = [_NUMBERS.get(function) for function in (activation, recurrent_activation)]
    if own_step:
        found = "steps"
    elif None in numbers:
        found = "reference"
    else:
        rowwise = any(n is not None and n >= _core.ROWWISE for n in numbers)
        found = "blas" if rowwise else "fused"
    return _FORCED if _FORCED in _ABILITIES[found] else found


def instruction_sets() -> tuple[str, list[str]]:
    """The instruction set of the kernels in use, and all that this CPU has."""
    return _core.isa(), _core.isas()


def elementwise_number(activation: Any) -> int | None:
    """The number by which `_core.activate` knows an activation; None where it does not."""
    number = _NUMBERS.get(activation)
    return None if number is None or number >= _core.ROWWISE else number


def vjp(activation: Any) -> Any:
    """`activations.vjp`; that of softmax by the core, of arrays in C order along the last axis."""
    if activation is not activations.softmax or _FORCED in ("blas", "reference"):
        return activations.vjp(activation)

    def through_softmax(x: Any, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dx = _core.empty(y.shape, y.dtype)
        _core.classes(y.itemsize == 8, y.shape[-1], True, y, None, dy, 0.0, dx)
        return dx

    return through_softmax


def require_derivatives(*functions: Any) -> None:
    """Raise where an activation has no derivative, before anything is computed."""
    for function in functions:
        if function not in _NUMBERS:
            activations.vjp(function)


def made_cell(weights: Sequence[Any], activation: Any, recurrent_activation: Any) -> Cell:
    """The cell of these weights, in its order, of the engine for these activations."""
    engine = choose(activation, recurrent_activation)
    numbers = [_NUMBERS.get(f, f) for f in (activation, recurrent_activation)]
    options: dict[str, Any] = dict(
        zip(("activation", "recurrent_activation"), numbers, strict=True)
    )
    if engine == "reference":
        return _reference.Cell(*weights, **options)
    if engine == "blas":
        from cylstm import _blas  # SciPy's linear algebra takes longer to import than all the rest

        options["gemm"] = _blas.GEMM
        weights = [w if w is None else np.ascontiguousarray(w) for w in weights]
    return _core.Cell(*weights, **options)


def is_cheaper_unpacked(kernel: np.ndarray, rows: int) -> bool:
    """Whether packing a matrix for one product of so many rows takes longer than it gains.

    It reads and writes all of the matrix: measured, (128, 20000) and 32 rows, 0.5 ms of 4.
    """
    return rows < 64 and kernel.nbytes >= 8 << 20


def made_affine(
    kernel: np.ndarray, bias: Any, activation: Any, packed: bool = True
) -> tuple[Affine, bool]:
    """The product of these weights, and whether the activation is in it; one's own is not.

    Without `packed` it is NumPy's.
    """
    by_numpy = not packed or _FORCED in ("blas", "reference")
    number = _NUMBERS.get(activation)
    given = _core.ACTIVATIONS["linear"] if number is None else number
    of = _reference.Affine if by_numpy else _core.Affine
    return of(kernel, bias, activation=given), number is not None


class Run:
    """A forward pass over a batch of sequences, and what it leaves for the backward pass.

    Parameters
    ----------
    cell : Cell
        What computes it.
    inputs : ndarray, shape (batch, timesteps, input_dim)
        Of the dtype of the cell.
    mask : ndarray or None
        (batch, timesteps) bool.
    states : sequence of ndarray, or None
        h and c to start from, (batch, units) each; None for zeros.
    input_masks, recurrent_masks : ndarray or None
        Dropout masks of the inputs and of the state, (1 or 4, batch, size).
    go_backwards, zero_leading, sequence, final_states
        As for `_core.Cell.forward`.

    Attributes
    ----------
    results : tuple
        The outputs, h and c, as far as they were asked for.
    """

    __slots__ = ("_arguments", "_cache", "_cell", "results")

    def __init__(
        self,
        cell: Cell,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        states: Any,
        input_masks: np.ndarray | None,
        recurrent_masks: np.ndarray | None,
        go_backwards: bool,
        zero_leading: bool,
        sequence: bool,
        final_states: bool,
    ) -> None:
        self._cell = cell
        self._arguments = (
            inputs, mask, states, input_masks, recurrent_masks, go_backwards, zero_leading
        )  # fmt: skip
        self._cache: Any  # what the backward pass of the cell takes
        outputs, h, c, self._cache = cell.forward(
            inputs, mask, states, input_masks, recurrent_masks, go_backwards, zero_leading,
            sequence, final_states, True, _threads.pool,
        )  # fmt: skip
        self.results = outputs, h, c

    def backward(
        self, d_outputs: Any, d_final_h: Any, d_final_c: Any, states: bool, inputs: bool = True
    ) -> list[np.ndarray | None]:
        """Back-propagate through the sequence.

        Parameters
        ----------
        d_outputs, d_final_h, d_final_c : ndarray or None
            The gradients of the results; None is zero.
        states, inputs : bool
            Whether the gradients of the initial states, and those of the inputs, are wanted.

        Returns
        -------
        list of ndarray
            The gradients of the inputs, of both initial states (None if not wanted), of the
            kernel, the recurrent kernel and the bias (None without one).
        """
        return self._cell.backward(
            *self._arguments, _threads.pool, cache=self._cache, d_outputs=d_outputs,
            d_final_h=d_final_h, d_final_c=d_final_c, d_states=states, d_inputs=inputs,
        )  # fmt: skip
