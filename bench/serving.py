"""Requests a second, and how long they take: cylstm and ONNX Runtime, each in the same server.

    python bench/serving.py [--clients 32] [--seconds 4] [--rounds 5] [--models river ...]

The server is `examples/elsewhere/serving.py`, in a process of its own for each engine, with the
same limits; ONNX Runtime reads the model as `Model.save` writes it to ONNX. Clients live in another
process: plain sockets under asyncio, each of which sends its next sequence (float32, 32 different
ones) when it has the answer to the last one. The engines take turns, and the answers must agree.

The exit status is 1 if `river`, the first of `MODELS`, has less than 1.3 times the requests a
second of ONNX Runtime, or a larger 99th percentile. It needs onnxruntime, and the extra `serving`;
with httptools and uvloop installed, uvicorn spends less time on HTTP, for both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "elsewhere"))

import serving

import cylstm
from cylstm.layers import LSTM, Dense

ENGINES = ("cylstm", "onnxruntime")
# Units of the layers, steps, features, outputs
MODELS = {
    "river": ((128,), 365, 32, 1),  # tomorrow's discharge from a year, as neuralhydrology has it
    "day": ((128, 128), 96, 8, 24),  # a day hour by hour, from the four before it
    "window": ((64, 64), 50, 8, 1),  # a score for a window of sensors
    "small": ((32,), 24, 4, 1),
}


def make(name: str, folder: Path) -> tuple[int, int]:
    """Write a model in both formats; steps and features."""
    units, steps, features, outputs = MODELS[name]
    cylstm.utils.set_random_seed(1)
    model = cylstm.Sequential(name=name)
    for number, count in enumerate(units, 1):
        shape: dict[str, Any] = {"input_shape": (steps, features)} if number == 1 else {}
        several = number < len(units)
        model.add(LSTM(count, return_sequences=several, recurrent_activation="sigmoid", **shape))
    model.add(Dense(outputs))
    model.save(folder / f"{name}.safetensors")
    model.save(folder / f"{name}.onnx")
    return steps, features


# ------------------------------------------------------------------ the server


class OnnxEngine:
    """ONNX Runtime in place of cylstm."""

    def __init__(self, path: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._name = given.name
        self.shape = tuple(n if isinstance(n, int) else None for n in given.shape[1:])

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """The outputs of a batch."""
        output: np.ndarray = self._session.run(None, {self._name: batch})[0]
        return output

    def stream(self) -> Callable[[np.ndarray], np.ndarray]:
        """None here."""
        raise ValueError("ONNX Runtime has no streams")


def serve(engine: str, path: str, port: int, threads: int, max_batch: int, max_wait: float) -> None:
    """The server of an engine."""
    made = serving.CylstmEngine(path, threads) if engine == "cylstm" else OnnxEngine(path, threads)
    limits = serving.Limits(max_batch=max_batch, max_wait=max_wait)
    serving.serve(made, limits, "127.0.0.1", port)


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when a server answers."""
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit("A server ended before it answered.")
        try:
            health(port)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("A server does not answer.")


