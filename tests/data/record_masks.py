"""Graphs of Keras 3.15 with masks, which it writes as operations, and what they predict.

    python record_masks.py OUT.zip
"""
import os
import sys
import tempfile
import zipfile

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import keras
import numpy as np

L = keras.layers
rng = np.random.default_rng(1997)


def words():
    return rng.integers(0, 9, (4, 5))


def frames():
    return np.where(rng.random((4, 5, 1)) < .3, 0, rng.normal(size=(4, 5, 3)))


def masking():
    x = keras.Input((5, 3))
    return keras.Model(x, L.Dense(2)(L.LSTM(3)(L.Masking(0.)(x)))), [frames()]


def both_ways():
    """Since TensorFlow 2 a Bidirectional gives zeros at masked timesteps."""
    x = keras.Input((5,))
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(L.Embedding(9, 4, mask_zero=True)(x))
    return keras.Model(x, L.TimeDistributed(L.Dense(2))(y)), [words()]


def shared():
    a, b = keras.Input((5,)), keras.Input((5,))
    embedding, lstm = L.Embedding(9, 4, mask_zero=True), L.LSTM(3)
    y = L.concatenate([lstm(embedding(a)), lstm(embedding(b))])
    return keras.Model([a, b], y), [words(), words()]


def passed_on():
    x = keras.Input((5,))
    y = L.TimeDistributed(L.Dense(3))(L.Embedding(9, 4, mask_zero=True)(x))
    y = L.Dropout(.1)(L.LSTM(3, return_sequences=True)(y))
    return keras.Model(x, L.LSTM(2)(y)), [words()]


def joined():
    x = keras.Input((5, 3))
    y = L.Masking(0.)(x)
    y = L.concatenate([L.LSTM(2, return_sequences=True)(y), L.LSTM(2, return_sequences=True)(y)])
    return keras.Model(x, L.LSTM(2)(y)), [frames()]


def within():
    x = keras.Input((5,), dtype='int32')
    stack = keras.Sequential([L.Embedding(9, 4, mask_zero=True), L.LSTM(3)])
    return keras.Model(x, L.Dense(1)(stack(x))), [words()]


def main():
    folder = tempfile.mkdtemp()
    for build in (masking, both_ways, shared, passed_on, joined, within):
        model, inputs = build()
        path = os.path.join(folder, build.__name__)
        model.save(path + '.keras')
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0])
        arrays = {'x_%d' % i: x for i, x in enumerate(inputs)}
        np.savez_compressed(path + '.npz', y_0=outputs, **arrays)
    with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(os.listdir(folder)):
            archive.write(os.path.join(folder, name), name)


if __name__ == '__main__':
    main()
