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

model.fit(x, y, epoch=1)  # type: ignore[call-arg]
model.train_on_batch(x)  # type: ignore[call-arg]
model.save_weights("weights.safetensors", overwrite="no")  # type: ignore[arg-type]
assert_type(model.get_weights(), list[np.ndarray])


class Patient(cylstm.Model):
    """As users override: by the same names, and on to `super()`."""

    def fit(self, *args: Any, **kwargs: Any) -> History:
        kwargs.setdefault("epochs", 100)
        return super().fit(*args, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> float | list[float]:
        return super().train_on_batch(x, y, sample_weight, class_weight)

    def set_weights(self, weights: Any) -> None:
        super().set_weights(list(weights))


assert_type(Patient(model.inputs, model.outputs).fit(x, y), History)
