"""Learn to add numbers that are written as strings: "12+345" goes in, and "357" comes out.

    python examples/addition.py

An LSTM reads the question character by character and leaves a vector; `RepeatVector` hands that to
a second LSTM once for every character of the answer, and `TimeDistributed(Dense)` names them. The
answer is written from the units to the hundreds, as one does on paper, so that carries come in
time. An answer is right if all of its digits are. No question of the test, nor its mirror image
("345+12"), occurs in training: neither looking up nor the most similar question known helps.
"""

import argparse

import numpy as np

from cylstm import LSTM, Sequential
from cylstm.callbacks import LearningRateScheduler
from cylstm.layers import Dense, RepeatVector, TimeDistributed
from cylstm.optimizers import Adam
from cylstm.utils import set_random_seed, to_categorical

CHARACTERS = " +0123456789"


def make_sums(count: int, digits: int, seed: int) -> tuple[list[str], list[str]]:
    """Return questions and answers, all different, also if a + b and b + a are the same."""
    random = np.random.default_rng(seed)
    pairs = np.unique(np.sort(random.integers(10**digits, size=(2 * count, 2)), axis=1), axis=0)
    if len(pairs) < count:
        raise SystemExit(f"{count} samples are too many for numbers of {digits} digits.")
    pairs = random.permuted(random.permutation(pairs)[:count], axis=1)
    return [f"{a}+{b}" for a, b in pairs], [str(a + b) for a, b in pairs]


def encode(texts: list[str], length: int) -> np.ndarray:
    """Return one-hot characters, (texts, length, 12); spaces fill up short texts."""
    numbers = [[CHARACTERS.index(character) for character in text.ljust(length)] for text in texts]
    return to_categorical(np.ravel(numbers), len(CHARACTERS)).reshape(len(texts), length, -1)


def decode(probabilities: np.ndarray) -> list[str]:
    """Return the most likely texts for probabilities of characters, (texts, length, 12)."""
    rows = probabilities.argmax(axis=-1)
    return ["".join(CHARACTERS[number] for number in row).strip() for row in rows]


def build(digits: int, units: int, lr: float) -> Sequential:
    """Return a compiled encoder-decoder."""
    model = Sequential(
        [
            LSTM(units, input_shape=(2 * digits + 1, len(CHARACTERS))),
            RepeatVector(digits + 1),
            LSTM(units, return_sequences=True),
            TimeDistributed(Dense(len(CHARACTERS), activation="softmax")),
        ]
    )
    model.compile(Adam(lr=lr), "categorical_crossentropy", metrics=["accuracy"])
    return model


def share_right(said: list[str], answers: list[str]) -> float:
    return sum(a == b for a, b in zip(said, answers, strict=True)) / len(answers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn to add numbers written as strings.")
    parser.add_argument("--digits", type=int, default=3, help="that each number has at most")
    parser.add_argument("--samples", type=int, default=20000, help="a tenth of them for the test")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--units", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate at the beginning")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    set_random_seed(options.seed)
    questions, answers = make_sums(options.samples, options.digits, options.seed)
    x = encode(questions, 2 * options.digits + 1)
    y = encode([answer[::-1] for answer in answers], options.digits + 1)
    test, train = slice(options.samples // 10), slice(options.samples // 10, None)

    model = build(options.digits, options.units, options.lr)
    decay = LearningRateScheduler(lambda epoch: options.lr * (1 - epoch / options.epochs))
    model.fit(
        x[train],
        y[train],
        options.batch_size,
        options.epochs,
        verbose=2,
        callbacks=[decay],
        validation_data=(x[test], y[test]),
    )
    said = [text[::-1] for text in decode(model.predict(x[test]))]
    for question, answer, right in list(zip(questions, said, answers, strict=False))[:5]:
        print(f"{question} = {answer}" + ("" if answer == right else f", which should be {right}"))
    print(f"Right answers to {len(said)} new questions: {share_right(said, answers[test]):.1%}")

    known = x[train].reshape(len(x[train]), -1)
    alike = [(known @ row).argmax() for row in x[test].reshape(len(said), -1)]
    copied = [answers[train][index] for index in alike]
    print(f"Baseline, as for the most similar question: {share_right(copied, answers[test]):.1%}")


if __name__ == "__main__":
    main()
