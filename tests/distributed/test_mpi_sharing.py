"""Large variables, updated in parts by the ranks of a host: what comes out, and who sees what."""

import os

import pytest
from mpi_runs import fine

from cylstm.distributed import _near

SHARED = """
import gc, sys
import mpi_programs
from mpi_programs import *
from cylstm.distributed import _mpi_sharing, _near
from mpi4py import MPI
rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
_mpi_sharing._LEAST = 1
x, y, _ = data()
x = inputs_of(words, x)
def made(**options):
    model, optimizer = words()
    model.compile(DistributedOptimizer(optimizer, split_batches=True, **options), "mse")
    return model
def state(model):
    return digest(model), hashlib.sha256(b"".join(
        a.tobytes() for a in model.optimizer.get_weights())).hexdigest()
def shared(model):
    return all(s.lent for s in model.optimizer._states.values())
"""

BITS = (
    SHARED
    + """
def bits(name, least):
    _mpi_sharing._LEAST = least
    model, history = trained(getattr(mpi_programs, name), split_batches=True)
    assert shared(model) == (least == 1 and name != "penalised"), name   # that one has a constraint
    return state(model), history
for name in ("penalised", "noisy", "words"):
    assert bits(name, 1) == bits(name, 2**20), name
print(len(set(MPI.COMM_WORLD.allgather(bits("words", 1)[0]))))
"""
)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_bits_are_those_of_updates_that_each_rank_computes_alone(ranks):
    """Slots, too; with rows, and with arrays of fewer rows than there are ranks."""
    assert fine(ranks, BITS) == ["1"] * ranks


IN_ORDER = (
    SHARED
    + """
model = made(deterministic=True, block_size=4)
model.fit(x, y, 16, 3, 0)
assert shared(model) == (size > 1)
print(*state(model))
"""
)


def test_in_one_order_they_are_those_of_one_process():
    assert len({line for n in (1, 2, 3) for line in fine(n, IN_ORDER)}) == 1


HELD = (
    SHARED
    + """
model = made()
kept = []
class Keep(cylstm.callbacks.Callback):
    def on_batch_end(self, batch, logs=None):
        if rank == 1 and batch in (0, 2):
            part = [v.value[1:] for v in model.weights]
            kept.append((part, [a.copy() for a in part]))
model.fit(x, y, 8, 3, 0, callbacks=[Keep()])
assert shared(model) and len(kept) == 6 * rank
for values, copies in kept:
    assert all(map(np.array_equal, values, copies))
values = copies = None
plain = made()
plain.fit(x, y, 8, 3, 0)
assert state(plain) == state(model)
common, made_now = _near.Near.common, []
_near.Near.common = lambda *given: made_now.append(1) or common(*given)
plain.fit(x, y, 8, 3, 0)
assert not made_now        # the same memory, over and over
def count():
    gc.collect()
    with open("/proc/self/maps") as file:
        return file.read().count("/memfd:cylstm-")
del plain
before = count()
kept.clear()
assert (count() < before) == (rank == 1), before
del model
assert count() <= 1        # by which embeddings exchange rows
print("fine")
"""
)


def test_values_that_somebody_holds_stay_as_they_are_and_memory_is_given_back():
    """Even if only one rank holds them, or a part of them."""
    assert fine(2, HELD) == ["fine"] * 2


ALONE = (
    SHARED
    + """
def train(alone):
    model = made()
    model.fit(x, y, 16, 1, 0)
    adam = model.optimizer.wrapped
    if rank == 0 and alone == "update":       # of another variable, and of those of the model
        other = cylstm.Variable(np.ones((3, 2)))
        before = state(model)[1]
        copy = [v.value for v in model.weights]
        adam.apply([np.ones(v.shape) for v in model.weights] + [other], [*model.weights, other])
        MPI.COMM_WORLD.Barrier()
        return model
    MPI.COMM_WORLD.Barrier()
    if alone == "load":
        adam.set_weights([w.copy() for w in adam.get_weights()])
        assert not any(s.slots is p._shown for s, p in model.optimizer.shared._places.items())
    if alone == "constrain":
        model.layers[0].weights[0].constraint = lambda value: value
        model.fit(x, y, 16, 1, 0)
        assert not shared(model)
        model.layers[0].weights[0].constraint = None
    elif alone != "update":
        model.fit(x, y, 16, 1, 0)
    if alone != "update":
        model.fit(x, y, 16, 1, 0)
        assert shared(model)
    return model
plain = state(train(""))
for alone in ("load", "constrain"):
    assert state(train(alone)) == plain, alone
own = state(train("update"))
both = MPI.COMM_WORLD.allgather(own)
assert both[0] != both[1]
model = made()
model.fit(x, y, 16, 1, 0)
assert own == state(model) if rank else own != state(model)
print("fine")
"""
)


