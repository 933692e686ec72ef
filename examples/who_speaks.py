"""Tell who speaks: which recordings are of the same person.

    python examples/who_speaks.py one.wav two.wav

The same as `cylstm demo speakers one.wav two.wav`. The program is a part of the package:
`cylstm/_demos/who_speaks.py`.
"""

import sys

from cylstm.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", "speakers", *sys.argv[1:]]))
