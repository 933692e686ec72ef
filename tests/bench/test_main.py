"""The command line, on tiny shapes with cylstm alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import machine, peers

CHECKOUT = Path(__file__).resolve().parents[2]
TINY = ["--shapes", "2,3,3,4", "1,1,3,4", "--quick", "--rounds", "2", "--peers", "cylstm"]


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(command, "peaks", lambda threads, dtypes, isa: None)


def test_a_run_and_its_files(tmp_path, capsys):
    file = tmp_path / "found.json"
    options = ["--dtype", "float32,float64", "--lengths", "full,ragged", "--json", str(file)]
    assert command.main([*TINY, *options]) == 0
    printed = capsys.readouterr()
    assert "### forward, float32, 1 thread" in printed.out
    assert "### train, float64, ragged, 1 thread" in printed.out
    assert "1/" in printed.err
    found = json.loads(file.read_text())
    assert found["command"].startswith("python -m bench --shapes 2,3,3,4")
    rows = found["rows"]
    # 2 steps, 2 forward, 2 train, and the two of ragged lengths; in either precision.
    assert len(rows) == 16
    assert all(len(row["found"]["cylstm"]["rounds"]) == 2 for row in rows)
    assert command.main(["--load", str(file)]) == 0
    assert capsys.readouterr().out == printed.out


def test_peers_that_are_missing_are_left_out_with_a_line(monkeypatch, capsys):
    gone = {"torch": ["torch"], "keras": ["keras", "tensorflow"]}
    monkeypatch.setattr(peers, "missing", lambda peer: gone.get(type(peer).__name__.lower(), []))
    assert command.main([*TINY, "--mode", "step", "--peers", "torch,keras"]) == 0
    printed = capsys.readouterr()
    assert "skipped torch: not installed (torch)" in printed.err
    assert "skipped keras: not installed (keras, tensorflow)" in printed.err
    assert "- not installed: torch, keras" in printed.out


def test_a_peer_that_cannot_be_loaded_is_left_out(monkeypatch, tmp_path, capsys):
    (tmp_path / "torch.py").write_text("raise OSError('no such shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    assert command.main([*TINY, "--mode", "forward", "--peers", "torch"]) == 0
    assert "torch cannot be loaded: OSError: no such shared object" in capsys.readouterr().out


def test_a_failure_is_the_exit_status(monkeypatch):
    failed = {"cylstm": {"failed": "stopped"}}
    monkeypatch.setattr(command, "time_case", lambda case, workers, settings, each_round: failed)
    assert command.main([*TINY, "--mode", "step"]) == 1


def test_ctrl_c_leaves_what_was_measured(monkeypatch, capsys):
    def interrupt(case, workers, settings, each_round):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "time_case", interrupt)
    assert command.main(TINY) == 0
    printed = capsys.readouterr()
    assert "interrupted" in printed.err
    assert "Nothing to compare" in printed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shapes", "1,2,3"], "four positive integers"),
        (["--mode", "forward,sideways"], "unknown: sideways; choose from step, forward, train"),
        (["--dtype", "float16"], "unknown: float16"),
        (["--peers", "caffe"], "unknown: caffe"),
        (["--lengths", "short"], "unknown: short"),
        (["--threads", "0"], "expected positive numbers"),
        (["--threads", "one"], "expected positive numbers"),
        (["--rounds", "0"], "expected a positive integer"),
        (["--json", "no/such/folder/file.json"], "there is no folder"),
    ],
)
def test_wrong_options(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_more_threads_than_cpus_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0])
    with pytest.raises(SystemExit):
        command.main(["--threads", "2"])
    assert "2 threads need as many CPUs; 1 can be used" in capsys.readouterr().err


def test_plots_need_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        command.main(["--plot", "folder"])
    assert "--plot needs matplotlib" in capsys.readouterr().err


def cases_of(monkeypatch, *options):
    """The cases that a run would time, by number of threads."""
    found = {}

    def note(result, cases, names, threads, settings):
        found[threads] = {(c.mode, c.dtype, c.ragged) for c in cases}

    monkeypatch.setattr(command, "time_cases", note)
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0, 1])
    command.main(list(options))
    return found


def test_everything_is_the_default(monkeypatch):
    found = cases_of(monkeypatch)
    assert list(found) == [1, 2]
    assert len(found[1]) == 2 * (2 * 2 + 1)


def test_shapes_are_timed_in_one_precision_at_full_length(monkeypatch):
    found = cases_of(monkeypatch, "--shapes", "3,4,5,6")
    assert found[2] == {(mode, "float32", False) for mode in ("step", "forward", "train")}


def test_lengths_alone_mean_ragged_ones(monkeypatch):
    found = cases_of(monkeypatch, "--lengths")
    assert {ragged for _, _, ragged in found[1]} == {True}


def test_quick_means_one_thread(monkeypatch):
    assert list(cases_of(monkeypatch, "--quick")) == [1]


def test_the_module_runs_as_a_command():
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--shapes" in run.stdout
