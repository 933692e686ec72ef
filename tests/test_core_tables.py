"""Tables: the core reads rows of bias + x W in place of x."""

import numpy as np
import pytest
from core_problems import cell_of, common_arguments, make_problem

from cylstm import _blas, _core
from cylstm.layers._lookups import made_table

WORDS = 7


def table_problem(units=3, batch=2, timesteps=4, input_dim=5, dtype="float64", **options):
    """A cell, its arguments with vectors, the same with a table, and the vectors of all words."""
    rng = np.random.default_rng(units + batch)
    problem = make_problem(rng, batch, timesteps, input_dim, units, dtype, **options)
    matrix = rng.normal(size=(WORDS, input_dim)).astype(dtype)
    indices = rng.integers(0, WORDS, (batch, timesteps))
    cell = cell_of(_core, problem)
    plain = common_arguments(problem) | {"inputs": matrix[indices]}
    return cell, plain, plain | {"inputs": (indices, made_table(cell, matrix))}, matrix


WANTED = {"sequence": True, "final_states": True, "keep": True}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [1, 3, 8, 16, 20, 33, 64, 100])
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 32])
def test_results_have_the_bits_of_those_of_vectors(units, batch, dtype):
    mask = np.random.default_rng(1).random((batch, 9)) > 0.3
    options = {"mask": mask, "go_backwards": units % 2 == 1, "bias": units != 8}
    check(table_problem(units, batch, 9, dtype=dtype, **options), dtype)


@pytest.mark.parametrize("threads", [1, 2])
def test_long_sequences_in_pieces_have_the_same_bits(threads):
    pool = _core.Pool(threads) if threads > 1 else None
    before = _core.set_least_work(0)
    try:
        for batch in (1, 5, 40):
            found = table_problem(64, batch, 700, 6, "float32", spread=0.05)
            check(found, "float32", pool)
    finally:
        _core.set_least_work(before)


def check(found, dtype, pool=None):
    cell, plain, by_table, matrix = found
    plain, by_table = plain | {"pool": lambda: pool}, by_table | {"pool": lambda: pool}
    expected = cell.forward(**plain, **WANTED)
    results = cell.forward(**by_table, **WANTED)
    for one, other in zip(results, expected, strict=True):
        assert one.tobytes() == other.tobytes()
    rng, (batch, _, units) = np.random.default_rng(0), expected[0].shape
    shapes = {"d_outputs": expected[0].shape} | dict.fromkeys(
        ("d_final_h", "d_final_c"), (batch, units)
    )
    cotangents = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    cotangents |= {"cache": expected[3], "d_states": True}
    of_vectors = cell.backward(**plain, **cotangents)
    d_table, *others = cell.backward(**by_table, **cotangents)
    assert others[2] is None
    for one, other in zip(others, [*of_vectors[1:3], None, *of_vectors[4:]], strict=True):
        assert one is other is None or one.tobytes() == other.tobytes()
    d_matrix = np.zeros_like(matrix, "float64")
    np.add.at(d_matrix, by_table["inputs"][0], of_vectors[0])
    tolerance = {"float32": 2e-4, "float64": 1e-11}[dtype]
    np.testing.assert_allclose(d_table @ cell.kernel.T, d_matrix, tolerance, tolerance)
    np.testing.assert_allclose(matrix.T @ d_table, of_vectors[3], tolerance, tolerance)


def test_gradients_of_a_table_that_are_not_wanted():
    cell, _, by_table, _ = table_problem()
    outputs, *_, cache = cell.forward(**by_table, **WANTED)
    cotangents = {"d_outputs": np.ones_like(outputs), "d_final_h": None, "d_final_c": None}
    found = cell.backward(
        **by_table, **cotangents, cache=cache, d_states=False, d_weights=False, d_inputs=True
    )
    assert found == [None] * 6


