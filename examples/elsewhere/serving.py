"""A server of one model: single sequences by HTTP, in micro-batches, and streams by websocket.

    pip install -e '.[serving]'
    python examples/elsewhere/serving.py model.safetensors [--port 8000]

POST /predict takes one sequence, and answers with the output for it in the same format:

- application/json: {"sequence": [[0.1, 0.2], ...]}, answered {"output": [...]};
- application/octet-stream: float32, little-endian, row by row; X-Shape is the shape of the answer;
- application/x-npy: a file of NumPy.

Sequences that wait while others are computed are computed together, those of one shape in one call,
`max_batch` at most; the first one waits `max_wait` seconds for others. What is wrong with a
sequence is said to who sent it (400, 413, 415), and when too many wait, the answer is 503.

The websocket /stream has a state of its own for each connection, from zeros: a message holds
frames as float32, and is answered by the outputs for them. GET /health tells how much waits.

The answers are those of `model.predict`, to rounding; streams those of `model.stream()`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import cylstm

FLOATS = np.dtype("<f4")


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
    """What computes: a model of one input and one output."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of a sequence; None is any number of steps."""

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """The outputs for sequences of one shape; called by one thread at a time."""

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
        self.predict = self.model.predict_on_batch
        self._first: Any = None

    def stream(self) -> Callable[[np.ndarray], np.ndarray]:
        """A stream with a state of its own; they share the weights."""
        self._first = self._first or self.model.stream()
        made: Callable[[np.ndarray], np.ndarray] = self._first.copy()
        return made


# ------------------------------------------------------------------ micro-batches


class Overloaded(Exception):
    """More waits than may wait."""


class Batcher:
    """Sequences go in one by one, and are computed together.

    Parameters
    ----------
    predict : callable
        From (samples, ...) to the outputs.
    limits : Limits
        How many at once, and how many wait.
    """

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], limits: Limits) -> None:
        self._predict, self._limits = predict, limits
        self._queue: asyncio.Queue[tuple[np.ndarray, asyncio.Future[np.ndarray]]]
        self._queue = asyncio.Queue(limits.max_waiting)
        self._thread = ThreadPoolExecutor(1, "engine")
        self._seconds = math.inf  # that the last batch took
        self.batches = 0

    @property
    def waiting(self) -> int:
        """How many sequences wait."""
        return self._queue.qsize()

    async def __call__(self, sequence: np.ndarray) -> np.ndarray:
        """The output for one sequence; Overloaded where too many wait."""
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((sequence, answer))
        except asyncio.QueueFull:
            raise Overloaded from None
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._collected()
            asked = [(x, answer) for x, answer in batch if not answer.done()]  # who has not gone
            sequences = [x for x, _ in asked]
            if self._seconds < self._limits.short:
                outputs = self._outputs(sequences)
            else:
                outputs = await loop.run_in_executor(self._thread, self._outputs, sequences)
            self.batches += 1
            for (_, answer), output in zip(asked, outputs, strict=True):
                if answer.done():
                    continue
                if isinstance(output, Exception):
                    answer.set_exception(output)
                else:
                    answer.set_result(output)
            for _ in batch:
                self._queue.task_done()

    async def close(self) -> None:
        """Wait until all is answered."""
        await self._queue.join()
        self._thread.shutdown()

    async def _collected(self) -> list[tuple[np.ndarray, asyncio.Future[np.ndarray]]]:
        """The first that comes, and what waits besides or comes in time."""
        batch = [await self._queue.get()]
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.max_wait
        while len(batch) < self._limits.max_batch:
            if self._queue.empty():
                left = end - clock()
                if left <= 0:
                    break
                try:
                    batch.append(await asyncio.wait_for(self._queue.get(), left))
                except TimeoutError:
                    break
            else:
                batch.append(self._queue.get_nowait())
        return batch

    def _outputs(self, sequences: list[np.ndarray]) -> list[np.ndarray | Exception]:
        """Those of one shape in one call."""
        start = time.perf_counter()
        outputs: list[np.ndarray | Exception] = [RuntimeError("not computed")] * len(sequences)
        places: dict[tuple[int, ...], list[int]] = {}
        for place, sequence in enumerate(sequences):
            places.setdefault(sequence.shape, []).append(place)
        for same in places.values():
            found = self._of_one_shape([sequences[place] for place in same])
            for place, output in zip(same, found, strict=True):
                outputs[place] = output
        self._seconds = time.perf_counter() - start
        return outputs

    def _of_one_shape(self, sequences: list[np.ndarray]) -> list[np.ndarray | Exception]:
        try:
            return list(self._predict(np.stack(sequences)))
        except Exception as error:  # of one of them: the others have their answers
            if len(sequences) == 1:
                return [error]
            return [self._of_one_shape([sequence])[0] for sequence in sequences]