def health(port: int) -> dict[str, Any]:
    """What a server tells of itself."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/health")
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return told


# ------------------------------------------------------------------ the clients


class Client(asyncio.Protocol):
    """A connection that asks again whenever it is answered."""

    def __init__(self, requests: list[bytes], number: int, end: float, found: Any) -> None:
        self._requests, self._next, self._end, self._found = requests, number, end, found
        self._received = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(bytes(self._received[:200])))
            self._transport.close()
            return
        self._found.append((self._next % len(self._requests), now - self._asked, bytes(body)))
        self._received.clear()
        self._next += 1
        if now < self._end:
            self._ask()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))


def requests_of(shape: tuple[int, int]) -> list[bytes]:
    """Requests of 32 different sequences."""
    random = np.random.default_rng(5)
    bodies = [random.standard_normal(shape).astype("<f4").tobytes() for _ in range(32)]
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


async def load(port: int, clients: int, seconds: float, shape: tuple[int, int]) -> dict[str, Any]:
    """Ask for some seconds; how often, how long each took, and the answers."""
    loop, found = asyncio.get_running_loop(), []  # type: Any, list[tuple[int, float, bytes]]
    requests, start = requests_of(shape), time.perf_counter()
    made = [
        await loop.create_connection(
            lambda number=number: Client(requests, number, start + seconds, found),
            "127.0.0.1",
            port,
        )
        for number in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    taken = time.perf_counter() - start
    p50, p99 = np.percentile([duration for _, duration, _ in found], [50, 99])
    answers = {number: body.hex() for number, _, body in found}
    return {"rate": len(found) / taken, "p50": p50, "p99": p99, "answers": answers}


# ------------------------------------------------------------------ the comparison


def own(*arguments: Any) -> list[str]:
    """The command that runs this file for a part of the work."""
    return [sys.executable, __file__, *map(str, arguments)]


def answers_of(result: dict[str, Any]) -> np.ndarray:
    """What was answered, in the order of the sequences."""
    bodies = [result["answers"][key] for key in sorted(result["answers"], key=int)]
    return np.array([np.frombuffer(bytes.fromhex(body), "<f4") for body in bodies])


def measure(name: str, folder: Path, given: argparse.Namespace) -> bool:
    """Print a line for each engine; whether cylstm is as far ahead as is asked."""
    shape = make(name, folder)
    with ExitStack() as stack:
        ports = {}
        for engine, suffix in zip(ENGINES, ("safetensors", "onnx"), strict=True):
            ports[engine] = port = free_port()
            limits = (given.threads, given.max_batch, given.max_wait)
            command = own("--serve", engine, folder / f"{name}.{suffix}", port, *limits)
            server = stack.enter_context(subprocess.Popen(command))
            stack.callback(server.terminate)
            wait_for(port, server)
        results: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
        sizes = {}
        for turn in range(given.rounds + 1):  # the first one warms up
            for engine in ENGINES[:: 1 if turn % 2 else -1]:
                seconds = given.seconds if turn else min(1.0, given.seconds)
                before = health(ports[engine])["batches"]
                command = own("--load", ports[engine], given.clients, seconds, *shape)
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                result = json.loads(done.stdout)
                batches = health(ports[engine])["batches"] - before
                sizes[engine] = result["rate"] * seconds / batches
                if turn:
                    results[engine].append(result)
    first, other = (answers_of(results[engine][0]) for engine in ENGINES)
    if first.shape != other.shape or not np.allclose(first, other, atol=1e-5):
        raise SystemExit(f"{name}: the answers differ")
    middle = {
        engine: {
            key: statistics.median(result[key] for result in results[engine])
            for key in ("rate", "p50", "p99")
        }
        for engine in ENGINES
    }
    for engine in ENGINES:
        found = middle[engine]
        print(
            f"{name:8} {engine:12} {found['rate']:8.0f} requests/s"
            f"  p50 {1e3 * found['p50']:6.2f} ms  p99 {1e3 * found['p99']:6.2f} ms"
            f"  {sizes[engine]:5.1f} a batch"
        )
    ours, theirs = (middle[engine] for engine in ENGINES)
    rate, tail = ours["rate"] / theirs["rate"], ours["p99"] / theirs["p99"]
    print(f"{name:8} requests {rate:.2f} times (asked: 1.3), p99 {tail:.2f} times (asked: below 1)")
    return rate >= 1.3 and tail < 1


def main() -> int:
    """Measure what the options say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    count = cylstm.get_num_threads()
    parser.add_argument("--threads", type=int, default=count, help="of the engine: all CPUs")
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--max-wait", type=float, default=0.0)
    parser.add_argument("--serve", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--load", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        engine, path, *numbers = given.serve
        serve(engine, path, *map(int, numbers[:3]), float(numbers[3]))
        return 0
    if given.load:
        port, clients, seconds, *shape = map(float, given.load)
        print(
            json.dumps(asyncio.run(load(int(port), int(clients), seconds, tuple(map(int, shape)))))
        )
        return 0
    with tempfile.TemporaryDirectory() as folder:
        good = {name: measure(name, Path(folder), given) for name in given.models}
    return 0 if good.get("river", True) else 1


if __name__ == "__main__":
    sys.exit(main())
