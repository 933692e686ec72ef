"""Memory that runs out when a test wants it to.

NumPy takes the data of every array from a handler that a program may replace (NEP 49). The one here
passes requests on to NumPy's own, and refuses those that it is told to: temporary arrays within an
expression as well as those that the core asks NumPy for.
"""

import ctypes
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

try:
    from numpy._core import _multiarray_umath
except ImportError:  # NumPy 1
    from numpy.core import _multiarray_umath

_SET_HANDLER, _GET_HANDLER = 304, 305  # places in NumPy's table of functions for C, never moved
_CAPSULE = b"mem_handler"
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t


class _Handler(ctypes.Structure):
    """PyDataMem_Handler, with the PyDataMemAllocator that it ends in."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _POINTER),
        ("malloc", ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE)),
        ("calloc", ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE, _SIZE)),
        ("realloc", ctypes.CFUNCTYPE(_POINTER, _POINTER, _POINTER, _SIZE)),
        ("free", ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _SIZE)),
    ]


def _of_python(name: str, result: type, *arguments: type) -> Callable:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_address = _of_python("PyCapsule_GetPointer", _POINTER, ctypes.py_object, ctypes.c_char_p)
_capsule = _of_python("PyCapsule_New", ctypes.py_object, _POINTER, ctypes.c_char_p, _POINTER)
_functions = ctypes.cast(
    _address(_multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
)
_set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_functions[_SET_HANDLER])
_get = ctypes.PYFUNCTYPE(ctypes.py_object)(_functions[_GET_HANDLER])


class Requests:
    """How many requests there were, and which are refused: one, or that and all after it."""

    def __init__(self) -> None:
        self.count, self.first, self.last = 0, 0, 0

    def granted(self) -> bool:
        self.count += 1
        return not self.first <= self.count <= self.last


requests = Requests()
_own_capsule = _get()
_own = ctypes.cast(_address(_own_capsule, _CAPSULE), ctypes.POINTER(_Handler))[0]


def _passing_on(name: str) -> object:
    kind, own = type(getattr(_own, name)), getattr(_own, name)
    return kind(lambda *arguments: own(*arguments) if requests.granted() else None)


# Arrays outlive the `with` statement, and so do the handler that frees them, and its capsule.
_handler = _Handler(
    b"failing", 1, _own.context, *map(_passing_on, ["malloc", "calloc", "realloc"]), _own.free
)
_handler_capsule = _capsule(ctypes.addressof(_handler), _CAPSULE, None)


@contextmanager
def failing(first: int, last: int | None = None) -> Iterator[Requests]:
    """Refuse the requests for memory from the `first` (1, 2, ...) to the `last` one, both included.

    Without a `last` it is the same as the first; 0 refuses none, and counts.
    """
    requests.count, requests.first, requests.last = 0, first, first if last is None else last
    before = _set(_handler_capsule)
    try:
        yield requests
    finally:
        _set(before)


def each_failure(action: Callable[[], object], lasting: bool) -> Iterator[int]:
    """Do something with its 1st, 2nd, ... request refused, until it is done without a refusal.

    Yields the number of each that raised MemoryError; `lasting` refuses all that follow, too.
    """
    for number in itertools.count(1):
        try:
            with failing(number, 10**9 if lasting else number) as seen:
                action()
        except MemoryError:
            yield number
        else:
            assert seen.count < number, f"refusal {number} was not noticed"
            return
