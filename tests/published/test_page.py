"""The demos on docs/command_line.md print what it says, of published weights."""

from pathlib import Path

import numpy as np
from command_pages import commands_of, differences
from voices import a_minute_of, made_voice, write_wav

TESTS = Path(__file__).resolve().parents[1]


def test_every_demo_on_the_page(tmp_path):
    with np.load(TESTS / "data" / "silero.npz") as arrays:
        speech = arrays["speech"]
    write_wav(tmp_path / "recording.wav", a_minute_of(speech)[64:][: len(speech)])
    write_wav(tmp_path / "hum.wav", made_voice())
    page = (TESTS.parent / "docs" / "command_line.md").read_text(encoding="utf-8")
    commands = [command for command in commands_of(page) if command[0].startswith("cylstm demo")]
    assert len(commands) == 3
    assert differences(commands, tmp_path) == []
