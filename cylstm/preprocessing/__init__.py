"""From texts and lists of uneven lengths to arrays."""

from cylstm.preprocessing import sequence, text

__all__ = ["sequence", "text"]
