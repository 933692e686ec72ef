"""Variables, constants, what an array is, and settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cylstm import _names
from cylstm._trace import Readable
from cylstm.backend._operands import FLOATX, array, numbers, sizes
from cylstm.graph import SymbolicTensor
from cylstm.variables import Variable

__all__ = [
    "backend",
    "batch_get_value",
    "batch_set_value",
    "cast_to_floatx",
    "clear_session",
    "constant",
    "count_params",
    "dtype",
    "epsilon",
    "eval",
    "eye",
    "floatx",
    "get_uid",
    "get_value",
    "get_variable_shape",
    "image_data_format",
    "image_dim_ordering",
    "int_shape",
    "is_keras_tensor",
    "is_sparse",
    "moving_average_update",
    "name_scope",
    "ndim",
    "ones",
    "print_tensor",
    "reset_uids",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_image_dim_ordering",
    "set_value",
    "shape",
    "update",
    "update_add",
    "update_sub",
    "variable",
    "zeros",
]

EPSILON = 1e-7


# ---------------------------------------------------------------------- variables and constants


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A `cylstm.Variable` of a value: of float32 by default, or float64.

    >>> variable([1.0, 2.0], name="v")
    <Variable v float32 (2,)>
    """
    return Variable(
        numbers(value), name or "variable", constraint=constraint, dtype=dtype or FLOATX
    )


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """An array of a value, of float32 by default; with a shape, filled up by the last number.

    >>> constant(3, shape=(2, 2)).tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """
    given = np.array(value, dtype or FLOATX)
    if shape is None:
        return given
    size, flat = int(np.prod(shape)), given.ravel()
    if not 0 < flat.size <= size:
        raise ValueError(f"{flat.size} numbers do not fill an array of shape {tuple(shape)}")
    filled = np.concatenate([flat, np.full(size - flat.size, flat[-1], flat.dtype)])
    return filled.reshape(shape)


def _variable_or_array(value: np.ndarray, name: str | None) -> Any:
    return variable(value, value.dtype, name) if value.dtype.kind == "f" else value


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of zeros (an array for integers and bools), as in Keras.

    >>> zeros((2,)).value.tolist()
    [0.0, 0.0]
    """
    return _variable_or_array(np.zeros(sizes(shape), dtype or FLOATX), name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of ones (an array for integers and bools), as in Keras.

    >>> ones((2,)).value.tolist()
    [1.0, 1.0]
    """
    return _variable_or_array(np.ones(sizes(shape), dtype or FLOATX), name)


