"""The compiled core against its NumPy twin, against finite differences, and on its own."""

import _thread
import itertools
import threading
import time

import numpy as np
import pytest
from core_problems import (
    ENGINES,
    GRADIENTS,
    MASK,
    NAMES,
    NUMBERS,
    backward,
    cell_of,
    common_arguments,
    forward,
    make_cotangents,
    make_problem,
    products_up_to,
)
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from cylstm import _blas, _core, _reference
from cylstm.testing import numerical_gradient

INT_MAX = 2**31 - 1
# where a function or its derivative is not smooth
KINKS = {
    "hard_sigmoid": (-2.5, 2.5),
    "hard_sigmoid_6": (-3, 3),
    "relu": (0,),
    "elu": (0,),
    "selu": (0,),
    "softsign": (0,),
}


def assert_same(result, expected, tolerance):
    """Equal up to a tolerance relative to 1 + the largest number; NaN and infinity in place."""
    for name, right in expected.items():
        left = result[name]
        if right is None:
            assert left is None
            continue
        finite = np.isfinite(right)
        np.testing.assert_array_equal(left[~finite], right[~finite], err_msg=name)
        scale = 1 + np.max(np.abs(right[finite]), initial=0)
        error = np.max(np.abs(left[finite] - right[finite]), initial=0) / scale
        assert error < tolerance, f"{name} differs by {error} of {scale}"


