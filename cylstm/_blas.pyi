from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

GEMM: object  # a PyCapsule

def set_limit(limit: int) -> int: ...
def product(
    *,
    a: NDArray[_Real],
    transpose_a: bool,
    b: NDArray[_Real],
    transpose_b: bool,
    add: bool,
    c: NDArray[_Real],
) -> None: ...
