"""Derivatives of functions that users write: the numbers are traced, autograd knows the rules.

`differentiate` calls a function with `Traced` arrays. Whatever is computed from them, with NumPy's
own functions, with operators or with `cylstm.backend`, is noted on a tape together with its
derivative, which autograd supplies; the pullback walks the tape backwards. Nothing of autograd is
changed, it is imported when the first derivative is asked for, and traces in other threads or
within one another do not meet.

What cannot be followed raises: a traced array never turns into a plain one on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm._trace.arrays import Readable, Shape, Traced, current, is_traced, stop, suspended
    from cylstm._trace.differentiation import differentiate, evaluate, record, require
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "arrays": "Readable Shape Traced current is_traced stop suspended",
            "differentiation": "differentiate evaluate record require",
        },
    )

__all__ = [
    "Readable",
    "Shape",
    "Traced",
    "current",
    "differentiate",
    "evaluate",
    "is_traced",
    "record",
    "require",
    "stop",
    "suspended",
]
