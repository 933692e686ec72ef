"""Text for terminals: what stands in a file is shown, and never obeyed."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Block",
    "Rows",
    "UsageError",
    "columns",
    "count",
    "json_text",
    "printable",
    "say",
    "show",
    "silent",
]

_LONGEST = 200  # characters of a cell


class UsageError(ValueError):
    """Arguments that do not go together: the exit status is that of wrong arguments."""


@dataclass(frozen=True)
class Rows:
    """Cells that are shown below each other.

    Attributes
    ----------
    cells : sequence of rows, each a sequence of str
        Of one length.
    headings : sequence of str, optional
        Of the columns.
    """

    cells: Sequence[Sequence[str]]
    headings: Sequence[str] | None = None


Block = str | Rows


def show(*blocks: Block) -> None:
    """Print results: by rich on a terminal, if it is installed, else as plain text.

    Plain is also what NO_COLOR and a dumb terminal ask for.

    Parameters
    ----------
    *blocks : str or Rows
        Lines, and cells.

    Examples
    --------
    >>> show("two arrays", Rows([["kernel", "(3, 16)"], ["bias", "(16)"]], ["Array", "Shape"]))
    two arrays
    Array   Shape
    kernel  (3, 16)
    bias    (16)
    """
    console = _console()
    for block in blocks:
        if console is not None:
            console.print(_rich(block), highlight=False, soft_wrap=isinstance(block, str))
        elif isinstance(block, str):
            print(printable(block))
        else:
            rows = block.cells if block.headings is None else [block.headings, *block.cells]
            print("\n".join(columns(rows)))


def _console() -> Any:
    """What writes on the terminal; None where plain text is wanted."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout)


def _rich(block: Block) -> Any:
    from rich.table import Table
    from rich.text import Text

    if isinstance(block, str):
        return Text(printable(block))
    table = Table(box=None, show_header=block.headings is not None, pad_edge=False)
    for i in range(max(map(len, block.cells), default=0)):
        heading = Text(printable(block.headings[i])) if block.headings is not None else ""
        table.add_column(heading, header_style="bold", overflow="fold")
    for row in block.cells:
        first, *others = (Text(_cut(printable(cell))) for cell in row)
        first.stylize("bold" if block.headings is None else "cyan")
        table.add_row(first, *others)
    return table


def say(text: str) -> None:
    """Print what is no result on standard error: progress, and what one may want to know."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def silent(text: str) -> None:
    """Take the place of `say` where it is not to be heard."""


def json_text(value: Any) -> str:
    """A value as JSON that every program reads: infinities, which JSON does not have, as text.

    Examples
    --------
    >>> print(json_text({"shape": (3, 16), "rate": float("inf")}))
    {
     "shape": [
      3,
      16
     ],
     "rate": "inf"
    }
    """
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


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
