"""Record which public names the modules of Keras have, and the members of its classes.

Run it with Python 3.6, Keras 2.0.9 and TensorFlow 1.4.1; it writes keras_names.json beside itself:

    python record_keras_names.py
"""

import importlib
import inspect
import json
import os
import pkgutil

import keras

HERE = os.path.dirname(os.path.abspath(__file__))

# Back ends that are not installed, and the one that is not TensorFlow's.
LEFT_OUT = ("keras.backend.cntk_backend", "keras.backend.theano_backend")
# Of these, any name is for use; of other modules, those that are defined there or in Keras.
CLASSES = {
    "Layer": keras.layers.Layer,
    "Recurrent": keras.layers.Recurrent,
    "LSTM": keras.layers.LSTM,
    "Model": keras.models.Model,
    "Sequential": keras.models.Sequential,
    "Optimizer": keras.optimizers.Optimizer,
    "Callback": keras.callbacks.Callback,
}


def modules():
    """Every module of Keras, by its name without ``keras.``; Keras itself is the empty name."""
    found = {"": keras}
    for entry in pkgutil.walk_packages(keras.__path__, "keras."):
        if entry[1] not in LEFT_OUT:
            found[entry[1][len("keras.") :]] = importlib.import_module(entry[1])
    return found


def is_of_keras(value):
    if inspect.ismodule(value):
        return value.__name__.split(".")[0] == "keras"
    return (getattr(value, "__module__", None) or "").split(".")[0] == "keras"


def names(module):
    """The public names of a module whose values are Keras' own."""
    return sorted(n for n, v in vars(module).items() if n[0] != "_" and is_of_keras(v))


def main():
    content = {
        "keras": keras.__version__,
        "modules": {name: names(module) for name, module in modules().items()},
        "members": {
            name: [member for member in dir(cls) if member[0] != "_"]
            for name, cls in sorted(CLASSES.items())
        },
    }
    with open(os.path.join(HERE, "keras_names.json"), "w") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
