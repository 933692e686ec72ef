"""FormatError: the one exception for a file that is not as it should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["FormatError", "reading"]

_LONGEST_MESSAGE = 1000


class FormatError(ValueError):
    """A file is damaged, truncated, hostile, of an unknown format or of a later version.

    Examples
    --------
    >>> issubclass(FormatError, ValueError)
    True
    """


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong with the contents of a file into a FormatError that names it.

    What has to do with the machine and not with the file passes: OSError, MemoryError,
    ImportError.

    Parameters
    ----------
    path : str or path
        What is being read.
    """
    try:
        yield
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        text = f"{kind}{error}"
        if len(text) > _LONGEST_MESSAGE:
            text = f"{text[:_LONGEST_MESSAGE]} ..."
        raise FormatError(f"Cannot read {os.fspath(path)!r}: {text}") from error
