"""Models: graphs of layers that run forward and backward, train, and go into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.models._chain_stream import ChainStream
    from cylstm.models._cloning import clone_model
    from cylstm.models._configs import model_from_config, model_from_json, model_from_yaml
    from cylstm.models._loading import load_model
    from cylstm.models._savable import save_model
    from cylstm.models.model import Model
    from cylstm.models.sequential import Sequential
else:
    __getattr__, __dir__ = _lazy.lazy(
        __name__,
        {
            "_chain_stream": "ChainStream",
            "_cloning": "clone_model",
            "_configs": "model_from_config model_from_json model_from_yaml",
            "_loading": "load_model",
            "_savable": "save_model",
            "model": "Model",
            "sequential": "Sequential",
        },
    )

__all__ = [
    "ChainStream",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]
