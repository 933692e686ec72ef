"""Weights of the core that are transposes of what lies in memory, as those of PyTorch are."""

import itertools
import threading

import numpy as np
import pytest
from core_problems import (
    ENGINES,
    backward,
    cell_of,
    common_arguments,
    forward,
    make_cotangents,
    make_problem,
)

from cylstm import _blas, _core, _reference

MATRICES = ["kernel", "recurrent_kernel"]
# batch, timesteps, input_dim, units: within a block and a panel, beyond them, and nothing at all;
# more pairs than a chunk has (512), more columns than go together (384)
SIZES = [
    (1, 1, 1, 1),
    (2, 3, 5, 3),
    (3, 2, 16, 32),
    (2, 3, 70, 21),
    (5, 9, 3, 100),
    (4, 150, 33, 17),
    (1, 2, 0, 3),
    (0, 2, 3, 4),
    (2, 0, 3, 4),
]
VARIANTS = list(itertools.product((None, 1, 4), (None, 1, 4), (False, True), (False, True)))


def turned(problem):
    """The same numbers, with matrices that lie in memory by columns."""
    return problem | {name: np.asfortranarray(problem[name]) for name in MATRICES}


def computed(engine, problem):
    """All results of both passes, by name."""
    results = forward(engine, problem)
    cotangents = make_cotangents(np.random.default_rng(1), problem)
    return results | backward(engine, problem, results, cotangents)


def assert_same_bits(result, expected):
    for name, right in expected.items():
        np.testing.assert_array_equal(result[name], right, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_both_orders_give_the_same_bits(sizes, dtype):
    batch, timesteps, input_dim, units = sizes
    rng = np.random.default_rng(2)
    for of_inputs, of_states, masked, go_backwards in VARIANTS:
        problem = make_problem(
            rng, batch, timesteps, input_dim, units, dtype, bias=not masked,
            mask=rng.random((batch, timesteps)) < 0.7 if masked else None,
            input_gates=of_inputs, recurrent_gates=of_states, go_backwards=go_backwards,
        )  # fmt: skip
        expected, result = computed(_core, problem), computed(_core, turned(problem))
        assert_same_bits(result, expected)
        for name in MATRICES:
            assert expected[f"d_{name}"].flags.c_contiguous
            assert result[f"d_{name}"].flags.f_contiguous


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 9])
def test_threads_change_no_bits_in_either_order(batch, dtype):
    """Of units of a step, of rows, and of gradients."""
    problem = make_problem(np.random.default_rng(3), batch, 70, 40, 150, dtype)
    expected = computed(_core, problem)
    pool = _core.Pool(3)
    for _ in range(2):
        threading.Thread(target=pool.serve, daemon=True).start()
    least = _core.set_least_work(0)
    try:
        for given in (problem, turned(problem)):
            cell = cell_of(_core, given)
            common = common_arguments(given) | {"pool": lambda: pool}
            outputs, h, c, cache = cell.forward(
                **common, sequence=True, final_states=True, keep=True
            )
            assert_same_bits({"outputs": outputs, "final_h": h, "final_c": c}, {
                name: expected[name] for name in ("outputs", "final_h", "final_c")
            })  # fmt: skip
            cotangents = make_cotangents(np.random.default_rng(1), given)
            gradients = cell.backward(**common, cache=cache, **cotangents, d_states=True)
            for name, gradient in zip(
                ("inputs", "initial_h", "initial_c", *MATRICES, "bias"), gradients, strict=True
            ):
                np.testing.assert_array_equal(gradient, expected[f"d_{name}"], err_msg=name)
    finally:
        _core.set_least_work(least)
        pool.close()


def test_the_twin_takes_both_orders():
    problem = make_problem(np.random.default_rng(4))
    assert_same_bits(computed(_reference, turned(problem)), computed(_reference, problem))


@pytest.mark.parametrize("engine", ENGINES)
def test_orders_that_are_refused(engine):
    problem = make_problem(np.random.default_rng(5))
    for name in MATRICES:
        mixed = problem | {name: np.asfortranarray(problem[name])}
        with pytest.raises(ValueError, match=f"{name} is not C-contiguous"):
            cell_of(engine, mixed)
    if engine is _blas:
        with pytest.raises(ValueError, match="kernel is not C-contiguous"):
            cell_of(engine, turned(problem))


def test_what_is_both_orders_at_once_is_in_c_order():
    """A matrix of one row is its own transpose in memory."""
    problem = make_problem(np.random.default_rng(6), input_dim=1, units=1)
    for engine in ENGINES:
        assert computed(engine, turned(problem))["d_kernel"].flags.c_contiguous
