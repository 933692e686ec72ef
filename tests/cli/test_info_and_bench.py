"""info and bench: what they say of the machine; and how results look where."""

import io
import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run

import cylstm
from cylstm import _core
from cylstm.cli import _bench, _machine, _text, main
from cylstm.cli._text import Rows, show

CHECKOUT = Path(__file__).resolve().parents[2]


def test_info(capsys):
    status, out, err = run(capsys, "info", "--json")
    assert (status, err) == (0, [])
    found = json.loads("\n".join(out))
    assert found["cylstm"] == cylstm.__version__
    assert found["numpy"] == np.__version__
    assert found["instruction_sets"][0] == _core.isa()
    assert sorted(found["instruction_sets"]) == sorted(_core.isas())
    assert found["threads"] == cylstm.get_num_threads()
    assert found["engine"] == cylstm.LSTM(2).engine
    assert found["optional"]["rich"] == metadata.version("rich")
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    assert found["blas"]["NumPy"] == f"{built['name']} {built['version']}"
    assert found["blas"]["SciPy"] != "unknown"

    _, out, _ = run(capsys, "info")
    lines = {line[:16].strip(): line[16:].strip() for line in out}
    assert lines["cylstm"] == cylstm.__version__
    assert lines["instruction set"].startswith(_core.isa())


def test_info_says_what_is_missing(capsys, monkeypatch):
    version = metadata.version

    def without_rich(name):
        if name == "rich":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_rich)
    monkeypatch.setenv("CYLSTM_NUM_THREADS", "1")
    _, out, _ = run(capsys, "info")
    assert out[-1].split(None, 1) == ["rich", "not installed: pip install 'cylstm[cli]'"]
    assert any(line.split() == ["CYLSTM_NUM_THREADS", "1"] for line in out)
    assert json.loads("\n".join(run(capsys, "info", "--json")[1]))["optional"]["rich"] is None


@pytest.fixture
def one_call_a_round(monkeypatch):
    monkeypatch.setattr(_bench, "_SHORTEST", 0)
    monkeypatch.setattr(_machine, "product_rate", lambda dtype, threads, seconds: 1e9)


@pytest.mark.usefixtures("one_call_a_round")
def test_bench(capsys):
    before = cylstm.get_num_threads()
    command = ["bench", "2,3,4,5", "1,1,2,2", "--seconds", "0.001", "--threads", 1]
    status, out, _ = run(capsys, *command, "--json", "--dtype", "float64")
    assert status == 0
    found = json.loads("\n".join(out))
    assert (found["threads"], found["dtype"]) == (1, "float64")
    assert cylstm.get_num_threads() == before
    assert [(tuple(r["shape"]), r["mode"]) for r in found["results"]] == [
        (shape, mode)
        for shape in ((2, 3, 4, 5), (1, 1, 2, 2))
        for mode in ("step", "forward", "train")
    ]
    step, forward, train = found["results"][:3]
    for result, operations in [(step, 720), (forward, 2160), (train, 6480)]:
        rate = operations / result["seconds"]
        assert result["operations_per_second"] == pytest.approx(rate)
        assert result["share_of_numpy_product"] == pytest.approx(rate / 1e9)
        assert result["rounds"] >= 9
        assert result["slow_quarter"] >= result["seconds"] > 0
    _, out, _ = run(capsys, *command, "--mode", "train")
    assert [line.split()[:2] for line in out[3:]] == [["2,3,4,5", "train"], ["1,1,2,2", "train"]]


@pytest.mark.usefixtures("one_call_a_round")
def test_times_that_vary_are_said_to(capsys, monkeypatch):
    times = iter([1.0] * 5 + [9.0] * 4)
    monkeypatch.setattr(_bench, "_times", lambda call, seconds: [next(times) for _ in range(9)])
    _, _, err = run(capsys, "bench", "1,1,1,1", "--mode", "step")
    assert err == ["Times vary: something else runs on the machine, so take them as too long."]


def test_rounds_are_long_enough_to_be_timed(monkeypatch):
    clock, calls = [0.0], []

    def call():
        calls.append(1)
        clock[0] += 0.0005

    monkeypatch.setattr(_bench.time, "perf_counter", lambda: clock[0])
    times = _bench._times(call, 0.01)
    assert times == pytest.approx([0.0005] * 9)
    assert len(calls) == 1 + 2 + 4 + 9 * 4


def test_the_product_of_numpy():
    found = _machine.product_rate("float64", 1, 0.01)
    a = np.ones((_machine.PRODUCT,) * 2)
    assert 1e7 < found < 1e14
    assert 2 * a.size * len(a) / found < 60


def test_a_product_that_fails_is_said(capsys, monkeypatch):
    monkeypatch.setattr(_machine, "_PROGRAM", "raise SystemExit('no NumPy')")
    assert "could not be measured: no NumPy" in refused(capsys, "bench", "1,1,1,1")


@pytest.mark.parametrize("shape", ["1,2,3", "1,2,3,0", "1,2,3,x", "1,2,3,4,5", "-1,2,3,4", ""])
def test_shapes_that_are_none(shape, capsys):
    assert "four positive integers" in refused(capsys, "bench", "--", shape, status=2)


# ---------------------------------------------------------------------- looks


class Terminal(io.StringIO):
    """What looks like a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


ROWS = Rows([["a[red]", "1"], ["\x1b[2Jb", "22"]], ["Name", "Number"])


def test_rich_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show("two rows", ROWS)
    out = sys.stdout.getvalue()
    assert "\x1b[1mName" in out
    assert "a[red]" in out
    assert r"\x1b[2Jb" in out
    assert "\x1b[2J" not in out


@pytest.mark.parametrize("why", ["NO_COLOR", "TERM", "no terminal", "no rich"])
def test_plain_text_elsewhere(why, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO() if why == "no terminal" else Terminal())
    monkeypatch.setenv("TERM", "dumb" if why == "TERM" else "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if why == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    if why == "no rich":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    show("two rows", ROWS)
    wanted = ["two rows", "Name      Number", "a[red]    1", r"\x1b[2Jb  22"]
    assert sys.stdout.getvalue().splitlines() == wanted


def test_ctrl_c_is_one_line(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_text.json, "dumps", interrupted)
    assert run(capsys, "info", "--json") == (130, [], ["cylstm info: interrupted"])


def test_every_command_has_help_with_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    commands = [line.split()[0] for line in out.splitlines() if line.startswith("    ")]
    assert len(commands) >= 7
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert (
            f"cylstm {command} "
            in " ".join(capsys.readouterr().out.partition("example")[2].split()) + " "
        )


def test_the_console_script():
    """What `pip` puts beside Python is `main`."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [(name, place)] = project["scripts"].items()
    assert (name, metadata.EntryPoint(name, place, "console_scripts").load()) == ("cylstm", main)


def test_nothing_optional_is_imported_before_it_is_needed():
    program = (
        "import sys\nfrom cylstm.cli import main\n"
        "main(['info', '--json'])\n"
        "print(sorted({'h5py', 'matplotlib', 'pandas', 'pyarrow', 'rich', 'tqdm'} & "
        "set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stderr == "[]\n"
