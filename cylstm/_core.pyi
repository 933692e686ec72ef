from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

ACTIVATIONS: dict[str, int]

_Real = TypeVar("_Real", np.float32, np.float64)
_Result = TypeVar("_Result")

def isa() -> str: ...
def isas() -> list[str]: ...
def activate(activation: int, x: NDArray[_Real], y: NDArray[_Real]) -> None: ...

LARGE: int

class Block:
    def __new__(cls, size: int) -> Self: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def empty(shape: tuple[int, ...], dtype: np.dtype[_Real]) -> NDArray[_Real]: ...
def kept_bytes() -> int: ...
def average(
    old: NDArray[_Real],
    new: NDArray[_Real],
    rate: float,
    out: NDArray[_Real],
    squares: bool = False,
) -> None: ...
def divide_by_root(
    a: NDArray[_Real],
    squares: NDArray[_Real],
    scale: float,
    epsilon: float,
    out: NDArray[_Real],
) -> None: ...

MOST_THREADS: int

class Claim:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class Pool:
    threads: int
    def __new__(cls, threads: int) -> Self: ...
    def serve(self) -> None: ...
    def close(self) -> None: ...

class PackedWeights:
    input_dim: int
    units: int
    transposed: bool

def pack_weights(
    *,
    kernel: NDArray[_Real],
    recurrent_kernel: NDArray[_Real],
    bias: NDArray[_Real] | None,
    transposed: bool,
) -> PackedWeights: ...

class Weights:
    kernel: NDArray[np.float32] | NDArray[np.float64]
    recurrent_kernel: NDArray[np.float32] | NDArray[np.float64]
    bias: NDArray[np.float32] | NDArray[np.float64] | None
    def __new__(
        cls,
        kernel: NDArray[_Real],
        recurrent_kernel: NDArray[_Real],
        bias: NDArray[_Real] | None,
    ) -> Self: ...
    def packed(self) -> PackedWeights: ...
    def transposed(self) -> PackedWeights: ...
    def forward(
        self,
        inputs: object,
        mask: object,
        states: object,
        activation: int,
        recurrent_activation: int,
        go_backwards: bool,
        zero_leading: bool,
        sequence: bool,
        final_states: bool,
        keep: bool,
        pool: Callable[[float], Pool | None],
    ) -> tuple[Any, Any, Any, Any] | None: ...
    def backward(
        self,
        inputs: object,
        mask: object,
        states: object,
        activation: int,
        recurrent_activation: int,
        go_backwards: bool,
        zero_leading: bool,
        pool: Callable[[float], Pool | None],
        *,
        cache: object,
        d_outputs: object,
        d_final_h: object,
        d_final_c: object,
        d_states: bool,
    ) -> list[Any] | None: ...

class Stepper(Generic[_Result]):
    claim: Claim
    def __new__(
        cls,
        packed: PackedWeights,
        h: NDArray[_Real],
        c: NDArray[_Real],
        result: _Result,
        activation: int,
        recurrent_activation: int,
        pool: Pool | None,
    ) -> Self: ...
    def __call__(self, frame: object) -> _Result: ...
    def cast(self, frame: object) -> object: ...

def lstm_forward(
    *,
    inputs: NDArray[_Real],
    kernel: NDArray[_Real],
    recurrent_kernel: NDArray[_Real],
    bias: NDArray[_Real] | None,
    initial_h: NDArray[_Real],
    initial_c: NDArray[_Real],
    mask: NDArray[np.bool_] | NDArray[np.uint8] | None,
    input_masks: NDArray[_Real] | None,
    recurrent_masks: NDArray[_Real] | None,
    activation: int,
    recurrent_activation: int,
    go_backwards: bool,
    zero_leading: bool,
    outputs: NDArray[_Real] | None,
    final_h: NDArray[_Real],
    final_c: NDArray[_Real],
    gates: NDArray[_Real] | None,
    cells: NDArray[_Real] | None,
    hidden: NDArray[_Real] | None,
    packed: PackedWeights | None,
    pool: Pool | None,
) -> None: ...
def lstm_backward(
    *,
    inputs: NDArray[_Real],
    kernel: NDArray[_Real],
    recurrent_kernel: NDArray[_Real],
    bias: NDArray[_Real] | None,
    initial_h: NDArray[_Real],
    initial_c: NDArray[_Real],
    mask: NDArray[np.bool_] | NDArray[np.uint8] | None,
    input_masks: NDArray[_Real] | None,
    recurrent_masks: NDArray[_Real] | None,
    activation: int,
    recurrent_activation: int,
    go_backwards: bool,
    zero_leading: bool,
    gates: NDArray[_Real],
    cells: NDArray[_Real],
    hidden: NDArray[_Real],
    d_outputs: NDArray[_Real] | None,
    d_final_h: NDArray[_Real] | None,
    d_final_c: NDArray[_Real] | None,
    d_inputs: NDArray[_Real] | None,
    d_initial_h: NDArray[_Real],
    d_initial_c: NDArray[_Real],
    d_kernel: NDArray[_Real],
    d_recurrent_kernel: NDArray[_Real],
    d_bias: NDArray[_Real] | None,
    packed: PackedWeights | None,
    pool: Pool | None,
) -> None: ...
