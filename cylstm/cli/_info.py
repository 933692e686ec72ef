"""``info``: what is installed, and what it runs on."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from importlib import metadata
from typing import Any

from cylstm import _threads
from cylstm._version import __version__
from cylstm.cli import _machine
from cylstm.cli._arguments import add_json
from cylstm.cli._text import Rows, json_text, show
from cylstm.layers import LSTM, _engines

__all__ = ["add_to", "run"]

# What is optional, with the extra that installs it.
_OPTIONAL = {
    "autograd": "autograd",
    "h5py": "keras",
    "pyfive": "keras",
    "pyarrow": "parquet",
    "matplotlib": "plot",
    "tqdm": "progress",
    "scikit-learn": "sklearn",
    "torch": "torch",
    "websockets": "listen",
    "rich": "cli",
}
_SETTINGS = ("CYLSTM_NUM_THREADS", "CYLSTM_ISA", "CYLSTM_ENGINE", "OMP_NUM_THREADS")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = (
        "Show what is installed and what it runs on; please add it to what you report."
    )
    parser.epilog = "example: cylstm info --json"
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print it."""
    found = _found()
    if options.json:
        print(json_text(found))
        return
    optional = {
        name: version or f"not installed: pip install 'cylstm[{_OPTIONAL[name]}]'"
        for name, version in found["optional"].items()
    }
    in_use, *others = found["instruction_sets"]
    shown = {
        **{name: found[name] for name in ("cylstm", "python", "numpy", "scipy", "safetensors")},
        "system": found["system"],
        "CPU": f"{found['cpu']}, {found['cpus']} usable",
        "instruction set": in_use + (f" (and {', '.join(others)})" if others else ""),
        "engine": found["engine"],
        "threads": str(found["threads"]),
        **{f"BLAS of {name}": text for name, text in found["blas"].items()},
        **{name: value for name, value in found["settings"].items() if value is not None},
        **optional,
    }
    show(Rows([[name, text] for name, text in shown.items()]))


def _found() -> dict[str, Any]:
    in_use, all_sets = _engines.instruction_sets()
    return {
        "cylstm": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in ("numpy", "scipy", "safetensors")},
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpu": _machine.cpu_name(),
        "cpus": _threads._usable_cpus(),
        "instruction_sets": [in_use, *(name for name in reversed(all_sets) if name != in_use)],
        "engine": LSTM(1).engine,
        "threads": _threads.get_num_threads(),
        "blas": {"SciPy": _blas("scipy"), "NumPy": _blas("numpy")},
        "settings": {name: os.environ.get(name) for name in _SETTINGS},
        "optional": {name: _version(name) for name in _OPTIONAL},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _blas(package: str) -> str:
    """What a package was built with; that of SciPy is the one of the engine blas."""
    config = importlib.import_module(package).show_config(mode="dicts")
    found = config.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()
