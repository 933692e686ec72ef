"""How Sphinx makes the manual: `python -m sphinx -W --keep-going docs build/manual`."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import cylstm

project = "cylstm"
author = "The cylstm developers"
copyright = author
version = release = cylstm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
default_role = "literal"  # single backticks in docstrings are code
add_module_names = False
toc_object_entries_show_parents = "hide"

myst_heading_anchors = 3

autodoc_default_options = {"show-inheritance": True}
autodoc_typehints = "none"  # types and shapes stand in the docstrings
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False  # types are words there, no references
napoleon_use_rtype = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"cylstm {version}"
html_static_path = ["static"]
html_css_files = ["manual.css"]
html_show_sphinx = False


def own_name(name: str, member: Any) -> str:
    """The name under which something is described: another one, where `name` is only an alias."""
    return getattr(member, "__name__", name)


def skip_member(
    app: Any, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Describe everything once: no aliases, no modules within modules, no "See `Base.method`."."""
    alias = isinstance(member, ModuleType) or own_name(name, member) != name
    refers = re.fullmatch(r"See `[\w.]+`\.", (getattr(member, "__doc__", None) or "").strip())
    return True if (what == "module" and alias) or (what == "class" and refers) else None


def name_public_bases(app: Any, name: str, cls: type, options: Any, bases: list[type]) -> None:
    """Name in place of a private base the public ones that it has."""
    public: list[type] = []
    for base in bases:
        private = re.search(r"(^|\.)_", f"{base.__module__}.{base.__name__}")
        public += base.__bases__ if private and base.__module__.startswith("cylstm") else [base]
    bases[:] = [b for b in dict.fromkeys(public) if b is not object] or [object]


def list_aliases(
    app: Any, what: str, name: str, module: Any, options: Any, lines: list[str]
) -> None:
    """Say at the head of a module which other names there are."""
    if what != "module" or name == "cylstm":
        return
    members = {n: getattr(module, n) for n in module.__all__}
    aliases = [
        f"``{n}`` (``{own_name(n, member)}``)"
        for n, member in members.items()
        if not isinstance(member, ModuleType) and own_name(n, member) != n
    ]
    if aliases:
        lines += ["", f"*Also:* {', '.join(aliases)}", ""]


def cut_last_lines(app: Any, page: str, source: list[str]) -> None:
    """Drop the empty line that doctest needs at the end of a block, and readers do not."""
    source[0] = re.sub(r"\n\n```\n", "\n```\n", source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", cut_last_lines)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-bases", name_public_bases)
    app.connect("autodoc-process-docstring", list_aliases)
