"""Names that are loaded on first use: importing cylstm costs little, however much it has.

The ``__init__`` of a package that re-exports has its imports under ``if TYPE_CHECKING``, for
readers and type checkers, and beside them a table of the same, which is what runs (PEP 562). The
architecture test holds the two together.

No lock is needed for a first use in several threads: who loads a package waits for none of its
modules, and who loads a module waits for lower ones only, so that Python's locks form no circle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

__all__ = ["LazyNames", "later", "lazy"]


class LazyNames(Mapping[str, Any]):
    """Objects by name, each loaded when it is first asked for.

    Parameters
    ----------
    package : str
        Where the modules are.
    table : dict
        Module of the package, without its name, to the names that it has, as one string; "" is the
        package itself, whose names are modules.

    Examples
    --------
    >>> names = LazyNames("cylstm", {"layers": "LSTM Dense", "": "layers"})
    >>> list(names), names["LSTM"].__module__
    (['LSTM', 'Dense', 'layers'], 'cylstm.layers.lstm')
    """

    def __init__(self, package: str = "", table: Mapping[str, str] | None = None) -> None:
        self._homes: dict[str, tuple[str, bool]] = {}  # module, and whether the name is within it
        self.add(package, table or {})

    def add(self, package: str, table: Mapping[str, str]) -> None:
        """Enter further names, of this or another package."""
        for module, names in table.items():
            for name in names.split():
                self._homes[name] = f"{package}.{module or name}", bool(module)

    def __getitem__(self, name: str) -> Any:
        module, within = self._homes[name]
        loaded = import_module(module)
        return getattr(loaded, name) if within else loaded

    def __contains__(self, name: object) -> bool:
        return name in self._homes  # without loading what has it

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


class _Later:
    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


def later(module: str) -> Any:
    """A module, which is loaded when something of it is first asked for.

    Parameters
    ----------
    module : str
        Its dotted name.

    Examples
    --------
    >>> later("string").digits
    '0123456789'
    """
    return _Later(module)


def lazy(
    package: str, *tables: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` of a package whose names are loaded on first use.

    Public modules of the tables are attributes, too, without being imported by name first.

    Parameters
    ----------
    package : str
        The ``__name__`` of the package.
    *tables : dict
        As for `LazyNames`.

    Returns
    -------
    tuple of two functions
        ``__getattr__, __dir__``.
    """
    modules = (module for table in tables for module in table if not module.startswith("_"))
    names = LazyNames(package, {"": " ".join(modules)})
    for table in tables:
        names.add(package, table)

    def __getattr__(name: str) -> Any:
        module = sys.modules[package]
        if name not in names:
            text = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=module)
        value = names[name]
        setattr(module, name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__
