"""A training script as a user writes it, for cylstm: `text_cylstm.py EPOCHS THREADS`."""

import sys

import numpy as np

import cylstm
from cylstm import layers

epochs = int(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.integers(0, 20_000, (25_000, 80)).astype("int32")
y = rng.integers(0, 2, (25_000, 1)).astype("float32")
model = cylstm.Sequential(
    [
        layers.Embedding(20_000, 128, input_length=80),
        layers.LSTM(128, recurrent_activation="sigmoid"),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy")
if epochs:
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
print(model.predict(x[:1]))
