"""Learn where to look: say the words of a phrase in reverse order, letter by letter.

    pip install '.[autograd]' && python examples/attention.py --picture attention.png

"refer to the" becomes "the to refer". The phrases are from `help()`'s topics, `pydoc_data.topics`,
which comes with Python. An encoder, a bidirectional LSTM, reads a phrase; the decoder, another
LSTM, says the answer and is given the character that should have come before. Between them is a
layer that is written here, `Attention`: for each character to be said it weighs what the encoder
gave for each character that was read. Nobody tells it which belong together; its weights show
what it has found. Its derivative is found by the package autograd. No phrase of the test occurs in
training. The same model without attention, whose decoder knows no more than the encoder's last
state, says what it is good for.
"""

import argparse
import re
from pydoc_data.topics import topics
from typing import Any

import numpy as np

from cylstm import LSTM, Input, Model
from cylstm import backend as K
from cylstm.callbacks import LearningRateScheduler
from cylstm.layers import Bidirectional, Concatenate, Dense, Embedding, Layer, TimeDistributed
from cylstm.optimizers import Adam
from cylstm.utils import set_random_seed

CHARACTERS = "_|abcdefghijklmnopqrstuvwxyz "  # 0 is no character, 1 the beginning and the end
PAD, BOUND = 0, 1
LENGTH = 25  # of the longest phrase, with its end
SHADES = " .:+#"  # from no weight to all of it


