"""What a model was trained for: the classes or numbers that it predicts, and how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from cylstm.cli._tables import Layout
from cylstm.saving import FormatError, _json
from cylstm.saving._errors import reading
from cylstm.saving._files import check_size, opened

__all__ = ["Task", "decide", "measured"]

_FEW_CLASSES = 20  # of whole numbers, that are taken for classes by themselves
_MOST_CLASSES = 1_000  # a table of who was taken for whom has the square of it
_FORMAT = "task of cylstm, 1"
_LARGEST = 2**24


@dataclass(frozen=True)
class Task:
    """What a model does, as it stands in ``task.json`` beside the model.

    Attributes
    ----------
    kind : {"classification", "regression"}
        What is predicted.
    width : int
        How many features a step has.
    targets : tuple of str
        What the targets are called.
    classes : tuple of str
        In the order of the outputs; empty for a regression.
    layout : Layout
        That of the tables it was trained on.
    settings : dict
        The options of `train`, by name.
    """

    kind: str
    width: int
    targets: tuple[str, ...]
    classes: tuple[str, ...]
    layout: Layout
    settings: dict[str, Any]

    @property
    def outputs(self) -> int:
        """How many numbers the model returns."""
        return len(self.classes) or len(self.targets)

    def encoded(self, targets: np.ndarray) -> np.ndarray:
        """Targets as `fit` takes them: the numbers of classes, or the numbers themselves.

        Raises
        ------
        ValueError
            For a class that the model does not have, or another number of targets.

        Examples
        --------
        >>> task = Task("classification", 1, ("target",), ("down", "up"), Layout(), {})
        >>> task.encoded(np.array(["up", "down"])).ravel().tolist()
        [1, 0]
        """
        if self.kind == "regression":
            if targets.ndim == 1:
                raise ValueError(f"the targets must be numbers, got {str(targets[0])[:40]!r}")
            if targets.shape[1] != len(self.targets):
                raise ValueError(
                    f"there are {targets.shape[1]} targets, and the model has {len(self.targets)}: "
                    f"{', '.join(self.targets)}"
                )
            return targets
        numbers = {name: number for number, name in enumerate(self.classes)}
        names = _as_names(targets)
        unknown = next((name for name in names if name not in numbers), None)
        if unknown is not None:
            raise ValueError(
                f"{unknown[:40]!r} is no class of the model, which has {', '.join(self.classes)}"
            )
        return np.array([numbers[name] for name in names])[:, np.newaxis]

    def to_json(self) -> bytes:
        """The contents of ``task.json``."""
        return _json.dump({"format": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def read(cls, path: Path) -> Task:
        """Read ``task.json``.

        Raises
        ------
        FormatError
            If it is damaged.
        OSError
            If it cannot be read.
        """
        with reading(path), opened(path) as (file, size):
            check_size(size, _LARGEST)
            found = _json.parse(file.read())
            if not isinstance(found, dict) or found.pop("format", None) != _FORMAT:
                raise FormatError(f"it is no {_FORMAT}")
            _check_fields(cls, found)
            layout = found["layout"]
            _check_fields(Layout, layout)
            lists = ("targets", "classes")
            for values in (*(found[name] for name in lists), *map(layout.get, _LISTS)):
                if not all(isinstance(value, str) for value in values):
                    raise ValueError("a list of names holds something else")
            layout = Layout(**{**layout, **{name: tuple(layout[name]) for name in _LISTS}})
            task = cls(**{**found, **{n: tuple(found[n]) for n in lists}, "layout": layout})
            wanted = range(2, _MOST_CLASSES + 1) if task.kind == "classification" else range(1)
            if len(task.classes) not in wanted or not task.targets:
                raise ValueError("its classes or targets are missing, or too many")
            return task


_LISTS = ("target", "ignore", "features")
_TYPES = {"str": str, "int": int, "bool": bool, "Layout": dict, "dict[str, Any]": dict}


def _check_fields(kind: Any, found: Any) -> None:
    """Refuse what has not the fields of a dataclass, with their types as JSON has them."""
    wanted = {field.name: _TYPES.get(str(field.type), list) for field in fields(kind)}
    if not isinstance(found, dict) or set(found) != set(wanted):
        raise ValueError(f"it should have {', '.join(wanted)}")
    for name, type_ in wanted.items():
        if type(found[name]) is not type_:
            raise ValueError(f"its {name} is {str(found[name])[:40]}")


def _as_names(targets: np.ndarray) -> list[str]:
    """Targets as names of classes: 1.0 is "1"."""
    if targets.ndim == 1:
        return [str(target) for target in targets]
    return [str(int(v)) if v.is_integer() else str(v) for v in targets[:, 0].tolist()]


def decide(targets: np.ndarray, kind: str | None) -> tuple[str, tuple[str, ...]]:
    """Whether targets are classes or numbers, and the classes.

    Text is of classes, and so are whole numbers of few different values.

    Parameters
    ----------
    targets : ndarray
        As `Sequences` has them.
    kind : {"classification", "regression"}, optional
        What was asked for.

    Raises
    ------
    ValueError
        If the targets cannot be that.

    Examples
    --------
    >>> decide(np.array([[1.0], [0.0], [1.0], [0.0]]), None)
    ('classification', ('0', '1'))
    >>> decide(np.array([[1.5], [0.0], [1.0], [0.0]]), None)
    ('regression', ())
    """
    if kind is None:
        kind = "classification" if _look_like_classes(targets) else "regression"
    if kind == "regression":
        if targets.ndim == 1:
            raise ValueError(
                f"a regression needs targets that are numbers, got {str(targets[0])[:40]!r}"
            )
        return kind, ()
    if targets.ndim == 2 and targets.shape[1] > 1:
        raise ValueError(f"a classification has one target, got {targets.shape[1]}")
    names = _as_names(targets)
    classes = sorted(set(names), key=(lambda name: name) if targets.ndim == 1 else float)
    if len(classes) < 2:
        raise ValueError(f"all sequences are of one class, {classes[0][:40]!r}")
    if len(classes) == len(names) > 2:
        raise ValueError(
            f"all {len(names)} sequences are of different classes, such as {classes[0][:40]!r}: "
            "is this the right target? For numbers: --task regression"
        )
    if len(classes) > _MOST_CLASSES:
        raise ValueError(
            f"there are {len(classes)} classes, and at most {_MOST_CLASSES} are told apart: is "
            "this the right target?"
        )
    return kind, tuple(classes)


def _look_like_classes(targets: np.ndarray) -> bool:
    if targets.ndim == 1:
        return True
    values = np.unique(targets)
    whole = bool((values == np.rint(values)).all())
    return targets.shape[1] == 1 and whole and len(values) <= min(_FEW_CLASSES, len(targets) // 2)


def measured(task: Task, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """How well outputs agree with targets.

    Parameters
    ----------
    task : Task
        What the model does.
    outputs : ndarray (sequences, outputs)
        Of the model: probabilities of classes, or numbers.
    targets : ndarray (sequences, 1 or targets)
        As `Task.encoded` returns them.

    Returns
    -------
    dict
        For a classification ``accuracy``, ``loss`` (the cross-entropy), ``most_frequent`` (the
        accuracy of always answering the class that is most frequent in `targets`), ``classes``
        (of each ``sequences``, ``precision`` and ``recall``; None where there is nothing to
        divide by) and ``confusion`` (true classes in rows). For a regression ``loss`` (the mean
        squared error), and of each target ``mae``, ``rmse``, ``r2`` (None for a constant target).

    Examples
    --------
    >>> task = Task("regression", 1, ("y",), (), Layout(), {})
    >>> measured(task, np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))["targets"]
    {'y': {'mae': 0.5, 'rmse': 0.7071067811865476, 'r2': -1.0}}
    """
    outputs = outputs.astype(np.float64)
    if task.kind == "regression":
        return _of_regression(task.targets, outputs, targets)
    count = len(task.classes)
    true, found = targets[:, 0], outputs.argmax(axis=1)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (true, found), 1)
    right, true_counts = np.diag(confusion), confusion.sum(axis=1)
    found_counts = confusion.sum(axis=0)
    likely = np.clip(outputs[np.arange(len(true)), true], 1e-7, 1)
    return {
        "accuracy": float(right.sum() / len(true)),
        "loss": float(-np.log(likely).mean()),
        "most_frequent": float(true_counts.max() / len(true)),
        "classes": {
            name: {
                "sequences": int(true_counts[i]),
                "precision": _share(right[i], found_counts[i]),
                "recall": _share(right[i], true_counts[i]),
            }
            for i, name in enumerate(task.classes)
        },
        "confusion": confusion.tolist(),
    }


def _of_regression(
    names: Sequence[str], outputs: np.ndarray, targets: np.ndarray
) -> dict[str, Any]:
    errors = outputs - targets
    squares = np.square(errors).mean(axis=0)
    spread = np.square(targets - targets.mean(axis=0)).mean(axis=0)
    return {
        "loss": float(squares.mean()),
        "targets": {
            name: {
                "mae": float(np.abs(errors[:, i]).mean()),
                "rmse": float(np.sqrt(squares[i])),
                "r2": float(1 - squares[i] / spread[i]) if spread[i] else None,
            }
            for i, name in enumerate(names)
        },
    }


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
