"""From texts, tables and lists of uneven lengths to arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.preprocessing import sequence, text
    from cylstm.preprocessing.frames import FrameSequences, sequences_from_frame
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__, {"": "sequence text", "frames": "FrameSequences sequences_from_frame"}
    )

__all__ = ["FrameSequences", "sequence", "sequences_from_frame", "text"]
