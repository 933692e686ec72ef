"""JSON as the files of this package hold it: strict to read, exact to write."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from cylstm.saving import _limits

__all__ = ["check_count", "dump", "parse", "plain"]

_MAX_DEPTH = 64
_MAX_DIGITS = 20
# An escape that may be half a character; the other half may follow.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def check_count(text: str | bytes, most: int) -> None:
    """Refuse JSON of too many values before anything is made of it.

    A byte or two of text become 60 of memory.

    Parameters
    ----------
    text : str or bytes
        The JSON.
    most : int
        How many values there may be; marks within texts are counted, too.

    Raises
    ------
    ValueError
        If there are more.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")  # no byte of another character looks like a mark
    count = 1 + text.count(",") + text.count("[") + text.count("{")
    _limits.check_count(count, most, "the JSON holds up to {} values", _limits.ARRAYS)


def parse(text: str | bytes) -> Any:
    """Read JSON that cannot be understood in two ways.

    Parameters
    ----------
    text : str or bytes
        Bytes must be UTF-8.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    ValueError
        For invalid JSON, a key given twice, NaN, infinities, integers of more than 20 digits,
        half a surrogate pair, and what is nested more than 64 deep.

    Examples
    --------
    >>> parse('{"units": 4}')
    {'units': 4}
    >>> parse('{"units": 4, "units": 5}')
    Traceback (most recent call last):
    ...
    ValueError: the JSON has the key 'units' twice
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise _too_deep() from None
    if _HALF.search(text):
        _check_characters(json.dumps(value, ensure_ascii=False))
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for entry in level
            for child in (entry.values() if isinstance(entry, dict) else entry)
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise _too_deep()


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the JSON holds half a surrogate pair, which is no character") from None


def _too_deep() -> ValueError:
    return ValueError(f"the JSON is nested more than {_MAX_DEPTH} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the JSON has the key {twice[:100]!r} twice")
    return found


def _constant(text: str) -> None:
    raise ValueError(f"the JSON holds {text}, which is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the JSON holds {text[:30]}, which is beyond all floats")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the JSON holds an integer of {len(text)} digits")
    return int(text)


def dump(value: Any) -> str:
    """Write a value that `plain` returned; `parse` gives it back, and `dump` the same text again.

    Parameters
    ----------
    value : dict, list, str, int, float, bool or None
        What to write.

    Returns
    -------
    str
        Without spaces, in ASCII.

    Raises
    ------
    ValueError
        If a text holds half a surrogate pair.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if _HALF.search(text):
        _check_characters(json.dumps(value, ensure_ascii=False))
    return text


def plain(value: Any, name: str) -> Any:
    """Turn a configuration into values that JSON holds exactly.

    Parameters
    ----------
    value : object
        Nested dicts, lists and tuples of plain values, NumPy scalars and arrays.
    name : str
        What it is, for errors.

    Returns
    -------
    object
        With lists for tuples and arrays.

    Raises
    ------
    TypeError
        If there is anything else in it, or a key that is no string.
    ValueError
        If there is a NaN, an infinity or the name of a lambda in it.

    Examples
    --------
    >>> plain({"shape": (None, np.int64(3))}, "the config")
    {'shape': [None, 3]}
    """
    return _plain(value, [], name)


def _plain(value: Any, path: list[Any], name: str) -> Any:
    """`plain`, where `path` holds the keys and indices that lead to the value."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if value == "<lambda>":
            raise ValueError(
                f"{_place(path, name)} is a lambda, which has no name to be found by: define a "
                "function with def, and give it to load_model as custom_objects={'its_name': "
                "its_name}."
            )
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_place(path, name)} is {value}, which JSON cannot hold.")
        return value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{_place(path, name)} has the key {key!r}; keys must be strings.")
        return dict(zip(value, _plain_each(value.items(), path, name), strict=True))
    if isinstance(value, list | tuple):
        return _plain_each(enumerate(value), path, name)
    raise TypeError(f"{_place(path, name)} is {value!r}, which JSON cannot hold.")


def _plain_each(entries: Iterable[tuple[Any, Any]], path: list[Any], name: str) -> list[Any]:
    found = []
    path.append(None)
    for path[-1], value in entries:
        found.append(_plain(value, path, name))
    path.pop()
    return found


def _place(path: list[Any], name: str) -> str:
    return name + "".join(f"[{key!r}]" for key in path)
