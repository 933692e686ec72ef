"""The page of demo listen: what it draws of a recording, by browser and server as they are.

`CYLSTM_PICTURE=docs/pictures/listen.png` also takes the picture of the manual.
"""

import os
import re
import signal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import Thread

import numpy as np
import pytest
from listening import RATE, listening, recorded_speech
from scipy.signal import resample_poly

SECONDS = 11  # listened to
SHORT = 2
EDGE = int(0.6 * RATE)  # of speech, where a breath may be heard or not
STATUS = "document.getElementById('status')"
WITHOUT_16_KHZ = """
const Native = AudioContext;
AudioContext = class extends Native {
  constructor(options) {
    if (options?.sampleRate) throw new DOMException("not at this rate", "NotSupportedError");
    super({ sampleRate: RATE });
  }
};
"""
WITHOUT_MICROPHONES = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"
DRAWN = """
chart.getContext("2d").getImageData(0, 0, chart.width, chart.height).data.some(Boolean)
"""
# capture.js, fed with samples of another rate in pieces of 128; returns what it makes of them.
RESAMPLE = """
([rate, given]) => {
  globalThis.sampleRate = rate;
  globalThis.AudioWorkletProcessor = class {
    port = { postMessage: ({ samples }) => found.push(...samples) };
  };
  let Capture;
  const found = [];
  globalThis.registerProcessor = (name, made) => { Capture = made; };
  (() => { SOURCE })();
  const capture = new Capture({ processorOptions: { rate: 16000, samples: 512 } });
  for (let i = 0; i < given.length; i += 128)
    capture.process([[Float32Array.from(given.slice(i, i + 128))]]);
  return found;
}
"""


@pytest.fixture(scope="module")
def url():
    with listening() as (_, found):
        yield found


@pytest.fixture
def page(browser):
    """An empty page; at the end it has no errors, and tried nothing that is forbidden."""
    context = browser.new_context()
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda message: page.wrong.append(message.text))
    yield page
    context.close()
    assert page.wrong == []


