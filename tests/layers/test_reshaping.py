import numpy as np
import pytest

from cylstm.layers import Flatten, Permute, RepeatVector, Reshape

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
