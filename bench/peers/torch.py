"""PyTorch: `nn.LSTM`, batch first, with packed sequences if ragged; `nn.LSTMCell` for steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared
from bench.problems import FRAMES, Case, Data

INSTRUCTION_SETS = {
    "generic": ("default", "SSE41", "SSE4_2"),
    "avx2": ("avx2", "AVX2", "AVX2"),
}
"""What ATen, oneDNN and MKL, of which it is made, call them."""


class Torch(Peer):
    """Its gates are in the order i, f, c, o, and it has two biases that are added."""

    modules = ("torch",)
    distributions = ("torch",)

    _module: Any  # what is timed

    def held_to(self, isa: str) -> dict[str, str]:
        aten, onednn, mkl = INSTRUCTION_SETS[isa]
        return {
            "ATEN_CPU_CAPABILITY": aten,
            "ONEDNN_MAX_CPU_ISA": onednn,
            "DNNL_MAX_CPU_ISA": onednn,
            "MKL_ENABLE_INSTRUCTIONS": mkl,
        }

    def start(self, threads: int) -> None:
        import torch

        self._torch = torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self._module = torch.nn.LSTM

    def isa(self) -> str | None:
        return str(self._torch.backends.cpu.get_cpu_capability())

    def _load(self, module: Any, data: Data, suffix: str) -> Any:
        """Give a module the weights, without gradients; the second bias stays zero."""
        kernel, recurrent_kernel, bias = (self._torch.from_numpy(w) for w in data.gates("ifco"))
        weights = {
            f"weight_ih{suffix}": kernel,
            f"weight_hh{suffix}": recurrent_kernel,
            f"bias_ih{suffix}": bias,
            f"bias_hh{suffix}": self._torch.zeros_like(bias),
        }
        module.load_state_dict(weights)
        return module.requires_grad_(False)

    def _lstm(self, case: Case, data: Data) -> Any:
        torch = self._torch
        lstm = self._module(
            case.shape.input_dim,
            case.shape.units,
            batch_first=True,
            dtype=getattr(torch, case.dtype),
        )
        return self._load(lstm, data, "_l0")

    def _runner(self, case: Case, data: Data, lstm: Any) -> Any:
        """Inputs to outputs and the final states, through a packed sequence where ragged."""
        if data.lengths is None:
            return lstm
        rnn = self._torch.nn.utils.rnn
        lengths, steps = self._torch.from_numpy(data.lengths).long(), case.shape.timesteps

        def packed(x: Any) -> Any:
            sequences = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            outputs, states = lstm(sequences)
            padded, _ = rnn.pad_packed_sequence(outputs, batch_first=True, total_length=steps)
            return padded, states

        return packed

    def step(self, case: Case, data: Data) -> Prepared:
        torch, s = self._torch, case.shape
        cell = torch.nn.LSTMCell(s.input_dim, s.units, dtype=getattr(torch, case.dtype))
        self._load(cell, data, "")
        frames = [torch.from_numpy(data.inputs[:, t].copy()) for t in range(FRAMES)]
        zeros = torch.zeros(s.batch, s.units, dtype=frames[0].dtype)
        state = (zeros, zeros)

        def run() -> None:
            nonlocal state
            with torch.inference_mode():
                state = cell(frames[0], state)

        def results() -> dict[str, np.ndarray]:
            outputs, states = [], (zeros, zeros)
            for frame in frames:
                states = cell(frame, states)
                outputs.append(states[0].numpy())
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        torch = self._torch
        inputs = torch.from_numpy(data.inputs)
        runner = self._runner(case, data, self._lstm(case, data))

        def run() -> Any:
            with torch.inference_mode():
                return runner(inputs)

        def results() -> dict[str, np.ndarray]:
            outputs, (h, c) = run()
            return {
                "outputs": outputs.numpy(),
                "final_h": h[0].numpy(),
                "final_c": c[0].numpy(),
            }

        return Prepared(run, results)

    def train(self, case: Case, data: Data) -> Prepared:
        torch = self._torch
        inputs = torch.from_numpy(data.inputs).requires_grad_()
        d_outputs = torch.from_numpy(data.d_outputs)
        lstm = self._lstm(case, data).requires_grad_(True)
        runner, variables = self._runner(case, data, lstm), [inputs, *lstm.parameters()]

        def run() -> Any:
            outputs, _ = runner(inputs)
            return outputs, torch.autograd.grad(outputs, variables, d_outputs)

        def results() -> dict[str, np.ndarray]:
            outputs, (d_inputs, d_kernel, d_recurrent_kernel, d_bias, _) = run()
            return {
                "outputs": outputs.detach().numpy(),
                "d_inputs": d_inputs.numpy(),
                "d_kernel": d_kernel.numpy().T,
                "d_recurrent_kernel": d_recurrent_kernel.numpy().T,
                "d_bias": d_bias.numpy(),
            }

        return Prepared(run, results)
