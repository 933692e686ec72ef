"""Tests with published weights, which the examples fetch: they need a connection once.

CYLSTM_PUBLISHED=1 python -m pytest tests/published
"""

import os
import sys
from pathlib import Path

# Other runs are to pass offline.
collect_ignore_glob = [] if os.environ.get("CYLSTM_PUBLISHED") else ["test_*.py"]

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))
