"""Published models beside the runtimes that they were published for: one thread, one run.

    OPENBLAS_NUM_THREADS=1 python bench/published_models.py

The voice detector of Silero VAD beside ONNX Runtime, frame by frame and in blocks; the voice
encoder of Resemblyzer beside PyTorch, for one window of 1.6 seconds and for 16. Both take turns,
and the best time of each counts. The packages onnxruntime and torch are needed, and the weights,
which the demos fetch. The ONNX files have other weights than cylstm is given, and the same
operations.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cylstm
from cylstm._demos import voice_activity, who_speaks
from cylstm._demos.fetch_weights import fetch

ROUNDS = 15
FRAMES, BLOCK = 512, 512


def best_times(*functions: Callable[[], Any]) -> list[float]:
    """The least time that each takes, in seconds, where they take turns."""
    found = [float("inf")] * len(functions)
    for _ in range(ROUNDS):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            found[i] = min(found[i], time.perf_counter() - start)
    return found


def say(what: str, unit: float, ours: float, theirs: float, name: str) -> None:
    """Print a line of the table; `unit` is what a time is divided by."""
    print(f"{what:36} {ours / unit:9.1f} {theirs / unit:9.1f} {name:13} {theirs / ours:5.2f} times")


def session(path: Path) -> Any:
    """A session of ONNX Runtime with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def detector(fetch: Callable[[str, str], Path]) -> None:
    """Silero VAD, in microseconds a frame."""
    example = vars(voice_activity)
    model = example["load_detector"](fetch("silero-vad", "silero_vad_16k.safetensors"))
    one = session(fetch("silero-vad", "silero_vad_16k_op15.onnx"))
    many = session(fetch("silero-vad", "silero_vad_16k_sequence.onnx"))
    samples = np.random.default_rng(1).normal(size=FRAMES * 512) * 0.1
    frames = np.ascontiguousarray(example["frames_of"](samples))
    rate = np.array(16000)

    def theirs_one_by_one() -> None:
        state = np.zeros((2, 1, 128), np.float32)
        for i in range(FRAMES):
            _, state = one.run(None, {"input": frames[i : i + 1], "state": state, "sr": rate})

    def theirs_in_blocks() -> None:
        h = c = np.zeros((1, 1, 128), np.float32)
        for i in range(0, FRAMES, BLOCK):
            _, h, c = many.run(None, {"input": frames[i : i + BLOCK], "h": h, "c": c})

    stream = model.stream()

    def ours_one_by_one() -> None:
        for i in range(FRAMES):
            stream(frames[i : i + 1])

    times = best_times(ours_one_by_one, theirs_one_by_one)
    say("Silero VAD, frame by frame, us", FRAMES * 1e-6, *times, "ONNX Runtime")
    times = best_times(lambda: example["in_blocks"](model, frames), theirs_in_blocks)
    say("Silero VAD, in blocks, us a frame", FRAMES * 1e-6, *times, "ONNX Runtime")


def encoder(fetch: Callable[[str, str], Path]) -> None:
    """Resemblyzer, in milliseconds a call."""
    import torch

    torch.set_num_threads(1)
    path = fetch("resemblyzer", "pretrained.pt")
    ours = who_speaks.load_encoder(path)
    state = {n: torch.from_numpy(a.copy()) for n, a in cylstm.saving.load_tensors(path).items()}
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    for name, module in (("lstm", lstm), ("linear", linear)):
        start = f"{name}."
        module.load_state_dict(
            {n.removeprefix(start): tensor for n, tensor in state.items() if n.startswith(start)}
        )
    for windows in (1, 16):
        x = np.random.default_rng(2).random((windows, 160, 40), np.float32)
        tensor = torch.from_numpy(x)

        def theirs(tensor: Any = tensor) -> Any:
            with torch.inference_mode():
                return torch.relu(linear(lstm(tensor)[1][0][-1]))

        found = ours.predict(x, batch_size=64)
        np.testing.assert_allclose(found, theirs().numpy(), atol=1e-4)
        times = best_times(lambda x=x: ours.predict(x, batch_size=64), theirs)
        say(f"Resemblyzer, {windows} windows, ms", 1e-3, *times, "PyTorch")


def main() -> None:
    cylstm.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, cylstm {cylstm.__version__}")
    print(f"{'':36} {'cylstm':>9} {'other':>9}")
    detector(fetch)
    encoder(fetch)


if __name__ == "__main__":
    main()
