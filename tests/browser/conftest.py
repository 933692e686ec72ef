"""Tests of the page of `cylstm demo listen`, in Chromium, with a microphone that plays a file:

CYLSTM_BROWSER=1 python -m pytest tests/browser -s

They need `pip install playwright`, a chromium, and a connection for the weights, once.
"""

import os
import shutil

import pytest
from listening import recorded_speech
from voices import write_wav

# A browser is larger than all that the tests install.
collect_ignore_glob = [] if os.environ.get("CYLSTM_BROWSER") else ["test_*.py"]


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """What the microphone hears, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    write_wav(path, recorded_speech()[0])
    return path


@pytest.fixture(scope="session")
def chromium():
    """What starts a headless browser: the system's, or the one that playwright installs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *arguments: playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-fake-device-for-media-stream", *arguments],
        )


@pytest.fixture(scope="session")
def browser(chromium, recording):
    """One whose user lets every page use the microphone."""
    file = f"--use-file-for-fake-audio-capture={recording}"
    with chromium("--use-fake-ui-for-media-stream", file) as found:
        yield found
