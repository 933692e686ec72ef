"""Thread counts, and that results do not depend on them."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cylstm
from cylstm import _core, _threads


@pytest.fixture(autouse=True)
def own_count(monkeypatch):
    """Each test starts with the default count, and leaves the one before."""
    monkeypatch.setattr(_threads, "_count", None)
    monkeypatch.setattr(_threads, "_pool", None)
    monkeypatch.setattr(_threads, "_by_hand", False)
    least = _core.set_least_work(0)
    for name in ("CYLSTM_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_threads, "_usable_cpus", lambda: 8)
    monkeypatch.setattr(_threads, "_quotas", lambda: [])
    yield
    _core.set_least_work(least)


def test_the_default_is_the_least_of_the_limits(monkeypatch):
    assert _threads._default_count() == 8
    monkeypatch.setattr(_threads, "_quotas", lambda: [5, 6])
    assert _threads._default_count() == 5
    for given, expected in [("3", 3), ("2,4", 2), ("64", 5), ("", 5), ("0", 5), ("many", 5)]:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert _threads._default_count() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CYLSTM_NUM_THREADS", "12")
    assert cylstm.get_num_threads() == 12


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_wrong_environment_variable_is_named(monkeypatch, given):
    monkeypatch.setenv("CYLSTM_NUM_THREADS", given)
    with pytest.raises(ValueError, match=f"CYLSTM_NUM_THREADS is '{given}'"):
        cylstm.get_num_threads()


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, [2]),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, [4]),
        (
            "3:cpu,cpuacct:/x\n1:memory:/y\n",
            {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n",
             "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            [1],
        ),
        ("0::/a\n", {"a/cpu.max": "nonsense"}, []),
        ("", {}, []),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(tmp_path, monkeypatch, own, files, expected):
    monkeypatch.undo()
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert sorted(set(_threads._quotas(tmp_path / "root", tmp_path / "own"))) == expected
    assert _threads._quotas(tmp_path / "root", tmp_path / "absent") is not None


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2", None])
def test_a_wrong_count_is_refused(count):
    before = cylstm.get_num_threads()
    with pytest.raises((ValueError, TypeError), match="count must be a positive integer"):
        cylstm.set_num_threads(count)
    assert cylstm.get_num_threads() == before


def test_callers_with_a_count_of_their_own():
    """As many threads as they say, until somebody says how many the house has."""
    assert _threads.pool_of(1) is None
    two = _threads.pool_of(2)
    assert two.threads == 2
    assert _threads.pool_of(2) is two
    assert _threads.pool_of(8) is _threads.pool()  # of which there are 8 by default
    assert _threads.pool_of(3).threads == 3
    cylstm.set_num_threads(4)
    assert {_threads.pool_of(count).threads for count in (1, 2, 4)} == {4}
    assert _threads.pool_of(2) is _threads.pool()
    cylstm.set_num_threads(1)
    assert _threads.pool_of(2) is None


def test_a_count_of_the_environment_is_one_by_hand():
    program = "from cylstm import _threads; print(_threads.pool_of(2).threads)"
    environment = os.environ | {"CYLSTM_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.stdout.split() == [b"3"], done.stderr


def test_small_work_stays_in_the_calling_thread(monkeypatch):
    asked = []
    monkeypatch.setattr(_threads, "pool", lambda: asked.append(1))
    layer = cylstm.LSTM(4, return_sequences=True)
    x = np.ones((2, 3, 5), "float32")  # 8 * 2 * 3 * 4 * (5 + 4) operations
    layer.vjp(x)[1](np.ones((2, 3, 4), "float32"))  # packs the weights, which is work of its own
    for least, expected in [(1728, 1), (1729, 0), (0, 1)]:
        _core.set_least_work(least)
        asked.clear()
        layer(x)
        assert len(asked) == expected
        layer.vjp(x)[1](np.ones((2, 3, 4), "float32"))
        assert len(asked) == 3 * expected
    monkeypatch.undo()
    cylstm.set_num_threads(2)
    assert _threads.pool().threads == 2
    cylstm.set_num_threads(1)
    assert _threads.pool() is None


def make_layer(**options):
    layer = cylstm.LSTM(37, return_sequences=True, **options)
    layer.build((None, None, 11))
    rng = np.random.default_rng(0)
    layer.set_weights([0.3 * rng.normal(size=w.shape) for w in layer.get_weights()])
    x = rng.normal(size=(29, 40, 11)).astype(layer.dtype)
    return layer, x


def masks(kind):
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 41, size=(29, 1))
    return {
        "none": None,
        "holes": rng.random((29, 40)) < 0.7,
        "padded behind": np.arange(40) < lengths,
        "padded before": np.arange(40) >= lengths,
    }[kind]


def all_results(layer, x, mask):
    rng = np.random.default_rng(4)
    states = list(0.5 * rng.normal(size=(2, len(x), layer.units)).astype(layer.dtype))
    cylstm.utils.set_random_seed(5)
    outputs = layer(x, mask=mask, training=True, initial_state=states)
    y, pullback = layer.vjp(x, mask=mask, training=True, initial_state=states)
    gradients = pullback([np.cos(array) for array in y])
    return [*outputs, *y, gradients.inputs, *gradients.initial_state, *gradients.weights]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["none", "holes", "padded behind", "padded before"])
@pytest.mark.parametrize(
    "options", [{}, {"go_backwards": True}, {"dropout": 0.2, "recurrent_dropout": 0.3}], ids=str
)
def test_the_count_changes_no_bit(dtype, kind, options):
    layer, x = make_layer(dtype=dtype, return_state=True, **options)
    mask = masks(kind)
    cylstm.set_num_threads(1)
    expected = all_results(layer, x, mask)
    for count in (2, 3, 40):
        cylstm.set_num_threads(count)
        for result, right in zip(all_results(layer, x, mask), expected, strict=True):
            np.testing.assert_array_equal(result, right)
    cylstm.set_num_threads(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 9])
def test_threads_that_share_the_units_change_no_bit(batch, masked, dtype):
    # 520 units are shared by up to 8 threads, more than there are CPUs: some lose theirs now and
    # then, so that the others give up sharing halfway
    layer = cylstm.LSTM(520, return_sequences=True, dtype=dtype)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(batch, 60, 11)).astype(dtype)
    layer(x)
    mask = rng.random((batch, 60)) < 0.8 if masked else None

    def results():
        y, pullback = layer.vjp(x, mask=mask)
        gradients = pullback(np.cos(y))
        stream = layer.stream(batch)
        frames = [stream(x[:, t]).copy() for t in range(60)]
        one = {"mask": None if mask is None else mask[:, :1], "initial_state": [y[:, 7], y[:, 8]]}
        step, back = layer.vjp(x[:, :1], **one)
        of_step = back(np.sin(step))
        return [
            layer(x, mask=mask), y, gradients.inputs, *gradients.weights, *frames,
            layer(x[:, :1], **one), step, of_step.inputs, *of_step.initial_state, *of_step.weights,
        ]  # fmt: skip

    cylstm.set_num_threads(1)
    expected = results()
    for count in (2, 3, 40):
        cylstm.set_num_threads(count)
        for _ in range(3):
            for result, right in zip(results(), expected, strict=True):
                np.testing.assert_array_equal(result, right)
    cylstm.set_num_threads(1)


def test_many_callers_share_the_threads():
    layer, x = make_layer(return_state=True)
    mask = masks("holes")
    cylstm.set_num_threads(2)
    expected = all_results(layer, x, mask)
    wrong = []

    def call():
        for _ in range(5):
            results = all_results(layer, x, mask)
            wrong.extend(
                i for i, pair in enumerate(zip(results, expected, strict=True))
                if not np.array_equal(*pair)
            )  # fmt: skip

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for count in (3, 1, 2):
        cylstm.set_num_threads(count)  # while they run
    for caller in callers:
        caller.join()
    cylstm.set_num_threads(1)
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinities")
def test_threads_keep_the_cpus_they_may_run_on():
    # who wakes a thread keeps it off its own CPU for a moment
    before = os.sched_getaffinity(0)
    layer, x = make_layer(return_state=True)
    mask = masks("holes")
    cylstm.set_num_threads(3)
    for _ in range(20):
        all_results(layer, x, mask)
        time.sleep(0.001)
    time.sleep(0.1)  # until all sleep
    tasks = [int(task) for task in os.listdir("/proc/self/task")]
    assert [os.sched_getaffinity(task) for task in tasks] == [before] * len(tasks)
    cylstm.set_num_threads(1)


def few_rows(rows=1):
    """A layer and a sequence of a tenth of a millisecond, whose units threads share."""
    rng = np.random.default_rng(5)
    layer = cylstm.LSTM(128, recurrent_activation="sigmoid", return_state=True)
    return layer, rng.normal(size=(rows, 80, 128)).astype("float32")


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_a_team_that_wakes_goes_on_where_its_caller_is(rows, masked):
    layer, x = few_rows(rows)
    mask = np.random.default_rng(6).random((rows, 80)) < 0.7 if masked else None
    cylstm.set_num_threads(1)
    expected = layer(x, mask)
    cylstm.set_num_threads(3)
    for _ in range(30):
        for result, right in zip(layer(x, mask), expected, strict=True):
            np.testing.assert_array_equal(result, right)
        time.sleep(0.002)  # in which the threads fall asleep
    cylstm.set_num_threads(1)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system does not count")
def test_a_tenth_of_a_millisecond_wakes_a_team():
    layer, x = few_rows()
    others = threading.enumerate()
    cylstm.set_num_threads(2)
    layer(x)
    (server,) = set(threading.enumerate()).difference(others)
    assert times_woken(server, lambda: layer(x[:, :4])) == 0
    # where somebody else needs the CPUs, there is no team for a while
    assert times_woken(server, lambda: layer(x)) > 2
    cylstm.set_num_threads(1)


def times_woken(thread, call):
    """How often a thread has gone to sleep again in 20 calls."""
    counts = []
    for calls in (1, 20):
        for _ in range(calls):
            time.sleep(0.01)
            call()
        time.sleep(0.01)
        with open(f"/proc/self/task/{thread.native_id}/status") as file:
            counts += [int(line.split()[1]) for line in file if line.startswith("voluntary")]
    return counts[1] - counts[0]


def test_a_thread_of_another_pool_is_alone():
    """It alone, and only as long as it says."""
    cylstm.set_num_threads(2)
    found = []
    with _threads.alone():
        with _threads.alone():
            assert _threads.pool() is None
        assert _threads.pool() is None
        other = threading.Thread(target=lambda: found.append(_threads.pool()))
        other.start()
        other.join()
    assert found[0].threads == 2
    assert _threads.pool() is found[0]


def test_threads_end_with_their_pool():
    pool = _core.Pool(2)
    server = threading.Thread(target=pool.serve)
    server.start()
    pool.close()
    server.join(10)
    assert not server.is_alive()


def test_a_child_of_a_fork_computes_the_same():
    layer, x = make_layer(return_state=True)
    mask = masks("holes")
    cylstm.set_num_threads(2)
    expected = all_results(layer, x, mask)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        same = all(map(np.array_equal, all_results(layer, x, mask), expected))
        os.write(writer, b"same" if same else b"different")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"same"
    os.waitpid(child, 0)
    cylstm.set_num_threads(1)
