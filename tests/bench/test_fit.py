"""Whole jobs: each library that is installed does the same, and what is found is told as it is."""

import json
import re
import sys

import numpy as np
import pytest

from bench import fit, fit_profile, jobs, peers
from bench.jobs import Job, Net
from bench.runner import disagreement

NETS = {
    "words": Net(20, 6, (5,), 1, False, 96, 4, 16),
    "numbers": Net(0, 3, (5, 4), 1, False, 96, 4, 16),
    "tags": Net(20, 6, (5,), 3, True, 96, 4, 16),
}
SMALL = {
    "text classifier": Job(NETS["words"], "fit", 96, 16),
    "predict one": Job(NETS["words"], "predict", 1, 16),
}
INSTALLED = [name for name in fit.NAMES.values() if not peers.missing(peers.load(name))]


def prepared(name, job):
    peer = peers.load(name)
    peer.start(1)
    return peer.prepare(job, job.data())


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_what_is_compared_is_trained(net):
    """The outputs after some updates are not those of the first weights, nor of other targets."""
    fitted, first = (
        prepared("fit_cylstm", Job(net, kind, 96, 16)).results()["outputs"]
        for kind in ("fit", "predict")
    )
    assert fitted.shape == (48, 4, 3) if net.per_step else (48, 1)
    assert disagreement({"y": first}, {"y": fitted}) > jobs.TOLERANCE
    run = prepared("fit_cylstm", Job(net, "fit", 96, 16)).run
    assert len(run().history["loss"]) == 1
    assert prepared("fit_cylstm", Job(net, "predict", 96, 16)).run().shape[0] == 96


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("kind", ["fit", "predict"])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_libraries_agree(net, kind, name):
    job = Job(net, kind, 96, 16)
    ours, theirs = (prepared(peer, job) for peer in ("fit_cylstm", name))
    assert disagreement(ours.results(), theirs.results()) < jobs.TOLERANCE
    theirs.run()


def test_parts_are_of_whole_batches():
    for name, job in jobs.jobs(whole=False).items():
        whole = jobs.jobs(whole=True)[name]
        assert job.rows <= whole.rows
        assert (job.net, job.kind, job.batch) == (whole.net, whole.kind, whole.batch)
    assert jobs.jobs(whole=True)["text classifier"].rows == 25_000
    assert jobs.jobs(whole=True)["predict"].rows == 25_000


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["fit.py", *arguments])
    return fit.main()


def test_cylstm_alone(monkeypatch, tmp_path, capsys):
    """In processes of their own; there is nothing to compare, which is a failure."""
    monkeypatch.setattr(fit, "jobs", lambda whole: SMALL)
    monkeypatch.setattr(fit, "NAMES", {"cylstm": "fit_cylstm"})
    file = tmp_path / "found.json"
    wanted = "text classifier,predict one,first prediction"
    options = ("--rounds", "1", "--json", str(file))
    assert run_main(monkeypatch, "--jobs", wanted, *options) == 1
    printed = capsys.readouterr().out
    rows = json.loads(file.read_text())["rows"]["1"]
    assert list(rows) == wanted.split(",")
    for title, by_name in rows.items():
        assert by_name["cylstm"]["seconds"] > 0
        assert f"| {title} |" in printed
    assert run_main(monkeypatch, "--jobs", "predict one", *options) == 1
    assert list(json.loads(file.read_text())["rows"]["1"]) == wanted.split(",")  # it is kept
    capsys.readouterr()
    assert run_main(monkeypatch, "--load", str(file)) == 0
    assert "| first prediction |" in capsys.readouterr().out


def test_the_best_of_the_others_counts():
    rows = {
        "1": {
            "tagger": {
                "cylstm": {"seconds": 2.0},
                "torch": {"seconds": 8.0},
                "keras on jax": {"seconds": 6.0},
                "keras on torch": {"failed": "no memory"},
            },
            "predict": {"cylstm": {"failed": "so"}, "torch": {"seconds": 1.0}},
        }
    }
    assert fit.ratios(rows) == {"tagger, 1": ("keras on jax", 3.0)}
    about = {"cpu": "a CPU", "system": "a system"}
    text = fit.text({"machine": about, "isa": "avx2", "date": "today", "rows": rows})
    assert "| tagger | 2 | 8 | no memory | 6 | 3.00 |" in text
    assert "Least 3.00 (asked 1.5), geometric mean 3.00" in text


def test_unknown_jobs_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_main(monkeypatch, "--jobs", "predict two")
    assert "choose from text classifier" in capsys.readouterr().err


def test_a_profile_adds_up(monkeypatch, capsys):
    monkeypatch.setattr(fit_profile, "jobs", lambda whole: SMALL)
    monkeypatch.setattr(fit_profile, "EPOCHS", 2)
    assert run_main(monkeypatch, "--profile", "--jobs", "text classifier") in (0, 1)
    printed = capsys.readouterr().out
    total = float(re.search(r"([\d.]+) ms a batch:", printed)[1])
    found = re.findall(r"^  ([A-Z a-z,]+?) +([\d.]+) ms +([\d.]+)%$", printed, re.MULTILINE)
    parts = {name: (float(ms), float(share)) for name, ms, share in found}
    assert {"LSTM kernels", "optimizer", "loss", "Dense", "embedding, gradient"} <= set(parts)
    assert sum(ms for ms, _ in parts.values()) == pytest.approx(total, abs=0.01)
    assert sum(share for _, share in parts.values()) == pytest.approx(100, abs=0.6)
    assert all(ms >= 0 for ms, _ in parts.values())


def test_clocks_count_what_is_within_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fit_profile.time, "perf_counter", lambda: now[0])
    clocks = fit_profile.Clocks()

    def spend(seconds):
        now[0] += seconds

    inner = clocks.around("inner", spend)

    def both():
        spend(1)
        inner(4)
        return np.ones(1), spend

    value, back = clocks.around("outer", both, of_result="back")()
    back(2)
    assert value == 1
    assert clocks.seconds == {"inner": 4.0, "outer": 1.0, "back": 2.0}
