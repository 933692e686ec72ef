"""Variable: a named, versioned array that a layer owns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from operator import call
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _trace

__all__ = ["Change", "Variable", "set_at_once"]

Change = tuple[object, str, object]


def set_at_once(changes: Sequence[Change], first: tuple[Any, ...] = ()) -> None:
    """Set attributes with no moment at which some are set and others are not.

    Neither Ctrl-C nor another thread gets a word in between. What can fail is to be done before.

    Parameters
    ----------
    changes : sequence of (object, name, value)
        What to set; plain attributes only.
    first : tuple, optional
        A function of the core and its arguments, to be called before; where it fails, nothing is
        set.

    Examples
    --------
    >>> import types
    >>> point = types.SimpleNamespace(x=1, y=2)
    >>> set_at_once([(point, "x", point.y), (point, "y", point.x)])
    >>> point
    namespace(x=2, y=1)
    """
    # Old values live on until the end: what is called when one dies would be such a word.
    before = [getattr(target, name) for target, name, _ in changes]
    calls = [(setattr, *change) for change in changes]
    deque(starmap(call, [first, *calls] if first else calls), maxlen=0)
    del before


class Variable(_trace.Readable):
    """A named array with a version, a regularizer and a constraint.

    The array itself is never written to: `assign` puts a new one in its place. Whoever still
    holds the old one (a pullback, another thread) keeps consistent numbers.

    It computes as its value does: operators, indexing and NumPy's functions take it and return
    arrays. ``==`` and `hash` are of the variable, not of its value, because variables are keys of
    dicts: compare values with ``np.equal`` or ``cylstm.backend.equal``. Within a function that is
    being differentiated with respect to it (`cylstm.backend`), it stands for its traced array.

    Parameters
    ----------
    value : array_like
        The first value, copied.
    name : str, default "variable"
        The name, such as ``"lstm_1/kernel"``.
    trainable : bool, default True
        Whether optimizers are to update it.
    regularizer : callable, optional
        Gives the penalty of the value; see `cylstm.regularizers`.
    constraint : callable, optional
        Projects a new value after each update; see `cylstm.constraints`.
    dtype : str, default "float32"
        ``"float32"`` or ``"float64"``.

    Raises
    ------
    TypeError
        If the value does not consist of real numbers.

    Examples
    --------
    >>> from cylstm import Variable
    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign([3.0, 4.0])
    >>> v.value, v.version
    (array([3., 4.], dtype=float32), 1)
    >>> v * 2, v[0].item()
    (array([6., 8.], dtype=float32), 3.0)
    """

    def __init__(
        self,
        value: npt.ArrayLike,
        name: str = "variable",
        trainable: bool = True,
        regularizer: Callable[..., Any] | None = None,
        constraint: Callable[..., Any] | None = None,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.version: int = 0
        self._value = self._frozen(value, np.dtype(_checks.float_dtype(dtype)))

    def _frozen(self, value: npt.ArrayLike, dtype: np.dtype) -> np.ndarray:
        array = _checks.as_array(value, dtype, self.name)
        if array is value or array.base is not None or not array.flags.owndata:
            array = array.copy()
        array.flags.writeable = False
        return array

    @property
    def value(self) -> np.ndarray:
        """The current value: a read-only array, C-contiguous; during a trace, its traced array."""
        trace = _trace.current.get()
        if trace is None:
            return self._value
        value: np.ndarray = trace.read(self, self._value)
        return value

    def read(self) -> Any:
        """The same as `value`."""
        return self.value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value; it never changes."""
        return self._value.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """The number of numbers."""
        return self._value.size

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the value; it never changes."""
        return self._value.dtype

    @property
    def T(self) -> Any:
        """The value with its axes reversed."""
        return np.transpose(self.read())

    def __getitem__(self, index: Any) -> Any:
        return self.read()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.read())

    def checked(self, value: npt.ArrayLike) -> np.ndarray:
        """What `assign` would store: a read-only copy of the shape and dtype of this variable.

        Raises
        ------
        ValueError
            If the shape differs.
        TypeError
            If the value does not consist of real numbers.
        """
        array = self._frozen(value, self.dtype)
        if array.shape != self.shape:
            raise ValueError(
                f"{self.name} has the shape {self.shape}, but was given {array.shape}."
            )
        return array

    def assign(self, value: npt.ArrayLike) -> None:
        """Replace the value by a copy of `value` (same shape) and bump `version`.

        Raises
        ------
        ValueError, TypeError
            As `checked`; the variable is then unchanged.
        """
        self._value = self.checked(value)
        self.version += 1

    def replacement(self, value: np.ndarray) -> list[Change]:
        """What `set_at_once` needs for an array to become the value, without a copy.

        Parameters
        ----------
        value : ndarray
            It must fit as it is; nobody may write to it afterwards.

        Raises
        ------
        ValueError
            If the shape, the dtype or the layout differs.
        """
        if (value.shape, value.dtype, value.flags.c_contiguous) != (self.shape, self.dtype, True):
            raise ValueError(
                f"{self.name} takes C-contiguous arrays of {self.dtype} and the shape "
                f"{self.shape}, but was given {value.dtype} and {value.shape}."
            )
        return [
            (value.flags, "writeable", False),
            (self, "_value", value),
            (self, "version", self.version + 1),
        ]

    def numpy(self) -> np.ndarray:
        """A writable copy of the value: plain numbers, also during a trace."""
        return self._value.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value: np.ndarray = np.asarray(self.read())  # raises, with the reason, where it is traced
        if copy or (dtype is not None and dtype != self.dtype):
            value = value.astype(dtype or self.dtype)
        return value

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if type(self._value) is not np.ndarray:  # joblib maps files, which others may cut or write
            self._value = np.array(self._value)
        self._value.flags.writeable = False  # neither pickle nor deepcopy carries the flag

    def __repr__(self) -> str:
        return f"<Variable {self.name} {self.dtype} {self.shape}>"
