"""``python -m cylstm``: see `cylstm.cli`."""

import sys

from cylstm.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
