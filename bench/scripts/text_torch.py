"""A training script as a user writes it, for PyTorch: `text_torch.py EPOCHS THREADS`."""

import sys

import numpy as np
import torch
from torch import nn

epochs = int(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
rng = np.random.default_rng(0)
x = torch.from_numpy(rng.integers(0, 20_000, (25_000, 80)).astype("int32"))
y = torch.from_numpy(rng.integers(0, 2, (25_000, 1)).astype("float32"))


class Classifier(nn.Module):
    """Embedding, LSTM, Dense."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20_000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.dense = nn.Linear(128, 1)

    def forward(self, x):
        """The logits of the last timestep."""
        return self.dense(self.lstm(self.embedding(x))[0][:, -1])


model, loss = Classifier(), nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(epochs):
    for which in torch.randperm(len(x)).split(32):
        optimizer.zero_grad()
        loss(model(x[which]), y[which]).backward()
        optimizer.step()
with torch.inference_mode():
    print(torch.sigmoid(model(x[:1])).numpy())
