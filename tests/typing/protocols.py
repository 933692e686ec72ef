"""That models and layers have what the functions and parts that work on them read: for mypy."""

import cylstm
from cylstm.layers import LSTM, Layer
from cylstm.layers._building import Buildable
from cylstm.layers._calls import Called
from cylstm.layers._inputs import Taking
from cylstm.layers._losses import Penalised
from cylstm.layers._symbolic import Connected
from cylstm.layers._weights import Weighted
from cylstm.models._execution import Run
from cylstm.models._savable import Savable
from cylstm.training._trainable import Pass, Trainable


def of_a_model(model: cylstm.Model, run: Run) -> tuple[Trainable, Savable, Pass]:
    return model, model, run


def of_a_layer(layer: Layer) -> tuple[Buildable, Called, Taking, Penalised, Connected, Weighted]:
    return layer, layer, layer, layer, layer, layer


sequential: Trainable = cylstm.Sequential([LSTM(4, input_shape=(None, 3))])
number: Trainable = 3  # type: ignore[assignment]
