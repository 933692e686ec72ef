"""A plugin of pytest: tests that miss a package which `try_wheel.py` left out are skipped.

The environment variable LEFT_OUT names the packages. A test, or a module of tests, is skipped if an
ImportError ended it that names one of them: what the package says where an extra is not installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import Any

import pytest

NAMES = [name for name in os.environ.get("LEFT_OUT", "").split(",") if name]


def missing(error: BaseException | None) -> str | None:
    """The name of what was left out, if an exception or one that led to it is for want of it."""
    while error is not None:
        if isinstance(error, ImportError):
            for name in NAMES:
                if re.search(rf"\b{re.escape(name)}\b", str(error)):
                    return name
        error = error.__cause__ or error.__context__
    return None


def skipped(report: Any, call: Any, path: Any) -> Any:
    """The report, of a skip if there was no other reason to fail."""
    name = missing(call.excinfo.value) if report.failed and call.excinfo else None
    if name is not None:
        report.outcome, report.longrepr = "skipped", (str(path), None, f"Skipped: without {name}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, Any]:
    """What became of a test."""
    return skipped((yield), call, item.path)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: Any) -> Generator[None, Any, Any]:
    """What became of the import of a module."""
    report = yield
    return skipped(report, report.call, collector.path)
