"""The whole jobs of `fit.py`: models as their users build them, their data and first weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["FORECASTER", "JOBS", "TAGGER", "TEXT", "Job", "JobData", "Net", "jobs"]

TOLERANCE = 2e-3
"""How far outputs after some updates may lie apart: Adam's first ones have the size of `lr` for
every weight, whatever rounding made of a gradient near 0."""

AGREED_STEPS = 3
"""After how many updates the outputs of the libraries are compared."""


@dataclass(frozen=True)
class Net:
    """A model: maybe an embedding, LSTM layers, a Dense layer; and what it is trained on.

    Attributes
    ----------
    vocabulary, features : int
        The number of indices (0: the inputs are numbers), and the size of their vectors or of a
        timestep.
    units : tuple of int
        Of each LSTM layer; all but the last one give sequences, and with `per_step` that one too.
    outputs : int
        Of the Dense layer: 1 without, more with a softmax; with a vocabulary 1 is a sigmoid.
    rows, timesteps, batch : int
        How many sequences an epoch has, their length, and how many make an update.
    """

    vocabulary: int
    features: int
    units: tuple[int, ...]
    outputs: int
    per_step: bool
    rows: int
    timesteps: int
    batch: int

    @property
    def activation(self) -> str:
        """That of the Dense layer."""
        if self.outputs > 1:
            return "softmax"
        return "sigmoid" if self.vocabulary else "linear"

    @property
    def loss(self) -> str:
        """By Keras' name."""
        return {
            "softmax": "sparse_categorical_crossentropy",
            "sigmoid": "binary_crossentropy",
            "linear": "mean_squared_error",
        }[self.activation]


TEXT = Net(20_000, 128, (128,), 1, False, 25_000, 80, 32)
FORECASTER = Net(0, 8, (64, 64), 1, False, 5_000, 50, 64)
TAGGER = Net(96, 32, (128,), 12, True, 6_400, 100, 32)


@dataclass(frozen=True)
class JobData:
    """Inputs, targets, and the first weights in Keras' order, gates i, f, c, o."""

    x: np.ndarray
    y: np.ndarray
    weights: list[np.ndarray]


@dataclass(frozen=True)
class Job:
    """Something to be timed, as `bench.problems.Case` is.

    Attributes
    ----------
    net : Net
        The model.
    kind : {"fit", "predict"}
        Updates, by the library's own loop where it has one; or outputs.
    rows, batch : int
        How many sequences, and how many at once.
    """

    net: Net
    kind: str
    rows: int
    batch: int
    dtype: str = "float32"
    tolerance: float = TOLERANCE

    def data(self) -> JobData:
        """The same numbers in every process; as many sequences as are needed."""
        rng, net = np.random.default_rng(20), self.net
        rows = max(self.rows, AGREED_STEPS * self.batch)
        shape = (rows, net.timesteps)
        if net.vocabulary:
            x = rng.integers(0, net.vocabulary, shape).astype(np.int32)
        else:
            x = rng.standard_normal((*shape, net.features), np.float32)
        of_targets = shape if net.per_step else (rows, 1)
        if net.outputs > 1:
            y = rng.integers(0, net.outputs, of_targets).astype(np.int32)
        elif net.vocabulary:
            y = rng.integers(0, 2, of_targets).astype(np.float32)
        else:
            y = rng.standard_normal(of_targets, np.float32)
        return JobData(x, y, [w.astype(np.float32) for w in first_weights(net, rng)])


def first_weights(net: Net, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw the weights of a model, layer by layer."""
    if net.vocabulary:
        yield rng.uniform(-0.05, 0.05, (net.vocabulary, net.features))
    size = net.features
    for units in net.units:
        for depth in (size, units):
            scale = np.sqrt(6 / (depth + 4 * units))
            yield rng.uniform(-scale, scale, (depth, 4 * units))
        yield np.repeat([0.0, 1.0, 0.0, 0.0], units)
        size = units
    scale = np.sqrt(6 / (size + net.outputs))
    yield rng.uniform(-scale, scale, (size, net.outputs))
    yield np.zeros(net.outputs)


JOBS = {
    "text classifier": Job(TEXT, "fit", 100 * TEXT.batch, TEXT.batch),
    "forecaster": Job(FORECASTER, "fit", FORECASTER.rows, FORECASTER.batch),
    "tagger": Job(TAGGER, "fit", 100 * TAGGER.batch, TAGGER.batch),
    "predict": Job(TEXT, "predict", 100 * 32, 32),
    "predict one": Job(TEXT, "predict", 1, 32),
}
"""By default parts of the two long epochs and of the long prediction: so many batches."""


def jobs(whole: bool) -> dict[str, Job]:
    """The jobs by name, all of each or the parts."""
    if not whole:
        return dict(JOBS)
    rows = {"text classifier": TEXT.rows, "tagger": TAGGER.rows, "predict": TEXT.rows}
    return {
        name: Job(job.net, job.kind, rows.get(name, job.rows), job.batch)
        for name, job in JOBS.items()
    }