def test_what_one_rank_does_alone_is_seen_by_no_other():
    """An update of its own, slots that are loaded, a constraint that comes and goes."""
    assert fine(2, ALONE) == ["fine"] * 2


NO_MEMORY = (
    SHARED
    + """
want, has = made(), made()
_mpi_sharing._LEAST = 2**20
want.fit(x, y, 16, 3, 0, shuffle=False)
_mpi_sharing._LEAST = 1
opened, mapped, calls = _near._opened, _near._mapped, []
def refused(*arguments):
    calls.append(arguments)
    return None if len(calls) > int(sys.argv[2]) else kind(*arguments)
if sys.argv[1] == "opened":
    kind, _near._opened = opened, refused
elif rank == 1:
    kind, _near._mapped = mapped, refused
has.fit(x, y, 16, 1, 0, shuffle=False)
assert not shared(has) and not has.optimizer.ranks.near.has_memory
before = len(calls)
has.fit(x, y, 16, 2, 0, shuffle=False)
assert len(calls) == before
assert state(has) == state(want)
print("fine")
"""
)


@pytest.mark.parametrize("where", ["opened", "mapped"])
@pytest.mark.parametrize("calls", [0, 1, 6])
def test_without_memory_each_rank_updates_all_itself(where, calls):
    """Where one rank has none, for the first variable or when some have moved already."""
    assert fine(2, NO_MEMORY, where, str(calls)) == ["fine"] * 2


def test_no_file_of_another_process_is_taken_for_ours(tmp_path):
    """Process 7 of one container is not process 7 of another one."""
    file = _near._made("cylstm-1", 4096)
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    try:
        assert _near._opened("cylstm-1", f"/proc/self/fd/{other}") is None
        assert _near._opened("cylstm-2", f"/proc/self/fd/{file}") is None
        assert _near._opened("cylstm-1", "/proc/self/fd/99999") is None
        own = _near._opened("cylstm-1", f"/proc/self/fd/{file}")
        memory, same = _near._mapped(own, 4096), _near._mapped(file, 4096)
        memory[5] = 7
        assert same[5] == 7
        os.close(own)
    finally:
        os.close(file)
        os.close(other)


ROWS = """
from mpi_programs import *
from cylstm._rows import Rows
from cylstm.distributed._ranks import ranks_of
ranks = ranks_of()
rng = np.random.default_rng(0)
for memory in (True, False):
    ranks.near.has_memory &= memory
    ranks._rows = ranks._rows if memory else None
    for dtype in ("float32", "float64"):
        v = cylstm.Variable(np.zeros((300, 5)), dtype=dtype)
        for most in (0, 3, 90, 20, 130, 1):     # grows, and does not
            parts = []
            for rank in range(ranks.size):
                count = most * (rank + 1) // ranks.size
                values = rng.standard_normal((count, 5)).astype(dtype)
                parts.append(Rows.summed(rng.integers(0, 300, count), values, 300))
            own = parts[ranks.rank] if len(parts[ranks.rank].indices) else None
            found = ranks.add_rows(own, v)
            np.testing.assert_allclose(np.asarray(found), sum(map(np.asarray, parts)), rtol=1e-5)
            assert found.dtype == dtype and isinstance(found, Rows)
print("fine")
"""


def test_rows_are_added_by_common_memory_or_by_messages():
    assert fine(2, ROWS) == ["fine"] * 2
    assert fine(3, ROWS) == ["fine"] * 3
