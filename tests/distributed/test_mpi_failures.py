"""A rank that fails, exits, is interrupted or killed ends the job, and nothing is left of it."""

import os
import signal
import time
from pathlib import Path

import pytest
from mpi_runs import LONG, fine, finished, processes, run, started

from cylstm.models import load_model

TRAIN = """
import os, signal, sys, threading, time
from mpi_programs import *
from mpi4py import MPI
from cylstm.callbacks import Callback, ModelCheckpoint
rank, how, folder = MPI.COMM_WORLD.rank, sys.argv[1], sys.argv[2]
class Fail(Callback):
    def on_batch_end(self, batch, logs=None):
        if rank != MPI.COMM_WORLD.size - 1 or self.epoch < 2:
            return
        if how == "raise":
            raise ValueError("a reason")
        if how == "exit":
            print("goodbye", file=sys.stderr)
            sys.exit(3)
        if how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "thread":
            threading.Thread(target=lambda: 1 / 0).start()
            time.sleep(600)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
DistributedOptimizer("adam")    # from now on ranks are looked after
if how == "leave" and rank:
    sys.exit()          # before the others begin; with the status of success
model, optimizer = penalised()
x, y, _ = data()
model.compile(DistributedOptimizer(optimizer, split_batches=True), "mse")
model.fit(x, y, 16, 10_000, 0, callbacks=[
    ModelCheckpoint(os.path.join(folder, "model.safetensors")), Fail()])
"""
SAID = {
    "raise": ["ValueError: a reason", "ends the job by this ValueError"],
    "exit": ["goodbye", "has ended, and rank 0 waits for it"],
    "interrupt": ["KeyboardInterrupt", "ends the job by this KeyboardInterrupt"],
    "kill": ["Killed (signal 9)"],
    "thread": ["ZeroDivisionError", "ends the job by this ZeroDivisionError in a thread"],
}
RESUME = """
import sys
from mpi_programs import *
model = cylstm.models.load_model(sys.argv[1])
before = model.optimizer.iterations
model.optimizer = DistributedOptimizer(model.optimizer, split_batches=True)
x, y, _ = data()
history = model.fit(x, y, 16, 5, 0, initial_epoch=3)
print(before, model.optimizer.iterations - before, len(history.epoch), model.optimizer.clipnorm)
"""


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("how", SAID)
def test_the_job_ends_with_the_message(how, ranks, tmp_path):
    done = run(ranks, TRAIN, how, tmp_path)
    assert done.status != 0
    for text in SAID[how]:
        assert text in done.err + done.out
    if how != "kill":
        assert f"cylstm: rank {ranks - 1} of {ranks} " in done.err
    # Two epochs and more were saved; another number of ranks goes on.
    assert load_model(tmp_path / "model.safetensors").optimizer.iterations >= 8
    for line in fine(6 - ranks if LONG else 1, RESUME, tmp_path / "model.safetensors"):
        before, more, epochs, clipnorm = line.split()
        assert (int(before) % 4, more, epochs, clipnorm) == (0, "8", "2", "0.5")


@pytest.mark.parametrize("ranks", [2, 4])
def test_it_takes_less_than_ten_seconds(ranks, tmp_path):
    """From the moment at which the rank is killed, in processor time of this machine's clock."""
    job, mark = started(ranks, ["-c", TRAIN, "never", tmp_path])
    while not (tmp_path / "model.safetensors").exists():
        assert job.poll() is None
        time.sleep(0.1)
    of_python = [p for p in processes(mark) if _is_rank(p)]
    assert len(of_python) == ranks
    os.kill(max(of_python), signal.SIGINT)
    done = finished(job, mark)
    assert "KeyboardInterrupt" in done.err
    assert "ends the job by this KeyboardInterrupt" in done.err
    if LONG:  # where nothing else runs
        assert done.seconds < 10


def _is_rank(process):
    """Whether a process is a rank, and neither mpiexec nor its like."""
    words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return b"python" in words[0] and any(word.startswith(b"\nimport os") for word in words)


def test_who_leaves_early_ends_the_job_if_others_wait_for_it(tmp_path):
    """With the exit status of success, before it has trained at all."""
    done = run(2, TRAIN, "leave", tmp_path)
    assert done.status != 0
    assert "rank 1 of 2 has ended, and rank 0 waits for it" in done.err


EARLY = """
import sys, time
from mpi_programs import *
from mpi4py import MPI
DistributedOptimizer("adam")
if MPI.COMM_WORLD.rank == 0:
    time.sleep(2)       # has something left to do, alone
    print("done")
"""


def test_who_is_ready_waits_for_the_others():
    assert fine(2, EARLY) == ["done"]


CALLBACKS = """
import sys, os
from mpi_programs import *
from mpi4py import MPI
from cylstm.callbacks import *
rank, folder = MPI.COMM_WORLD.rank, sys.argv[1]
class Once(Callback):
    on_root_only = True
    def on_train_end(self, logs=None):
        print("once", rank)
class Time(Callback):           # on rank 1 only, in the middle of an epoch
    def on_batch_end(self, batch, logs=None):
        if rank == 1 and self.epoch == 1 and batch == 2:
            self.model.stop_training = True
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
x, y, _ = data()
model, optimizer = words()
model.compile(DistributedOptimizer(optimizer), "mse", metrics=["mae"])
x = inputs_of(words, x)
seen = []
model.fit(x[rank::2], y[rank::2], 8, 9, callbacks=[
    CSVLogger(os.path.join(folder, f"log{rank}.csv")), Once(), Time(),
    ModelCheckpoint(os.path.join(folder, f"model{rank}.safetensors"), period=1),
    LambdaCallback(on_batch_end=lambda batch, logs: seen.append(batch))])
assert seen == [0, 1, 2, 3, 0, 1, 2], seen
early = EarlyStopping("val_loss", patience=1, min_delta=0.05)
plateau = ReduceLROnPlateau("val_loss", patience=0, factor=0.5, min_delta=1.0)
own = slice(rank, None, 2)      # what each validates with is its own
history = model.fit(x[own], y[own], 8, 60, 0, callbacks=[early, plateau],
                    validation_data=(x[:10][own], y[:10][own]))
print("stopped", early.stopped_epoch, model.optimizer.lr, history.history["val_loss"][-1])
"""


def test_files_and_progress_are_of_the_first_rank_and_all_stop_at_once(tmp_path):
    said = fine(2, CALLBACKS, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["log0.csv", "model0.safetensors"]
    assert said.count("once 0") == 1
    assert "once 1" not in said
    assert sum(line.startswith("Epoch ") for line in said) == 2
    first, second = (line for line in said if line.startswith("stopped"))
    assert first == second
    assert 1 <= int(first.split()[1]) < 59
    assert (tmp_path / "log0.csv").read_text().startswith("epoch,loss,")
