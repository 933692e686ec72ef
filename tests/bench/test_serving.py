"""The server that is measured, and the clients that measure it."""

import subprocess
from contextlib import contextmanager

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
        result = serving.load([port], 6, 0.3, shape)
        assert serving.health(port)["batches"] > 1
    assert result["rate"] > 10
    assert 0 < result["p50"] <= result["p99"]
    bodies = [request.partition(b"\r\n\r\n")[2] for request in serving.requests_of(shape)]
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
            serving.load([port], 1, 0.3, (24, 5))
