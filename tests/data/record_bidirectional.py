"""What masked timesteps give in a Bidirectional that returns sequences, by version of Keras.

    python record_bidirectional.py tf_keras OUT   # tf_keras 2.21
    python record_bidirectional.py tf OUT         # tf.keras: TensorFlow 1.4.1, and 1.15.5
    python record_bidirectional.py keras OUT      # Keras 2.2.4 and 2.3.1, with TensorFlow 1.15.5

adds VERSION.h5 and VERSION.npz to the folder OUT; bidirectional.zip holds them all.
"""
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np

if sys.argv[1] == 'tf_keras':
    import tf_keras as keras
elif sys.argv[1] == 'tf':
    from tensorflow import keras
else:
    import keras
L = keras.layers


def main():
    model = keras.models.Sequential([
        L.Embedding(9, 4, mask_zero=True, input_length=5),
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.TimeDistributed(L.Dense(2))])
    x = np.array([[1, 2, 0, 0, 3], [0, 0, 4, 5, 0]])
    model.compile('sgd', 'mse')
    path = os.path.join(sys.argv[2], keras.__version__)
    np.savez_compressed(path + '.npz', x_0=x, y_0=model.predict(x))
    model.save(path + '.h5')


if __name__ == '__main__':
    main()
