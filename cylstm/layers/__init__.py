"""Layers: the parts that models are made of."""

from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.lstm import LSTM
from cylstm.layers.recurrent import Recurrent

__all__ = ["LSTM", "Gradients", "InputSpec", "Layer", "Recurrent"]
