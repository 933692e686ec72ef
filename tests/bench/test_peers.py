"""Each peer that is installed computes the LSTM that is asked for; so does cylstm, in any case."""

import sys
from importlib.machinery import EXTENSION_SUFFIXES

import numpy as np
import pytest

from bench import peers
from bench.peers import cylstm as cylstm_peer
from bench.peers.base import Unsupported
from bench.problems import FRAMES, Case, Shape, make_data
from bench.runner import TOLERANCES, PeerProcess, disagreement

SHAPE, ONE_STEP = Shape(3, 6, 5, 4), Shape(3, 1, 5, 4)
INSTALLED = [name for name in peers.NAMES if not peers.missing(peers.load(name))]
CASES = [
    Case(mode, ONE_STEP if mode == "step" else SHAPE, dtype, ragged)
    for mode in ("step", "forward", "train")
    for dtype in ("float32", "float64")
    for ragged in (False, True)
    if mode != "step" or not ragged
]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def outputs(case, inputs, kernel, recurrent_kernel, bias, mask):
    """The LSTM in float64, zero beyond the lengths; and its final states."""
    h = c = np.zeros((len(inputs), len(recurrent_kernel)))
    found = []
    for t in range(inputs.shape[1]):
        i, f, g, o = np.split(inputs[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        real = np.ones((len(h), 1), bool) if mask is None else mask[:, t, None]
        h, c = np.where(real, new_h, h), np.where(real, new_c, c)
        found.append(np.where(real, h, 0))
    return np.stack(found, axis=1), h, c


def expected(case):
    """What a peer should find; the gradients by central differences."""
    data = make_data(case)
    arguments = [
        np.float64(a) for a in (data.inputs, data.kernel, data.recurrent_kernel, data.bias)
    ]
    names = ("outputs", "final_h", "final_c")
    found = dict(zip(names, outputs(case, *arguments, data.mask), strict=True))
    if case.mode == "train":
        for name, array in zip(
            ("d_inputs", "d_kernel", "d_recurrent_kernel", "d_bias"), arguments, strict=True
        ):
            gradient = found[name] = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                losses = []
                for change in (1e-5, -2e-5):
                    array[place] += change
                    losses.append((outputs(case, *arguments, data.mask)[0] * data.d_outputs).sum())
                array[place] += 1e-5
                gradient[place] = (losses[0] - losses[1]) / 2e-5
    return found


@pytest.fixture(scope="module", params=INSTALLED)
def process(request):
    made = PeerProcess(request.param, 1, [])
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_results(process, case):
    try:
        results = process.call("prepare", case)
    except Unsupported:
        assert process.name != "cylstm"
        return
    assert results["outputs"].shape == (3, FRAMES if case.mode == "step" else 6, 4)
    names = {"step": 1, "forward": 3, "train": 5}
    assert len(results) == names[case.mode]
    # Differences of float64 numbers have some nine digits.
    tolerance = max(TOLERANCES[case.dtype], 1e-8)
    assert disagreement(expected(case), results) < tolerance
    process.call("warm", 1e-6, 1e-6)
    assert process.call("measure") > 0
    process.call("finish")


@pytest.mark.parametrize("name", [name for name in INSTALLED if peers.load(name).headers])
@pytest.mark.parametrize("mode", ["step", "forward", "train"])
def test_drivers_share_the_work_of_blocks(name, mode):
    case = Case(mode, Shape(64, 1 if mode == "step" else 3, 64, 128))
    one, two = PeerProcess("cylstm", 1, []), PeerProcess(name, 2, [])
    try:
        found = disagreement(one.call("prepare", case), two.call("prepare", case))
        assert found < TOLERANCES["float32"]
        two.call("warm", 1e-3, 1e-3)
        assert two.call("measure") > 0
    finally:
        one.close()
        two.close()


@pytest.mark.parametrize("built", [True, False])
def test_a_checkout_without_a_core_comes_last(monkeypatch, tmp_path, built):
    (tmp_path / "cylstm").mkdir()
    if built:
        (tmp_path / "cylstm" / f"_core{EXTENSION_SUFFIXES[0]}").touch()
    monkeypatch.setattr(cylstm_peer, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "site-packages"])
    cylstm_peer.prefer_the_installed_package()
    assert sys.path == (["", "site-packages"] if built else ["site-packages", str(tmp_path)])


def test_every_peer_says_what_it_needs():
    for name in peers.NAMES:
        peer = peers.load(name)
        assert peer.modules or peer.headers
        assert isinstance(peer.environment(1), dict)


def test_a_missing_library_is_noticed(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert peers.missing(peers.load("keras")) == ["keras", "tensorflow"]
