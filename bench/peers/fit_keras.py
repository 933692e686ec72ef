"""Keras 3 with whole jobs: `fit` and `predict` of its models, on one of its backends."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.jobs import AGREED_STEPS, Job, JobData, Net
from bench.peers.base import Peer, Prepared

DISTRIBUTIONS = {"tensorflow": "tensorflow-cpu", "torch": "torch", "jax": "jax"}


class FitKeras(Peer):
    """All as Keras has it by default, `jit_compile` too.

    Parameters
    ----------
    backend : {"tensorflow", "torch", "jax"}
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self.modules = ("keras", backend)
        self.distributions = ("keras", DISTRIBUTIONS[backend])

    def environment(self, threads: int) -> dict[str, str]:
        # XLA has no setting for its number of threads: it makes one for each CPU it may run on.
        one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if threads == 1 else {}
        return {
            "KERAS_BACKEND": self._backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            "JAX_PLATFORMS": "cpu",
            **(one if self._backend == "jax" else {}),
        }

    def start(self, threads: int) -> None:
        if self._backend == "tensorflow":
            import tensorflow

            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        elif self._backend == "torch":
            import torch

            torch.set_num_threads(threads)
            torch.set_num_interop_threads(1)
        import keras

        self._keras: Any = keras

    def _model(self, net: Net, weights: list[np.ndarray]) -> Any:
        keras, layers = self._keras, self._keras.layers
        shape = (net.timesteps,) if net.vocabulary else (net.timesteps, net.features)
        dtype = "int32" if net.vocabulary else "float32"
        stack = [layers.InputLayer(shape, dtype=dtype)]
        if net.vocabulary:
            stack.append(layers.Embedding(net.vocabulary, net.features))
        for number, units in enumerate(net.units, 1):
            sequences = net.per_step or number < len(net.units)
            lstm = layers.LSTM(units, recurrent_activation="sigmoid", return_sequences=sequences)
            stack.append(lstm)
        stack.append(layers.Dense(net.outputs, activation=net.activation))
        model = keras.Sequential(stack)
        model.compile(keras.optimizers.Adam(learning_rate=1e-3, epsilon=1e-8), net.loss)
        model.set_weights(weights)
        return model

    def prepare(self, case: Any, data: Any) -> Prepared:
        """Make a `bench.jobs.Job` ready."""
        job: Job = case
        given: JobData = data
        model = self._model(job.net, given.weights)
        x, y = given.x[: job.rows], given.y[: job.rows]

        def results() -> dict[str, np.ndarray]:
            count = AGREED_STEPS * job.batch
            if job.kind == "fit":
                fresh = self._model(job.net, given.weights)
                first, targets = given.x[:count], given.y[:count]
                fresh.fit(first, targets, job.batch, epochs=1, shuffle=False, verbose=0)
            else:
                fresh = model
            return {"outputs": np.asarray(fresh.predict(given.x[:count], verbose=0))}

        if job.kind == "fit":
            return Prepared(lambda: model.fit(x, y, job.batch, epochs=1, verbose=0), results)
        return Prepared(lambda: model.predict(x, batch_size=job.batch, verbose=0), results)
