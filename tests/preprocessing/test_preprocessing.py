"""Preprocessing against what TensorFlow 1.4 gave, and what is beyond it or not."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cylstm import utils
from cylstm.preprocessing import sequence, text
from cylstm.utils.arrays import normalize, to_categorical

RECORD = json.loads((Path(__file__).parents[1] / "data" / "preprocessing.json").read_text("utf-8"))
FUNCTIONS = {
    "hashing_trick": text.hashing_trick,
    "make_sampling_table": sequence.make_sampling_table,
    "normalize": normalize,
    "pad_sequences": sequence.pad_sequences,
    "skipgrams": sequence.skipgrams,
    "text_to_word_sequence": text.text_to_word_sequence,
    "to_categorical": to_categorical,
}


def test_record_has_every_function():
    assert {call["function"] for call in RECORD["calls"]} == set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_results_are_those_of_tensorflow(name):
    for call in RECORD["calls"]:
        if call["function"] != name:
            continue
        result = FUNCTIONS[name](*call["arguments"], **call["options"])
        if call["dtype"] is None:
            assert (list(result) if isinstance(result, tuple) else result) == call["result"]
        else:
            assert result.dtype == call["dtype"]
            np.testing.assert_allclose(result, call["result"], rtol=1e-14)


@pytest.mark.parametrize("case", RECORD["tokenizers"], ids=lambda case: str(case["arguments"]))
def test_tokenizers_do_as_tensorflow(case):
    tokenizer = text.Tokenizer(**case["arguments"])
    tokenizer.fit_on_texts(case["texts"][:2])
    tokenizer.fit_on_texts(iter(case["texts"][1:]))
    assert tokenizer.word_index == case["word_index"]
    assert tokenizer.word_counts == case["word_counts"]
    assert tokenizer.word_docs == case["word_docs"]
    assert sorted(tokenizer.index_docs.items()) == [tuple(pair) for pair in case["index_docs"]]
    assert tokenizer.document_count == case["document_count"]
    assert tokenizer.texts_to_sequences(case["texts"]) == case["sequences"]
    for mode, matrix in case["matrices"].items():
        np.testing.assert_allclose(tokenizer.texts_to_matrix(case["texts"], mode), matrix, 1e-14)


# pad_sequences


def test_pad_nothing():
    assert sequence.pad_sequences([]).shape == (0, 0)
    assert sequence.pad_sequences([], maxlen=3).shape == (0, 3)
    assert sequence.pad_sequences([[], []]).shape == (2, 0)
    assert sequence.pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)


def test_pad_arrays_leaves_them_alone():
    rows = [np.arange(4.0), np.arange(2.0)]
    padded = sequence.pad_sequences(rows, maxlen=3, dtype="float64", value=np.nan)
    np.testing.assert_array_equal(padded, [[1, 2, 3], [np.nan, 0, 1]])
    assert rows[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1]], 2, "int32", "both"), ValueError, "padding must be 'pre' or 'post', got 'both'"),
        (([[1]], 2, "int32", "pre", "end"), ValueError, "truncating must be"),
        (([[1]], -1), ValueError, "maxlen must not be negative"),
        (([[1]], 1.5), TypeError, "integer"),
        ((3,), ValueError, "list of sequences, got 3"),
        (([[1], 2],), ValueError, "position 1 is 2"),
        (([[[1, 2]], [[1, 2, 3]]],), ValueError, r"position 1 it is \(3,\), before it was \(2,\)"),
    ],
)
def test_pad_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        sequence.pad_sequences(*arguments)


# TimeseriesGenerator


def batches(**arguments):
    data = np.arange(20)[:, None] * [1, 100]
    windows = sequence.TimeseriesGenerator(data, np.arange(20) + 0.5, **arguments)
    return [(x[..., 0].tolist(), y.tolist()) for x, y in windows]


def test_windows_end_before_their_target():
    (x, y), *_ = batches(length=3, batch_size=2)
    assert x == [[0, 1, 2], [1, 2, 3]]
    assert y == [3.5, 4.5]


def test_every_target_is_used_once():
    drawn = batches(length=3, batch_size=4)
    assert [len(y) for _, y in drawn] == [4, 4, 4, 4, 1]
    assert sum((y for _, y in drawn), []) == [t + 0.5 for t in range(3, 20)]


def test_sampling_rate_and_reverse():
    assert batches(length=6, sampling_rate=2, batch_size=1)[0] == ([[0, 2, 4]], [6.5])
    assert batches(length=6, sampling_rate=2, batch_size=1, reverse=True)[0][0] == [[4, 2, 0]]
    assert batches(length=5, sampling_rate=2, batch_size=1)[0] == ([[0, 2, 4]], [5.5])


def test_stride_counts_windows():
    drawn = batches(length=2, stride=4, batch_size=2)
    assert [y for _, y in drawn] == [[2.5, 6.5], [10.5, 14.5], [18.5]]


def test_start_and_end_bound_the_times():
    drawn = batches(length=3, start_index=5, end_index=10, batch_size=2)
    assert drawn == [([[5, 6, 7], [6, 7, 8]], [8.5, 9.5]), ([[7, 8, 9]], [10.5])]


def test_shuffled_windows_stay_whole_and_repeat_with_a_seed():
    arguments = {"length": 3, "shuffle": True, "batch_size": 5, "start_index": 2, "end_index": 9}
    utils.set_random_seed(3)
    first = batches(**arguments)
    assert len(first) == 1
    for x, y in first:
        assert len(y) == 5
        for window, target in zip(x, y, strict=True):
            assert window == [target - 3.5, target - 2.5, target - 1.5]
            assert 5 <= target - 0.5 <= 9
    utils.set_random_seed(3)
    assert batches(**arguments) == first


def test_batches_keep_dtype_and_count_from_the_end():
    data = np.arange(10, dtype=np.float32)
    windows = sequence.TimeseriesGenerator(data, data.astype(np.int8), 4, batch_size=4)
    x, y = windows[-1]
    assert (x.dtype, y.dtype, x.shape) == (np.float32, np.int8, (2, 4))
    with pytest.raises(IndexError, match="2 batches"):
        windows[2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"length": 0}, ValueError, "length"),
        ({"length": 2.5}, TypeError, "length"),
        ({"length": 2, "stride": 0}, ValueError, "stride"),
        ({"length": 2, "sampling_rate": 0}, ValueError, "sampling_rate"),
        ({"length": 2, "batch_size": 0}, ValueError, "batch_size"),
        ({"length": 20}, ValueError, "no window of length 20"),
        ({"length": 3, "start_index": 8, "end_index": 10}, ValueError, "no window"),
        ({"length": 3, "start_index": -1}, ValueError, "between 0 and 19, got -1"),
        ({"length": 3, "end_index": 20}, ValueError, "between 0 and 19"),
    ],
)
def test_windows_that_do_not_fit_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        batches(**arguments)


def test_data_and_targets_are_equally_long():
    with pytest.raises(ValueError, match="equally long, got 5 and 4"):
        sequence.TimeseriesGenerator(np.arange(5), np.arange(4), 2)


# skipgrams


def test_skipgrams_draw_negative_samples():
    couples, labels = sequence.skipgrams([1, 2, 3, 4], 50, window_size=1, seed=5)
    assert labels.count(1) == labels.count(0) == 6
    positive = {tuple(pair) for pair, label in zip(couples, labels, strict=True) if label}
    assert positive == {(1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3)}
    negative = [pair for pair, label in zip(couples, labels, strict=True) if not label]
    assert sorted(pair[0] for pair in negative) == [1, 2, 2, 3, 3, 4]
    assert all(1 <= pair[1] < 50 for pair in negative)
    assert labels != sorted(labels, reverse=True)
    assert sequence.skipgrams([1, 2, 3, 4], 50, window_size=1, seed=5) == (couples, labels)
    assert sequence.skipgrams([1, 2, 3, 4], 50, window_size=1, seed=6) != (couples, labels)


def test_skipgrams_categorical_labels():
    _, labels = sequence.skipgrams([1, 2], 5, negative_samples=2.0, categorical=True, seed=1)
    assert sorted(labels) == [[0, 1]] * 2 + [[1, 0]] * 4


def test_skipgrams_sampling_table():
    couples, _ = sequence.skipgrams([1, 2, 1], 3, 1, 0, sampling_table=[1.0, 0.0, 1.0], seed=1)
    assert sorted(couples) == [[2, 1], [2, 1]]
    assert sequence.skipgrams([1], 3, seed=1) == ([], [])


def test_skipgrams_need_a_vocabulary():
    with pytest.raises(ValueError, match="at least 2"):
        sequence.skipgrams([1, 2], 1)


# texts


def test_hashes_are_the_same_in_every_process():
    assert text.one_hot("the cat", 1000) == text.hashing_trick("the cat", 1000, "md5") == [132, 759]


@pytest.mark.parametrize(
    ("arguments", "message"), [(("a", 1), "at least 2"), (("a", 5, "sha"), "'md5', got 'sha'")]
)
def test_hashing_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        text.hashing_trick(*arguments)


def test_words_need_a_separator():
    with pytest.raises(ValueError, match="split must not be empty"):
        text.text_to_word_sequence("abc", split="")


def test_long_separators():
    assert text.text_to_word_sequence("aXXbXXXXc.d", split="xx") == ["a", "b", "c", "d"]


def test_unknown_words_become_the_oov_token():
    tokenizer = text.Tokenizer(num_words=3, oov_token="<?>")
    tokenizer.fit_on_texts(["a a a b b c"])
    assert tokenizer.word_index == {"<?>": 1, "a": 2, "b": 3, "c": 4}
    assert tokenizer.texts_to_sequences(["a b z a"]) == [[2, 1, 1, 2]]
    assert tokenizer.texts_to_matrix(["a b z a"], "count").tolist() == [[0, 2, 2]]


def test_lists_of_words_are_texts():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts([["New York", "New York", "Rome"]])
    assert tokenizer.texts_to_sequences([["Rome", "New York"]]) == [[2, 1]]


def test_tokenizers_pickle():
    tokenizer = text.Tokenizer(oov_token="?")
    tokenizer.fit_on_texts(["one two two"])
    restored = pickle.loads(pickle.dumps(tokenizer))
    assert restored.texts_to_sequences(["two three"]) == [[2, 1]]


def test_fit_on_sequences_counts_documents():
    tokenizer = text.Tokenizer(num_words=4)
    tokenizer.fit_on_sequences([[1, 1, 2], [1, 3]])
    assert (tokenizer.document_count, tokenizer.index_docs) == (2, {1: 2, 2: 1, 3: 1})
    row = tokenizer.sequences_to_matrix([[2, 2]], "tfidf")[0]
    np.testing.assert_allclose(row, [0, 0, (1 + np.log(2)) * np.log(2), 0])


def test_matrices_refuse():
    with pytest.raises(ValueError, match="mode must be"):
        text.Tokenizer(num_words=3).sequences_to_matrix([[1]], "onehot")
    with pytest.raises(ValueError, match="needs num_words"):
        text.Tokenizer().sequences_to_matrix([[1]])
    with pytest.raises(ValueError, match="before mode='tfidf'"):
        text.Tokenizer(num_words=3).sequences_to_matrix([[1]], "tfidf")
    with pytest.raises(ValueError, match="num_words"):
        text.Tokenizer(num_words=0)


def test_numbers_back_to_texts():
    tokenizer = text.Tokenizer(num_words=4)
    tokenizer.fit_on_texts(["a a a b b c", "d"])
    assert tokenizer.index_word == {1: "a", 2: "b", 3: "c", 4: "d"}
    assert {v: k for k, v in tokenizer.word_index.items()} == tokenizer.index_word
    padded = sequence.pad_sequences([[2, 1], [3, 4, 9, 1]])
    assert tokenizer.sequences_to_texts(padded) == ["b a", "c a"]
    tokenizer = text.Tokenizer(num_words=3, oov_token="?")
    tokenizer.fit_on_texts(["a a b"])
    assert tokenizer.sequences_to_texts([[0, 2, 3, 1, 7], []]) == ["a ? ? ?", ""]
    rows = tokenizer.texts_to_sequences(["a b a"])
    assert tokenizer.sequences_to_texts(rows) == ["a ? a"]


def test_fractions_are_not_cut_off_in_silence():
    with pytest.warns(UserWarning, match=r"dtype int32: give dtype='float32'"):
        padded = sequence.pad_sequences([[1.0, 2.0], [0.5]])
    assert padded.tolist() == [[1, 2], [0, 0]]
    assert sequence.pad_sequences([[1.0, 2.0], [3.0]]).tolist() == [[1, 2], [0, 3]]
    assert sequence.pad_sequences([[0.5], []], dtype="float32").tolist() == [[0.5], [0.0]]


def test_the_name_of_keras_1_for_the_number_of_words():
    with pytest.warns(UserWarning, match=r"In Keras 2 it is Tokenizer\(num_words=3\)"):
        assert text.Tokenizer(nb_words=3).num_words == 3
    with pytest.raises(TypeError, match="got both num_words and nb_words"):
        text.Tokenizer(num_words=3, nb_words=3)
