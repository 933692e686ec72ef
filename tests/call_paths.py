"""Which functions of the package a call passes: printed, for the paths that ARCHITECTURE.md tells.

python tests/call_paths.py
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import cylstm
from cylstm import backend as K
from cylstm.layers import LSTM, Dense, Lambda

PACKAGE = Path(cylstm.__file__).parent
X = np.ones((2, 5, 3), "float32")
Y = np.ones((2, 1), "float32")


def passed(call):
    """Call, and return which functions were called, in the order in which each first was.

    Each is a pair: the file, relative to the package, and the name within it.
    """
    found = {}
    folder = f"{PACKAGE}/"

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(folder):
            found.setdefault((code.co_filename[len(folder) :], code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return list(found)


def built():
    layer = LSTM(4)
    layer(X)
    return layer


def dense():
    layer = Dense(4)
    layer(X)
    layer.kernel.assign(layer.kernel.value + 1)
    return lambda: layer(X)


def compiled():
    model = cylstm.Sequential([LSTM(4, input_shape=(5, 3)), Dense(1)])
    model.compile("adam", "mse")
    return model


def weight():
    layer = built()

    def call():
        layer.kernel.assign(layer.kernel.value + 1)
        layer(X)

    return call


def gradients():
    layer = built()

    def call():
        y, pullback = layer.vjp(X)
        pullback(np.ones_like(y))

    return call


def symbolic():
    x = cylstm.Input((5, 3))
    return lambda: cylstm.Model(x, LSTM(4)(x))


def stream():
    model = compiled()
    return lambda: model.stream(2)(X[:, 0])


def keras_file():
    def call():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.h5")
            model.save(path)
            cylstm.models.load_model(path)

    model = compiled()
    model.train_on_batch(X, Y)
    return call


def file():
    model = compiled()

    def call():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            model.save(path)
            cylstm.models.load_model(path)

    return call


def own_code():
    layer = Lambda(lambda x: K.tanh(x) * 2)

    def call():
        y, pullback = layer.vjp(X)
        pullback(np.ones_like(y))

    return call


def array():
    layer = built()
    return lambda: layer(X)


def batch():
    model = compiled()
    return lambda: model.fit(X, Y, verbose=0)


# Heading in ARCHITECTURE.md: what makes the call, which is then made under the eyes of `passed`.
PATHS = {
    "An array through an LSTM": array,
    "An array through a Dense layer": dense,
    "A weight to the kernels": weight,
    "Gradients": gradients,
    "A training batch": batch,
    "A symbolic call": symbolic,
    "A stream": stream,
    "A file": file,
    "A file of Keras": keras_file,
    "Code of one's own": own_code,
}


if __name__ == "__main__":
    for title, make in PATHS.items():
        names = passed(make())
        files = dict.fromkeys(file for file, _ in names)
        print(f"{title}: {len(files)} files of Python")
        for path in files:
            print(f"    {path}: {', '.join(n for file, n in names if file == path)}")
