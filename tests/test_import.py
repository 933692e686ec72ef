"""Importing loads the core and nothing else; all the rest is there on first use, in any thread."""

import json
import pickle
import pydoc
import subprocess
import sys
from importlib import import_module

import pytest

import cylstm
from cylstm._lazy import LazyNames, lazy

# What only some functions need, of the standard library and of others.
NOT_AT_ONCE = {
    "autograd", "cloudpickle", "concurrent.futures", "csv", "dask", "dataclasses", "difflib",
    "distributed", "hashlib", "h5py", "html",
    "importlib.abc", "importlib.resources", "json", "logging", "matplotlib", "numpy.random", "onnx",
    "joblib", "pandas", "pathlib", "queue", "random", "safetensors", "scipy", "secrets", "shutil",
    "signal", "sklearn", "socket", "string", "subprocess", "tempfile", "torch", "tqdm",
    "urllib.parse", "zipfile", "zlib",
}  # fmt: skip


def run(program, *arguments):
    """What a program prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(program, *arguments):
    """The modules that a program loads beyond those of NumPy."""
    return set(
        run(
            "import sys, numpy\nbefore = set(sys.modules)\n"
            f"{program}\nprint(*(set(sys.modules) - before))",
            *arguments,
        ).split()
    )


def test_import_loads_none_of_these():
    assert loaded_by("import cylstm") & NOT_AT_ONCE == set()


def test_import_loads_the_core_and_what_finds_the_rest():
    loaded = {name for name in loaded_by("import cylstm") if name.startswith("cylstm.")}
    assert loaded == {
        f"cylstm.{name}"
        for name in ("_core", "_keras_names", "_layer_names", "_lazy", "_storage", "_version")
    }


def test_the_packages_of_the_house_load_none_of_their_modules():
    for package in ("layers", "models", "callbacks", "training", "utils", "preprocessing"):
        loaded = loaded_by(f"import cylstm.{package}")
        assert [name for name in loaded if name.startswith(f"cylstm.{package}.")] == []


def test_a_layer_loads_what_it_needs():
    loaded = loaded_by("import cylstm; cylstm.layers.LSTM(3)")
    assert "cylstm.layers.lstm" in loaded
    unneeded = {
        "models", "training", "saving", "backend", "losses", "metrics", "optimizers", "callbacks",
        "layers.merge", "layers.convolutional", "layers.normalization", "preprocessing",
    }  # fmt: skip
    assert {f"cylstm.{name}" for name in unneeded} & loaded == set()
    assert {"scipy", "safetensors", "subprocess", "json", "logging"} & loaded == set()


# Loads the model of a file, predicts once, and nothing else.
SERVED = (
    "import cylstm\n"
    "model = cylstm.models.load_model(sys.argv[1])\n"
    "assert model.predict(numpy.ones((1, 5, 3), numpy.float32)).shape == (1, 4)"
)


def test_a_prediction_from_a_file_loads_what_it_needs(tmp_path):
    path = tmp_path / "model.safetensors"
    cylstm.Sequential([cylstm.layers.LSTM(4, input_shape=(5, 3))]).save(path)
    loaded = loaded_by(SERVED, path)
    assert {"cylstm.layers.lstm", "cylstm.saving._native"} <= loaded
    needed = {"dataclasses", "hashlib", "json", "signal"}
    assert loaded & (NOT_AT_ONCE - needed) == set()
    assert loaded & {"ipaddress", "numpy.ma", "pickle", "safetensors.numpy"} == set()
    formats = {"_keras2", "_keras3", "_npz", "_torch", "_foreign", "_architecture", "_onnx"}
    training = {"_objective", "_weighting"}
    layers = {"convolutional", "core", "embedding", "merge", "normalization", "wrappers"}
    unneeded = {
        *(f"saving.{name}" for name in formats | {"_atomic", "_hdf5", "_keras_graph", "_zip"}),
        *(f"layers.{name}" for name in layers),
        *(f"training.{name}" for name in training),
        "losses",
        "metrics",
        "optimizers",
    }
    assert {f"cylstm.{name}" for name in unneeded} & loaded == set()


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_line_loads_no_command_before_one_is_given(option):
    loaded = loaded_by(
        "from cylstm.cli import main\n"
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main([{option!r}])"
    )
    names = {name for name in loaded if name.startswith("cylstm.")}
    assert {n for n in names if n.startswith("cylstm.cli.")} == {"cylstm.cli._text"}
    assert names & {"cylstm.layers", "cylstm.models", "cylstm.saving"} == set()


def test_import_reads_no_file_but_code_and_starts_no_thread():
    program = (
        "import os, sys, numpy, threading\n"
        "opened = []\n"
        "def hook(event, arguments):\n"
        "    if event.startswith(('open', 'socket.', 'subprocess.')):\n"
        "        opened.append(str(arguments[0]))\n"
        "sys.addaudithook(hook)\n"
        "import cylstm\n"
        "code = ('.py', '.pyc', '.so', '.pyd')\n"
        "others = [p for p in opened if not p.endswith(code) and '.pyc.' not in p]\n"
        "print(threading.active_count(), others)"
    )
    assert run(program) == "1 []"


FIRST = [
    "cylstm.layers.LSTM",
    "cylstm.layers.lstm.LSTM",
    "cylstm.layers.merge",
    "cylstm.layers.add",
    "cylstm.layers.serialization.deserialize",
    "cylstm.layers.recurrent.Recurrent",
    "cylstm.layers.embeddings.Embedding",
    "cylstm.models.load_model",
    "cylstm.models.model.Model",
    "cylstm.models.model_from_json",
    "cylstm.optimizers.adam",
    "cylstm.optimizers.Adam",
    "cylstm.callbacks.EarlyStopping",
    "cylstm.engine.topology.InputSpec",
    "cylstm.backend.mean",
    "cylstm.backend.common.epsilon",
    "cylstm.losses.mse",
    "cylstm.preprocessing.sequence.pad_sequences",
    "cylstm.saving.FormatError",
    "cylstm.utils.to_categorical",
    "cylstm.utils.plot_model",
    "cylstm.graph.SymbolicTensor",
    "cylstm.layers.Stream",
    "cylstm.get_num_threads",
    "cylstm.Variable",
]


@pytest.mark.parametrize("path", FIRST)
def test_an_attribute_that_is_used_first(path):
    expected = eval(path)
    printed = run(f"import cylstm\nthing = {path}\nprint(type(thing).__name__, thing.__name__)")
    assert printed == f"{type(expected).__name__} {expected.__name__}"


def test_optimizers_in_lower_case_stay_classes():
    """Though a module has the name: importing it sets the attribute of its package."""
    program = "import cylstm.optimizers.adam as m, cylstm; print(cylstm.optimizers.adam.__name__)"
    assert run(program) == "Adam"
    assert run("import cylstm; cylstm.Model; print(cylstm.optimizers.adam.__name__)") == "Adam"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("from cylstm.layers import GRU", "cylstm has no GRU"),
        ("from cylstm.layers.recurrent import GRU", "cylstm has no GRU"),
        ("from cylstm.backend import gradients", "cylstm has no gradients"),
        ("from cylstm.layers import LTSM", "cannot import name 'LTSM'"),
        ("from cylstm import nothing", "cannot import name 'nothing'"),
        ("import cylstm.nothing", "No module named 'cylstm.nothing'"),
    ],
)
def test_what_is_absent_says_so_at_once(line, text):
    program = f"try:\n    {line}\nexcept ImportError as error:\n    print(error)"
    assert text in run(program)


@pytest.mark.parametrize("package", ["", ".layers", ".models", ".callbacks", ".backend", ".losses"])
def test_star_imports_and_dir(package):
    program = (
        "import json, cylstm, importlib\n"
        f"module = importlib.import_module('cylstm{package}')\n"
        "listed = dir(module)\n"
        "names = {}\n"
        f"exec('from cylstm{package} import *', names)\n"
        "print(json.dumps([sorted(set(names) - {'__builtins__'}), sorted(module.__all__), listed]))"
    )
    names, public, listed = json.loads(run(program))
    assert names == public
    of_keras = {"Input", "Layer", "K", "optimizers", "topology"} | set(cylstm.__all__)
    assert set(public) - set(listed) - of_keras <= {"deserialize_keras_object"}


def test_help_shows_what_is_not_loaded_yet():
    program = (
        "import pydoc, cylstm.layers\n"
        "print(pydoc.render_doc(cylstm.layers, renderer=pydoc.plaintext))"
    )
    shown = run(program)
    assert "class LSTM(" in shown
    assert "class ZeroPadding1D(" in shown
    assert "class Sequential(" in pydoc.render_doc(cylstm.models, renderer=pydoc.plaintext)


def test_what_was_pickled_is_loaded_first():
    things = [
        cylstm.LSTM,
        cylstm.layers.LSTM(3, name="a"),
        cylstm.losses.mean_squared_error,
        cylstm.optimizers.Adam(),
        cylstm.callbacks.EarlyStopping,
        cylstm.Sequential([cylstm.layers.LSTM(2, input_shape=(3, 4))]),
    ]
    data = [pickle.dumps(thing).hex() for thing in things]
    program = (
        "import pickle, sys\n"
        "for data in sys.argv[1:]:\n"
        "    thing = pickle.loads(bytes.fromhex(data))\n"
        "    print(getattr(thing, '__name__', type(thing).__name__), end=' ')"
    )
    assert run(program, *data) == "LSTM LSTM mean_squared_error Adam EarlyStopping Sequential"


def test_a_layer_that_holds_a_model_is_made_before_there_are_models():
    """Configs name models, which stand above the layers, and which nothing has loaded yet."""
    inner = cylstm.Sequential([cylstm.layers.Dense(2, input_shape=(4,))])
    layer = cylstm.layers.TimeDistributed(inner, input_shape=(3, 4))
    config = json.dumps(cylstm.layers.serialize(layer))
    program = (
        "import sys, json\n"
        "from cylstm.layers import deserialize\n"
        "assert 'cylstm.models.sequential' not in sys.modules\n"
        "print(type(deserialize(json.loads(sys.argv[1])).layer).__name__)"
    )
    assert run(program, config) == "Sequential"


def test_merge_of_keras_1_is_a_function_and_a_module():
    program = (
        "import warnings, cylstm\n"
        "warnings.simplefilter('ignore')\n"
        "print(cylstm.layers.merge([[[1.0]], [[2.0]]], mode='sum').tolist(), "
        "cylstm.layers.merge.Add.__name__)"
    )
    assert run(program) == "[[3.0]] Add"


THREADS = """
import sys, threading
import cylstm
from importlib import import_module

