"""Tell nine speakers apart by how they say two vowels.

    python examples/japanese_vowels.py

Each utterance is a sequence of 7 to 29 frames of 12 numbers (the JapaneseVowels data, see
data/japanese_vowels.md). Shorter ones are padded and masked. An LSTM reads them in both directions
of time, and a softmax regression on its last outputs names the speaker. A line per epoch shows the
loss and the share of right answers, those on the test utterances as `val_loss` and `val_acc`.
"""

import argparse
from pathlib import Path

import numpy as np

from cylstm import LSTM, Sequential
from cylstm.callbacks import History, LearningRateScheduler
from cylstm.layers import Bidirectional, Dense, GaussianNoise, Masking
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.utils import set_random_seed

DATA = Path(__file__).parent / "data" / "japanese_vowels.npz"
STEPS, FEATURES, SPEAKERS = 29, 12, 9
# One nearest neighbour under dynamic time warping: Bagnall et al., "The UEA multivariate time
# series classification archive, 2018", arXiv:1811.00075.
BASELINE = 0.949


def load() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return utterances (n, 29, 12) and speakers (n,), of training and of test.

    Frames are standardised; after the end of an utterance there are zeros.
    """
    with np.load(DATA) as arrays:
        mean, scale = arrays["train_frames"].mean(axis=0), arrays["train_frames"].std(axis=0)

        def part(name: str) -> tuple[np.ndarray, np.ndarray]:
            frames = (arrays[f"{name}_frames"] - mean) / scale
            ends = np.cumsum(arrays[f"{name}_lengths"], dtype=int)
            utterances = np.split(frames, ends[:-1])
            x = pad_sequences(utterances, STEPS, dtype="float32", padding="post")
            return x, arrays[f"{name}_speakers"].astype(int) - 1

        return part("train"), part("test")


def build(units: int, dropout: float, noise: float) -> Sequential:
    """Return a compiled model; its settings come from cross-validation on the 270 utterances."""
    model = Sequential(
        [
            Masking(input_shape=(STEPS, FEATURES)),
            # A little noise on every frame: 270 utterances are few, and are soon known by heart.
            GaussianNoise(noise),
            Bidirectional(LSTM(units, dropout=dropout)),
            Dense(SPEAKERS, activation="softmax", kernel_initializer="zeros"),
        ]
    )
    model.compile(Adam(clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def plot(history: History, path: Path) -> None:
    """Save the course of loss and accuracy as a picture, if matplotlib is installed."""
    try:
        figure = history.plot(["loss", "acc"])[0].figure
    except ImportError:
        print("No plot was saved, as matplotlib is not installed.")
        return
    loss, accuracy = figure.axes
    loss.set_yscale("log")
    accuracy.axhline(BASELINE, color="grey", linestyle="--", label="1-NN DTW")
    accuracy.legend()
    figure.savefig(path, dpi=150)
    print(f"Loss and accuracy over the epochs: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tell nine speakers apart by two vowels.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--units", type=int, default=64, help="in each direction of time")
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--dropout", type=float, default=0.1, help="of the inputs")
    parser.add_argument("--noise", type=float, default=0.5, help="added to the training frames")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("japanese_vowels.png"))
    options = parser.parse_args()

    set_random_seed(options.seed)
    (x_train, y_train), (x_test, y_test) = load()
    model = build(options.units, options.dropout, options.noise)
    history = model.fit(
        x_train,
        y_train,
        options.batch_size,
        options.epochs,
        verbose=2,
        callbacks=[
            # From 0.01 down to 0, along half a wave of the cosine.
            LearningRateScheduler(lambda e: 0.005 * (1 + np.cos(np.pi * e / options.epochs)))
        ],
        validation_data=(x_test, y_test),
    )
    accuracy = history.history["val_acc"][-1]
    print(f"Test accuracy, {len(x_test)} utterances: {accuracy:.1%}")
    print(f"Baseline, 1-NN with dynamic time warping: {BASELINE:.1%}")
    plot(history, options.plot)


if __name__ == "__main__":
    main()