@st.composite
def masks_of_time(draw, batch, timesteps):
    kind = draw(st.sampled_from(["none", "random", "leading", "trailing", "all", "nothing"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = rng.integers(0, timesteps + 1, size=(batch, 1))
    mask = {
        "none": None,
        "random": rng.random((batch, timesteps)) < 0.6,
        "leading": np.arange(timesteps) >= lengths,
        "trailing": np.arange(timesteps) < lengths,
        "all": np.ones((batch, timesteps), bool),
        "nothing": np.zeros((batch, timesteps), bool),
    }[kind]
    event(f"mask {kind}")
    if mask is not None and draw(st.booleans()):
        return (mask.view(np.uint8) * np.uint8(200)).view(bool)  # any number but 0 counts as true
    return mask


@st.composite
def problems(draw, largest=5):
    batch, timesteps = draw(st.integers(0, largest)), draw(st.integers(0, largest + 1))
    gates = st.sampled_from([None, None, 1, 4])
    return make_problem(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        batch,
        timesteps,
        input_dim=draw(st.integers(0, largest)),
        units=draw(st.integers(1, largest)),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        bias=draw(st.booleans()),
        mask=draw(masks_of_time(batch, timesteps)),
        input_gates=draw(gates),
        recurrent_gates=draw(gates),
        activation=draw(st.sampled_from(NAMES)),
        recurrent_activation=draw(st.sampled_from(NAMES)),
        go_backwards=draw(st.booleans()),
        zero_leading=draw(st.booleans()),
        spread=0.3,  # products of gates without bounds, step by step, would soon overflow
    )


def subsets(*names):
    return st.sets(st.sampled_from(names))


def run_both_passes(engine, problem, cotangents, absent=()):
    """All that an engine gives, each array under its name."""
    results = forward(engine, problem, absent)
    cache = forward(engine, problem)
    return results | backward(engine, problem, cache, cotangents)


@settings(max_examples=max(600, settings.default.max_examples))
@given(
    problems(),
    subsets("outputs", "final_c", "cache"),
    subsets("d_outputs", "d_final_h", "d_final_c"),
    st.integers(1, 30) | st.just(INT_MAX),
)
def test_core_and_twin_agree(problem, absent, absent_cotangents, limit):
    cotangents = make_cotangents(np.random.default_rng(1), problem, absent_cotangents)
    arguments = problem, cotangents, absent
    expected = run_both_passes(_reference, *arguments)
    with products_up_to(limit):
        result = run_both_passes(_core, *arguments)
    tolerance = {"float32": 1e-4, "float64": 1e-12}[problem["inputs"].dtype.name]
    assert_same(result, expected, tolerance)


@given(problems(), st.integers(1, 30) | st.just(INT_MAX))
def test_blas_and_twin_agree_on_every_activation(problem, limit):
    cotangents = make_cotangents(np.random.default_rng(1), problem)
    expected = run_both_passes(_reference, problem, cotangents)
    with products_up_to(limit):
        result = run_both_passes(_blas, problem, cotangents)
    tolerance = {"float32": 1e-4, "float64": 1e-12}[problem["inputs"].dtype.name]
    assert_same(result, expected, tolerance)


@given(problems(), st.data())
def test_not_a_number_and_infinity_spread_as_in_the_twin(problem, data):
    arrays = {
        name: value
        for name, value in problem.items()
        if isinstance(value, np.ndarray) and name != "mask" and value.size
    }
    if arrays:
        name = data.draw(st.sampled_from(sorted(arrays)))
        place = data.draw(st.integers(0, arrays[name].size - 1))
        arrays[name].flat[place] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    cotangents = make_cotangents(np.random.default_rng(1), problem)
    with np.errstate(all="ignore"):
        expected = run_both_passes(_reference, problem, cotangents)
    # The core flushes denormal numbers to zero, and infinity times zero is NaN.
    assume(not any(map(has_denormals, expected.values())))
    result = run_both_passes(_core, problem, cotangents)
    tolerance = {"float32": 1e-4, "float64": 1e-12}[problem["inputs"].dtype.name]
    assert_same(result, expected, tolerance)


def has_denormals(array):
    if array is None:
        return False
    return bool(np.any((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)))


@pytest.mark.parametrize("name", ["tanh", "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gates", [None, 1, 4])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_sizes_beyond_one_block(dtype, gates, go_backwards, name):
    # BLAS takes z in blocks of 131072 numbers, and dropout masks likewise; the fused kernels take
    # the sequence in pieces: none of the sizes fits evenly
    rng = np.random.default_rng(5)
    problem = make_problem(
        rng, 7, 303, 450, 43, dtype, input_gates=gates, recurrent_gates=gates,
        go_backwards=go_backwards, mask=rng.random((7, 303)) < 0.8, activation=name,
    )  # fmt: skip
    for name in ("kernel", "recurrent_kernel"):
        problem[name] *= np.asarray(0.1, dtype)
    cotangents = make_cotangents(rng, problem)
    expected = run_both_passes(_reference, problem, cotangents)
    result = run_both_passes(_core, problem, cotangents)
    assert_same(result, expected, {"float32": 1e-4, "float64": 1e-12}[dtype])


# Finite differences -------------------------------------------------------------------------------

OPTIONS = [
    {"mask": mask, "input_gates": a, "recurrent_gates": b, "bias": bias, "go_backwards": back,
     "zero_leading": zero}
    for mask, a, b, bias, back, zero in itertools.product(
        [None, MASK], [None, 1, 4], [None, 1, 4], [True, False], [False, True], [False, True]
    )
]  # fmt: skip
PAIRS = list(itertools.product(NAMES, NAMES))  # fewer than combinations of options


def clearance(problem):
    """How far the numbers that activations are applied to stay away from the nearest kink."""
    results = forward(_reference, problem)
    gate_product = _reference.gate_product
    z = gate_product(problem["inputs"], problem["kernel"], problem["input_masks"])
    z += gate_product(results["hidden"], problem["recurrent_kernel"], problem["recurrent_masks"])
    z += 0 if problem["bias"] is None else problem["bias"]
    i, f, g, o = np.split(z, 4, axis=-1)
    # a cell state of exactly 0 is the product of gates that are closed, and stays 0 near by
    c = np.where(results["cells"] == 0, np.inf, results["cells"])
    distance = np.inf
    for kind, arrays in {"activation": (g, c), "recurrent_activation": (i, f, o)}.items():
        for kink in KINKS.get(NAMES[problem[kind]], ()):
            distance = min(distance, *(np.min(np.abs(x - kink)) for x in arrays))
    return distance


def smooth_problem(**options):
    for seed in range(1000):
        problem = make_problem(np.random.default_rng(seed), **options)
        if clearance(problem) > 4e-3:
            return problem
    raise AssertionError("no problem is smooth enough for differences")


def gradient_error(engine, problem):
    """The largest difference from finite differences, relative to 1 + the largest gradient."""
    cotangents = make_cotangents(np.random.default_rng(9), problem)

    def loss(name, value):
        results = forward(engine, problem | {name: value})
        return sum(
            float(np.vdot(cotangents[f"d_{name}"], results[name]))
            for name in ("outputs", "final_h", "final_c")
        )

    gradients = backward(engine, problem, forward(engine, problem), cotangents)
    worst = 0
    for name in GRADIENTS:
        if problem[name] is not None:
            expected = numerical_gradient(lambda x, n=name: loss(n, x), problem[name], 5e-5)
            error = np.max(np.abs(gradients[f"d_{name}"] - expected))
            worst = max(worst, error / (1 + np.max(np.abs(expected))))
    return worst


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_gradients_of_every_pair_of_activations_and_combination_of_options(number):
    activation, recurrent_activation = PAIRS[number % len(PAIRS)]
    problem = smooth_problem(
        activation=activation, recurrent_activation=recurrent_activation, **OPTIONS[number]
    )
    assert gradient_error(_core, problem) < 1e-8


@pytest.mark.parametrize("engine", [_blas, _reference])
@pytest.mark.parametrize("number", range(len(NAMES)))
def test_gradients_of_blas_and_of_the_twin(number, engine):
    # every activation in both places, every option with every value
    problem = smooth_problem(
        activation=NAMES[number],
        recurrent_activation=NAMES[(number + 3) % len(NAMES)],
        **OPTIONS[(number * 61 + 5) % len(OPTIONS)],
    )
    assert gradient_error(engine, problem) < 1e-8


# The parts ----------------------------------------------------------------------------------------


def activated(name, x):
    """What the core makes of rows of pre-activations: inputs to a kernel that is the identity."""
    rows, units = x.shape
    problem = make_problem(
        np.random.default_rng(0), rows, 1, units, units, str(x.dtype), activation=name
    )
    problem["initial_h"][:] = 0
    problem["kernel"] = np.tile(np.eye(units, dtype=x.dtype), 4)
    problem["bias"] = None
    problem["inputs"] = x[:, None]
    problem["recurrent_activation"] = NUMBERS[name]
    gates = np.split(forward(_core, problem)["gates"][:, 0], 4, axis=1)
    for gate in gates[1:]:
        np.testing.assert_array_equal(gate, gates[0])
    return gates[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_accurate(name, dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=20000) * 10 ** rng.uniform(-6, 1.7, size=20000)
    x[:6] = 0, -1e3, 1e3, -87.4, -103.9, -708.5
    x = x.reshape(200, 100).astype(dtype)
    exact = x.astype(np.longdouble)
    functions = {
        "linear": lambda x: x,
        "tanh": np.tanh,
        "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
        "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
        "hard_sigmoid_6": lambda x: np.clip(x / 6 + 0.5, 0, 1),
        "relu": lambda x: np.maximum(x, 0),
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "selu": lambda x: (
            1.0507009873554804934193349852946
            * np.where(x > 0, x, 1.6732632423543772848170429916717 * np.expm1(np.minimum(x, 0)))
        ),
        "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "softmax": lambda x: (e := np.exp(x - x.max(1, keepdims=True))) / e.sum(1, keepdims=True),
    }
    expected = functions[name](exact)
    y = activated(name, x)
    info = np.finfo(dtype)
    # units in the last place; numbers too small to be normal count as zero
    # hard_sigmoid is exact to those of its sum, whose rounding is large near the corner
    unit = np.maximum(info.eps * np.abs(expected), info.smallest_normal)
    if name.startswith("hard_sigmoid"):
        unit = np.maximum(unit, info.eps)
    if name == "softmax":  # x - max is rounded, and the sum is over 100 numbers
        unit *= 10 + np.abs(exact - exact.max(1, keepdims=True))
    worst = np.max(np.abs(y - expected) / unit)
    assert worst < 3


def test_the_parts_of_a_large_bias_gradient_keep_their_precision():
    # one float32 sum of so many equal numbers is wrong by 8e-3
    problem = make_problem(
        np.random.default_rng(0), 40, 20000, 0, 1, "float32", activation="linear",
        recurrent_activation="hard_sigmoid",
    )  # fmt: skip
    problem["recurrent_kernel"][:] = problem["initial_h"][:] = problem["initial_c"][:] = 0
    problem["bias"][:] = [0, -10, 1, 0]
    cotangents = make_cotangents(None, problem, ("d_outputs", "d_final_h", "d_final_c"))
    cotangents["d_outputs"] = np.full((40, 20000, 1), 0.1, np.float32)
    gradients = backward(_core, problem, forward(_core, problem), cotangents)
    np.testing.assert_allclose(gradients["d_bias"][2], 0.1 * 40 * 20000 * 0.25, rtol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_that_are_not_wanted(engine):
    problem = make_problem(np.random.default_rng(8), mask=MASK, input_gates=4, recurrent_gates=1)
    cotangents = make_cotangents(np.random.default_rng(1), problem)
    arguments = common_arguments(problem) | {"cache": forward(engine, problem)["cache"]}
    cell, groups = cell_of(engine, problem), [["inputs"], GRADIENTS[1:3], GRADIENTS[3:]]
    everything = backward(engine, problem, arguments, cotangents)
    for wanted in itertools.product([True, False], repeat=3):
        names = [name for group, want in zip(groups, wanted, strict=True) if want for name in group]
        options = dict(zip(("d_inputs", "d_states", "d_weights"), wanted, strict=True))
        found = cell.backward(**arguments, **cotangents, **options)
        for name, gradient in zip(GRADIENTS, found, strict=True):
            if name in names:
                np.testing.assert_array_equal(gradient, everything[f"d_{name}"])
            else:
                assert gradient is None


def test_no_rows_need_no_steps():
    problem = make_problem(np.random.default_rng(0), batch=0, timesteps=1)
    problem["inputs"] = np.zeros((0, 10**15, 2))
    cotangents = make_cotangents(np.random.default_rng(0), problem)
    for engine in ENGINES:
        results = forward(engine, problem)
        assert results["final_h"].shape == (0, 3)
        assert results["outputs"].shape == (0, 10**15, 3)
        gradients = backward(engine, problem, results, cotangents)
        assert np.all(gradients["d_kernel"] == 0)
        assert np.all(gradients["d_bias"] == 0)


def test_inputs_are_not_changed_and_results_repeat():
    rng = np.random.default_rng(0)
    problem = make_problem(rng, 3, 50, 5, 16, mask=rng.random((3, 50)) < 0.7, input_gates=4)
    cotangents = make_cotangents(rng, problem)
    given_arrays = [x for x in (problem | cotangents).values() if isinstance(x, np.ndarray)]
    before = [x.copy() for x in given_arrays]
    first, second = (run_both_passes(_core, problem, cotangents) for _ in range(2))
    for x, y in zip(given_arrays, before, strict=True):
        np.testing.assert_array_equal(x, y)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_calls_in_many_threads_are_independent():
    problems = [
        make_problem(np.random.default_rng(seed), 4, 200, 8, 24, input_gates=4) for seed in range(4)
    ]
    cotangents = [make_cotangents(np.random.default_rng(7), problem) for problem in problems]
    expected = [run_both_passes(_core, *case) for case in zip(problems, cotangents, strict=True)]
    different = []

    def run(number):
        for _ in range(5):
            result = run_both_passes(_core, problems[number], cotangents[number])
            for name, right in expected[number].items():
                if not np.array_equal(result[name], right):
                    different.append((number, name))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert different == []


@pytest.mark.parametrize("engine", [_core, _blas])
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_a_long_run_can_be_interrupted(which, engine):
    problem = make_problem(np.random.default_rng(0), 8, 6000, 1, 64)
    cell, arguments = cell_of(engine, problem), common_arguments(problem)
    keep = which == "backward"
    options = {"sequence": True, "final_states": True, "keep": keep}
    function = cell.forward
    if which == "backward":
        cotangents = make_cotangents(np.random.default_rng(0), problem)
        cache = cell.forward(**arguments, **options)[3]
        function, options = cell.backward, {"cache": cache, **cotangents, "d_states": True}

    def duration():
        start = time.perf_counter()
        try:
            function(**arguments, **options)
            ended = True
        except KeyboardInterrupt:
            ended = False
        return time.perf_counter() - start, ended

    whole, ended = duration()
    assert ended
    for _ in range(20):  # on a busy machine one may come too late to stop anything
        timer = threading.Timer(whole / 10, _thread.interrupt_main)
        try:
            timer.start()
        except KeyboardInterrupt:  # on a busy machine: before there was anything to interrupt
            timer.join()
            continue
        interrupted, ended = duration()
        timer.join()
        assert not ended
        if interrupted < 0.7 * whole:
            return
    raise AssertionError("an interrupted run takes as long as a whole one")
