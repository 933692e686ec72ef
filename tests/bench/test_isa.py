"""Held to an instruction set: what can be is, and what cannot is left out with its reason."""

import sys

import numpy as np
import pytest

from bench import __main__ as command
from bench import machine, peers
from bench.peers import cylstm as cylstm_peer
from bench.peers import onnxruntime as onnxruntime_peer
from bench.peers.base import Unsupported
from bench.problems import Case, Shape
from bench.runner import TOLERANCES, PeerProcess, disagreement

AVAILABLE = cylstm_peer.instruction_sets()
INSTALLED = [name for name in peers.NAMES if not peers.missing(peers.load(name))]
CASE = Case("forward", Shape(3, 6, 5, 4))
ASKS = onnxruntime_peer.ASKS


@pytest.fixture
def process(request):
    made = PeerProcess(*request.param)
    yield made
    made.close()


def test_every_instruction_set_of_cylstm_has_a_name_here():
    assert set(AVAILABLE) <= set(machine.TARGETS)
    assert machine.TARGETS.keys() == machine.BLAS_CORES.keys()


@pytest.mark.parametrize("isa", AVAILABLE)
def test_the_peak_is_that_of_the_instruction_set(tmp_path, isa):
    if len(AVAILABLE) == 1:
        pytest.skip("not an x86-64")
    kernels, how = machine._compiled(tmp_path, isa)
    assert how.endswith(machine.TARGETS[isa][0])
    _, operations = kernels.multiply_add("float32")()
    assert operations == 2 * 10 * {"generic": 4, "avx2": 8, "avx512": 16}[isa]


@pytest.mark.parametrize(
    ("process", "isa"), [(("cylstm", 1, [], isa), isa) for isa in AVAILABLE], indirect=["process"]
)
def test_cylstm_tells_what_it_was_held_to(monkeypatch, process, isa):
    monkeypatch.setenv("CYLSTM_ISA", "avx512")  # the option counts
    process.start()
    assert process.description["isa"] == isa


@pytest.mark.parametrize("process", [(name, 1, [], "generic") for name in INSTALLED], indirect=True)
def test_a_peer_that_is_held_finds_the_same(process):
    if process.name in ("jax", "keras"):
        with pytest.raises(Unsupported, match="XLA"):
            process.start()
        return
    free = PeerProcess("cylstm", 1, [])
    try:
        expected = free.call("prepare", CASE)
    finally:
        free.close()
    assert disagreement(expected, process.call("prepare", CASE)) < TOLERANCES["float32"]


@pytest.mark.parametrize(("isa", "registers"), [("avx2", 7), ("generic", 3)])
def test_the_answer_about_registers_is_replaced_and_nothing_else(isa, registers):
    other = bytes(range(256))
    library = b"\x7fELF" + other + ASKS + other + ASKS
    found = onnxruntime_peer.held(library, isa)
    assert len(found) == len(library)
    changed = np.flatnonzero(np.frombuffer(found, "u1") != np.frombuffer(library, "u1"))
    first = 4 + 256 + 3
    assert changed.tolist() == [first, first + 1, first + 265, first + 266]
    assert found[first : first + 2] == bytes([0xB0, registers])  # mov al, registers


def test_a_library_that_does_not_ask_is_not_held():
    with pytest.raises(Unsupported, match="does not ask"):
        onnxruntime_peer.held(ASKS[:-1] + b"\x00" + ASKS[1:], "avx2")


def test_a_package_is_held_in_a_folder_of_its_own(tmp_path):
    installed, folder = tmp_path / "onnxruntime", tmp_path / "held"
    (installed / "capi").mkdir(parents=True)
    with pytest.raises(Unsupported, match="it has no capi"):
        onnxruntime_peer.held_package(installed, folder, "avx2")
    library = installed / "capi" / "onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"
    library.write_bytes(ASKS)
    (installed / "__init__.py").write_text("version = 1")
    onnxruntime_peer.held_package(installed, folder, "avx2")
    assert library.read_bytes() == ASKS  # the installed one stays as it is
    copy = folder / "onnxruntime" / "capi" / library.name
    assert copy.read_bytes() == onnxruntime_peer.held(ASKS, "avx2")
    assert (folder / "onnxruntime" / "__init__.py").read_text() == "version = 1"


def test_onnxruntime_that_cannot_be_held_says_so(monkeypatch, tmp_path):
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    with pytest.raises(Unsupported, match="it has no capi"):
        peers.load("onnxruntime").held_to("avx2")


class Fake(PeerProcess):
    """Knows what it is to be held to, and nothing else."""

    started: list = []

    def start(self):
        self.started.append((self.name, self.isa))
        if self.isa is not None and self.name == "jax":
            raise Unsupported("no way")
        self.description = {"versions": {}, "memory": None, "isa": self.isa or "the best"}


@pytest.mark.parametrize(
    ("options", "told", "heading"),
    [
        ([], [None, None, None], "cylstm ran **the best**; this CPU has a, generic\n"),
        (
            ["--isa", "generic"],
            ["generic", None, None],
            "cylstm ran **generic**; this CPU has a, generic\n",
        ),
        (
            ["--isa", "avx2"],
            ["avx2"] * 3,
            "cylstm ran **avx2**; this CPU has avx2, generic; all held to avx2\n",
        ),
    ],
)
def test_peers_are_held_to_less_than_the_best_only(monkeypatch, capsys, options, told, heading):
    available = ["avx2" if "avx2" in options else "a", "generic"]
    monkeypatch.setattr(command, "instruction_sets", lambda: available)
    monkeypatch.setattr(command, "PeerProcess", Fake)
    monkeypatch.setattr(command, "peaks", lambda threads, dtypes, isa: None)
    monkeypatch.setattr(command.peers, "missing", lambda peer: [])
    monkeypatch.setattr(command, "time_case", lambda case, workers, settings, each_round: {})
    monkeypatch.setattr(Fake, "started", [])
    names = ["--peers", "torch,jax", "--quick", "--threads", "1"]
    assert command.main([*names, *options]) == 0
    assert Fake.started == list(zip(["cylstm", "torch", "jax"], told, strict=True))
    printed = capsys.readouterr()
    assert f"- instruction set: {heading}" in printed.out
    left_out = "jax is left out, as it cannot be held: no way"
    assert (left_out in printed.out) is (told[2] is not None)


def test_what_the_cpu_lacks_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(command, "instruction_sets", lambda: ["generic", "avx2"])
    with pytest.raises(SystemExit) as stopped:
        command.main(["--isa", "avx512"])
    assert stopped.value.code == 2
    assert "--isa avx512: this CPU runs generic, avx2; choose" in capsys.readouterr().err


def test_without_cylstm_nobody_knows(monkeypatch, capsys):
    def gone():
        raise ImportError("no module")

    monkeypatch.setattr(command, "instruction_sets", gone)
    with pytest.raises(SystemExit):
        command.main(["--isa", "avx2"])
    assert "cylstm cannot be asked what this CPU has: no module" in capsys.readouterr().err
    assert command.instruction_set(None) == {"available": [], "asked": None, "held": False}
