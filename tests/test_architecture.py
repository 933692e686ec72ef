"""The house has floors: a module imports from lower ones only, and no rooms form a circle."""

import ast
import importlib.util
import pkgutil
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cylstm

PACKAGE = Path(cylstm.__file__).parent

# From the top of the house to its ground. A part is a module of cylstm or a package with all its
# modules; it imports from lower floors only, which keeps parts on one floor apart. Within a package
# no order is written down, but there is one: imports form no circle, and none leads to the
# package itself. `cylstm` only re-exports, and hands `saving` down to the models.
FLOORS = [
    {"cylstm"},
    {"__main__"},
    {"cli"},
    {"_demos"},
    {"_keras_names"},
    {"_from_torch"},
    {"distributed", "sklearn", "wrappers"},
    {"saving", "testing", "torch"},
    {"models"},
    {"training"},
    {"layers"},
    {"backend"},
    {"callbacks", "optimizers"},
    {"graph", "variables"},
    {"_reference", "metrics"},
    {"activations", "constraints", "initializers", "losses", "regularizers"},
    {"preprocessing"},
    {"utils"},
    {"_layer_names", "_registry", "_spellings"},
    {"_rows", "_threads"},
    {"_trace"},
    {
        "_arguments",
        "_blank",
        "_blas",
        "_checks",
        "_core",
        "_lazy",
        "_methods",
        "_names",
        "_numbers",
        "_phase",
        "_random",
        "_storage",
        "_version",
        "_warning",
    },  # fmt: skip
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
# What is compiled is known to those who compute with it, and to nothing else.
ENGINE_ROOM = {
    "cylstm", "_reference", "_rows", "_threads", "layers", "losses", "models", "optimizers"
}  # fmt: skip


def dotted_name(path):
    words = ["cylstm", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


SOURCES = {dotted_name(p): p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts}
PACKAGES = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
COMPILED = {f"cylstm.{m.name}" for m in pkgutil.iter_modules(cylstm.__path__)} - set(SOURCES)
MODULES = {*SOURCES, *COMPILED}


def part(module):
    """Which part of the package a dotted name belongs to: cylstm.layers.lstm is of layers."""
    words = module.split(".")
    return words[1] if len(words) > 1 else words[0]


def named(node, package):
    """Yield what an import, or a call that imports, names; dotted."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        if called in ("import_module", "__import__"):
            yield importlib.util.resolve_name(str(node.args[0].value), package)


def imported(module, source):
    """The modules of cylstm that a source imports anywhere, functions included."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    names = [n for node in ast.walk(ast.parse(source)) for n in named(node, package)]
    return {
        name if name in MODULES else name.rpartition(".")[0]
        for name in names
        if name.split(".")[0] == "cylstm"
    }


def arrows_back(module, source):
    """The imports of a module that do not lead to a lower floor, or lead to its own package."""
    own, package = part(module), module.rpartition(".")[0]
    return [
        f"{module} imports {name}"
        for name in sorted(imported(module, source))
        if (name == package if part(name) == own else FLOOR[part(name)] <= FLOOR[own])
    ]


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_point_one_way(module):
    assert part(module) in FLOOR, f"{module}: which floor of FLOORS is it on?"
    assert arrows_back(module, SOURCES[module].read_text(encoding="utf-8")) == []


def test_no_imports_form_a_circle():
    """Not even within a package, nor through what only a function imports."""
    graph = {m: imported(m, path.read_text(encoding="utf-8")) for m, path in SOURCES.items()}
    list(TopologicalSorter(graph).static_order())  # a CycleError names the modules of a circle
    graph["cylstm._names"] = {"cylstm.layers.lstm"}
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def lazy_imports(package, source):
    """Of each ``if TYPE_CHECKING: imports; else: tables``: names to modules, of either."""
    imports, tables = {}, {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.If) or ast.unparse(node.test) != "TYPE_CHECKING":
            continue
        for statement in node.body if node.orelse else []:
            imports |= {alias.name: statement.module for alias in statement.names}
        for table in (n for part in node.orelse for n in ast.walk(part) if type(n) is ast.Dict):
            for module, names in ast.literal_eval(table).items():
                home = f"{package}.{module}".rstrip(".")
                tables |= dict.fromkeys(names.split(), home)
    return imports, tables


LAZY = {
    package: tables
    for package in sorted(PACKAGES)
    for _, tables in [lazy_imports(package, SOURCES[package].read_text(encoding="utf-8"))]
    if tables
}


@pytest.mark.parametrize("package", LAZY)
def test_lazy_imports_are_those_that_the_tests_above_see(package):
    """What a package loads on first use is imported for type checkers, and these imports count."""
    imports, tables = lazy_imports(package, SOURCES[package].read_text(encoding="utf-8"))
    assert imports == tables


def test_a_lazy_name_is_what_its_module_has():
    program = (
        "import sys\n"
        "from importlib import import_module as load\n"
        f"for package, table in {LAZY!r}.items():\n"
        "    for name, home in table.items():\n"
        "        thing, there = getattr(load(package), name), load(home)\n"
        "        if thing is not (getattr(there, name) if home != package else\n"
        "                         sys.modules[f'{package}.{name}']):\n"
        "            print(package, name, thing)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""


@pytest.mark.parametrize("package", LAZY)
def test_what_a_lazy_package_offers(package):
    """What the tables say, and no name that is also that of a module."""
    module, tables = importlib.import_module(package), LAZY[package]
    assert set(tables) <= set(dir(module))
    assert set(tables) - set(module.__all__) <= {"graph"}
    modules = {m.rpartition(".")[2] for m in MODULES if m.rpartition(".")[0] == package}
    assert {n for n, home in tables.items() if n in modules and home != package} == set()


def loaded_at_once(node):
    """Walk a source without what only functions and type checkers import."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from loaded_at_once(child)


def test_a_first_use_in_several_threads_waits_in_no_circle():
    """Python locks a module before its package: who loads a package must need none of its modules.

    Where it does, others load the package first, and so never hold the lock of such a module.
    """
    eager, found = set(), []
    for package in PACKAGES - {"cylstm"}:
        tree = ast.parse(SOURCES[package].read_text(encoding="utf-8"))
        names = {n for node in loaded_at_once(tree) for n in named(node, package)}
        if any(name.startswith(f"{package}.") for name in names):
            eager.add(package)
    assert eager.isdisjoint(LAZY)
    for module, path in SOURCES.items():
        seen = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in named(node, module if module in PACKAGES else module.rpartition(".")[0]):
                home = getattr(node, "module", None) or name
                package = home if home in PACKAGES else home.rpartition(".")[0]
                if home != package and package in eager - seen and part(module) != part(home):
                    found.append(f"{module} imports {home} before {package}")
                seen |= {home, name}
    assert found == []


def test_every_part_has_one_floor():
    parts = {part(module) for module in MODULES}
    assert sorted(name for names in FLOORS for name in names) == sorted(parts)


def test_the_page_has_the_floors():
    page = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
    table = page.read_text(encoding="utf-8").split("## Floors", 1)[1].split("##", 1)[0]
    rows = [
        set(re.findall(r"`(\w+)(?:/|\.pyx?)`", row))
        for row in re.findall(r"^\| (`.+?) \|", table, re.M)
    ]
    assert rows[0] == {"__init__"}
    assert rows[1:-1] == FLOORS[1:-1]
    assert rows[-1] < FLOORS[-1]


def test_the_core_is_known_to_those_who_compute_with_it():
    knowing = {
        part(module)
        for module, path in SOURCES.items()
        if imported(module, path.read_text(encoding="utf-8")) & COMPILED
    }
    assert knowing == ENGINE_ROOM


@pytest.mark.parametrize(
    "source",
    [
        "from cylstm import layers",
        "from cylstm import LSTM",
        "import cylstm.layers.layer",
        "from cylstm.layers import LSTM",
        "from cylstm import initializers",
        "def f():\n    from . import layers",
        "from .layers.layer import Layer",
        "def f():\n    return importlib.import_module('cylstm.layers')",
        "def f():\n    return import_module('.layers', 'cylstm')",
    ],
)
def test_an_arrow_back_is_seen(source):
    assert len(arrows_back("cylstm.activations", source)) == 1


@pytest.mark.parametrize("source", ["from . import LSTM", "import cylstm.layers"])
def test_a_module_that_imports_its_own_package_is_seen(source):
    assert len(arrows_back("cylstm.layers.lstm", source)) == 1


def test_imports_downwards_are_no_arrows_back():
    source = "import numpy\nfrom cylstm import _registry\nfrom ._registry import Registry"
    assert arrows_back("cylstm.activations", source) == []
    assert arrows_back("cylstm.layers.lstm", "from cylstm.layers import layer, _turns") == []


def test_no_python_module_names_scipy():
    """Nor waits for it at import: one resamples sound."""
    found = sorted(
        p.name
        for p in SOURCES.values()
        if re.search(r"\bimport scipy|\bfrom scipy", p.read_text(encoding="utf-8"))
    )
    assert found == ["who_speaks.py"]


def test_import_is_light():
    """What is not needed at once waits until it is, and no thread is started."""
    program = (
        "import sys, threading, cylstm\n"
        "print(threading.active_count(), sorted({'h5py', 'matplotlib', 'onnx', 'pandas', "
        "'safetensors', 'threadpoolctl', 'torch', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 []\n"
