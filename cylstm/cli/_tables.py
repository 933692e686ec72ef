"""Tables of sequences, CSV and parquet: which column means what, and the numbers in them."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cylstm.saving import FormatError
from cylstm.saving._errors import reading
from cylstm.saving._files import check_size, opened

__all__ = ["SUFFIXES", "Layout", "Roles", "Table", "is_number", "read"]

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Layout:
    """How tables are laid out, as the options of a command say it.

    Attributes
    ----------
    kind : {"auto", "wide", "long"}
        One row a sequence, or one row a step; "auto" is long where there is a column `sequence`.
    sequence, step : str
        The columns that name the sequence, and number its steps.
    target : tuple of str
        The columns of what is to be predicted.
    ignore : tuple of str
        Columns that are not looked at.
    per_step : int
        Of wide tables: how many cells in a row belong to one step.
    features : tuple of str
        Of long tables: the columns of the inputs; all that are left, if there are none here.
    of_model : bool
        Whether a model was trained so: what it ignored need not be there again.
    """

    kind: str = "auto"
    sequence: str = "sequence"
    step: str = "step"
    target: tuple[str, ...] = ("target",)
    ignore: tuple[str, ...] = ()
    per_step: int = 1
    features: tuple[str, ...] = ()
    of_model: bool = False


@dataclass(frozen=True)
class Roles:
    """What the columns of one table mean; None or empty where it has none of the kind."""

    long: bool
    sequence: str | None
    step: str | None
    targets: tuple[str, ...]
    features: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], layout: Layout) -> Roles:
        """Those of a table with columns of these names.

        Raises
        ------
        ValueError
            If columns are missing, or two have one name.

        Examples
        --------
        >>> Roles.of(["sequence", "step", "x", "y", "target"], Layout()).features
        ('x', 'y')
        """
        _check_names(names, layout)
        long = layout.kind == "long" or (layout.kind == "auto" and layout.sequence in names)
        sequence = layout.sequence if layout.sequence in names else None
        if long and sequence is None:
            raise ValueError(
                f"it has no column {layout.sequence!r} that says which sequence a row belongs to: "
                f"name it by --sequence; there are {_listed(names)}"
            )
        step = layout.step if long and layout.step in names else None
        targets = tuple(name for name in layout.target if name in names)
        if targets and len(targets) < len(layout.target):
            missing = [name for name in layout.target if name not in names]
            raise ValueError(f"it has no column {missing[0]!r}; there are {_listed(names)}")
        taken = {sequence, step, *targets, *layout.ignore}
        features = tuple(name for name in names if name not in taken)
        if long and layout.features:
            features = layout.features
            missing = [name for name in features if name not in names]
            if missing:
                raise ValueError(
                    f"it has no column {missing[0]!r}, an input of the model; there are "
                    f"{_listed(names)}"
                )
        if not features:
            raise ValueError(f"no columns are left for the inputs; there are {_listed(names)}")
        if not long and len(features) % layout.per_step:
            raise ValueError(
                f"its {len(features)} columns of inputs are no multiple of the {layout.per_step} "
                "that a step has by --per-step"
            )
        return cls(long, sequence, step, targets, features)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are kept as text."""
        return tuple(name for name in (self.sequence, *self.targets) if name is not None)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that must be numbers: the step first, if there is one."""
        return (*([self.step] if self.step else []), *self.features)


def _check_names(names: Sequence[str], layout: Layout) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has two columns {twice!r}")
    for name in layout.ignore:
        if name not in names and not layout.of_model:
            raise ValueError(f"it has no column {name!r} to ignore; there are {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes
    ----------
    roles : Roles
        Of its columns.
    texts : dict of list of str
        The columns of text, by name.
    numbers : ndarray (rows, columns) of float64
        The others; NaN where a cell is empty.
    place : callable
        From the number of a row to where it is, as ``line 7``.
    """

    roles: Roles
    texts: dict[str, list[str]]
    numbers: np.ndarray
    place: Callable[[int], str]


