"""From what users pass in - arrays, lists, dicts - to one array of numbers for each name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from cylstm import _checks
from cylstm._arguments import near

__all__ = ["as_column", "first_bad_row", "fits", "listed", "numbers", "suggestion"]

Shape = Sequence[int | None]

_OF_LABELS = (
    " Number the classes first: np.unique(labels, return_inverse=True)[1], or scikit-learn's "
    "LabelEncoder. The numbers go with sparse_categorical_crossentropy; "
    "cylstm.utils.to_categorical makes rows of 0 and 1 of them, for categorical_crossentropy."
)
_OF_TEXTS = (
    " Texts become numbers by cylstm.preprocessing.text.Tokenizer, and lists of one length by "
    "cylstm.preprocessing.sequence.pad_sequences."
)
_OF_DIGITS = " If they are numbers in writing, convert them: .astype('float32')."


def numbers(value: Any, what: str, *, are_targets: bool = False) -> np.ndarray:
    """Return a value as an array of real numbers; of a list of arrays, each is one sample.

    Parameters
    ----------
    value : array or list
        The value.
    what : str
        What it is, for errors.
    are_targets : bool, default False
        Whether strings in it are likely to be labels, or else texts.

    Raises
    ------
    TypeError
        If it does not consist of real numbers; for strings, with how they become numbers.
    ValueError
        If it is a list of sequences of unequal lengths.
    """
    try:
        return _checks.real_array(value, what)
    except TypeError:
        text = _first_string(value)
        if text is None:
            raise
        hint = _OF_DIGITS if _is_number(text) else _OF_LABELS if are_targets else _OF_TEXTS
        message = f"{what} must hold real numbers, got strings such as {text!r}.{hint}"
        raise TypeError(message) from None


def _first_string(value: Any) -> str | None:
    """The first string in an array or a nested list, or None where that is something else."""
    try:
        first = value if isinstance(value, list | tuple) else _checks.plain_array(value, "It")
    except TypeError:  # of what has no array
        return None
    while not isinstance(first, str):
        if isinstance(first, np.ndarray) and first.size:
            first = np.asarray(first).flat[0]  # a number of a masked array may be an array again
        elif isinstance(first, list | tuple) and first:
            first = first[0]
        else:
            return None
    return str(first)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def listed(
    data: Any, names: Sequence[str], shapes: Sequence[Shape], owner: str, kind: str
) -> list[Any]:
    """Return one entry for each name.

    Parameters
    ----------
    data : array, list or dict
        A list for several names has one entry for each. For a single name, a list of one array
        that fits is that array; any other list consists of samples.
    names : list of str
        The names.
    shapes : list of tuple
        The shapes that the entries are to have, with the batch axis.
    owner, kind : str
        Who needs what, for errors.

    Raises
    ------
    ValueError
        If there is nothing for a name.
    """
    if not names and (data is None or isinstance(data, list | tuple | Mapping) and not data):
        return []
    if data is None:
        raise ValueError(f"{owner} takes {kind} for {list(names)}, got None.")
    if isinstance(data, Mapping):
        missing = [name for name in names if name not in data]
        if missing:
            unused = [str(key) for key in data if key not in names]
            raise ValueError(
                f"{owner} needs {kind} for {list(names)}; the dict has none for {missing}."
                f"{suggestion(unused, missing)}"
            )
        return [data[name] for name in names]
    if not isinstance(data, list | tuple):
        if len(names) != 1:
            raise ValueError(
                f"{owner} needs {kind} for {list(names)}, as a list or a dict, got one "
                f"{type(data).__name__}."
            )
        return [data]
    if len(names) == 1:
        return list(data) if _is_wrapped(data, shapes[0]) else [data]
    if len(data) != len(names):
        raise ValueError(
            f"{owner} needs {kind} for {list(names)}, one array for each, got a list of "
            f"{len(data)}."
        )
    return list(data)


def _is_wrapped(data: Sequence[Any], shape: Shape) -> bool:
    """Whether a list for a single name holds one array for it, and not samples."""
    if len(data) != 1:
        return False
    (only,) = data
    if _checks.rank(only) == len(shape):
        return True
    of_array = getattr(only, "shape", None)
    if not of_array:
        return False
    # What fits neither way is taken for the array, as in Keras, and its shape refused.
    return fits((*of_array, 1)[: max(2, len(of_array))], (None, *shape[1:])) or not fits(
        of_array, shape[1:]
    )


def suggestion(given: Iterable[object], known: Iterable[str]) -> str:
    """Return " Did you mean ...?" where a given name is much like a known one, or nothing.

    Examples
    --------
    >>> suggestion(["mian_output"], ["main_output", "aux"])
    " Did you mean 'main_output'?"
    """
    known = list(known)
    few = islice(given, 8)  # a typing mistake is one of few; files may name very many
    found = dict.fromkeys(other for name in few for other in near(name, known, n=1))
    return f" Did you mean {' and '.join(map(repr, found))}?" if found else ""


def as_column(array: np.ndarray) -> np.ndarray:
    """Return an array of one axis as a column."""
    return array[:, None] if array.ndim == 1 else array


def fits(shape: Sequence[int], expected: Shape) -> bool:
    """Whether a shape is the expected one, of which None fits every size."""
    return len(shape) == len(expected) and all(
        want is None or got == want for got, want in zip(shape, expected, strict=True)
    )


def first_bad_row(
    arrays: Mapping[str, np.ndarray | None], number: Callable[[int], int] = int
) -> tuple[str, int, str] | None:
    """Return where NaN, or else infinity, is: the name of an array, the row, and which it is.

    Parameters
    ----------
    arrays : dict
        Arrays by name; None is left out.
    number : callable
        From the place of a row in the arrays to its number: of several rows the one with the
        lowest number is returned.

    Examples
    --------
    >>> first_bad_row({"a": np.zeros((3, 2)), "b": np.array([np.inf, np.nan, 0])})
    ('b', 1, 'NaN')
    """
    for test, what in ((np.isnan, "NaN"), (np.isinf, "infinity")):
        for name, array in arrays.items():
            if array is None or array.dtype.kind != "f":
                continue
            rows = np.flatnonzero(test(array).reshape(len(array), -1).any(axis=1))
            if rows.size:
                return name, min(number(row) for row in rows.tolist()), what
    return None
