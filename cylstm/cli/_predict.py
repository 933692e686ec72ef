"""``predict MODEL DATA``: what a model says of sequences, as CSV or .npz."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from cylstm.cli import _models, _sequences
from cylstm.cli._sequences import Sequences
from cylstm.cli._task import Task
from cylstm.cli._text import UsageError, count, printable, say
from cylstm.saving import _atomic
from cylstm.saving import _npz as npz

__all__ = ["add_to", "run"]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Let a model predict. Of a folder that `train` wrote: the class and the "
        "probability of each, or the numbers. Of another model, of any format that is read: its "
        "outputs. Sequences are computed as if each came alone; none is padded."
    )
    parser.epilog = (
        "examples: cylstm predict run new.csv > predictions.csv; cylstm predict model.h5 "
        "new.npz --out predictions.npz"
    )
    parser.add_argument("model", metavar="MODEL", help="a folder of `train`, or a file of a model")
    parser.add_argument("data", metavar="DATA", help="sequences: .csv, .npz or .parquet")
    parser.add_argument(
        "--out", metavar="FILE", help=".csv or .npz; default: CSV on standard output"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    _sequences.add_layout(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read, predict, write."""
    as_arrays = options.out is not None and options.out.lower().endswith(".npz")
    if options.out is not None:
        if not as_arrays and not options.out.lower().endswith(".csv"):
            raise UsageError(f"--out writes .csv or .npz, got {options.out}")
        _atomic.check(options.out, overwrite=options.overwrite)
    model, task = _models.load(options.model, options.max_size)
    layout = _sequences.layout_of(options, task.layout if task else None)
    data = _sequences.read(options.data, layout, options.max_size)
    _models.check_width(_models.width_of(model), data, options.data)
    outputs = _models.outputs_of(model, data.inputs)
    if options.out is None:
        text = _as_csv(data, task, outputs)
        sys.stdout.write("\n".join(map(printable, text.split("\n"))) if _is_terminal() else text)
        return
    contents = _as_npz(data, task, outputs) if as_arrays else _as_csv(data, task, outputs).encode()
    _atomic.write(options.out, contents, overwrite=options.overwrite)
    say(f"{options.out}: predictions of {count(len(outputs), 'sequence')}")


def _is_terminal() -> bool:
    return bool(sys.stdout.isatty())


def _as_csv(data: Sequences, task: Task | None, outputs: Sequence[np.ndarray]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(data, task, outputs))
    return text.getvalue()


def _rows(data: Sequences, task: Task | None, outputs: Sequence[np.ndarray]) -> Iterator[list[str]]:
    if task is None:
        yield from _rows_of_outputs(data, outputs)
    elif task.classes:
        yield ["sequence", task.targets[0], *(f"p_{name}" for name in task.classes)]
        for name, output in zip(data.names, outputs, strict=True):
            yield [name, task.classes[int(output.argmax())], *_numbers(output)]
    else:
        yield ["sequence", *task.targets]
        for name, output in zip(data.names, outputs, strict=True):
            yield [name, *_numbers(output)]


def _rows_of_outputs(data: Sequences, outputs: Sequence[np.ndarray]) -> Iterator[list[str]]:
    """Of another model than those of `train`: a row for each step that has an output."""
    steps = outputs[0].ndim > 1
    named = [f"output_{i}" for i in range(outputs[0].shape[-1])]
    yield ["sequence", *(["step"] if steps else []), *named]
    for name, output in zip(data.names, outputs, strict=True):
        if not steps:
            yield [name, *_numbers(output)]
            continue
        for step, values in enumerate(output):
            yield [name, str(step), *_numbers(values)]


def _numbers(values: np.ndarray) -> list[str]:
    return [f"{value:.9g}" for value in values.ravel().tolist()]  # float32, exactly


def _as_npz(data: Sequences, task: Task | None, outputs: Sequence[np.ndarray]) -> bytes:
    """`y` as the file of data would have it, and what goes with it."""
    arrays: dict[str, np.ndarray] = {"sequence": np.array(data.names)}
    if outputs[0].ndim > 1 and len({len(output) for output in outputs}) > 1:
        arrays["y"] = np.zeros(
            (len(outputs), max(map(len, outputs)), *outputs[0].shape[1:]), outputs[0].dtype
        )
        for row, output in zip(arrays["y"], outputs, strict=True):
            row[: len(output)] = output
        arrays["lengths"] = np.array([len(output) for output in outputs])
    elif task is not None and task.classes:
        arrays["probabilities"] = np.stack(outputs)
        arrays["classes"] = np.array(task.classes)
        arrays["y"] = arrays["classes"][arrays["probabilities"].argmax(axis=1)]
    else:
        arrays["y"] = np.stack(outputs)
    return npz.archive_of(arrays)
