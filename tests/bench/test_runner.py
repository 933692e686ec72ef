"""Turns, comparison and failures, with workers that only pretend."""

import os

import numpy as np
import pytest

from bench.peers.base import Unsupported
from bench.problems import Case, Shape
from bench.runner import PeerFailed, Settings, disagreement, environment, time_case

CASE = Case("forward", Shape(2, 3, 4, 5))
SETTINGS = Settings(rounds=4, round_seconds=0.5, warm_seconds=0.25, settle_seconds=0.125)


class Fake:
    """A worker that has results, takes some seconds for a call, and notes what it is asked."""

    def __init__(self, name, log, outputs=1.0, seconds=1.0, fails_at=None):
        self.name, self.log, self.outputs, self.seconds = name, log, outputs, seconds
        self.fails_at = fails_at or {}
        self.measured = 0

    def call(self, method, *arguments):
        self.log.append((self.name, method, *arguments))
        if method in self.fails_at:
            raise self.fails_at[method]
        if method == "prepare":
            return {"outputs": np.full((2, 3), self.outputs)}
        if method == "measure":
            self.measured += 1
            return self.seconds * self.measured
        return {"warm": self.seconds, "finish": 1000}[method]


def run(*workers, **options):
    pauses = []
    found = time_case(CASE, {w.name: w for w in workers}, SETTINGS, sleep=pauses.append, **options)
    return found, pauses


def test_all_are_prepared_and_warmed_before_the_rounds_and_take_turns():
    log = []
    _, pauses = run(Fake("a", log), Fake("b", log), Fake("c", log))
    assert log[:3] == [(name, "prepare", CASE) for name in "abc"]
    assert log[3:6] == [(name, "warm", 0.25, 0.5) for name in "abc"]
    turns = [name for name, method, *_ in log if method == "measure"]
    assert "".join(turns) == "abc" + "bca" + "cab" + "abc"
    assert log[-3:] == [(name, "finish") for name in "abc"]
    assert pauses == [0.125] * 12


def test_a_turn_of_its_own_comes_last_in_each_round():
    log = []
    _, pauses = run(Fake("a", log), Fake("b", log), each_round=lambda: log.append("peak"))
    turns = [entry[0][0] for entry in log if entry == "peak" or entry[1] == "measure"]
    assert "".join(turns) == "abp" + "bap" + "abp" + "bap"
    assert pauses == [0.125] * 12


def test_what_is_found_is_the_median_with_its_quartiles():
    found, _ = run(Fake("a", [], seconds=2.0))
    assert found["a"] == {
        "seconds": 5.0,
        "low": 3.5,
        "high": 6.5,
        "rounds": [2.0, 4.0, 6.0, 8.0],
        "memory": 1000,
        "error": 0.0,
    }


@pytest.mark.parametrize("outputs", [1.001, float("nan"), float("inf")])
def test_one_that_disagrees_is_not_timed(outputs):
    log = []
    found, _ = run(Fake("a", log), Fake("b", log, outputs=outputs), Fake("c", log, 1.00001))
    assert found["b"]["failed"].startswith("disagrees with a: relative difference")
    assert "seconds" not in found["b"]
    assert ("b", "measure") not in log
    assert found["a"]["seconds"] == found["c"]["seconds"]
    assert found["c"]["error"] == pytest.approx(1e-5)


def test_one_that_cannot_is_skipped_and_the_next_is_the_reference():
    log = []
    cannot = Fake("a", log, fails_at={"prepare": Unsupported("no gradients")})
    found, _ = run(cannot, Fake("b", log, 2.0), Fake("c", log, 3.0))
    assert found["a"] == {"skipped": "no gradients"}
    assert "seconds" in found["b"]
    assert found["c"]["failed"].startswith("disagrees with b")


@pytest.mark.parametrize("method", ["prepare", "warm", "measure", "finish"])
def test_a_failure_leaves_the_others_alone(method):
    log = []
    fails = Fake("a", log, fails_at={method: PeerFailed("stopped")})
    found, _ = run(fails, Fake("b", log))
    assert found["a"]["failed"] == "stopped"
    assert "seconds" not in found["a"]
    assert found["b"]["seconds"] == 2.5
    assert sum(entry[:2] == ("a", method) for entry in log) == 1


def test_disagreement_is_that_of_the_worst_array_in_common():
    ours = {"outputs": np.array([1.0, -4.0]), "d_bias": np.array([2.0]), "final_h": np.ones(3)}
    theirs = {"outputs": np.array([1.0, -4.4]), "d_bias": np.array([2.1])}
    assert disagreement(ours, theirs) == pytest.approx(0.1)
    assert disagreement(ours, ours) == 0


def test_disagreement_of_shapes_is_infinite():
    assert disagreement({"outputs": np.ones((2, 1))}, {"outputs": np.ones((1, 2))}) == np.inf


def test_nothing_in_common_is_no_agreement():
    assert disagreement({"outputs": np.ones(1)}, {"d_bias": np.ones(1)}) == np.inf


def test_empty_arrays_agree():
    assert disagreement({"outputs": np.ones((0, 2))}, {"outputs": np.ones((0, 2))}) == 0


def test_the_environment_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("CYLSTM_BENCH_KEPT", "old")
    with environment({"CYLSTM_BENCH_KEPT": "new", "CYLSTM_BENCH_ADDED": "1"}):
        assert os.environ["CYLSTM_BENCH_KEPT"] == "new"
        assert os.environ["CYLSTM_BENCH_ADDED"] == "1"
    assert os.environ["CYLSTM_BENCH_KEPT"] == "old"
    assert "CYLSTM_BENCH_ADDED" not in os.environ
