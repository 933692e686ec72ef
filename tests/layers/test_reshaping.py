import numpy as np
import pytest

from cylstm import Input, Sequential
from cylstm._blank import blank_weights
from cylstm.layers import (
    Cropping1D,
    Flatten,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
)

X = np.arange(24.0).reshape(2, 3, 4)


def test_flatten_keeps_the_order():
    np.testing.assert_array_equal(Flatten()(X), X.reshape(2, 12))
    assert Flatten()(np.ones((2, 3))).shape == (2, 3)
    assert Flatten().compute_output_shape((None, None, 4)) == (None, None)
    assert Flatten()(np.ones((2, 0, 4))).shape == (2, 0)


@pytest.mark.parametrize(
    ("target", "shape", "expected"),
    [
        ((2, 6), (None, 3, 4), (None, 2, 6)),
        ((-1,), (5, 3, 4), (5, 12)),
        ((2, -1, 3), (None, 12), (None, 2, 2, 3)),
        ((2, -1), (None, None, 4), (None, 2, None)),
        ((2, 6), (None, None, 4), (None, 2, 6)),
        ((), (3,), (3,)),
    ],
)
def test_reshaped_shapes(target, shape, expected):
    assert Reshape(target).compute_output_shape(shape) == expected


@pytest.mark.parametrize("target", [(5,), (5, -1), (2, 7), (24,)])
def test_shapes_of_another_size(target):
    layer = Reshape(target)
    with pytest.raises(ValueError, match=rf"{layer.name}.*\(3, 4\) \(12 numbers\)"):
        layer(X)
    with pytest.raises(ValueError, match=layer.name):
        layer.compute_output_shape((None, 3, 4))


@pytest.mark.parametrize("target", [(-1, -1), (0, 3), (-2, 3), (2.0,), 3, None, "ab"])
def test_targets_that_reshape_refuses(target):
    with pytest.raises((ValueError, TypeError), match="target_shape must"):
        Reshape(target)


def test_permute_moves_axes():
    np.testing.assert_array_equal(Permute((2, 1))(X), X.transpose(0, 2, 1))
    grid = np.arange(120.0).reshape(2, 3, 4, 5)
    y, pullback = Permute((3, 1, 2), dtype="float64").vjp(grid)
    np.testing.assert_array_equal(y, grid.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(pullback(y).inputs, grid)
    assert Permute((2, 1)).compute_output_shape((None, None, 4)) == (None, 4, None)


@pytest.mark.parametrize("dims", [(), (2, 3), (0, 1), (1, 1), (1.0,), 1, None])
def test_dims_that_permute_refuses(dims):
    with pytest.raises((ValueError, TypeError), match="dims must"):
        Permute(dims)


def test_repeated_vectors():
    y = RepeatVector(3)(X[:, 0])
    assert y.shape == (2, 3, 4)
    np.testing.assert_array_equal(y, np.stack([X[:, 0]] * 3, axis=1))
    assert RepeatVector(3).compute_output_shape((None, None)) == (None, 3, None)


@pytest.mark.parametrize("n", [0, -1, 2.0, None])
def test_counts_that_repeat_vector_refuses(n):
    with pytest.raises((ValueError, TypeError), match="n must be a positive integer"):
        RepeatVector(n)


@pytest.mark.parametrize(
    ("layer", "x"),
    [(Flatten(), X), (Reshape((12,)), X), (Permute((2, 1)), X), (RepeatVector(2), X[0])],
)
def test_masks_do_not_survive_another_shape(layer, x):
    assert layer.compute_mask(x) is None
    for refused in (layer, layer.vjp, layer.compute_mask):
        with pytest.raises(TypeError, match=f"{layer.name} does not support masking"):
            refused(x, mask=np.ones(x.shape[:2], bool))


# ---------------------------------------------------------------------- the number of timesteps


def test_timesteps_repeated_added_and_left_out():
    np.testing.assert_array_equal(UpSampling1D(2)(X), X.repeat(2, axis=1))
    np.testing.assert_array_equal(ZeroPadding1D((1, 2))(X)[:, 1:4], X)
    assert not ZeroPadding1D((1, 2))(X)[:, [0, 4, 5]].any()
    np.testing.assert_array_equal(Cropping1D((1, 0))(X), X[:, 1:])
    np.testing.assert_array_equal(Cropping1D()(ZeroPadding1D()(X)), X)


@pytest.mark.parametrize("make", [UpSampling1D, ZeroPadding1D, Cropping1D])
def test_unknown_numbers_of_timesteps(make):
    assert make()(Input((None, 4))).shape == (None, None, 4)
    with pytest.raises(TypeError, match="does not support masking"):
        make()(Masking()(Input((None, 4))))


def test_sequences_of_no_timesteps():
    empty = np.ones((2, 0, 4))
    assert UpSampling1D(3)(empty).shape == (2, 0, 4)
    assert ZeroPadding1D(1)(empty).shape == (2, 2, 4)
    assert Cropping1D(0)(empty).shape == (2, 0, 4)
    outputs, pullback = Cropping1D((1, 2)).vjp(X)
    assert outputs.shape == (2, 0, 4)
    np.testing.assert_array_equal(pullback(outputs).inputs, np.zeros_like(X))


@pytest.mark.parametrize("counts", [(2, 2), (0, 4), 2])
def test_sequences_that_are_too_short_to_crop(counts):
    layer = Cropping1D(counts)
    for shape in ((None, 3, 4), X.shape):
        with pytest.raises(ValueError, match=f"{layer.name} leaves out 4 timesteps.* of 3"):
            layer.compute_output_shape(shape)
    with pytest.raises(ValueError, match=layer.name):
        layer(X)


@pytest.mark.parametrize("counts", [-1, (-1, 2), (1, 2, 3), (1,), (), 1.5, (1, 2.0), None, "12"])
@pytest.mark.parametrize(("make", "name"), [(ZeroPadding1D, "padding"), (Cropping1D, "cropping")])
def test_numbers_of_timesteps_that_are_refused(make, name, counts):
    with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
        make(counts)


@pytest.mark.parametrize("size", [0, -2, 1.5, None, (2,), True])
def test_sizes_that_up_sampling_refuses(size):
    with pytest.raises((ValueError, TypeError), match="size must be a positive integer"):
        UpSampling1D(size)


BEYOND_MEMORY = [
    (UpSampling1D(2**62), X),
    (UpSampling1D(10**30), X),
    (ZeroPadding1D((0, 2**60)), X),
    (ZeroPadding1D(10**30), X),
    (RepeatVector(2**62), X[:, 0]),
    (RepeatVector(10**30), X[:, 0]),
]


@pytest.mark.parametrize(("layer", "x"), BEYOND_MEMORY)
def test_outputs_that_no_memory_holds(layer, x):
    with pytest.raises(ValueError, match=f"{layer.name} would make.* no memory holds"):
        layer.compute_output_shape((None, *x.shape[1:]))
    for rows in (x, x[:0]):
        for method in (layer, layer.vjp):
            with pytest.raises(ValueError, match="no memory holds"):
                method(rows)


@pytest.mark.parametrize("grown", [UpSampling1D(2**40), ZeroPadding1D(2**40)])
def test_outputs_of_a_hostile_size_are_not_made_to_find_masks(grown):
    layers = [ZeroPadding1D(0, input_shape=(3, 4)), grown, Masking()]
    with blank_weights(1000), pytest.raises(ValueError, match="beyond"):
        Sequential(layers)
