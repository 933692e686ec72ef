"""demo listen: what the server answers to a page, and to anything else; the page itself is looked

at in tests/browser, and what the published weights say in tests/published.
"""

import contextlib
import importlib.util
import json
import re
import signal
import socket
import sys
import time
from importlib import resources

import numpy as np
import pytest
from cli_runs import refused, run
from listening import fetched, frames_of, listening, status_of
from voices import made_voice, write_detector, write_wav
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from cylstm._demos.listen import LISTENERS
from cylstm._demos.voice_activity import Turns
from cylstm._demos.who_speaks import read

NAMES = ["page.html", "page.css", "page.js", "capture.js"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    write_detector(path)
    return path


@pytest.fixture(scope="module")
def page(weights):
    """The address of a page that is served; at the end the server has said nothing else."""
    with listening("--weights", weights, "--threshold", 0.55) as (process, url):
        yield url
        assert process.poll() is None
        process.kill()
        assert process.stderr.read() == ""


def listener(url, **options):
    """A connection as the page opens it."""
    return connect(url.replace("http", "ws") + "frames", compression=None, **options)


def answers(connection, frames):
    """What is answered to each of the frames."""
    found = []
    for frame in frames:
        connection.send(frame)
        found.append(json.loads(connection.recv(timeout=60)))
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Silence, and what is like a voice, in a file."""
    path = tmp_path_factory.mktemp("recording") / "a.wav"
    sound = np.concatenate([np.zeros(8000), made_voice(120, 1.5), np.zeros(8000)])
    write_wav(path, sound[: 70 * 512])
    return path


@pytest.fixture(scope="module")
def sound(recording):
    return read(recording)


def closed_with(connection):
    """Code and reason that the server closes a connection with."""
    with pytest.raises(ConnectionClosed) as caught:
        connection.recv(timeout=60)
    return caught.value.rcvd.code, caught.value.rcvd.reason


# ---------------------------------------------------------------------- what is heard


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_the_same_sound_has_the_bits_of_the_vad_demo(kind, page, recording, sound, weights, capsys):
    command = ["demo", "vad", recording, "--weights", weights]
    status, out, _ = run(capsys, *command, "--json")
    assert status == 0
    wanted = json.loads("\n".join(out))["probabilities"]
    assert np.ptp(wanted) > 0.1
    frames = frames_of(sound)
    if kind == "int16":
        frames = [np.int16(np.frombuffer(f, "<f4") * 2**15).astype("<i2").tobytes() for f in frames]
    with listener(page) as connection:
        found = answers(connection, frames)
    assert [answer["speech"] for answer in found] == wanted
    assert all(0 < answer["microseconds"] < 1e7 for answer in found)


def test_who_speaks_does_so_until_it_was_silent_for_a_while(page, sound):
    with listener(page) as connection:
        found = answers(connection, frames_of(sound))
    turns = Turns(0.55)
    wanted = [turns(answer["speech"]) or turns.speaking for answer in found]
    assert [answer["speaking"] for answer in found] == [share is True for share in wanted]
    assert 0 < sum(answer["speaking"] for answer in found) < len(found)


def test_connections_do_not_hear_each_other(page, sound):
    frames = frames_of(sound)
    with listener(page) as connection:
        alone = answers(connection, frames)
    with listener(page) as one, listener(page) as other:
        pairs = zip(frames, frames[::-1], strict=True)
        mixed = [(answers(one, [a]), answers(other, [b])) for a, b in pairs]
    with listener(page) as connection:
        backwards = answers(connection, frames[::-1])
    for found, wanted in ((0, alone), (1, backwards)):
        likely = [answer[found][0]["speech"] for answer in mixed]
        assert likely == [answer["speech"] for answer in wanted]


def test_louder_than_loud_is_cut(page, sound):
    frames = frames_of(3 * sound)
    with listener(page) as one, listener(page) as other:
        found, wanted = answers(one, frames), answers(other, frames_of(np.clip(3 * sound, -1, 1)))
    assert [answer["speech"] for answer in found] == [answer["speech"] for answer in wanted]


# ---------------------------------------------------------------------- what is no frame


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ("hello", 1003, "text: a frame is a binary message"),
        (b"", 1007, "0 bytes: a frame has 512 samples"),
        (bytes(1000), 1007, "1000 bytes: a frame has 512 samples"),
        (np.full(512, np.nan, "<f4").tobytes(), 1007, "NaN or infinity"),
        (np.full(512, np.inf, "<f4").tobytes(), 1007, "NaN or infinity"),
        (bytes(2049), 1009, ""),
        (bytes(2**20), 1009, ""),
    ],
)
def test_what_is_no_frame_ends_the_connection(message, code, said, page, sound):
    with listener(page) as other, listener(page) as connection:
        answers(other, frames_of(sound)[:1])
        answers(connection, frames_of(sound)[:1])
        with contextlib.suppress(ConnectionClosed):
            connection.send(message)
        found, reason = closed_with(connection)
        assert found == code
        assert said in reason
        assert answers(other, frames_of(sound)[1:2])  # which is not disturbed


def test_bytes_that_are_no_websocket(page):
    host, port = page.removeprefix("http://").rstrip("/").split(":")
    endless = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10000
    for nonsense in (b"\x16\x03\x01" + bytes(500), b"POST / HTTP/1.1\r\n\r\n", endless, b""):
        with socket.create_connection((host, int(port))) as stranger:
            with contextlib.suppress(ConnectionError):
                stranger.sendall(nonsense)
                stranger.shutdown(socket.SHUT_WR)
                stranger.recv(1000)
    assert status_of(page)[0] == 200


def test_so_many_connections_and_no_more(page, sound):
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(listener(page)) for _ in range(LISTENERS)]
        for connection in first:  # so all of them have begun
            answers(connection, frames_of(sound)[:1])
        for _ in range(2):
            with listener(page) as connection:
                code, reason = closed_with(connection)
                assert code == 1013
                assert reason == f"{LISTENERS} pages are connected: no more can"
        first[0].close()
        assert answers(stack.enter_context(listener(page)), frames_of(sound)[:1])


# ---------------------------------------------------------------------- who may connect


def own(url):
    return url.rstrip("/")


def test_the_page_itself_and_programs_may(page, sound):
    for origin in (own(page), None):
        with listener(page, origin=origin) as connection:
            assert answers(connection, frames_of(sound)[:1])
    by_name = page.replace("127.0.0.1", "localhost")
    host = own(by_name).removeprefix("http://")
    assert status_of(page, Host=host, Origin=own(by_name))[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "null",
        "http://127.0.0.1",  # another port
        "http://127.0.0.1:1",
        "http://example.org:{port}",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.example.org",
    ],
)
def test_another_web_site_may_not(origin, page):
    origin = origin.format(port=own(page).rpartition(":")[2])
    with pytest.raises(InvalidStatus) as caught, listener(page, origin=origin):
        pass
    assert caught.value.response.status_code == 403
    assert f"Origin {origin!r} is another web site" in caught.value.response.body.decode()
    assert status_of(page, Origin=origin)[0] == 403


@pytest.mark.parametrize("host", ["example.org", "example.org:{port}", "localhost.org", "["])
def test_a_site_whose_name_leads_here_may_not(host, page):
    host = host.format(port=own(page).rpartition(":")[2])
    for path in ("", "page.js", "frames"):
        status, said = status_of(page + path, Host=host, Origin=f"http://{host}")
        assert status == 403
        assert "is no name of this server" in said


# ---------------------------------------------------------------------- the page


def test_files_of_the_page(page):
    folder = resources.files("cylstm._demos").joinpath("page")
    for name, path in zip(NAMES, ["", *NAMES[1:]], strict=True):
        headers, text = fetched(page + path)
        kind = {"html": "html", "css": "css", "js": "javascript"}[name.rpartition(".")[2]]
        assert headers["Content-Type"] == f"text/{kind}; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        if path:
            assert text == folder.joinpath(name).read_text("utf-8")
        # Nothing comes from elsewhere, and nothing is in the page that the policy forbids.
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://localhost"}
        assert not re.search(r"<style|<script>| style=| on\w+=\"|eval\(|innerHTML", text)
    text = fetched(page)[1]
    assert 'data-rate="16000" data-samples="512" data-threshold="0.55"' in text
    assert set(re.findall(r'(?:src|href)="(\w[\w.]+)"', text)) == {"page.css", "page.js"}


def test_what_is_not_there(page):
    for path in ("favicon.ico", "listen.py", "../listen.py", "%2e%2e/listen.py", "page.html"):
        assert status_of(page + path)[0] == 404
    assert status_of(page + "frames")[0] == 426  # for websockets
    assert status_of(page + "?a=1#b")[0] == 200


def test_the_page_is_small():
    folder = resources.files("cylstm._demos").joinpath("page")
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(NAMES)
    assert sum(len(folder.joinpath(name).read_bytes()) for name in NAMES) < 13_000


# ---------------------------------------------------------------------- the command


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a console only")
def test_ctrl_c_ends_it(weights, sound):
    with listening("--weights", weights) as (process, url), listener(url) as connection:
        answers(connection, frames_of(sound)[:3])
        process.send_signal(signal.SIGINT)
        assert closed_with(connection)[0] == 1001  # going away
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "cylstm demo: interrupted\n")


def test_the_browser_is_opened(weights, tmp_path):
    browser, told = tmp_path / "browser.py", tmp_path / "told.txt"
    browser.write_text(
        "import os, sys\n"
        f"with open({str(told)!r} + '~', 'w') as file: file.write(sys.argv[1])\n"
        f"os.replace({str(told)!r} + '~', {str(told)!r})\n"
    )
    with listening("--weights", weights, browser=f"{sys.executable} {browser} %s") as (_, url):
        while not told.exists():
            time.sleep(0.05)
        assert told.read_text() == url


def test_a_port_that_is_in_use(weights, page, capsys):
    port = own(page).rpartition(":")[2]
    command = ["demo", "listen", "--no-browser", "--weights", weights, "--port", port]
    assert refused(capsys, *command).startswith(f"Port {port} of 127.0.0.1 is in use, ")


def test_an_address_that_is_not_of_this_machine(weights, capsys):
    command = ["demo", "listen", "--no-browser", "--weights", weights, "--public", "--port", 0]
    said = refused(capsys, *command, "--host", "192.0.2.1")  # of examples only
    assert said.startswith("Cannot serve at 192.0.2.1, port 0: ")


def test_other_machines_only_if_asked_plainly(weights, capsys):
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        said = refused(capsys, "demo", "listen", "--host", host, "--weights", "none.safetensors")
        assert said.startswith(f"--host {host} would let other machines connect: add --public ")
    with listening("--weights", weights, "--host", "0.0.0.0", "--public") as (_, url):
        assert url.startswith("http://localhost:")
        assert status_of(url.replace("localhost", "127.0.0.1"))[0] == 200
        assert status_of(url.replace("localhost", "127.0.0.1"), Host="example.org")[0] == 403


def test_wrong_arguments(capsys):
    assert "no probability" in refused(capsys, "demo", "listen", "--threshold", "nan")
    assert "--port 70000 is not from 0" in refused(capsys, "demo", "listen", "--port", "70000")
    assert "none.safetensors" in refused(capsys, "demo", "listen", "--weights", "none.safetensors")


def test_without_the_extra(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'cylstm[listen]'" in refused(capsys, "demo", "listen")
