"""Tables with a row for each step, of any library, as sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cylstm import _checks
from cylstm._arguments import near, suggesting
from cylstm.preprocessing._grouping import Groups, is_missing, matrix

__all__ = ["FrameSequences", "sequences_from_frame"]

_FILL = "; fill it first: frame.fillna(...) of pandas, frame.fill_null(...) of polars, or drop it"


class FrameSequences(NamedTuple):
    """The sequences of a table; ``x, y, *_ = sequences_from_frame(...)`` takes the first two.

    Attributes
    ----------
    inputs : list of ndarray (steps, features)
        A sequence for each group, as `LSTMClassifier` and `pad_sequences` take them.
    targets : ndarray, list of ndarray, or None
        (groups,), or (groups, targets) of several; with `per_step` an array (steps,) or (steps,
        targets) for each group.
    groups : list
        What the groups are called, in the order in which the table first names them.
    features : list of str
        What the features are called.
    categories : dict of list
        The values of each column of categories: give them for the next table, which may lack some.
    """

    inputs: list[np.ndarray]
    targets: Any
    groups: list[Any]
    features: list[Any]
    categories: dict[Any, list[Any]]


@suggesting
def sequences_from_frame(
    frame: Any,
    group: Any,
    order: Any = None,
    features: Sequence[Any] | None = None,
    target: Any = None,
    *,
    per_step: bool = False,
    categories: Iterable[Any] | Mapping[Any, Sequence[Any]] = (),
    one_hot: bool = True,
    dtype: npt.DTypeLike = "float32",
) -> FrameSequences:
    """Make sequences of a table with a row for each step, and a column that names the sequence.

    Parameters
    ----------
    frame : DataFrame, Table or dict
        Of pandas, polars or pyarrow, or a dict of columns: what has columns by name.
    group : str or list of str
        The column, or columns, that name the sequence of a row. Its rows may stand anywhere.
    order : str or list of str, optional
        What the rows of a sequence are put in order by: numbers, times or texts, no two alike. By
        default they stay in the order of the table.
    features : list of str, optional
        The columns of the inputs: by default all that are named nowhere else.
    target : str or list of str, optional
        What is to be predicted. Text stays text, unless `categories` has it.
    per_step : bool, default False
        Whether each step has a target, or each sequence, whose rows then have the same.
    categories : list of str, or dict of list, optional
        Columns of classes. A feature becomes a column of 0 and 1 for each value, a target the
        number of its value, from 0. Values are in the order of a dict's list, or sorted.
    one_hot : bool, default True
        If False, such a feature is the number of its value instead, from 1, as for an `Embedding`;
        0 is left for padding.
    dtype : {"float32", "float64"}
        Of the inputs.

    Returns
    -------
    FrameSequences
        ``inputs``, ``targets``, ``groups``, ``features`` and ``categories``.

    Raises
    ------
    TypeError
        If `frame` has no columns by name, or a column neither numbers nor categories.
    ValueError
        If there is no such column, something is missing or infinite, a sequence has two rows of
        one step or two targets, or a value is none of the categories.

    Examples
    --------
    >>> frame = {"who": ["b", "a", "b"], "hour": [2, 1, 1], "x": [0.5, 1, 2], "y": [1, 0, 1]}
    >>> found = sequences_from_frame(frame, "who", order="hour", target="y")
    >>> found.groups, [a.tolist() for a in found.inputs], found.targets.tolist()
    (['b', 'a'], [[[2.0], [0.5]], [[1.0]]], [1, 0])
    """
    dtype = np.dtype(_checks.float_dtype(dtype))
    table = _Table(frame)
    by, ordered, wanted = _names(group), _names(order), _names(target)
    if not by:
        raise ValueError("group must name the column that says which sequence a row belongs to.")
    used = {*by, *ordered, *wanted}
    given = _names(features) if features is not None else [n for n in table.names if n not in used]
    if not given:
        raise ValueError(f"no columns are left for the features; there are {table.listed()}.")
    table.check([*by, *ordered, *wanted, *given])
    known = (
        {name: None for name in categories}
        if not isinstance(categories, Mapping)
        else {name: list(values) for name, values in categories.items()}
    )
    for name in known:
        if name not in given and name not in wanted:
            raise ValueError(f"categories has {name!r}, which is neither a feature nor a target.")
    coded = {name: _Codes(table, name, known[name]) for name in known}
    groups = Groups(_group_names(table, by), {n: table.column(n) for n in ordered}, _row)
    columns = _features(table, given, coded, one_hot)
    steps = matrix(columns, groups, dtype, _FILL)
    targets = _targets(table, wanted, coded, groups, per_step) if wanted else None
    values = {name: codes.values for name, codes in coded.items()}
    return FrameSequences(groups.split(steps), targets, groups.names, list(columns), values)


def _names(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list) else [given]


def _row(row: int) -> str:
    return f"row {row}"


class _Table:
    """A table of any library: columns by name, as arrays."""

    def __init__(self, frame: Any) -> None:
        kind = type(frame)  # an attribute of the frame itself may be a column
        for method in ("collect", "compute"):
            if hasattr(kind, method):
                raise TypeError(f"frame is not computed yet: give frame.{method}().")
        attribute = "column_names" if hasattr(kind, "column_names") else "columns"
        names = frame.keys() if isinstance(frame, Mapping) else getattr(frame, attribute, None)
        if names is None:
            raise TypeError(
                "frame must be a DataFrame of pandas or polars, a Table of pyarrow or a dict of "
                f"columns, got {_checks.described(frame)}."
            )
        self.names: list[Any] = list(names)
        self._frame = frame
        self._length: int | None = None

    def listed(self) -> str:
        """The names, for errors."""
        return ", ".join(map(repr, self.names[:12])) + ", ..." * (len(self.names) > 12)

    def check(self, wanted: list[Any]) -> None:
        """Raise ValueError for a column that is not there, or not alone of its name."""
        for name in wanted:
            if self.names.count(name) > 1:
                raise ValueError(f"frame has two columns {name!r}.")
            if name not in self.names:
                likely = near(str(name), [n for n in self.names if isinstance(n, str)], n=1)
                hint = f"did you mean {likely[0]!r}? There are" if likely else "there are"
                index = getattr(getattr(self._frame, "index", None), "names", ())
                more = " A level of the index becomes one by .reset_index()." * (name in index)
                raise ValueError(f"frame has no column {name!r}; {hint} {self.listed()}.{more}")
        for twice in {name for name in wanted if wanted.count(name) > 1}:
            raise ValueError(f"column {twice!r} is named twice: each has one part to play.")

    def column(self, name: Any) -> np.ndarray:
        """A column, of one axis."""
        column = _checks.plain_array(self._frame[name], f"column {name!r}")
        if column.ndim != 1:
            raise TypeError(
                f"column {name!r} holds lists or arrays: give each of their numbers a column."
            )
        self._length = len(column) if self._length is None else self._length
        if len(column) != self._length or not self._length:
            said = f"{len(column)} and {self._length} of another" if self._length else "no"
            raise ValueError(f"column {name!r} has {said} rows.")
        return column


def _group_names(table: _Table, by: list[Any]) -> list[Any]:
    columns = [table.column(name) for name in by]
    for name, column in zip(by, columns, strict=True):
        missing = is_missing(column)
        if missing.any():
            raise ValueError(
                f"{_row(int(missing.argmax()))}, column {name!r} does not say which sequence the "
                "row belongs to."
            )
    lists = [column.tolist() for column in columns]
    return lists[0] if len(lists) == 1 else list(zip(*lists, strict=True))


class _Codes:
    """A column of classes: the values, and which of them each row has."""

    def __init__(self, table: _Table, name: Any, values: list[Any] | None) -> None:
        column = table.column(name)
        missing = is_missing(column)
        if missing.any():
            raise ValueError(f"{_row(int(missing.argmax()))}, column {name!r} is empty{_FILL}")
        cells = column.tolist()
        self.values: list[Any] = sorted(set(cells), key=_rank) if values is None else values
        places = {value: place for place, value in enumerate(self.values)}
        self.numbers = np.array([places.get(cell, -1) for cell in cells])
        if self.numbers.min() < 0:
            row = int(self.numbers.argmin())
            raise ValueError(
                f"{_row(row)}, column {name!r}: {cells[row]!r} is none of the categories "
                f"{self.values[:12]}{' ...' * (len(self.values) > 12)}."
            )


def _rank(value: Any) -> tuple[str, Any]:
    """What sorts values of several types, numbers among themselves."""
    return ("", value) if isinstance(value, int | float) else (type(value).__name__, value)


def _features(
    table: _Table, given: list[Any], coded: Mapping[Any, _Codes], one_hot: bool
) -> dict[Any, np.ndarray]:
    """The columns of the inputs, by what they are called."""
    found = {}
    for name in given:
        if name not in coded:
            found[name] = _numbers(table.column(name), name)
        elif one_hot:
            codes = coded[name]
            for place, value in enumerate(codes.values):
                found[f"{name}={value}"] = codes.numbers == place
        else:
            found[name] = coded[name].numbers + 1
    return found


def _numbers(column: np.ndarray, name: Any) -> np.ndarray:
    """A column of numbers; of objects such as decimals, where they are no texts."""
    kind = column.dtype.kind
    if kind == "O" and not any(isinstance(cell, str | bytes) for cell in column):
        missing = is_missing(column)
        try:
            return np.where(missing, np.nan, np.where(missing, 0, column).astype(np.float64))
        except (TypeError, ValueError):
            pass
    if kind in "fiub":
        return column
    what = f"{'text' if kind in 'OUST' else column.dtype}: name it in categories=[{name!r}]"
    if kind in "mM" or hasattr(column[0], "timetuple"):
        what = "times: give numbers, such as the hours since the first"
    raise TypeError(f"column {name!r} holds {what}, or leave it out of the features.")


def _targets(
    table: _Table,
    wanted: list[Any],
    coded: Mapping[Any, _Codes],
    groups: Groups,
    per_step: bool,
) -> Any:
    columns = []
    for name in wanted:
        column = coded[name].numbers if name in coded else _target(table.column(name), name)
        if column.dtype.kind == "U" and len(wanted) > 1:
            raise TypeError(f"several targets must be numbers: name {name!r} in categories.")
        advice = "; with per_step=True there is one for each step"
        columns.append(column if per_step else groups.one_each(column, name, advice))
    together = columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)
    return groups.split(together) if per_step else together


def _target(column: np.ndarray, name: Any) -> np.ndarray:
    """A column of targets without gaps: numbers, or text."""
    missing = is_missing(column)
    if missing.any():
        raise ValueError(f"{_row(int(missing.argmax()))}, column {name!r} is empty{_FILL}")
    if column.dtype.kind in "OUT" and all(isinstance(cell, str) for cell in column):
        return np.array(column.tolist())
    found = _numbers(column, name)
    if not np.isfinite(found).all():
        row = int(np.isfinite(found).argmin())
        raise ValueError(f"{_row(row)}, column {name!r} is infinite.")
    return found
