"""Whether PyTorch is there for the tests of `cylstm.torch`: CYLSTM_TORCH=1 says so.

PyTorch is larger than all else that the tests install, so it is not among it; `.ci/run` has no
PyTorch, the workflow Tests has. What needs it, and is collected all the same, asks here.
"""

import os

WITH_TORCH = bool(os.environ.get("CYLSTM_TORCH"))
NEEDING_IT = ("cylstm.torch",)


def importable(modules):
    """These modules without those that need PyTorch, where it is not there."""
    return [name for name in modules if WITH_TORCH or name not in NEEDING_IT]
