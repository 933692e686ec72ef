"""Write the files in `torch/` with PyTorch 2.13, and what its modules answer.

    pip install torch==2.13.0 safetensors numpy
    python tests/data/record_torch.py

All numbers are random with a fixed seed. The files are read by `tests/saving/test_torch.py`, the
modules compared by `tests/test_from_torch.py`.
"""

import io
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent / "torch"


class Everything(nn.Module):
    """One of each module that is read; `forward` answers for each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 3)
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.stack = nn.LSTM(3, 2, num_layers=3, batch_first=True)
        self.single = nn.LSTM(3, 5, bias=False, batch_first=True)
        self.cell = nn.LSTMCell(3, 2)
        self.fc = nn.Linear(8, 3)
        self.plain = nn.Linear(4, 2, bias=False)
        self.conv = nn.Conv1d(3, 4, 3, padding=1)
        self.strided = nn.Conv1d(3, 2, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.bare = nn.BatchNorm1d(3, affine=False)
        self.layer_norm = nn.LayerNorm(5)
        self.layer_norm_2 = nn.LayerNorm((2, 3))

    def forward(self, words: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {"embed": self.embed(words)}
        for name in ("lstm", "stack", "single"):
            found[name] = getattr(self, name)(x)[0]
        h = c = torch.zeros(len(x), 2)
        steps = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            steps.append(h)
        found["cell"] = torch.stack(steps, 1)
        found["fc"] = self.fc(found["lstm"])
        channels = x.transpose(1, 2)
        found["conv"] = self.conv(channels).transpose(1, 2)
        found["strided"] = self.strided(channels).transpose(1, 2)
        found["plain"] = self.plain(found["conv"])
        found["norm"] = self.norm(found["conv"].transpose(1, 2)).transpose(1, 2)
        found["bare"] = self.bare(channels).transpose(1, 2)
        found["layer_norm"] = self.layer_norm(found["single"])
        found["layer_norm_2"] = self.layer_norm_2(x.reshape(len(x), -1, 2, 3))
        return found


class Own(nn.Module):
    """A module of somebody's, pickled whole."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


def save(name: str, value: object, **options: object) -> None:
    torch.save(value, FOLDER / name, **options)


def save_answers(model: Everything) -> None:
    words = torch.randint(0, 7, (2, 6))
    x = torch.randn(2, 6, 3)
    for _ in range(3):  # statistics of the batch norms
        model(words, torch.randn(2, 6, 3))
    with torch.no_grad():
        for module in (model.norm, model.layer_norm, model.layer_norm_2):
            module.weight.normal_()
            module.bias.normal_()
        found = model.eval()(words, x)
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    np.savez_compressed(FOLDER / "answers.npz", words=words.numpy(), x=x.numpy(), **arrays)


def views() -> "OrderedDict[str, torch.Tensor]":
    """Tensors that share storages, and one of each dtype."""
    base = torch.arange(24.0)
    matrix = base.view(4, 6)
    return OrderedDict(
        base=base,
        transposed=matrix.T,
        part=matrix[1:3, 2:5],
        every_second=base[3::2],
        expanded=base[5:6].expand(3),
        scalar=base[7],
        empty=torch.zeros(0, 3),
        parameter=nn.Parameter(torch.tensor([1.5, -2.5])),
        double=torch.tensor([1 / 3, -1e300], dtype=torch.float64),
        half=torch.tensor([1 / 3, -60000.0], dtype=torch.float16),
        bfloat16=torch.tensor([1 / 3, -3e38, float("inf")], dtype=torch.bfloat16),
        int64=torch.tensor([-(2**62), 5]),
        int32=torch.tensor([-(2**30), 5], dtype=torch.int32),
        int16=torch.tensor([-300, 5], dtype=torch.int16),
        int8=torch.tensor([-100, 5], dtype=torch.int8),
        uint8=torch.tensor([200, 5], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
    )


def answers_of_views() -> None:
    found = {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in views().items()}
    np.savez_compressed(FOLDER / "views.npz", **{n: t.detach().numpy() for n, t in found.items()})


def hide_folders() -> None:
    """Blank the names of folders that a whole module is pickled with, at their length."""
    path = FOLDER / "whole_module_legacy.pt"
    data = path.read_bytes()
    for folder in (str(Path(torch.__file__).parent), str(Path(__file__).parent.resolve())):
        data = data.replace(folder.encode(), b"_" * len(folder))
    path.write_bytes(data)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(20)
    FOLDER.mkdir(exist_ok=True)
    model = Everything()
    save_answers(model)
    state = model.state_dict()
    save("modules.pt", state)
    save("modules_legacy.pt", state, _use_new_zipfile_serialization=False)
    save("modules_protocol_4.pt", state, pickle_protocol=4)
    safetensors.torch.save_file(state, FOLDER / "modules.safetensors")

    small = nn.LSTM(3, 2, batch_first=True)
    optimizer = torch.optim.Adam(small.parameters())
    small(torch.randn(2, 4, 3))[0].sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "loss": torch.tensor(0.25),
        "note": "späte Runde",
        "history": [0.5, 0.25],
        "model_state_dict": small.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
    }
    save("checkpoint.pt", checkpoint)
    save("checkpoint_legacy.pth", checkpoint, _use_new_zipfile_serialization=False)
    pair = {"generator": small.state_dict(), "critic": nn.Linear(2, 1).state_dict()}
    save("two_models.pt", pair)

    save("views.pt", views())
    save("views_legacy.pt", views(), _use_new_zipfile_serialization=False)
    halves = {n: t.contiguous().clone() for n, t in views().items() if n not in ("expanded",)}
    safetensors.torch.save_file(halves, FOLDER / "views.safetensors")
    answers_of_views()

    save("whole_module.pt", Own())
    save("whole_module_legacy.pt", Own(), _use_new_zipfile_serialization=False)
    save("tensor.pt", torch.ones(3))
    save("gru.pt", nn.GRU(3, 2).state_dict())
    save("projected.pt", nn.LSTM(3, 4, proj_size=2).state_dict())
    scripted = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), scripted)
    (FOLDER / "scripted.pt").write_bytes(scripted.getvalue())
    hide_folders()


if __name__ == "__main__":
    main()
