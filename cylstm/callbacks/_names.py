"""The names of the numbers in logs, whose spelling differs between versions of Keras."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cylstm._arguments import near

__all__ = ["ByName", "lookup", "missing", "other_spelling"]

_ACCURACY = re.compile(r"((?:.*_)?)(acc|accuracy)((?:_\d+)?)")
_WHOLE = {
    "acc": "accuracy",
    "accuracy": "acc",
    "lr": "learning_rate",
    "learning_rate": "lr",
}


def other_spelling(name: object) -> str | None:
    """Return how another version of Keras spells a name, or None where all spell it alike.

    Examples
    --------
    >>> other_spelling("val_accuracy"), other_spelling("acc_2"), other_spelling("lr")
    ('val_acc', 'accuracy_2', 'learning_rate')
    >>> other_spelling("loss") is None
    True
    """
    if not isinstance(name, str):
        return None
    if name in _WHOLE:
        return _WHOLE[name]
    found = _ACCURACY.fullmatch(name)
    return None if found is None else f"{found[1]}{_WHOLE[found[2]]}{found[3]}"


def lookup(logs: Mapping[str, Any], name: str) -> Any:
    """Return the number of a name, in this spelling or the other, or None."""
    value = logs.get(name)
    other = other_spelling(name) if value is None else None
    return value if other is None else logs.get(other)


class ByName(dict[str, Any]):
    """A dict that can be read by either spelling of a name; iterated, it has each name once.

    Examples
    --------
    >>> numbers = ByName(loss=0.5, acc=0.75)
    >>> numbers["accuracy"], numbers.get("acc"), "accuracy" in numbers, list(numbers)
    (0.75, 0.75, True, ['loss', 'acc'])
    """

    def __missing__(self, name: str) -> Any:
        other = other_spelling(name)
        if other is None or not super().__contains__(other):
            raise KeyError(name)
        return super().__getitem__(other)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or super().__contains__(other_spelling(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the number of a name, or the default where there is none."""
        return self[name] if name in self else default


def missing(name: str, known: Iterable[str]) -> str:
    """Return what to say of a name that is not among those that the logs have.

    Examples
    --------
    >>> missing("val_los", ["loss", "val_loss"])
    "which the logs do not have; did you mean 'val_loss'? They have: loss, val_loss"
    >>> missing("val_loss", ["loss"])
    'which the logs do not have without validation_data or validation_split; they have: loss'
    """
    names = sorted(known)
    listed = f"hey have: {', '.join(names)}"
    if name.startswith("val_") and name.removeprefix("val_") in ByName.fromkeys(names):
        return f"which the logs do not have without validation_data or validation_split; t{listed}"
    found = near(name, names, n=1)
    start = f"did you mean {found[0]!r}? T" if found else "t"
    return f"which the logs do not have; {start}{listed}"
