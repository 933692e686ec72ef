"""Texts: words, characters, and the numbers that stand for them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cylstm import _checks, _spellings
from cylstm._arguments import NamedArguments, suggesting

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence"]

_PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # without the apostrophe, as in Keras


@suggesting
def text_to_word_sequence(
    text: str, filters: str = _PUNCTUATION, lower: bool = True, split: str = " "
) -> list[str]:
    """Split a text into words.

    Parameters
    ----------
    text : str
        The text.
    filters : str, default punctuation without the apostrophe, tabs and line breaks
        Characters that separate words as `split` does.
    lower : bool, default True
        Whether the text is put into lower case first.
    split : str, default " "
        What separates words.

    Returns
    -------
    list of str
        The words; none is empty.

    Raises
    ------
    ValueError
        If `split` is empty.

    Examples
    --------
    >>> text_to_word_sequence("So it goes. Don't panic!")
    ['so', 'it', 'goes', "don't", 'panic']
    """
    if lower:
        text = text.lower()
    if not split:
        raise ValueError("split must not be empty; Tokenizer(char_level=True) splits characters.")
    text = text.translate(dict.fromkeys(map(ord, filters), split))
    return [word for word in text.split(split) if word]


@suggesting
def one_hot(
    text: str, n: int, filters: str = _PUNCTUATION, lower: bool = True, split: str = " "
) -> list[int]:
    """Return a number from 1 to n - 1 for each word of a text: `hashing_trick` with MD5.

    Parameters
    ----------
    text : str
        The text.
    n : int
        One more than the greatest number; different words may share one.
    filters, lower, split
        As in `text_to_word_sequence`.

    Returns
    -------
    list of int
        One number for each word, the same in every process.

    Raises
    ------
    TypeError, ValueError
        If n is not an integer of at least 2.

    Examples
    --------
    >>> one_hot("to be or not to be", 50)
    [15, 5, 8, 36, 15, 5]
    """
    return hashing_trick(text, n, filters=filters, lower=lower, split=split)


@suggesting
def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[str], int] | str | None = None,
    filters: str = _PUNCTUATION,
    lower: bool = True,
    split: str = " ",
) -> list[int]:
    """Return a number from 1 to n - 1 for each word of a text, by hashing.

    Parameters
    ----------
    text : str
        The text.
    n : int
        One more than the greatest number; different words may share one.
    hash_function : callable or {"md5"}, optional
        From a word to an integer. The default is MD5; Keras' default is Python's `hash`, which
        gives other numbers in each process.
    filters, lower, split
        As in `text_to_word_sequence`.

    Returns
    -------
    list of int
        One number for each word.

    Raises
    ------
    TypeError, ValueError
        If n is not an integer of at least 2, or `hash_function` is neither callable nor "md5".

    Examples
    --------
    >>> hashing_trick("a bb ccc", 10, hash_function=len)
    [2, 3, 4]
    """
    if _checks.positive_int(n, "n") < 2:
        raise ValueError(f"n must be at least 2: 0 is no word, so 1 is the only number, got {n}.")
    if hash_function is None or hash_function == "md5":
        hash_function = _md5
    elif not callable(hash_function):
        raise ValueError(f"hash_function must be callable or 'md5', got {hash_function!r}.")
    words = text_to_word_sequence(text, filters=filters, lower=lower, split=split)
    return [hash_function(word) % (n - 1) + 1 for word in words]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer(NamedArguments):
    """From texts to sequences of numbers, or to rows of a matrix, one number a word.

    Words are numbered from 1 by how often they occur, and those of equal count in the order in
    which they were met; 0 is no word. Where texts are given, a list of words is taken too.

    Parameters
    ----------
    num_words : int, optional
        Only words with numbers below this one are kept; all by default.
    filters, lower, split
        As in `text_to_word_sequence`.
    char_level : bool, default False
        Whether every character is a word; `filters` and `lower` then do nothing.
    oov_token : str, optional
        The word that stands for every word that is unknown or not kept, and has number 1. By
        default such words are left out.

    Attributes
    ----------
    word_counts : dict
        How often each word occurs.
    word_docs : dict
        In how many texts each word occurs.
    word_index : dict
        The number of each word.
    index_word : dict
        The word of each number.
    index_docs : dict
        In how many texts the word of each number occurs.
    document_count : int
        How many texts, or sequences, the latest fit was given.

    Raises
    ------
    TypeError, ValueError
        If `num_words` is not a positive integer.

    Examples
    --------
    >>> tokenizer = Tokenizer()
    >>> tokenizer.fit_on_texts(["the cat sat", "the dog sat, too", "the end"])
    >>> tokenizer.texts_to_sequences(["The dog!", "a cat"])
    [[1, 4], [3]]
    """

    @_spellings.tokenizer
    def __init__(
        self,
        num_words: int | None = None,
        filters: str = _PUNCTUATION,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
    ) -> None:
        self.num_words: int | None = (
            None if num_words is None else _checks.positive_int(num_words, "num_words")
        )
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.word_counts: dict[str, int] = {}
        self.word_docs: dict[str, int] = {}
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.index_docs: dict[int, int] = {}
        self.document_count: int = 0

    def _words(self, text: str | Sequence[str]) -> Sequence[str]:
        if self.char_level or not isinstance(text, str):
            return text
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Count the words of texts, on top of those counted before, and number them.

        Parameters
        ----------
        texts : iterable of str
            The texts; each is read once.
        """
        counts, docs, self.document_count = Counter(self.word_counts), Counter(self.word_docs), 0
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            counts.update(words)
            docs.update(dict.fromkeys(words, 1))
        self.word_counts, self.word_docs = dict(counts), dict(docs)
        ranked = sorted(counts, key=counts.__getitem__, reverse=True)
        if self.oov_token is not None:
            ranked = [self.oov_token, *(word for word in ranked if word != self.oov_token)]
        self.word_index = {word: number for number, word in enumerate(ranked, 1)}
        self.index_word = dict(enumerate(ranked, 1))
        self.index_docs = {self.word_index[word]: count for word, count in docs.items()}

    def fit_on_sequences(self, sequences: Sequence[Sequence[int]]) -> None:
        """Count in how many sequences each number occurs, for `sequences_to_matrix`.

        Parameters
        ----------
        sequences : list of lists of int
            Texts as numbers of words.
        """
        self.document_count = len(sequences)
        self.index_docs = dict(Counter(number for row in sequences for number in set(row)))

    def texts_to_sequences(self, texts: Iterable[str | Sequence[str]]) -> list[list[int]]:
        """Return the numbers of the words of each text.

        Parameters
        ----------
        texts : iterable of str
            The texts.

        Returns
        -------
        list of lists of int
            Without the words that are unknown or not kept, unless there is an `oov_token`.
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(
        self, texts: Iterable[str | Sequence[str]]
    ) -> Iterator[list[int]]:
        """Yield what `texts_to_sequences` returns, text by text."""
        other = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for text in texts:
            numbers = (self.word_index.get(word) for word in self._words(text))
            kept = (number if self._is_kept(number) else other for number in numbers)
            yield [number for number in kept if number is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Return the words of numbers, with blanks between: what `texts_to_sequences` undoes.

        Parameters
        ----------
        sequences : iterable of lists of int
            Texts as numbers of words, such as arrays of `pad_sequences`.

        Returns
        -------
        list of str
            Without 0 and the numbers that are no words or not kept, unless there is an
            `oov_token`, which stands for the latter.

        Examples
        --------
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["to be or not to be"])
        >>> tokenizer.sequences_to_texts([[0, 1, 4, 1, 9]])
        ['to not to']
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Yield what `sequences_to_texts` returns, text by text."""
        for sequence in sequences:
            words = (
                self.index_word.get(number) if self._is_kept(number) else None
                for number in map(int, sequence)
                if number
            )
            yield " ".join(word for word in (w or self.oov_token for w in words) if word)

    def _is_kept(self, number: int | None) -> bool:
        return number is not None and (self.num_words is None or number < self.num_words)

    def texts_to_matrix(
        self, texts: Iterable[str | Sequence[str]], mode: str = "binary"
    ) -> np.ndarray:
        """Return a row for each text; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode=mode)

    def sequences_to_matrix(
        self, sequences: Sequence[Sequence[int]], mode: str = "binary"
    ) -> np.ndarray:
        """Return a row for each sequence, with a column for each word.

        Parameters
        ----------
        sequences : list of lists of int
            Texts as numbers of words. Numbers from `num_words` on are left out.
        mode : {"binary", "count", "freq", "tfidf"}
            What stands for a word that occurs c times among n, in d of D texts: 1, c, c / n, or
            (1 + log(c)) log(1 + D / (1 + d)).

        Returns
        -------
        array (len(sequences), num_words), float64
            Zeros where a word does not occur.

        Raises
        ------
        ValueError
            If the mode is unknown, or the tokenizer was not fitted to what the mode needs.

        Examples
        --------
        >>> Tokenizer(num_words=4).sequences_to_matrix([[1, 3, 3]], mode="count").tolist()
        [[0.0, 1.0, 0.0, 2.0]]
        """
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ValueError(f"mode must be 'binary', 'count', 'freq' or 'tfidf', got {mode!r}.")
        if self.num_words is None and not self.word_index:
            raise ValueError("the Tokenizer needs num_words, or texts to fit, to know its columns.")
        if mode == "tfidf" and not self.document_count:
            raise ValueError("fit the Tokenizer on texts or sequences before mode='tfidf'.")
        columns = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), columns))
        for row, sequence in zip(matrix, sequences, strict=True):
            for number, count in Counter(sequence).items():
                if number < columns:
                    row[number] = self._weight(mode, number, count, len(sequence))
        return matrix

    def _weight(self, mode: str, number: int, count: int, total: int) -> Any:
        if mode == "tfidf":
            documents = self.index_docs.get(number, 0)
            return (1 + np.log(count)) * np.log(1 + self.document_count / (1 + documents))
        return {"binary": 1, "count": count, "freq": count / total}[mode]