# ------------------------------------------------------------------ HTTP


class Refused(Exception):
    """A request that cannot be answered: the status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


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


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request; one that is too large is not read to its end."""
    too_large = Refused(413, f"A request may have {most} bytes")
    if int(request.headers.get("content-length") or 0) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def checked(sequence: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """A sequence as the engine can compute it, in float32; or Refused."""
    fits = sequence.ndim == len(shape) and all(
        want in (None, got) and got for got, want in zip(sequence.shape, shape, strict=True)
    )
    if not fits:
        raise Refused(400, f"A sequence must have the shape {shape}, got {sequence.shape}")
    with np.errstate(over="ignore"):
        sequence = sequence.astype("float32", copy=False)
    if not np.isfinite(sequence).all():
        raise Refused(400, "A sequence must consist of finite numbers")
    return sequence


def make_app(engine: Engine, limits: Limits | None = None) -> Starlette:
    """The application.

    Parameters
    ----------
    engine : Engine
        What computes.
    limits : Limits, optional
        How much is taken at once.
    """
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.batcher = batcher = Batcher(engine.predict, limits)
        app.state.streams = 0
        running = asyncio.create_task(batcher.run())
        yield
        await batcher.close()
        running.cancel()

    async def predict(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await body_of(request, limits.max_bytes)
        if kind == "application/octet-stream":
            sequence = from_bytes(body, engine.shape)
        elif kind == "application/json":
            sequence = from_json(body)
        elif kind == "application/x-npy":
            sequence = from_npy(body)
        else:
            raise Refused(415, f"{kind or 'No type'}: send JSON, octet-stream or x-npy")
        output = await request.app.state.batcher(checked(sequence, engine.shape))
        if kind == "application/json":
            return JSONResponse({"output": output.tolist()})
        if kind == "application/x-npy":
            return Response(to_npy(output), media_type=kind)
        shape = ",".join(map(str, output.shape))
        return Response(output.astype(FLOATS).tobytes(), 200, {"X-Shape": shape}, kind)

    async def stream(socket: WebSocket) -> None:
        state = socket.app.state
        await socket.accept()
        if state.streams >= limits.max_streams:
            await socket.close(1013, "Too many streams: try again")
            return
        try:
            step = engine.stream()
        except ValueError as error:
            await socket.close(1011, str(error)[:120])
            return
        state.streams += 1
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
            state.streams -= 1

    async def health(request: Request) -> Response:
        state = request.app.state
        return JSONResponse(
            {
                "waiting": state.batcher.waiting,
                "batches": state.batcher.batches,
                "streams": state.streams,
                "shape": engine.shape,
            }
        )

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health),
        WebSocketRoute("/stream", stream),
    ]
    answers: Any = {Refused: refusal, Overloaded: overload, ClientDisconnect: refusal}
    return Starlette(routes=routes, exception_handlers=answers, lifespan=lifespan)


async def refusal(request: Request, error: Exception) -> Response:
    """The answer where something is wrong with a request."""
    return JSONResponse({"error": str(error)}, getattr(error, "status", 400))


async def overload(request: Request, error: Exception) -> Response:
    """The answer where too much waits."""
    text = "Too many sequences wait: try again"
    return JSONResponse({"error": text}, 503, {"Retry-After": "1"})


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
