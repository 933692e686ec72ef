"""ONNX Runtime: its LSTM operator, inputs and outputs bound to arrays, inference only."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import FRAMES, Case, Data

OPSET, IR_VERSION = 14, 8


class OnnxRuntime(Peer):
    """Its gates are in the order i, o, f, c; sequences are time-major, and given to it so."""

    modules = ("onnxruntime", "onnx")
    distributions = ("onnxruntime", "onnx")

    def start(self, threads: int) -> None:
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
