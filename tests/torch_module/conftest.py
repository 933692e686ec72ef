"""Tests of `cylstm.torch`, which need PyTorch:

CYLSTM_TORCH=1 python -m pytest tests/torch_module
"""

from with_torch import WITH_TORCH

# Nothing else that is tested needs PyTorch, which is larger than all of it.
collect_ignore_glob = [] if WITH_TORCH else ["test_*.py"]