def eye(size: int, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of the identity matrix, as in Keras.

    >>> eye(2).value.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _variable_or_array(np.eye(int(size), dtype=dtype or FLOATX), name)


def eval(x: Any) -> Any:
    """The plain numbers of an array or variable: a constant, where something is differentiated.

    >>> eval([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return numbers(x)


def get_value(x: Any) -> Any:
    """The plain numbers of a variable, as a copy, or of an array.

    >>> get_value(variable([1.0])).tolist()
    [1.0]
    """
    return x.numpy() if isinstance(x, Variable) else numbers(x)


def set_value(x: Any, value: Any) -> None:
    """Assign a value to a variable.

    >>> v = variable([1.0])
    >>> set_value(v, [2.0])
    >>> v.value.tolist()
    [2.0]
    """
    _checked(x).assign(numbers(value))


def batch_get_value(ops: Sequence[Any]) -> list[Any]:
    """`get_value` of each.

    >>> batch_get_value([variable(1.0)])
    [array(1., dtype=float32)]
    """
    return [get_value(x) for x in ops]


def batch_set_value(tuples: Sequence[tuple[Any, Any]]) -> None:
    """`set_value` of each pair (variable, value), or of none if one does not fit.

    >>> v = variable(1.0)
    >>> batch_set_value([(v, 2.0)])
    >>> v.value.item()
    2.0
    """
    for x, value in tuples:
        _checked(x).checked(numbers(value))
    for x, value in tuples:
        x.assign(numbers(value))


def _checked(x: Any) -> Any:
    if not isinstance(x, Variable):
        raise TypeError(f"only variables have a value that can be set, got {x!r}")
    return x


def update(x: Any, new_x: Any) -> Any:
    """Assign a value to a variable at once, and return the variable.

    >>> update(variable(1.0), 5.0).value.item()
    5.0
    """
    set_value(x, new_x)
    return x


def update_add(x: Any, increment: Any) -> Any:
    """Add to a variable at once, and return the variable.

    >>> update_add(variable(1.0), 5.0).value.item()
    6.0
    """
    return update(x, _checked(x).numpy() + numbers(increment))


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtract from a variable at once, and return the variable.

    >>> update_sub(variable(1.0), 5.0).value.item()
    -4.0
    """
    return update(x, _checked(x).numpy() - numbers(decrement))


def moving_average_update(x: Any, value: Any, momentum: float) -> Any:
    """Move a variable to momentum * x + (1 - momentum) * value, and return the variable.

    >>> moving_average_update(variable(1.0), 5.0, 0.75).value.item()
    2.0
    """
    return update_sub(x, (_checked(x).numpy() - numbers(value)) * (1 - momentum))


# ---------------------------------------------------------------------- what an array is


def shape(x: Any) -> np.ndarray:
    """The shape of an array as an array of int32.

    >>> shape([[1.0, 2.0]]).tolist()
    [1, 2]
    """
    return np.array(array(x).shape, np.int32)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape as a tuple; of a symbolic tensor too, with None where a size is unknown.

    >>> int_shape([[1.0, 2.0]])
    (1, 2)
    """
    return tuple(x.shape if hasattr(x, "shape") else array(x).shape)


get_variable_shape = int_shape


def ndim(x: Any) -> int:
    """The number of axes; of a symbolic tensor too.

    >>> ndim([[1.0, 2.0]])
    2
    """
    return len(int_shape(x))


def dtype(x: Any) -> str:
    """The name of the dtype; of a symbolic tensor too.

    >>> dtype([1.0, 2.0])
    'float32'
    """
    return str(np.dtype(x.dtype if hasattr(x, "dtype") else array(x).dtype).name)


def count_params(x: Any) -> int:
    """How many numbers there are in an array.

    >>> count_params([[1.0, 2.0]])
    2
    """
    return int(np.prod(array(x).shape))


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a symbolic tensor, which `Input` or a layer returned.

    >>> is_keras_tensor(variable(1.0))
    False
    """
    if isinstance(x, SymbolicTensor):
        return True
    if isinstance(x, np.ndarray | Readable) or hasattr(x, "numbers"):
        return False
    raise ValueError(f"expected a symbolic tensor or an array, got a {type(x).__name__}: {x!r}")


def is_sparse(tensor: Any) -> bool:
    """False: there are no sparse arrays.

    >>> is_sparse([1.0])
    False
    """
    return False


def print_tensor(x: Any, message: str = "") -> Any:
    """Print an array to the standard error, and return it.

    >>> print_tensor([1.0], "now").tolist()
    [1.0]
    """
    x = array(x)
    print(message, numbers(x), file=sys.stderr)
    return x


# ---------------------------------------------------------------------- settings and names


def backend() -> str:
    """The name of the backend whose behaviour this is, for scripts that ask.

    >>> backend()
    'tensorflow'
    """
    return "tensorflow"


def epsilon() -> float:
    """The small number that keeps losses from log(0): 1e-7.

    >>> epsilon()
    1e-07
    """
    return EPSILON


def set_epsilon(e: float) -> None:
    """Accept 1e-7 alone: the losses are made for it.

    >>> set_epsilon(1e-7)
    """
    if e != EPSILON:
        raise ValueError(
            f"epsilon is {EPSILON} throughout, got {e!r}; use a number of your own in your code"
        )


def floatx() -> str:
    """The dtype of what is given none: float32.

    >>> floatx()
    'float32'
    """
    return FLOATX.name


def set_floatx(floatx: str) -> None:
    """Accept float32 alone: give layers their own dtype instead.

    >>> set_floatx("float32")
    """
    if floatx != FLOATX.name:
        raise ValueError(
            f"the default dtype is {FLOATX.name}, got {floatx!r}; give each layer the argument "
            "dtype='float64' instead"
        )


def cast_to_floatx(x: Any) -> np.ndarray:
    """An array of float32.

    >>> cast_to_floatx([1, 2]).dtype
    dtype('float32')
    """
    return np.asarray(x, FLOATX)


def image_data_format() -> str:
    """Where channels are: last.

    >>> image_data_format()
    'channels_last'
    """
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accept "channels_last" alone.

    >>> set_image_data_format("channels_last")
    """
    if data_format != "channels_last":
        raise ValueError(f"channels are last throughout, got {data_format!r}")


def image_dim_ordering() -> str:
    """The name of `image_data_format` in Keras 1.

    >>> image_dim_ordering()
    'tf'
    """
    return "tf"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Accept "tf" alone: channels are last.

    >>> set_image_dim_ordering("tf")
    """
    if dim_ordering != "tf":
        raise ValueError(f"channels are last throughout ('tf'), got {dim_ordering!r}")


def get_uid(prefix: str = "") -> int:
    """The next number of a prefix, as in default names of layers.

    >>> get_uid("my_prefix"), get_uid("my_prefix")
    (1, 2)
    """
    return _names.next_number(prefix)


def reset_uids() -> None:
    """Let default names start from 1 again: ``lstm_1``.

    >>> reset_uids()
    """
    _names.restart()


def clear_session() -> None:
    """Let default names start from 1 again; there is no session, and nothing to be freed.

    >>> clear_session()
    """
    reset_uids()


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """A context that changes nothing: arrays have no names.

    >>> with name_scope("part"):
    ...     pass
    """
    yield name
