"""The house rules: one version, typed, public names declared, no path of a machine."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import sys
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest
from with_torch import importable

import cylstm
from cylstm import _blas, _core

PACKAGE = Path(cylstm.__file__).parent
CHECKOUT = Path(__file__).resolve().parents[1]
MODULES = importable(sorted(m.name for m in pkgutil.walk_packages(cylstm.__path__, "cylstm.")))
COMPILED = {"cylstm._blas", "cylstm._core"}
WRITTEN_IN_PYTHON = ["cylstm", *sorted(set(MODULES) - COMPILED - {"cylstm.__main__"})]
FOR_USERS = [n for n in WRITTEN_IN_PYTHON if re.fullmatch(r"cylstm\.[a-z]\w+", n)]


def test_one_file_of_the_extensions_names_scipy():
    """The one that is loaded when it is first needed."""
    compiled = [
        p for kind in ("pyx", "pxd", "pxi") for p in (CHECKOUT / "cylstm").rglob(f"*.{kind}")
    ]
    named = [p.name for p in compiled if re.search(r"\bfrom scipy|\bimport scipy", p.read_text())]
    assert named == ["_blas.pyx"]


def test_the_version_is_one():
    assert version("cylstm") == cylstm.__version__
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (?:Unreleased )?(\S+)", changelog, re.MULTILINE)[1] == cylstm.__version__


def test_what_is_installed_with_it():
    """Models can be saved at once; the extra that once was needed for it is an empty name."""
    assert "files" in metadata("cylstm").get_all("Provides-Extra")
    needed = [re.match(r"[\w-]+", line)[0] for line in requires("cylstm") if "extra" not in line]
    assert sorted(needed) == ["numpy", "safetensors", "scipy"]
    assert [line for line in requires("cylstm") if re.search(r"extra == .files", line)] == []


@pytest.mark.parametrize("module", [_blas, _core])
def test_the_package_is_typed(module):
    assert (PACKAGE / "py.typed").is_file()
    name = module.__name__.rpartition(".")[2]
    stub = ast.parse((PACKAGE / f"{name}.pyi").read_text(encoding="utf-8"))
    typed = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef)}
    functions = {n for n, f in vars(module).items() if inspect.isroutine(f) and n[0] != "_"}
    assert functions
    assert functions == set(typed)
    for name in functions:
        arguments = typed[name].args
        given = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        assert given == list(inspect.signature(getattr(module, name)).parameters), name
        assert all(a.annotation for a in arguments.args + arguments.kwonlyargs), name


@pytest.mark.parametrize("name", WRITTEN_IN_PYTHON)
def test_all_lists_names_that_exist(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [n for n in module.__all__ if not hasattr(module, n)] == []


@pytest.mark.parametrize("name", FOR_USERS)
def test_all_is_what_is_public(name):
    """All that a module defines without underscore, and what the parts of a package offer.

    A part that is public itself, such as preprocessing.text, offers its names there.
    """
    module = importlib.import_module(name)
    defined = {n for n, v in vars(module).items() if getattr(v, "__module__", None) == name}
    parts = [importlib.import_module(m) for m in MODULES if m.startswith(f"{name}.")]
    inner = {m.__name__.rpartition(".")[2]: m for m in parts if "._" not in m.__name__}
    offered = {n for leaf, m in inner.items() if leaf not in module.__all__ for n in m.__all__}
    public = {n for n in defined | offered if n[0] != "_"}
    assert public <= set(module.__all__)
    assert [n for n in module.__all__ if n[0] == "_"] == []


def test_no_path_of_a_machine():
    """Nothing that is shipped names a folder of the machine that it was written on."""
    private = re.compile(r"(?:^|[^\w.])/(?:[w]ork|[r]oot|[t]mp|[h]ome/\w+|[U]sers/\w+)(?:/|\b)")
    files = [
        *PACKAGE.rglob("*"),
        *(CHECKOUT / "tests").rglob("*"),
        *(CHECKOUT / "docs").rglob("*"),
        *(CHECKOUT / "examples").rglob("*"),
        *(CHECKOUT / ".ci").rglob("*"),
        *CHECKOUT.glob("*.*"),
    ]
    texts = {".cfg", ".h", ".in", ".json", ".md", ".pxd", ".py", ".pyi", ".pyx", ".toml", ""}
    found = [
        f"{path}: {line.strip()[:80]}"
        for path in files
        if path.is_file() and path.suffix in texts
        for line in path.read_text(encoding="utf-8").splitlines()
        if private.search(line)
    ]
    assert found == []


def test_help_is_a_map():
    """The docstring of the package names every part of it, and nothing that does not exist."""
    text = cylstm.__doc__
    missing = [n for n in cylstm.__all__ if not re.search(rf"\b{n}\b", text) and n[0] != "_"]
    assert missing == []
    headings = re.findall(r"^(\w[\w, ]*)\n    \S", text.split("------\n", 1)[1], re.MULTILINE)
    named = {name for heading in headings for name in heading.split(", ")}
    assert named >= {"layers", "models", "Sequential"}
    for name in named - {"distributed", "testing", "torch"}:
        assert name in cylstm.__all__
    assert importlib.import_module("cylstm.testing").gradient_error


def what_is_missing(command, include_dirs):
    """The function of that name in setup.py, which cannot be imported: it would build."""
    wanted = {"HOW_TO_GET_A_COMPILER", "what_is_missing"}
    tree = ast.parse((CHECKOUT / "setup.py").read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if getattr(node, "name", None) in wanted
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in wanted)
    ]
    names = {"os": os, "shutil": shutil}
    exec(compile(tree, "setup.py", "exec"), names)
    return names["what_is_missing"](command, include_dirs)


def test_a_build_without_a_compiler_says_what_to_install(tmp_path):
    (tmp_path / "Python.h").touch()
    here = [str(tmp_path)]
    message = what_is_missing("no-such-compiler", here)
    assert message.startswith("cylstm needs a C compiler, and 'no-such-compiler' was not found:")
    for advice in ("apt install gcc python3-dev", "xcode-select --install", "Visual Studio"):
        assert advice in message
    message = what_is_missing(sys.executable, [str(tmp_path / "nothing")])
    assert message.startswith("cylstm needs the headers of Python, and Python.h was not found:")
    assert "python3-dev" in message
    assert what_is_missing(sys.executable, here) is None
    assert what_is_missing(None, here) is None  # a compiler that is found in its own way


def test_what_type_checkers_are_to_ignore_has_a_code_and_a_reason():
    ignored = [
        line.strip()
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "type: ignore" in line
    ]
    assert 0 < len(ignored) < 40
    bare = [line for line in ignored if not re.search(r"# type: ignore\[[a-z-]+\]  # \w", line)]
    assert bare == []
