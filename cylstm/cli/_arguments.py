"""What several commands share of their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from cylstm._storage import DEFAULT_MAX_SIZE

__all__ = ["add_json", "add_max_size", "number", "whole"]


def add_json(parser: Any) -> None:
    """Add the option for output that a program reads."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def add_max_size(parser: Any) -> None:
    """Add the option that says how large files may be."""
    parser.add_argument(
        "--max-size",
        type=whole(1),
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help=f"refuse larger files; default {DEFAULT_MAX_SIZE}",
    )


def whole(least: int) -> Callable[[str], int]:
    """The type of arguments that are integers.

    Examples
    --------
    >>> whole(1)("7")
    7
    """

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    integer.__name__ = "int"  # what argparse says that the text is not
    return integer


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of arguments that are numbers between two others.

    Examples
    --------
    >>> number(0, 1)("0.5")
    0.5
    """

    def real(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
        return value

    real.__name__ = "float"
    return real
