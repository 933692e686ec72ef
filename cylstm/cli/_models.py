"""Models that predict sequences: what `train` wrote into a folder, or a file of any format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cylstm import saving
from cylstm.cli._sequences import Sequences
from cylstm.cli._task import Task
from cylstm.cli._text import count

__all__ = [
    "METRICS",
    "MODEL",
    "PICTURE",
    "STATE",
    "TASK",
    "Loaded",
    "by_length",
    "check_width",
    "load",
    "outputs_of",
    "width_of",
]

MODEL, STATE = "model.safetensors", "training.safetensors"
TASK, METRICS, PICTURE = "task.json", "metrics.json", "history.png"


class Loaded(NamedTuple):
    """A model, and what it is for where `train` said so."""

    model: Any
    task: Task | None


def load(path: str | os.PathLike[str], max_size: int) -> Loaded:
    """Load a model.

    Parameters
    ----------
    path : str or path
        A folder that `train` has written, or a file of a model, of any format.
    max_size : int
        Larger files, in bytes, are refused.

    Raises
    ------
    FormatError
        If a file is damaged or holds no model.
    ValueError
        If the model does not go from one input of sequences to one output.
    OSError
        If a file cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        model = saving.load_model(path, max_size=max_size)
        _check_model(model, path)
        return Loaded(model, None)
    if not (folder / MODEL).exists():
        raise ValueError(f"{folder} holds no model of `cylstm train`: there is no {MODEL}")
    task = Task.read(folder / TASK)
    model = saving.load_model(folder / MODEL, compile=False, max_size=max_size)
    _check_model(model, folder / MODEL)
    if width_of(model) != task.width or model.output_shape != (None, task.outputs):
        raise ValueError(f"{MODEL} and {TASK} in {folder} are not of one training")
    return Loaded(model, task)


def _check_model(model: Any, path: Any) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"{path} has {count(len(model.inputs), 'input')} and "
            f"{count(len(model.outputs), 'output')}: here is room for one of each; use "
            "cylstm.models.load_model in Python"
        )
    if len(model.input_shape) not in (2, 3):
        raise ValueError(
            f"{path} takes arrays of the shape {model.input_shape}: these are no sequences "
            "(batch, steps, features)"
        )


def width_of(model: Any) -> int | None:
    """How many features a step has; None where the model does not say."""
    return 1 if len(model.input_shape) == 2 else model.input_shape[2]


def check_width(width: int | None, data: Sequences, path: Any) -> None:
    """Refuse sequences whose steps are not those of a model."""
    if width is not None and data.width != width:
        raise ValueError(
            f"{path} has {count(data.width, 'feature')} in a step, and the model {width}"
        )


def outputs_of(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a model returns for each sequence, as if it came alone: none is padded.

    Parameters
    ----------
    model : Model
        Of one input and one output.
    inputs : sequence of ndarray (steps, features)
        The sequences.
    """
    found: list[np.ndarray] = [np.empty(0)] * len(inputs)
    for positions, x in by_length(model, inputs):
        for position, output in zip(positions, model.predict(x), strict=True):
            found[position] = output
    return found


def by_length(model: Any, inputs: Sequence[np.ndarray]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield the positions of sequences of one length, and them as the model takes them."""
    groups: dict[int, list[int]] = {}
    for position, sequence in enumerate(inputs):
        groups.setdefault(len(sequence), []).append(position)
    for positions in groups.values():
        x = np.stack([inputs[position] for position in positions])
        yield positions, x[:, :, 0] if len(model.input_shape) == 2 else x
