"""LIBXSMM: the LSTM of its deep-learning part, which version 1.17 is the last to have."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.peers.native import address, aligned, built
from bench.problems import FRAMES, Case, Data

ORDER = "icfo"
INSTRUCTION_SETS = {"generic": "wsm", "avx2": "hsw"}
BLOCK = 64
"""Of rows, inputs and units: the library's own default, where it divides them."""


def blocked(weights: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(4, R, C) into blocks of rows and columns: (4, C / columns, R / rows, rows, columns)."""
    gates, r, c = weights.shape
    parts = weights.reshape(gates, r // rows, rows, c // columns, columns)
    return parts.transpose(0, 3, 1, 2, 4)


def unblocked(blocks: np.ndarray) -> np.ndarray:
    """The way back."""
    gates, across, down, rows, columns = blocks.shape
    return blocks.transpose(0, 2, 3, 1, 4).reshape(gates, down * rows, across * columns)


def block(size: int) -> int:
    """What a dimension is divided into: as the library does it, all of it where 64 do not fit."""
    return BLOCK if size % BLOCK == 0 else size


class Libxsmm(Peer):
    """Weights in its blocked format, sequences time-major; the driver is libxsmm.c."""

    headers = ("libxsmm_dnn_rnncell.h",)

    def held_to(self, isa: str) -> dict[str, str]:
        return {"LIBXSMM_TARGET": INSTRUCTION_SETS[isa]}

    def start(self, threads: int) -> None:
        flags = ["-fopenmp", "-lxsmm", "-lxsmmnoblas", "-lm", "-lpthread", "-ldl"]
        self._threads = threads
        self._driver = built(Path(__file__).with_suffix(".c"), flags)
        self._driver.xsmm_make.restype = ctypes.c_void_p
        self._driver.xsmm_target.restype = self._driver.xsmm_version.restype = ctypes.c_char_p

    def versions(self) -> dict[str, str]:
        version: bytes = self._driver.xsmm_version()
        return {"libxsmm": version.decode()}

    def isa(self) -> str | None:
        target: bytes = self._driver.xsmm_target()
        return target.decode()

    def _arrays(self, case: Case, data: Data, train: bool) -> dict[str, np.ndarray]:
        """All arrays by name, in the order of libxsmm.c, zeros where there is nothing yet."""
        if case.dtype != "float32":
            raise Unsupported("it computes in float32 only")
        if data.lengths is not None:
            raise Unsupported("it knows no lengths")
        s = case.shape
        gates = [array.reshape(4, s.units, -1) for array in data.gates(ORDER)]
        kernel, recurrent, bias = gates
        inputs, units = block(s.input_dim), block(s.units)
        states, sequence = (s.batch, s.units), (s.timesteps, s.batch, s.units)
        packed = blocked(kernel.swapaxes(1, 2), inputs, units)
        packed_recurrent = blocked(recurrent.swapaxes(1, 2), units, units)
        found = {
            "x": data.inputs.swapaxes(0, 1)[: s.timesteps],
            "c0": np.zeros(states),
            "h0": np.zeros(states),
            "w": packed,
            "r": packed_recurrent,
            "b": bias,
            "c": np.zeros(sequence),
            **{name: np.zeros(sequence) for name in ("h", "i", "f", "o", "g", "tanh_c")},
        }
        if train:
            found |= {
                "w_transposed": blocked(kernel, units, inputs),
                "r_transposed": blocked(recurrent, units, units),
                "dx": np.zeros(found["x"].shape),
                "dc0": np.zeros(states),
                "dh0": np.zeros(states),
                "dw": np.zeros(packed.shape),
                "dr": np.zeros(packed_recurrent.shape),
                "db": np.zeros(bias.shape),
                "dc": np.zeros(states),
                "dh": data.d_outputs.swapaxes(0, 1),
            }
        return {name: aligned(array.astype(np.float32)) for name, array in found.items()}

    def _cell(self, case: Case, arrays: dict[str, np.ndarray]) -> _Cell:
        s = case.shape
        blocks = [block(size) for size in (s.batch, s.input_dim, s.units)]
        sizes = [s.timesteps, s.batch, s.input_dim, s.units, *blocks]
        return _Cell(self._driver, self._threads, sizes, arrays)

    def step(self, case: Case, data: Data) -> Prepared:
        arrays = self._arrays(case, data, train=False)
        # Two cells take turns: the new states of each are the old ones of the other.
        other = {**arrays, "h0": arrays["h"][0], "c0": arrays["c"][0]}
        other |= {"h": arrays["h0"][None], "c": arrays["c0"][None]}
        turns = [self._cell(case, either).forward for either in (arrays, other)]
        turn = 0

        def run() -> None:
            nonlocal turn
            turns[turn]()
            turn = 1 - turn

        def results() -> dict[str, np.ndarray]:
            nonlocal turn
            turn, outputs = 0, []
            for state in ("h0", "c0"):
                arrays[state][...] = 0
            for t in range(FRAMES):
                arrays["x"][0] = data.inputs[:, t]
                run()
                outputs.append((arrays["h"][0] if turn else arrays["h0"]).copy())
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        arrays = self._arrays(case, data, train=False)
        run = self._cell(case, arrays).forward

        def results() -> dict[str, np.ndarray]:
            run()
            h, c = arrays["h"], arrays["c"]
            return {"outputs": h.swapaxes(0, 1), "final_h": h[-1], "final_c": c[-1]}

        return Prepared(run, results)

    def train(self, case: Case, data: Data) -> Prepared:
        arrays = self._arrays(case, data, train=True)
        run = self._cell(case, arrays).train
        back = [ORDER.index(gate) for gate in "ifco"]

        def together(weights: np.ndarray) -> np.ndarray:
            """(4, R, units) in its order of gates to (R, 4 units) in ours."""
            return np.concatenate(list(weights[back]), axis=-1)

        def results() -> dict[str, np.ndarray]:
            run()
            return {
                "outputs": arrays["h"].swapaxes(0, 1),
                "d_inputs": arrays["dx"].swapaxes(0, 1),
                "d_kernel": together(unblocked(arrays["dw"])),
                "d_recurrent_kernel": together(unblocked(arrays["dr"])),
                "d_bias": together(arrays["db"][..., 0]),
            }

        return Prepared(run, results)


class _Cell:
    """A cell of the library and the arrays that it reads and writes."""

    def __init__(
        self, driver: Any, threads: int, sizes: list[int], arrays: dict[str, np.ndarray]
    ) -> None:
        self._kept = arrays
        self._driver = driver
        pointers = (ctypes.c_void_p * len(arrays))(*(address(a).value for a in arrays.values()))
        made = driver.xsmm_make(threads, (ctypes.c_int * len(sizes))(*sizes), pointers, len(arrays))
        if made is None:
            raise Unsupported("it refuses this shape")
        self._made = ctypes.c_void_p(made)

    def forward(self) -> None:
        if self._driver.xsmm_forward(self._made):
            raise RuntimeError("LIBXSMM failed")

    def train(self) -> None:
        if self._driver.xsmm_train(self._made):
            raise RuntimeError("LIBXSMM failed")

    def __del__(self) -> None:
        if hasattr(self, "_made"):
            self._driver.xsmm_free(self._made)
