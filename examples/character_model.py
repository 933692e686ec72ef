"""Learn to write like Python's documentation, one character after the other.

    python examples/character_model.py

The text is that of `help()`'s topics, `pydoc_data.topics`, which comes with Python. It is cut into
8 streams that are read side by side, 50 characters of each at a time. The model is stateful: every
batch goes on where the one before ended, so that the state can carry what was read long ago. A
second model with the same weights then writes, one character at a time: each is drawn from the
probabilities that the model gave, and is the next that it reads. Its state is all that it has of
what it wrote before.
"""

import argparse
from collections import Counter
from pydoc_data.topics import topics

import numpy as np

from cylstm import LSTM, Sequential
from cylstm.callbacks import LambdaCallback, LearningRateScheduler
from cylstm.layers import Dense, Embedding
from cylstm.optimizers import Adam
from cylstm.utils import set_random_seed

STREAMS, STEPS = 8, 50
ORDER = 3  # how many characters the baseline looks back


def cut(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return characters and those that follow them, (batches * STREAMS, STEPS) each.

    Row i of a batch goes on where row i of the batch before ended; a rest at the end is left out.
    """
    batches = (len(numbers) - 1) // (STREAMS * STEPS)
    length = batches * STREAMS * STEPS

    def rows(part: np.ndarray) -> np.ndarray:
        return part.reshape(STREAMS, batches, STEPS).swapaxes(0, 1).reshape(-1, STEPS)

    return rows(numbers[:length]), rows(numbers[1 : length + 1])


def build(characters: int, units: int, batch_shape: tuple[int, int]) -> Sequential:
    """Return a stateful model that gives the probabilities of each next character."""
    return Sequential(
        [
            Embedding(characters, 32, batch_input_shape=batch_shape),
            LSTM(units, return_sequences=True, stateful=True),
            Dense(characters, activation="softmax"),
        ]
    )


def write(
    model: Sequential, beginning: list[int], count: int, temperature: float, seed: int
) -> list[int]:
    """Return a beginning and `count` characters more; the model reads one at a time."""
    random = np.random.default_rng(seed)
    model.reset_states()
    for number in beginning[:-1]:
        model.predict_on_batch(np.array([[number]]))
    written = list(beginning)
    for _ in range(count):
        probabilities = model.predict_on_batch(np.array([[written[-1]]]))[0, 0]
        weights = (probabilities / probabilities.max()).astype(float) ** (1 / temperature)
        written.append(int(random.choice(len(weights), p=weights / weights.sum())))
    return written


def bits_of_counts(train: np.ndarray, test: np.ndarray, characters: int) -> float:
    """Return the bits per character of counting what follows the last ORDER characters."""

    def contexts(numbers: np.ndarray) -> list[tuple[int, ...]]:
        return list(zip(*(numbers[i:].tolist() for i in range(ORDER + 1)), strict=False))

    known = Counter(contexts(train))
    before = Counter(context[:-1] for context in contexts(train))
    shares = [  # as if each character had followed a tenth of a time more
        (known[context] + 0.1) / (before[context[:-1]] + 0.1 * characters)
        for context in contexts(test)
    ]
    return float(-np.log2(shares).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Write like Python's documentation.")
    parser.add_argument("--characters", type=int, default=400000, help="of the text that are used")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.008, help="learning rate at the beginning")
    parser.add_argument("--length", type=int, default=500, help="of the text that is written")
    parser.add_argument("--temperature", type=float, default=0.6, help="0.1 timid, 1 wild")
    parser.add_argument("--begin", default="The ", help="what the text that is written begins with")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    set_random_seed(options.seed)
    text = "\n\n".join(topics[name] for name in sorted(topics))[: options.characters]
    alphabet = sorted({*text, *options.begin})
    numbers = np.array([alphabet.index(character) for character in text])
    train, test = np.split(numbers, [len(numbers) * 9 // 10])

    model = build(len(alphabet), options.units, (STREAMS, STEPS))
    model.compile(Adam(lr=options.lr, clipnorm=1.0), "sparse_categorical_crossentropy")
    history = model.fit(
        *cut(train),
        batch_size=STREAMS,
        epochs=options.epochs,
        shuffle=False,
        verbose=2,
        callbacks=[
            LambdaCallback(on_epoch_begin=lambda epoch, logs: model.reset_states()),
            LearningRateScheduler(lambda epoch: options.lr * (1 - epoch / options.epochs)),
        ],
        validation_data=cut(test),
    )
    bits = history.history["val_loss"][-1] / np.log(2)
    print(f"Bits per character of new text: {bits:.2f}")
    counted = bits_of_counts(train, test, len(alphabet))
    print(f"Baseline, counts of what follows {ORDER} characters: {counted:.2f}")

    writer = build(len(alphabet), options.units, (1, 1))
    writer.set_weights(model.get_weights())
    beginning = [alphabet.index(character) for character in options.begin]
    written = write(writer, beginning, options.length, options.temperature, options.seed)
    print("".join(alphabet[number] for number in written))


if __name__ == "__main__":
    main()
