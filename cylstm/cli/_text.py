"""Text for terminals: what stands in a file is shown, and never obeyed."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["columns", "count", "printable"]

_LONGEST = 200  # characters of a cell


def printable(text: str) -> str:
    """The text with an escape for each character that would not be seen as one.

    Examples
    --------
    >>> print(printable("Größe" + chr(27) + "[2J"))
    Größe\\x1b[2J
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def count(number: int, what: str) -> str:
    """How many there are.

    Examples
    --------
    >>> count(1, "array"), count(2000, "array")
    ('1 array', '2,000 arrays')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which the cells of rows stand below each other.

    Examples
    --------
    >>> columns([["a", "bcd", "e"], ["long", "", "f"]])
    ['a     bcd  e', 'long       f']
    """
    shown = [[_cut(printable(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
