"""Tell nine speakers apart by how they say two vowels.

    python examples/japanese_vowels.py

Each utterance is a sequence of 7 to 29 frames of 12 numbers (the JapaneseVowels data, see
data/japanese_vowels.md). Shorter ones are padded with zeros and masked. Two LSTM layers read them,
one forwards and one backwards in time, and a softmax regression on their last outputs names the
speaker. Everything here is arrays: `layer.vjp` gives the outputs and a function that turns their
gradient into the gradients of the weights.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import cylstm
from cylstm.optimizers import Adam
from cylstm.utils import set_random_seed

DATA = Path(__file__).parent / "data" / "japanese_vowels.npz"
STEPS, FEATURES, SPEAKERS = 29, 12, 9
# One nearest neighbour under dynamic time warping: Bagnall et al., "The UEA multivariate time
# series classification archive, 2018", arXiv:1811.00075.
BASELINE = 0.949

History = dict[str, list[float]]


def load(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return utterances (n, 29, 12), masks (n, 29) and speakers (n,) of "train" or "test"."""
    with np.load(DATA) as arrays:
        frames = arrays[f"{part}_frames"] / 1e6
        lengths = arrays[f"{part}_lengths"]
        speakers = arrays[f"{part}_speakers"].astype(int) - 1
    mask = np.arange(STEPS) < lengths[:, np.newaxis]
    x = np.zeros((len(lengths), STEPS, FEATURES), np.float32)
    x[mask] = frames
    return x, mask, speakers


class SpeakerClassifier:
    """Two LSTM layers, forwards and backwards in time, and a softmax regression on both."""

    def __init__(self, units: int, dropout: float) -> None:
        self.layers = [
            cylstm.LSTM(units, dropout=dropout, go_backwards=backwards)
            for backwards in (False, True)
        ]
        self.kernel = cylstm.Variable(np.zeros((2 * units, SPEAKERS)), "softmax/kernel")
        self.bias = cylstm.Variable(np.zeros(SPEAKERS), "softmax/bias")

    @property
    def weights(self) -> list[cylstm.Variable]:
        return [self.kernel, self.bias, *(w for n in self.layers for w in n.trainable_weights)]

    def predict(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the probability of each speaker, (n, 9)."""
        return self._softmax(np.concatenate([layer(x, mask=mask) for layer in self.layers], axis=1))

    def loss_and_gradients(
        self, x: np.ndarray, mask: np.ndarray, speakers: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        """Return the mean cross-entropy and its gradients, in the order of `weights`."""
        outputs, pullbacks = zip(
            *(layer.vjp(x, mask=mask, training=True) for layer in self.layers), strict=True
        )
        features = np.concatenate(outputs, axis=1)
        probabilities = self._softmax(features)
        loss = -np.log(probabilities[np.arange(len(x)), speakers]).mean()

        d_logits = (probabilities - np.eye(SPEAKERS, dtype=np.float32)[speakers]) / len(x)
        gradients = [features.T @ d_logits, d_logits.sum(axis=0)]
        d_features = d_logits @ self.kernel.value.T
        for pullback, d_output in zip(pullbacks, np.split(d_features, 2, axis=1), strict=True):
            gradients += pullback(d_output).weights
        return float(loss), gradients

    def _softmax(self, features: np.ndarray) -> np.ndarray:
        logits = features @ self.kernel.value + self.bias.value
        exponentials: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials


def train(
    epochs: int, units: int, batch_size: int, dropout: float, noise: float, seed: int
) -> History:
    """Train on 270 utterances, print a line per epoch, and return the course of the training.

    The settings were chosen by cross-validation on the training utterances alone.
    """
    set_random_seed(seed)
    random = np.random.default_rng(seed)
    x_train, mask_train, y_train = load("train")
    x_test, mask_test, y_test = load("test")
    mean, scale = x_train[mask_train].mean(axis=0), x_train[mask_train].std(axis=0)
    x_train, x_test = (x_train - mean) / scale, (x_test - mean) / scale

    model = SpeakerClassifier(units, dropout)
    optimizer = Adam(lr=0.01, clipnorm=1.0)
    history: History = {"loss": [], "train accuracy": [], "test accuracy": []}
    start = time.perf_counter()
    for epoch in range(epochs):
        optimizer.lr = 0.005 * (1 + np.cos(np.pi * epoch / epochs))
        losses = []
        for rows in np.array_split(random.permutation(len(x_train)), len(x_train) // batch_size):
            # A little noise on every frame: 270 utterances are few, and are soon known by heart.
            x = x_train[rows] + noise * random.standard_normal(x_train[rows].shape, np.float32)
            loss, gradients = model.loss_and_gradients(x, mask_train[rows], y_train[rows])
            optimizer.apply(gradients, model.weights)
            losses.append(loss)
        history["loss"].append(float(np.mean(losses)))
        for part, x, mask, y in (
            ("train", x_train, mask_train, y_train),
            ("test", x_test, mask_test, y_test),
        ):
            correct = model.predict(x, mask).argmax(axis=1) == y
            history[f"{part} accuracy"].append(float(correct.mean()))
        print(
            f"epoch {epoch + 1:3d}/{epochs}"
            f"  loss {history['loss'][-1]:.4f}"
            f"  train accuracy {history['train accuracy'][-1]:6.1%}"
            f"  test accuracy {history['test accuracy'][-1]:6.1%}"
            f"  {time.perf_counter() - start:5.1f} s",
            flush=True,
        )
    return history


def plot(history: History, path: Path) -> None:
    """Save the course of loss and accuracy as a picture, if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No plot was saved, as matplotlib is not installed.")
        return
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(history["loss"]) + 1)
    left.plot(epochs, history["loss"])
    left.set(xlabel="epoch", ylabel="loss on the training batches", yscale="log")
    for part in ("train", "test"):
        right.plot(epochs, history[f"{part} accuracy"], label=part)
    right.axhline(BASELINE, color="grey", linestyle="--", label="1-NN DTW, test")
    right.set(xlabel="epoch", ylabel="accuracy")
    right.legend()
    figure.savefig(path, dpi=150)
    print(f"Loss and accuracy over the epochs: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tell nine speakers apart by two vowels.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--units", type=int, default=64, help="of each of the two LSTM layers")
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--dropout", type=float, default=0.1, help="of the inputs of both")
    parser.add_argument("--noise", type=float, default=0.5, help="added to the training frames")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("japanese_vowels.png"))
    arguments = vars(parser.parse_args())
    path = arguments.pop("plot")
    history = train(**arguments)
    print(f"Test accuracy, 370 utterances: {history['test accuracy'][-1]:.1%}")
    print(f"Baseline, 1-NN with dynamic time warping: {BASELINE:.1%}")
    plot(history, path)


if __name__ == "__main__":
    main()
