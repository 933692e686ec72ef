"""What ARCHITECTURE.md says is so: files and names exist, calls take the paths it tells."""

import ast
import re
from pathlib import Path

import pytest
from call_paths import PATHS, passed

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "cylstm"  # the sources: what is installed may lack those of the core
TEXT = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SPANS = sorted(set(re.findall(r"`([^`]+)`", TEXT)))
A_FILE = re.compile(r"[\w/]+/|[\w/]+\.(?:py|pyx|pxd|pxi|h|c|md)")
A_NAME = re.compile(rf"({A_FILE.pattern}):([\w.]+)")
SECTIONS = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
SOURCES = [p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".pyx", ".pxd", ".pxi", ".h", ".c"}]
WORDS = {w for p in SOURCES for w in re.findall(r"\w+", p.read_text(encoding="utf-8"))}
NOT_OF_THE_CODE = {"python", "tests", "call_paths"}  # of the command that prints the paths


def place(path):
    """Where a file of the page is: in the package, or, with the first folder named, beside it."""
    inside = PACKAGE / path
    return inside if inside.exists() else CHECKOUT / path


def names_of(path):
    """What a module defines, at its top and in its classes, with dots."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(t.id for t in targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found.update(f"{node.name}.{n.name}" for n in inner if isinstance(n, ast.FunctionDef))
    return found


def defines(path, name):
    """Whether a file defines a name; in what is compiled, whether its text looks like it."""
    if path.suffix == ".py":
        return name in names_of(path)
    text = path.read_text(encoding="utf-8")
    is_c = path.suffix in {".c", ".h"}
    begins = r"^\w" if is_c else r"^[ \t]*(?:cdef|cpdef|def|class)\b"
    return all(
        re.search(rf"{begins}.*\b{word}\b\)?[(:]", text, re.MULTILINE) for word in name.split(".")
    )


def test_the_page_has_names():
    assert sum(bool(A_NAME.fullmatch(span)) for span in SPANS) > 50
    assert set(SECTIONS) == set(PATHS)


@pytest.mark.parametrize("span", SPANS)
def test_what_is_named_exists(span):
    name = A_NAME.fullmatch(span)
    if name:
        assert defines(place(name[1]), name[2]), span
    elif A_FILE.fullmatch(span):
        assert place(span).exists(), span
    else:
        assert set(re.findall(r"[A-Za-z_]{2,}\w*", span)) <= WORDS | NOT_OF_THE_CODE, span


@pytest.mark.parametrize(
    "name", ["layers/lstm.py:LSTM.no_such", "layers/lstm.py:Gradients", "_buffers.pxi:no_such"]
)
def test_what_does_not_exist_is_seen(name):
    path, name = name.split(":")
    assert not defines(place(path), name)


@pytest.mark.parametrize("title", PATHS)
def test_a_call_takes_the_path(title):
    """What the numbered steps name is called, each for the first time after the one before."""
    steps = "\n".join(re.findall(r"^(?:\d\.|   ).*", SECTIONS[title], re.MULTILINE))
    told = [
        (file, name)
        for file, name in re.findall(r"`([\w/]+\.py):([\w.]+)`", steps)
        if not name.rpartition(".")[2][:1].isupper() or name == "Input"  # no classes, constants
    ]
    called = [name for name in passed(PATHS[title]()) if name in told]
    assert called == list(dict.fromkeys(told))


def test_the_counts_are_those_of_the_lists():
    """Where a row names every file, and not one of several."""
    rows = re.findall(r"^\| (.+?) \| (\d) \| (.+) \|$", TEXT, re.MULTILINE)
    counts = {what: (int(count), len(re.findall("`[^`]+`", which))) for what, count, which in rows}
    (fast,) = (what for what in counts if what.startswith("..."))
    assert counts[fast][0] == counts["an activation, by name"][0] + counts[fast][1]
    for what in ("an activation, by name", "an instruction set", "a metric"):
        assert counts[what][0] == counts[what][1], what
