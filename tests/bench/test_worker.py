"""A peer's process: what it does when told, and what becomes of it when it dies."""

import numpy as np
import pytest

from bench import worker
from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import Case, Shape
from bench.runner import PeerFailed, PeerProcess
from bench.worker import Session

RAGGED = Case("forward", Shape(2, 5, 3, 4), ragged=True)


class Counting(Peer):
    """Its calls take a millisecond of a clock of its own."""

    def __init__(self):
        self.calls, self.now = 0, 0.0

    def forward(self, case, data):
        def run():
            self.calls += 1
            self.now += 1e-3

        shape = (case.shape.batch, case.shape.timesteps, case.shape.units)
        self.memory = np.ones(shape, np.float32)
        return Prepared(run, lambda: {"outputs": self.memory})


@pytest.fixture
def peer(monkeypatch):
    counting = Counting()
    monkeypatch.setattr(worker.time, "perf_counter", lambda: counting.now)
    return counting


def test_outputs_beyond_the_lengths_do_not_count(peer):
    outputs = Session(peer).prepare(RAGGED)["outputs"]
    np.testing.assert_array_equal(outputs[:, :, 0].sum(axis=1), RAGGED.lengths)


def test_results_are_copies(peer):
    outputs = Session(peer).prepare(Case("forward", RAGGED.shape))["outputs"]
    peer.memory[...] = 7
    assert (outputs == 1).all()


def test_a_round_has_as_many_calls_as_fit(peer):
    session = Session(peer)
    session.prepare(RAGGED)
    assert session.warm(0.01, 0.05) == pytest.approx(1e-3)
    peer.calls = 0
    assert session.measure() == pytest.approx(1e-3)
    assert 60 <= peer.calls <= 62  # 10 to get warm, 50 on the clock; rounding adds one each


def test_long_calls_are_made_once(peer):
    session = Session(peer)
    session.prepare(RAGGED)
    session.warm(1e-4, 1e-4)
    peer.calls = 0
    session.measure()
    assert peer.calls == 1


def test_nothing_is_timed_before_it_is_prepared(peer):
    with pytest.raises(RuntimeError, match="No case has been prepared"):
        Session(peer).measure()


def test_peaks_of_memory_are_forgotten():
    worker.reset_peak_memory()
    before = worker.peak_memory()
    block = np.ones(1 << 25)
    assert worker.peak_memory() > before
    del block
    peak = worker.peak_memory()
    worker.reset_peak_memory()
    assert worker.peak_memory() <= peak


def test_what_a_peer_does_not_define_it_cannot():
    peer = Peer()
    for mode in ("step", "forward", "train"):
        with pytest.raises(Unsupported):
            peer.prepare(Case(mode, RAGGED.shape), None)


@pytest.fixture
def process():
    made = PeerProcess("cylstm", 1, [])
    yield made
    made.close()


def test_a_process_answers_and_survives_errors(process):
    process.start()
    assert "cylstm" in process.description["versions"]
    with pytest.raises(PeerFailed, match="AttributeError"):
        process.call("nonsense")
    results = process.call("prepare", RAGGED)
    assert results["outputs"].shape == (2, 5, 4)
    assert 0 < process.call("warm", 1e-3, 1e-3) < 1
    assert 0 < process.call("measure") < 1
    assert process.call("finish") > 1 << 20


def test_a_dead_process_is_started_again(process):
    process.start()
    process._process.kill()
    process._process.join()
    assert process.call("prepare", RAGGED)["outputs"].shape == (2, 5, 4)


def test_a_process_that_dies_meanwhile_is_noticed(process, monkeypatch):
    process.start()
    process._process.kill()
    process._process.join()
    monkeypatch.setattr(process._process, "is_alive", lambda: True)
    with pytest.raises(PeerFailed, match="stopped"):
        process.call("finish")


def test_silence_is_a_failure():
    process = PeerProcess("cylstm", 1, [], timeout=1e-3)
    with pytest.raises(PeerFailed, match="no answer within 0.001 s"):
        process.start()
    process.close()
    process.close()


def test_a_library_that_cannot_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('no such shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    process = PeerProcess("torch", 1, [])
    with pytest.raises(PeerFailed, match="OSError: no such shared object"):
        process.start()
    process.close()
