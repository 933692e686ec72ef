"""docs/command_line.md: every command on it prints what it says."""

from pathlib import Path

import pytest
from command_pages import commands_of, differences, programs_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command_line.md").read_text("utf-8")
DEMOS = [c for c in commands_of(PAGE) if c[0].startswith("cylstm demo")]  # tests/published has them


def test_every_command_on_the_page(tmp_path):
    for name, text in programs_of(PAGE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    commands = [command for command in commands_of(PAGE) if command not in DEMOS]
    assert len(commands) > 15
    assert "\n".join(differences(commands, tmp_path)) == ""


def test_every_command_is_on_the_page():
    from cylstm.cli import _COMMANDS

    shown = {command.split()[1] for command, _ in commands_of(PAGE) if "cylstm" in command}
    assert shown == set(_COMMANDS)
    assert len(DEMOS) == 3


@pytest.mark.parametrize("wanted", ["2\n", "1\n2\n", ""])
def test_another_output_is_seen(wanted, tmp_path):
    assert differences([("echo 1", wanted)], tmp_path) == ["$ echo 1\n1\n"]
