"""Training over ranks is that of one process; in one order, to the last bit."""

import mpi_programs
import numpy as np
import pytest
from mpi_runs import LONG, fine, run

MODELS = ["penalised", "noisy", "words"]

SAME_BITS = """
import sys, mpi_programs
from mpi_programs import *
make = getattr(mpi_programs, sys.argv[1])
model, history = trained(make, deterministic=True, block_size=4, shuffle=True)
print(digest(model, *(values[-1] for values in history.values())))
"""


@pytest.mark.parametrize("model", MODELS)
def test_in_one_order_the_bits_are_those_of_any_number_of_ranks(model):
    """Dropout, shuffling, statistics, losses and metrics among them."""
    found = {line for n in (1, 2, 3, 4) for line in fine(n, SAME_BITS, model)}
    assert len(found) == 1


CLOSE = """
import sys, mpi_programs
from mpi4py import MPI
from mpi_programs import *
make = getattr(mpi_programs, sys.argv[1])
model, history = trained(make, split_batches=True, shuffle=True)
if MPI.COMM_WORLD.rank == 0:
    np.savez(sys.argv[2], *model.get_weights(), history=list(history.values()))
print(digest(model, *(values[-1] for values in history.values())))
"""


@pytest.mark.parametrize("model", ["penalised", "words"])
def test_without_an_order_they_are_close_to_those_of_one_process(model, tmp_path):
    """Weights, and the history: losses and metrics are of all samples, whoever has them."""
    plain, history = mpi_programs.trained(getattr(mpi_programs, model), ranks=False, shuffle=True)
    for n in (2, 4):
        said = fine(n, CLOSE, model, tmp_path / "weights.npz")
        assert len(set(said)) == 1  # all ranks have the same
        with np.load(tmp_path / "weights.npz") as file:
            for i, own in enumerate(plain.get_weights()):
                error = np.linalg.norm(own - file[f"arr_{i}"]) / np.linalg.norm(own)
                assert error < 1e-6, i
            np.testing.assert_allclose(file["history"], list(history.values()), rtol=1e-5)


OWN_SAMPLES = """
from mpi_programs import *
from cylstm.distributed import BroadcastWeights, shard, gather
from mpi4py import MPI
rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
x, y, weights = data()
model, optimizer = penalised()
model.compile(DistributedOptimizer(optimizer), "mse", metrics=["mae"])
history = model.fit(
    shard(x), shard(y), 16 // size, 3, 0, shuffle=False, sample_weight=shard(weights),
    validation_data=(shard(x[:21]), shard(y[:21])),
)
if rank == 0:
    print(*(repr(float(a.sum())) for a in model.get_weights()))
    # But for the penalty of outputs, which is of a batch, and batches of the validation are others
    print(*(repr(values[-1]) for name, values in history.history.items() if name != "val_loss"))
assert len(set(MPI.COMM_WORLD.allgather(digest(model, *history.history["loss"])))) == 1
assert gather(model.predict(shard(x))).shape == (53, 2)
"""


def test_with_samples_of_their_own_too():
    """Batches of x[rank::size] are the rows of those of one process; 53 leave unequal ones."""
    numbers = {n: [line.split() for line in fine(n, OWN_SAMPLES)] for n in (1, 2, 4)}
    for n in (2, 4):
        for one, other in zip(numbers[1], numbers[n], strict=True):
            np.testing.assert_allclose(np.array(other, float), np.array(one, float), rtol=2e-4)


UNEQUAL = """
from mpi_programs import *
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
x, y, _ = data()
model, optimizer = words()
model.compile(DistributedOptimizer(optimizer), "mse")
x = inputs_of(words, x)
own = slice(0, 40) if rank == 0 else slice(40, 45)     # three batches, and one
seen = []
class Sizes(cylstm.callbacks.Callback):
    def on_batch_end(self, batch, logs=None):
        seen.append((logs["size"], logs["loss"]))
model.fit(x[own], y[own], 16, 2, 0, callbacks=[Sizes()])
assert [size for size, _ in seen] == [21, 16, 8] * 2, seen
print(digest(model, *(loss for _, loss in seen)))
"""


def test_who_has_no_batches_left_goes_on_for_the_others():
    assert len(set(fine(2, UNEQUAL))) == 1


NEW_LOOP = """
from mpi_programs import *
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
v = cylstm.Variable([1.0, 2.0])
optimizer = DistributedOptimizer(cylstm.optimizers.SGD(lr=1.0))
optimizer.apply([np.array([1.0, 2.0]) * (1 + rank)], [v], samples=3 - 2 * rank)
print(v.value.tolist())      # (3 g + 2 g) / 4
"""


def test_a_loop_of_ones_own_takes_the_mean_over_samples():
    assert fine(2, NEW_LOOP) == ["[-0.25, -0.5]"] * 2


