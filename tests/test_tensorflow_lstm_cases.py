"""The layer against what TensorFlow 1.4.1 computed: `data/lstm_cases.py` recorded it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import _core

DATA = Path(__file__).parent / "data"
TOLERANCES = {"float64": 1e-9, "float32": 3e-4}
CASES = json.loads((DATA / "lstm_cases.json").read_text())["cases"]
STORE = np.load(DATA / "lstm_cases.npz")


class GivenMasksLSTM(cylstm.LSTM):
    """An LSTM whose dropout masks are those that TensorFlow drew."""

    def get_constants(self, inputs, training=None):
        return self.masks


def arguments(case):
    config = dict(case["config"])
    for name, value in config.items():
        if name.endswith("_regularizer") and value is not None:
            config[name] = cylstm.regularizers.L1L2(**value)
    return config | {"dtype": case["dtype"]}


def arrays_of(case):
    return {name: STORE[f"{case['id']}/{name}"] for name in case["arrays"]}


def made_layer(case, arrays, cls=cylstm.LSTM):
    names = ["kernel", "recurrent_kernel", "bias"]
    weights = [arrays[name] for name in names if name in arrays]
    return cls(weights=weights, **arguments(case))


def as_list(value):
    return value if isinstance(value, list) else [value]


def assert_close(case, got, expected, what):
    assert got.shape == expected.shape, what
    assert got.dtype == case["dtype"], what
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    error = np.max(np.abs(got - expected), initial=0.0) / scale
    assert error <= TOLERANCES[case["dtype"]], f"{what}: {error:.1e}"


def ids(family):
    return [pytest.param(case, id=case["id"]) for case in CASES if case["family"] in family]


def test_there_are_173_cases():
    assert len(CASES) == 173


def test_they_are_computed_by_the_best_kernels_of_this_cpu():
    """All but those with softmax; or by what the environment names."""
    assert _core.isa() == (os.environ.get("CYLSTM_ISA") or _core.isas()[-1])
    engines = [cylstm.LSTM(**arguments(case)).engine for case in CASES]
    assert engines.count(os.environ.get("CYLSTM_ENGINE") or "fused") >= 161


@pytest.mark.parametrize("case", ids(["call", "dropout", "losses"]))
def test_outputs_and_gradients(case):
    arrays = arrays_of(case)
    layer = made_layer(case, arrays, GivenMasksLSTM)
    layer.masks = [
        [arrays.get(f"{kind}_mask_{g}", 1.0) for g in range(4)] for kind in ("input", "recurrent")
    ]
    state = None
    if case["initial_state"]:
        state = [arrays["initial_h"], arrays["initial_c"]]
    training = case["family"] == "dropout"
    call = {"mask": arrays.get("mask"), "training": training, "initial_state": state}
    outputs, pullback = layer.vjp(arrays["inputs"], **call)
    for direct, output in zip(
        as_list(layer(arrays["inputs"], **call)), as_list(outputs), strict=True
    ):
        np.testing.assert_array_equal(direct, output)
    cotangents = []
    for k, output in enumerate(as_list(outputs)):
        assert_close(case, output, arrays[f"output_{k}"], f"output_{k}")
        cotangents.append(arrays[f"cotangent_{k}"])
    assert f"output_{len(cotangents)}" not in arrays
    gradients = pullback(cotangents if len(cotangents) > 1 else cotangents[0])
    named = {"inputs": gradients.inputs}
    if state is not None:
        named |= dict(zip(["initial_h", "initial_c"], gradients.initial_state, strict=True))
    names = [v.name.split("/")[-1] for v in layer.trainable_weights]
    named |= dict(zip(names, gradients.weights, strict=True))
    expected = {n.removeprefix("gradient_") for n in arrays if n.startswith("gradient_")}
    assert set(named) == expected
    for name, gradient in named.items():
        assert_close(case, gradient, arrays[f"gradient_{name}"], f"gradient of {name}")
    if "losses" in arrays:
        assert_close(case, np.array(layer.losses, case["dtype"]), arrays["losses"], "losses")


@pytest.mark.parametrize("case", ids(["stateful"]))
def test_stateful_scripts(case):
    arrays = arrays_of(case)
    layer = made_layer(case | {"config": case["config"] | {"stateful": True}}, arrays)
    step = 0
    for action in case["script"]:
        if action == "reset":
            layer.reset_states()
        elif action == "reset_to":
            layer.reset_states([arrays["reset_h"], arrays["reset_c"]])
        else:
            for i, output in enumerate(as_list(layer(arrays[f"inputs_{step}"]))):
                assert_close(case, output, arrays[f"output_{step}_{i}"], f"output {step} {i}")
            for name, state in zip("hc", layer.states, strict=True):
                assert_close(case, state, arrays[f"state_{name}_{step}"], f"{name} {step}")
            step += 1
    assert step == case["script"].count("call")
