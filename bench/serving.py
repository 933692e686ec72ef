"""Requests a second, and how long they take: cylstm and ONNX Runtime, each in the same server.

    python bench/serving.py [--clients 32] [--seconds 4] [--rounds 5] [--models river ...]
                            [--threads 2] [--processes 1] [--unequal]

The server is `examples/elsewhere/serving.py`, in processes of its own for each engine, with the
same limits; ONNX Runtime reads the model as `Model.save` writes it to ONNX. With more threads than
one it also runs without threads that spin, and the faster of the two counts. `nothing` is the
server with an engine that answers at once: what HTTP costs. Clients live in another process: plain
sockets, each of which sends its next sequence (float32, 32 different ones) when it has the answer
to the last one. The contenders take turns, and the answers must agree. Microseconds of CPU are
those of all threads of the servers, and of the clients, divided by the requests. What the engines
take without a server, in batches as large as those served, bounds what a server can show of them.

The exit status is 1 if `river`, the first of `MODELS`, has less than 1.3 times the requests a
second of ONNX Runtime, or a larger 99th percentile. It needs onnxruntime, and the extra `serving`;
with httptools and uvloop installed, uvicorn spends less time on HTTP, for all. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import select
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

# Units of the layers, steps, features, outputs
MODELS = {
    "river": ((128,), 365, 32, 1),  # tomorrow's discharge from a year, as neuralhydrology has it
    "day": ((128, 128), 96, 8, 24),  # a day hour by hour, from the four before it
    "window": ((64, 64), 50, 8, 1),  # a score for a window of sensors
    "small": ((32,), 24, 4, 1),
}


def make(name: str, folder: Path, unequal: bool = False) -> tuple[int, int]:
    """Write a model in both formats; steps, at most if they are unequal, and features."""
    units, steps, features, outputs = MODELS[name]
    cylstm.utils.set_random_seed(1)
    model = cylstm.Sequential(name=name)
    for number, count in enumerate(units, 1):
        given = (None if unequal else steps, features)
        shape: dict[str, Any] = {"input_shape": given} if number == 1 else {}
        several = number < len(units)
        model.add(LSTM(count, return_sequences=several, recurrent_activation="sigmoid", **shape))
    model.add(Dense(outputs))
    model.save(folder / f"{name}.safetensors")
    model.save(folder / f"{name}.onnx")
    return steps, features


# ------------------------------------------------------------------ the server


class OnnxEngine:
    """ONNX Runtime in place of cylstm."""

    masks = False

    def __init__(self, path: str, threads: int, spinning: bool = True) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        (given,) = self._session.get_inputs()
        self._name = given.name
        self.shape = tuple(n if isinstance(n, int) else None for n in given.shape[1:])

    def predict(self, batch: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The outputs of a batch."""
        output: np.ndarray = self._session.run(None, {self._name: batch})[0]
        return output

    def stream(self) -> Callable[[np.ndarray], np.ndarray]:
        """None here."""
        raise ValueError("ONNX Runtime has no streams")


