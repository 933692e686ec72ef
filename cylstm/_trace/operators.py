"""The operators of arrays, for classes that NumPy's functions take as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

__all__ = ["Operators"]


def _binary(ufunc: Any) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        return ufunc(self, other)

    return operator


def _reflected(ufunc: Any) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        return ufunc(other, self)

    return operator


class Operators:
    """Arithmetic and ordering by NumPy's functions; they ask the class what to do.

    There is no ``==``: a subclass decides whether that compares values or identity. In-place
    operators make a new array, as Python does where a class does not define them.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...

    else:
        __add__, __radd__ = _binary(np.add), _reflected(np.add)
        __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
        __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
        __truediv__, __rtruediv__ = _binary(np.true_divide), _reflected(np.true_divide)
        __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
        __mod__, __rmod__ = _binary(np.mod), _reflected(np.mod)
        __pow__, __rpow__ = _binary(np.power), _reflected(np.power)
        __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
        __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
        __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
        __xor__, __rxor__ = _binary(np.bitwise_xor), _reflected(np.bitwise_xor)
        __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
        __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)

    def __neg__(self) -> Any:
        return np.negative(self)  # type: ignore[call-overload]  # by `__array_ufunc__`

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return np.absolute(self)  # type: ignore[call-overload]  # by `__array_ufunc__`

    def __invert__(self) -> Any:
        return np.invert(self)  # type: ignore[call-overload]  # by `__array_ufunc__`
