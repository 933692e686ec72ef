"""What type checkers see of the arguments of layers: checked by mypy, never run.

Each `type: ignore` stands for a mistake that must be reported: mypy refuses those that it needs
not.
"""

from typing import Any, Unpack, assert_type

from cylstm.layers import LSTM, RNN, Bidirectional, Dense, Dropout, Embedding, Layer, LSTMCell
from cylstm.layers._options import LayerOptions

lstm = LSTM(4, "tanh", return_sequences=True, stateful=True, input_shape=(None, 3), name="a")
assert_type(lstm, LSTM)
assert_type(lstm.return_sequences, bool)
LSTM(4, input_dim=3, input_length=5, weights=None, dtype="float64", dropout=0.5)
LSTM(4, return_sequence=True)  # type: ignore[call-arg]
LSTM(4, return_sequences="yes")  # type: ignore[arg-type]
LSTM(4, input_shape=10)  # type: ignore[arg-type]

Dense(2, input_dim=3, name="b", trainable=False)
Dense(2, input_shap=(3,))  # type: ignore[call-arg]
Embedding(5, 2, input_length=7, weights=[[[0.0, 1.0]] * 5])
Dropout(0.5, name="c", activity_regularizer="l2")
Dropout(0.5, nam="c")  # type: ignore[call-arg]
Bidirectional(lstm, "sum", None, name="d")
Bidirectional(lstm, mode="sum")  # type: ignore[call-arg]
cell = LSTMCell(4, "tanh", dropout=0.5, implementation=2, name="e", dtype="float64")
LSTMCell(4, activity_regularizer="l2")  # type: ignore[call-arg]
rnn = RNN([cell, cell], return_state=True, input_shape=(None, 3), activity_regularizer="l2")
assert_type(rnn.return_state, bool)
RNN(cell, True, False, input_dim=3, name="f")
RNN(cell, implementation=2)  # type: ignore[call-arg]


class Scale(Layer):
    def __init__(self, factor: float, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        return inputs * self.factor


Scale(2.0, name="e", input_shape=(3,))
Scale(2.0, nam="e")  # type: ignore[call-arg]
