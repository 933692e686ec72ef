from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

ACTIVATIONS: dict[str, int]
ROWWISE: int

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
def update(updates: list[tuple[Any, ...]], pool: Pool | None) -> None: ...
def sum_rows(
    indices: NDArray[np.int64], rows: NDArray[_Real], size: int
) -> tuple[NDArray[np.int64], NDArray[_Real]]: ...
def classes(
    is_double: bool,
    n: int,
    whole: bool,
    p: NDArray[_Real],
    numbers: NDArray[np.int64] | None,
    dp: NDArray[_Real] | None,
    least: float,
    out: NDArray[_Real],
    /,
) -> None: ...
def set_least_elements(elements: int) -> int: ...

MOST_THREADS: int

def set_least_work(operations: float) -> float: ...

class Claim:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class Pool:
    threads: int
    def __new__(cls, threads: int, parallel: int = 0) -> Self: ...
    def serve(self) -> None: ...
    def close(self) -> None: ...

class Cell:
    kernel: NDArray[np.float32] | NDArray[np.float64]
    recurrent_kernel: NDArray[np.float32] | NDArray[np.float64]
    bias: NDArray[np.float32] | NDArray[np.float64] | None
    own: NDArray[np.float32] | NDArray[np.float64] | None
    @property
    def input_dim(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    @property
    def packings(self) -> tuple[bool, bool]: ...
    def __new__(
        cls,
        kernel: NDArray[_Real],
        recurrent_kernel: NDArray[_Real],
        bias: NDArray[_Real] | None,
        own: NDArray[_Real] | None = None,
        *,
        activation: int,
        recurrent_activation: int,
        gemm: object = None,
    ) -> Self: ...
    def forward(
        self,
        inputs: NDArray[Any] | tuple[NDArray[np.int64], NDArray[Any]],
        mask: NDArray[np.bool_] | None,
        states: Sequence[NDArray[Any] | None] | None,
        input_masks: NDArray[Any] | None,
        recurrent_masks: NDArray[Any] | None,
        go_backwards: bool,
        zero_leading: bool,
        sequence: bool,
        final_states: bool,
        keep: bool,
        pool: Callable[[], Pool | None],
    ) -> tuple[Any, Any, Any, Any]: ...
    def backward(
        self,
        inputs: NDArray[Any] | tuple[NDArray[np.int64], NDArray[Any]],
        mask: NDArray[np.bool_] | None,
        states: Sequence[NDArray[Any] | None] | None,
        input_masks: NDArray[Any] | None,
        recurrent_masks: NDArray[Any] | None,
        go_backwards: bool,
        zero_leading: bool,
        pool: Callable[[], Pool | None],
        *,
        cache: NDArray[Any],
        d_outputs: NDArray[Any] | None,
        d_final_h: NDArray[Any] | None,
        d_final_c: NDArray[Any] | None,
        d_states: bool,
        d_inputs: bool = True,
        d_weights: bool = True,
    ) -> list[Any]: ...

class Frames(Generic[_Result]):
    claim: Claim
    def __call__(self, frame: object) -> _Result: ...
    def cast(self, frame: object) -> object: ...

class Stepper(Frames[_Result]):
    cell: Cell
    def __new__(
        cls,
        cell: Cell,
        h: NDArray[_Real],
        c: NDArray[_Real],
        result: _Result,
        pool: Callable[[], Pool | None],
    ) -> Self: ...

class Affine:
    dtype: np.dtype[Any]
    @property
    def columns(self) -> int: ...
    def __new__(
        cls, kernel: NDArray[_Real], bias: NDArray[_Real] | None, *, activation: int
    ) -> Self: ...
    def forward(
        self,
        inputs: NDArray[Any],
        windows: tuple[int, int, int, int] | None,
        pool: Callable[[], Pool | None],
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]: ...

class AffineStepper(Frames[_Result]):
    affine: Affine
    shape: tuple[int, ...]
    def __new__(
        cls,
        affine: Affine,
        shape: tuple[int, ...],
        windows: tuple[int, int, int, int] | None,
        outputs: NDArray[Any],
        result: _Result,
        pool: Callable[[], Pool | None],
    ) -> Self: ...
