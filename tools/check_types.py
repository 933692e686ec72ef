"""What type checkers see of the installed package: all of it, but for what derives from others.

    python tools/check_types.py

runs pyright over the package of the environment, whose commands come first on the PATH, and fails
if the type of a public name is not known. Left out are `UNTYPED`, whose classes derive from
classes of scikit-learn and PyTorch, of which pyright knows no types where they are not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys

UNTYPED = ("cylstm.sklearn.", "cylstm.torch.")


def main() -> int:
    """Return 0, or 1 if a public name has no known type."""
    command = ["pyright", "--verifytypes", "cylstm", "--ignoreexternal", "--outputjson"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    symbols = json.loads(answer)["typeCompleteness"]["symbols"]
    public = [s for s in symbols if s["isExported"] and not s["name"].startswith(UNTYPED)]
    unknown = [s["name"] for s in public if not s["isTypeKnown"] or s["isTypeAmbiguous"]]
    print(f"{len(public)} public names, {len(unknown)} of them without a known type")
    print(*unknown, sep="\n", end="")
    return 1 if unknown or not public else 0


if __name__ == "__main__":
    sys.exit(main())
