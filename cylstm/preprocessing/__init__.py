"""From texts and lists of uneven lengths to arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.preprocessing import sequence, text
else:
    __getattr__, __dir__ = _lazy.lazy(__name__, {"": "sequence text"})

__all__ = ["sequence", "text"]
