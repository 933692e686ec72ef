"""The examples in the documentation run and print what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import cylstm

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
README = Path(__file__).resolve().parents[1] / "README.md"
MODULES = [
    "cylstm",
    *sorted(m.name for m in pkgutil.walk_packages(cylstm.__path__, "cylstm.")),
]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "cylstm.__main__"])
def test_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


def test_readme():
    result = doctest.testfile(str(README), module_relative=False, optionflags=OPTIONS)
    assert result.attempted > 0
    assert result.failed == 0
