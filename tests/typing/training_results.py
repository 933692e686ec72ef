"""What training returns, as mypy sees it: `mypy` checks this file with the others."""

from typing import Any, assert_type

import numpy as np

import cylstm
from cylstm.callbacks import History
from cylstm.layers import LSTM

model = cylstm.Sequential([LSTM(4, input_shape=(None, 3))])
model.compile("adam", "mse")
x, y = np.ones((8, 5, 3)), np.zeros((8, 4))
history = model.fit(x, y, epochs=1, verbose="auto")
assert_type(history, History)
assert_type(history.history["loss"], list[Any])
assert_type(model.evaluate(x, y), float | list[float])
first: float = model.predict(x)[0, 0]
largest: float = model.predict_on_batch(x).max()
several = cylstm.Model(model.inputs, model.outputs).predict([x])
assert_type(several, np.ndarray | Any)
