"""The scripts that measure cylstm alone print their figures, whatever they are."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from bench import import_time, limits, side_by_side, startup

STEPS = dict(import_time.STEPS)


def test_limits(monkeypatch, capsys):
    monkeypatch.setattr(limits.cylstm, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", ["limits.py", "--rounds", "1"])
    assert limits.main() in (0, 1)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert sum("microseconds outside the kernel (limit 5)" in line for line in printed) == 2
    assert sum("denormal numbers" in line for line in printed) == 4


def test_a_version_beside_itself(monkeypatch, capsys):
    shapes = ["--shapes", "1,2,3,4", "2,2,3,4"]
    monkeypatch.setattr(
        sys,
        "argv",
        ["side_by_side.py", sys.executable, "--rounds", "2", "--isa", "generic", *shapes],
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(cylstm.__file__).parents[1]))
    assert side_by_side.main() in (0, 1)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in printed[:2]] == [["step", "1,2,3,4"], ["step", "2,2,3,4"]]
    assert len(printed) == 7
    assert all(float(line.split()[2]) > 0 for line in printed[:6])
    assert printed[6].startswith("geometric mean ")


def test_ratios_of_two_versions():
    assert side_by_side.ratios([3.0, 4.0, 9.0], [2.0, 2.0, 3.0]) == (1.5, 2.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_called_denormal_is_so(dtype):
    tiny = float(np.finfo(dtype).smallest_normal) / 1024
    outputs, ordinary = (limits.made_call(dtype, False, *s)() for s in [(tiny, tiny**0.5), (1, 1)])
    assert outputs.dtype == dtype
    assert np.abs(outputs).max() == 0  # flushed, while the ordinary ones are not
    assert np.abs(ordinary).max() > 0.1


def test_import_time(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["import_time.py", "--rounds", "1"])
    monkeypatch.setattr(
        import_time, "STEPS", {name: step.replace("1024", "16") for name, step in STEPS.items()}
    )
    assert import_time.main() in (0, 1)
    printed = capsys.readouterr().out.splitlines()
    rows = [re.fullmatch(r"(.{30})" + r" +([\d.]+)" * 4, line) for line in printed[1:-2]]
    assert [row[1].strip() for row in rows] == list(STEPS)
    numbers = [[float(row[i]) for i in (2, 3, 4, 5)] for row in rows]
    assert numbers[0][3] == 1
    for everything, others, own, ratio in numbers:
        assert everything == pytest.approx(others + own, abs=0.11)
        assert ratio == pytest.approx(everything / numbers[0][0], abs=0.02)
    softmax = numbers[list(STEPS).index("first softmax (SciPy)")]
    assert softmax[1] > softmax[2]  # it is SciPy that takes the time
    assert re.search(r"adds [\d.]+ of import numpy \(limit 0.33\)", printed[-1])


def test_a_slow_import_is_a_failure(monkeypatch, capsys):
    steps = {"import numpy": "import numpy", "import cylstm": "for _ in range(10**7): pass"}
    monkeypatch.setattr(import_time, "STEPS", steps)
    monkeypatch.setattr(sys, "argv", ["import_time.py", "--rounds", "1"])
    assert import_time.main() == 1


@pytest.fixture
def _installed_cylstm(monkeypatch):
    """This cylstm, installed in whatever way, as if its wheel had this size."""
    monkeypatch.setenv("PYTHONPATH", str(Path(cylstm.__file__).parents[1]))
    monkeypatch.setattr(startup, "SIZES", "print([2_300_000, 200_000_000])")


@pytest.mark.usefixtures("_installed_cylstm")
def test_startup(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["startup.py", "--rounds", "1"])
    assert startup.main() == 0
    header, rule, row = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert header.count("|") == rule.count("|") == row.count("|") == len(startup.COLUMNS) + 2
    assert cells[:3] == ["cylstm", "2.3", "200.0"]
    imported, _, cpu, _, memory = (float(cell.replace(",", "")) for cell in cells[3:])
    assert 0 < imported < cpu
    assert memory > 10


@pytest.mark.usefixtures("_installed_cylstm")
def test_a_peer_that_is_ahead_at_startup_is_named(monkeypatch, capsys):
    nothing = startup.Program("sys", "", "y = x[:, 0, :1].repeat(128, 1)")
    monkeypatch.setitem(startup.PROGRAMS, "nothing", nothing)
    peer = f"nothing={sys.executable}"
    monkeypatch.setattr(sys, "argv", ["startup.py", peer, "--rounds", "1"])
    assert startup.main() == 1
    assert "nothing is ahead of cylstm in import, CPU ms" in capsys.readouterr().out


@pytest.mark.parametrize("peer", ["torch", "other=python", "torch="])
def test_peers_at_startup_are_names_with_an_interpreter(monkeypatch, capsys, peer):
    monkeypatch.setattr(sys, "argv", ["startup.py", peer])
    with pytest.raises(SystemExit):
        startup.main()
    assert "should be NAME=PYTHON" in capsys.readouterr().err


def test_a_peer_that_fails_at_startup_says_why(tmp_path):
    with pytest.raises(SystemExit, match="a reason"):
        startup.said(sys.executable, "raise SystemExit('a reason')", str(tmp_path))


def test_sizes_are_those_of_the_files_that_were_installed():
    own, total = startup.said(sys.executable, startup.SIZES, ".", "scipy", "scipy")
    numpy_size, alone = startup.said(sys.executable, startup.SIZES, ".", "numpy", "numpy")
    assert numpy_size == alone > 10e6
    assert total == own + numpy_size
    with pytest.raises(SystemExit, match="not installed from a wheel"):
        startup.said(sys.executable, startup.SIZES, ".", "numpy", "not_numpy")