class Attention(Layer):
    """Luong's attention: each query looks at the values, where they fit it best.

    Called with queries (batch, T, size) and values (batch, S, features), it returns the weighted
    means of the values (batch, T, features), and the weights (batch, T, S).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: list[tuple[int, ...]]) -> None:
        queries, values = input_shape
        self.kernel = self.add_weight("kernel", (queries[-1], values[-1]))
        super().build(input_shape)

    def call(self, inputs: list[Any], mask: list[Any] | None = None) -> list[Any]:
        queries, values = inputs
        scores = K.batch_dot(K.dot(queries, self.kernel), values, axes=2)
        if mask is not None and mask[1] is not None:  # which values are none
            scores = scores - 1e9 * (1 - K.expand_dims(K.cast(mask[1], K.dtype(scores)), 1))
        weights = K.softmax(scores)
        return [K.batch_dot(weights, values), weights]

    def compute_output_shape(self, input_shape: list[tuple[int, ...]]) -> Any:
        queries, values = input_shape
        return [(*queries[:2], values[-1]), (*queries[:2], values[1])]

    def compute_mask(self, inputs: Any, mask: list[Any] | None = None) -> list[Any]:
        return [mask and mask[0]] * 2


def make_phrases(count: int, seed: int) -> list[str]:
    """Return different phrases of two words or more."""
    text = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)))
    phrases = {""}
    for run in re.findall(r"(?<![\w.`*])[a-z]+(?: [a-z]+)+(?![\w.`*(])", text):
        phrase = ""
        for word in run.split():
            longer = f"{phrase} {word}".strip()
            if len(longer) >= LENGTH:
                phrases.add(phrase)
                longer = word
            phrase = longer
        phrases.add(phrase)
    several = sorted(phrase for phrase in phrases if " " in phrase)
    return [several[i] for i in np.random.default_rng(seed).permutation(len(several))[:count]]


def reverse(phrase: str) -> str:
    """Return the words in reverse order."""
    return " ".join(reversed(phrase.split()))


def places(phrase: str) -> list[int]:
    """Return where in the phrase each character of the answer is, with what ends each word."""
    words = [range(word.start(), word.end() + 1) for word in re.finditer(r"\w+", phrase)]
    return [place for word in reversed(words) for place in word]


def encode(texts: list[str]) -> np.ndarray:
    """Return the numbers of the characters, (texts, LENGTH), with the bound at the end."""
    numbers = np.full((len(texts), LENGTH), PAD)
    for row, text in zip(numbers, texts, strict=True):
        row[: len(text) + 1] = [*map(CHARACTERS.index, text), BOUND]
    return numbers


def build(units: int, attention: bool) -> Model:
    """Return a model from the phrase and what was said before to the next characters."""
    read, before = Input((None,)), Input((None,))
    embedded = Embedding(len(CHARACTERS), 32, mask_zero=True)(read)
    encoder = Bidirectional(LSTM(units // 2, return_sequences=True, return_state=True))
    values, h, c, backward_h, backward_c = encoder(embedded)
    state = [Concatenate()([h, backward_h]), Concatenate()([c, backward_c])]

    embedded = Embedding(len(CHARACTERS), 32, mask_zero=True)(before)
    known = LSTM(units // 2 * 2, return_sequences=True)(embedded, initial_state=state)
    if attention:
        found, _ = Attention(name="attention")([known, values])
        known = Concatenate()([known, found])
    hidden = TimeDistributed(Dense(units, activation="tanh"))(known)
    name = TimeDistributed(Dense(len(CHARACTERS), activation="softmax"))
    return Model([read, before], name(hidden))


def say(model: Model, x: np.ndarray) -> np.ndarray:
    """Return the numbers of what the model says when it reads what it has said, (texts, LENGTH).

    The first that comes is BOUND. After the end, what it says is PAD.
    """
    said = np.full((len(x), 1), BOUND)
    going = np.ones(len(x), bool)
    for _ in range(LENGTH):
        following = model.predict([x, said], batch_size=256)[:, -1].argmax(axis=-1)
        said = np.column_stack([said, np.where(going, following, PAD)])
        going &= following != BOUND
    return said


def heat_map(phrase: str, answer: str, weights: np.ndarray) -> str:
    """Return lines of text: a row for each character said, with the weights of those read."""
    lines = ["   " + phrase + "|"]
    for character, row in zip(answer, weights, strict=False):
        shades = (row[: len(phrase) + 1] * (len(SHADES) - 0.01)).astype(int)
        lines.append(f" {character} " + "".join(SHADES[shade] for shade in shades).rstrip())
    return "\n".join(lines)


def draw(path: str, shown: list[tuple[str, str, np.ndarray]]) -> None:
    """Save phrases, answers and weights as a picture, if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No picture was saved, as matplotlib is not installed.")
        return
    figure = Figure(figsize=(4.5 * len(shown), 4.8), layout="constrained")
    plots = figure.subplots(1, len(shown), squeeze=False)[0]
    for plot, (phrase, answer, weights) in zip(plots, shown, strict=True):
        plot.imshow(weights[: len(answer), : len(phrase) + 1], cmap="Greys", vmin=0, vmax=1)
        plot.set_xticks(range(len(phrase) + 1), [*phrase, "|"], family="monospace")
        plot.set_yticks(range(len(answer)), answer, family="monospace")
        plot.xaxis.tick_top()
        plot.set(xlabel="read", ylabel="said")
    figure.savefig(path, dpi=150)
    print(f"Weights of the longest phrases: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Reverse the words of phrases with attention.")
    parser.add_argument("--phrases", type=int, default=9000, help="a tenth of them for the test")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate at the beginning")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", metavar="FILE", help="where to draw the weights")
    options = parser.parse_args()

    phrases = make_phrases(options.phrases, options.seed)
    x, y = encode(phrases), encode([reverse(phrase) for phrase in phrases])
    before = np.insert(y[:, :-1], 0, BOUND, axis=1)
    test, train = slice(len(x) // 10), slice(len(x) // 10, None)

    def trained(attention: bool) -> tuple[Model, np.ndarray, float]:
        """Return a model, what it says of the test's phrases, and the share that is right."""
        print("With attention:" if attention else "Without attention:")
        set_random_seed(options.seed)
        model = build(options.units, attention)
        model.compile(Adam(lr=options.lr), "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(
            [x[train], before[train]],
            y[train],
            options.batch_size,
            options.epochs,
            verbose=2,
            callbacks=[LearningRateScheduler(lambda e: options.lr * (1 - e / options.epochs))],
            validation_data=([x[test], before[test]], y[test]),
        )
        said = say(model, x[test])
        return model, said, (said[:, 1:] == y[test]).all(axis=1).mean()

    model, said, share = trained(attention=True)
    _, _, baseline = trained(attention=False)
    looks = Model(model.inputs, model.get_layer("attention").output[1])
    weights = looks.predict([x[test], said[:, :-1]])
    answers = ["".join(CHARACTERS[n] for n in row if n != PAD) for row in said[:, 1:]]
    print(heat_map(phrases[0], answers[0], weights[0]))
    right = [
        row[at].argmax() == place
        for row, phrase in zip(weights, phrases, strict=False)
        for at, place in enumerate(places(phrase))
        if phrase[place : place + 1].isalpha()  # an end can be told from the last letter as well
    ]
    print(f"Right answers, of {len(said)} new phrases: {share:.1%}")
    print(f"Letters said with the greatest weight at that very letter: {np.mean(right):.1%}")
    print(f"Baseline, right answers of the same model without attention: {baseline:.1%}")
    if options.picture:
        chosen = sorted(range(len(said)), key=lambda i: -len(phrases[i]))[:3]
        shown = [(phrases[i], answers[i], weights[i]) for i in chosen]
        draw(options.picture, shown)


if __name__ == "__main__":
    main()
