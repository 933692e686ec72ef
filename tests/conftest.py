"""What all tests share: which cylstm is tested, its random numbers, how Hypothesis searches."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).resolve().parents[1]


def use_the_installed_package() -> None:
    """Take the checkout off the path if cylstm is found without it.

    `python -m pytest` puts the working directory first on the path. In a checkout that is the
    source tree, which hides an installed cylstm and may hold no compiled core, or an old one. An
    editable install is found either way.
    """
    before = list(sys.path)
    sys.path[:] = [entry for entry in before if Path(entry or ".").resolve() != CHECKOUT]
    if importlib.util.find_spec("cylstm") is None:
        sys.path[:] = before


use_the_installed_package()

# Shells start background jobs with SIGINT ignored, and Python then leaves it so: the tests that
# interrupt a long run need the usual handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines under load are slow at times: no time limit for an example, neither to run nor to draw.
settings.register_profile(
    "default",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", parent=settings.get_profile("default"), max_examples=5000, derandomize=False
)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _same_random_numbers(monkeypatch):
    """Each test has the random numbers of a new process with a seed, whatever ran before it."""
    from cylstm import _random

    monkeypatch.setattr(_random, "_default", None)
    np.random.seed(0)


@pytest.fixture
def without_autograd(monkeypatch):
    """As where the package autograd is not installed."""
    for name in ("autograd", "autograd.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