STREAMS = """
from mpi_programs import *
from mpi4py import MPI
from cylstm.distributed import gather, shard
rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
cylstm.utils.set_random_seed(1)
streams, pieces = 8, 3
x = np.random.default_rng(1).standard_normal((streams, pieces * 5, 2)).astype("f")
y = np.cumsum(x.sum(-1, keepdims=True), axis=1) / 10
own = streams // size
model = cylstm.Sequential([
    layers.LSTM(4, stateful=True, return_sequences=True, batch_input_shape=(own, 5, 2)),
    layers.Dense(1)])
model.compile(DistributedOptimizer("sgd"), "mse")
for epoch in range(2):
    model.reset_states()
    for piece in range(pieces):
        cut = slice(5 * piece, 5 * piece + 5)
        loss = model.train_on_batch(shard(x[:, cut]), shard(y[:, cut]))
model.reset_states()
said = gather(np.concatenate([model.predict(shard(x[:, 5 * p : 5 * p + 5]), own)
                              for p in range(pieces)], axis=1))
if rank == 0:
    sums = [loss, np.abs(said).sum(), *(w.sum() for w in model.get_weights())]
    print(*(repr(float(value)) for value in sums))
try:
    model.compile(DistributedOptimizer("sgd", split_batches=True), "mse")
except ValueError as error:
    assert "streams of its own" in str(error)
else:
    raise AssertionError
"""


def test_each_rank_holds_its_own_streams():
    (one,), (two,) = (fine(n, STREAMS) for n in (1, 2))
    np.testing.assert_allclose(
        np.array(two.split(), float), np.array(one.split(), float), rtol=1e-4
    )


NAN = """
from mpi_programs import *
x, y, _ = data()
model, optimizer = penalised()
model.compile(DistributedOptimizer(optimizer, split_batches=True), "mse")
before = digest(model)
x[12] = np.nan
try:
    model.fit(x, y, 16, 1, 0, shuffle=False)
except ValueError as error:
    assert digest(model) == before
    print(error)
model.fit(x, y, 16, 1, 0, shuffle=False, callbacks=[cylstm.callbacks.TerminateOnNaN()])
assert digest(model) == before
"""


def test_a_loss_that_is_nan_is_one_for_all():
    """The rank that has the row names it, and all leave the update out."""
    said = fine(2, NAN)
    assert [line for line in said if line.startswith("Batch 0: the loss is nan")] != []
    assert sum("Row 12 of input" in line for line in said) == 1
    assert sum("not of the samples of this rank" in line for line in said) == 1


DIFFERENT = """
from mpi_programs import *
from mpi4py import MPI
from cylstm.distributed import BroadcastWeights
rank = MPI.COMM_WORLD.rank
x, y, _ = data()
def made():
    model, _ = penalised()
    cylstm.utils.set_random_seed(11 + rank)
    model.set_weights([w + rank for w in model.get_weights()])
    return model
model = made()
model.compile(DistributedOptimizer("adam"), "mse")
try:
    model.fit(x, y, 16, 1, 0)
except RuntimeError as error:
    print("refused", "BroadcastWeights" in str(error))
if rank == 1:       # is trained alone first, with another learning rate
    model.compile(cylstm.optimizers.Adam(lr=0.5), "mse")
    model.fit(x, y, 16, 1, 0)
else:
    model.compile("adam", "mse")
model.optimizer = DistributedOptimizer(model.optimizer)
model.fit(x[rank::2], y[rank::2], 16, 1, 0, callbacks=[BroadcastWeights(root=1)])
print(digest(model, model.optimizer.lr, model.optimizer.iterations))
"""


def test_weights_that_differ_are_refused_or_broadcast():
    """With the state of the optimizer, and its learning rate."""
    said = fine(2, DIFFERENT)
    assert said.count("refused True") == 2
    first, second = (line for line in said if "refused" not in line)
    assert first == second
    assert first.split()[1:] == ["0.5", "6"]  # four updates alone, two together


@pytest.mark.skipif(not LONG, reason="CYLSTM_MPI=1: many jobs")
@pytest.mark.parametrize("seed", range(5))
def test_the_bits_are_the_same_for_other_batches_and_blocks(seed):
    """Of sizes drawn anew, with more ranks than there are blocks."""
    rng = np.random.default_rng(seed)
    batch, block = rng.integers(3, 40), rng.integers(1, 12)
    program = SAME_BITS.replace("block_size=4", f"block_size={block}, batch_size={batch}")
    found = {line for n in (1, 2, 3, 4, 6) for line in fine(n, program, MODELS[seed % 3])}
    assert len(found) == 1


def test_without_mpi4py_it_says_what_to_install():
    program = """
import sys
sys.modules["mpi4py"] = None
from cylstm.distributed import DistributedOptimizer
try:
    DistributedOptimizer("adam")
except ImportError as error:
    print(error)
"""
    done = run(1, program)
    assert "pip install 'cylstm[mpi]'" in done.out
