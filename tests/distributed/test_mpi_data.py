"""Each rank takes its part of data; results come together in order. Examples; the command line."""

import json
import subprocess
import sys
from pathlib import Path

import cli_runs
import numpy as np
from mpi_runs import CHECKOUT, fine, finished, started

import cylstm

PARTS = """
from mpi_programs import *
from mpi4py import MPI
from cylstm.distributed import evaluate_in_parts, gather, predict_in_parts, shard
from cylstm.utils import Sequence
rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
x, y, weights = data()
class Batches(Sequence):
    ended = 0
    def __len__(self): return 7
    def __getitem__(self, i): return x[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8]
    def on_epoch_end(self): self.ended += 1
part = shard(Batches())
assert len(part) == len(range(rank, 7, size))
assert np.array_equal(part[1][0], x[8 * (rank + size) : 8 * (rank + size) + 8])
assert list(shard(iter(range(11)))) == list(range(11))[rank::size]
assert shard({"a": x})["a"].base is not None and len(shard([x, y])) == 2
assert np.array_equal(shard((x, y))[1], y[rank::size]) and shard(None) is None
assert shard([1, 2, 3, 4, 5]) == [1, 2, 3, 4, 5][rank::size]
assert np.array_equal(gather(shard(x)), x)
assert all(map(np.array_equal, gather([shard(x), shard(y)]), [x, y]))
try:
    gather(x[: 3 + 5 * rank])
except ValueError as error:
    assert "what shard gave" in str(error)
else:
    raise AssertionError
model, _ = penalised()
model.compile("adam", "mse", metrics=["mae"])
assert evaluate_in_parts(model, x, y, 8, weights) == model.evaluate(x, y, 8, 0, weights)
assert evaluate_in_parts(model, Batches()) == model.evaluate(Batches(), verbose=0)
assert np.array_equal(predict_in_parts(model, x, 8), model.predict(x, 8))
assert np.array_equal(predict_in_parts(model, Batches()), model.predict(Batches()))
assert np.array_equal(predict_in_parts(model, x[:3]), model.predict(x[:3]))     # fewer than ranks
assert predict_in_parts(model, x[:0]).shape == (0, 2)
model.compile(DistributedOptimizer("adam"), "mse")
batches = Batches()
model.fit(shard(batches), epochs=2, verbose=0)
assert batches.ended == 2
def endless():
    while True:
        yield from Batches()
model.fit(shard(endless()), steps_per_epoch=3, epochs=1, verbose=0)
for wrong in (lambda: shard(5), lambda: predict_in_parts(model, endless()),
              lambda: DistributedOptimizer("adam", comm=5)):
    try:
        wrong()
    except TypeError:
        continue
    raise AssertionError
print(digest(model))
"""


def test_parts_and_wholes():
    for ranks in (2, 3):
        assert len(set(fine(ranks, PARTS))) == 1


COPIES = """
import copy, pickle, sys
from mpi_programs import *
model, optimizer = penalised()
model.compile(DistributedOptimizer(optimizer, deterministic=True), "mse")
x, y, _ = data()
model.fit(x, y, 16, 1, 0)
assert model.optimizer.lr == 0.01 and model.optimizer.iterations == 4
model.optimizer.lr = 0.02
assert optimizer.lr == 0.02
for same in (copy.deepcopy(model.optimizer), pickle.loads(pickle.dumps(model.optimizer))):
    assert type(same) is cylstm.optimizers.Adam and same.lr == 0.02 and same.iterations == 4
from mpi4py import MPI
path = f"{sys.argv[1]}/{MPI.COMM_WORLD.rank}.h5"
model.save(path)
assert type(cylstm.models.load_model(path).optimizer) is cylstm.optimizers.Adam
print(repr(model.optimizer))
for wrong in (dict(optimizer=model.optimizer), dict(optimizer="adam", block_size=0),
              dict(optimizer="adam", deterministic=True, split_batches=False)):
    try:
        DistributedOptimizer(**wrong)
    except ValueError:
        continue
    raise AssertionError
"""


def test_copies_and_files_have_the_optimizer_within(tmp_path):
    said = fine(2, COPIES, tmp_path)
    assert said[0].startswith("DistributedOptimizer(Adam(lr=0.02")
    assert len(said) == 2


def train(ranks, *arguments):
    done = finished(*started(ranks, ["-m", "cylstm", "train", *arguments]))
    return done


def test_the_command_line_just_works(tmp_path):
    """The model is that of one process, and another number of ranks goes on with it."""
    data = tmp_path / "data.csv"
    cli_runs.write_wide(data)
    command = [sys.executable, "-m", "cylstm", "train", data, "--epochs", "3", "--out"]
    subprocess.run([*command, tmp_path / "alone"], check=True, capture_output=True)
    done = train(2, data, "--epochs", "3", "--out", tmp_path / "both", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["epochs"] == 3  # once
    assert done.err.count("Epoch 3/3") == 1
    one, two = (
        cylstm.models.load_model(tmp_path / name / "model.safetensors")
        for name in ("alone", "both")
    )
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    done = train(3, data, "--epochs", "5", "--out", tmp_path / "both", "--resume", "--quiet")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "both" / "metrics.json").read_text())["epochs"] == 5
    done = train(2, data, "--epochs", "5", "--out", tmp_path / "both")
    assert done.status == 1
    assert "holds a model" in done.err


def test_examples_run():
    """Of the docstrings, by one rank, and of the page, by two."""
    modules = sorted(p.stem for p in (CHECKOUT / "cylstm" / "distributed").glob("_*mpi_*.py"))
    program = f"import doctest, importlib\nfor name in {modules!r}:\n    found = doctest.testmod("
    program += (
        "importlib.import_module(f'cylstm.distributed.{name}'), "
        "optionflags=doctest.ELLIPSIS)\n    assert found.failed == 0\n"
    )
    fine(1, program)
    page = (CHECKOUT / "docs" / "distributed.md").read_text(encoding="utf-8")
    blocks = page.split("```python\n")[1:]
    programs = [block.partition("```")[0] for block in blocks]
    assert len(programs) == 2
    for text in programs:
        fine(2, text)


def test_importing_it_does_not_import_mpi4py():
    program = (
        "import sys, cylstm.distributed as d; d.DistributedOptimizer; d.shard; d.BroadcastWeights; "
        "assert not [m for m in sys.modules if 'mpi4py' in m]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
