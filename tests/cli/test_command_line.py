"""The command line: every format in and out, clear errors, nothing of a file obeyed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run
from keras_files import CASES, unpacked

import cylstm
from cylstm import saving
from cylstm.cli import main
from cylstm.cli._text import columns, printable
from cylstm.layers import LSTM, Dense, Layer
from cylstm.models import load_model

DATA = Path(__file__).resolve().parents[1] / "data"
MODELS = (".safetensors", ".h5", ".keras", ".onnx")
WEIGHTS = (".npz", ".weights.h5")
COMMANDS = ("train", "predict", "evaluate", "inspect", "convert", "bench", "demo", "info")


@pytest.fixture
def model():
    cylstm.utils.set_random_seed(3)
    sigmoid = {"recurrent_activation": "sigmoid"}
    model = cylstm.Sequential(
        [LSTM(4, input_shape=(5, 3), name="reader", **sigmoid), Dense(2, name="answer")]
    )
    model.compile("adam", "mse")
    model.train_on_batch(*data())
    return model


def data():
    random = np.random.default_rng(1)
    return random.normal(size=(6, 5, 3)), random.normal(size=(6, 2))


# ---------------------------------------------------------------------- inspect

FILES = [
    *(unpacked(origin) / f"{name}{suffix}" for suffix in CASES for origin, name in CASES[suffix]),
    *sorted((DATA / "onnx").glob("*.onnx")),
    *(DATA / "torch" / name for name in ("modules.pt", "checkpoint_legacy.pth", "views.pt")),
    DATA / "torch" / "modules.safetensors",
    DATA / "resemblyzer.npz",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name[:8]}-{path.name}")
def test_every_file_that_is_read_is_shown(path, capsys):
    status, out, err = run(capsys, "inspect", path)
    assert (status, err) == (0, [])
    assert out[0] == f"{path}: {path.stat().st_size:,} bytes"
    assert [line.split()[0] for line in out[1:4]] == ["format", "holds", "written"]
    found = saving.outline(path)
    assert found.parts or found.arrays
    shown = {line.split()[0] for line in out if line.endswith(tuple("0123456789l"))}
    assert set(found.arrays) <= shown


@pytest.mark.parametrize("suffix", MODELS)
def test_what_is_shown_of_a_model(suffix, model, tmp_path, capsys):
    path = tmp_path / f"model{suffix}"
    model.save(path)
    _, out, _ = run(capsys, "inspect", path)
    text = "\n".join(out)
    assert "a model, with weights" in text
    assert "cylstm" in text or "Keras" in text
    assert "LSTM" in text
    assert "4, 16" in text or "16, 4" in text
    assert ("optimizer" in text) == ("Adam, lr 0.001" in text) == (suffix != ".onnx")
    [lstm] = [part for part in saving.outline(path).parts if part.kind == "LSTM"]
    assert lstm.arguments.get("units", lstm.arguments.get("hidden_size")) == 4


def test_what_json_says(model, tmp_path, capsys):
    model.save(tmp_path / "model.h5")
    _, out, _ = run(capsys, "inspect", "--json", tmp_path / "model.h5")
    found = json.loads("\n".join(out))
    assert found["holds"] == "model"
    assert found["producer"] == "Keras 2.0.8-tf, tensorflow"
    assert found["bytes"] == (tmp_path / "model.h5").stat().st_size
    assert found["training"] == {"optimizer": "Adam, lr 0.001", "loss": "mse"}
    assert [part["name"] for part in found["parts"]] == ["reader", "answer"]
    kernel = found["arrays"]["model_weights/reader/reader/kernel:0"]
    assert kernel == {"shape": [3, 16], "dtype": "float32"}


def test_layers_that_cylstm_does_not_have_are_shown(tmp_path, capsys):
    gru = {"class_name": "GRU", "config": {"name": "g", "units": 7, "kernel_initializer": {"a": 1}}}
    inner = {"class_name": "Model", "name": "inner", "config": {"layers": [gru]}}
    both = {"class_name": "Bidirectional", "config": {"name": "b", "layer": gru}}
    document = {"class_name": "Model", "config": {"layers": [inner, both, "nothing"]}}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    _, out, _ = run(capsys, "inspect", path)
    lines = [" ".join(line.split()) for line in out]
    assert lines[-3:] == ["inner Model", "inner/g GRU units=7", "b Bidirectional(GRU) units=7"]


def test_names_do_not_reach_the_terminal(tmp_path, capsys):
    name = "a\x1b[2J\u202eb"
    document = {
        "class_name": "Sequential",
        "config": [{"class_name": "X", "config": {"name": name}}],
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    _, out, _ = run(capsys, "inspect", path)
    assert out[-1].split()[0] == r"a\x1b[2J\u202eb"
    assert printable("ok\n\ud800") == r"ok\n\ud800"
    assert columns([["x" * 500]]) == ["x" * 200 + "..."]


# ---------------------------------------------------------------------- convert


@pytest.mark.parametrize("target", MODELS)
@pytest.mark.parametrize("source", MODELS)
def test_models_go_from_every_format_to_every_other(source, target, model, tmp_path, capsys):
    before, after = tmp_path / f"in{source}", tmp_path / f"out{target}"
    model.save(before)
    status, out, err = run(capsys, "convert", before, after)
    assert (status, out) == (0, [])
    assert err[0].startswith(f"Reading {before}: ")
    again = load_model(after)
    x, y = data()
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    lost = source != ".onnx" and target == ".onnx"
    assert ("Left out: what the model was compiled with" in err) == lost
    if ".onnx" not in (source, target):
        model.train_on_batch(x, y)
        again.train_on_batch(x, y)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("middle", [*WEIGHTS, ".h5", ".safetensors"])
def test_weights_and_an_architecture_are_a_model_again(middle, model, tmp_path, capsys):
    whole, weights, layers = tmp_path / "a.keras", tmp_path / f"w{middle}", tmp_path / "a.json"
    model.save(whole)
    options = [] if middle in WEIGHTS else ["--weights-only"]
    _, _, err = run(capsys, "convert", whole, weights, *options)
    assert ("the architecture" in err[-1]) == (middle in WEIGHTS)
    _, _, err = run(capsys, "convert", whole, layers)
    assert err[-1] == "Left out: what the model was compiled with, the weights"
    for architecture in (layers, whole):
        command = [weights, tmp_path / "out.h5", "--architecture", architecture, "--overwrite"]
        assert run(capsys, "convert", *command)[0] == 0
        again = load_model(tmp_path / "out.h5")
        assert again.optimizer is None
        np.testing.assert_array_equal(again.predict(data()[0]), model.predict(data()[0]))


def test_layers_are_found_by_their_names(model, tmp_path, capsys):
    model.save_weights(tmp_path / "weights.h5")
    other = cylstm.Sequential(
        [
            LSTM(4, input_shape=(5, 3), name="reader"),
            Dense(7, name="new", kernel_initializer="ones"),
        ]
    )
    (tmp_path / "other.json").write_text(other.to_json(), encoding="utf-8")
    command = [
        tmp_path / "weights.h5",
        tmp_path / "o.npz",
        "--architecture",
        tmp_path / "other.json",
    ]
    assert "(4, 7)" in refused(capsys, "convert", *command)
    assert run(capsys, "convert", *command, "--by-name")[0] == 0
    with np.load(tmp_path / "o.npz") as arrays:
        np.testing.assert_array_equal(arrays["reader/kernel"], model.layers[0].get_weights()[0])
        assert np.all(arrays["new/kernel"] == 1)


def test_a_state_dict_there_and_back(model, tmp_path, capsys):
    model.save(tmp_path / "model.h5")
    state = tmp_path / "state.safetensors"
    assert run(capsys, "convert", tmp_path / "model.h5", state, "--state-dict")[0] == 0
    tensors = saving.load_tensors(state)
    for name, array in cylstm.to_torch(model).items():
        np.testing.assert_array_equal(tensors[name], array)
    back = [state, tmp_path / "b.h5", "--architecture", tmp_path / "model.h5", "--by-name"]
    assert run(capsys, "convert", *back)[0] == 0
    found = load_model(tmp_path / "b.h5").predict(data()[0])
    np.testing.assert_allclose(found, model.predict(data()[0]), rtol=1e-6)


def test_a_checkpoint_of_pytorch_as_tensors(tmp_path, capsys):
    source, target = DATA / "torch" / "checkpoint.pt", tmp_path / "tensors.safetensors"
    assert run(capsys, "convert", source, target)[0] == 0
    wanted, found = saving.load_tensors(source), saving.load_tensors(target)
    assert sorted(found) == sorted(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert "no layers: give the model" in refused(capsys, "convert", source, tmp_path / "a.h5")


def test_training_is_left_out_on_request(model, tmp_path, capsys):
    model.save(tmp_path / "a.h5")
    _, _, err = run(capsys, "convert", tmp_path / "a.h5", tmp_path / "b.h5", "--no-training")
    assert not err[-1].startswith("Left out")
    assert load_model(tmp_path / "b.h5").optimizer is None
    command = ["convert", tmp_path / "a.h5", tmp_path / "a.h5", "--quiet"]
    assert "--quiet" not in refused(capsys, *command)
    assert run(capsys, *command, "--overwrite") == (0, [], [])
    np.testing.assert_array_equal(
        load_model(tmp_path / "a.h5").predict(data()[0]), model.predict(data()[0])
    )


# ---------------------------------------------------------------------- what goes wrong


def test_what_cannot_be_converted_is_said(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("a.h5")
    model.save_weights("w.npz")
    Path("a.json").write_text(model.to_json(), encoding="utf-8")
    Path("damaged.h5").write_bytes(Path("a.h5").read_bytes()[:3000])
    before = sorted(os.listdir())
    said = {
        "no.h5 b.h5": "no.h5: No such file or directory",
        "damaged.h5 b.h5": "Cannot read 'damaged.h5'",
        "a.h5 a.h5": "a.h5: the file exists",
        "a.h5 b.pkl": "No format has the suffix of 'b.pkl'",
        "a.h5 b.pt": "No weights are written under the suffix of 'b.pt'",
        "a.h5 none/b.h5": "there is no such folder",
        "w.npz b.h5": "give these by --architecture",
        "a.json b.h5": "a.json holds no weights",
        "a.h5 b.h5 --max-size 100": "at most 100 are allowed",
        "w.npz b.h5 --architecture w.npz": "it holds weights only",
    }
    for command, message in said.items():
        assert message in refused(capsys, "convert", *command.split()), command
    wrong = {
        "a.h5 b.h5 --by-name": "--by-name is for weights",
        "a.h5 b.h5 --state-dict": "--state-dict writes .safetensors",
    }
    for command, message in wrong.items():
        assert message in refused(capsys, "convert", *command.split(), status=2), command
    assert "damaged" in refused(capsys, "inspect", "damaged.h5")
    assert sorted(os.listdir()) == before


def test_a_missing_package_is_named_before_anything_is_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    said = refused(capsys, "convert", tmp_path / "is not there", tmp_path / "b.keras")
    assert "pip install 'cylstm[keras]'" in said


class Own(Layer):
    """A layer that only this test knows."""

    def call(self, inputs):
        return inputs


def test_layers_of_ones_own_are_shown_and_not_converted(tmp_path, capsys):
    path = tmp_path / "own.safetensors"
    cylstm.Sequential([LSTM(2, input_shape=(5, 3)), Own(name="mine")]).save(path)
    _, out, _ = run(capsys, "inspect", path)
    assert "mine Own" in [" ".join(line.split()) for line in out]
    assert "'Own'" in refused(capsys, "convert", path, tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["inspect"], "the following arguments are required: FILE"),
        (["convert", "a"], "the following arguments are required: OUT"),
        (["destroy", "a"], "invalid choice: 'destroy'"),
        (["inspect", "a", "--max-size", "x"], "invalid int value: 'x'"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert "--help" in line


def program(*arguments, **options):
    settings = {"PYTHONPATH": str(Path(cylstm.__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    return subprocess.Popen(
        [sys.executable, "-m", "cylstm", *map(str, arguments)],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,
    )


def test_from_a_shell(tmp_path):
    model = cylstm.Sequential([LSTM(2, input_shape=(5, 3), name="größe")])
    model.save(tmp_path / "a.safetensors")
    with program("inspect", tmp_path / "a.safetensors") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert r"gr\xf6\xdfe" in out  # what the terminal cannot show
    with program("inspect", tmp_path / "b.safetensors") as process:
        out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    with program("--help") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert all(command in out for command in (*COMMANDS, "--version"))


def test_a_reader_that_has_enough(tmp_path):
    """As of `inspect FILE | head -1`, with more than a pipe holds."""
    tensors = {f"{'long' * 20}{i}": np.zeros(1) for i in range(2000)}
    saving.save_tensors(tensors, tmp_path / "a.safetensors")
    with program("inspect", tmp_path / "a.safetensors") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
