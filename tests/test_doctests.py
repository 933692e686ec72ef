"""The examples in the documentation run and print what they say."""

import doctest
import importlib
import pkgutil
import shutil
from pathlib import Path

import keras_files
import pytest

import cylstm
from cylstm import backend
from cylstm.backend._absent import ABSENT, table

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md"))]
ENDS_OF_REASONS = [f"absent: {reason} |" for reason in ABSENT.values()]
MODULES = [
    "cylstm",
    *sorted(m.name for m in pkgutil.walk_packages(cylstm.__path__, "cylstm.")),
]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "cylstm.__main__"])
def test_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that pages read, as the frameworks of their names wrote them."""
    data = CHECKOUT / "tests" / "data"
    for source, name in [
        (keras_files.unpacked("keras1") / "old_stack.h5", "keras1.h5"),
        (keras_files.unpacked("keras1") / "old_stack.npz", "keras1.npz"),
        (keras_files.unpacked("tf_1_4") / "plain.h5", "tensorflow1.h5"),
        (keras_files.unpacked("tf_1_4") / "plain.npz", "tensorflow1.npz"),
        (keras_files.unpacked("keras3") / "stack.keras", "keras3.keras"),
        (keras_files.unpacked("keras3") / "stack.npz", "keras3.npz"),
        (data / "torch" / "modules.pt", "torch.pt"),
        (data / "onnx" / "torch_script_classifier.onnx", "torch.onnx"),
    ]:
        shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_pages(page, folder, monkeypatch):
    """The README is read in the checkout, all other pages where their files are."""
    monkeypatch.chdir(CHECKOUT if page == "README.md" else folder)
    backend.clear_session()  # names of layers begin with 1
    threads = cylstm.get_num_threads()
    result = doctest.testfile(str(CHECKOUT / page), module_relative=False, optionflags=OPTIONS)
    cylstm.set_num_threads(threads)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_table_of_the_backend_is_what_there_is():
    """Renew it with `python -c "from cylstm import backend as K; print(K._absent.table(K))"`."""
    text = (CHECKOUT / "docs" / "backend.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[rows.index("| name | |") :] == table(backend).splitlines()
    cut = [r for r in table(backend).splitlines()[2:] if not r.endswith((". |", *ENDS_OF_REASONS))]
    assert cut == []  # a docstring whose first line is no sentence
