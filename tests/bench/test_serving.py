"""The server that is measured, and the clients that measure it."""

import subprocess
from argparse import Namespace
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

import cylstm
from bench import serving


@contextmanager
def started(*arguments):
    with subprocess.Popen(serving.own("--serve", *arguments)) as server:
        try:
            yield server
        finally:
            server.terminate()


@pytest.mark.parametrize("name", ["small"])
def test_clients_get_the_answers_of_the_model(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", cylstm.__path__[0] + "/..")
    shape = serving.make(name, tmp_path)
    port = serving.free_port()
    with started("cylstm", tmp_path / name, 1, port, 8, 0.0) as server:
        serving.wait_for(port, server)
        result = serving.load([port], 6, 0.3, shape, shape[0])
        assert serving.health(port)["batches"] > 1
    assert result["rate"] > 10
    assert 0 < result["p50"] <= result["p99"]
    bodies = [request.partition(b"\r\n\r\n")[2] for request in serving.requests_of(shape, shape[0])]
    x = np.array([np.frombuffer(body, "<f4").reshape(shape) for body in bodies])
    wanted = cylstm.models.load_model(tmp_path / f"{name}.safetensors").predict(x)
    asked = {int(number): body for number, body in result["answers"].items()}
    assert len(asked) >= 6
    for number, body in asked.items():
        found = np.frombuffer(bytes.fromhex(body), "<f4")
        np.testing.assert_allclose(found, wanted[number], atol=1e-6)


def test_a_refused_request_ends_the_measurement(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", cylstm.__path__[0] + "/..")
    serving.make("small", tmp_path)
    port = serving.free_port()
    with started("cylstm", tmp_path / "small", 1, port, 8, 0.0) as server:
        serving.wait_for(port, server)
        with pytest.raises(RuntimeError, match="400"):
            serving.load([port], 1, 0.3, (24, 5), 24)


def test_two_servers_share_sequences_of_several_lengths(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", cylstm.__path__[0] + "/..")
    steps, features = serving.make("small", tmp_path, unequal=True)
    given = Namespace(processes=2, threads=1, max_batch=8, max_wait=0.0)
    with ExitStack() as stack:
        contender = serving.Contender("cylstm", tmp_path / "small", given, stack)
        result = contender.turn(6, 1.0, steps // 2, steps, features)
        served = [serving.health(port)["batches"] for port in contender.ports]
        contender.results.append(result)
    assert min(served) > 0
    assert 1 <= result["batch"] <= 3
    assert min(result["server"], result["clients"]) > 0
    assert f"{result['rate']:.0f} requests/s" in str(contender)
    lengths = {len(request) for request in serving.requests_of((steps, features), steps // 2)}
    assert len(lengths) > 3


def test_what_an_engine_takes_without_a_server(tmp_path):
    shape = serving.make("small", tmp_path)
    one, many = (serving.alone("cylstm", str(tmp_path / "small"), 1, n, shape) for n in (1, 32))
    assert 0 < many < one