def read(path: str | os.PathLike[str], layout: Layout, max_size: int) -> Table:
    """Read a table; the suffix says whether it is parquet or text.

    Parameters
    ----------
    path : str or path
        The file.
    layout : Layout
        How it is laid out.
    max_size : int
        Larger files, and tables of more numbers than it has room for, in bytes, are refused.

    Raises
    ------
    FormatError
        If it is no such table: with the line and the column.
    ImportError
        If a package is missing to read parquet.
    OSError
        If it cannot be read.
    """
    parquet = os.fspath(path).lower().endswith(".parquet")
    if parquet:
        _pyarrow()
    with reading(path), opened(path) as (file, size):
        check_size(size, max_size)
        table = _from_parquet(file, layout, max_size) if parquet else _from_text(file, layout)
    if not len(table.numbers):
        raise FormatError(f"Cannot read {os.fspath(path)!r}: it has no rows")
    return table


# ---------------------------------------------------------------------- text


def _from_text(file: Any, layout: Layout) -> Table:
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        header = text.readline()
        delimiter = max(_DELIMITERS, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        _check_header(names)
        roles = Roles.of(names, layout)
        texts: dict[str, list[str]] = {name: [] for name in roles.texts}
        rows: list[np.ndarray] = []
        lines: list[int] = []
        where = {name: i for i, name in enumerate(names)}
        numeric = [(name, where[name]) for name in roles.numbers]
        for line, cells in _rows(text, delimiter, len(names)):
            for name, column in texts.items():
                column.append(cells[where[name]].strip())
            rows.append(np.array([_number(cells[i], line, name) for name, i in numeric]))
            lines.append(line)
    numbers = np.stack(rows) if rows else np.empty((0, len(numeric)))
    return Table(roles, texts, numbers, lambda row: f"line {lines[row]}")


def _check_header(names: Sequence[str]) -> None:
    if not any(name.strip() for name in names):
        raise ValueError("its first line is empty: it must have the names of the columns")
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise ValueError(f"its column {position} has no name in the first line")
    if all(is_number(name) for name in names):
        raise ValueError(
            f"its first line holds the numbers {_listed(names)}: it must have the names of the "
            "columns"
        )


def _rows(text: Any, delimiter: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header that are not empty, each with the number of its line."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num + 1}: {error}") from None
        if cells is None:
            return
        line = reader.line_num + 1  # the header is not the reader's
        if not cells:
            continue
        if len(cells) != width:
            raise ValueError(f"line {line} has {len(cells)} cells, and the header {width} names")
        yield line, cells


def _number(cell: str, line: int, column: str) -> float:
    if is_number(cell):
        return float(cell)
    if not cell.strip():
        return math.nan
    raise ValueError(
        f"line {line}, column {column!r}: {cell[:40]!r} is no number; --ignore {column} leaves "
        "the column out, --target says which one is to be predicted"
    )


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, as Python writes them, but without underscores.

    Examples
    --------
    >>> is_number("-1.5e3"), is_number("1_000"), is_number("")
    (True, False, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


# ---------------------------------------------------------------------- parquet


def _pyarrow() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "parquet is read by pyarrow, which is not installed: pip install 'cylstm[parquet]'"
        ) from error
    return parquet


def _from_parquet(file: Any, layout: Layout, max_size: int) -> Table:
    source = _pyarrow().ParquetFile(file)
    names = list(source.schema_arrow.names)
    roles = Roles.of(names, layout)
    needed = source.metadata.num_rows * len(roles.numbers) * 8
    if needed > max_size:  # what is compressed may be far larger than the file
        raise ValueError(
            f"its numbers take {needed} bytes, and at most {max_size} are allowed: --max-size "
            f"{needed} if you trust it"
        )
    table = source.read(columns=[*roles.texts, *roles.numbers])
    texts = {
        name: ["" if value is None else str(value) for value in table[name].to_pylist()]
        for name in roles.texts
    }
    columns = [_numeric(table[name], name) for name in roles.numbers]
    return Table(roles, texts, np.stack(columns, axis=1), lambda row: f"row {row}")


def _numeric(column: Any, name: str) -> np.ndarray:
    values = column.to_numpy()
    if values.dtype.kind not in "fiub":
        raise ValueError(
            f"column {name!r} is of {column.type}, and not of numbers; --ignore {name} leaves it "
            "out, --target says which one is to be predicted"
        )
    return np.asarray(values, np.float64)
