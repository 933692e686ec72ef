"""Write with a model of 2018 whose package no longer runs.

    python examples/revived_textgen.py

The same as `cylstm demo text`. The program is a part of the package:
`cylstm/_demos/revived_textgen.py`.
"""

import sys

from cylstm.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", "text", *sys.argv[1:]]))
