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
}
"""The name of a peer and its file, and the class. The first is what others are compared to."""

NAMES = [name for name in CLASSES if name != "torch_module"]  # that is cylstm: `../torch_module.py`


def load(name: str) -> Peer:
    """Make a peer; its libraries are imported by `Peer.start` only."""
    peer: Peer = getattr(import_module(f"bench.peers.{name}"), CLASSES[name])()
    return peer


def missing(peer: Peer) -> list[str]:
    """What a peer needs and is not installed: modules; headers of C, and a compiler for those."""
    gone = [module for module in peer.modules if find_spec(module) is None]
    gone += [header for header in peer.headers if found_header(header) is None]
    return gone + (["a C compiler"] if peer.headers and compiler() is None else [])
