"""Array functions under the names of Keras' backend, for code of the user's own.

    from cylstm import backend as K

A loss, an activation, a `Lambda`, a layer or a cell that is written with them predicts as it is,
and trains where the package autograd is installed (``pip install 'cylstm[autograd]'``). They take
arrays, lists, numbers and variables, and compute at once: there is no graph. float32 stays
float32. Semantics are those of Keras 2.0.9 on TensorFlow; what is absent says why.

NumPy's own functions, operators and methods may be mixed with them: they are followed as well,
or raise an error that says what to use.
"""

from __future__ import annotations

from typing import NoReturn

from cylstm.backend import _arrays, _chance, _control, _math, _neural, _values
from cylstm.backend._absent import ABSENT
from cylstm.backend._arrays import *  # noqa: F403
from cylstm.backend._chance import *  # noqa: F403
from cylstm.backend._control import *  # noqa: F403
from cylstm.backend._math import *  # noqa: F403
from cylstm.backend._neural import *  # noqa: F403
from cylstm.backend._values import *  # noqa: F403

__all__ = sorted(
    name for part in (_arrays, _chance, _control, _math, _neural, _values) for name in part.__all__
)


def __getattr__(name: str) -> NoReturn:
    if name in ABSENT:
        raise AttributeError(f"cylstm.backend has no {name}: {ABSENT[name]}.")
    raise AttributeError(f"cylstm.backend has no {name!r}, and neither has Keras 2.0.9.")