def test_a_row_of_a_table_has_the_gates_of_a_block_together():
    cell, _, by_table, matrix = table_problem(units=37, dtype="float32")
    table, lanes = by_table["inputs"][1], cell.lanes
    expected = (matrix @ cell.kernel + cell.bias).reshape(WORDS, 4, 37)
    at = 0
    for unit in range(0, 37, lanes):
        block = expected[..., unit : unit + lanes].reshape(WORDS, -1)
        np.testing.assert_allclose(table[:, at : at + block.shape[1]], block, 1e-5, 1e-5)
        at += block.shape[1]
    assert at == 4 * 37
    assert table.shape[1] - at == -at % lanes
    assert not table[:, at:].any()


def test_cells_without_tables():
    problem = make_problem(np.random.default_rng(0))
    cell = cell_of(_blas, problem)
    assert cell.lanes == 0
    assert made_table(cell, np.ones((3, 2))) is None
    turned = {name: np.asfortranarray(problem[name]) for name in ("kernel", "recurrent_kernel")}
    assert cell_of(_core, problem | turned).lanes == 0
    arguments = common_arguments(problem)
    arguments["inputs"] = np.zeros((2, 4), np.int64), np.zeros((3, 16))
    with pytest.raises(ValueError, match="indices and table"):
        cell.forward(**arguments, **WANTED)


def not_aligned(indices):
    return np.frombuffer(bytes(indices.nbytes + 1), "u1")[1:].view("int64").reshape(indices.shape)


SPOILT = {
    "an index is not": [lambda i, t: (i + WORDS, t), lambda i, t: (i - 1 - i.max(), t)],
    "dtype": [
        lambda i, t: (i.astype("int32"), t),
        lambda i, t: (i.astype("float64"), t),
        lambda i, t: (i, t.astype("float32")),
        lambda i, t: (i, t.astype("int64")),
        lambda i, t: (not_aligned(i), t),
    ],
    "shapes": [
        lambda i, t: (i[0], t),
        lambda i, t: (i[None], t),
        lambda i, t: (i, t[:, 1:]),
        lambda i, t: (i, t[None]),
    ],
    "contiguous": [lambda i, t: (i.T.copy().T, t), lambda i, t: (i, t.T.copy().T)],
    "must be an array": [lambda i, t: (i.tolist(), t), lambda i, t: (i, memoryview(t))],
    "unpack": [lambda i, t: (i,), lambda i, t: (i, t, t)],
    "mask": [lambda i, t: (i[:1], t), lambda i, t: (i[:, :2].copy(), t)],
}


@pytest.mark.parametrize(
    ("message", "spoil"), [(name, spoil) for name, ways in SPOILT.items() for spoil in ways]
)
def test_what_does_not_fit_is_refused(message, spoil):
    mask = np.ones((2, 4), bool)
    cell, _, by_table, _ = table_problem(mask=mask)
    spoilt = by_table | {"inputs": spoil(*by_table["inputs"])}
    *_, cache = cell.forward(**by_table, **WANTED)
    with pytest.raises((ValueError, TypeError), match=message):
        cell.forward(**spoilt, **WANTED)
    with pytest.raises((ValueError, TypeError), match=message):
        cell.backward(
            **spoilt, cache=cache, d_outputs=None, d_final_h=None, d_final_c=None, d_states=False
        )


def test_input_masks_do_not_go_with_a_table():
    cell, _, by_table, _ = table_problem()
    with pytest.raises(ValueError, match="input_masks"):
        cell.forward(**by_table | {"input_masks": np.ones((1, 2, 5))}, **WANTED)


def test_no_words():
    cell, _, by_table, _ = table_problem()
    table = by_table["inputs"][1]
    for shape in [(0, 4), (2, 0)]:
        nothing = by_table | {"inputs": (np.zeros(shape, np.int64), table), "states": None}
        outputs, h, _, _ = cell.forward(**nothing, **WANTED)
        assert outputs.shape == (*shape, 3)
        assert not h.any()
    empty = by_table | {"inputs": (np.zeros((2, 0), np.int64), table[:0]), "states": None}
    assert cell.forward(**empty, **WANTED)[0].shape == (2, 0, 3)
