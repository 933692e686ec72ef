"""Merging layers: numbers are in test_tensorflow_merge_conv_pool_norm.py; here what they refuse."""

import numpy as np
import pytest

from cylstm import layers
from cylstm.layers import (
    Add,
    Average,
    Concatenate,
    Dot,
    Input,
    Masking,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from cylstm.testing import gradient_error

ELEMENTWISE = [Add, Subtract, Multiply, Average, Maximum, Minimum]


def inputs_of(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("name", [cls.__name__ for cls in ELEMENTWISE])
def test_functional_forms(name):
    a, b = inputs_of((2, 3), (2, 3))
    expected = getattr(layers, name)()([a, b])
    np.testing.assert_array_equal(getattr(layers, name.lower())([a, b]), expected)


def test_functional_forms_with_arguments():
    a, b = inputs_of((2, 3, 4), (2, 3, 4))
    np.testing.assert_array_equal(
        layers.concatenate([a, b], axis=1, dtype="float64"), np.concatenate([a, b], 1)
    )
    expected = Dot((1, 1), normalize=True)([a, b])
    np.testing.assert_array_equal(layers.dot([a, b], (1, 1), normalize=True), expected)
    with pytest.raises(TypeError, match="'axes'"):
        layers.add([a, b], axes=1)


@pytest.mark.parametrize("cls", [Add, Multiply, Average, Maximum])
def test_five_inputs_of_four_ranks(cls):
    inputs = inputs_of((2,), (2, 4), (2, 3, 4), (2, 1, 3, 1), (2, 5, 1, 4))
    layer = cls(dtype="float64")
    assert layer(inputs).shape == (2, 5, 3, 4)
    assert gradient_error(layer, inputs) < 1e-9


def test_multiply_passes_gradients_to_zeros():
    _, pullback = Multiply().vjp([[[0.0, 2.0]], [[3.0, 0.0]], [[5.0, 0.0]]])
    gradients = [g.tolist() for g in pullback([[1.0, 1.0]]).inputs]
    assert gradients == [[[15.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]


def test_of_equal_inputs_the_first_is_the_maximum():
    _, pullback = Maximum().vjp([[[1.0, 2.0, 3.0]], [[1.0, 3.0, 3.0]], [[1.0, 0.0, 3.0]]])
    gradients = [g.tolist() for g in pullback([[1.0, 1.0, 1.0]]).inputs]
    assert gradients == [[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(None, 3), (4, 3)], (4, 3)),
        ([(None, None, 3), (None, 5, 1)], (None, 5, 3)),
        ([(None, None, 3), (None, 1, 3)], (None, None, 3)),
        ([(None, None, 3), (None, 3)], (None, None, 3)),
        ([(2, 0, 3), (2, 1, 3)], (2, 0, 3)),
    ],
)
def test_elementwise_shapes(shapes, expected):
    assert Add().compute_output_shape(shapes) == expected
    assert Maximum().compute_output_shape(shapes[::-1]) == expected


@pytest.mark.parametrize("cls", [*ELEMENTWISE, Concatenate, lambda: Dot(1)])
@pytest.mark.parametrize("inputs", [np.ones((2, 3)), [np.ones((2, 3))], [], [1.0, 2.0]])
def test_other_than_a_list_of_inputs_is_refused(cls, inputs):
    layer = cls()
    with pytest.raises(ValueError, match=r"Layer .* (merges|needs inputs with a batch axis)"):
        layer(inputs)
    assert not layer.built


@pytest.mark.parametrize("cls", [Subtract, lambda: Dot(1)])
def test_three_inputs_are_too_many(cls):
    with pytest.raises(ValueError, match="merges 2 inputs, got 3"):
        cls()([np.ones((2, 3))] * 3)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Add(), [(2, 3), (2, 4)], r"\(2, 3\), \(2, 4\): axes, .* must be equal or 1"),
        (Add(), [(2, 3, 4), (2, 3)], "must be equal or 1"),
        (Add(), [(2, 3), (1, 3)], "batch sizes must be equal"),
        (Concatenate(), [(2, 3), (2, 3, 4)], "same number of axes"),
        (Concatenate(), [(2, 3, 4), (2, 2, 4)], "other than -1 must be equal"),
        (Concatenate(2), [(2, 3), (2, 3)], "no axis 2"),
        (Concatenate(-3), [(2, 3), (2, 3)], "no axis -3"),
        (Dot(1), [(2, 3), (2, 4)], "axes 1 must be equally long"),
        (Dot(0), [(2, 3), (2, 3)], "not the batch axis"),
        (Dot((1, 2)), [(2, 3), (2, 3)], "among the last two"),
        (Dot(1), [(2,), (2,)], "a batch axis and at least one more"),
        (Dot(1), [(2, 3), (4, 3)], "before the last two"),
        (Dot(3), [(2, 3, 4, 5), (2, 2, 4, 5)], "before the last two"),
        (Dot((1, 3)), [(2, 5), (2, 3, 4, 5)], "before the last two"),
        (Dot(1), [(2, 3, 4, 5), (2, 3, 4, 5)], "among the last two"),
    ],
)
def test_shapes_that_do_not_fit(layer, shapes, message):
    with pytest.raises(ValueError, match=message):
        layer([np.ones(shape) for shape in shapes])
    with pytest.raises(ValueError, match=message):
        layer.build(shapes)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shapes)
    assert not layer.built


