"""Models within other libraries, as `keras.wrappers` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.wrappers import scikit_learn
else:
    __getattr__, __dir__ = _lazy.lazy(__name__, {"": "scikit_learn"})

__all__ = ["scikit_learn"]
