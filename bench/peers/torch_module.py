"""`cylstm.torch.LSTM`, in PyTorch's hands as `nn.LSTM` is: for `bench/torch_module.py`."""

from __future__ import annotations

from bench.peers.cylstm import prefer_the_installed_package
from bench.peers.torch import Torch


class TorchModule(Torch):
    """The peer of PyTorch with our module in place of its own."""

    modules = ("torch", "cylstm")
    distributions = ("torch", "numpy")

    def environment(self, threads: int) -> dict[str, str]:
        return {"CYLSTM_NUM_THREADS": ""}  # PyTorch's own threads, as without any setting

    def start(self, threads: int) -> None:
        super().start(threads)
        prefer_the_installed_package()
        import cylstm.torch

        self._module = cylstm.torch.LSTM
