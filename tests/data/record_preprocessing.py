"""Record what the preprocessing of TensorFlow 1.4.1's Keras gives.

Runs under Python 3.6 with tensorflow==1.4.1:

    python record_preprocessing.py preprocessing.json

Each case names a function, its arguments, and its result.
"""

import itertools
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from tensorflow.python.keras._impl.keras.preprocessing import sequence, text
from tensorflow.python.keras._impl.keras.utils import np_utils

TEXTS = [
    "The cat sat on the mat; the mat was RED.",
    "A dog sat!\tNot on the cat, on a log...",
    "",
    "don't   stop_me now -- now",
]
ROWS = [[1, 2, 3, 4], [], [5], [6, 7]]


def pad_cases():
    for maxlen, padding, truncating in itertools.product(
        (None, 1, 3, 6), ("pre", "post"), ("pre", "post")
    ):
        yield [ROWS], {"maxlen": maxlen, "padding": padding, "truncating": truncating}
    yield [ROWS], {"value": -1.5, "dtype": "float32"}
    yield [ROWS], {"value": -1.5}
    yield [[[[1, 2], [3, 4]], [[5, 6]]]], {"maxlen": 3}
    yield [[[1.5, 2.5], [3.5]]], {"dtype": "float64", "padding": "post"}


def tokenizer_cases():
    for arguments in ({}, {"num_words": 5}, {"lower": False, "filters": ""}, {"char_level": True}):
        tokenizer = text.Tokenizer(**arguments)
        tokenizer.fit_on_texts(TEXTS[:2])
        tokenizer.fit_on_texts(TEXTS[1:])
        rows = tokenizer.texts_to_sequences(TEXTS)
        yield {
            "texts": TEXTS,
            "arguments": arguments,
            "word_index": tokenizer.word_index,
            "word_counts": tokenizer.word_counts,
            "word_docs": tokenizer.word_docs,
            "index_docs": sorted(tokenizer.index_docs.items()),
            "document_count": tokenizer.document_count,
            "sequences": rows,
            "matrices": {
                mode: tokenizer.sequences_to_matrix(rows, mode).tolist()
                for mode in ("binary", "count", "freq", "tfidf")
            },
        }


def calls():
    for arguments, options in pad_cases():
        yield sequence.pad_sequences, arguments, options
    yield sequence.make_sampling_table, [6], {}
    yield sequence.make_sampling_table, [3], {"sampling_factor": 0.01}
    for options in ({}, {"window_size": 1}, {"categorical": True, "window_size": 2}):
        options = dict(options, negative_samples=0, shuffle=False)
        yield sequence.skipgrams, [[3, 0, 1, 2, 1], 4], options
    for options in ({}, {"lower": False}, {"filters": "aeiou"}, {"split": "o", "filters": "t"}):
        for words in TEXTS:
            yield text.text_to_word_sequence, [words], options
            yield text.hashing_trick, [words, 17], dict(options, hash_function="md5")
    yield np_utils.to_categorical, [[0, 3, 1]], {}
    yield np_utils.to_categorical, [[[0], [1]]], {"num_classes": 4}
    for axis, order in itertools.product((-1, 0, 1), (1, 2)):
        yield np_utils.normalize, [[[3.0, -4.0], [0.0, 0.0]]], {"axis": axis, "order": order}


if __name__ == "__main__":
    record = {"source": "tensorflow " + tf.__version__, "calls": []}
    for function, arguments, options in calls():
        given = [np.array(arguments[0])] if function is np_utils.normalize else arguments
        result = function(*given, **options)
        record["calls"].append(
            {
                "function": function.__name__,
                "arguments": arguments,
                "options": options,
                "dtype": result.dtype.name if isinstance(result, np.ndarray) else None,
                "result": result.tolist() if isinstance(result, np.ndarray) else result,
            }
        )
    record["tokenizers"] = list(tokenizer_cases())
    with open(sys.argv[1], "w") as file:
        json.dump(record, file, sort_keys=True, separators=(",", ":"))
        file.write("\n")
