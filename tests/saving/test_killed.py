"""Processes that are killed while they save, a few; `killed.py all 200` kills many."""

import re
import subprocess
import sys
from pathlib import Path

from cylstm.saving import FORMATS

PROGRAM = Path(__file__).with_name("killed.py")
WRITERS = re.findall(r'^    "([a-z0-9 ]+)": \("\.', PROGRAM.read_text(encoding="utf-8"), re.M)


def test_every_writer_is_killed():
    """Those of models and of weights, as many as there are."""
    both = [module for module in FORMATS.values() for _ in ("encode", "encode_weights")]
    actions = ["encode", "encode_weights"] * len(FORMATS)
    written = sum(hasattr(m, action) for m, action in zip(both, actions, strict=True))
    assert len(WRITERS) == written + 1  # and named tensors


def test_files_that_were_being_saved_load():
    """In a process of its own: this one has threads, which a child does not get."""
    done = subprocess.run(
        [sys.executable, PROGRAM, "all", "10"], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == WRITERS
    for line in lines:
        assert re.search(r"'killed': [1-9]", line), line
        assert re.search(r"'(new|no numbers)': [1-9]", line), line  # some did get to save it
