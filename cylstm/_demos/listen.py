"""Listen to the microphone: a page in the browser draws how likely it is that someone speaks.

    cylstm demo listen
    cylstm demo listen --port 9000 --threshold 0.6 --no-browser

The page asks for the microphone when its button is pressed, and sends what it hears to this program
and nowhere else: 512 samples at a time, 32 ms. The detector is that of `cylstm demo vad`, one
stream a connection, and the same sound gets the same probabilities. Ctrl-C ends the program.

Only this machine can connect. Others can with `--host` and `--public`, but there browsers do not
give the microphone to the page: `ssh -L` brings it to their localhost, where they do.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.util
import ipaddress
import json
import logging
import threading
import time
import webbrowser
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from cylstm._demos.fetch_weights import fetch
from cylstm._demos.voice_activity import CONTEXT, SAMPLES, Turns, load_detector
from cylstm._demos.who_speaks import RATE
from cylstm.models import ChainStream, Sequential

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["add_to", "run"]

PORT = 8765
LISTENERS = 8  # connections at a time
FRAMES = "/frames"  # the path of the websocket
FILES = {  # of the page, by path
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/capture.js": ("capture.js", "text/javascript"),
}
HEADERS = {
    # `data:` is for an icon, which is empty: browsers ask for one otherwise.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# What a connection is closed with, of RFC 6455: no frame; a frame of anything but sound; too many.
UNSUPPORTED, INVALID, TRY_LATER = 1003, 1007, 1013


# ---------------------------------------------------------------------- what is heard


class Ear:
    """What hears one microphone: a stream of the detector, which remembers what came before."""

    def __init__(self, stream: ChainStream, threshold: float) -> None:
        self._stream = stream
        self._turns = Turns(threshold)
        self._frame = np.zeros((1, CONTEXT + SAMPLES), np.float32)

    def hear(self, samples: np.ndarray) -> dict[str, float | bool]:
        """Return how likely it is that someone speaks, whether someone does, and what it took."""
        start = time.perf_counter()
        self._frame[0, :CONTEXT] = self._frame[0, -CONTEXT:]
        self._frame[0, CONTEXT:] = samples
        likely = float(self._stream(self._frame)[0, 0])
        self._turns(likely)
        took = time.perf_counter() - start
        return {
            "speech": likely,
            "speaking": self._turns.speaking,
            "microseconds": round(took * 1e6, 1),
        }


def samples_of(message: bytes) -> np.ndarray:
    """Return the samples of a frame between -1 and 1, float32 or 16 bits, as its size tells.

    Raises
    ------
    ValueError
        If it has another size, or holds what is no number.
    """
    if len(message) == 2 * SAMPLES:
        return np.asarray(np.frombuffer(message, "<i2") / np.float32(2**15))
    if len(message) != 4 * SAMPLES:
        raise ValueError(
            f"{len(message)} bytes: a frame has {SAMPLES} samples, float32 or 16 bits each"
        )
    samples = np.frombuffer(message, "<f4")
    if not np.isfinite(samples).all():  # it would stay in the state of the LSTM for good
        raise ValueError("a frame holds NaN or infinity: samples are between -1 and 1")
    return np.asarray(np.clip(samples, -1, 1))


# ---------------------------------------------------------------------- the server


class Listening:
    """Serves the page, and hears what it sends."""

    def __init__(self, model: Sequential, threshold: float, host: str) -> None:
        self._stream, self._threshold = model.stream(), threshold  # copied, and never called
        self._names = {"localhost", host}
        self._listeners = 0
        settings = {"rate": RATE, "samples": SAMPLES, "threshold": threshold}
        folder = resources.files("cylstm._demos").joinpath("page")
        self._texts = {p: folder.joinpath(f).read_text("utf-8") for p, (f, _) in FILES.items()}
        self._texts["/"] = Template(self._texts["/"]).substitute(settings)

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse strangers, and return what asks for a file; None lets a websocket begin."""
        refusal = self.refusal(request.headers.get_all("Host"), request.headers.get_all("Origin"))
        if refusal:
            return connection.respond(403, refusal + "\n")
        path = urlsplit(request.path).path
        if path == FRAMES:
            return None
        if path not in FILES:
            return connection.respond(404, "There is no such page; it is at /\n")
        response = connection.respond(200, self._texts[path])
        del response.headers["Content-Type"]
        response.headers.update({"Content-Type": f"{FILES[path][1]}; charset=utf-8", **HEADERS})
        return response

    def refusal(self, hosts: list[str], origins: list[str]) -> str:
        """Return why a request is refused: it comes of another web site, or by the name of one.

        Browsers say in `Origin` which site a script is of. A site whose name was made to lead
        to this machine has that name in `Host`.
        """
        if len(hosts) != 1 or not self.is_own(hosts[0]):
            return f"Host {', '.join(hosts)!r} is no name of this server: use its address"
        if origins and origins != [f"http://{hosts[0]}"]:
            return f"Origin {', '.join(origins)!r} is another web site"
        return ""

    def is_own(self, host: str) -> bool:
        """Return whether a host of a request is an address, or a name that this server has."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or is_address(name)

    async def listen(self, connection: ServerConnection) -> None:
        """Hear a connection until it closes, if there is room for one."""
        from websockets.exceptions import ConnectionClosed

        if self._listeners == LISTENERS:
            await connection.close(TRY_LATER, f"{LISTENERS} pages are connected: no more can")
            return
        self._listeners += 1
        try:
            await self.hear(connection)
        except ConnectionClosed:
            pass  # without a farewell, as when a laptop is shut
        finally:
            self._listeners -= 1

    async def hear(self, connection: ServerConnection) -> None:
        """Answer each frame of a connection, and close it after what is no frame."""
        ear = Ear(self._stream.copy(), self._threshold)
        async for message in connection:
            if isinstance(message, str):
                await connection.close(UNSUPPORTED, "text: a frame is a binary message")
                return
            try:
                samples = samples_of(message)
            except ValueError as error:
                await connection.close(INVALID, str(error))
                return
            await connection.send(json.dumps(ear.hear(samples)))


def is_address(name: str) -> bool:
    """Return whether a name of a host is an IP address, which leads to no other machine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def url_of(server: Server) -> str:
    """Return the address of the page as a browser on this machine takes it."""
    host, port = next(iter(server.sockets)).getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


