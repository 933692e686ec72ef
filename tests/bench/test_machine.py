"""What is measured of the machine."""

import shutil

import numpy as np
import pytest

from bench import machine


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(machine, "SECONDS", 1e-4)
    monkeypatch.setattr(machine, "BEST_OF", 2)


@pytest.fixture
def four_threads_on_two_cores(monkeypatch):
    monkeypatch.setattr(machine, "_core_of", lambda cpu: str(cpu // 2))


@pytest.mark.usefixtures("four_threads_on_two_cores")
@pytest.mark.parametrize(
    ("threads", "chosen"), [(1, [3]), (2, [1, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])]
)
def test_different_cores_come_first_and_the_first_one_last(threads, chosen):
    assert machine.cpus_for(threads, [0, 1, 2, 3]) == chosen


def test_too_many_threads_are_refused():
    with pytest.raises(ValueError, match="3 threads need as many CPUs; 2 can be used"):
        machine.cpus_for(3, [0, 1])


def test_systems_that_do_not_tell_their_cpus():
    assert machine.cpus_for(3, []) == []


@pytest.mark.parametrize(
    ("size", "threads", "level"),
    [(100, 1, "L1"), (101, 1, "L2"), (200, 2, "L1"), (2001, 2, "L3"), (10001, 9, "memory")],
)
def test_where_weights_are_read_from(size, threads, level):
    assert machine.cache_level(size, threads, {"L1": 100, "L2": 1000, "L3": 10000}) == level


def test_sizes_of_caches_rise():
    sizes = machine.caches()
    assert sizes["L1"] < sizes["L2"] < sizes["L3"]


def test_arrays_are_aligned():
    for size in (1, 512, 10000):
        array = machine.aligned_ones(size)
        assert array.ctypes.data % 64 == 0
        assert array.nbytes % 512 == 0
        assert (array == 1).all()


@pytest.mark.parametrize("compiler", [True, False])
def test_peaks(monkeypatch, compiler):
    monkeypatch.setattr(machine, "caches", lambda: {"L1": 1 << 14, "L2": 1 << 15, "L3": 1 << 16})
    if not compiler:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    threads = [1, 2] if len(machine.usable_cpus()) > 1 else [1]
    found = machine.measure(threads, ["float32", "float64"])
    assert ("lower bounds" in found["how"]) is not compiler
    counts = {str(n) for n in threads}
    assert found["flops"].keys() == {"float32", "float64"}
    for rates in found["flops"].values():
        assert rates.keys() == counts
        assert all(rate > 1e7 for rate in rates.values())
    assert found["bytes"].keys() == counts
    for speeds in found["bytes"].values():
        assert list(speeds) == ["L1", "L2", "L3", "memory"]
        assert all(speed > 1e6 for speed in speeds.values())


def test_the_peak_at_this_moment():
    assert machine.rate_now(1, "float32") > 1e7
    assert machine._kernels_kept.cache_info().currsize >= 1


def test_the_compiled_kernels_do_what_they_count(tmp_path):
    kernels, _ = machine._compiled(tmp_path)
    run, operations = kernels.multiply_add("float32")()
    assert operations % 20 == 0
    # x = x / 2 + 1 / 4 comes to 1 / 2 in each of ten chains.
    assert run(100) == pytest.approx(5)
    kernels.read(2048)  # declares the arguments
    word, array = kernels._library.read_all, machine.aligned_ones(2048).view(np.int64)
    array[:] = np.arange(256)
    width = operations // 40  # in numbers of eight bytes
    assert word(array.ctypes.data, array.nbytes, 1) == np.bitwise_xor.reduce(array[::width])


def test_the_machine_is_described():
    found = machine.describe()
    assert found["cpu"]
    assert found["cpus"] >= 1
    assert found.keys() == {"cpu", "cpus", "caches", "system", "python", "load"}
