"""Record what the callbacks of Keras 2.0.9 do with given logs.

TensorFlow 1.4.1 alone stops one epoch later and counts the epochs in file names from 0; every later
TensorFlow does as Keras 2.0.9.

Runs under Python 3.6 with tensorflow==1.4.1 and keras==2.0.9:

    python record_callbacks.py callbacks.json

Each case names a callback, its arguments, the values that its number takes in the epochs, and
what came of it after each epoch.
"""

import itertools
import json
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
from keras import backend as K
from keras import callbacks


class Model:
    """What the callbacks ask of a model."""

    class optimizer:
        lr = None

    def __init__(self):
        self.stop_training = False
        self.saved = []

    def save(self, path, overwrite):
        self.saved.append(["model", path])

    def save_weights(self, path, overwrite):
        self.saved.append(["weights", path])


def values(rng, kind):
    if kind == "plateaus":
        return np.repeat(np.round(rng.rand(5), 2), 4).tolist()
    return np.round(rng.rand(20) * np.linspace(2, 1, 20), 2).tolist()


def arguments(name):
    monitors = [("val_loss", "auto"), ("val_acc", "auto"), ("f", "max"), ("acc", "min")]
    options = {
        "EarlyStopping": [{}, {"patience": 2}, {"patience": 3, "min_delta": 0.1}],
        "ReduceLROnPlateau": [
            {"patience": 0, "factor": 0.5},
            {"patience": 2, "factor": 0.5, "cooldown": 2, "epsilon": 0.05},
            {"patience": 1, "factor": 0.2, "min_lr": 0.01},
        ],
        "ModelCheckpoint": [
            {"filepath": "a{epoch:02d}-{%s:.2f}", "period": 3},
            {"filepath": "b", "save_weights_only": True, "save_best_only": True},
            {"filepath": "c{epoch}", "save_best_only": True, "period": 2},
        ],
    }
    for (monitor, mode), option in itertools.product(monitors, options[name]):
        option = dict(option, monitor=monitor, mode=mode)
        if "filepath" in option:
            option["filepath"] = option["filepath"].replace("%s", monitor)
        yield option


def run(name, option, numbers):
    """What each epoch left: whether to stop, what was saved, the learning rate."""
    model = Model()
    model.optimizer.lr = K.variable(0.5, dtype="float64")
    callback = getattr(callbacks, name)(**option)
    callback.set_model(model)
    callback.on_train_begin()
    outcome = []
    for epoch, number in enumerate(numbers):
        callback.on_epoch_end(epoch, {option["monitor"]: number})
        outcome.append(
            [model.stop_training, model.saved[-1:], float(K.get_value(model.optimizer.lr))]
        )
    return outcome


def csv_text(option, rows):
    """The bytes of the file that CSVLogger writes, as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        for part in rows:
            logger = callbacks.CSVLogger(path, **option)
            logger.set_model(Model())
            logger.on_train_begin()
            for epoch, logs in enumerate(part):
                logger.on_epoch_end(epoch, logs)
            logger.on_train_end()
        with open(path, newline="") as file:
            return file.read()


if __name__ == "__main__":
    rng = np.random.RandomState(4)
    record = {"source": "keras " + keras.__version__, "monitors": [], "csv": []}
    for name in ("EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"):
        for option in arguments(name):
            for kind in ("plateaus", "noise"):
                numbers = values(rng, kind)
                record["monitors"].append(
                    {
                        "callback": name,
                        "arguments": option,
                        "values": numbers,
                        "outcome": run(name, option, numbers),
                    }
                )
    rows = [[{"loss": 0.5, "acc": 1}, {"loss": 0.25, "acc": 0.5}], [{"loss": [1, 2], "acc": "a,b"}]]
    for option in ({}, {"separator": ";"}, {"append": True}):
        record["csv"].append({"arguments": option, "rows": rows, "text": csv_text(option, rows)})
    with open(sys.argv[1], "w") as file:
        json.dump(record, file, sort_keys=True, separators=(",", ":"))
        file.write("\n")
