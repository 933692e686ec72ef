"""Writes small ONNX files with PyTorch: both exporters, dynamic and fixed sizes.

Run with torch 2.13, onnx and onnxscript installed, in this folder; then `record.py`:

    python write_with_torch.py
"""

import os
import warnings

import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


class LastStep(nn.Module):
    """The commonest: a sequence becomes one answer."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(self.lstm(x)[0][:, -1])


class FinalStates(nn.Module):
    """Two layers in both directions, time first; all that nn.LSTM returns."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, num_layers=2, bidirectional=True)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        return y, h, c


class GivenStates(nn.Module):
    """States go in and come out: what runs a stream."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, num_layers=2, batch_first=True)

    def forward(self, x, h, c):
        y, (h, c) = self.lstm(x, (h, c))
        return y, h, c


class Classifier(nn.Module):
    """Both last states side by side."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.lstm = nn.LSTM(3, 2, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.linear = nn.Linear(4, 3)

    def forward(self, ids):
        h = self.lstm(self.embedding(ids))[1][0]
        return torch.log_softmax(self.linear(self.dropout(torch.cat((h[-2], h[-1]), dim=1))), dim=1)


class Convolutional(nn.Module):
    """Windows, normalization, pooling; then an LSTM, and the mean over time."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Conv1d(4, 3, 2, stride=2, bias=False)
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = self.pool(torch.tanh(self.second(x)))
        return torch.sigmoid(self.linear(self.lstm(x.transpose(1, 2))[0].mean(dim=1)))


class LearnedStart(nn.Module):
    """Initial states that are weights, the same for every sample."""

    def __init__(self):
        super().__init__()
        self.h = nn.Parameter(torch.randn(1, 1, 2))
        self.c = nn.Parameter(torch.randn(1, 1, 2))
        self.lstm = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x):
        n = x.shape[0]
        states = (self.h.expand(-1, n, -1).contiguous(), self.c.expand(-1, n, -1).contiguous())
        return self.lstm(x, states)[0]


class ZeroStart(nn.Module):
    """Zeros made for the batch; layer normalization; the middle of the sequence."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 1)

    def forward(self, x):
        h = torch.zeros(1, x.size(0), 4)
        c = torch.zeros(1, x.size(0), 4, device=x.device)
        y = self.norm(self.lstm(x, (h, c))[0])
        return self.linear(torch.nn.functional.leaky_relu(y[:, 1:-1], 0.1)).squeeze(-1)


class Squeezed(nn.Module):
    """A squeeze of the second axis, which the older exporter writes as an If."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(self.lstm(x)[1][0].squeeze(0)) * 2 + 1


class Decoder(nn.Module):
    """Residual, gated and joined parts, each an operation of two computed values."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(3, 3, batch_first=True)
        self.second = nn.LSTM(3, 3, batch_first=True)
        self.gate = nn.Linear(3, 3)

    def forward(self, x):
        y = self.first(x)[0]
        z = self.second(y + x)[0]
        z = torch.sigmoid(self.gate(z)) * z - y
        return torch.cat((z, x), dim=2).flip(1)


class Attention(nn.Module):
    """The outputs at all timesteps weighted by what each has to say."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        y, _ = self.lstm(x)
        weights = torch.softmax(self.score(y), dim=1)
        return (weights.transpose(1, 2) @ y).squeeze(1)


class Residual(nn.Module):
    """Two directions, of which each is added to the inputs and read by itself, too."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 2, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        parts = (x + y, y[:, -1:, :2].expand(-1, 6, -1), y[:, :, 2:] * 2)
        return self.linear(y + x)[:, 0] - h.transpose(0, 1).reshape(-1, 4), torch.cat(parts, dim=2)


class Packed(nn.Module):
    """Sequences of different lengths."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, num_layers=2, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(4, 1)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        y, (h, c) = self.lstm(packed)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return y, self.linear(torch.cat((h[-2], h[-1]), dim=1))


def sequence(batch=2, steps=6):
    return torch.randn(batch, steps, 3)


CASES = {
    # name: module, inputs, names, axes that may be of any size
    "last_step": (LastStep, (sequence(),), ["x"], {"x": {0: "batch", 1: "time"}}),
    "last_step_fixed": (LastStep, (sequence(1),), ["x"], None),
    "final_states": (
        FinalStates, (torch.randn(6, 2, 3),), ["x"], {"x": {0: "time", 1: "batch"}},
    ),
    "final_states_fixed": (FinalStates, (torch.randn(6, 2, 3),), ["x"], None),
    "given_states": (
        GivenStates,
        (sequence(), torch.randn(2, 2, 2), torch.randn(2, 2, 2)),
        ["x", "h", "c"],
        {"x": {0: "batch", 1: "time"}, "h": {1: "batch"}, "c": {1: "batch"}},
    ),
    "classifier": (
        Classifier, (torch.randint(0, 7, (2, 6)),), ["ids"], {"ids": {0: "batch", 1: "time"}},
    ),
    "convolutional": (Convolutional, (torch.randn(2, 3, 12),), ["x"], {"x": {0: "batch"}}),
    "learned_start": (LearnedStart, (sequence(),), ["x"], {"x": {0: "batch", 1: "time"}}),
    "zero_start": (ZeroStart, (sequence(),), ["x"], {"x": {0: "batch"}}),
    "squeezed": (Squeezed, (sequence(),), ["x"], {"x": {0: "batch", 1: "time"}}),
    "decoder": (Decoder, (sequence(),), ["x"], {"x": {0: "batch", 1: "time"}}),
    "residual": (Residual, (torch.randn(2, 6, 4),), ["x"], {"x": {0: "batch"}}),
    "packed": (
        Packed,
        (sequence(), torch.tensor([6, 4])),
        ["x", "lengths"],
        {"x": {0: "batch", 1: "time"}, "lengths": {0: "batch"}},
    ),
    "attention": (Attention, (sequence(),), ["x"], {"x": {0: "batch", 1: "time"}}),
}  # fmt: skip


def dynamic(inputs, names, axes):
    """The axes of any size, as the newer exporter wants them."""
    if axes is None:
        return None
    return tuple(
        {axis: torch.export.Dim.AUTO for axis in axes.get(name, {})} for name in names
    )


def main():
    for name, (module, inputs, names, axes) in CASES.items():
        for exporter in ("dynamo", "script"):
            if (exporter, name) == ("dynamo", "packed"):
                continue  # it does not know packed sequences
            torch.manual_seed(5)
            model = module().eval()
            for parameter in model.parameters():
                nn.init.normal_(parameter, std=0.5)
            path = os.path.join(HERE, "torch_%s_%s.onnx" % (exporter, name))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if exporter == "dynamo":
                    program = torch.onnx.export(
                        model, inputs, input_names=names, dynamo=True, verbose=False,
                        dynamic_shapes=dynamic(inputs, names, axes),
                    )  # fmt: skip
                    program.save(path, external_data=False)
                    strip(path)
                else:
                    torch.onnx.export(
                        model, inputs, path, input_names=names, dynamic_axes=axes, dynamo=False,
                    )  # fmt: skip


def strip(path):
    """Leave the notes out that the newer exporter makes: stack traces, with paths of a machine."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        del graph.metadata_props[:]
        for entry in (*graph.node, *graph.input, *graph.output, *graph.value_info,
                      *graph.initializer):  # fmt: skip
            entry.doc_string = ""
            del entry.metadata_props[:]
        graphs += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    onnx.save(model, path)


if __name__ == "__main__":
    main()
