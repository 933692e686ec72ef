from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_INT_MAX: int

_Real = TypeVar("_Real", np.float32, np.float64)

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
    packed: object,
    pool: object,
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
    packed: object,
    pool: object,
) -> None: ...
def gemm(
    *,
    alpha: float,
    a: NDArray[_Real],
    transpose_a: bool,
    b: NDArray[_Real],
    transpose_b: bool,
    beta: float,
    c: NDArray[_Real],
) -> None: ...
