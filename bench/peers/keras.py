"""Keras 3 on TensorFlow: its LSTM layer inside a `tf.function` that XLA compiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import FRAMES, Case, Data


class Keras(Peer):
    """Weights and gates as in cylstm. XLA compiles it, as Keras has it do for its own models."""

    modules = ("keras", "tensorflow")
    distributions = ("keras", "tensorflow-cpu")

    def environment(self, threads: int) -> dict[str, str]:
        return {
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }

    def held_to(self, isa: str) -> dict[str, str]:
        raise Unsupported(
            "XLA keeps to it in the code that it makes (xla_cpu_max_isa), not in its products"
        )

    def start(self, threads: int) -> None:
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        import keras

        self._tf, self._keras = tensorflow, keras

    def _loaded(self, layer: Any, case: Case, data: Data, steps: tuple[int, ...]) -> Any:
        layer.build((case.shape.batch, *steps, case.shape.input_dim))
        layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
        return layer

    def _layer(self, case: Case, data: Data) -> Any:
        layer = self._keras.layers.LSTM(
            case.shape.units,
            recurrent_activation="sigmoid",
            return_sequences=True,
            return_state=True,
            dtype=case.dtype,
        )
        return self._loaded(layer, case, data, (case.shape.timesteps,))

    def step(self, case: Case, data: Data) -> Prepared:
        tf, s = self._tf, case.shape
        cell = self._keras.layers.LSTMCell(
            s.units, recurrent_activation="sigmoid", dtype=case.dtype
        )
        self._loaded(cell, case, data, ())
        frames = [tf.constant(data.inputs[:, t]) for t in range(FRAMES)]
        zeros = tf.zeros((s.batch, s.units), case.dtype)
        state = (zeros, zeros)

        @tf.function(jit_compile=True)
        def step(x: Any, h: Any, c: Any) -> Any:
            return tuple(cell(x, [h, c])[1])

        def run() -> None:
            nonlocal state
            state = step(frames[0], *state)

        def results() -> dict[str, np.ndarray]:
            outputs, states = [], (zeros, zeros)
            for frame in frames:
                states = step(frame, *states)
                outputs.append(states[0].numpy())
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        layer, inputs = self._layer(case, data), self._tf.constant(data.inputs)
        mask = None if data.mask is None else self._tf.constant(data.mask)

        @self._tf.function(jit_compile=True)
        def sequence(x: Any) -> Any:
            return layer(x, mask=mask)

        def results() -> dict[str, np.ndarray]:
            names = ("outputs", "final_h", "final_c")
            arrays = (value.numpy() for value in sequence(inputs))
            return dict(zip(names, arrays, strict=True))

        return Prepared(lambda: sequence(inputs), results)

    def train(self, case: Case, data: Data) -> Prepared:
        tf, layer = self._tf, self._layer(case, data)
        inputs, d_outputs = tf.constant(data.inputs), tf.constant(data.d_outputs)
        mask = None if data.mask is None else tf.constant(data.mask)
        weights = [weight.value for weight in layer.trainable_weights]

        @tf.function(jit_compile=True)
        def gradients(x: Any, dy: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, mask=mask)[0]
            return outputs, *tape.gradient(outputs, [x, *weights], output_gradients=dy)

        def results() -> dict[str, np.ndarray]:
            names = ("outputs", "d_inputs", "d_kernel", "d_recurrent_kernel", "d_bias")
            arrays = (value.numpy() for value in gradients(inputs, d_outputs))
            return dict(zip(names, arrays, strict=True))

        return Prepared(lambda: gradients(inputs, d_outputs), results)
