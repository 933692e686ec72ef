"""The fused kernels on every instruction set: accuracy, denormal numbers, packed weights."""

import copy
import itertools
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import _core

NUMBERS = _core.ACTIVATIONS
SOURCE = Path(cylstm.__file__).parents[1]
TESTS = Path(__file__).parent


def run_with_isa(isa, *arguments):
    environment = os.environ | {"CYLSTM_ISA": isa, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, cwd=TESTS.parent, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("isa", [name for name in _core.isas() if name != _core.isa()])
def test_every_other_instruction_set_passes_the_essential_tests(isa):
    modules = [
        "test_affine",
        "test_core",
        "test_core_layouts",
        "test_core_tables",
        "test_tensorflow_lstm_cases",
        "test_kernels",
        "layers/test_streams",
    ]
    result = run_with_isa(
        isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k",
        "lstm_cases or agree or infinity or accura or ulp or bits or denormal or pieces",
        *(str(TESTS / f"{module}.py") for module in modules),
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="MSVC compiles generic kernels only")
def test_numpy_finds_the_same_instruction_sets():
    """An ARM of 64 bits has NEON, and an x86 what NumPy's own look at the CPU finds."""
    from numpy._core._multiarray_umath import __cpu_features__ as found

    needed = {
        "generic": [],
        "neon": ["ASIMD"],
        "avx2": ["AVX2", "FMA3"],
        "avx512": ["AVX512F", "AVX512DQ", "AVX512BW", "AVX512VL"],
    }
    assert _core.isas() == [name for name, parts in needed.items() if all(map(found.get, parts))]


def test_the_best_instruction_set_is_chosen_by_default():
    result = run_with_isa("", "-c", "from cylstm import _core; print(_core.isa(), _core.isas())")
    assert result.stdout.split(maxsplit=1) == [_core.isas()[-1], f"{_core.isas()}\n"]


def test_an_unknown_instruction_set_is_refused():
    result = run_with_isa("sse9", "-c", "import cylstm")
    assert result.returncode != 0
    assert f"CYLSTM_ISA is 'sse9'. This CPU runs {', '.join(_core.isas())}" in result.stderr


# Accuracy -----------------------------------------------------------------------------------------

SCALE = np.longdouble("1.0507009873554804934193349852946")
ALPHA = np.longdouble("1.6732632423543772848170429916717")
EXACT = {  # on long double
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x))),
    "hard_sigmoid": lambda x: np.clip(np.longdouble("0.2") * x + 0.5, 0, 1),
    "hard_sigmoid_6": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))),
    "softsign": lambda x: x / (1 + abs(x)),
}
LIMITS = {"float32": {"softplus": 2.6}, "float64": {"softplus": 2.6, "selu": 3.1}}


