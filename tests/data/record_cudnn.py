"""Weights of CuDNNLSTM layers, and what tf_keras 2.21 computes with them.

    python record_cudnn.py OUT.zip

Such layers need a GPU to be made; a file of their weights is written by hand here, in the layout of
Keras 2.1 (gates transposed, two biases), and read by tf_keras, which converts it for its LSTM.
"""
import os
import sys
import tempfile
import zipfile

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import h5py
import numpy as np
import tf_keras as keras

L = keras.layers
UNITS, WIDTH = 4, 3


def cudnn(rng, width, units=UNITS):
    shapes = [(width, 4 * units), (units, 4 * units), (8 * units,)]
    return [(rng.randn(*s) * .4).astype('float32') for s in shapes]


def main():
    rng = np.random.RandomState(1997)
    arrays = {'plain': cudnn(rng, WIDTH), 'both': cudnn(rng, UNITS) + cudnn(rng, UNITS)}
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, 'cudnn.h5')
    with h5py.File(path, 'w') as file:
        file.attrs['layer_names'] = [n.encode() for n in arrays]
        file.attrs['keras_version'] = b'2.1.5'
        file.attrs['backend'] = b'tensorflow'
        for name, values in arrays.items():
            group = file.create_group(name)
            names = ['%s/w%d:0' % (name, i) for i in range(len(values))]
            group.attrs['weight_names'] = [n.encode() for n in names]
            for n, value in zip(names, values):
                group[n] = value
    model = keras.Sequential([
        L.LSTM(UNITS, return_sequences=True, input_shape=(6, WIDTH), name='plain'),
        L.Bidirectional(L.LSTM(UNITS), name='both')])
    model.load_weights(path)
    x = rng.randn(5, 6, WIDTH)
    np.savez(os.path.join(folder, 'cudnn.npz'), x_0=x, y_0=model.predict(x))
    with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in ('cudnn.h5', 'cudnn.npz'):
            archive.write(os.path.join(folder, name), name)


if __name__ == '__main__':
    main()
