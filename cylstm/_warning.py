"""Warnings that point to the line of the user's program, however deep within cylstm they arise."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as `warnings.warn`, on behalf of the first caller outside cylstm.

    Parameters
    ----------
    message : str
        The text.
    category : type of Warning, default UserWarning
        The kind.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cylstm."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
