"""Commands on pages, with what they print: run in a shell, and compared."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import cylstm

__all__ = ["commands_of", "differences", "programs_of"]

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SAME_AS_BEFORE = "------ the next command ------"


def commands_of(page):
    """The commands of the blocks called console, in order: (command, what it prints)."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [(p.partition("\n")[0], p.partition("\n")[2]) for p in parts if p]


def programs_of(page):
    """The programs of the blocks that begin with the name of a file, by that name."""
    blocks = re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    return {name: text for text, name in blocks}


def differences(commands, folder):
    """Run commands one after the other in a folder; return those that print something else."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for name, arguments in (("cylstm", "-m cylstm "), ("python", "")):
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (bin_ / name).chmod(0o755)
    script = "".join(f"{command} 2>&1\necho '{SAME_AS_BEFORE}'\n" for command, _ in commands)
    settings = {
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(cylstm.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = done.stdout.split(f"{SAME_AS_BEFORE}\n")[:-1]
    checker = doctest.OutputChecker()
    return [
        f"$ {command}\n{got}"
        for (command, wanted), got in zip(commands, found, strict=True)
        if not checker.check_output(wanted, got, OPTIONS)
    ]
