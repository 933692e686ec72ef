"""Initializers: formulas of TensorFlow 1.4, seeds, dtypes, configs of several versions."""

import copy
import math
import pickle

import numpy as np
import pytest

from cylstm import initializers, layers, utils
from cylstm._random import generator

DRAWING = [
    initializers.RandomUniform,
    initializers.RandomNormal,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
    initializers.Orthogonal,
]
ALL = [
    *DRAWING,
    initializers.Zeros,
    initializers.Ones,
    initializers.Constant,
    initializers.Identity,
]
NAMED = {  # name: scale, mode, distribution
    "lecun_uniform": (1, "fan_in", "uniform"),
    "lecun_normal": (1, "fan_in", "normal"),
    "glorot_uniform": (1, "fan_avg", "uniform"),
    "glorot_normal": (1, "fan_avg", "normal"),
    "he_uniform": (2, "fan_in", "uniform"),
    "he_normal": (2, "fan_in", "normal"),
}
# Standard deviation of a normal variable cut off at two of its own.
TRUNCATED = 0.8796256610342398


@pytest.mark.parametrize("cls", ALL)
def test_shape_and_dtype(cls):
    for shape in [(3, 5), [5, 3], (0, 4)]:
        assert cls()(shape).dtype == "float32"
        assert cls(dtype="float64")(shape).dtype == "float64"
        w = cls(dtype="float64")(shape, dtype=np.float32)
        assert w.dtype == "float32"
        assert w.shape == tuple(shape)
        assert w.flags.c_contiguous
        assert w.flags.writeable


@pytest.mark.parametrize("cls", [c for c in ALL if c is not initializers.Identity])
def test_any_number_of_axes(cls):
    shapes = [(2, 3, 4)] if cls is initializers.Orthogonal else [(), (3,), (2, 3, 4)]
    for shape in shapes:
        assert cls()(shape).shape == shape


@pytest.mark.parametrize("cls", DRAWING)
def test_a_seed_repeats_the_numbers_in_both_dtypes(cls):
    w = cls(seed=3)((4, 5), "float64")
    np.testing.assert_array_equal(cls(seed=3)((4, 5), "float32"), w.astype("float32"))
    initializer = cls(seed=3)
    np.testing.assert_array_equal(initializer((4, 5)), initializer((4, 5)))
    assert np.all(cls(seed=4)((4, 5), "float64") != w)
    for copied in (copy.deepcopy(initializer), pickle.loads(pickle.dumps(initializer))):
        np.testing.assert_array_equal(copied((4, 5), "float64"), w)


@pytest.mark.parametrize("cls", DRAWING)
def test_without_a_seed_the_default_generator_draws(cls):
    utils.set_random_seed(3)
    first, second = cls()((4, 5)), cls()((4, 5))
    assert np.all(first != second)
    utils.set_random_seed(3)
    np.testing.assert_array_equal(cls()((4, 5)), first)


