"""Tag the words of Python code by what they are: a function, a parameter, an attribute, ...

    python examples/tagger.py
    python examples/tagger.py --characters conv

The text is the code of Python's standard library, and the right tags are those of its own parser,
`ast`. To make it hard, only the words of a line are given, not the signs between them: `return
self.name(path)` is "return self name path", keyword, value, method, value. Modules are split: the
lines of some are for training, those of others for the test.

Each word is read twice: as one of the words that are known from training, and character by
character, by an LSTM or by convolution, which says something of words that were never seen before.
A bidirectional LSTM reads the line of both, and a softmax regression tags each word.
"""

import argparse
import ast
import io
import keyword
import sysconfig
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cylstm import LSTM, Input, Model
from cylstm.callbacks import LearningRateScheduler
from cylstm.layers import (
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalMaxPooling1D,
    TimeDistributed,
    concatenate,
)
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.utils import set_random_seed

WORDS, CHARACTERS = 12, 10  # of a line; of a word, whose last ones count
TEST_LINES = 3000
TAGS = (
    "keyword import class function parameter argument variable value called attribute method other"
).split()

Line = list[tuple[str, str]]  # words and tags


def roles(tree: ast.AST) -> dict[tuple[int | None, int | None], str]:
    """Return the tags of names by the row and column where they end."""
    found: dict[tuple[int | None, int | None], str] = {}
    for node in ast.walk(tree):  # a call comes before what is called
        if isinstance(node, ast.Call):
            name = "method" if isinstance(node.func, ast.Attribute) else "called"
            found[node.func.end_lineno, node.func.end_col_offset] = name
        elif isinstance(node, ast.arg):
            found[node.lineno, node.col_offset + len(node.arg)] = "parameter"
        elif isinstance(node, ast.keyword) and node.arg:
            found[node.lineno, node.col_offset + len(node.arg)] = "argument"
        elif isinstance(node, ast.Name | ast.Attribute):
            name = "value" if isinstance(node.ctx, ast.Load) else "variable"
            name = "attribute" if isinstance(node, ast.Attribute) else name
            found.setdefault((node.end_lineno, node.end_col_offset), name)
    return found


def tagged_lines(text: str) -> list[Line]:
    """Return the words of each logical line of a program, with their tags."""
    names = roles(ast.parse(text))
    lines: list[Line] = []
    line: Line = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        word = token.string
        if token.type == tokenize.NAME:
            before = line[-1][0] if line else ""
            if keyword.iskeyword(word):
                tag = "keyword"
            elif before in ("def", "class"):
                tag = {"def": "function", "class": "class"}[before]
            elif line and line[0][0] in ("import", "from"):
                tag = "import"
            else:
                tag = names.get(token.end, "other")
            line.append((word, tag))
        elif token.type == tokenize.NEWLINE:
            lines.append(line)
            line = []
    return [line for line in lines if 2 <= len(line) <= WORDS]


def read(paths: Iterable[Path], count: int, random: np.random.Generator) -> list[Line]:
    """Return `count` lines, drawn from as many modules as it takes to have twice as many."""
    lines: list[Line] = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines += tagged_lines(text) if text.isascii() else []  # ast counts columns in bytes
        if len(lines) >= 2 * count:
            break
    return [lines[i] for i in random.permutation(len(lines))[:count]]


def numbers_of(names: Iterable[str], first: int) -> dict[str, int]:
    """Return a number for each name, counted from `first`."""
    return {name: number for number, name in enumerate(names, first)}


