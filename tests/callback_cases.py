"""What the tests of callbacks share: what was recorded, and a model that writes down its calls."""

import json
import types
from pathlib import Path

RECORD = json.loads((Path(__file__).parent / "data" / "callbacks.json").read_text("utf-8"))


class Model:
    """What the callbacks ask of a model."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = types.SimpleNamespace(lr=0.5)
        self.saved = []

    def save(self, path, overwrite):
        self.saved.append(["model", path])

    def save_weights(self, path, overwrite):
        self.saved.append(["weights", path])


def begin(callback, **params):
    callback.set_model(Model())
    callback.set_params(params)
    callback.on_train_begin()
    return callback


def run(callback, name, values):
    """What each epoch left: whether to stop, what was saved, the learning rate."""
    begin(callback)
    outcome = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {name: value})
        model = callback.model
        outcome.append([model.stop_training, model.saved[-1:], model.optimizer.lr])
    return outcome
