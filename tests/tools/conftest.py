"""The tools that build and try wheels are scripts of the checkout, beside the installed package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
