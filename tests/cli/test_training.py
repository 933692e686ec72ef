"""train, predict and evaluate: from a file of sequences to a model, its metrics and back."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run, write_csv, write_long, write_wide

import cylstm
from cylstm.callbacks import Callback
from cylstm.cli import _fitting
from cylstm.layers import LSTM, Dense, Embedding, Masking
from cylstm.models import load_model

FILES = ["history.png", "metrics.json", "model.safetensors", "task.json", "training.safetensors"]
SHORT = ("--quiet", "--epochs", "3", "--units", "6")
LONG = ("--sequence", "machine", "--step", "hour", "--target", "wear", "--target", "cost")


def table(lines):
    """The rows of CSV, by the names of the columns."""
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def record(folder):
    return json.loads((Path(folder) / "metrics.json").read_text())


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(tmp_path, capsys):
    """A folder with a classifier, which is good."""
    write_wide("wide.csv")
    status, out, err = run(capsys, "train", "wide.csv", "--out", "run", "--quiet", "--epochs", 15)
    assert (status, err[1:]) == (0, []), err
    return Path("run")


# ---------------------------------------------------------------------- from end to end


def test_classes(trained, capsys):
    assert sorted(os.listdir(trained)) == FILES
    assert (trained / "history.png").read_bytes()[:4] == b"\x89PNG"
    found = record(trained)
    assert (found["training"]["sequences"], found["validation"]["sequences"]) == (32, 8)
    assert found["validation"]["accuracy"] == 1.0
    assert found["epochs"] == len(found["history"]["val_loss"]) <= 15
    assert found["best_epoch"] == 1 + int(np.argmin(found["history"]["val_loss"]))

    write_wide("new.csv", count=20, seed=5)
    status, out, err = run(capsys, "predict", "run", "new.csv")
    assert (status, err) == (0, [])
    rows = table(out)
    assert [row["target"] for row in rows] == ["down", "up"] * 10
    assert all(float(r["p_up"]) + float(r["p_down"]) == pytest.approx(1) for r in rows)

    status, out, err = run(capsys, "evaluate", "run", "new.csv", "--json")
    assert json.loads("\n".join(out))["confusion"] == [[10, 0], [0, 10]]
    _, out, _ = run(capsys, "evaluate", "run", "new.csv")
    assert out[0] == "new.csv: 20 sequences"
    assert out[1].split() == ["accuracy", "1.0000"]
    assert out[-1].split() == ["up", "10", "1.0000", "1.0000"]


def test_numbers_of_different_sizes(capsys):
    write_long("long.csv", count=60)
    options = [*LONG, "--quiet", "--epochs", "150", "--learning-rate", "0.01", "--json"]
    status, out, _ = run(capsys, "train", "long.csv", "--out", "run", *options)
    assert status == 0
    found = json.loads("\n".join(out))
    assert found == record("run")
    assert min(found["validation"]["targets"][name]["r2"] for name in ("wear", "cost")) > 0.8
    write_long("new.csv", count=5, seed=9, targets=False)
    _, out, _ = run(capsys, "predict", "run", "new.csv")
    assert [*table(out)[0]] == ["sequence", "wear", "cost"]
    assert [row["sequence"] for row in table(out)] == [f"m{i}" for i in range(5)]
    _, out, _ = run(capsys, "evaluate", "run", "long.csv")
    assert [line.split()[0] for line in out[2:]] == ["wear", "cost"]


def test_the_model_takes_what_is_in_the_file(trained, capsys):
    """In Python, too: standardizing is part of it, padding is not."""
    model = load_model(trained / "model.safetensors")
    rows = [line.split(",") for line in Path("wide.csv").read_text().splitlines()[1:]]
    sequences = [np.array([float(cell) for cell in row[:-1] if cell]) for row in rows]
    wanted = [model.predict(s[np.newaxis, :, np.newaxis])[0] for s in sequences]
    status, _, _ = run(capsys, "predict", "run", "wide.csv", "--out", "found.npz")
    with np.load("found.npz") as found:
        np.testing.assert_allclose(found["probabilities"], wanted, rtol=1e-5)
        assert found["classes"].tolist() == ["down", "up"]
        assert (found["y"] == found["classes"][np.argmax(wanted, axis=1)]).all()
        assert found["sequence"].tolist() == [str(i) for i in range(40)]
    status, _, err = run(capsys, "convert", trained / "model.safetensors", "model.onnx")
    assert status == 0, err
    _, out, _ = run(capsys, "predict", "model.onnx", "wide.csv")
    assert [float(r["output_0"]) for r in table(out)] == pytest.approx(
        [w[0] for w in wanted], abs=1e-5
    )


def test_names_of_columns_are_found_in_any_order(capsys):
    write_long("long.csv")
    assert run(capsys, "train", "long.csv", "--out", "run", *LONG, *SHORT)[0] == 0
    rows = [line.split(",") for line in Path("long.csv").read_text().splitlines()]
    write_csv("other.csv", [["more", *row[::-1]] for row in rows])
    both = [run(capsys, "predict", "run", name) for name in ("long.csv", "other.csv")]
    assert both[0] == both[1]
    write_csv("less.csv", [row[:3] for row in rows])
    assert "no column 'load', an input of the model" in refused(
        capsys, "predict", "run", "less.csv"
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--layers", 2, "--bidirectional", "--dropout", 0.1),
        ("--no-standardize", "--batch-size", 7, "--clipnorm", 0.5),
        ("--validation", "more.csv"),
        ("--validation-split", 0, "--patience", 0),
        ("--task", "classification"),
    ],
    ids=str,
)
def test_options(options, capsys):
    write_wide("wide.csv")
    write_wide("more.csv", count=6, seed=3)
    status, out, err = run(capsys, "train", "wide.csv", "--out", "run", *SHORT, *options)
    assert status == 0, err
    assert run(capsys, "evaluate", "run", "more.csv")[0] == 0
    layers = [layer.name for layer in load_model("run/model.safetensors").layers]
    assert ("lstm_2" in str(layers) or "both_ways_2" in layers) == ("--layers" in options)
    assert ("standardize" in layers) == ("--no-standardize" not in options)
    found = record("run")
    validated = found.get("validation", {}).get("sequences")
    assert validated == {"--validation": 6, "--validation-split": None}.get(options[0], 8)
    assert len(found["history"]["loss"]) == 3


def test_the_options_of_the_training_are_used(capsys):
    write_wide("wide.csv", count=45)
    options = ["--batch-size", 7, "--clipnorm", 0.5, "--learning-rate", 0.01, "--patience", 0]
    command = ["train", "wide.csv", "--out", "run", *SHORT, *options, "--validation-split", 0.3]
    assert run(capsys, *command)[0] == 0
    optimizer = load_model("run/training.safetensors").optimizer
    assert (float(optimizer.lr), optimizer.clipnorm) == (pytest.approx(0.01), 0.5)
    assert record("run")["training"]["classes"]["up"]["sequences"] == 15  # of 22, less 7
    assert record("run")["training"]["sequences"] == 31  # 23 less 7 as well
    assert optimizer.iterations == 3 * 5


def test_whole_numbers_are_classes_unless_told_otherwise(capsys):
    x = np.random.default_rng(1).normal(size=(40, 5, 2))
    np.savez("data.npz", x=x, y=np.arange(40) % 3)
    assert run(capsys, "train", "data.npz", "--out", "a", *SHORT)[0] == 0
    _, out, _ = run(capsys, "predict", "a", "data.npz")
    assert [*table(out)[0]] == ["sequence", "target", "p_0", "p_1", "p_2"]
    assert run(capsys, "train", "data.npz", "--out", "b", *SHORT, "--task", "regression")[0] == 0
    _, out, _ = run(capsys, "predict", "b", "data.npz")
    assert [*table(out)[0]] == ["sequence", "target"]


# ---------------------------------------------------------------------- again, and going on


def test_the_same_seed_is_the_same_model(capsys):
    write_wide("wide.csv")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(capsys, "train", "wide.csv", "--out", out, *SHORT, "--seed", seed, "--dropout", "0.1")
    a, b, c = (Path(out, "model.safetensors").read_bytes() for out in "abc")
    assert a == b != c


def test_going_on_is_as_if_it_had_not_stopped(capsys):
    write_wide("wide.csv")
    options = ["--quiet", "--units", "6", "--batch-size", "99"]  # whatever the order of samples
    run(capsys, "train", "wide.csv", "--out", "whole", *options, "--epochs", 5)
    run(capsys, "train", "wide.csv", "--out", "parts", *options, "--epochs", 2)
    command = ["train", "wide.csv", "--out", "parts", "--resume", "--quiet", "--epochs"]
    assert run(capsys, *command, 5)[0] == 0
    whole, parts = record("whole"), record("parts")
    for metric, values in whole["history"].items():
        assert parts["history"][metric] == pytest.approx(values, rel=1e-4)
    for name in ("training", "model"):
        w, p = (load_model(f"{run}/{name}.safetensors") for run in ("whole", "parts"))
        for a, b in zip(w.get_weights(), p.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert "has had 5 epochs" in refused(capsys, *command, 5)
    said = refused(capsys, *command, 9, "--units", 7, status=2)
    assert said == "--units is of the model, which has 6 and goes on being trained"
    said = refused(capsys, *command, 9, "--validation-split", 0)
    assert said == "parts was trained with validation, and can only go on so"


def test_the_learning_rate_may_change(capsys):
    write_wide("wide.csv")
    run(capsys, "train", "wide.csv", "--out", "run", *SHORT)
    command = ["train", "wide.csv", "--out", "run", "--resume", "--quiet"]
    assert run(capsys, *command, "--epochs", 4, "--learning-rate", 1e-12)[0] == 0
    history = record("run")["history"]
    assert history["val_loss"][3] == pytest.approx(history["val_loss"][2], abs=1e-6)


def test_it_stops_when_it_gets_no_better(capsys):
    x = np.random.default_rng(1).normal(size=(40, 5, 2))
    np.savez("noise.npz", x=x, y=np.random.default_rng(2).normal(size=40))
    command = ["train", "noise.npz", "--out", "run", "--quiet", "--patience", 2]
    assert run(capsys, *command)[0] == 0
    found = record("run")
    assert found["epochs"] == found["best_epoch"] + 2 < 100


def test_an_interrupted_training_goes_on(capsys, monkeypatch):
    write_wide("wide.csv")

    class Interrupt(Callback):
        def on_batch_end(self, batch, logs=None):
            if batch == 0 and self.model.optimizer.iterations > 5:
                os.kill(os.getpid(), signal.SIGINT)

    stopping = _fitting.callbacks.EarlyStopping
    monkeypatch.setattr(_fitting.callbacks, "EarlyStopping", lambda patience: Interrupt())
    command = ["train", "wide.csv", "--out", "run", "--quiet", "--epochs", 8, "--batch-size", 8]
    status, out, err = run(capsys, *command)
    assert (status, out) == (130, [])
    assert err[-2:] == ["run has 2 epochs; --resume goes on", "cylstm train: interrupted"]
    monkeypatch.setattr(_fitting.callbacks, "EarlyStopping", stopping)
    assert run(capsys, *command, "--resume")[0] == 0
    assert record("run")["epochs"] == 8


def test_a_folder_is_not_replaced_unasked(trained, capsys):
    before = {path: path.read_bytes() for path in trained.iterdir()}
    said = refused(capsys, "train", "wide.csv", "--out", "run")
    assert said == "run holds a model: --resume goes on with it, --overwrite replaces it"
    assert before == {path: path.read_bytes() for path in trained.iterdir()}
    assert run(capsys, "train", "wide.csv", "--out", "run", "--overwrite", *SHORT)[0] == 0
    assert record("run")["epochs"] == 3
    Path("found.csv").write_text("mine")
    command = ["predict", "run", "wide.csv", "--out", "found.csv"]
    assert "the file exists" in refused(capsys, *command)
    assert run(capsys, *command, "--overwrite")[0] == 0
    assert len(table(Path("found.csv").read_text().splitlines())) == 40


def test_what_is_to_be_replaced_stays_until_there_is_something_new(trained, capsys, monkeypatch):
    """All of it, so that a model and its task are of one training."""
    before = {path: path.read_bytes() for path in trained.iterdir()}
    write_long("long.csv")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Callback, "on_batch_end", interrupted)
    command = ["train", "long.csv", "--out", "run", "--overwrite", "--quiet", *LONG]
    assert run(capsys, *command) == (130, [], ["cylstm train: interrupted"])
    assert before == {path: path.read_bytes() for path in trained.iterdir()}


# ---------------------------------------------------------------------- models from elsewhere


@pytest.mark.parametrize("suffix", ["keras", "h5", "safetensors"])
def test_a_model_that_was_not_trained_here(suffix, capsys):
    cylstm.utils.set_random_seed(1)
    model = cylstm.Sequential(
        [
            Masking(input_shape=(None, 2)),
            LSTM(3, recurrent_activation="sigmoid", return_sequences=True),
        ]
    )
    model.compile("sgd", "mse", metrics=["mae"])
    model.save(f"model.{suffix}")
    x = np.random.default_rng(1).normal(size=(3, 4, 2)).astype("float32")
    lengths = np.array([4, 2, 4])
    np.savez("data.npz", x=x, lengths=lengths)
    status, out, err = run(capsys, "predict", f"model.{suffix}", "data.npz")
    assert (status, err) == (0, [])
    assert [(row["sequence"], row["step"]) for row in table(out)] == [
        (str(i), str(step)) for i in range(3) for step in range(lengths[i])
    ]
    found = np.array([[float(row[f"output_{i}"]) for i in range(3)] for row in table(out)])
    wanted = [model.predict(x[i : i + 1, :length])[0] for i, length in enumerate(lengths)]
    np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-6)
    assert run(capsys, "predict", f"model.{suffix}", "data.npz", "--out", "y.npz")[0] == 0
    with np.load("y.npz") as arrays:
        assert arrays["lengths"].tolist() == lengths.tolist()
        np.testing.assert_array_equal(arrays["y"][1, :2], wanted[1])
        assert not arrays["y"][1, 2:].any()
    assert "no targets" in refused(capsys, "evaluate", f"model.{suffix}", "data.npz")


def test_the_metrics_that_a_model_was_compiled_with(capsys):
    cylstm.utils.set_random_seed(1)
    model = cylstm.Sequential([Embedding(9, 3, input_shape=(None,)), LSTM(2), Dense(1)])
    random = np.random.default_rng(1)
    x, y = random.integers(0, 9, (6, 4)), random.normal(size=(6, 1))
    model.compile("sgd", "mse", metrics=["mae"])
    model.save("model.safetensors")
    np.savez("data.npz", x=x, y=y, lengths=np.array([4, 4, 2, 4, 2, 4]))
    status, out, _ = run(capsys, "evaluate", "model.safetensors", "data.npz", "--json")
    found = json.loads("\n".join(out))
    outputs = [model.predict(x[i : i + 1, :n])[0] for i, n in enumerate([4, 4, 2, 4, 2, 4])]
    assert found["loss"] == pytest.approx(np.square(outputs - y).mean(), rel=1e-6)
    assert found["mean_absolute_error"] == pytest.approx(np.abs(outputs - y).mean(), rel=1e-6)
    _, out, _ = run(capsys, "evaluate", "model.safetensors", "data.npz")
    assert out[1].split() == ["loss", f"{found['loss']:.4f}"]
    _, out, _ = run(capsys, "predict", "model.safetensors", "data.npz")
    assert [float(row["output_0"]) for row in table(out)] == pytest.approx(np.ravel(outputs))
    model.save("bare.safetensors", include_optimizer=False)
    assert "was not compiled" in refused(capsys, "evaluate", "bare.safetensors", "data.npz")


def test_models_that_take_no_sequences(capsys):
    a, b = cylstm.Input((3, 1)), cylstm.Input((3, 1))
    both = cylstm.layers.concatenate([a, b])
    cylstm.Model([a, b], both).save("two.safetensors")
    np.savez("data.npz", x=np.ones((2, 3)))
    assert "2 inputs and 1 output" in refused(capsys, "predict", "two.safetensors", "data.npz")
    cylstm.Sequential([LSTM(2, input_shape=(None, 4))]).save("four.safetensors")
    said = refused(capsys, "predict", "four.safetensors", "data.npz")
    assert said == "data.npz has 1 feature in a step, and the model 4"
    assert "no model of `cylstm train`" in refused(capsys, "predict", ".", "data.npz")


# ---------------------------------------------------------------------- what goes wrong


def test_data_that_cannot_be_learned_from(capsys):
    write_wide("wide.csv")
    write_long("long.csv")
    header = "a,b,target\n"
    Path("one.csv").write_text(f"{header}1,2,x\n3,4,x\n")
    Path("names.csv").write_text(header + "".join(f"1,2,n{i}\n" for i in range(9)))
    Path("many.csv").write_text(header + "".join(f"1,2,n{i % 1001}\n" for i in range(1100)))
    Path("text.csv").write_text(f"{header}1,2,x\n1,2,y\n1,2,x\n")
    Path("padding.csv").write_text(f"{header}-1e9,2,1.5\n1,2,2\n1,2,3\n1,2,3\n1,2,3\n")
    Path("steps.csv").write_text("sequence,u,target\n" + "a,1,1.5\n" * 99 + "b,1,2\nc,1,2\n")
    np.savez("x.npz", x=np.ones((4, 3)))
    said = {
        "no.csv": "no.csv: No such file or directory",
        "long.csv": "column 'machine': 'm0' is no number; --ignore machine leaves the column out",
        "wide.csv --target no": "'down' is no number",
        "padding.csv --target no": "padding.csv has no column 'no' to learn",
        "x.npz": "x.npz has no array y to learn",
        "one.csv": "all sequences are of one class, 'x'",
        "names.csv": "all 9 sequences are of different classes",
        "many.csv": "there are 1001 classes, and at most 1000 are told apart",
        "text.csv --task regression": "needs targets that are numbers, got 'x'",
        "long.csv --task classification " + " ".join(LONG): "a classification has one target",
        "text.csv --validation-split 0.01": "leaves none to validate with",
        "wide.csv --validation one.csv": "'x' is no class of the model",
        "wide.csv --validation x.npz": "x.npz has no targets",
        "padding.csv": "a step holds nothing but -1e+09",
        "steps.csv --max-size 1000 --validation-split 0": "the sequences take 1188 bytes",
        "wide.csv --out none/run": "none: there is no such folder",
        "wide.csv --out wide.csv": "wide.csv is no folder",
        "wide.csv --resume": "run holds no training to go on with",
    }
    before = sorted(os.listdir())
    for command, message in said.items():
        assert message in refused(capsys, "train", "--out", "run", *command.split()), command
    assert sorted(os.listdir()) == before


def test_arguments_that_are_wrong(capsys):
    wrong = {
        "--validation a.csv --validation-split 0.1": None,
        "--units 0": "0 is less than 1",
        "--dropout 1": "1 is not from 0 to 0.999",
        "--dropout nan": "nan is not from",
        "--epochs x": "invalid int value: 'x'",
        "--resume --overwrite": "not allowed with argument",
        "--task magic": "invalid choice: 'magic'",
    }
    for command, message in wrong.items():
        if message is None:
            refused(capsys, "train", "a.csv", "--out", "b", *command.split(), status=2)
            continue
        with pytest.raises(SystemExit) as caught:
            run(capsys, "train", "a.csv", "--out", "b", *command.split())
        [line] = capsys.readouterr().err.splitlines()
        assert caught.value.code == 2
        assert message in line
    assert "writes .csv or .npz" in refused(
        capsys, "predict", "a", "b", "--out", "c.xlsx", status=2
    )


@pytest.mark.parametrize("name", ["task.json", "metrics.json", "training.safetensors"])
def test_a_damaged_folder_is_said_to_be(name, trained, capsys):
    whole = (trained / name).read_bytes()
    hostile = [b"", b"{}", b"[]", whole[: len(whole) // 2], whole.replace(b"1", b'"x"')]
    hostile += [whole.replace(b'"epochs"', b'"epoch"')] if name == "metrics.json" else []
    for contents in hostile:
        (trained / name).write_bytes(contents)
        command = ["train", "wide.csv", "--out", "run", "--resume", "--epochs", 30, "--quiet"]
        refused(capsys, *command)
    if name == "task.json":
        refused(capsys, "predict", "run", "wide.csv")
        for before, after in [
            (b'"width":1', b'"width":2'),
            (b'"classes":["down","up"]', b'"classes":["down","up","off"]'),
            (b'"classes":["down","up"]', b'"classes":[]'),
            (b'"target":["target"]', b'"target":[1]'),
        ]:
            assert before in whole
            (trained / name).write_bytes(whole.replace(before, after))
            refused(capsys, "predict", "run", "wide.csv")


def test_no_picture_without_matplotlib(capsys, monkeypatch):
    write_wide("wide.csv")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run(capsys, "train", "wide.csv", "--out", "run", *SHORT)
    assert status == 0
    assert any("pip install 'cylstm[plot]'" in line for line in err)
    assert sorted(os.listdir("run")) == FILES[1:]


def test_progress_and_results_are_apart(capsys):
    write_wide("wide.csv")
    command = ["train", "wide.csv", "--out", "run", "--epochs", 2]
    _, out, err = run(capsys, *command)
    assert err[0] == "wide.csv: 40 sequences of 6 to 12 steps, 1 feature; classification: 2 classes"
    assert [line.split(" - ")[0] for line in err[1:3]] == ["Epoch 1/2", "Epoch 2/2"]
    assert not any("Epoch" in line for line in out)


def test_names_do_not_reach_the_terminal(capsys):
    Path("a.csv").write_text("a,b,target\n" + "1,2,\x1b[2J\n3,4,b\n" * 5)
    assert run(capsys, "train", "a.csv", "--out", "run", *SHORT)[0] == 0
    _, out, _ = run(capsys, "evaluate", "run", "a.csv")
    assert any(r"\x1b[2J" in line for line in out)
    assert "\x1b" not in "\n".join(out)


def test_from_a_shell_and_stopped():
    """Ctrl-C ends a training quietly, with what it has so far."""
    write_wide("wide.csv")
    settings = {**os.environ, "PYTHONPATH": str(Path(cylstm.__file__).parents[1])}
    command = ["train", "wide.csv", "--out", "run", "--epochs", "100000", "--patience", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cylstm", *command],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        while not Path("run", "metrics.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "cylstm train: interrupted"
    assert record("run")["epochs"] >= 1
