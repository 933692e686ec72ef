"""ONNX Runtime: its LSTM operator, inputs and outputs bound to arrays, inference only."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import FRAMES, Case, Data

OPSET, IR_VERSION = 14, 8

HELD_TO = "BENCH_ONNXRUNTIME_ISA"
"""The environment variable that tells the process what `OnnxRuntime.start` holds it to."""

LIBRARY = "capi/onnxruntime_pybind11_state*.so"
ASKS = bytes.fromhex("0f01d0 89c0 48c1e220")  # xgetbv; mov eax, eax; shl rdx, 32
SAVED = {"generic": 0x03, "avx2": 0x07}
"""The registers that a system saves, in the low byte of XCR0: x87 and SSE 3, AVX 4, AVX-512 e0."""


def held(library: bytes, isa: str) -> bytes:
    """The shared library of ONNX Runtime, held to an instruction set.

    It has no setting for this. At its start it asks the CPU (xgetbv) whose registers the system
    saves, and passes over the instructions of those that it does not. Where it takes the answer,
    two bytes that only clear the upper half of a register, which is clear anyway, are replaced by
    `mov al, SAVED[isa]`: it then finds a system that saves no others, and does what it does on
    every CPU without them. No code that computes is changed.

    Raises
    ------
    Unsupported
        If there is no such place.
    """
    if ASKS not in library:
        raise Unsupported("this build does not ask for the CPU's registers as those known do")
    return library.replace(ASKS, ASKS[:3] + bytes([0xB0, SAVED[isa]]) + ASKS[5:])


def package() -> Path:
    """The folder of the installed package, which need not be imported for it."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise Unsupported("not installed")
    return Path(spec.origin).parent


def held_package(installed: Path, folder: Path, isa: str) -> None:
    """Make a package in a folder: links to the files of the installed one but its library.

    Raises
    ------
    Unsupported
        If there is no library, or it cannot be held.
    """
    libraries = list(installed.glob(LIBRARY))
    if not libraries:
        raise Unsupported(f"it has no {LIBRARY}, as its wheels for Linux have")
    shutil.copytree(installed, folder / installed.name, copy_function=os.symlink)
    for library in libraries:
        copy = folder / installed.name / library.relative_to(installed)
        copy.unlink()
        copy.write_bytes(held(library.read_bytes(), isa))


class OnnxRuntime(Peer):
    """Its gates are in the order i, o, f, c; sequences are time-major, and given to it so."""

    modules = ("onnxruntime", "onnx")
    distributions = ("onnxruntime", "onnx")

    def held_to(self, isa: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:  # a trial: `start` makes its own
            held_package(package(), Path(folder), isa)
        return {HELD_TO: isa}

    def start(self, threads: int) -> None:
        if isa := os.environ.get(HELD_TO):
            self._folder = tempfile.TemporaryDirectory()
            held_package(package(), Path(self._folder.name), isa)
            sys.path.insert(0, self._folder.name)
        import onnxruntime

        self._onnxruntime = onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1

    def _session(self, case: Case, data: Data, inputs: list[str]) -> Any:
        """A session for one LSTM node with these of its inputs, besides the weights."""
        from onnx import TensorProto, helper, numpy_helper

        if case.dtype != "float32":
            raise Unsupported("its LSTM computes in float32 only")
        s, real = case.shape, TensorProto.FLOAT
        shapes = {
            "X": (real, [s.timesteps, s.batch, s.input_dim]),
            "lengths": (TensorProto.INT32, [s.batch]),
            "h0": (real, [1, s.batch, s.units]),
            "c0": (real, [1, s.batch, s.units]),
            "Y": (real, [s.timesteps, 1, s.batch, s.units]),
            "Y_h": (real, [1, s.batch, s.units]),
            "Y_c": (real, [1, s.batch, s.units]),
        }
        kernel, recurrent_kernel, bias = data.gates("iofc")
        weights = {
            "W": kernel[None],
            "R": recurrent_kernel[None],
            "B": np.concatenate([bias, np.zeros_like(bias)])[None],
        }
        optional = [name if name in inputs else "" for name in ("lengths", "h0", "c0")]
        outputs = ["Y", "Y_h", "Y_c"]
        node = helper.make_node(
            "LSTM", ["X", "W", "R", "B", *optional], outputs, hidden_size=s.units
        )
        graph = helper.make_graph(
            [node],
            "lstm",
            [helper.make_tensor_value_info(name, *shapes[name]) for name in inputs],
            [helper.make_tensor_value_info(name, *shapes[name]) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        return self._onnxruntime.InferenceSession(
            model.SerializeToString(), self._options, providers=["CPUExecutionProvider"]
        )

    def _value(self, array: np.ndarray) -> Any:
        return self._onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))

    def _zeros(self, *shape: int) -> Any:
        return self._value(np.zeros(shape, np.float32))

    def step(self, case: Case, data: Data) -> Prepared:
        session = self._session(case, data, ["X", "h0", "c0"])
        frame = self._value(data.inputs[:, 0][None])
        size = (1, case.shape.batch, case.shape.units)
        output = self._zeros(1, *size)
        # Two pairs of states take turns as input and output, so that nothing is copied.
        pairs = [[self._zeros(*size) for _ in range(2)] for _ in range(2)]
        bound = [
            _Bound(
                session,
                {"X": frame, "h0": old[0], "c0": old[1]},
                {"Y": output, "Y_h": new[0], "Y_c": new[1]},
            )
            for old, new in (pairs, pairs[::-1])
        ]
        turn = 0

        def run() -> None:
            nonlocal turn
            bound[turn]()
            turn = 1 - turn

        def results() -> dict[str, np.ndarray]:
            h, c, outputs = np.zeros(size, np.float32), np.zeros(size, np.float32), []
            for t in range(FRAMES):
                frame = np.ascontiguousarray(data.inputs[:, t][None])
                _, h, c = session.run(None, {"X": frame, "h0": h, "c0": c})
                outputs.append(h[0])
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        s = case.shape
        inputs = {"X": self._value(data.inputs.swapaxes(0, 1))}
        if data.lengths is not None:
            inputs["lengths"] = self._value(data.lengths)
        session = self._session(case, data, list(inputs))
        outputs = {
            "Y": self._zeros(s.timesteps, 1, s.batch, s.units),
            "Y_h": self._zeros(1, s.batch, s.units),
            "Y_c": self._zeros(1, s.batch, s.units),
        }
        bound = _Bound(session, inputs, outputs)

        def results() -> dict[str, np.ndarray]:
            bound()
            y, h, c = (value.numpy() for value in outputs.values())
            return {"outputs": y[:, 0].swapaxes(0, 1), "final_h": h[0], "final_c": c[0]}

        return Prepared(bound, results)


class _Bound:
    """A session with inputs and outputs in place; it keeps them, as the binding itself does not."""

    def __init__(self, session: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        self._kept = inputs, outputs
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        for name, value in inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def __call__(self) -> None:
        self._run(self._binding)
