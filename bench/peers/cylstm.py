"""cylstm: the installed one, or this checkout's where that is built in place."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared
from bench.problems import FRAMES, Case, Data

CHECKOUT = Path(__file__).resolve().parents[2]


def prefer_the_installed_package() -> None:
    """Put the checkout last on the path if it has no compiled core: it hides the installed one."""
    cores = (CHECKOUT / "cylstm" / f"_core{suffix}" for suffix in EXTENSION_SUFFIXES)
    if not any(core.exists() for core in cores):
        others = [entry for entry in sys.path if Path(entry or ".").resolve() != CHECKOUT]
        sys.path[:] = [*others, str(CHECKOUT)]


def instruction_sets() -> list[str]:
    """What this CPU has that cylstm has kernels for, the best one last.

    Raises
    ------
    ImportError
        If cylstm cannot be loaded.
    """
    prefer_the_installed_package()
    from cylstm import _core

    return list(_core.isas())


class Cylstm(Peer):
    """`cylstm.LSTM`, its `vjp`, and its stream."""

    modules = ("cylstm",)
    distributions = ("numpy", "scipy")

    def held_to(self, isa: str) -> dict[str, str]:
        return {"CYLSTM_ISA": isa}

    def start(self, threads: int) -> None:
        prefer_the_installed_package()
        import cylstm

        self._cylstm = cylstm
        if hasattr(cylstm, "set_num_threads"):
            cylstm.set_num_threads(threads)

    def versions(self) -> dict[str, str]:
        return {"cylstm": self._cylstm.__version__, **super().versions()}

    def isa(self) -> str | None:
        core = self._cylstm._core
        return core.isa() if hasattr(core, "isa") else None  # versions before this have none

    def _layer(self, case: Case, data: Data, **options: Any) -> Any:
        layer = self._cylstm.LSTM(
            case.shape.units, recurrent_activation="sigmoid", dtype=case.dtype, **options
        )
        layer.build((None, None, case.shape.input_dim))
        layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
        return layer

    def step(self, case: Case, data: Data) -> Prepared:
        if not hasattr(self._cylstm.LSTM, "stream"):
            return self._step_by_calls(case, data)
        layer = self._layer(case, data)
        frames = np.ascontiguousarray(data.inputs.swapaxes(0, 1))
        stream, frame = layer.stream(batch_size=case.shape.batch), frames[0]

        def results() -> dict[str, np.ndarray]:
            fresh = layer.stream(batch_size=case.shape.batch)
            return {"outputs": np.stack([np.array(fresh(frame)) for frame in frames], axis=1)}

        return Prepared(lambda: stream(frame), results)

    def _step_by_calls(self, case: Case, data: Data) -> Prepared:
        """Call the layer on sequences of one frame, and hand its states back to it."""
        layer = self._layer(case, data, return_state=True)
        frames = [np.ascontiguousarray(data.inputs[:, t : t + 1]) for t in range(FRAMES)]
        zeros = np.zeros((case.shape.batch, case.shape.units), case.dtype)
        state = [zeros, zeros]

        def run() -> None:
            _, *state[:] = layer(frames[0], initial_state=state)

        def results() -> dict[str, np.ndarray]:
            outputs, states = [], [zeros, zeros]
            for frame in frames:
                output, *states = layer(frame, initial_state=states)
                outputs.append(output)
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        layer = self._layer(case, data, return_sequences=True, return_state=True)
        inputs, mask = data.inputs, data.mask

        def results() -> dict[str, np.ndarray]:
            names = ("outputs", "final_h", "final_c")
            return dict(zip(names, layer(inputs, mask=mask), strict=True))

        return Prepared(lambda: layer(inputs, mask=mask), results)

    def train(self, case: Case, data: Data) -> Prepared:
        layer = self._layer(case, data, return_sequences=True)
        inputs, mask, d_outputs = data.inputs, data.mask, data.d_outputs

        def run() -> tuple[np.ndarray, Any]:
            outputs, pullback = layer.vjp(inputs, mask=mask, training=True)
            return outputs, pullback(d_outputs)

        def results() -> dict[str, np.ndarray]:
            outputs, gradients = run()
            names = ("d_kernel", "d_recurrent_kernel", "d_bias")
            by_name = dict(zip(names, gradients.weights, strict=True))
            return {"outputs": outputs, "d_inputs": gradients.inputs, **by_name}

        return Prepared(run, results)
