"""What type checkers see of names that are loaded on first use: checked by mypy, never run.

Each `type: ignore` stands for a mistake that must be reported: mypy refuses those that it needs
not.
"""

from typing import assert_type

import cylstm
from cylstm import LSTM, Model, layers
from cylstm.callbacks import EarlyStopping
from cylstm.models import *  # noqa: F403
from cylstm.optimizers import Adam
from cylstm.preprocessing import sequence

assert_type(LSTM(3), layers.LSTM)
assert_type(cylstm.layers.LSTM(3), LSTM)
assert_type(cylstm.Sequential(), Sequential)  # noqa: F405
assert_type(cylstm.models.Model, type[Model])
assert_type(cylstm.get_num_threads(), int)
assert_type(Adam(), cylstm.optimizers.Adam)
EarlyStopping("loss")
sequence.pad_sequences([[1, 2]])
cylstm.no_such_name  # type: ignore[attr-defined]  # noqa: B018
cylstm.callbacks.NoSuchCallback  # type: ignore[attr-defined]  # noqa: B018
cylstm.layers.NoSuchLayer  # type: ignore[attr-defined]  # noqa: B018
cylstm.saving.load_model("model.safetensors")
