"""The examples in docstrings run and print what they say. For those of pages see test_docs."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
from with_torch import importable

import cylstm
from cylstm import backend
from cylstm.backend._absent import ABSENT, table

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
CHECKOUT = Path(__file__).resolve().parents[1]
ENDS_OF_REASONS = [f"absent: {reason} |" for reason in ABSENT.values()]
MODULES = [
    "cylstm",
    *sorted(m.name for m in pkgutil.walk_packages(cylstm.__path__, "cylstm.")),
]


# What needs MPI is run by tests/distributed, in processes that may begin and end it.
ELSEWHERE = ("cylstm.__main__", "cylstm.distributed._mpi")


@pytest.mark.parametrize("name", importable(n for n in MODULES if not n.startswith(ELSEWHERE)))
def test_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


def test_the_table_of_the_backend_is_what_there_is():
    """Renew it with `python -c "from cylstm import backend as K; print(K._absent.table(K))"`."""
    text = (CHECKOUT / "docs" / "backend.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[rows.index("| name | |") :] == table(backend).splitlines()
    cut = [r for r in table(backend).splitlines()[2:] if not r.endswith((". |", *ENDS_OF_REASONS))]
    assert cut == []  # a docstring whose first line is no sentence
