"""Rows of a table as sequences: which belong together, in which order, and without gaps."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Groups", "is_missing", "matrix"]

Place = Callable[[int], str]  # from the number of a row to what it is called in errors


def is_missing(column: np.ndarray) -> np.ndarray:
    """Where a column has nothing: None, NaN, NaT, NA.

    Examples
    --------
    >>> is_missing(np.array(["a", None, float("nan")], object)).tolist()
    [False, True, True]
    """
    if column.dtype.kind in "mM":
        return np.asarray(np.isnat(column))
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column))
    if column.dtype.kind != "O":
        return np.zeros(len(column), bool)
    empty = ("NoneType", "NAType", "NaTType")
    return np.array(
        [type(x).__name__ in empty or (isinstance(x, float) and x != x) for x in column], bool
    )


class Groups:
    """The rows of each sequence, in the order of its steps; sequences in order of appearance.

    Parameters
    ----------
    names : sequence
        Which sequence each row belongs to.
    steps : dict of ndarray
        The columns that order the rows of a sequence, by name; those of the frame without any.
    place : callable
        What a row is called in errors.

    Raises
    ------
    ValueError
        If a step is missing, or a sequence has two rows of one step.

    Examples
    --------
    >>> groups = Groups(["b", "a", "b"], {"t": np.array([2, 0, 1])}, "row {}".format)
    >>> groups.names, [rows.tolist() for rows in groups.split(np.arange(3))]
    (['b', 'a'], [[2, 0], [1]])
    """

    def __init__(
        self, names: Sequence[Hashable], steps: Mapping[Any, np.ndarray], place: Place
    ) -> None:
        known: dict[Hashable, int] = {}
        self.place = place
        numbers = (known.setdefault(name, len(known)) for name in names)
        self._of_row = np.fromiter(numbers, np.intp, len(names))
        self.names = list(known)
        keys = [_ranks(column, name, place) for name, column in steps.items()]
        self.rows = np.lexsort([*reversed(keys), self._of_row])
        sorted_groups = self._of_row[self.rows]
        again = np.diff(sorted_groups) == 0
        self.starts = np.flatnonzero(np.concatenate([[True], ~again]))
        if keys:
            for key in keys:
                again &= np.diff(key[self.rows]) == 0
            if again.any():
                row = int(self.rows[again.argmax()])
                step = ", ".join(_text(column[row]) for column in steps.values())
                raise ValueError(
                    f"{self.called(row)} has two rows of the step {step}: {place(row)} and "
                    f"{place(int(self.rows[again.argmax() + 1]))}"
                )

    def called(self, row: int) -> str:
        """The sequence that a row belongs to, for errors."""
        return f"the sequence {self.names[self._of_row[row]]!r}"

    def split(self, column: np.ndarray) -> list[np.ndarray]:
        """The part of each sequence, in order: views of one array."""
        return np.split(column[self.rows], self.starts[1:])

    def one_each(self, column: np.ndarray, name: Any, advice: str = "") -> np.ndarray:
        """The value that a column has in all rows of a sequence, for each of them.

        Raises
        ------
        ValueError
            If a sequence has two.
        """
        firsts = self.rows[self.starts]
        first_of_row = firsts[self._of_row]
        other = column != column[first_of_row]
        if other.any():
            row = int(other.argmax())
            first = int(first_of_row[row])
            a, b = (f"{_text(column[i])[:42]} in {self.place(i)}" for i in sorted((first, row)))
            raise ValueError(
                f"{self.called(row)} has two values of {name!r}: {a} and {b}; there is one target "
                f"for a sequence, the same in all its rows{advice}"
            )
        return column[firsts]


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return repr(str(value)) if isinstance(value, str) else str(value)


def _ranks(column: np.ndarray, name: Any, place: Place) -> np.ndarray:
    """Numbers in the order of the steps."""
    missing = is_missing(column)
    if column.dtype.kind == "f":
        missing = ~np.isfinite(column)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(f"{place(row)}, column {name!r} does not say which step it is")
    if column.dtype.kind in "fiub":
        return column
    try:
        return np.unique(column, return_inverse=True)[1]
    except TypeError as error:
        raise ValueError(f"column {name!r} holds what has no order: {error}") from None


def matrix(
    columns: Mapping[Any, np.ndarray], groups: Groups, dtype: Any, advice: str = ""
) -> np.ndarray:
    """Columns of numbers as one array (rows, columns), in the order of the table.

    Raises
    ------
    ValueError
        If a number is missing, infinite, or too large for the dtype.
    """
    numbers = np.empty((len(groups.rows), len(columns)), dtype)
    for i, (name, column) in enumerate(columns.items()):
        missing = is_missing(column)
        if missing.any():
            row = int(missing.argmax())
            raise ValueError(f"{groups.place(row)}, column {name!r} is empty{advice}")
        with np.errstate(over="ignore"):
            numbers[:, i] = column
        finite = np.isfinite(numbers[:, i])
        if not finite.all():
            row = int(finite.argmin())
            raise ValueError(
                f"{groups.called(row)} holds a number that is infinite or NaN, or too large: "
                f"{column[row]} in {groups.place(row)}, column {name!r}"
            )
    return numbers