def test_a_built_layer_checks_shapes_again():
    layer = Add()
    layer([np.ones((2, 3)), np.ones((2, 3))])
    assert layer([np.ones((5, 4, 3)), np.ones((5, 3))]).shape == (5, 4, 3)
    with pytest.raises(ValueError, match="must be equal or 1"):
        layer([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ValueError, match="expected a list of shapes"):
        layer.compute_output_shape((2, 3))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Concatenate(axis="time"), TypeError),
        (lambda: Concatenate(axis=1.0), TypeError),
        (lambda: Dot(1.5), TypeError),
        (lambda: Dot(None), TypeError),
        (lambda: Dot((1,)), ValueError),
        (lambda: Dot(("a", 1)), ValueError),
    ],
)
def test_wrong_axes(make, error):
    with pytest.raises(error, match=r"ax[ei]s must be .*got"):
        make()


def test_unknown_sizes():
    layer = Concatenate(1)
    assert layer.compute_output_shape([(None, None, 3), (4, 2, None)]) == (4, None, 3)
    assert Dot(2).compute_output_shape([(None, None, 3), (4, 2, None)]) == (4, None, 2)


def test_dot_of_rows_that_vanish():
    layer = Dot(1, normalize=True, dtype="float64")
    x, y = np.array([[0.0, 0.0], [1e-8, 0.0]]), np.array([[3.0, 4.0], [3.0, 4.0]])
    outputs, pullback = layer.vjp([x, y])
    np.testing.assert_allclose(outputs, [[0.0], [0.006]], rtol=1e-12)
    np.testing.assert_allclose(pullback([[1.0], [1.0]]).inputs[0], [[6e5, 8e5]] * 2)


@pytest.mark.parametrize("cls", [*ELEMENTWISE, Concatenate])
def test_masks_of_merged_sequences(cls):
    a, b = inputs_of((2, 3, 4), (2, 3, 4))
    first, second = np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[0, 1, 1], [1, 1, 0]], bool)
    layer = cls()
    assert layer.compute_mask([a, b]) is None
    assert layer.compute_mask([a, b], [None, None]) is None
    assert layer.compute_mask([a, b], [None, second]) is second
    np.testing.assert_array_equal(layer.compute_mask([a, b], [first, second]), first & second)
    with pytest.raises(ValueError, match="a list of masks"):
        layer.compute_mask([a, b], first)
    with pytest.raises(ValueError, match="each of its 2 inputs, got 1"):
        layer.compute_mask([a, b], [first])
    with pytest.raises(ValueError, match=r"masks of shapes \(2, 3\), \(2, 2\)"):
        layer.compute_mask([a, b], [first, second[:, :2]])
    with pytest.raises(ValueError, match="masks of shapes"):
        layer.compute_mask([a, b], [first, second[0]])


def test_masks_of_sequences_joined_in_time():
    a, b = inputs_of((2, 3, 4), (2, 2, 4))
    mask = np.array([[1, 0], [0, 1]], bool)
    layer = Concatenate(axis=1)
    joined = layer.compute_mask([a, b], [None, mask])  # Keras 2.0 fails here
    assert joined.tolist() == [[True] * 3 + [True, False], [True] * 3 + [False, True]]
    of_features = np.ones((2, 2, 4), bool)
    of_features[0, 1, 2] = False
    joined = layer.compute_mask([a, b], [None, of_features])
    assert joined.tolist() == [[True] * 4 + [False], [True] * 5]
    assert layer([a, b], mask=[None, mask]).shape == (2, 5, 4)


def test_dot_has_no_mask():
    mask = np.ones((2, 3), bool)
    assert Dot(2).compute_mask(inputs_of((2, 3, 4), (2, 3, 4)), [mask, mask]) is None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Add(), (4, 5, 3)),
        (Maximum(), (4, 5, 3)),
        (Concatenate(), (4, 5, 6)),
        (Concatenate(axis=1), (4, None, 3)),
    ],
)
def test_symbolic_masks_where_sizes_are_unknown(layer, shape):
    masked, other = Masking()(Input((None, 3))), Masking()(Input(batch_shape=(4, 5, 3)))
    output = layer([masked, other])
    assert output.shape == shape
    assert output.mask.dtype == "bool"
    assert len(output.mask.shape) == 2
    assert layer.get_input_mask_at(0) == [masked.mask, other.mask]


def test_a_single_symbolic_mask_is_passed_on():
    masked, other = Masking()(Input((5, 3))), Input((5, 3))
    assert Add()([masked, other]).mask is masked.mask
    assert Dot(2)([masked, other]).mask is None
    with pytest.raises(ValueError, match="at least 2 inputs, got 1"):
        Add()(other)
    with pytest.raises(ValueError, match="must be equal or 1"):
        Add()([other, Input((4, 3))])


def test_masks_of_what_is_no_list():
    """A symbolic tensor has no length to compare the masks with."""
    with pytest.raises(ValueError, match="merges a list of inputs, got one SymbolicTensor"):
        layers.Add().compute_mask(layers.Input((4, 5)), [None, None])
