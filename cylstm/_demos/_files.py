"""Pictures that demos draw."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

from cylstm.saving import _atomic

__all__ = ["check_picture", "save_picture"]


def check_picture(path: Path | None) -> None:
    """Raise, before anything is computed, where a picture that is asked for cannot be drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError, OSError
        If nothing can be written there.
    """
    if path is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(
            "pictures are drawn by matplotlib, which is not installed: pip install 'cylstm[plot]'"
        )
    _atomic.check(path)


def save_picture(figure: Any, path: Path) -> None:
    """Save a figure of matplotlib, in the format of the suffix."""
    contents = io.BytesIO()
    figure.savefig(contents, format=path.suffix.removeprefix(".") or "png")
    _atomic.write(path, contents.getvalue())
