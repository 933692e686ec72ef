"""Records in tensorboard.json what Keras 2.0.9 with TensorFlow 1.4.1 writes for TensorBoard.

python3.6 tensorboard.py

TensorFlow at times updates a weight before all gradients have read it: take a run that prints True.
"""

import glob
import json
import os
import tempfile

import numpy as np
import tensorflow as tf
from keras.callbacks import TensorBoard
from keras.layers import LSTM, Conv1D, Dense, Embedding
from keras.models import Sequential

folder = tempfile.mkdtemp()
rng = np.random.RandomState(0)
model = Sequential(
    [
        Embedding(9, 4, input_length=5, name="words"),
        Conv1D(5, 2, name="conv"),
        LSTM(3, name="reader"),
        Dense(1, name="out"),
    ]
)
model.compile("sgd", "mse", metrics=["mae"])
weights = [rng.uniform(-0.5, 0.5, w.shape).round(3) for w in model.get_weights()]
model.set_weights(weights)
x, y = rng.randint(0, 9, (20, 5)), rng.rand(20, 1).round(3)
model.fit(
    x,
    y,
    validation_data=(x[:4], y[:4]),
    shuffle=False,
    epochs=2,
    verbose=0,
    callbacks=[TensorBoard(folder, 1, 4, write_grads=True, write_images=True)],
)
found = {"scalars": {}, "histograms": {}, "images": {}}
for path in glob.glob(os.path.join(folder, "events*")):
    for event in tf.train.summary_iterator(path):
        for v in event.summary.value:
            kind = v.WhichOneof("value")
            if kind == "simple_value":
                found["scalars"].setdefault(v.tag, []).append(v.simple_value)
            elif kind == "histo":
                h = v.histo
                found["histograms"].setdefault(v.tag, []).append(
                    [h.min, h.max, h.num, h.sum, h.sum_squares]
                )
            elif kind == "image":
                with tf.Session() as session:
                    image = session.run(tf.image.decode_png(v.image.encoded_image_string))
                found["images"].setdefault(v.tag, []).append(image[..., 0].tolist())
record = {
    "weights": [w.tolist() for w in weights],
    "x": x.tolist(),
    "y": y.tolist(),
    "found": found,
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tensorboard.json"), "w") as f:
    json.dump(record, f)
    f.write("\n")
print(abs(found["scalars"]["val_loss"][1] - 0.58353418) < 1e-7)
