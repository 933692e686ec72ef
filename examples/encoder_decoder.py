"""Translate dates: "tuesday the third of march nineteen eighty-seven" becomes "1987-03-03".

    python examples/encoder_decoder.py

The encoder, an LSTM, reads the words; its final state is all that the decoder, another LSTM, knows
of them. While it learns, the decoder is given the character that should have come before. To
translate, two further models are made of the same layers: `encoder` returns the state, and
`decoder` makes one step, from a character and a state to the next character and state, so that it
can be fed with what it has just said. No date of the test occurs in training, in any wording.
"""

import argparse
from datetime import date

import numpy as np

from cylstm import LSTM, Input, Model
from cylstm.callbacks import LearningRateScheduler
from cylstm.layers import Dense, Embedding
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.preprocessing.text import Tokenizer
from cylstm.utils import set_random_seed

MONTHS = """january february march april may june july august september october november
december""".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen""".split()
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = """zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh
twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth""".split()
CHARACTERS = "0123456789-"
START = len(CHARACTERS)  # what the decoder is given before the first character


def in_words(number: int, last: list[str] = ONES) -> str:
    """Return a number below 100 in words; the last of them from another list for ordinals."""
    tens, ones = divmod(number, 10)
    if number < 20:
        return last[number]
    if ones:
        return f"{TENS[tens]}-{last[ones]}"
    return TENS[tens] if last is ONES else TENS[tens].removesuffix("y") + "ieth"


def wordings(day: date) -> list[str]:
    """Return four ways to put a date in words."""
    century, rest = divmod(day.year, 100)
    years = f"oh {ONES[rest]}" if 0 < rest < 10 else in_words(rest) if rest else "hundred"
    year = f"{in_words(century)} {years}"
    day_of_month, month = in_words(day.day, ORDINALS), MONTHS[day.month - 1]
    return [
        f"the {day_of_month} of {month} {year}",
        f"{DAYS[day.weekday()]} the {day_of_month} of {month} {year}",
        f"{month} the {day_of_month} {year}",
        f"in {year} on {month} {day_of_month}",
    ]


def make_data(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return different dates of the years 1600 to 2099, each in one wording, and as numbers."""
    random = np.random.default_rng(seed)
    first, end = date(1600, 1, 1).toordinal(), date(2100, 1, 1).toordinal()
    days = [date.fromordinal(n) for n in first + random.permutation(end - first)[:count]]
    return [wordings(day)[random.integers(4)] for day in days], [str(day) for day in days]


def build(words: int, units: int) -> tuple[Model, Model, Model]:
    """Return the model to train, and the encoder and decoder that share its weights."""
    text, before = Input((None,)), Input((None,))
    embedded = Embedding(words + 1, 32, mask_zero=True)(text)  # 0 is no word
    _, *state = LSTM(units, return_state=True)(embedded)

    embed = Embedding(len(CHARACTERS) + 1, 16)
    lstm = LSTM(units, return_sequences=True, return_state=True)
    name = Dense(len(CHARACTERS), activation="softmax")
    outputs, *_ = lstm(embed(before), initial_state=state)
    model = Model([text, before], name(outputs))

    given = [Input((units,)), Input((units,))]
    outputs, *following = lstm(embed(before), initial_state=given)
    return model, Model(text, state), Model([before, *given], [name(outputs), *following])


def translate(encoder: Model, decoder: Model, x: np.ndarray, length: int) -> np.ndarray:
    """Return the numbers of the characters that the decoder says, (texts, length)."""
    state = encoder.predict(x)
    said = np.full((len(x), 1), START)
    for _ in range(length):
        probabilities, *state = decoder.predict([said[:, -1:], *state])
        said = np.concatenate([said, probabilities.argmax(axis=-1)], axis=1)
    return said[:, 1:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Translate dates from words to numbers.")
    parser.add_argument("--samples", type=int, default=12000, help="a tenth of them for the test")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--units", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate at the beginning")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    set_random_seed(options.seed)
    texts, dates = make_data(options.samples, options.seed)
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(texts)
    x = pad_sequences(tokenizer.texts_to_sequences(texts))
    y = np.array([[CHARACTERS.index(character) for character in text] for text in dates])
    before = np.insert(y[:, :-1], 0, START, axis=1)
    test, train = slice(options.samples // 10), slice(options.samples // 10, None)

    model, encoder, decoder = build(len(tokenizer.word_index), options.units)
    model.compile(Adam(lr=options.lr), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        [x[train], before[train]],
        y[train],
        options.batch_size,
        options.epochs,
        verbose=2,
        callbacks=[LearningRateScheduler(lambda e: options.lr * (1 - e / options.epochs))],
        validation_data=([x[test], before[test]], y[test]),
    )
    said = translate(encoder, decoder, x[test], y.shape[1])
    for text, characters in list(zip(texts, said, strict=False))[:5]:
        print(f"{text} = {''.join(CHARACTERS[n] for n in characters)}")
    right = said == y[test]
    print(f"Right dates, of {len(said)} new ones: {right.all(axis=1).mean():.1%}")
    print(f"Right characters: {right.mean():.1%}")

    known = tokenizer.texts_to_matrix(texts)
    copied = y[train][(known[test] @ known[train].T).argmax(axis=1)]
    print(f"Baseline, right characters of the most similar text: {(copied == y[test]).mean():.1%}")


if __name__ == "__main__":
    main()
