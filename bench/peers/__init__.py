"""The libraries that are timed, one a file, behind the interface of `bench.peers.base`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from bench.peers.base import Peer

__all__ = ["NAMES", "load", "missing"]

CLASSES = {
    "cylstm": "Cylstm",
    "torch": "Torch",
    "onnxruntime": "OnnxRuntime",
    "openvino": "OpenVino",
    "jax": "Jax",
    "keras": "Keras",
    "torch_module": "TorchModule",
}
"""The name of a peer and its file, and the class. The first is what others are compared to."""

NAMES = [name for name in CLASSES if name != "torch_module"]  # that is cylstm: `../torch_module.py`


def load(name: str) -> Peer:
    """Make a peer; its libraries are imported by `Peer.start` only."""
    peer: Peer = getattr(import_module(f"bench.peers.{name}"), CLASSES[name])()
    return peer


def missing(peer: Peer) -> list[str]:
    """The modules of a peer that are not installed."""
    return [module for module in peer.modules if find_spec(module) is None]
