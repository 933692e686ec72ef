"""Write with a model of 2018 whose package no longer runs.

    cylstm demo text
    cylstm demo text --beginning "Why do cats" --temperature 0.2 --count 5
    cylstm demo text --save revived.safetensors

textgenrnn (2.0.0, MIT) was a popular package for texts of a line, one character after the other. It
came with a model that its author had trained on hundreds of thousands of headlines of a forum, with
Keras 2.1.5 on a GPU, and cannot be imported next to any TensorFlow of today. Its weights come out
of the package, once; see `fetch_weights.py`. They are in HDF5, and their LSTMs are those of cuDNN,
with two biases each: `load_weights` translates. They find their layers by the names, `by_name`.

The file holds weights only, so the architecture is written down here again. One of its layers is no
layer of Keras: `AttentionWeightedAverage`. With `--save` model and weights go into one file, from
which `--model` makes it again: it is told what that name means, by `custom_objects`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from cylstm import backend as K
from cylstm._demos.fetch_weights import fetch
from cylstm.layers import LSTM, Dense, Embedding, Input, Layer, concatenate
from cylstm.models import Model, load_model

__all__ = ["add_to", "run"]

LENGTH = 40  # characters that the model looks back
PAD, BOUND = 0, "<s>"  # nothing yet; the beginning and the end of a text


class AttentionWeightedAverage(Layer):
    """The mean over the timesteps, each weighted by how much it matters.

    Called with (batch, T, features), it returns (batch, features). How much a timestep matters is
    the softmax of a product with its one weight.
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(f"{self.name}_W", (input_shape[-1], 1), initializer="uniform")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        matters = K.softmax(K.squeeze(K.dot(inputs, self.kernel), axis=-1))
        return K.batch_dot(matters, inputs, axes=1)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], input_shape[2])


OWN_LAYERS = {"AttentionWeightedAverage": AttentionWeightedAverage}


def build(rows: int, width: int = 100, units: int = 128) -> Model:
    """Return the model from the last LENGTH characters to the probabilities of the next.

    Layers have the names that they have in the file. The LSTMs of cuDNN know no other recurrent
    activation than the sigmoid; that of Keras 2 would be another.
    """
    read = Input((LENGTH,), name="input")
    embedded = Embedding(rows, width, name="embedding")(read)

    def lstm(name: str) -> LSTM:
        return LSTM(units, recurrent_activation="sigmoid", return_sequences=True, name=name)

    first = lstm("rnn_1")(embedded)
    second = lstm("rnn_2")(first)
    joined = concatenate([embedded, first, second], name="rnn_concat")
    found = AttentionWeightedAverage(name="attention")(joined)
    return Model(read, Dense(rows, activation="softmax", name="output")(found))


def revive(weights: Path, vocabulary: dict[str, int]) -> Model:
    """Return the model with the weights of the package."""
    model = build(len(vocabulary) + 1)  # with a row for no character
    model.load_weights(weights, by_name=True)
    return model


def encode(text: list[str], vocabulary: dict[str, int]) -> np.ndarray:
    """Return the numbers of the last LENGTH characters, (LENGTH,), behind what is missing."""
    numbers = [vocabulary.get(character, PAD) for character in text[-LENGTH:]]
    return np.array([PAD] * (LENGTH - len(numbers)) + numbers)


def draw(probabilities: np.ndarray, temperature: float, random: np.random.Generator) -> int:
    """Return the number of a character: the likeliest at temperature 0, else drawn."""
    scores = np.log(probabilities.astype(float) + 1e-7)
    scores[PAD] = -np.inf  # no character
    if temperature == 0:
        return int(scores.argmax())
    likely = np.exp((scores - scores.max()) / temperature)
    return int(random.choice(len(likely), p=likely / likely.sum()))


def write(
    model: Model,
    vocabulary: dict[str, int],
    beginning: str,
    count: int,
    temperature: float,
    longest: int,
    random: np.random.Generator,
) -> list[str]:
    """Return texts that go on from a beginning until the model ends them; all at once."""
    characters = {number: character for character, number in vocabulary.items()}
    texts = [[BOUND, *beginning] for _ in range(count)]
    going = texts
    while going := [t for t in going if len(t) <= longest and t[1:][-1:] != [BOUND]]:
        found = model.predict_on_batch(np.stack([encode(text, vocabulary) for text in going]))
        for text, probabilities in zip(going, found, strict=True):
            text.append(characters[draw(probabilities, temperature, random)])
    return ["".join(text).replace(BOUND, "") for text in texts]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser."""
    parser.add_argument("--beginning", default="", help="of every text; default none")
    parser.add_argument("--count", type=int, default=3, help="how many texts; default 3")
    parser.add_argument("--temperature", type=float, default=0.5, help="0 dares nothing, 1 much")
    parser.add_argument("--longest", type=int, default=200, help="characters; default 200")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", type=Path, metavar="HDF5", help="others than the package's")
    parser.add_argument("--vocabulary", type=Path, metavar="JSON", help="characters, with numbers")
    parser.add_argument("--save", type=Path, metavar="FILE", help="model and weights, in one file")
    parser.add_argument("--model", type=Path, metavar="FILE", help="what --save wrote")


def run(options: argparse.Namespace) -> None:
    """Write texts."""
    listed = options.vocabulary or fetch("textgenrnn", "textgenrnn_vocab.json")
    vocabulary: dict[str, int] = json.loads(listed.read_text(encoding="utf-8"))
    if options.model:
        model = load_model(options.model, custom_objects=OWN_LAYERS)
    else:
        weights = options.weights or fetch("textgenrnn", "textgenrnn_weights.hdf5")
        model = revive(weights, vocabulary)
    print(f"{model.count_params():,} weights, {len(vocabulary)} characters")
    if options.save:
        model.save(options.save)
        print(f"Saved: {options.save}")

    start = time.perf_counter()
    random = np.random.default_rng(options.seed)
    texts = write(
        model,
        vocabulary,
        options.beginning,
        options.count,
        options.temperature,
        options.longest,
        random,
    )
    seconds = time.perf_counter() - start
    for text in texts:
        print(f"  {text}")
    print(f"{sum(map(len, texts)) / seconds:.0f} characters a second")
