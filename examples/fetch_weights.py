"""Fetch the weights of published models, for the examples that use them.

    python examples/fetch_weights.py

The same as `cylstm demo weights`. The program is a part of the package:
`cylstm/_demos/fetch_weights.py`.
"""

import sys

from cylstm.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", "weights", *sys.argv[1:]]))
