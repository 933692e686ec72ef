"""Mutated files of every reader, a few; `python tests/saving/fuzz.py all 20000` reads many."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import fuzz


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", fuzz.READERS)
def test_mutated_files_load_or_are_refused(reader, tmp_path):
    found = fuzz.run(reader, 300, 11, tmp_path)
    assert sum(found.values()) == 300
    assert min(found.values()) > 5  # the changes are neither harmless nor fatal alone