async def serve(listening: Listening, options: argparse.Namespace) -> None:
    """Serve until the task is cancelled, as Ctrl-C does; connections are closed then."""
    from websockets.asyncio.server import serve as begin

    # A browser opens connections in advance and closes them unused, which older versions report.
    log = logging.Logger("websockets")
    log.addFilter(lambda record: "opening handshake failed" not in record.getMessage())
    server = begin(
        listening.listen,
        options.host,
        options.port,
        process_request=listening.answer,
        max_size=4 * SAMPLES,
        compression=None,
        close_timeout=1,
        server_header=None,
        logger=log,
    )
    try:
        running = await server
    except OSError as error:
        raise OSError(refused_by_system(error, options)) from None
    try:
        print(f"Listening at {url_of(running)}, until Ctrl-C", flush=True)
        if options.browser:  # in a thread: a browser in the terminal does not return
            threading.Thread(target=webbrowser.open, args=[url_of(running)], daemon=True).start()
        await asyncio.get_running_loop().create_future()  # which Ctrl-C cancels
    finally:
        running.close()
        await running.wait_closed()


def refused_by_system(error: OSError, options: argparse.Namespace) -> str:
    """Return what to do where the port cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {options.port} of {options.host} is in use, maybe by another `cylstm demo "
            "listen`: --port takes another one, and 0 is any that is free."
        )
    return f"Cannot serve at {options.host}, port {options.port}: {error.strerror or error}"


# ---------------------------------------------------------------------- the command


def check(options: argparse.Namespace) -> None:
    """Raise where the page could not be served, or more would be served than is meant."""
    if importlib.util.find_spec("websockets") is None:
        raise ImportError(
            "the page is served by websockets, which is not installed: pip install 'cylstm[listen]'"
        )
    if not 0 <= options.threshold <= 1:
        raise ValueError(f"--threshold {options.threshold} is no probability, from 0 to 1.")
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port {options.port} is not from 0 to {2**16 - 1}.")
    host = options.host
    own = ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"
    if not own and not options.public:
        raise ValueError(
            f"--host {host} would let other machines connect: add --public if that is meant."
        )


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser."""
    parser.add_argument("--host", default="127.0.0.1", help="address; default 127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any free one")
    parser.add_argument("--public", action="store_true", help="let --host be one for all machines")
    parser.add_argument("--threshold", type=float, default=0.5, help="of speech; default 0.5")
    parser.add_argument("--weights", type=Path, help="of a detector of your own, instead")
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open the page"
    )


def run(options: argparse.Namespace) -> None:
    """Serve the page."""
    check(options)
    model = load_detector(options.weights or fetch("silero-vad", "silero_vad_16k.safetensors"))
    listening = Listening(model, options.threshold, options.host)
    asyncio.run(serve(listening, options))
