"""A server of one model: single sequences by HTTP, in micro-batches, and streams by websocket.

    pip install -e '.[serving]'
    python examples/elsewhere/serving.py model.safetensors [--port 8000]

POST /predict takes one sequence, and answers with the output for it in the same format:

- application/json: {"sequence": [[0.1, 0.2], ...]}, answered {"output": [...]};
- application/octet-stream: float32, little-endian, row by row; X-Shape is the shape of the answer;
- application/x-npy: a file of NumPy.

Sequences that wait while others are computed are computed together, `max_batch` at most, those of
one shape in one call; by a chain of LSTM and Dense layers also those of several lengths, with a
mask. The first one waits `max_wait` seconds for others. What is wrong with a sequence is said to
who sent it (400, 413, 415), and when too many wait, the answer is 503.

The websocket /stream has a state of its own for each connection, from zeros: a message holds
frames as float32, and is answered by the outputs for them. GET /health tells how much waits.

The answers are those of `model.predict`, to rounding; streams those of `model.stream()`.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import io
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

import cylstm
from cylstm.layers import LSTM, Dense

FLOATS = np.dtype("<f4")
BYTES, JSON, NPY = b"application/octet-stream", b"application/json", b"application/x-npy"


@dataclass(frozen=True)
class Limits:
    """How much the server takes at once.

    Attributes
    ----------
    max_batch : int
        Sequences that are computed together.
    max_wait : float
        Seconds that the first one of a batch waits for others, where the engine is free.
    max_waiting : int
        Sequences that wait; further ones are answered by 503.
    max_bytes : int
        The size of a request or a message.
    max_streams : int
        Websockets at a time.
    short : float
        If the last batch took fewer seconds than these, the next one is computed at once, without
        a thread to hand it to.
    """

    max_batch: int = 32
    max_wait: float = 0.0
    max_waiting: int = 256
    max_bytes: int = 1_000_000
    max_streams: int = 1000
    short: float = 0.0002


class Engine(Protocol):
    """What computes: a model of one input and one output.

    `shape` is that of a sequence; None is any number of steps. `masks` says whether a mask may come
    with a batch, (samples, steps), False behind the end of a sequence.
    """

    shape: tuple[int | None, ...]
    masks: bool

    def predict(self, batch: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The outputs for sequences; called by one thread at a time."""

    def stream(self) -> Callable[[np.ndarray], np.ndarray]:
        """What takes frames, (1, features), one after the other; ValueError if there is none."""


