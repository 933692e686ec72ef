"""``train DATA --out FOLDER``: a model of sequences in a file, its metrics and a picture."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cylstm import callbacks, saving
from cylstm._random import seeded
from cylstm.cli import _sequences
from cylstm.cli._arguments import add_json, number, whole
from cylstm.cli._evaluate import blocks_of
from cylstm.cli._fitting import Part, State, begun, fit, parts_of, resumed, write_record
from cylstm.cli._models import METRICS, MODEL, PICTURE, STATE, TASK, check_width, outputs_of
from cylstm.cli._sequences import Sequences
from cylstm.cli._task import Task, decide, measured
from cylstm.cli._text import UsageError, count, json_text, say, show, silent
from cylstm.distributed._ranks import launched
from cylstm.saving import _atomic

__all__ = ["add_to", "run"]

# What is not asked for; of a model that goes on being trained, what it was trained with.
_DEFAULTS: dict[str, Any] = {
    "task": None,
    "units": 32,
    "layers": 1,
    "bidirectional": False,
    "dropout": 0.0,
    "standardize": True,
    "epochs": 100,
    "batch_size": 32,
    "learning_rate": 0.003,
    "clipnorm": 1.0,
    "patience": 10,
    "validation_split": 0.2,
    "seed": 1,
}
_OF_THE_MODEL = ("task", "units", "layers", "bidirectional", "dropout", "standardize")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Train an LSTM that tells the class of a sequence, or a number. It writes, "
        f"into a folder: {MODEL}, the best model, which takes sequences as they are in the file; "
        f"{METRICS}; {PICTURE}, the course of the training; {TASK}, what `predict` and `evaluate` "
        f"need to know; and {STATE}, from which --resume goes on."
    )
    parser.epilog = (
        "examples: cylstm train data.csv --out run; cylstm train readings.parquet --out "
        "run --sequence machine --step hour --target failed --units 64; cylstm train data.csv "
        "--out run --resume --epochs 200"
    )
    parser.add_argument("data", metavar="DATA", help="sequences: .csv, .npz or .parquet")
    parser.add_argument(
        "--out", metavar="FOLDER", required=True, type=Path, help="made if it is not there"
    )
    exclusive = parser.add_mutually_exclusive_group()
    exclusive.add_argument("--overwrite", action="store_true", help="replace a model in FOLDER")
    exclusive.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training in FOLDER; what is not given is as it was",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_json(parser)
    _add_model(parser.add_argument_group("the model"))
    _add_training(parser.add_argument_group("the training"))
    _sequences.add_layout(parser)
    parser.set_defaults(run=run)


def _add_model(group: Any) -> None:
    group.add_argument(
        "--task",
        choices=("classification", "regression"),
        help="default: classification for text and for whole numbers of at most 20 values",
    )
    group.add_argument("--units", type=whole(1), help="of each LSTM; default 32")
    group.add_argument("--layers", type=whole(1), help="LSTMs on each other; default 1")
    group.add_argument(
        "--bidirectional", action="store_true", default=None, help="read forwards and backwards"
    )
    group.add_argument(
        "--dropout", type=number(0, 0.999), metavar="RATE", help="before each layer; default 0"
    )
    group.add_argument(
        "--no-standardize",
        dest="standardize",
        action="store_false",
        default=None,
        help="take inputs, and targets that are numbers, as they are; else the model begins by "
        "giving each feature the mean 0 and the spread 1, and ends by undoing it",
    )


def _add_training(group: Any) -> None:
    group.add_argument("--epochs", type=whole(1), help="in all, at most; default 100")
    group.add_argument("--batch-size", type=whole(1), help="default 32")
    group.add_argument("--learning-rate", type=number(1e-12, 1e3), help="of Adam; default 0.003")
    group.add_argument(
        "--clipnorm", type=number(1e-12, 1e9), help="bound of the gradients' norm; default 1"
    )
    group.add_argument(
        "--patience",
        type=whole(0),
        help="stop after so many epochs without a better validation loss; 0: never; default 10",
    )
    group.add_argument(
        "--validation-split",
        type=number(0, 0.9),
        metavar="SHARE",
        help="of the sequences, of each class, that are not trained on; 0: none; default 0.2",
    )
    group.add_argument("--validation", metavar="DATA", help="a file to validate with, instead")
    group.add_argument("--seed", type=whole(0), help="of all random numbers; default 1")


# ---------------------------------------------------------------------- the command


def run(options: argparse.Namespace) -> None:
    """Read and check everything, train, and say how well it went."""
    ranks = launched()
    first = ranks is None or ranks.rank == 0
    tell = say if first and not options.quiet else silent
    if options.validation is not None and options.validation_split is not None:
        raise UsageError("give one of --validation and --validation-split")
    _check_folder(options)
    earlier = Task.read(options.out / TASK) if options.resume else None
    settings = _settings(options, earlier)
    layout = _sequences.layout_of(options, earlier.layout if earlier else None)
    data = _sequences.read(options.data, layout, options.max_size)
    task = _task(data, layout, settings, earlier, options.data)
    training, validation = parts_of(options, task, data)
    tell(_announced(options.data, data, task))
    begin = time.perf_counter()
    with seeded(settings["seed"]):
        if options.resume:
            state = resumed(options, task, settings, validation is not None)
        else:
            state = begun(task, settings, training)
        if ranks is not None:
            from cylstm.distributed import DistributedOptimizer

            optimizer = DistributedOptimizer(state.trained.optimizer, split_batches=True)
            state.trained.optimizer = optimizer
        fit(options, task, state, training, validation)
    if not first:  # the first one has all that was found
        return
    record = state.record
    record["seconds"] = round(record.get("seconds", 0) + time.perf_counter() - begin, 3)
    _report(options, task, state, training, validation)


def _check_folder(options: argparse.Namespace) -> None:
    folder = options.out
    if options.resume:
        if not (folder / TASK).exists():
            raise ValueError(f"{folder} holds no training to go on with: there is no {TASK}")
        return
    _atomic.check(folder.parent / f"{folder.name}.new")  # whether the folder can be made
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    for name in (MODEL, STATE, TASK, METRICS, PICTURE) if folder.exists() else ():
        if (folder / name).exists() and not options.overwrite:
            raise ValueError(
                f"{folder} holds a model: --resume goes on with it, --overwrite replaces it"
            )
        _atomic.check(folder / name)


def _settings(options: argparse.Namespace, earlier: Task | None) -> dict[str, Any]:
    """The options, with what is not given from before or by default."""
    given = {name: getattr(options, name) for name in _DEFAULTS}
    before = {**_DEFAULTS, **(earlier.settings if earlier else {})}
    if earlier is not None:
        _check_settings(before)
        before["task"] = earlier.kind
        for name in _OF_THE_MODEL:
            if given[name] is not None and given[name] != before[name]:
                option = f"--{'' if name != 'standardize' else 'no-'}{name}"
                raise UsageError(
                    f"{option} is of the model, which has {before[name]} and goes on being trained"
                )
    return {name: before[name] if given[name] is None else given[name] for name in _DEFAULTS}


def _check_settings(settings: dict[str, Any]) -> None:
    for name, default in _DEFAULTS.items():
        wanted = (int, float) if type(default) is float else type(default)
        if set(settings) != set(_DEFAULTS) or not (
            name == "task" or isinstance(settings[name], wanted)
        ):
            raise ValueError(f"{TASK} is damaged: its setting {name}")


def _task(
    data: Sequences, layout: Any, settings: dict[str, Any], earlier: Task | None, path: str
) -> Task:
    if data.targets is None:
        missing = " and ".join(map(repr, layout.target))
        what = "array y" if str(path).lower().endswith(".npz") else f"column {missing}"
        raise ValueError(f"{path} has no {what} to learn: --target names what is to be predicted")
    if earlier is not None:
        check_width(earlier.width, data, path)
        return replace(earlier, settings=settings)
    kind, classes = decide(data.targets, settings["task"])
    layout = replace(layout, features=data.features, of_model=True)
    return Task(kind, data.width, data.target_names, classes, layout, {**settings, "task": kind})


def _announced(path: str, data: Sequences, task: Task) -> str:
    lengths = data.lengths
    steps = f"{lengths.min()} to {lengths.max()}" if np.ptp(lengths) else f"{lengths[0]}"
    what = f"{len(task.classes)} classes" if task.classes else ", ".join(task.targets)
    return (
        f"{path}: {count(len(data.inputs), 'sequence')} of {steps} steps, "
        f"{count(data.width, 'feature')}; {task.kind}: {what}"
    )


# ---------------------------------------------------------------------- what came of it


def _report(
    options: argparse.Namespace,
    task: Task,
    state: State,
    training: Part,
    validation: Part | None,
) -> None:
    """Measure the best model, complete the record, draw, and print."""
    folder, record = options.out, state.record
    best = saving.load_model(folder / MODEL, compile=False, max_size=sys.maxsize)
    parts = {"training": training, "validation": validation}
    for name, part in parts.items():
        if part is not None:
            outputs = np.stack(outputs_of(best, part.inputs))
            found = {"sequences": len(part.inputs), **measured(task, outputs, part.targets)}
            record[name] = found
    write_record(folder, record)
    written = [MODEL, METRICS]
    if _draw(record, folder / PICTURE):
        written.append(PICTURE)
    if options.json:
        print(json_text(record))
        return
    say(f"{count(record['epochs'], 'epoch')}; the best was epoch {record['best_epoch']}")
    for name, part in parts.items():
        if part is not None:
            show("", f"{name}: {count(len(part.inputs), 'sequence')}")
            show(*blocks_of(task, record[name]))
    show("", f"{folder}{os.sep}: {', '.join(written)}")


def _draw(record: dict[str, Any], path: Path) -> bool:
    """Draw the course of the training; whether matplotlib is there to do it."""
    history = callbacks.History()
    history.epoch = list(range(record["epochs"]))
    history.history.update(record["history"])
    try:
        figure = history.plot()[0].figure
    except ImportError as error:
        say(f"No picture: {error}")
        path.unlink(missing_ok=True)  # of an earlier training
        return False
    from matplotlib import pyplot

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    pyplot.close(figure)
    _atomic.write(path, picture.getvalue())
    return True
