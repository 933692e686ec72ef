"""Keras' module paths and names: present, or absent with a reason that users see."""

import copy
import importlib
import inspect
import pickle
import pydoc
import subprocess
import sys

import pytest
from keras_names import ABSENT_MEMBERS, RECORD, main, rows, status

import cylstm
from cylstm import _keras_names

RECORDED = [(module, name) for module, names in RECORD["modules"].items() for name in names]


def run(line):
    """Execute an import line as a script would, and return the names that it makes."""
    names = {}
    exec(line, names)
    return names


@pytest.mark.parametrize("module", RECORD["modules"])
def test_every_name_of_keras_is_present_or_absent_with_a_reason(module):
    answers = {name: status(module, name) for name in RECORD["modules"][module]}
    assert [name for name, answer in answers.items() if answer is None] == []


def test_what_is_called_absent_is_absent():
    """So that a name that was added leaves the table of the absent ones."""
    names = [n for n in _keras_names.ABSENT if not n.endswith(".")]
    assert [n for n in names if n in cylstm.layers.__all__ + cylstm.utils.__all__] == []
    present = [n for m, n in RECORDED if n in names and status(m, n) is True]
    assert present == []


def test_the_tables_hold_nothing_but_names_of_keras():
    recorded = {f"{m}.{n}".strip(".") for m, n in RECORDED} | set(RECORD["modules"])
    listed = {
        f"{m}.{n}".strip(".") for m in _keras_names.PRESENT for n, _ in _keras_names._listed(m)
    }
    assert listed - recorded == set()
    words = {path.rpartition(".")[2] for path in recorded}
    absent = {n.strip(".") for n in _keras_names.ABSENT}
    assert {n for n in absent if n not in recorded and n not in words} == set()


@pytest.mark.parametrize(
    ("line", "name", "thing"),
    [
        ("from cylstm.layers.recurrent import LSTM", "LSTM", cylstm.layers.LSTM),
        ("from cylstm.layers.core import Dense, Dropout", "Dropout", cylstm.layers.Dropout),
        ("from cylstm.layers.core import *", "Dropout", cylstm.layers.Dropout),
        ("from cylstm.layers.core import Lambda", "Lambda", cylstm.layers.Lambda),
        ("from cylstm import backend as K", "K", cylstm.backend),
        ("import cylstm.backend as K", "K", cylstm.backend),
        ("from cylstm.backend import mean", "mean", cylstm.backend.mean),
        ("from cylstm.backend.common import epsilon", "epsilon", cylstm.backend.epsilon),
        ("from cylstm.engine.topology import K", "K", cylstm.backend),
        ("from cylstm.models import *", "Input", cylstm.Input),
        ("from cylstm.layers.embeddings import Embedding", "Embedding", cylstm.layers.Embedding),
        ("from cylstm.layers.wrappers import Bidirectional as B", "B", cylstm.layers.Bidirectional),
        ("from cylstm.layers.convolutional import MaxPooling1D as M", "M",
         cylstm.layers.MaxPooling1D),
        ("from cylstm.layers.advanced_activations import LeakyReLU as L", "L",
         cylstm.layers.LeakyReLU),
        ("import cylstm.engine.topology as T; x = T.Layer", "x", cylstm.Layer),
        ("from cylstm.engine import topology; x = topology.InputSpec", "x",
         cylstm.layers.InputSpec),
        ("import cylstm; x = cylstm.engine.training.Model", "x", cylstm.Model),
        ("import cylstm; x = cylstm.layers.recurrent.LSTM", "x", cylstm.LSTM),
        ("import cylstm.layers.embeddings; x = cylstm.layers.embeddings.Embedding", "x",
         cylstm.layers.Embedding),
        ("from cylstm.utils.np_utils import to_categorical as f", "f",
         cylstm.utils.to_categorical),
        ("from cylstm.utils import np_utils; f = np_utils.to_categorical", "f",
         cylstm.utils.to_categorical),
        ("from cylstm.utils.generic_utils import get_custom_objects as f", "f",
         cylstm.utils.get_custom_objects),
        ("from cylstm.objectives import mse", "mse", cylstm.losses.mean_squared_error),
        ("from cylstm.optimizers import adam", "adam", cylstm.optimizers.Adam),
        ("from cylstm.constraints import maxnorm", "maxnorm", cylstm.constraints.MaxNorm),
        ("from cylstm.models import Input, save_model", "Input", cylstm.Input),
        ("from cylstm.wrappers.scikit_learn import KerasClassifier as C", "C",
         cylstm.wrappers.scikit_learn.KerasClassifier),
        ("from cylstm.wrappers import scikit_learn; x = scikit_learn.Sequential", "x",
         cylstm.Sequential),
    ],
)  # fmt: skip
def test_import_lines(line, name, thing):
    assert run(line)[name] is thing


