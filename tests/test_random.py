"""Where random numbers come from."""

import threading

import numpy as np
import pytest

from cylstm import _random, utils


def test_the_default_generator_restarts_from_a_seed():
    numbers = []
    for seed in (3, 3, 4):
        utils.set_random_seed(seed)
        numbers.append(_random.default_generator().random(4).tolist())
    assert numbers[0] == numbers[1] != numbers[2]


def test_the_default_generator_goes_on():
    utils.set_random_seed(3)
    generator = _random.default_generator()
    first = _random.default_generator().random()
    assert _random.generator() is _random.default_generator() is generator
    assert _random.generator(None).random() != first


def test_seeded_generators_are_fresh():
    utils.set_random_seed(0)
    expected = _random.default_generator().random()
    utils.set_random_seed(0)
    assert _random.generator(5).random() == _random.generator(np.int32(5)).random()
    assert _random.generator(5).random() != _random.generator(6).random()
    assert _random.default_generator().random() == expected


@pytest.mark.parametrize("seed", [-1, -(2**40), 0, 2**63, 2**100])
def test_any_integer_is_a_seed(seed):
    assert _random.generator(seed).random() == _random.generator(seed).random()
    utils.set_random_seed(seed)


@pytest.mark.parametrize("seed", [1.5, "1", [1], None])
def test_other_seeds_are_refused_and_change_nothing(seed):
    utils.set_random_seed(1)
    before = _random.default_generator()
    with pytest.raises(TypeError, match="a seed is an integer"):
        utils.set_random_seed(seed)
    if seed is not None:
        with pytest.raises(TypeError, match="a seed is an integer or None"):
            _random.generator(seed)
    assert _random.default_generator() is before


def test_the_generators_of_numpy_are_left_alone():
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    utils.set_random_seed(8)
    assert np.random.random() == expected


def test_threads_start_with_one_default_generator(monkeypatch):
    monkeypatch.setattr(_random, "_default", None)
    barrier = threading.Barrier(8)
    seen = []

    def work():
        barrier.wait()
        seen.append((_random.default_generator(), _random.default_generator().random()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    generators, numbers = zip(*seen, strict=True)
    assert len({id(g) for g in generators}) == 1
    assert len(set(numbers)) == 8
