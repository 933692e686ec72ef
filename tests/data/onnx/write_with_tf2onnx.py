"""Writes small ONNX files with tf2onnx, from tf_keras, and with Keras 3's own export.

Run with tensorflow-cpu 2.21, tf_keras 2.21, tf2onnx 1.17 and keras 3.15 installed, in this folder;
then `record.py`:

    python write_with_tf2onnx.py
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
import tf_keras
from tf_keras import layers as L

HERE = os.path.dirname(os.path.abspath(__file__))


def last_output():
    return [L.LSTM(4, input_shape=(None, 3)), L.Dense(2, activation="softmax")]


def old_lstm():
    """As before TensorFlow 2: hard_sigmoid, which there is 0.2 x + 0.5."""
    return [
        L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True, input_shape=(5, 3)),
        L.LSTM(2, recurrent_activation="hard_sigmoid", activation="relu"),
    ]


def both_directions():
    return [
        L.Bidirectional(L.LSTM(2, return_sequences=True), input_shape=(None, 3)),
        L.Bidirectional(L.LSTM(3)),
        L.Dense(1, activation="sigmoid"),
    ]


def backwards():
    return [
        L.LSTM(2, go_backwards=True, return_sequences=True, input_shape=(6, 3)),
        L.TimeDistributed(L.Dense(3, activation="tanh")),
        L.GlobalAveragePooling1D(),
    ]


def convolutional():
    return [
        L.Conv1D(4, 3, activation="relu", padding="same", input_shape=(12, 3)),
        L.MaxPooling1D(2),
        L.Conv1D(3, 2, padding="causal"),
        L.BatchNormalization(),
        L.LSTM(3, return_sequences=True),
        L.Dropout(0.5),
        L.GlobalMaxPooling1D(),
        L.Dense(2),
    ]


def embedded():
    return [
        L.Embedding(7, 3, input_length=6),
        L.LSTM(3, return_sequences=True, unit_forget_bias=False),
        L.Flatten(),
        L.Dense(2, activation="elu"),
    ]


def decoder():
    return [
        L.LSTM(3, input_shape=(5, 3)),
        L.RepeatVector(4),
        L.LSTM(2, return_sequences=True),
        L.Dense(2),
        L.Reshape((2, 4)),
        L.Permute((2, 1)),
    ]


CASES = {
    "last_output": last_output,
    "old_lstm": old_lstm,
    "both_directions": both_directions,
    "backwards": backwards,
    "convolutional": convolutional,
    "embedded": embedded,
    "decoder": decoder,
}


def filled(model):
    """All weights as random numbers: those that begin as zeros would hide mistakes."""
    random = np.random.RandomState(5)
    model.set_weights(
        [
            (np.abs if "variance" in v.name else np.asarray)(random.normal(0, 0.5, v.shape)) + 0.01
            for v in model.weights
        ]
    )
    return model


def main():
    for name, layers in CASES.items():
        model = filled(tf_keras.Sequential(layers()))
        dtype = tf.float32
        signature = [tf.TensorSpec(model.input_shape, dtype, name="x")]
        path = os.path.join(HERE, "tf2onnx_%s.onnx" % name)
        tf2onnx.convert.from_keras(model, signature, opset=17, output_path=path)
    model = keras.Sequential(
        [
            keras.layers.Input((None, 3)),
            keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True)),
            keras.layers.LSTM(3),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    filled(model)(np.zeros((1, 5, 3), "float32"))
    model.export(os.path.join(HERE, "keras3_stacked.onnx"), format="onnx", verbose=False)


if __name__ == "__main__":
    main()
