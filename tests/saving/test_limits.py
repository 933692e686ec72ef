"""What a file may ask for: hostile ones cost little, and what can be saved can be loaded."""

import copy
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_cases import CASES

import cylstm
from bench.hostile_files import FILES, GOOD, LOAD, entry, file_of, sequential, small, trained
from cylstm import layers
from cylstm.layers import serialization
from cylstm.models import load_model
from cylstm.saving import FormatError, _json
from cylstm.saving._limits import Limits, check_count

# Time is that of this process. On a quiet core each file takes less than a tenth of it, which
# `bench/hostile_files.py` measures.
SECONDS = 1.0
MEMORY = 64 * 2**20


def cost(path: Path) -> tuple[float, int, str]:
    """Seconds and bytes at most that loading takes, and how it ends."""

    def load() -> str:
        try:
            load_model(path)
        except FormatError as error:
            return str(error)
        return "loaded"

    start = time.process_time()
    load()
    seconds = time.process_time() - start
    tracemalloc.start()
    try:
        outcome = load()
        return seconds, tracemalloc.get_traced_memory()[1], outcome
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_hostile_files_cost_little(name, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(FILES[name]())
    seconds, memory, outcome = cost(path)
    assert (outcome == "loaded") == (name in LOAD), outcome
    assert len(outcome) < 2000
    assert seconds < SECONDS
    assert memory < MEMORY


REFUSALS = {
    "states of a batch of 2**25 - 1": "arrays of the shape",
    "60,000 empty tensors": "holds up to 420001 values",
    "100,000 inputs of one call": "holds up to",
    "4,000 Dropout layers": "4001 layers",
    "1,000 LSTM layers without tensors": "1001 layers",
    "a lone surrogate in a name": "half a surrogate pair",
    "an unknown key module": r"keys \['module'\], which are unknown",
    "iterations: true": "iterations must be an integer, got True",
    "iterations: 2**63": "iterations must not be negative or beyond",
    "300 outputs with 300 metrics each": "90000 metrics",
    "32,000 axes": "batch_input_shape has 32001 axes, and arrays have at most 32",
    "a target of 65,000 axes": "target_shape has 65000 axes, and arrays have at most 32",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_say_what_is_too_much(name, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(FILES[name]())
    with pytest.raises(FormatError, match=REFUSALS[name]):
        load_model(path)


def test_the_files_are_hostile_for_one_reason_each(tmp_path):
    """The same maker, with nothing wrong, makes a file that loads."""
    path = tmp_path / "model.safetensors"
    for data in (GOOD, small(trained(iterations=2**53)), small(trained(metrics=["mae", "acc"]))):
        path.write_bytes(data)
        assert load_model(path).count_params() == 4


# ---------------------------------------------------------------------- every number of every layer


def changed_numbers(value: Any, number: int) -> Iterator[Any]:
    """Copies of a configuration, in each of which another integer is this one."""
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(places):
        if type(child) is int:
            others = [number]
        elif isinstance(child, dict | list):
            others = changed_numbers(child, number)
        else:
            continue
        for other in others:
            found = copy.copy(value)
            found[key] = other
            yield found


def described(case: Any) -> dict[str, Any]:
    """A model of the layer of a case, behind a mask where there can be one."""
    arrays = case.inputs if isinstance(case.inputs, list) else [case.inputs]
    layer = case.make(dtype="float32")
    inputs = [cylstm.Input(np.shape(a)[1:]) for a in arrays]
    masked = layer.supports_masking and np.ndim(arrays[0]) == 3
    hidden = [layers.Masking()(x) for x in inputs] if masked else inputs
    model = cylstm.Model(inputs, layer(hidden if len(hidden) > 1 else hidden[0]))
    document = _json.plain(serialization.serialize(model), "the model")
    return document | {"name": "m", "input_shapes": [list(x.shape) for x in inputs]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_number_in_a_layer_takes_much(case, tmp_path):
    path = tmp_path / "model.safetensors"
    document = described(case)
    tried = 0
    for number in (2**21, 2**31 - 1, 2**63 - 1, -1):
        for config in changed_numbers(document["config"], number):
            path.write_bytes(file_of(document | {"config": config}))
            start = time.process_time()
            tracemalloc.start()
            try:
                load_model(path)
            except FormatError:
                pass
            finally:
                memory = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert memory < MEMORY
            assert time.process_time() - start < SECONDS
            tried += 1
    assert tried > 0


# ---------------------------------------------------------------------- what loads


def loaded_again(model: cylstm.Model, path: Path) -> cylstm.Model:
    model.save(path)
    found = load_model(path)
    assert found.get_config() == model.get_config()
    for one, two in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    return found


@pytest.mark.parametrize("units", [1, 8])
def test_300_layers_with_the_state_of_their_optimizer(units, tmp_path):
    model = cylstm.Sequential(
        [layers.LSTM(units, return_sequences=True, input_shape=(2, units)) for _ in range(300)]
    )
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((1, 2, units)), np.ones((1, 2, units)))
    found = loaded_again(model, tmp_path / "model.safetensors")
    for one, two in zip(found.optimizer.get_weights(), model.optimizer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_hundred_layers_of_all_arguments(tmp_path):
    every = {
        f"{weight}_{kind}": name
        for weight in ("kernel", "recurrent", "bias")
        for kind, name in (("regularizer", "l1_l2"), ("constraint", "max_norm"))
    }
    model = cylstm.Sequential(
        [
            layers.Bidirectional(
                layers.LSTM(1, return_sequences=True, activity_regularizer="l2", **every),
                input_shape=(2, 2),
            )
            for _ in range(100)
        ]
    )
    loaded_again(model, tmp_path / "model.safetensors")


def test_500_layers_without_weights(tmp_path):
    stack = [layers.Dense(2, input_shape=(3,)), *(layers.Dropout(0.1) for _ in range(500))]
    loaded_again(cylstm.Sequential(stack), tmp_path / "model.safetensors")


def test_many_calls_inputs_and_outputs(tmp_path):
    inputs = [cylstm.Input((2,)) for _ in range(40)]
    shared = layers.Dense(2)
    outputs = []
    for x in inputs:
        for _ in range(50):
            x = shared(x)
        outputs.append(x)
    model = cylstm.Model(inputs, [layers.Add()(outputs), *outputs])
    model.compile("sgd", "mse", metrics=["mae", "mse"])
    found = loaded_again(model, tmp_path / "model.safetensors")
    assert found.metrics_names == model.metrics_names


def test_long_sequences_large_batches_and_large_tables(tmp_path):
    path = tmp_path / "model.safetensors"
    large = layers.LSTM(64, stateful=True, batch_input_shape=(32_768, None, 4))
    loaded_again(cylstm.Sequential([large]), path)
    long = [layers.Masking(input_shape=(10**6, 4)), layers.LSTM(8), layers.Dense(1)]
    loaded_again(cylstm.Sequential(long), path)
    table = layers.Embedding(20_000, 100, mask_zero=True, input_length=1000)
    loaded_again(cylstm.Sequential([table, layers.LSTM(4)]), path)


# ---------------------------------------------------------------------- what is not saved


def stack(count: int) -> cylstm.Sequential:
    made = [layers.Dense(1, input_shape=(3,)), *(layers.Dropout(0.1) for _ in range(count))]
    return cylstm.Sequential(made)


def test_what_would_not_load_is_not_saved(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match="layers, initializers and the like, and .* at most 528"):
        stack(600).save(path)
    x = cylstm.Input((1,))
    layer, y = layers.Activation("tanh"), x
    for _ in range(4200):
        y = layer(y)
    with pytest.raises(ValueError, match="calls layers 420. times"):
        cylstm.Model(x, y).save(path)
    model = stack(1)
    model.compile("sgd", "mse", metrics=["mae"] * 5000)
    with pytest.raises(ValueError, match="5000 metrics"):
        model.save(path)
    assert list(tmp_path.iterdir()) == []
    stack(600).save_weights(path)
    other = stack(600)
    other.load_weights(path)


@pytest.mark.parametrize("weights_only", [False, True])
def test_half_a_surrogate_pair_is_not_saved(weights_only, tmp_path):
    model = cylstm.Sequential([layers.Dense(1, input_shape=(3,), name="d\ud800")])
    save = model.save_weights if weights_only else model.save
    with pytest.raises(ValueError, match="half a surrogate pair"):
        save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
    model = cylstm.Sequential([layers.Dense(1, input_shape=(3,), name="d\U0001f600\\ud800")])
    assert (
        loaded_again(model, tmp_path / "model.safetensors").layers[0].name == "d\U0001f600\\ud800"
    )


@pytest.mark.parametrize("half", ["\\ud800", "\\uDfff", "\\ud800\\ud800", "\\udc00\\ud800"])
def test_half_a_surrogate_pair_is_not_read(half):
    for text in (f'["{half}"]', f'{{"{half}":0}}', f'{{"a":["x{half}y"]}}'):
        with pytest.raises(ValueError, match="half a surrogate pair"):
            _json.parse(text)
    assert _json.parse('["\\ud83d\\ude00\\\\ud800"]') == ["\U0001f600\\ud800"]


# ---------------------------------------------------------------------- the limits


def test_limits_grow_with_the_tensors():
    none, some = Limits.of([]), Limits.of([np.zeros((100, 100)), np.zeros(0)])
    assert none == Limits.of([np.zeros((0, 5))]) == Limits(0, 0, 0)
    assert some == Limits(80_000, 1, 10_000)
    names = [name for name, part in vars(Limits).items() if isinstance(part, property)]
    assert len(names) == 8
    for name in set(names) - {"reported"}:
        assert getattr(some, name) > getattr(none, name) > 0


def test_the_most_is_allowed():
    check_count(5, 5, "{} things")
    with pytest.raises(ValueError, match="^6 things, and .* at most 5 are stored for this reason$"):
        check_count(6, 5, "{} things", " for this reason")
    text = '{"a":[1,2,{}]}'
    _json.check_count(text, 6)
    _json.check_count(text.encode(), 6)
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match="up to 6 values"):
            _json.check_count(given, 5)


def test_a_long_text_counts_as_several_values(tmp_path):
    path = tmp_path / "model.safetensors"
    dense = entry("Dense", units=1, batch_input_shape=[None, 3], name="d" * 60_000)
    path.write_bytes(file_of(sequential(*[dense] * 20, shape=(None, 3))))
    with pytest.raises(FormatError, match="configuration holds 75... values"):
        load_model(path)
    assert json.dumps(dense)
