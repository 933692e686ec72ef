"""The door to BLAS: every transposition and size, in pieces or whole, against NumPy; first use."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from core_problems import product, products_up_to

import cylstm
from cylstm import _core

DTYPES = ["float32", "float64"]
TRANSPOSITIONS = list(itertools.product([False, True], repeat=2))


def matrix(rng, rows, columns, dtype, apart=0):
    """A random matrix whose rows lie `apart` numbers more than their length from each other."""
    return rng.normal(size=(rows, columns + apart)).astype(dtype)[:, :columns]


def operands(m, n, k, transpose_a, transpose_b, dtype, apart=0):
    rng = np.random.default_rng([m, n, k, transpose_a, transpose_b])
    a = matrix(rng, *((k, m) if transpose_a else (m, k)), dtype, apart)
    b = matrix(rng, *((n, k) if transpose_b else (k, n)), dtype, 2 * apart)
    return a, b, matrix(rng, m, n, dtype, 3 * apart)


def agrees_with_numpy(m, n, k, transpose_a, transpose_b, dtype, apart=0):
    a, b, c = operands(m, n, k, transpose_a, transpose_b, dtype, apart)
    around = c.base.copy() if apart else None
    exact = [x.astype(np.longdouble) for x in (a, b, c)]
    left, right = exact[0].T if transpose_a else exact[0], exact[1].T if transpose_b else exact[1]
    expected = exact[2] + left @ right
    product(a=a, transpose_a=transpose_a, b=b, transpose_b=transpose_b, add=True, c=c)
    tolerance = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(c, expected.astype(dtype), rtol=tolerance, atol=tolerance)
    if apart:  # what lies between the rows is not touched
        np.testing.assert_array_equal(c.base[:, n:], around[:, n:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSITIONS)
@pytest.mark.parametrize("apart", [0, 3])
@pytest.mark.parametrize("sizes", [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (1, 1, 1)])
def test_products(sizes, apart, transpose_a, transpose_b, dtype):
    agrees_with_numpy(*sizes, transpose_a, transpose_b, dtype, apart)


@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSITIONS)
@pytest.mark.parametrize("apart", [0, 3])
@pytest.mark.parametrize("limit", range(1, 17))
def test_pieces_of_products_too_large_for_blas(limit, apart, transpose_a, transpose_b):
    with products_up_to(limit):
        for sizes in [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1)]:
            agrees_with_numpy(*sizes, transpose_a, transpose_b, "float64", apart)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_over_more_than_2_to_31_numbers(capfd, transposed):
    # memory that was never written is not resident: this takes a few megabytes
    size = 2**31 + 16
    vector = np.zeros(size, np.float32)
    places = [0, 7, 2**31 - 2, 2**31 - 1, 2**31, size - 1]
    vector[places] = [1, 2, 3, 4, 5, 6]
    row, column = vector.reshape(1, size), vector.reshape(size, 1)
    c = np.full((1, 1), np.nan, np.float32)
    product(
        a=column if transposed else row,
        transpose_a=transposed,
        b=row if transposed else column,
        transpose_b=transposed,
        add=False,
        c=c,
    )
    assert c[0, 0] == 91
    assert capfd.readouterr() == ("", "")  # where BLAS complains about its arguments


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSITIONS)
@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 2, 0), (0, 0, 0)])
def test_sizes_of_zero(capfd, sizes, transpose_a, transpose_b, dtype):
    agrees_with_numpy(*sizes, transpose_a, transpose_b, dtype)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(3, 4, 2), (1, 4, 2), (3, 1, 2), (3, 4, 0), (1, 40, 30)])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSITIONS)
def test_what_is_not_added_to_is_not_read(sizes, transpose_a, transpose_b, dtype):
    a, b, c = operands(*sizes, transpose_a, transpose_b, dtype)
    c[:] = np.nan
    product(a=a, transpose_a=transpose_a, b=b, transpose_b=transpose_b, add=False, c=c)
    expected = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    np.testing.assert_allclose(c, expected, rtol=1e-5, atol=1e-5)


# Loaded on first use ------------------------------------------------------------------------------

START = """
import os, signal, sys, threading
import numpy as np
import cylstm

layer = cylstm.LSTM(5, activation="softmax", recurrent_activation="softmax")
layer.build((None, None, 4))
x = np.linspace(-1, 1, 3 * 6 * 4, dtype="f").reshape(3, 6, 4)


def run():
    y, pullback = layer.vjp(x)
    return np.concatenate([np.ravel(a) for a in (y, pullback(y).inputs)]).tobytes()


def is_loaded():
    return "cylstm._blas" in sys.modules or "scipy.linalg" in sys.modules


cylstm.set_num_threads(2)
cylstm.LSTM(64)(np.ones((64, 64, 64), "f"))  # starts the threads of the pool
assert not is_loaded()
"""


def run_program(program, path=None):
    path = path or Path(cylstm.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_many_threads_may_use_it_first():
    program = START + (
        "barrier, found = threading.Barrier(8), []\n"
        "def first(): barrier.wait(); found.append(run())\n"
        "threads = [threading.Thread(target=first) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(len(found), set(found) == {run()}, is_loaded())\n"
    )
    done = run_program(program)
    assert (done.stdout, done.stderr) == ("8 True True\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_may_use_it_first():
    # Python 3.12 warns of any fork beside threads; the pool takes care of itself
    quiet = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
    fork = (
        "reader, writer = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    signal.alarm(60)\n"
        "    os.write(writer, run())\n"
        "    os._exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "assert not is_loaded()\n"
        "print(os.read(reader, 65536) == run(), is_loaded())\n"
    )
    program = quiet + START + fork
    done = run_program(program)
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_its_work_space_is_that_of_the_core():
    """Both use the same blocks of memory again."""
    layer = cylstm.LSTM(40, activation="softmax")
    x = np.ones((64, 50, 8), np.float32)
    layer(x)
    _core.Block(2**28 + 4)  # more than is kept: nothing waits any more
    assert _core.kept_bytes() == 0
    layer(x)
    assert _core.kept_bytes() >= 4 * 64 * 40 * 50


@pytest.mark.parametrize("name", ["_core", "_blas"])
def test_a_build_without_an_extension_does_not_import(name, tmp_path):
    package = Path(cylstm.__file__).parent
    shutil.copytree(
        package, tmp_path / "cylstm", ignore=shutil.ignore_patterns(f"{name}.*", "__pycache__")
    )
    program = (  # what an editable install adds would find the checkout's
        "import sys\n"
        "from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder\n"
        "sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]\n"
        "sys.path.insert(0, '')\n"
        "import cylstm\n"
        "print(cylstm.__file__)\n"
    )
    done = run_program(program, tmp_path)
    assert done.stdout == ""
    assert "The compiled core of cylstm cannot be imported" in done.stderr
    assert name in done.stderr.splitlines()[-1]