ABSENT_LINES = {
    "from cylstm.layers import GRU": "the nearest is LSTM",
    "from cylstm.layers.recurrent import GRU": "the nearest is LSTM",
    "from cylstm.layers.recurrent import LSTM, SimpleRNN": "the nearest is LSTM",
    "from cylstm.layers.convolutional import Conv2D": "Conv1D",
    "from cylstm.layers.convolutional_recurrent import ConvLSTM2D": "Conv1D",
    "import cylstm.backend.tensorflow_backend as K": "cylstm.backend",
    "from cylstm.backend import gradients": "vjp",
    "from cylstm.datasets import imdb": "downloads nothing",
    "from cylstm.datasets.imdb import load_data": "downloads nothing",
    "import cylstm.applications.vgg16": "images",
    "from cylstm.utils import HDF5Matrix": "h5py",
    "from cylstm.utils.io_utils import HDF5Matrix": "h5py",
    "from cylstm.utils.data_utils import get_file": "downloads nothing",
    "from cylstm.engine.topology import Container": "Model",
    "from cylstm.optimizers import TFOptimizer": "TensorFlow",
}


@pytest.mark.parametrize("line", ABSENT_LINES)
def test_an_absent_name_says_why(line):
    with pytest.raises(ImportError) as caught:
        run(line)
    assert str(caught.value).startswith("cylstm has no ")
    assert ABSENT_LINES[line] in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "from cylstm.layers import LTSM",
        "from cylstm.layers.recurrent import LTSM",
        "from cylstm.layers.embeddings import LTSM",
    ],
)
def test_an_unknown_name_is_pythons_own_error(line):
    with pytest.raises(ImportError, match="cannot import name 'LTSM' from 'cylstm.layers"):
        run(line)


def test_unknown_modules_are_pythons_own_error():
    with pytest.raises(ModuleNotFoundError, match="No module named 'cylstm.layer'"):
        run("import cylstm.layer")
    assert importlib.util.find_spec("cylstm.no_such_thing") is None
    assert importlib.util.find_spec("cylstm.engine").name == "cylstm.engine"


@pytest.mark.parametrize("module", [cylstm.layers, cylstm.layers.recurrent, cylstm.engine.topology])
def test_an_absent_attribute_is_an_attribute_error(module):
    assert not hasattr(module, "GRU")
    assert getattr(module, "GRU", None) is None
    with pytest.raises(AttributeError, match="has no GRU") as caught:
        _ = module.GRU
    assert caught.value.name == "GRU"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
    assert not hasattr(module, "__wrapped__")


def test_modules_of_the_table_are_modules():
    module = importlib.import_module("cylstm.layers.embeddings")
    assert sys.modules["cylstm.layers.embeddings"] is module is cylstm.layers.embeddings
    assert module.__name__ == "cylstm.layers.embeddings"
    assert inspect.ismodule(module)
    assert set(dir(module)) >= {"Embedding", "Layer"}
    assert "class Embedding" in pydoc.render_doc(module, renderer=pydoc.plaintext)
    assert importlib.reload(module) is module
    assert module.Embedding is cylstm.layers.Embedding
    assert pickle.loads(pickle.dumps(module.Embedding)) is module.Embedding
    assert copy.copy(module.Embedding) is module.Embedding


def test_reloading_keeps_one_finder():
    for name in ("cylstm", "cylstm.layers.recurrent"):
        importlib.reload(importlib.import_module(name))
    assert sum(type(f).__module__ == "cylstm._keras_names" for f in sys.meta_path) == 1
    assert cylstm.layers.core.Dropout is cylstm.layers.Dropout


def test_a_fresh_interpreter_imports_a_module_of_the_table_first():
    program = "from cylstm.layers.embeddings import Embedding; print(Embedding.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "cylstm.layers.embedding\n"


def test_the_table_prints(capsys):
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(list(rows()))
    assert "None" not in "".join(lines)


def instances():
    model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(5, 3))])
    x = cylstm.Input((5, 3))
    return {
        "Callback": cylstm.callbacks.Callback(),
        "LSTM": model.layers[0],
        "Layer": cylstm.layers.Dense(2),
        "Model": cylstm.Model(x, cylstm.LSTM(4)(x)),
        "Optimizer": cylstm.optimizers.Adam(),
        "Recurrent": model.layers[0],
        "Sequential": model,
    }


@pytest.mark.parametrize("name", RECORD["members"])
def test_every_member_of_keras_classes_is_present_or_absent_with_a_reason(name):
    absent = {member for members in ABSENT_MEMBERS.values() for member in members.split()}
    found = dir(instances()[name])  # without asking: some raise of a layer that is not connected
    missing = set(RECORD["members"][name]) - set(found)
    assert missing <= absent
    assert not absent & set(found)
