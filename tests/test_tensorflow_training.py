"""Training against what TensorFlow 1.4.1 computed: `data/train_cases.py` recorded it.

TensorFlow reads and writes weights of one batch in no fixed order, so that the numbers of some
cases change from run to run. Those are compared with what `data/record_ordered_training.py` got
from the same TensorFlow, all reading done before any writing.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import layers

DATA = Path(__file__).parent / "data"
TOLERANCES = {"float64": 1e-9, "float32": 2e-5}
CASES = json.loads((DATA / "train_cases.json").read_text())["cases"]
STORE = dict(np.load(DATA / "train_cases.npz")) | dict(np.load(DATA / "ordered_train_cases.npz"))
OUTPUTS = {
    "regression": (2, "linear"),
    "binary": (1, "sigmoid"),
    "classes": (4, "softmax"),
    "sparse": (4, "softmax"),
}
CONSTRAINTS = {
    "MaxNorm": {"max_value": 0.8, "axis": 0},
    "NonNeg": {},
    "UnitNorm": {"axis": 0},
    "MinMaxNorm": {"min_value": 0.3, "max_value": 0.9, "rate": 0.7, "axis": 1},
}


def lstm_arguments(case):
    arguments = {"dtype": case["dtype"]}
    for name, value in case["lstm"].items():
        if name.endswith("_regularizer") and value is not None:
            value = cylstm.regularizers.l1_l2(*value)
        if name.endswith("_constraint") and value is not None:
            value = getattr(cylstm.constraints, value)(**CONSTRAINTS[value])
        arguments[name] = value
    return arguments


def stack(case):
    """The layers of a case, in the order in which `data/train_cases.py` adds them."""
    dtype, steps, dim = case["dtype"], case["steps"], case["input_dim"]
    first = {"input_shape": (steps, dim)}
    if case["embedding"]:
        yield layers.Embedding(9, dim, mask_zero=True, input_length=steps, dtype=dtype)
        first = {}
    elif case["masking"]:
        yield layers.Masking(0.0, input_shape=(steps, dim), dtype=dtype)
        first = {}
    if case["stacked"]:
        yield layers.LSTM(3, return_sequences=True, dtype=dtype, **first)
        first = {}
    arguments = lstm_arguments(case) | {"return_sequences": case["time_distributed"]}
    if case["bidirectional"]:
        yield layers.Bidirectional(layers.LSTM(**arguments), merge_mode="concat", **first)
    else:
        yield layers.LSTM(**arguments, **first)
    units, activation = OUTPUTS[case["task"]]
    dense = layers.Dense(units, activation=activation, dtype=dtype)
    yield layers.TimeDistributed(dense) if case["time_distributed"] else dense


def made_model(case, arrays):
    model = cylstm.Sequential(list(stack(case)))
    optimizer = getattr(cylstm.optimizers, case["optimizer"])(**case["optimizer_arguments"])
    model.compile(optimizer, case["loss"], metrics=case["metrics"])
    model.set_weights([arrays[f"initial_weight_{i}"] for i in range(case["weights"])])
    return model


def arrays_of(case):
    return {name: STORE[f"{case['id']}/{name}"] for name in case["arrays"]}


def assert_close(case, got, expected, what):
    got = np.asarray(got)
    assert got.shape == expected.shape, what
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    error = np.max(np.abs(got - expected), initial=0.0) / scale
    assert error <= TOLERANCES[case["dtype"]], f"{what}: {error:.1e}"


def test_there_are_80_cases():
    assert len(CASES) == 80


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_training_is_that_of_tensorflow(case):
    arrays = arrays_of(case)
    model = made_model(case, arrays)
    assert model.metrics_names == case["metrics_names"]
    for step in range(case["batches"]):
        x, y = arrays[f"x_{step}"], arrays[f"y_{step}"]
        weight = arrays.get(f"sample_weight_{step}")
        values = model.train_on_batch(x, y, sample_weight=weight)
        assert_close(case, values, arrays["results"][step], f"loss and metrics of batch {step}")
    predictions = model.predict(x, batch_size=case["batch"])
    assert predictions.dtype == case["dtype"]
    assert_close(case, predictions, arrays["predictions"], "predictions")
    evaluation = model.evaluate(x, y, batch_size=case["batch"], verbose=0)
    assert_close(case, evaluation, arrays["evaluation"], "evaluation")
    for i, weight in enumerate(model.get_weights()):
        assert_close(case, weight, arrays[f"final_weight_{i}"], f"weight {i}")
