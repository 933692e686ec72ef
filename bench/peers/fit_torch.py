"""PyTorch with whole jobs: modules, and the plain loop of its tutorials."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.jobs import AGREED_STEPS, Job, JobData, Net
from bench.peers.base import Prepared
from bench.peers.torch import Torch


class FitTorch(Torch):
    """`Embedding`, `nn.LSTM` for all layers at once, `Linear`; `Adam` as it is by default.

    Parameters
    ----------
    adam : {"plain", "fused"}
        The second one is `Adam(..., fused=True)`.
    """

    def __init__(self, adam: str = "plain") -> None:
        self._fused = adam == "fused"

    def _model(self, net: Net, weights: list[np.ndarray]) -> Any:
        torch = self._torch
        nn, given = torch.nn, iter(torch.from_numpy(w.copy()) for w in weights)

        class Model(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                if net.vocabulary:
                    self.embedding = nn.Embedding(net.vocabulary, net.features)
                self.lstm = nn.LSTM(net.features, net.units[0], len(net.units), batch_first=True)
                self.dense = nn.Linear(net.units[-1], net.outputs)

            def forward(self, x: Any) -> Any:
                y, _ = self.lstm(self.embedding(x) if net.vocabulary else x)
                return self.dense(y if net.per_step else y[:, -1])

        model = Model()
        state = {"embedding.weight": next(given)} if net.vocabulary else {}
        for layer in range(len(net.units)):
            state[f"lstm.weight_ih_l{layer}"] = next(given).T
            state[f"lstm.weight_hh_l{layer}"] = next(given).T
            state[f"lstm.bias_ih_l{layer}"] = next(given)
            state[f"lstm.bias_hh_l{layer}"] = torch.zeros(4 * net.units[layer])
            # Two biases that are added would learn twice as fast as Keras' one.
            getattr(model.lstm, f"bias_hh_l{layer}").requires_grad_(False)
        model.load_state_dict(state | {"dense.weight": next(given).T, "dense.bias": next(given)})
        return model

    def _loss(self, net: Net) -> Any:
        nn = self._torch.nn
        if net.activation == "softmax":
            entropy = nn.CrossEntropyLoss()
            return lambda y, target: entropy(y.flatten(0, -2), target.flatten())
        return nn.BCEWithLogitsLoss() if net.activation == "sigmoid" else nn.MSELoss()

    def _trainer(self, net: Net, weights: list[np.ndarray]) -> tuple[Any, Any]:
        """The model, and a function that trains it for an epoch and returns the mean loss."""
        torch, model, loss = self._torch, self._model(net, weights), self._loss(net)
        trained = [p for p in model.parameters() if p.requires_grad]
        options = {"fused": True} if self._fused else {}
        optimizer = torch.optim.Adam(trained, lr=1e-3, eps=1e-8, **options)

        def epoch(x: Any, y: Any, batch: int, shuffle: bool) -> float:
            total, count = 0.0, len(x)
            order = torch.randperm(count) if shuffle else torch.arange(count)
            for which in order.split(batch):
                optimizer.zero_grad()
                value = loss(model(x[which]), y[which])
                value.backward()
                optimizer.step()
                total += value.item() * len(which)
            return total / count

        return model, epoch

    def _outputs(self, net: Net, model: Any, x: Any, batch: int) -> Any:
        torch = self._torch
        last = {"softmax": lambda y: y.softmax(-1), "sigmoid": torch.sigmoid}
        finish = last.get(net.activation, lambda y: y)
        with torch.inference_mode():
            return torch.cat([finish(model(part)) for part in x.split(batch)]).numpy()

    def prepare(self, case: Any, data: Any) -> Prepared:
        """Make a `bench.jobs.Job` ready."""
        job: Job = case
        given: JobData = data
        net, torch = job.net, self._torch
        x, y = torch.from_numpy(given.x), torch.from_numpy(given.y)
        if net.outputs > 1:
            y = y.long()
        model, epoch = self._trainer(net, given.weights)
        count = AGREED_STEPS * job.batch

        def results() -> dict[str, np.ndarray]:
            fresh = model
            if job.kind == "fit":
                fresh, fresh_epoch = self._trainer(net, given.weights)
                fresh_epoch(x[:count], y[:count], job.batch, False)
            return {"outputs": self._outputs(net, fresh, x[:count], job.batch)}

        own_x, own_y = x[: job.rows], y[: job.rows]
        if job.kind == "fit":
            return Prepared(lambda: epoch(own_x, own_y, job.batch, True), results)
        return Prepared(lambda: self._outputs(net, model, own_x, job.batch), results)
