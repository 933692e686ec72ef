"""The interface of a peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from bench.problems import Case, Data

__all__ = ["Peer", "Prepared", "Unsupported"]


class Unsupported(Exception):
    """Raised by a peer that cannot compute a case, with the reason."""


@dataclass
class Prepared:
    """A case made ready.

    Attributes
    ----------
    run : callable
        What is timed: one call, its arguments in place as the peer likes them; all work is done
        when it returns.
    results : callable
        Computes the case afresh and returns arrays by name. Of a step: outputs (batch, FRAMES,
        units), from zero states. Of forward: outputs (batch, timesteps, units), and if there are
        any final_h and final_c (batch, units). Of train also d_inputs, d_kernel,
        d_recurrent_kernel, d_bias. All batch-major, with the gates in the order i, f, c, o;
        outputs beyond a sequence's length are ignored.
    """

    run: Callable[[], Any]
    results: Callable[[], dict[str, np.ndarray]]


class Peer:
    """A library that computes LSTMs. Subclasses override what they can do.

    Attributes
    ----------
    modules : tuple of str
        What must be importable.
    headers : tuple of str
        The headers in C of a library that is used through a driver, see `bench.peers.native`.
    distributions : tuple of str
        The packages whose versions are reported.
    """

    modules: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()

    def environment(self, threads: int) -> dict[str, str]:
        """Environment variables to be set before the process starts."""
        return {}

    def held_to(self, isa: str) -> dict[str, str]:
        """Environment variables that keep the library from better instruction sets than this one.

        Parameters
        ----------
        isa : {"generic", "avx2", "avx512"}
            The name that cylstm gives to it; this CPU has better ones.

        Raises
        ------
        Unsupported
            If the library cannot be held to it, with the reason.
        """
        raise Unsupported("no way is known to hold it to an instruction set")

    def start(self, threads: int) -> None:
        """Import the library and limit its threads."""

    def versions(self) -> dict[str, str]:
        """The versions of the packages in use."""
        found = {}
        for name in self.distributions:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "not installed as a package"
        return found

    def isa(self) -> str | None:
        """What the library says that it runs, once it is started; None if it does not say."""
        return None

    def prepare(self, case: Any, data: Any) -> Prepared:
        """Make a case ready, from a `Case` and its `Data`; or a whole job, see `bench.jobs`.

        Raises
        ------
        Unsupported
            If the peer cannot compute it.
        """
        methods = {"step": self.step, "forward": self.forward, "train": self.train}
        return methods[case.mode](case, data)

    def step(self, case: Case, data: Data) -> Prepared:
        """Make one step with a state that is carried along ready."""
        raise Unsupported("no steps")

    def forward(self, case: Case, data: Data) -> Prepared:
        """Make the run over whole sequences, with the outputs of all timesteps, ready."""
        raise Unsupported("no forward pass")

    def train(self, case: Case, data: Data) -> Prepared:
        """Make the forward pass and the gradients of inputs and weights ready."""
        raise Unsupported("no gradients")
