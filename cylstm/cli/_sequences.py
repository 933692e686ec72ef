"""Sequences in files: what `train`, `predict` and `evaluate` read."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from cylstm.cli import _tables
from cylstm.cli._arguments import add_max_size, whole
from cylstm.cli._tables import Layout, Table, is_number
from cylstm.preprocessing._grouping import Groups, matrix
from cylstm.saving import FormatError
from cylstm.saving import _npz as npz
from cylstm.saving._errors import reading

__all__ = ["Sequences", "add_layout", "layout_of", "read"]


@dataclass(frozen=True)
class Sequences:
    """Sequences of one file.

    Attributes
    ----------
    names : list of str
        What they are called; their numbers, from 0, where the file does not say.
    inputs : list of ndarray (steps, features)
        float32, all finite.
    targets : ndarray or None
        (sequences,) of text, or (sequences, targets) of float64; None where the file has none.
    features : tuple of str
        The names of the features; empty where they have none.
    target_names : tuple of str
        Of the columns of `targets`.
    """

    names: list[str]
    inputs: list[np.ndarray]
    targets: np.ndarray | None
    features: tuple[str, ...]
    target_names: tuple[str, ...]

    @property
    def lengths(self) -> np.ndarray:
        """(sequences,): how many steps each has."""
        return np.array([len(sequence) for sequence in self.inputs])

    @property
    def width(self) -> int:
        """How many features a step has."""
        return int(self.inputs[0].shape[1])


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the columns of a table mean."""
    group = parser.add_argument_group(
        "layout of the data",
        "CSV or parquet: a column of names first. Wide: a row for each sequence, its steps side by "
        "side, empty cells behind the end of a shorter one. Long: a row for each step, with a "
        "column that names the sequence. All columns that are not named here are inputs. .npz: "
        "arrays x (sequences, steps, features), y (sequences,) or (sequences, targets), and, if "
        "they are not all equal, lengths (sequences,).",
    )
    group.add_argument(
        "--layout", choices=("wide", "long"), help="default: long if there is a column sequence"
    )
    group.add_argument(
        "--sequence", metavar="COLUMN", help="names the sequence of a row; default sequence"
    )
    group.add_argument(
        "--step", metavar="COLUMN", help="orders the steps of a sequence; default step"
    )
    group.add_argument(
        "--target",
        metavar="COLUMN",
        action="append",
        help="what is to be predicted, one for a sequence; may be given several times; default "
        "target",
    )
    group.add_argument(
        "--ignore", metavar="COLUMN", action="append", help="no input; may be given several times"
    )
    group.add_argument(
        "--per-step",
        metavar="N",
        type=whole(1),
        help="of a wide table: how many cells belong to a step; default 1",
    )
    add_max_size(group)


def layout_of(options: argparse.Namespace, known: Layout | None = None) -> Layout:
    """The layout that options ask for; what they leave open is as in one that is known."""
    known = known or Layout()
    return Layout(
        kind=options.layout or known.kind,
        sequence=options.sequence or known.sequence,
        step=options.step or known.step,
        target=tuple(options.target or known.target),
        ignore=tuple(options.ignore or known.ignore),
        per_step=options.per_step or known.per_step,
        features=known.features,
        of_model=known.of_model and not options.ignore,
    )


