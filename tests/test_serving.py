"""The example of a server under real clients, on the loopback: answers, refusals, load, its end."""

import asyncio
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import cylstm
from cylstm.layers import LSTM, Bidirectional, Dense

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "elsewhere" / "serving.py"
SERVING = runpy.run_path(str(EXAMPLE))
FEATURES = 3


def made_model():
    cylstm.utils.set_random_seed(7)
    return cylstm.Sequential([LSTM(8, input_shape=(None, FEATURES)), Dense(2)])


def sequence(steps, seed=1):
    return np.random.default_rng(seed).standard_normal((steps, FEATURES)).astype("float32")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    made_model().save(path)
    return str(path)


@contextmanager
def served(engine, **limits):
    """The port of a server in a thread of this process."""
    app = SERVING["make_app"](engine, SERVING["Limits"](**limits))
    config = uvicorn.Config(
        app, port=0, log_level="critical", timeout_graceful_shutdown=10, http="h11"
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class Engine:
    """One that a test holds back, and that does not like the number 13."""

    shape, masks = (None, FEATURES), False

    def __init__(self):
        self.sizes, self.busy, self.go = [], threading.Event(), threading.Event()

    def predict(self, batch):
        self.busy.set()
        assert self.go.wait(60)
        self.sizes.append(len(batch))
        if (batch == 13).any():
            raise ArithmeticError("13")
        return batch.sum(axis=(1, 2))[:, np.newaxis]

    def stream(self):
        raise ValueError("no streams here")


def ask(port, body, kind="application/octet-stream", method="POST", path="/predict"):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def floats(content):
    return np.frombuffer(content, "<f4")


def until(condition):
    """Wait for what happens soon."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def waiting(port):
    return json.loads(ask(port, None, method="GET", path="/health")[1])["waiting"]


@pytest.fixture(scope="module")
def port(path):
    with served(SERVING["CylstmEngine"](path), max_bytes=20_000, max_streams=3) as port:
        yield port


# Single sequences


def test_answers_in_the_format_of_the_question(port):
    x = sequence(9)
    wanted = made_model().predict(x[np.newaxis])[0]
    status, content, headers = ask(port, x.tobytes())
    assert (status, headers["X-Shape"]) == (200, "2")
    np.testing.assert_allclose(floats(content), wanted, atol=1e-6)
    status, content, _ = ask(port, json.dumps({"sequence": x.tolist()}), "application/json")
    assert status == 200
    np.testing.assert_allclose(json.loads(content)["output"], wanted, atol=1e-6)
    file = io.BytesIO()
    np.save(file, x.astype("float64"))
    status, content, _ = ask(port, file.getvalue(), "application/x-npy")
    assert status == 200
    np.testing.assert_allclose(np.load(io.BytesIO(content)), wanted, atol=1e-6)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"", "octet-stream", 400, "shape (None, 3), got (0, 3)"),
        (b"1234567", "octet-stream", 400, "float32 numbers of the shape (None, 3), got 7 bytes"),
        (b"1234" * 4, "octet-stream", 400, "got 16 bytes"),
        (np.full((2, 3), np.nan, "f").tobytes(), "octet-stream", 400, "finite"),
        (bytes(24_000), "octet-stream", 413, "20000 bytes"),
        (b"[", "json", 400, "The body must be {"),
        (b"[1]", "json", 400, "The body must be {"),
        (b"[" * 9000, "json", 400, "The body must be {"),
        (b"{}", "json", 400, "'sequence'"),
        (b'{"sequence": [[1, 2, 3], [4]]}', "json", 400, "rows of one length"),
        (b'{"sequence": [["a", 2, 3]]}', "json", 400, "could not convert"),
        (b'{"sequence": [[1, 2, 3, 4]]}', "json", 400, "got (1, 4)"),
        (b'{"sequence": [[1, 2, 1e99]]}', "json", 400, "finite"),
        (b"\x93NUMPY", "x-npy", 400, "no file of NumPy"),
        (npy(np.array([None])), "x-npy", 400, "no file of NumPy"),
        (npy(np.ones((2, 3), "c8")), "x-npy", 400, "real numbers, got dtype complex64"),
        (npy(np.ones((2, 2, 3))), "x-npy", 400, "got (2, 2, 3)"),
        (b"x", "xml", 415, "application/xml: send JSON"),
    ],
)
def test_what_is_wrong_is_said(port, body, kind, status, message):
    found, content, _ = ask(port, body, f"application/{kind}")
    assert found == status
    assert message in json.loads(content)["error"]


def test_a_body_without_a_length_is_cut_short(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + 6 * (b"1000\r\n" + bytes(4096) + b"\r\n")
        )
        assert b"413" in client.recv(1000)


def test_other_ways(port):
    assert ask(port, b"", method="GET")[0] == 405
    assert ask(port, b"", path="/")[0] == 404
    assert json.loads(ask(port, None, method="GET", path="/health")[1])["shape"] == [None, 3]


# Micro-batches


def test_under_load_all_are_answered_and_in_batches(path):
    """32 clients, some with lengths of their own, some with what is wrong."""
    model, engine = made_model(), SERVING["CylstmEngine"](path)
    sizes, predict = [], engine.predict
    engine.predict = lambda batch, *mask: sizes.append(len(batch)) or predict(batch, *mask)

    def client(number):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/octet-stream"}
        for turn in range(15):
            x = sequence(4 + number % 3, seed=100 * number + turn)
            bad = (number + turn) % 7 == 0
            connection.request("POST", "/predict", x.tobytes()[4 * bad :], headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == (400 if bad else 200)
            if not bad:
                wanted = model.predict(x[np.newaxis])[0]
                np.testing.assert_allclose(floats(content), wanted, atol=1e-6)
        connection.close()
        return 15

    with served(engine, max_batch=8, max_wait=0.005) as port, ThreadPoolExecutor(32) as clients:
        assert sum(clients.map(client, range(32))) == 480
    assert 1 < max(sizes) <= 8
    assert len(sizes) < sum(sizes)


def test_what_waits_is_computed_together_and_no_more_than_that():
    engine = Engine()
    with served(engine, max_batch=4) as port, ThreadPoolExecutor(12) as clients:
        bodies = [np.full((2, FEATURES), n, "f").tobytes() for n in range(10)]
        first = clients.submit(ask, port, bodies[0])
        assert engine.busy.wait(60)
        others = [clients.submit(ask, port, body) for body in bodies[1:]]
        until(lambda: waiting(port) == 9)
        engine.go.set()
        answers = [float(floats(asked.result()[1])[0]) for asked in [first, *others]]
    assert answers == [6.0 * n for n in range(10)]
    assert sum(engine.sizes) == 10
    assert max(engine.sizes) == 4


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_sequences_of_several_lengths_in_one_call(tmp_path, every, backwards):
    cylstm.utils.set_random_seed(7)
    first = LSTM(8, input_shape=(None, FEATURES), return_sequences=True, go_backwards=backwards)
    model = cylstm.Sequential([first, Dense(4), LSTM(5, return_sequences=every), Dense(2)])
    model.save(tmp_path / "model.safetensors")
    engine = SERVING["CylstmEngine"](str(tmp_path / "model.safetensors"))
    sizes, predict, busy, go = [], engine.predict, threading.Event(), threading.Event()

    def held(batch, *mask):
        busy.set()
        assert go.wait(60)
        sizes.append(len(batch))
        return predict(batch, *mask)

    engine.predict = held
    with served(engine) as port, ThreadPoolExecutor(7) as clients:
        sequences = [sequence(steps, steps) for steps in (3, 1, 9, 4, 9, 2)]
        alone = clients.submit(ask, port, sequences[0].tobytes())
        assert busy.wait(60)
        asked = [clients.submit(ask, port, x.tobytes()) for x in sequences]
        until(lambda: waiting(port) == 6)
        go.set()
        answers = [answer.result() for answer in [alone, *asked]]
    for x, (status, content, headers) in zip([sequences[0], *sequences], answers, strict=True):
        wanted = model.predict(x[np.newaxis])[0]
        assert (status, headers["X-Shape"]) == (200, ",".join(map(str, wanted.shape)))
        np.testing.assert_allclose(floats(content), wanted.ravel(), atol=1e-6)
    assert sizes[0] == 1
    assert sorted(sizes[1:]) == ([1, 1, 1, 1, 2] if backwards else [6])


def test_too_many_are_refused_and_the_others_answered():
    engine = Engine()
    with served(engine, max_batch=2, max_waiting=3) as port, ThreadPoolExecutor(20) as clients:
        first = clients.submit(ask, port, sequence(2).tobytes())
        assert engine.busy.wait(60)
        asked = [clients.submit(ask, port, sequence(2, n).tobytes()) for n in range(19)]
        until(lambda: sum(answer.done() for answer in asked) == 16)
        assert waiting(port) == 3
        engine.go.set()
        answers = [answer.result() for answer in [first, *asked]]
    codes = [status for status, _, _ in answers]
    assert codes.count(200) == 4
    assert codes.count(503) == 16
    refused = next(answer for answer in answers if answer[0] == 503)
    assert "try again" in json.loads(refused[1])["error"]
    assert refused[2]["Retry-After"] == "1"


def test_one_that_cannot_be_computed_does_not_spoil_the_batch():
    engine = Engine()
    with served(engine) as port, ThreadPoolExecutor(6) as clients:
        bodies = [np.full((2, FEATURES), n, "f").tobytes() for n in (1, 2, 13, 4, 5)]
        first = clients.submit(ask, port, bodies[0])
        assert engine.busy.wait(60)
        asked = [clients.submit(ask, port, body) for body in bodies[1:]]
        until(lambda: waiting(port) == 4)
        engine.go.set()
        codes = [answer.result()[0] for answer in [first, *asked]]
        assert ask(port, bodies[0])[0] == 200
    assert codes == [200, 200, 500, 200, 200]


def test_a_client_that_goes_is_forgotten():
    engine = Engine()
    with served(engine) as port, ThreadPoolExecutor(2) as clients:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\nabc")
        asked = clients.submit(ask, port, sequence(2).tobytes())
        engine.go.set()
        assert asked.result()[0] == 200


# Streams


def test_streams_have_states_of_their_own(port):
    model, x = made_model(), sequence(12)
    wanted = [model.predict(x[np.newaxis, : t + 1])[0] for t in range(12)]
    url = f"ws://127.0.0.1:{port}/stream"
    with connect(url) as one, connect(url) as other:
        for t in range(6):
            one.send(x[t].tobytes())
            np.testing.assert_allclose(floats(one.recv()), wanted[t], atol=1e-6)
        other.send(x[:3].tobytes())  # several frames, several outputs
        found = floats(other.recv()).reshape(3, 2)
        np.testing.assert_allclose(found, wanted[:3], atol=1e-6)
        one.send(x[6:].tobytes())
        np.testing.assert_allclose(floats(one.recv()).reshape(6, 2), wanted[6:], atol=1e-6)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("text", 1003, "float32"),
        (bytes(5), 1007, "got 5 bytes"),
        (np.full(3, np.inf, "f").tobytes(), 1007, "finite"),
        (bytes(24_000), 1009, ""),
    ],
)
def test_a_wrong_message_ends_its_stream_alone(port, message, code, reason):
    url = f"ws://127.0.0.1:{port}/stream"
    with connect(url) as good, connect(url) as bad:
        bad.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            bad.recv()
        assert closed.value.rcvd.code == code
        assert reason in closed.value.rcvd.reason
        good.send(bytes(12))
        assert len(good.recv()) == 8


def test_no_more_streams_than_may_be(port):
    url = f"ws://127.0.0.1:{port}/stream"
    until(lambda: json.loads(ask(port, None, method="GET", path="/health")[1])["streams"] == 0)
    with connect(url) as one, connect(url) as two, connect(url) as three:
        for stream in (one, two, three):
            stream.send(bytes(12))
            stream.recv()
        with connect(url) as fourth, pytest.raises(ConnectionClosed) as closed:
            fourth.recv()
        assert closed.value.rcvd.code == 1013


def test_a_model_that_cannot_stream_says_so(tmp_path):
    model = cylstm.Sequential([Bidirectional(LSTM(2), input_shape=(None, FEATURES))])
    model.save(tmp_path / "model.safetensors")
    engine = SERVING["CylstmEngine"](str(tmp_path / "model.safetensors"))
    with served(engine) as port, connect(f"ws://127.0.0.1:{port}/stream") as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd.code == 1011
        assert ask(port, sequence(3).tobytes())[0] == 200


# As a program


def test_the_program_answers_what_waits_and_ends(path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"PYTHONPATH": str(Path(cylstm.__file__).parents[1])}
    command = [sys.executable, str(EXAMPLE), path, "--port", str(port), "--max-wait", "0.3"]
    with subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE) as server:

        def answers():
            assert server.poll() is None, server.stderr.read()
            try:
                return waiting(port) == 0
            except OSError:
                return False

        until(answers)
        with ThreadPoolExecutor(4) as clients:
            asked = [clients.submit(ask, port, sequence(5, n).tobytes()) for n in range(4)]
            until(lambda: waiting(port) or all(answer.done() for answer in asked))
            server.send_signal(signal.SIGTERM)
            assert [answer.result()[0] for answer in asked] == [200] * 4
        assert server.wait(60) in (0, -signal.SIGTERM)
        assert server.stderr.read() == b""


def test_the_program_says_which_models_it_takes(tmp_path):
    one = cylstm.Input((None, 3))
    cylstm.Model(one, [LSTM(2)(one), LSTM(3)(one)]).save(tmp_path / "model.safetensors")
    with pytest.raises(SystemExit, match="one input and one output"):
        SERVING["CylstmEngine"](str(tmp_path / "model.safetensors"))