def test_zeros_and_ones():
    assert initializers.Zeros()((2, 2)).tolist() == [[0, 0], [0, 0]]
    assert initializers.Ones()((2, 2)).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]),
        ([1, 2, 3], [[1, 2, 3], [3, 3, 3]]),
        (np.arange(6).reshape(3, 2), [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_constant(value, expected):
    initializer = initializers.Constant(value)
    assert initializer((2, 3)).tolist() == expected
    again = initializers.deserialize(initializers.serialize(initializer))
    assert again((2, 3)).tolist() == expected


def test_what_a_constant_refuses():
    with pytest.raises(ValueError, match="7 numbers for the 6 elements"):
        initializers.Constant(range(7))((2, 3))
    with pytest.raises(ValueError, match="0 numbers for the 6 elements"):
        initializers.Constant([])((2, 3))
    with pytest.raises(TypeError, match=r"shape \(6,\), expected \(2, 3\)"):
        initializers.Constant(range(6), verify_shape=True)((2, 3))
    assert "verify_shape" not in initializers.Constant(verify_shape=True).get_config()
    for value in ("a", [1j], None):
        with pytest.raises(TypeError, match="number or an array of numbers"):
            initializers.Constant(value)


def test_random_uniform():
    w = initializers.RandomUniform(0, None, seed=1)((200, 50), "float64")
    assert 0 <= w.min() < 0.001
    assert 0.999 < w.max() <= 1
    assert abs(w.mean() - 0.5) < 0.01
    w = initializers.RandomUniform(-3, 2, seed=1)((200, 50), "float64")
    assert -3 <= w.min() < -2.99
    assert 1.99 < w.max() <= 2


def test_random_normal():
    w = initializers.RandomNormal(stddev=1, seed=1)((200, 50), "float64")
    assert abs(w.mean()) < 0.03
    assert abs(w.std() - 1) < 0.03
    assert abs(w).max() > 3
    w = initializers.RandomNormal(5, 0.5, seed=1)((200, 50), "float64")
    assert abs(w.mean() - 5) < 0.015
    assert abs(w.std() - 0.5) < 0.015


# What `initializers.get(name).get_config()` of Keras 2.0.9 says; TensorFlow 1.4.1 alone differs.
DEFAULTS = {
    **dict.fromkeys(["random_normal", "RandomNormal", "normal"], {"mean": 0.0, "stddev": 0.05}),
    **dict.fromkeys(["truncated_normal", "TruncatedNormal"], {"mean": 0.0, "stddev": 0.05}),
    **dict.fromkeys(
        ["random_uniform", "RandomUniform", "uniform"], {"minval": -0.05, "maxval": 0.05}
    ),
    "VarianceScaling": {"scale": 1.0, "mode": "fan_in", "distribution": "normal"},
    "glorot_uniform": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_keras(name):
    expected = DEFAULTS[name] | {"seed": None, "dtype": "float32"}
    assert initializers.get(name).get_config() == expected
    by_config = initializers.get({"class_name": name, "config": {}})
    assert by_config.get_config() == expected


def test_a_new_embedding_is_small():
    vectors = layers.Embedding(500, 8)
    vectors.build((None, 3))
    assert 0.049 < np.abs(vectors.embeddings.value).max() <= 0.05
    assert abs(vectors.embeddings.value.mean()) < 0.003


@pytest.mark.parametrize(
    ("config", "greatest"),
    [
        ({"class_name": "RandomUniform", "config": {"minval": 0, "maxval": None}}, 1.0),
        ({"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 1.0}}, 4.5),
        ({"class_name": "TruncatedNormal", "config": {"mean": 0.0, "stddev": 1.0}}, 2.0),
    ],
)
def test_a_config_that_states_its_numbers_means_them(config, greatest):
    w = initializers.get(config)((200, 50))
    assert 0.75 * greatest < w.max() <= greatest


def test_truncated_normal_is_redrawn_and_not_clipped():
    w = initializers.TruncatedNormal(5, 0.5, seed=1)((200, 50), "float64")
    assert 4 <= w.min() < 4.01
    assert 5.99 < w.max() <= 6
    assert np.unique(w).size == w.size
    assert abs(w.std() - 0.5 * TRUNCATED) < 0.01


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(
    ("mode", "shape", "n"),
    [
        ("fan_in", (50, 200), 50),
        ("fan_out", (50, 200), 200),
        ("fan_avg", (50, 200), 125),
        ("fan_in", (4, 5, 20, 25), 400),
        ("fan_out", (4, 5, 20, 25), 500),
        ("fan_avg", (10000,), 10000),
    ],
)
def test_variance_scaling(mode, shape, n, distribution):
    w = initializers.VarianceScaling(3.0, mode, distribution, seed=1)(shape, "float64")
    stddev = np.sqrt(3 / n)
    if distribution == "normal":
        limit = 2 * stddev
        stddev *= TRUNCATED
    else:
        limit = np.sqrt(3) * stddev
    assert 0.99 * limit < abs(w).max() <= limit
    assert abs(w.std() / stddev - 1) < 0.03
    assert abs(w.mean()) < 0.03 * stddev


def test_variance_scaling_of_a_number():
    limit = np.sqrt(3)
    w = [initializers.VarianceScaling(distribution="uniform", seed=s)(()) for s in range(200)]
    assert 0.9 * limit < np.abs(w).max() <= limit


def test_distributions_of_later_versions():
    truncated = initializers.VarianceScaling(2.0, distribution="truncated_normal", seed=1)
    w = truncated((50, 200), "float64")
    assert abs(w.std() / np.sqrt(2 / 50) - 1) < 0.02
    assert abs(w).max() <= 2 * np.sqrt(2 / 50) / TRUNCATED
    w = initializers.VarianceScaling(2.0, distribution="untruncated_normal", seed=1)((50, 200))
    assert abs(w.std() / np.sqrt(2 / 50) - 1) < 0.02
    assert abs(w).max() > 3 * np.sqrt(2 / 50)
    assert truncated.get_config()["distribution"] == "truncated_normal"
    assert initializers.VarianceScaling(distribution="UNIFORM").distribution == "uniform"


@pytest.mark.parametrize("name", NAMED)
def test_named_scalings(name):
    scale, mode, distribution = NAMED[name]
    expected = initializers.VarianceScaling(scale, mode, distribution, 5, "float64").get_config()
    assert getattr(initializers, name)(5, "float64").get_config() == expected
    assert getattr(initializers, name).__name__ == name
    later = {"class_name": name.title().replace("_", ""), "config": {"seed": 5}}
    assert initializers.get(later).get_config() == expected | {"dtype": "float32"}


@pytest.mark.parametrize("shape", [(5, 5), (3, 5), (5, 3), (2, 3, 4), (1, 6), (6, 1)])
def test_orthogonal(shape):
    w = initializers.Orthogonal(1.5, seed=2)(shape, "float64").reshape(-1, shape[-1])
    product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 2.25 * np.eye(min(w.shape)), atol=1e-14)


def by_reflections(shape, seed, gain=1.0):
    """As the matrix was always made: by `numpy.linalg.qr`."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = generator(seed).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return gain * (q if rows >= columns else q.T).reshape(shape)


@pytest.mark.parametrize(
    "shape",
    [(256, 1024), (1024, 256), (300, 1207), (5, 400, 300), (520, 2080), (255, 1020), (300, 1199)],
)
def test_large_orthogonal_matrices_are_those_of_reflections(shape):
    for seed in range(3):
        made = initializers.Orthogonal(1.5, seed=seed)(shape, "float64")
        expected = by_reflections(shape, seed, 1.5)
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-14)
        single = initializers.Orthogonal(1.5, seed=seed)(shape, "float32")
        np.testing.assert_array_equal(single, made.astype("float32"))


@pytest.mark.parametrize(("dtype", "least"), [("float64", 2e-15), ("float32", 1e-8)])
def test_large_orthogonal_matrices_are_as_orthonormal(dtype, least):
    def error(w):
        return np.abs(w @ w.T - np.eye(len(w))).max()

    for seed in range(2):
        made = initializers.Orthogonal(seed=seed)((384, 1536), dtype).astype("float64")
        expected = by_reflections((384, 1536), seed).astype(dtype).astype("float64")
        assert error(made) <= max(1.5 * error(expected), least)


def test_small_and_square_matrices_are_made_by_reflections(monkeypatch):
    monkeypatch.setattr(initializers.random, "_orthonormal_by_products", None)
    for shape in [(255, 1020), (256, 1023), (300, 300), (1, 4), (64, 256)]:
        made = initializers.Orthogonal(seed=1)(shape, "float64")
        np.testing.assert_array_equal(made, by_reflections(shape, 1))


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-5])
def test_dependent_columns_are_left_to_reflections(noise):
    random = np.random.default_rng(1)
    matrix = random.standard_normal((1200, 300))
    matrix[:, -1] = matrix[:, 0] + noise * random.standard_normal(1200)
    assert initializers.random._orthonormal_by_products(matrix) is None
    q = initializers.random._orthonormal(matrix)
    np.testing.assert_allclose(q.T @ q, np.eye(300), rtol=0, atol=1e-14)


def test_orthogonal_matrices_have_no_preferred_sign():
    """Without the correction by R's signs the first entry would always be of one sign."""
    first = [initializers.Orthogonal(seed=s)((3, 3))[0, 0] for s in range(300)]
    assert 100 < np.sum(np.array(first) > 0) < 200


def test_identity():
    assert initializers.Identity(2)((2, 3)).tolist() == [[2, 0, 0], [0, 2, 0]]


@pytest.mark.parametrize(
    ("initializer", "shape", "error"),
    [
        (initializers.Identity(), (3,), "two axes, got"),
        (initializers.Identity(), (3, 3, 3), "two axes, got"),
        (initializers.Orthogonal(), (3,), "two axes, got"),
        (initializers.Zeros(), (3, -1), "no negative sizes"),
    ],
)
def test_shapes_that_do_not_suit(initializer, shape, error):
    with pytest.raises(ValueError, match=error):
        initializer(shape)


@pytest.mark.parametrize("shape", [(3, None), 3, (2.5,), None])
def test_shapes_that_are_none(shape):
    with pytest.raises(TypeError, match="a shape is a sequence of integers"):
        initializers.Ones()(shape)


@pytest.mark.parametrize(
    ("cls", "arguments", "error", "message"),
    [
        ("VarianceScaling", {"scale": 0}, ValueError, "scale must be positive"),
        ("VarianceScaling", {"scale": float("nan")}, ValueError, "scale must be a finite"),
        ("VarianceScaling", {"mode": "fan"}, ValueError, "mode must be one of .*'fan'"),
        ("VarianceScaling", {"distribution": "x"}, ValueError, "distribution must be one of"),
        ("RandomNormal", {"mean": "0"}, TypeError, "mean must be a finite number"),
        ("RandomNormal", {"stddev": np.inf}, ValueError, "stddev must be a finite number"),
        ("RandomUniform", {"maxval": [1, 2]}, TypeError, "maxval must be a finite number"),
        ("Orthogonal", {"gain": None}, TypeError, "gain must be a finite number"),
        ("Orthogonal", {"seed": 1.5}, TypeError, "a seed is an integer or None"),
        ("Zeros", {"dtype": "int32"}, ValueError, "int32"),
        ("Ones", {"size": 3}, TypeError, "size"),
    ],
)
def test_arguments(cls, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(initializers, cls)(**arguments)


def test_bad_dtype_of_a_call():
    with pytest.raises(ValueError, match="int64"):
        initializers.Ones()((2,), dtype="int64")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"class_name": "Zeros", "config": {}}, initializers.Zeros()),
        ({"class_name": "Ones", "config": {"dtype": None}}, initializers.Ones()),
        (
            {"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05}},
            initializers.RandomUniform(-0.05, 0.05),
        ),
        (
            {
                "module": "keras.initializers",
                "class_name": "GlorotUniform",
                "config": {"seed": 3, "dtype": "float64"},
                "registered_name": None,
            },
            initializers.glorot_uniform(3, "float64"),
        ),
    ],
)
def test_configs_of_other_versions(config, expected):
    assert initializers.get(config).get_config() == expected.get_config()
    assert type(initializers.get(config)) is type(expected)


def test_initializers_of_your_own():
    def halves(shape, dtype=None):
        return np.full(shape, 0.5, dtype)

    class Counting(initializers.Initializer):
        def __init__(self, start=1):
            self.start = start

        def __call__(self, shape, dtype=None):
            return self.start + np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    assert initializers.get(halves) is halves
    assert initializers.serialize(halves) == "halves"
    assert initializers.deserialize("halves", {"halves": halves}) is halves
    written = initializers.serialize(Counting(4))
    assert written == {"class_name": "Counting", "config": {"start": 4}}
    assert initializers.deserialize(written, {"Counting": Counting})((2,)).tolist() == [4, 5]
    with pytest.raises(TypeError, match="abstract"):
        initializers.Initializer()