class CylstmEngine:
    """A model of cylstm, from its file."""

    def __init__(self, path: str, threads: int = 1) -> None:
        cylstm.set_num_threads(threads)
        self.model = cylstm.models.load_model(path, compile=False)
        if len(self.model.inputs) > 1 or len(self.model.outputs) > 1 or self.model.stateful:
            raise SystemExit(f"{path}: it takes a model of one input and one output, not stateful")
        self.shape: tuple[int | None, ...] = self.model.input_shape[1:]
        self._first: Any = None
        layers = self.model.layers
        # A chain needs no graph, which takes as long as a few rows of a small model.
        chain = isinstance(self.model, cylstm.Sequential) and {LSTM, Dense} >= {*map(type, layers)}
        self._steps: list[Any] = layers if chain else [self.model.predict_on_batch]
        backwards = any(getattr(layer, "go_backwards", False) for layer in layers)
        self.masks = chain and not backwards and self.shape[0] is None

    def predict(self, batch: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The outputs of a batch."""
        for step in self._steps:
            masked = mask is not None and isinstance(step, LSTM)
            batch = step(batch, mask=mask) if masked else step(batch)
        return batch

    def stream(self) -> Callable[[np.ndarray], np.ndarray]:
        """A stream with a state of its own; they share the weights."""
        self._first = self._first or self.model.stream()
        made: Callable[[np.ndarray], np.ndarray] = self._first.copy()
        return made


# ------------------------------------------------------------------ micro-batches


class Refused(Exception):
    """A request that cannot be answered: the status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


Asked = tuple[np.ndarray, "asyncio.Future[np.ndarray]"]


class Batcher:
    """Sequences go in one by one, and are computed together: what came while others were computed.

    Parameters
    ----------
    engine : Engine
        What computes.
    limits : Limits
        How many at once, and how many wait.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self._waiting: collections.deque[Asked] = collections.deque()
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "engine")
        self._busy = False  # computing, or about to
        self._seconds = math.inf  # that the last batch took
        self._timer: asyncio.TimerHandle | None = None
        self.batches = 0

    @property
    def waiting(self) -> int:
        """How many sequences wait."""
        return len(self._waiting)

    def add(self, sequence: np.ndarray) -> asyncio.Future[np.ndarray]:
        """The output to be for a sequence; Refused where too many wait."""
        if len(self._waiting) >= self._limits.max_waiting:
            raise Refused(503, "Too many sequences wait: try again")
        answer = self._loop.create_future()
        self._waiting.append((sequence, answer))
        if not self._busy:
            self._busy = True
            if self._limits.max_wait:
                self._timer = self._loop.call_later(self._limits.max_wait, self._begin)
            else:
                self._loop.call_soon(self._begin)  # with those that were read with it
        elif self._timer and len(self._waiting) >= self._limits.max_batch:
            self._timer.cancel()
            self._begin()
        return answer

    async def close(self) -> None:
        """Wait until all is answered."""
        while self._busy:
            await asyncio.sleep(0.01)
        self._thread.shutdown()

    def _begin(self) -> None:
        """Compute what waits: here if it is short, else in the thread."""
        self._timer = None
        batch = self._taken()
        if not batch:
            self._busy = False
        elif self._seconds < self._limits.short:
            self._answer(batch, self._outputs(batch))
            self._loop.call_soon(self._begin)
        else:
            self._thread.submit(self._work, batch)

    def _work(self, batch: list[Asked]) -> None:
        """In the thread: what came meanwhile is computed next, without a way through the loop."""
        while batch:
            outputs = self._outputs(batch)
            following = self._taken() if self._seconds >= self._limits.short else []
            self._loop.call_soon_threadsafe(self._answer, batch, outputs)
            batch = following
        self._loop.call_soon_threadsafe(self._begin)

    def _taken(self) -> list[Asked]:
        """What waits, and whose client has not gone."""
        batch: list[Asked] = []
        while self._waiting and len(batch) < self._limits.max_batch:
            asked = self._waiting.popleft()
            if not asked[1].done():
                batch.append(asked)
        return batch

    def _answer(self, batch: list[Asked], outputs: list[np.ndarray | Exception]) -> None:
        self.batches += 1
        for (_, answer), output in zip(batch, outputs, strict=True):
            if answer.done():
                continue
            if isinstance(output, Exception):
                answer.set_exception(output)
            else:
                answer.set_result(output)

    def _outputs(self, batch: list[Asked]) -> list[np.ndarray | Exception]:
        """Those of one shape in one call; where masks may be, the number of steps is left out."""
        start, first = time.perf_counter(), int(self._engine.masks)
        outputs: list[np.ndarray | Exception] = [RuntimeError("not computed")] * len(batch)
        places: dict[tuple[int, ...], list[int]] = {}
        for place, (sequence, _) in enumerate(batch):
            places.setdefault(sequence.shape[first:], []).append(place)
        for same in places.values():
            found = self._together([batch[place][0] for place in same])
            for place, output in zip(same, found, strict=True):
                outputs[place] = output
        self._seconds = time.perf_counter() - start
        return outputs

    def _together(self, sequences: list[np.ndarray]) -> list[np.ndarray | Exception]:
        try:
            batch, *mask = batch_of(sequences)
            check_finite(batch)
            outputs = self._engine.predict(batch, *mask).astype(FLOATS, copy=False)
            if not mask or outputs.ndim < batch.ndim:
                return list(outputs)
            return [row[: len(x)] for row, x in zip(outputs, sequences, strict=True)]
        except Exception as error:  # of one of them: the others have their answers
            if len(sequences) == 1:
                return [error]
            return [self._together([sequence])[0] for sequence in sequences]


def batch_of(sequences: list[np.ndarray]) -> list[np.ndarray]:
    """The sequences in one array, the only copy of them; with a mask, if lengths differ."""
    lengths = [len(sequence) for sequence in sequences]
    steps = max(lengths)
    if min(lengths) == steps:
        return [np.array(sequences)]
    batch = np.zeros((len(sequences), steps, *sequences[0].shape[1:]), FLOATS)
    for row, sequence in zip(batch, sequences, strict=True):
        row[: len(sequence)] = sequence
    return [batch, np.arange(steps) < np.array(lengths)[:, np.newaxis]]


# ------------------------------------------------------------------ HTTP


def from_json(body: bytes) -> np.ndarray:
    """The sequence of a JSON object."""
    try:
        return np.array(json.loads(body)["sequence"], "float64")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        form = '{"sequence": [[number, ...], ...]}'
        raise Refused(400, f"The body must be {form}, with rows of one length: {error}") from None


def from_bytes(body: bytes, shape: tuple[int | None, ...]) -> np.ndarray:
    """The sequence of raw numbers."""
    try:
        numbers = np.frombuffer(body, FLOATS)
        return numbers.reshape([-1 if size is None else size for size in shape])
    except ValueError:
        text = f"The body must be float32 numbers of the shape {shape}, got {len(body)} bytes"
        raise Refused(400, text) from None


def from_npy(body: bytes) -> np.ndarray:
    """The sequence of a file of NumPy."""
    try:
        array: np.ndarray = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except (ValueError, TypeError, EOFError, MemoryError) as error:
        raise Refused(400, f"The body is no file of NumPy: {error}") from None
    if array.dtype.kind not in "fiub":
        raise Refused(400, f"A sequence must consist of real numbers, got dtype {array.dtype}")
    return array


def to_npy(array: np.ndarray) -> bytes:
    """An array as a file of NumPy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def checked(sequence: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """A sequence as the engine can compute it, in float32; or Refused."""
    fits = sequence.ndim == len(shape) and all(
        want in (None, got) and got for got, want in zip(sequence.shape, shape, strict=True)
    )
    if not fits:
        raise Refused(400, f"A sequence must have the shape {shape}, got {sequence.shape}")
    with np.errstate(over="ignore"):
        return sequence.astype(FLOATS, copy=False)


def check_finite(numbers: np.ndarray) -> None:
    """Refused where a number is none."""
    if not np.isfinite(numbers).all():
        raise Refused(400, "A sequence must consist of finite numbers")


class Prediction:
    """POST /predict, without Starlette's objects around it, which take as long as all the rest."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._shape, self._limits = engine.shape, limits
        self.batcher: Batcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            body = await self._body(int(headers.get(b"content-length", 0)), receive)
            output = await self.batcher.add(self._sequence(kind, body))
        except ClientDisconnect:
            return
        except Refused as refused:
            reason = json.dumps({"error": str(refused)}).encode()
            others = [(b"retry-after", b"1")] if refused.status == 503 else []
            await respond(send, refused.status, JSON, reason, others)
            return
        if kind == BYTES:
            shape = b",".join(b"%d" % size for size in output.shape)
            await respond(send, 200, kind, output.tobytes(), [(b"x-shape", shape)])
        elif kind == JSON:
            answer = json.dumps({"output": output.tolist()}, allow_nan=False)
            await respond(send, 200, kind, answer.encode())
        else:
            await respond(send, 200, kind, to_npy(output))

    async def _body(self, length: int, receive: Receive) -> bytes:
        """The body of a request; one that is too large is not read to its end."""
        body, more = b"", True
        while more:
            if max(length, len(body)) > self._limits.max_bytes:
                raise Refused(413, f"A request may have {self._limits.max_bytes} bytes")
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body

    def _sequence(self, kind: bytes, body: bytes) -> np.ndarray:
        """A sequence as the engine can compute it."""
        if kind == BYTES:
            sequence = from_bytes(body, self._shape)
            if sequence.size:  # then it has the shape
                return sequence
        elif kind == JSON:
            sequence = from_json(body)
        elif kind == NPY:
            sequence = from_npy(body)
        else:
            name = kind.decode("latin1") or "No type"
            raise Refused(415, f"{name}: send JSON, octet-stream or x-npy")
        return checked(sequence, self._shape)


Headers = Sequence[tuple[bytes, bytes]]


async def respond(send: Send, status: int, kind: bytes, body: bytes, more: Headers = ()) -> None:
    """A whole answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def make_app(engine: Engine, limits: Limits | None = None) -> ASGIApp:
    """The application.

    Parameters
    ----------
    engine : Engine
        What computes.
    limits : Limits, optional
        How much is taken at once.
    """
    limits = limits or Limits()
    prediction = Prediction(engine, limits)
    streams = 0

    @asynccontextmanager
    async def lifespan(app: Router) -> AsyncIterator[None]:
        prediction.batcher = Batcher(engine, limits)
        yield
        await prediction.batcher.close()

    async def stream(socket: WebSocket) -> None:
        nonlocal streams
        await socket.accept()
        if streams >= limits.max_streams:
            await socket.close(1013, "Too many streams: try again")
            return
        try:
            step = engine.stream()
        except ValueError as error:
            await socket.close(1011, str(error)[:120])
            return
        streams += 1
        try:
            while True:
                frames = frames_of(await socket.receive(), engine.shape[1:], limits.max_bytes)
                outputs = []
                for number, frame in enumerate(frames, 1):
                    # Microseconds, less than to hand it to a thread; others have their turns.
                    outputs.append(step(frame[np.newaxis])[0].copy())
                    if not number % 64:
                        await asyncio.sleep(0)
                await socket.send_bytes(np.array(outputs, FLOATS).tobytes())
        except Refused as refused:
            await socket.close(refused.status, str(refused)[:120])
        except WebSocketDisconnect:
            pass
        finally:
            streams -= 1

    async def health(request: Request) -> Response:
        batcher = prediction.batcher
        told = {"waiting": batcher.waiting, "batches": batcher.batches}
        return JSONResponse(told | {"streams": streams, "shape": engine.shape})

    route = Route("/predict", prediction, methods=["POST"])
    routes = [Route("/health", health), WebSocketRoute("/stream", stream)]
    others = Router(routes, lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """A router that looks for /predict first, and without patterns."""
        if scope["type"] == "http" and scope["path"] == "/predict":
            await route.handle(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def frames_of(message: Any, shape: tuple[int | None, ...], most: int) -> np.ndarray:
    """The frames of a message, (frames, features); Refused is the code of closing."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1000)
    body = message.get("bytes")
    if body is None:
        raise Refused(1003, "A message must be float32 numbers, got text")
    if len(body) > most:
        raise Refused(1009, f"A message may have {most} bytes")
    try:
        frames = checked(from_bytes(body, (None, *shape)), (None, *shape))
        check_finite(frames)
    except Refused as refused:
        raise Refused(1007, str(refused)) from None
    return frames


def serve(engine: Engine, limits: Limits, host: str, port: int) -> None:
    """Serve until interrupted; what waits is answered before the end."""
    app = make_app(engine, limits)
    # By default the engine's thread waits 5 ms for the lock of Python each time it has computed.
    sys.setswitchinterval(1e-4)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws_max_size=limits.max_bytes,
        timeout_graceful_shutdown=10,
    )


def main() -> None:
    """Serve what the options say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a file that cylstm.models.load_model reads")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1, help="of the engine")
    for name, default in vars(Limits()).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help="see Limits")
    given = vars(parser.parse_args())
    limits = Limits(**{name: given[name] for name in vars(Limits())})
    serve(CylstmEngine(given["model"], given["threads"]), limits, given["host"], given["port"])


if __name__ == "__main__":
    main()
