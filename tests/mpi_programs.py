"""What the ranks of the tests of `cylstm.distributed` train: models, data and ways."""

import hashlib

import numpy as np

import cylstm
from cylstm import layers
from cylstm.distributed import DistributedOptimizer

COUNT, STEPS, WIDTH = 53, 6, 4  # no multiple of any number of ranks: last batches are uneven


def data(count=COUNT):
    """Sequences, of which some are masked at the end, with targets and weights of some."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, STEPS, WIDTH)).astype("f")
    x[3:11, 4:] = 0
    y = rng.standard_normal((count, 2)).astype("f")
    return x, y, rng.random(count) * (rng.random(count) > 0.3)


def penalised():
    """Masks, regularizers of weights and outputs, constraints, clipping by the norm."""
    cylstm.utils.set_random_seed(3)
    model = cylstm.Sequential(
        [
            layers.Masking(input_shape=(STEPS, WIDTH)),
            layers.LSTM(5, kernel_regularizer="l2", return_sequences=True),
            layers.LSTM(4, activity_regularizer="l2"),
            layers.Dense(2, kernel_constraint="max_norm"),
        ]
    )
    return model, cylstm.optimizers.Adam(lr=0.01, clipnorm=0.5)


def noisy():
    """Everything that is drawn, with seeds of its own and without; statistics of batches."""
    cylstm.utils.set_random_seed(5)
    model = cylstm.Sequential(
        [
            layers.LSTM(
                5, dropout=0.3, recurrent_dropout=0.2, return_sequences=True,
                input_shape=(STEPS, WIDTH),
            ),
            layers.GaussianNoise(0.1),
            layers.Dropout(0.4, seed=3),
            layers.LSTM(4),
            layers.GaussianDropout(0.2),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )  # fmt: skip
    return model, cylstm.optimizers.RMSprop(lr=0.01)


def words():
    """An embedding, whose gradients are rows."""
    cylstm.utils.set_random_seed(7)
    model = cylstm.Sequential(
        [layers.Embedding(900, 6, input_length=STEPS), layers.LSTM(5), layers.Dense(2)]
    )
    return model, cylstm.optimizers.Adam(lr=0.01)


def inputs_of(make, x):
    """Numbers, or words."""
    return np.abs(x[:, :, 0] * 250).astype(int) % 900 if make is words else x


def trained(make, ranks=True, weighted=True, epochs=3, batch_size=16, shuffle=False, **options):
    """Train, and return the model and its history."""
    model, optimizer = make()
    x, y, weights = data()
    x = inputs_of(make, x)
    if ranks:
        optimizer = DistributedOptimizer(optimizer, **options)
    model.compile(optimizer, "mse", metrics=["mae"], weighted_metrics=["mse"])
    history = model.fit(
        x, y, batch_size, epochs, 0, sample_weight=weights if weighted else None,
        shuffle=shuffle, validation_data=(x[:21], y[:21]),
    )  # fmt: skip
    return model, history.history


def digest(model, *more):
    """A short text that differs where a bit does."""
    found = hashlib.sha256()
    for array in model.get_weights():
        found.update(array.tobytes())
    return found.hexdigest()[:16] + "".join(f" {value!r}" for value in more)
