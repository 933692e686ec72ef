import numpy as np
import pytest

from cylstm.layers import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
)
from cylstm.utils import set_random_seed

ONES = np.ones((20, 10, 30))


@pytest.mark.parametrize(
    "layer",
    [
        Dropout(0.5),
        SpatialDropout1D(0.5),
        AlphaDropout(0.5),
        GaussianDropout(0.5),
        GaussianNoise(0.5),
        Dropout(0),
        AlphaDropout(0),
        GaussianDropout(0),
    ],
)
def test_nothing_happens_outside_of_training(layer):
    for training in (None, False):
        np.testing.assert_array_equal(layer(ONES, training=training), ONES)
    outputs, pullback = layer.vjp(ONES)
    np.testing.assert_array_equal(outputs, ONES)
    np.testing.assert_array_equal(pullback(3 * ONES).inputs, 3 * ONES)


def test_dropout_drops_its_share_and_keeps_the_mean():
    set_random_seed(0)
    y = Dropout(0.2, dtype="float64")(ONES, training=True)
    assert set(np.unique(y)) == {0, 1.25}
    assert np.mean(y == 0) == pytest.approx(0.2, abs=0.02)
    assert np.mean(y) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (SpatialDropout1D(0.5), (1,)),
        (Dropout(0.5, noise_shape=(None, 1, None)), (1,)),
        (Dropout(0.5, noise_shape=(20, 1, 30)), (1,)),
        (Dropout(0.5, noise_shape=[1, None]), (0, 2 - 1)),
        (Dropout(0.5, noise_shape=(None, None, 1)), (2,)),
        (Dropout(0.5, noise_shape=(30,)), (0, 1)),
    ],
)
def test_masks_repeat_along_axes(layer, axes):
    y = layer(ONES, training=True)
    first = y
    for axis in axes:
        first = first.take([0], axis=axis)
    np.testing.assert_array_equal(y, np.broadcast_to(first, y.shape))
    assert set(np.unique(first)) == {0, 2}
    other = ({0, 1, 2} - set(axes)).pop()
    assert not (y == y.take([0], axis=other)).all()


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(200, 1000))
    for rate in (0.1, 0.5):
        y = AlphaDropout(rate, dtype="float64")(x, training=True)
        assert np.mean(y) == pytest.approx(0, abs=0.02)
        assert np.var(y) == pytest.approx(1, abs=0.02)


def test_alpha_dropout_of_whole_features():
    layer = AlphaDropout(0.5, noise_shape=(None, 1, None), seed=2)
    y = layer(ONES, training=True)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y)) == 2
    with pytest.raises(ValueError, match=rf"noise_shape .*{layer.name}"):
        layer(ONES[0], training=True)


@pytest.mark.parametrize("noise_shape", [(19, 1, 1), (2, 20, 10, 30), (None, 30, 30), (1, 1, 3)])
def test_noise_shapes_that_do_not_fit(noise_shape):
    layer = Dropout(0.5, noise_shape=noise_shape)
    for training in (True, False):
        with pytest.raises(ValueError, match=rf"noise_shape .*{layer.name}.*\(20, 10, 30\)"):
            layer(ONES, training=training)


@pytest.mark.parametrize("noise_shape", [3, (0, 1), (-1,), (1.5,), "12"])
def test_noise_shapes_that_are_none(noise_shape):
    with pytest.raises((ValueError, TypeError), match="noise_shape"):
        Dropout(0.5, noise_shape=noise_shape)


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, np.nan, "half", None])
@pytest.mark.parametrize("cls", [Dropout, SpatialDropout1D, AlphaDropout, GaussianDropout])
def test_rates_that_dropout_refuses(cls, rate):
    with pytest.raises((ValueError, TypeError), match="rate must be"):
        cls(rate)


@pytest.mark.parametrize("stddev", [-0.1, np.inf, None])
def test_deviations_that_noise_refuses(stddev):
    with pytest.raises((ValueError, TypeError), match="stddev must be a finite number"):
        GaussianNoise(stddev)


def test_noise_has_its_deviation():
    set_random_seed(0)
    noise = GaussianNoise(0.3, dtype="float64")(ONES, training=True) - ONES
    assert np.std(noise) == pytest.approx(0.3, rel=0.05)
    assert np.mean(noise) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("cls", [Dropout, AlphaDropout, GaussianDropout, GaussianNoise])
def test_the_default_generator_can_be_restarted(cls):
    layer = cls(0.5)
    set_random_seed(1)
    first, second = (layer(ONES, training=True) for _ in range(2))
    set_random_seed(1)
    np.testing.assert_array_equal(cls(0.5)(ONES, training=True), first)
    assert not np.array_equal(first, second)


def test_a_seed_gives_dropout_numbers_of_its_own():
    layer, twin = Dropout(0.5, seed=4), Dropout.from_config(Dropout(0.5, seed=4).get_config())
    calls = [layer(ONES, training=True) for _ in range(2)]
    set_random_seed(9)
    for expected in calls:
        np.testing.assert_array_equal(twin(ONES, training=True), expected)
    assert not np.array_equal(*calls)
    with pytest.raises(TypeError, match="seed"):
        Dropout(0.5, seed="4")


@pytest.mark.parametrize(
    "cls", [Dropout, SpatialDropout1D, AlphaDropout, GaussianDropout, GaussianNoise]
)
def test_masks_pass_through_as_they_are(cls):
    mask = np.ones((20, 10), bool)
    assert cls(0.5).compute_mask(ONES, mask) is mask


def test_configs_hold_what_tensorflow_forgets():
    config = Dropout(0.5, noise_shape=[None, 1, 3], seed=7).get_config()
    assert (config["noise_shape"], config["seed"]) == ((None, 1, 3), 7)
    assert SpatialDropout1D(0.25, seed=7).get_config()["rate"] == 0.25
