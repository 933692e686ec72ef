"""The manual is whole: its examples run; pages, links, pictures and names are there."""

import doctest
import importlib
import re
import runpy
import shutil
from pathlib import Path

import keras_files
import pytest

import cylstm

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = CHECKOUT / "README.md"
LINKED = [*PAGES, README, CHECKOUT / "ARCHITECTURE.md", CHECKOUT / "CONTRIBUTING.md"]
WITH_EXAMPLES = [README, *sorted(p for p in DOCS.glob("*.md") if p.name != "distributed.md")]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
# Code that is to be written into the package; programs that tests/cli/test_page.py and
# tests/distributed run; and what needs PyTorch, which tests/torch_module runs
NO_DOCTEST = {"extending.md": 1, "command_line.md": 1, "distributed.md": 2, "pytorch.md": 1}


def text_of(page):
    """A page, with the page that it includes in place of itself."""
    text = page.read_text(encoding="utf-8")
    included = re.match(r"```\{include\} (\S+)", text)
    return text_of((page.parent / included[1]).resolve()) if included else text


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(page):
    """What the headings of a page are called in links, as GitHub and MyST make it."""
    headings = re.findall(r"^#+ (.*)$", without_code(text_of(page)), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def name(page):
    return page.relative_to(CHECKOUT).as_posix()


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


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_examples_of_pages(page, folder, monkeypatch):
    """The README is read in the checkout, all other pages where their files are."""
    monkeypatch.chdir(CHECKOUT if page == README else folder)
    cylstm.backend.clear_session()  # names of layers begin with 1
    threads = cylstm.get_num_threads()
    result = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS)
    cylstm.set_num_threads(threads)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    lost = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"\w+://", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for index in (DOCS / "index.md", DOCS / "api" / "index.md"):
        for tree in re.findall(
            r"```\{toctree\}\n(.*?)```", index.read_text(encoding="utf-8"), re.S
        ):
            entries = [line for line in tree.split("\n") if line and not line.startswith(":")]
            listed |= {index.parent / f"{entry}.md" for entry in entries}
    assert listed == {*PAGES} - {DOCS / "index.md"}


def test_python_in_pages_is_run():
    """Every block of Python is a doctest, but for the ones that are counted above."""
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        others = [block for block in blocks if not block.startswith(">>> ")]
        assert len(others) == NO_DOCTEST.get(page.relative_to(DOCS).as_posix(), 0), page
        assert all(block.endswith("\n\n") for block in blocks if block.startswith(">>> ")), page


def test_the_reference_has_all_public_names():
    """Each module that `cylstm` offers, with all of its names, and each function of its own."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    modules = set(re.findall(r"automodule:: (\S+)\n   :members:", text))
    found = {name for module in modules for name in importlib.import_module(module).__all__}
    found |= {name.removeprefix("cylstm.") for name in re.findall(r"autofunction:: (\S+)", text)}
    found |= {module.split(".")[1] for module in modules}
    assert {*cylstm.__all__} - found == {"__version__"}
    assert "cylstm.testing" in modules


def test_the_pictures_are_what_the_script_draws():
    """Renew them by `python docs/figures.py`."""
    figures = runpy.run_path(str(DOCS / "figures.py"))["FIGURES"]
    drawn = {f"{name}.svg": draw().svg() for name, draw in figures.items()}
    files = {path.name: path.read_text("utf-8") for path in (DOCS / "figures").iterdir()}
    assert drawn == files
    used = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [n for n in drawn if f"(figures/{n})" not in used] == []