paths = sys.argv[1:]
ready = threading.Barrier(len(paths))
found, failed = {}, []
sys.setswitchinterval(1e-6)

def use(path):
    ready.wait()
    try:
        module, _, name = path.rpartition(".")
        if module.startswith("import "):
            found[path] = getattr(import_module(module.removeprefix("import ")), name)
        else:
            found[path] = eval(path)
    except BaseException as error:
        failed.append((path, repr(error)))

threads = [threading.Thread(target=use, args=(path,)) for path in paths]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed, [p for p in paths if found.get(p) is not eval(p.removeprefix("import "))])
"""


@pytest.mark.parametrize("turn", range(6))
def test_a_first_use_in_several_threads(turn):
    paths = [f"{how}{path}" for path in FIRST for how in ("", "import ") if path.count(".") > 1]
    paths = [p for p in paths if p != "import cylstm.layers.merge"]  # a module, not a name in one
    start = turn * len(paths) // 6
    order = [*paths[start:], *paths[:start]]
    assert run(THREADS, *(reversed(order) if turn % 2 else order)) == "[] []"


def test_torch_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "cylstm.torch", raising=False)
    with pytest.raises(ImportError, match=r"needs PyTorch, .*: pip install 'cylstm\[torch\]'$"):
        import_module("cylstm.torch")


def test_lazy_names():
    names = LazyNames("cylstm", {"layers": "LSTM", "": "losses"})
    assert list(names) == ["LSTM", "losses"]
    assert len(names) == 2
    assert "LSTM" in names
    assert "layers" not in names
    assert names["LSTM"] is cylstm.LSTM
    assert names["losses"] is cylstm.losses
    with pytest.raises(KeyError):
        names["nothing"]
    names.add("cylstm.models", {"model": "Model"})
    assert names["Model"] is cylstm.Model


def test_a_lazy_package_that_lacks_a_name():
    get, names = lazy("cylstm.models", {"model": "Model", "_loading": "load_model"})
    assert get("model") is sys.modules["cylstm.models.model"]
    assert get("Model") is cylstm.Model
    assert {"Model", "load_model", "model"} <= set(names())
    with pytest.raises(AttributeError, match=r"module 'cylstm.models' has no attribute 'Modell'"):
        get("Modell")