def dense_arguments(dtype):
    """Every exponent of normal numbers with many mantissas, both signs, and special points."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp, info.maxexp - 1)
    interesting = np.concatenate([exponents, np.repeat(np.arange(-30, 10), 1500)])
    x = np.ldexp(1 + rng.random(len(interesting)), interesting)
    special = [0.0, info.max / 2, info.smallest_normal, -88, 88.5]
    return np.concatenate([x, -x, rng.uniform(-110, 110, 60000), special]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_activations_within_2_ulp(name, dtype):
    x = dense_arguments(dtype)
    y = np.empty_like(x)
    _core.activate(NUMBERS[name], x, y)
    exact = EXACT[name](x.astype(np.longdouble))
    info = np.finfo(dtype)
    exponent = np.maximum(np.frexp(exact)[1], info.minexp + 1)
    unit = np.ldexp(np.longdouble(1), exponent - 1 - info.nmant)
    if name.startswith("hard_sigmoid"):
        # without a fused multiply-add 0.2 x is rounded, as in TensorFlow, and much may cancel
        unit = np.maximum(unit, info.eps / 4)
    error = np.abs(y - exact) / unit
    # results below the smallest normal number are 0
    error[(np.abs(exact) <= info.smallest_normal * (1 + 1e-5)) & (np.abs(y) <= np.abs(exact))] = 0
    worst = np.argmax(error)
    assert error[worst] <= LIMITS[dtype].get(name, 2.0), f"at {x[worst]}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_activations_of_infinity_and_nan_are_accurate(name, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0], dtype)
    y = np.empty_like(x)
    _core.activate(NUMBERS[name], x, y)
    with np.errstate(invalid="ignore"):
        expected = EXACT[name](x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=2 * np.finfo(dtype).eps)


def test_activate_refuses_what_does_not_fit():
    x = np.zeros(3, np.float32)
    for number in (-1, NUMBERS["softmax"], 99):
        with pytest.raises(ValueError, match="not the number of an activation"):
            _core.activate(number, x, x.copy())
    with pytest.raises(ValueError, match="y has the shape"):
        _core.activate(0, x, np.zeros(4, np.float32))


# The passes ---------------------------------------------------------------------------------------


def make_layer(units=21, input_dim=5, dtype="float32", **options):
    layer = cylstm.LSTM(units, dtype=dtype, return_sequences=True, **options)
    layer.build((None, None, input_dim))
    rng = np.random.default_rng(1)
    layer.set_weights([0.3 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def test_a_row_has_the_same_bits_alone_and_in_any_batch():
    layer = make_layer()
    x = np.random.default_rng(2).normal(size=(14, 30, 5)).astype("float32")
    whole = layer(x)
    for first, last in [(0, 1), (3, 5), (2, 9), (1, 14)]:
        np.testing.assert_array_equal(layer(x[first:last]), whole[first:last])
    np.testing.assert_array_equal(layer(x[:, :11]), whole[:, :11])
    np.testing.assert_array_equal(layer(x, initial_state=list(np.zeros((2, 14, 21)))), whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_denormal_numbers_are_flushed_inside_and_not_outside(dtype):
    tiny = np.finfo(dtype).smallest_normal
    layer = make_layer(dtype=dtype, activation="linear", recurrent_activation="linear")
    weights = [np.zeros(w.shape) for w in layer.get_weights()]
    weights[2][21:42] = 0.5  # the forget gate: c halves at each step
    weights[2][63:] = 1
    layer.set_weights(weights)
    state = [np.zeros((3, 21)), np.full((3, 21), 4 * tiny)]
    y, pullback = layer.vjp(np.zeros((3, 8, 5)), initial_state=state)
    np.testing.assert_array_equal(y[0, :, 0], [2 * tiny, tiny, 0, 0, 0, 0, 0, 0])
    pullback(np.ones_like(y))
    half = np.asarray(tiny, dtype) / 2
    assert half > 0
    assert half + half == tiny


@pytest.mark.parametrize("zero_leading", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_sequences_of_several_pieces(go_backwards, zero_leading):
    # of 8 rows and 64 units some 600 steps make a piece of the forward pass, 256 of the backward
    rng = np.random.default_rng(3)
    layer = make_layer(64, 30, "float64", go_backwards=go_backwards, unroll=zero_leading)
    x = rng.normal(size=(8, 1501, 30))
    mask = rng.random((8, 1501)) < 0.7
    mask[0] = False
    mask[1, :900] = mask[2, 700:] = False
    state = rng.normal(size=(2, 8, 64))
    y, pullback = layer.vjp(x, mask=mask, initial_state=list(state))
    gradients = pullback(np.cos(y))

    twin = make_layer(
        64, 30, "float64", go_backwards=go_backwards, unroll=zero_leading,
        activation=own_tanh,
    )  # fmt: skip
    expected, pullback = twin.vjp(x, mask=mask, initial_state=list(state))
    np.testing.assert_allclose(y, expected, atol=1e-12)
    right = pullback(np.cos(expected))
    pairs = zip(
        [gradients.inputs, *gradients.initial_state, *gradients.weights],
        [right.inputs, *right.initial_state, *right.weights],
        strict=True,
    )
    for result, wanted in pairs:
        np.testing.assert_allclose(result, wanted, atol=1e-10 * np.max(np.abs(wanted)))


def own_tanh(x):
    return np.tanh(x)


own_tanh.derivative = lambda x: 1 - np.tanh(x) ** 2


# Packed weights -----------------------------------------------------------------------------------


def test_a_layer_packs_its_weights_once_a_version():
    layer = make_layer()
    x = np.ones((2, 3, 5), np.float32)
    first = layer(x)
    cell = layer._cell
    waiting = cell.packings
    assert waiting == (True, False)  # what the backward pass needs waits for one
    layer(x, mask=np.ones((2, 3), bool))
    y, pullback = layer.vjp(x)
    pullback(y)
    assert layer._cell is cell
    assert cell.packings == (True, True)
    layer.bias.assign(layer.bias.value + 1)
    assert np.all(layer(x) != first)
    assert layer._cell is not cell
    expected = make_layer().vjp(x)[1](np.ones_like(y)).inputs
    np.testing.assert_array_equal(pullback(np.ones_like(y)).inputs, expected)


def test_a_cell_goes_when_an_activation_is_replaced():
    layer = make_layer()
    x = np.ones((2, 3, 5), np.float32)
    before, cell = layer(x), layer._cell
    layer.activation = cylstm.activations.relu
    assert np.any(layer(x) != before)
    assert layer._cell is not cell


def test_packed_weights_stay_out_of_copies_pickles_and_configs():
    layer = make_layer()
    x = np.ones((2, 3, 5), np.float32)
    expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other._cell is None
        np.testing.assert_array_equal(other(x), expected)
    assert not any("cell" in name for name in layer.get_config())
    assert (layer._cell.input_dim, layer._cell.units) == (5, 21)
    for held in (layer._cell, layer.stream()):
        with pytest.raises(TypeError, match="packed weights"):
            pickle.dumps(held)


def test_threads_that_pack_at_once_get_the_same():
    for _ in range(20):
        cell = make_cell()
        barrier, found = threading.Barrier(8), []

        def first(cell=cell, barrier=barrier, found=found):
            barrier.wait()
            found.append(cell.forward(**ARGUMENTS)[0])

        threads = [threading.Thread(target=first) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        for outputs in found:
            np.testing.assert_array_equal(outputs, found[0])


def test_layouts_and_masks_of_ones_change_no_bit():
    for options in ({}, {"go_backwards": True}, {"use_bias": False}):
        layer = make_layer(**options)
        x = np.random.default_rng(4).normal(size=(4, 6, 10)).astype("float32")
        for given in (x[..., :5], x[::2, ::-1, 5:], x.astype("float64")[..., :5].astype(">f4")):
            for layer.return_sequences in (True, False):
                np.testing.assert_array_equal(
                    layer(given), layer(np.ascontiguousarray(given), mask=np.ones(given.shape[:2]))
                )


ARGUMENTS = {
    "inputs": np.ones((2, 3, 5), "float32"),
    "mask": np.ones((2, 3), bool),
    "states": [np.zeros((2, 21), "float32"), np.zeros((2, 21), "float32")],
    "input_masks": None,
    "recurrent_masks": None,
    "go_backwards": False,
    "zero_leading": False,
    "sequence": True,
    "final_states": True,
    "keep": True,
    "pool": lambda: None,
}


def make_cell():
    weights = [w.value for w in make_layer().weights]
    numbers = {"activation": NUMBERS["tanh"], "recurrent_activation": NUMBERS["sigmoid"]}
    return _core.Cell(*weights, **numbers)


def test_states_that_are_none_are_zeros():
    cell = make_cell()
    expected = cell.forward(**ARGUMENTS)
    zeros = ARGUMENTS["states"][0]
    for states in (None, [None, None], [zeros, None], (None, zeros)):
        for pair in zip(cell.forward(**ARGUMENTS | {"states": states}), expected, strict=True):
            np.testing.assert_array_equal(*pair)


def test_what_is_not_wanted_is_none():
    cell = make_cell()
    for sequence, final_states, keep in itertools.product([True, False], repeat=3):
        wanted = {"sequence": sequence, "final_states": final_states, "keep": keep}
        outputs, h, c, cache = cell.forward(**ARGUMENTS | wanted)
        assert (outputs is not None) == sequence
        assert (h is not None) == (final_states or not sequence)
        assert (c is not None) == final_states
        assert (cache is not None) == keep


def test_a_penalty_of_the_outputs_changes_no_bit():
    rng = np.random.default_rng(6)
    for options in ({}, {"go_backwards": True}, {"use_bias": False}, {"return_state": True}):
        for sequence, mask, state in itertools.product([True, False], repeat=3):
            layer = make_layer(**options)
            layer.return_sequences = sequence
            x = rng.normal(size=(4, 6, 5)).astype("float32")
            given = {"mask": rng.random((4, 6)) < 0.6} if mask else {}
            if state:
                given["initial_state"] = list(rng.normal(size=(2, 4, 21)).astype("float32"))
            plain = layer.vjp(x, **given)
            layer.activity_regularizer = lambda y: 0
            thorough = layer.vjp(x, **given)
            assert_equal(plain[0], thorough[0])
            several = isinstance(plain[0], list)
            cotangents = [np.cos(y) for y in plain[0]] if several else np.cos(plain[0])
            for result, right in zip(plain[1](cotangents), thorough[1](cotangents), strict=True):
                assert_equal(result, right)


def assert_equal(result, expected):
    if isinstance(expected, list):
        for pair in zip(result, expected, strict=True):
            assert_equal(*pair)
    elif expected is None:
        assert result is None
    else:
        np.testing.assert_array_equal(result, expected)


def test_arrays_that_have_to_be_converted():
    layer = make_layer()
    x = np.random.default_rng(7).normal(size=(2, 3, 5)).astype("float32")
    expected = layer(x)
    for given in (x.tolist(), x.astype(">f4"), x.astype("float64"), np.asfortranarray(x)):
        np.testing.assert_array_equal(layer(given), expected)
        outputs, pullback = layer.vjp(given)
        np.testing.assert_array_equal(outputs, expected)
        assert pullback(np.ones_like(outputs)).inputs.shape == x.shape
    with pytest.raises(TypeError, match="must hold real numbers, got an array of dtype datetime"):
        layer(np.zeros((2, 3, 5), "datetime64[s]"))
    with pytest.raises(ValueError, match="mask must have the shape"):
        layer(x, mask=np.ones((2, 4), bool))
    with pytest.raises(ValueError, match="has 2 states, got 1"):
        layer(x, initial_state=[np.zeros((2, 21))])
