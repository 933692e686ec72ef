"""Flower: two clients train one model, each on data that never leave it.

    pip install 'flwr[simulation]'
    python examples/elsewhere/flower_client.py [--rounds 5]

Flower sends weights as lists of arrays, which is what `get_weights` and `set_weights` have; a
`NumPyClient` is therefore a few lines. Here the clients are simulated, each in a process of Ray;
`client_app` is what a `SuperNode` of a real federation runs.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

import cylstm
from cylstm.layers import LSTM, Dense

STEPS, FEATURES, CLIENTS = 12, 2, 2


def made_model() -> Any:
    """The model that all have; its first weights are the server's."""
    model = cylstm.Sequential([LSTM(8, input_shape=(STEPS, FEATURES)), Dense(1)])
    model.compile(cylstm.optimizers.Adam(lr=0.01), "mse")
    return model


def data_of(client: int) -> tuple[np.ndarray, np.ndarray]:
    """What a client has: sequences of its own kind, and their mean."""
    random = np.random.default_rng(client)
    x = random.standard_normal((200, STEPS, FEATURES)) + client - 0.5
    return x.astype("float32"), x.mean(axis=(1, 2))[:, np.newaxis]


class Client(NumPyClient):
    """One that trains an epoch a round."""

    def __init__(self, number: int) -> None:
        self.model, (self.x, self.y) = made_model(), data_of(number)

    def fit(self, parameters: list[np.ndarray], config: Any) -> Any:
        """Weights of the server in, weights and the number of samples out."""
        self.model.set_weights(parameters)
        self.model.fit(self.x, self.y, epochs=1, verbose=0)
        return self.model.get_weights(), len(self.x), {}

    def evaluate(self, parameters: list[np.ndarray], config: Any) -> Any:
        """The loss, and the number of samples."""
        self.model.set_weights(parameters)
        return float(self.model.evaluate(self.x, self.y, verbose=0)), len(self.x), {}


def client_of(context: Context) -> Any:
    """The client of a node."""
    cylstm.set_num_threads(1)
    return Client(int(context.node_config["partition-id"])).to_client()


def main() -> None:
    """Train, and tell the loss on the data of both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cylstm.utils.set_random_seed(1)
    model, losses = made_model(), []

    def loss_of(number: int, weights: list[np.ndarray], config: Any) -> Any:
        model.set_weights(weights)
        sets = [data_of(client) for client in range(CLIENTS)]
        x, y = (np.concatenate(parts) for parts in zip(*sets, strict=True))
        losses.append(float(model.evaluate(x, y, verbose=0)))
        return losses[-1], {}

    def server_of(context: Context) -> ServerAppComponents:
        strategy = FedAvg(
            initial_parameters=ndarrays_to_parameters(model.get_weights()), evaluate_fn=loss_of
        )
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    run_simulation(
        ServerApp(server_fn=server_of),
        ClientApp(client_fn=client_of),
        num_supernodes=CLIENTS,
        backend_config={"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": 2}},
    )
    print(f"Loss after each round: {', '.join(f'{loss:.4f}' for loss in losses)}")
    print(f"Better: {losses[-1] < losses[0] / 2}")


if __name__ == "__main__":
    main()