def encode(
    lines: Sequence[Line], words: dict[str, int], characters: dict[str, int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return [words (n, WORDS), characters (n, WORDS, CHARACTERS)] and tags (n, WORDS, 1).

    A number of 0 stands for none, a word of 1 for one that is not in `words`.
    """
    numbers = pad_sequences(
        [[words.get(word, 1) for word, _ in line] for line in lines], WORDS, padding="post"
    )
    tags = pad_sequences(
        [[TAGS.index(tag) for _, tag in line] for line in lines], WORDS, padding="post"
    )
    spelled = np.zeros((*numbers.shape, CHARACTERS), int)
    for i, line in enumerate(lines):
        spelled[i, : len(line)] = pad_sequences(
            [[characters.get(character, 0) for character in word] for word, _ in line], CHARACTERS
        )
    return [numbers, spelled], tags[:, :, np.newaxis]


def build(words: int, characters: int, reader: str, units: int, lr: float) -> Model:
    """Return a compiled model that gives the probabilities of each tag, for each word."""
    word = Input((WORDS,), dtype="int32")
    spelled = Input((WORDS, CHARACTERS), dtype="int32")
    # Index 0 of the words makes the mask: the rest of a line is skipped by all that follows.
    read_as = [Embedding(words, 16, mask_zero=True)(word)]
    if reader != "none":
        x = TimeDistributed(Embedding(characters, 16))(spelled)
        if reader == "lstm":
            x = TimeDistributed(LSTM(24))(x)
        else:
            x = TimeDistributed(Conv1D(24, 3, padding="same", activation="relu"))(x)
            x = TimeDistributed(GlobalMaxPooling1D())(x)
        read_as.append(x)
    x = Dropout(0.3)(concatenate(read_as) if len(read_as) > 1 else read_as[0])
    x = Bidirectional(LSTM(units, return_sequences=True))(x)
    tags = TimeDistributed(Dense(len(TAGS), activation="softmax"))(x)
    model = Model([word, spelled] if reader != "none" else word, tags)
    model.compile(Adam(lr=lr, clipnorm=1.0), "sparse_categorical_crossentropy")
    return model


def most_frequent(train: Sequence[Line], test: Sequence[Line]) -> list[list[str]]:
    """Return for each word of the test the tag it had most often; for a new one, that of all."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in train:
        for word, tag in line:
            counts[word][tag] += 1
    of_all = sum((c for word, c in counts.items() if not keyword.iskeyword(word)), Counter())
    return [[counts.get(word, of_all).most_common(1)[0][0] for word, _ in line] for line in test]


def report(name: str, tags: Sequence[Sequence[str]], test: Sequence[Line], known: set[str]) -> None:
    """Print the share of right tags: of all words but keywords, and of those not in training."""
    rows = [
        (given == tag, word in known)
        for line, row in zip(test, tags, strict=True)
        for (word, tag), given in zip(line, row, strict=True)
        if tag != "keyword"
    ]
    right, old = np.array(rows).T
    print(f"{name}, {len(right)} words: {right.mean():.1%}")
    print(f"{name}, {(~old).sum()} new words: {right[~old].mean():.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tag the words of Python code.")
    parser.add_argument("--characters", choices=("lstm", "conv", "none"), default="lstm")
    parser.add_argument("--lines", type=int, default=20000, help="of code to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--units", type=int, default=32, help="in each direction of the line")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate at the beginning")
    parser.add_argument("--seed", type=int, default=1, help="of the split into modules, too")
    options = parser.parse_args()

    set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    if not modules:
        raise SystemExit("This Python comes without the source code of its library.")
    order = [modules[i] for i in random.permutation(len(modules))]
    fifth = len(order) // 5
    test = read(order[:fifth], TEST_LINES, random)
    train = read(order[fifth:], options.lines, random)

    counts = Counter(word for line in train for word, _ in line)
    # Words that came once are not among the known ones: so it learns what to make of new words.
    words = numbers_of((word for word, count in counts.items() if count > 1), 2)
    characters = numbers_of(sorted(set("".join(counts))), 1)
    model = build(
        len(words) + 2, len(characters) + 1, options.characters, options.units, options.lr
    )
    inputs, tags = encode(train, words, characters)
    count = len(model.inputs)
    model.fit(
        inputs[:count],
        tags,
        batch_size=32,
        epochs=options.epochs,
        verbose=2,
        callbacks=[LearningRateScheduler(lambda e: options.lr * (1 - e / options.epochs))],
    )
    likely = model.predict(encode(test, words, characters)[0][:count]).argmax(axis=-1)
    found = [[TAGS[i] for i in row[: len(line)]] for row, line in zip(likely, test, strict=True)]
    report("Right tags", found, test, set(counts))
    report("Baseline, the most frequent tag", most_frequent(train, test), test, set(counts))
    for line, row in zip(test[:5], found, strict=False):
        print("  " + " ".join(f"{word}/{tag}" for (word, _), tag in zip(line, row, strict=True)))


if __name__ == "__main__":
    main()