def until(page, condition):
    """Wait; playwright's own way of it would need eval, which the page forbids."""
    for _ in range(1200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(f"not {condition}: {said(page)}")


def listen(page, url, seconds):
    """Start by the keyboard, wait until so much was heard, and return the points."""
    page.goto(url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, f"points.at(-1)?.time > {seconds}")
    return page.evaluate("points")


def said(page):
    return page.inner_text("#status")


def is_wrong(page):
    return page.evaluate(f"{STATUS}.classList.contains('wrong')")


def check_points(points):
    """Speech is where the recording has it; a word more or less at the ends is left out."""
    times = np.array([point["time"] for point in points])
    np.testing.assert_allclose(np.diff(times), 512 / RATE)
    likely = np.array([point["speech"] for point in points])
    spoken, at = recorded_speech()[1], (times * RATE).astype(int)
    around = np.array([spoken[(at + end).clip(0)] for end in (-EDGE, 0, EDGE)])
    inside, outside = around.all(axis=0), ~around.any(axis=0)
    assert inside.sum() > 50
    assert outside.sum() > 100
    assert likely[inside].min() > 0.8
    assert likely[outside].max() < 0.3
    assert all(points[i]["speaking"] for i in np.flatnonzero(inside))
    assert not any(points[i]["speaking"] for i in np.flatnonzero(outside))


def test_speech_and_silence_are_drawn_where_they_are(page, url, capsys):
    page.set_viewport_size({"width": 800, "height": 500})
    points = listen(page, url, SECONDS)
    if "CYLSTM_PICTURE" in os.environ:
        page.screenshot(path=os.environ["CYLSTM_PICTURE"])
    assert said(page) == "Listening at 16 kHz."
    check_points(points)
    latency = [point["latency"] for point in points if "latency" in point]
    assert len(latency) > len(points) - 10
    with capsys.disabled():
        print(
            f"\nframe to drawn point: median {np.median(latency):.0f} ms, "
            f"p99 {np.percentile(latency, 99):.0f} ms, of {len(latency)} frames; computing: "
            f"median {np.median([point['microseconds'] for point in points]):.0f} us"
        )
    assert np.median(latency) < 1000
    assert page.evaluate(DRAWN)
    shown = page.inner_text("dl")
    assert re.search(r"latency, frame to point\s+\d+ ms", shown)
    assert re.search(r"probability of speech\s+[01]\.\d\d", shown)


def test_a_browser_that_cannot_give_16_khz(page, url):
    page.add_init_script(WITHOUT_16_KHZ.replace("RATE", "48000"))
    points = listen(page, url, SECONDS)
    assert said(page) == "Listening at 48 kHz."
    check_points(points)


@pytest.mark.parametrize("rate", [44100, 48000, 96000, 8000])
def test_other_rates_become_16_khz(rate, page):
    source = resources.files("cylstm._demos").joinpath("page/capture.js").read_text("utf-8")
    random, count = np.random.default_rng(1), rate // 2
    up, down = (RATE // 100, rate // 100)
    given = resample_poly(random.normal(size=4000), rate // 100, 60)[:count]  # below 3 kHz
    found = page.evaluate(RESAMPLE.replace("SOURCE", source), [rate, given.tolist()])
    assert len(found) > 0.4 * RATE
    wanted = resample_poly(given, up, down)[: len(found)]
    inner = slice(200, -200)
    error = np.square(np.subtract(found, wanted)[inner]).mean() / np.square(wanted[inner]).mean()
    assert error < 1e-4  # -40 dB
    if rate > 2 * RATE:  # what 16 kHz cannot have does not come back as another tone
        tone = np.sin(2 * np.pi * 10_000 * np.arange(count) / rate)
        found = page.evaluate(RESAMPLE.replace("SOURCE", source), [rate, tone.tolist()])
        assert np.abs(found[200:-200]).max() < 0.01


def test_stop_and_start_again(page, url):
    listen(page, url, SHORT)
    assert page.inner_text("#button") == "Stop listening"
    assert page.inner_text("#label") in ("speech", "silence")
    page.keyboard.press("Space")  # the button still has the focus
    assert (said(page), is_wrong(page)) == ("Stopped.", False)
    assert page.inner_text("#button") == "Start listening"
    count = page.evaluate("points.length")
    page.wait_for_timeout(300)
    assert page.evaluate("points.length") == count
    page.keyboard.press("Enter")
    until(page, f"points.at(-1)?.time < {SHORT / 2}")
    assert page.inner_text("#button") == "Stop listening"


def test_stopped_before_it_began(page, url):
    page.goto(url)
    page.evaluate("button.click(); button.click()")
    page.wait_for_timeout(500)
    assert said(page) == "Stopped."
    assert page.evaluate("points.length") == 0


def test_light_and_dark(page, url):
    listen(page, url, SHORT)
    pictures, papers = [], []
    page.keyboard.press("Enter")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(100)
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        pictures.append(page.evaluate("chart.toDataURL()"))
    assert papers == ["rgb(255, 255, 255)", "rgb(18, 24, 30)"]
    assert pictures[0] != pictures[1]


def test_a_narrow_page_has_no_bar_to_scroll(page, url):
    page.set_viewport_size({"width": 320, "height": 640})
    listen(page, url, SHORT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGINT, "The program has ended. Run cylstm demo listen again, and start again."),
        (signal.SIGKILL, "The connection is lost. If cylstm demo listen still runs, start again."),
    ],
)
def test_the_server_goes(number, message, page):
    with listening() as (process, url):
        listen(page, url, SHORT)
        process.send_signal(number)
        until(page, f"{STATUS}.className")
        assert (said(page), is_wrong(page)) == (message, True)
        assert page.inner_text("#button") == "Start listening"
        process.wait()
        page.keyboard.press("Enter")
        until(page, f"{STATUS}.className")
        assert said(page).startswith("The connection is lost.")
    assert any("ERR_CONNECTION_REFUSED" in text for text in page.wrong)  # what the browser says
    page.wrong.clear()


def test_more_pages_than_there_may_be(browser, url):
    context = browser.new_context()
    pages = [context.new_page() for _ in range(9)]
    for page in pages[:-1]:
        listen(page, url, 0)
    pages[-1].goto(url)
    pages[-1].click("#button")
    until(pages[-1], f"{STATUS}.className")
    assert said(pages[-1]) == "8 pages are connected: no more can"
    context.close()


def test_the_user_refuses(chromium, url):
    with chromium("--deny-permission-prompts") as browser:
        page = browser.new_page()
        page.goto(url)
        page.click("#button")
        until(page, f"{STATUS}.className")
        assert said(page).startswith("The microphone is not allowed.")
        assert page.inner_text("#button") == "Start listening"


def test_a_page_that_is_no_secure_context(browser, url):
    context = browser.new_context()
    context.add_init_script(WITHOUT_MICROPHONES)
    page = context.new_page()
    page.goto(url)
    page.click("#button")
    assert said(page).startswith(
        "Only pages of this machine get the microphone: open http://localhost:"
    )
    context.close()


@pytest.fixture
def another_site(tmp_path):
    """A web site on this machine, at another port, so that the browser itself lets it connect."""
    (tmp_path / "favicon.ico").touch()  # which the browser asks for
    files = partial(QuietFiles, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def test_another_site_cannot_connect(page, url, another_site):
    page.goto(another_site)
    code = page.evaluate(
        "url => new Promise((done) => { new WebSocket(url).onclose = (e) => done(e.code); })",
        url.replace("http", "ws") + "frames",
    )
    assert code == 1006
    assert any("Unexpected response code: 403" in text for text in page.wrong)
    page.wrong.clear()
