"""Record what Keras 2.0.9's wrappers for scikit-learn do.

Runs under Python 3.6 with tensorflow==1.4.1 and keras==2.0.9:

    python record_keras_wrappers.py keras_wrappers.json
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
from keras.wrappers.scikit_learn import KerasClassifier, KerasRegressor

X = np.sin(np.arange(12 * 4 * 2)).reshape(12, 4, 2)
NAMES = np.array(["a", "c", "b"] * 4)


def weights(shapes):
    return [0.4 * np.cos(np.arange(np.prod(s)) + i).reshape(s) for i, s in enumerate(shapes)]


def build(outputs=3, activation="softmax", loss="categorical_crossentropy", lr=0.05):
    model = keras.models.Sequential()
    model.add(keras.layers.LSTM(3, input_shape=(4, 2)))
    model.add(keras.layers.Dense(outputs, activation=activation))
    model.set_weights(weights([w.shape for w in model.get_weights()]))
    metrics = [] if activation == "linear" else ["accuracy"]
    model.compile(keras.optimizers.SGD(lr=lr), loss, metrics=metrics)
    return model


CASES = {
    "names": (KerasClassifier, {}, NAMES),
    "numbers": (KerasClassifier, {"loss": "sparse_categorical_crossentropy"}, np.arange(12) % 3 * 5),
    "one_hot": (KerasClassifier, {}, np.eye(3)[np.arange(12) % 3]),
    "binary": (
        KerasClassifier,
        {"outputs": 1, "activation": "sigmoid", "loss": "binary_crossentropy"},
        np.array(["no", "yes"] * 6),
    ),
    "regression": (
        KerasRegressor,
        {"outputs": 1, "activation": "linear", "loss": "mse"},
        np.cos(np.arange(12.0)),
    ),
    "two_numbers": (
        KerasRegressor,
        {"outputs": 2, "activation": "linear", "loss": "mse"},
        np.cos(np.arange(24.0)).reshape(12, 2),
    ),
}


def record(name):
    kind, options, y = CASES[name]
    wrapper = kind(build, epochs=3, batch_size=5, shuffle=False, verbose=0, **options)
    history = wrapper.fit(X, y, epochs=2)
    found = {
        "loss": history.history["loss"],
        "predict": wrapper.predict(X).tolist(),
        "score": float(wrapper.score(X, y)),
        "for_fit": sorted(wrapper.filter_sk_params(keras.models.Sequential.fit, {"x": 1})),
        "for_build": sorted(wrapper.filter_sk_params(build)),
        "params": sorted(wrapper.get_params()),
    }
    if kind is KerasClassifier:
        found["predict_proba"] = wrapper.predict_proba(X).tolist()
        found["classes"] = wrapper.classes_.tolist()
    return found


def refused(make):
    try:
        make()
    except Exception as error:
        return type(error).__name__
    return None


REFUSED = {
    "a name": lambda: KerasClassifier(build, unitss=3),
    "set": lambda: KerasClassifier(build).set_params(nothing=3),
    "no accuracy": lambda: no_accuracy(),
    "nb_epoch": lambda: KerasClassifier(build, nb_epoch=3),
}


def no_accuracy():
    wrapper = KerasClassifier(build, activation="linear", epochs=1, verbose=0)
    wrapper.fit(X, NAMES)
    wrapper.score(X, NAMES)


if __name__ == "__main__":
    recorded = {name: record(name) for name in CASES}
    recorded["refused"] = {name: refused(make) for name, make in REFUSED.items()}
    with open(sys.argv[1], "w") as file:
        json.dump(recorded, file, indent=1, sort_keys=True)
        file.write("\n")
