"""A training script as a user writes it, for Keras 3: `text_keras.py EPOCHS THREADS`."""

import os
import sys

epochs, threads = int(sys.argv[1]), int(sys.argv[2])
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)

import keras  # noqa: E402  # when the threads are set
import numpy as np  # noqa: E402

rng = np.random.default_rng(0)
x = rng.integers(0, 20_000, (25_000, 80)).astype("int32")
y = rng.integers(0, 2, (25_000, 1)).astype("float32")
model = keras.Sequential(
    [
        keras.layers.Input((80,), dtype="int32"),
        keras.layers.Embedding(20_000, 128),
        keras.layers.LSTM(128),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy")
if epochs:
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
print(model.predict(x[:1], verbose=0))
