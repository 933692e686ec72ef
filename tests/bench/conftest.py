"""The benchmark is no part of the package: its tests find it in the checkout."""

import sys
from pathlib import Path

# Last, so that an installed cylstm is found before the source tree's.
sys.path.append(str(Path(__file__).resolve().parents[2]))
