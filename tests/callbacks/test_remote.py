"""RemoteMonitor: what arrives at a server, and that training goes on without one."""

import http.server
import json
import threading
from urllib.parse import parse_qs

import numpy as np
import pytest

import cylstm
from cylstm.callbacks import RemoteMonitor


@pytest.fixture
def server(monkeypatch):
    """A server that keeps what it is sent, and answers as it is told."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.found.append((self.path, dict(self.headers), body.decode("ascii")))
            self.send_response(self.server.answer)
            self.end_headers()

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        made.found, made.answer = [], 200
        made.root = f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_each_epoch_is_a_form_with_json(server):
    model = cylstm.Sequential([cylstm.LSTM(2, input_shape=(3, 1))])
    model.compile("sgd", "mse")
    callback = RemoteMonitor(server.root, "/logs", "training", {"X-Key": "secret"})
    history = model.fit(np.ones((4, 3, 1)), np.ones((4, 2)), 2, 2, verbose=0, callbacks=callback)
    for epoch, (path, headers, body) in enumerate(server.found):
        assert (path, headers["X-Key"]) == ("/logs", "secret")
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"
        ((name, (text,)),) = parse_qs(body, strict_parsing=True).items()
        assert name == "training"
        assert json.loads(text) == {"epoch": epoch, "loss": history.history["loss"][epoch]}
    assert len(server.found) == 2


def test_numbers_of_numpy_and_any_text_are_sent(server):
    logs = {"loss": np.float32(0.5), "each": np.arange(2), "name": "a=b & c/é"}
    RemoteMonitor(server.root).on_epoch_end(7, logs)
    ((path, _, body),) = server.found
    assert path == "/publish/epoch/end/"
    sent = {"epoch": 7, "loss": 0.5, "each": [0, 1], "name": "a=b & c/é"}
    assert json.loads(parse_qs(body)["data"][0]) == sent


def test_a_server_that_refuses_or_is_not_there_is_warned_of(server):
    server.answer = 500
    with pytest.warns(RuntimeWarning, match=f"could not send epoch 1 to {server.root}: .*500"):
        RemoteMonitor(server.root).on_epoch_end(1, {"loss": 1.0})
    with pytest.warns(RuntimeWarning, match="could not send epoch 0 to http://127.0.0.1:1:"):
        RemoteMonitor("http://127.0.0.1:1").on_epoch_end(0, {})
    for root in ("localhost:9000", "file:///etc"):
        with pytest.raises(ValueError, match="must begin with http"):
            RemoteMonitor(root)
