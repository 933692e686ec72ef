"""OpenVINO: the operations LSTMSequence and LSTMCell, compiled for latency, inference only."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import FRAMES, Case, Data

INSTRUCTION_SETS = {"generic": "SSE41", "avx2": "AVX2"}
"""What the oneDNN inside it calls them."""


class OpenVino(Peer):
    """Its gates are in the order f, i, c, o."""

    modules = ("openvino",)
    distributions = ("openvino",)

    def environment(self, threads: int) -> dict[str, str]:
        # Its import reports to its makers otherwise, from a process of its own.
        return {"CI": "true"}

    def held_to(self, isa: str) -> dict[str, str]:
        return {"ONEDNN_MAX_CPU_ISA": INSTRUCTION_SETS[isa]}

    def start(self, threads: int) -> None:
        import openvino

        self._openvino = openvino
        self._core = openvino.Core()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def _request(self, outputs: Any, inputs: list[Any]) -> Any:
        model = self._openvino.Model(outputs, inputs)
        return self._core.compile_model(model, "CPU", self._options).create_infer_request()

    def _weights(self, case: Case, data: Data) -> list[np.ndarray]:
        if case.dtype != "float32":
            raise Unsupported("it computes in float32 only")
        return list(data.gates("fico"))

    def _tensor(self, array: np.ndarray) -> Any:
        """A tensor that shares the memory of the array."""
        return self._openvino.Tensor(np.ascontiguousarray(array), shared_memory=True)

    def step(self, case: Case, data: Data) -> Prepared:
        ops, s = self._openvino.opset14, case.shape
        weights = self._weights(case, data)
        sizes = {"x": (s.batch, s.input_dim), "h": (s.batch, s.units), "c": (s.batch, s.units)}
        inputs = [ops.parameter(size, np.float32, name) for name, size in sizes.items()]
        cell = ops.lstm_cell(*inputs, *map(ops.constant, weights), s.units)
        # Two pairs of states take turns as input and output, so that nothing is copied.
        memory = np.zeros((2, 2, s.batch, s.units), np.float32)
        pairs = [[self._tensor(part) for part in pair] for pair in memory]
        frame = data.inputs[:, 0].copy()
        requests = []
        for old, new in (pairs, pairs[::-1]):
            request = self._request(cell.outputs(), inputs)
            for place, tensor in enumerate([self._tensor(frame), *old]):
                request.set_input_tensor(place, tensor)
            for place, tensor in enumerate(new):
                request.set_output_tensor(place, tensor)
            requests.append(request)
        turn = 0

        def run() -> None:
            nonlocal turn
            requests[turn].infer()
            turn = 1 - turn

        def results() -> dict[str, np.ndarray]:
            nonlocal turn
            turn, outputs = 0, []
            memory[...] = 0
            for t in range(FRAMES):
                frame[...] = data.inputs[:, t]
                run()
                outputs.append(memory[turn, 0].copy())
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        ops, s = self._openvino.opset14, case.shape
        weights = [ops.constant(array[None]) for array in self._weights(case, data)]
        x = ops.parameter((s.batch, s.timesteps, s.input_dim), np.float32, "x")
        zeros = ops.constant(np.zeros((s.batch, 1, s.units), np.float32))
        full = np.full(s.batch, s.timesteps, np.int32)
        lengths = ops.constant(full if data.lengths is None else data.lengths)
        node = ops.lstm_sequence(x, zeros, zeros, lengths, *weights, s.units, "forward")
        request = self._request(node.outputs(), [x])
        inputs = np.ascontiguousarray(data.inputs)
        request.set_input_tensor(0, self._tensor(inputs))

        def results() -> dict[str, np.ndarray]:
            inputs[...] = data.inputs  # which also keeps them: the tensor does not
            request.infer()
            y, h, c = (request.get_output_tensor(place).data for place in range(3))
            return {"outputs": y[:, 0].copy(), "final_h": h[:, 0], "final_c": c[:, 0]}

        return Prepared(request.infer, results)