class Nothing(OnnxEngine):
    """An engine that has its answers already."""

    def predict(self, batch: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Zeros."""
        return np.zeros((len(batch), 1), "float32")


ENGINES: dict[str, Callable[[str, int], serving.Engine]] = {
    "cylstm": serving.CylstmEngine,
    "onnxruntime": OnnxEngine,
    "no spinning": lambda path, threads: OnnxEngine(path, threads, spinning=False),
    "nothing": Nothing,
}


def engine_of(name: str, stem: str, threads: int) -> serving.Engine:
    """An engine with the model that was written for it."""
    return ENGINES[name](f"{stem}.{'safetensors' if name == 'cylstm' else 'onnx'}", threads)


def serve(name: str, stem: str, threads: int, port: int, max_batch: int, max_wait: float) -> None:
    """The server of an engine."""
    limits = serving.Limits(max_batch=max_batch, max_wait=max_wait)
    serving.serve(engine_of(name, stem, threads), limits, "127.0.0.1", port)


def alone(name: str, stem: str, threads: int, rows: int, shape: tuple[int, ...]) -> float:
    """Seconds a sequence that an engine takes without a server."""
    predict = engine_of(name, stem, threads).predict
    batch = np.random.default_rng(5).standard_normal((rows, *shape)).astype("float32")
    taken = []
    for _ in range(7):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() < start + 0.05:
            predict(batch)
            calls += 1
        taken.append((time.perf_counter() - start) / (calls * rows))
    return statistics.median(taken)


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


class Client:
    """A connection that asks again whenever it is answered."""

    def __init__(self, port: int, number: int) -> None:
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A whole request fits, so that to send it does not wait for the server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)

    def ask(self, requests: list[bytes]) -> None:
        """Send the next sequence."""
        self.asked = time.perf_counter()
        self.socket.sendall(requests[self.number % len(requests)])

    def answer(self) -> bytes:
        """The body of an answer that has begun to arrive."""
        received = b""
        while True:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed by the server")
            received += data
            head, found, body = received.partition(b"\r\n\r\n")
            if found and len(body) >= int(
                head.partition(b"content-length: ")[2].split(b"\r", 1)[0]
            ):
                break
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(received[:200])
        return body


def requests_of(shape: tuple[int, ...], least: int) -> list[bytes]:
    """Requests of 32 different sequences, of `least` steps or more."""
    random = np.random.default_rng(5)
    steps = random.integers(least, shape[0] + 1, 32)
    bodies = [random.standard_normal((n, *shape[1:])).astype("<f4").tobytes() for n in steps]
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def load(
    ports: list[int], clients: int, seconds: float, shape: tuple[int, ...], least: int
) -> dict[str, Any]:
    """Ask for some seconds; how often, how long each took, what that cost, and the answers."""
    requests, durations, answers = requests_of(shape, least), [], {}
    with ExitStack() as stack:
        asking = {}
        poll = stack.enter_context(select.epoll())
        for number in range(clients):
            client = Client(ports[number % len(ports)], number)
            stack.enter_context(client.socket)
            asking[client.socket.fileno()] = client
            poll.register(client.socket, select.EPOLLIN)
        cpu, start = time.process_time(), time.perf_counter()
        for client in asking.values():
            client.ask(requests)
        while asking:
            for place, _ in poll.poll():
                client = asking[place]
                body, now = client.answer(), time.perf_counter()
                durations.append(now - client.asked)
                answers[client.number % len(requests)] = body
                client.number += 1
                if now < start + seconds:
                    client.ask(requests)
                else:
                    poll.unregister(place)
                    del asking[place]
        taken, cpu = time.perf_counter() - start, time.process_time() - cpu
    p50, p99 = np.percentile(durations, [50, 99])
    count = len(durations)
    found = {
        "requests": count,
        "rate": count / taken,
        "p50": p50,
        "p99": p99,
        "clients": cpu / count,
    }
    return found | {"answers": {number: body.hex() for number, body in answers.items()}}


# ------------------------------------------------------------------ the comparison


def own(*arguments: Any) -> list[str]:
    """The command that runs this file for a part of the work."""
    return [sys.executable, __file__, *map(str, arguments)]


def answers_of(result: dict[str, Any]) -> np.ndarray:
    """What was answered, in the order of the sequences."""
    bodies = [result["answers"][key] for key in sorted(result["answers"], key=int)]
    return np.array([np.frombuffer(bytes.fromhex(body), "<f4") for body in bodies])


class Contender:
    """The servers of an engine, and what was found with them."""

    def __init__(self, name: str, stem: Path, given: argparse.Namespace, stack: ExitStack) -> None:
        self.name, self.results = name, []  # type: str, list[dict[str, Any]]
        self.ports = [free_port() for _ in range(given.processes)]
        self._servers = []
        for port in self.ports:
            limits = (given.threads, port, given.max_batch, given.max_wait)
            server = stack.enter_context(subprocess.Popen(own("--serve", name, stem, *limits)))
            stack.callback(server.terminate)
            wait_for(port, server)
            self._servers.append(server)

    def _spent(self) -> tuple[float, int]:
        """Seconds of CPU, and batches, until now."""
        ticks = 0
        for server in self._servers:
            fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        batches = sum(health(port)["batches"] for port in self.ports)
        return ticks / os.sysconf("SC_CLK_TCK"), batches

    def turn(self, clients: int, seconds: float, *sizes: int) -> dict[str, Any]:
        """Ask for some seconds."""
        seconds_before, batches_before = self._spent()
        command = own("--load", ",".join(map(str, self.ports)), clients, seconds, *sizes)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        spent, batches = self._spent()
        result["server"] = (spent - seconds_before) / result["requests"]
        result["batch"] = result["requests"] / (batches - batches_before)
        return result

    def middle(self, key: str) -> float:
        """The median of the rounds."""
        found: float = statistics.median(result[key] for result in self.results)
        return found

    def __str__(self) -> str:
        rate, batch = self.middle("rate"), self.middle("batch")
        p50, p99 = (1e3 * self.middle(key) for key in ("p50", "p99"))
        server, clients = (1e6 * self.middle(key) for key in ("server", "clients"))
        return (
            f"{self.name:12} {rate:6.0f} requests/s  p50 {p50:5.2f} ms  p99 {p99:5.2f} ms"
            f"  {batch:4.1f} a batch  CPU: server {server:3.0f} us, clients {clients:2.0f} us"
        )


def measure(name: str, folder: Path, given: argparse.Namespace) -> bool:
    """Print a line for each engine; whether cylstm is as far ahead as is asked."""
    shape = make(name, folder, given.unequal)
    least = shape[0] // 2 if given.unequal else shape[0]
    names = [n for n in ENGINES if n != "no spinning" or given.threads > 1]
    with ExitStack() as stack:
        contenders = [Contender(n, folder / name, given, stack) for n in names]
        for turn in range(given.rounds + 1):  # the first one warms up
            for contender in contenders[:: 1 if turn % 2 else -1]:
                seconds = given.seconds if turn else min(1.0, given.seconds)
                result = contender.turn(given.clients, seconds, least, *shape)
                if turn:
                    contender.results.append(result)
    ours, *others = contenders[:-1]
    for other in others:
        first, second = (answers_of(each.results[0]) for each in (ours, other))
        if first.shape != second.shape or not np.allclose(first, second, atol=1e-5):
            raise SystemExit(f"{name}: the answers differ")
    theirs = max(others, key=lambda other: other.middle("rate"))
    rows = max(1, round(ours.middle("batch")))
    for contender in contenders:
        print(f"{name:8} {contender}")
    bare = {}
    for contender in (ours, theirs):
        command = own("--alone", contender.name, folder / name, given.threads, rows, *shape)
        bare[contender] = float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(
        f"{name:8} without a server, in batches of {rows}: {1e6 * bare[ours]:.1f} us a sequence,"
        f" {theirs.name} {1e6 * bare[theirs]:.1f}, {bare[theirs] / bare[ours]:.2f} times"
    )
    rate = ours.middle("rate") / theirs.middle("rate")
    tail = ours.middle("p99") / theirs.middle("p99")
    print(
        f"{name:8} requests {rate:.2f} times (asked: 1.3), p99 {tail:.2f} times (asked: below 1)",
        flush=True,
    )
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
    parser.add_argument("--processes", type=int, default=1, help="of the server, for each engine")
    text = "sequences from half as long on"
    parser.add_argument("--unequal", action="store_true", help=text)
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--max-wait", type=float, default=0.0)
    for part in ("--serve", "--load", "--alone"):
        parser.add_argument(part, nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        name, stem, threads, port, max_batch, max_wait = given.serve
        serve(name, stem, int(threads), int(port), int(max_batch), float(max_wait))
        return 0
    if given.load:
        ports, clients, seconds, least, *sizes = given.load
        numbers = [int(port) for port in ports.split(",")]
        shape = tuple(map(int, sizes))
        print(json.dumps(load(numbers, int(clients), float(seconds), shape, int(least))))
        return 0
    if given.alone:
        name, stem, threads, rows, *sizes = given.alone
        print(alone(name, stem, int(threads), int(rows), tuple(map(int, sizes))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        good = {name: measure(name, Path(folder), given) for name in given.models}
    return 0 if good.get("river", True) else 1


if __name__ == "__main__":
    sys.exit(main())
