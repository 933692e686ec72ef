"""Find the speech in a recording.

    python examples/voice_activity.py recording.wav

The same as `cylstm demo vad recording.wav`. The program is a part of the package:
`cylstm/_demos/voice_activity.py`.
"""

import sys

from cylstm.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", "vad", *sys.argv[1:]]))