def read(path: str | os.PathLike[str], layout: Layout, max_size: int) -> Sequences:
    """Read the sequences of a file.

    Parameters
    ----------
    path : str or path
        ``.npz``, ``.parquet``, or text: ``.csv``, ``.tsv``, ``.txt``.
    layout : Layout
        What the columns of a table mean.
    max_size : int
        Larger files, in bytes, are refused.

    Raises
    ------
    FormatError
        If the file does not hold sequences of numbers.
    ValueError
        For another suffix.
    ImportError, OSError
        If it cannot be read here.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.csv")
    ...     _ = path.write_text("t0,t1,t2,target\\n1,2,3,up\\n2,1,,down\\n")
    ...     found = read(path, Layout(), 2**20)
    >>> found.lengths.tolist(), found.targets.tolist()
    ([3, 2], ['up', 'down'])
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix == ".npz":
        with reading(path):
            return _from_arrays(npz.read(path, max_size, "fiubU"))
    if suffix not in _tables.SUFFIXES:
        known = ", ".join((*_tables.SUFFIXES, ".npz"))
        raise ValueError(f"{os.fspath(path)}: sequences are read from {known}")
    table = _tables.read(path, layout, max_size)
    try:
        return _from_long(table) if table.roles.long else _from_wide(table, layout.per_step)
    except ValueError as error:
        raise FormatError(f"Cannot read {os.fspath(path)!r}: {error}") from None


# ---------------------------------------------------------------------- tables


def _from_wide(table: Table, per_step: int) -> Sequences:
    roles = table.roles
    there = ~np.isnan(table.numbers)
    width = there.shape[1]
    lengths = width - there[:, ::-1].argmax(axis=1)
    lengths[~there.any(axis=1)] = 0
    inputs = []
    for row, length in enumerate(lengths):
        if length == 0:
            raise ValueError(f"{table.place(row)}: the sequence has no steps")
        if not there[row, :length].all():
            column = roles.features[there[row].argmin()]
            raise ValueError(
                f"{table.place(row)}, column {column!r} is empty; only the end of a row may be, "
                "where a sequence is shorter"
            )
        if length % per_step:
            raise ValueError(
                f"{table.place(row)} has {length} numbers, which is no multiple of the {per_step} "
                "that a step has by --per-step"
            )
        sequence = _finite(table.numbers[row, :length], table.place(row))
        inputs.append(sequence.reshape(-1, per_step))
    names = _names(table) or [str(row) for row in range(len(inputs))]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two rows are of the sequence {twice!r}: is the layout long?")
    return Sequences(names, inputs, _targets(table, range(len(inputs))), (), roles.targets)


def _from_long(table: Table) -> Sequences:
    roles = table.roles
    columns = dict(zip(roles.numbers, table.numbers.T, strict=True))
    steps = {roles.step: columns.pop(roles.step)} if roles.step is not None else {}
    groups = Groups(_names(table), steps, table.place)
    inputs = groups.split(matrix(columns, groups, np.float32))
    for name in roles.targets:
        groups.one_each(np.array(table.texts[name]), name)
    targets = _targets(table, groups.rows[groups.starts].tolist())
    names = [str(name) for name in groups.names]
    return Sequences(names, inputs, targets, roles.features, roles.targets)


def _names(table: Table) -> list[str]:
    return table.texts[table.roles.sequence] if table.roles.sequence is not None else []


def _finite(numbers: np.ndarray, place: str) -> np.ndarray:
    """Numbers as float32."""
    with np.errstate(over="ignore"):
        found = np.asarray(numbers, np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"{place} holds a number that is infinite or NaN, or too large")
    return found


def _targets(table: Table, rows: Any) -> np.ndarray | None:
    """Of some rows: numbers, where all are, else text."""
    names = table.roles.targets
    if not names:
        return None
    cells = [[table.texts[name][row] for name in names] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        if "" in line:
            raise ValueError(f"{table.place(row)}, column {names[line.index('')]!r} is empty")
    if not all(is_number(cell) for line in cells for cell in line):
        if len(names) > 1:
            raise ValueError(f"several targets must be numbers: {', '.join(names)}")
        return np.array([line[0] for line in cells])
    return _finite_targets(np.array(cells, np.float64))


def _finite_targets(numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError("a target is infinite or NaN")
    return numbers


# ---------------------------------------------------------------------- arrays


def _from_arrays(arrays: dict[str, np.ndarray]) -> Sequences:
    if "x" not in arrays:
        raise ValueError(
            f"it has no array x (sequences, steps, features), but {', '.join(arrays) or 'none'}"
        )
    x = arrays["x"]
    if x.ndim == 2:
        x = x[:, :, np.newaxis]
    if x.ndim != 3 or x.dtype.kind == "U":
        raise ValueError(
            "x must be numbers of the shape (sequences, steps, features) or (sequences, steps), "
            f"got {arrays['x'].dtype} {arrays['x'].shape}"
        )
    if not x.size:
        raise ValueError(f"x of the shape {x.shape} holds no sequences")
    lengths = _lengths(arrays.get("lengths"), x)
    inputs = [
        _finite(x[i, :length], f"sequence {i} of x") for i, length in enumerate(lengths.tolist())
    ]
    y = _y(arrays["y"], len(x)) if "y" in arrays else None
    count = y.shape[1] if y is not None and y.ndim == 2 else 1
    targets = ("target",) if count == 1 else tuple(f"target_{i}" for i in range(count))
    return Sequences([str(i) for i in range(len(x))], inputs, y, (), targets)


def _lengths(given: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    if given is None:
        return np.full(len(x), x.shape[1])
    if given.shape != x.shape[:1] or given.dtype.kind not in "iu":
        raise ValueError(
            f"lengths must be integers of the shape ({len(x)},), got {given.dtype} {given.shape}"
        )
    if given.min() < 1 or given.max() > x.shape[1]:
        raise ValueError(
            f"lengths must be from 1 to the {x.shape[1]} steps of x, got {given.min()} to "
            f"{given.max()}"
        )
    return given


def _y(y: np.ndarray, count: int) -> np.ndarray:
    if y.ndim not in (1, 2) or len(y) != count or not y.size:
        raise ValueError(
            f"y must have the shape ({count},) or ({count}, targets), as x has {count} sequences; "
            f"got {y.shape}"
        )
    if y.dtype.kind in "bU":
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError("several targets must be numbers")
        return np.array([str(value) for value in y.ravel()])
    return _finite_targets(y.reshape(count, -1).astype(np.float64))
