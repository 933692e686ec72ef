"""``inspect FILE``: what a file holds, of any format that is read."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict
from typing import Any

import numpy as np

from cylstm import saving
from cylstm.cli._arguments import add_json, add_max_size
from cylstm.cli._text import Block, Rows, count, json_text, show
from cylstm.saving import Outline

__all__ = ["HOLDS", "add_to", "run", "totals"]

HOLDS = {
    "model": "a model, with weights",
    "architecture": "the architecture of a model, without weights",
    "weights": "weights of layers, without the architecture",
    "tensors": "tensors by name",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Show what a file holds: what wrote it, the layers with their arguments, the "
        "shapes of all arrays, and what the model was compiled with. No model is made, so layers "
        "may be unknown to cylstm."
    )
    parser.epilog = "example: cylstm inspect model.h5"
    parser.add_argument("file", metavar="FILE", help="of a model, weights or tensors")
    add_json(parser)
    add_max_size(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what a file holds."""
    found = saving.outline(options.file, max_size=options.max_size)
    size = os.path.getsize(options.file)
    if options.json:
        print(json_text(_as_json(found, size)))
    else:
        show(*_blocks(found, options.file, size))


def _as_json(found: Outline, size: int) -> dict[str, Any]:
    return {
        **asdict(found),
        "parts": [part._asdict() for part in found.parts],
        "arrays": {name: array._asdict() for name, array in found.arrays.items()},
        "bytes": size,
    }


def _blocks(found: Outline, path: str, size: int) -> list[Block]:
    facts = [["format", found.format], ["holds", HOLDS[found.holds]]]
    facts.append(["written by", found.producer or "the file does not say"])
    facts += [[name.replace("_", " "), text] for name, text in found.training.items()]
    blocks: list[Block] = [f"{path}: {size:,} bytes", Rows(facts)]
    if found.parts:
        rows = [[part.name, part.kind, _arguments(part.arguments)] for part in found.parts]
        blocks += ["", Rows(rows, [found.part_is.capitalize(), "Class", "Arguments"])]
    if found.arrays:
        rows = [[name, _sizes(array.shape), array.dtype] for name, array in found.arrays.items()]
        blocks += ["", Rows(rows, ["Array", "Shape", "Type"]), "", totals(found)]
    return blocks


def _arguments(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in arguments.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _sizes([_value(entry) for entry in value])
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sizes(sizes: Any) -> str:
    return f"({', '.join(map(str, sizes))})"


def totals(found: Outline) -> str:
    """How many arrays, numbers and bytes there are."""
    numbers = [math.prod(array.shape) for array in found.arrays.values()]
    sizes = [_itemsize(array.dtype) for array in found.arrays.values()]
    size = sum(n * s for n, s in zip(numbers, sizes, strict=True))
    return f"{count(len(numbers), 'array')}, {count(sum(numbers), 'number')}, {count(size, 'byte')}"


def _itemsize(dtype: str) -> int:
    """Bytes of a number; 0 of a type that NumPy does not have."""
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 0
