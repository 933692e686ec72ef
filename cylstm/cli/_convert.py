"""``convert IN OUT``: from any format that is read to any that is written."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

from cylstm import _from_torch, saving
from cylstm.cli._arguments import add_max_size
from cylstm.cli._inspect import HOLDS, totals
from cylstm.cli._text import UsageError, count, say, silent
from cylstm.saving import Outline

__all__ = ["add_to", "run"]

_TENSORS = ".safetensors"


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Write what a file holds in another format: a model with its weights and, "
        "where the format of OUT has a place for it, with the state of its training. The suffix of "
        "OUT says the format; that of IN follows from its contents."
    )
    parser.epilog = (
        "examples: cylstm convert model.h5 model.keras; cylstm convert "
        "weights.h5 model.onnx --architecture model.json"
    )
    parser.add_argument("input", metavar="IN", help="a model, weights or a PyTorch state dict")
    parser.add_argument("output", metavar="OUT", help=f"with one of: {_suffixes()}")
    parser.add_argument(
        "--architecture",
        metavar="FILE",
        help="the model that the weights in IN are of: JSON of any Keras, or a whole model",
    )
    parser.add_argument(
        "--by-name",
        action="store_true",
        help="give weights to the layers of the same name, and leave others; else in order",
    )
    parser.add_argument(
        "--weights-only", action="store_true", help="write weights without the architecture"
    )
    parser.add_argument(
        "--state-dict",
        action="store_true",
        help=f"write the weights as PyTorch names them, as {_TENSORS}",
    )
    parser.add_argument(
        "--no-training", action="store_true", help="leave out optimizer, losses and metrics"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors and warnings")
    add_max_size(parser)
    parser.set_defaults(run=run)


def _suffixes() -> str:
    modules = saving.FORMATS.values()
    written = [m for m in modules if hasattr(m, "encode") or hasattr(m, "encode_weights")]
    return ", ".join(suffix for module in written for suffix in module.suffixes)


def run(options: argparse.Namespace) -> None:
    """Read, write, and look at what was written."""
    tell = silent if options.quiet else say
    begin = time.perf_counter()
    _check(options)  # nothing is read in vain
    tell(f"Reading {options.input}: {os.path.getsize(options.input):,} bytes")
    found = saving.outline(options.input, max_size=options.max_size)
    tell(f"{found.format}: {HOLDS[found.holds]}, {_extent(found)}")
    write = _writing(options, found)
    tell(f"Writing {options.output}")
    write()
    largest = max(options.max_size, os.path.getsize(options.output))
    written = saving.outline(options.output, max_size=largest)
    seconds = time.perf_counter() - begin
    tell(f"Written in {seconds:.1f} s: {HOLDS[written.holds]}, {_extent(written)}")
    lost = _left_out(options, found, written)
    if lost:
        tell(f"Left out: {', '.join(lost)}")


def _extent(found: Outline) -> str:
    parts = f"{count(len(found.parts), found.part_is)}, " if found.parts else ""
    return parts + totals(found)


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot end well, before anything is read."""
    if options.by_name and options.architecture is None:
        raise UsageError("--by-name is for weights that are given to an --architecture")
    if options.state_dict and not options.output.lower().endswith(_TENSORS):
        raise UsageError(f"--state-dict writes {_TENSORS}, and not {options.output!r}")
    check = saving.check_weights_path if _is_weights_only(options) else saving.check_path
    check(options.output, overwrite=options.overwrite)


def _is_weights_only(options: argparse.Namespace) -> bool:
    return bool(options.weights_only) or not saving.writes_models(options.output)


def _writing(options: argparse.Namespace, found: Outline) -> Callable[[], None]:
    """What is left to do when all is read."""
    output, overwrite = options.output, options.overwrite
    if found.holds == "tensors" and options.architecture is None:
        if not output.lower().endswith(_TENSORS):
            raise ValueError(
                f"{options.input} holds tensors and no layers: give the model that they are of by "
                f"--architecture FILE, or write them as {_TENSORS}"
            )
        tensors = saving.load_tensors(options.input, max_size=options.max_size)
        return lambda: saving.save_tensors(tensors, output, overwrite)
    model = _model(options, found)
    if options.state_dict:
        state = _from_torch.to_torch(model)
        return lambda: saving.save_tensors(state, output, overwrite)
    if _is_weights_only(options):
        return lambda: saving.save_weights(model, output, overwrite)
    return lambda: saving.save_model(model, output, overwrite)


def _model(options: argparse.Namespace, found: Outline) -> Any:
    path, size = options.input, options.max_size
    if options.architecture is not None:
        model = saving.load_model(options.architecture, compile=False, max_size=size)
        saving.load_weights(model, path, options.by_name, max_size=size)
        return model
    if found.holds == "weights":
        raise ValueError(
            f"{path} holds weights without the layers that they are of: give these by "
            "--architecture FILE, JSON of any Keras or a whole model"
        )
    if found.holds == "architecture" and not options.output.lower().endswith(".json"):
        raise ValueError(
            f"{path} holds no weights: give a file of weights as IN, and this one by --architecture"
        )
    return saving.load_model(path, compile=not options.no_training, max_size=size)


def _left_out(options: argparse.Namespace, found: Outline, written: Outline) -> list[str]:
    """What IN held and OUT does not, unless it was asked for."""
    lost = []
    if found.training and not written.training and not options.no_training:
        lost.append("what the model was compiled with")
    asked = options.weights_only or options.state_dict
    if found.parts and found.holds != "tensors" and not written.parts and not asked:
        lost.append("the architecture")
    if found.arrays and not written.arrays:
        lost.append("the weights")
    return lost
