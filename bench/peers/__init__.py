"""The libraries that are timed, one a file, behind the interface of `bench.peers.base`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from bench.machine import compiler
from bench.peers.base import Peer
from bench.peers.native import found_header

__all__ = ["NAMES", "load", "missing"]

CLASSES = {
    "cylstm": "Cylstm",
    "torch": "Torch",
    "onnxruntime": "OnnxRuntime",
    "openvino": "OpenVino",
    "jax": "Jax",
    "keras": "Keras",
    "libxsmm": "Libxsmm",
    "onednn": "OneDnn",
    "torch_module": "TorchModule",
    "fit_cylstm": "FitCylstm",
    "fit_torch": "FitTorch",
    "fit_keras": "FitKeras",
}
"""The name of a peer and its file, and the class. The first is what others are compared to."""

# Others have scripts of their own: `../torch_module.py` and `../fit.py`.
NAMES = [name for name in CLASSES if name != "torch_module" and not name.startswith("fit_")]


def load(name: str) -> Peer:
    """Make a peer; its libraries are imported by `Peer.start` only.

    A name may end in what the class is given: ``"fit_keras@jax"``.
    """
    module, _, variant = name.partition("@")
    made = getattr(import_module(f"bench.peers.{module}"), CLASSES[module])
    peer: Peer = made(variant) if variant else made()
    return peer


def missing(peer: Peer) -> list[str]:
    """What a peer needs and is not installed: modules; headers of C, and a compiler for those."""
    gone = [module for module in peer.modules if find_spec(module) is None]
    gone += [header for header in peer.headers if found_header(header) is None]
    return gone + (["a C compiler"] if peer.headers and compiler() is None else [])
