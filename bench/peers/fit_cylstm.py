"""cylstm with whole jobs: the same lines as Keras' users write."""

from __future__ import annotations

from bench.peers.cylstm import Cylstm
from bench.peers.fit_keras import FitKeras


class FitCylstm(Cylstm):
    """What `FitKeras` does, by cylstm's names for it, which are Keras'."""

    _model = FitKeras._model
    prepare = FitKeras.prepare

    def start(self, threads: int) -> None:
        super().start(threads)
        self._keras = self._cylstm
