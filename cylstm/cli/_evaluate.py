"""``evaluate MODEL DATA``: how well a model does on sequences that have targets."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cylstm.cli import _models, _sequences
from cylstm.cli._arguments import add_json
from cylstm.cli._sequences import Sequences
from cylstm.cli._task import Task, measured
from cylstm.cli._text import Block, Rows, count, json_text, show

__all__ = ["add_to", "blocks_of", "run"]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Compare what a model says of sequences with what is so. Of a folder that "
        "`train` wrote: the accuracy, and precision and recall of each class; or of each number "
        "the mean absolute error, the root of the mean square, and the share of the variance that "
        "is explained. Of another model: the loss and the metrics that it was compiled with."
    )
    parser.epilog = (
        "examples: cylstm evaluate run test.csv; cylstm evaluate model.h5 test.npz --json"
    )
    parser.add_argument("model", metavar="MODEL", help="a folder of `train`, or a file of a model")
    parser.add_argument("data", metavar="DATA", help="sequences: .csv, .npz or .parquet")
    add_json(parser)
    _sequences.add_layout(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read, predict, compare, print."""
    model, task = _models.load(options.model, options.max_size)
    layout = _sequences.layout_of(options, task.layout if task else None)
    data = _sequences.read(options.data, layout, options.max_size)
    _models.check_width(_models.width_of(model), data, options.data)
    if data.targets is None:
        raise ValueError(f"{options.data} has no targets to compare with; --target names them")
    if task is None:
        found = _of_compiled(model, data, options.model)
        blocks: list[Block] = [Rows([[name, _shown(value)] for name, value in found.items()])]
    else:
        targets = task.encoded(data.targets)
        outputs = np.stack(_models.outputs_of(model, data.inputs))
        found = measured(task, outputs, targets)
        blocks = blocks_of(task, found)
    if options.json:
        print(json_text({"sequences": len(data.inputs), **found}))
    else:
        show(f"{options.data}: {count(len(data.inputs), 'sequence')}", *blocks)


def _of_compiled(model: Any, data: Sequences, path: str) -> dict[str, Any]:
    """The loss and the metrics of a model that `train` did not write."""
    if model.optimizer is None:
        raise ValueError(
            f"{path} was not compiled, so there is no loss to evaluate: `predict` gives its outputs"
        )
    if data.targets is None or data.targets.ndim == 1:
        raise ValueError(f"{path} needs targets that are numbers")
    total = np.zeros(len(model.metrics_names))
    for positions, x in _models.by_length(model, data.inputs):
        values = model.evaluate(x, data.targets[positions], verbose=0)
        total += len(positions) * np.atleast_1d(values)
    return dict(zip(model.metrics_names, (total / len(data.inputs)).tolist(), strict=True))


def blocks_of(task: Task, found: dict[str, Any]) -> list[Block]:
    """What `measured` returned, to be shown."""
    if task.kind == "regression":
        rows = [
            [name, *(_shown(values[key]) for key in ("mae", "rmse", "r2"))]
            for name, values in found["targets"].items()
        ]
        return [Rows(rows, ["Target", "Mean absolute error", "Root mean square", "R2"])]
    facts = [
        ["accuracy", f"{found['accuracy']:.4f}"],
        ["... of always the most frequent class", f"{found['most_frequent']:.4f}"],
        ["loss (cross-entropy)", _shown(found["loss"])],
    ]
    rows = [
        [name, str(v["sequences"]), _shown(v["precision"]), _shown(v["recall"])]
        for name, v in found["classes"].items()
    ]
    return [Rows(facts), "", Rows(rows, ["Class", "Sequences", "Precision", "Recall"])]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"
