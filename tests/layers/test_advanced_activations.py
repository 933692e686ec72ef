import numpy as np
import pytest

from cylstm import Input, Sequential, constraints
from cylstm.layers import ELU, LSTM, LeakyReLU, PReLU, ThresholdedReLU
from cylstm.optimizers import SGD

RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(3, 5, 4))


@pytest.mark.parametrize("cls", [LeakyReLU, ELU, ThresholdedReLU])
@pytest.mark.parametrize("number", [np.nan, np.inf, None, "0.3"])
def test_numbers_that_rectifiers_refuse(cls, number):
    with pytest.raises((ValueError, TypeError), match="(alpha|theta) must be a finite number"):
        cls(number)


@pytest.mark.parametrize("make", [LeakyReLU, ELU, ThresholdedReLU, PReLU])
def test_masks_pass_through_as_they_are(make):
    mask = np.ones((3, 5), bool)
    assert make().compute_mask(SEQUENCES, mask) is mask


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (LeakyReLU(0.5), [-np.inf, np.nan, np.inf]),
        (ELU(), [-1, np.nan, np.inf]),
        (ThresholdedReLU(), [0, np.nan, np.inf]),
        (PReLU("ones"), [-np.inf, np.nan, np.inf]),
    ],
)
def test_inputs_that_are_not_finite(layer, expected):
    np.testing.assert_array_equal(layer([[-np.inf, np.nan, np.inf]]), [expected])


@pytest.mark.parametrize(
    ("axes", "shape"), [(None, (5, 4)), (1, (1, 4)), ([2], (5, 1)), ((1, 2), (1, 1))]
)
def test_slopes_are_shared_along_axes(axes, shape):
    layer = PReLU("glorot_uniform", shared_axes=axes, dtype="float64")
    outputs = layer(SEQUENCES)
    assert layer.alpha.shape == shape
    assert layer.alpha.name == f"{layer.name}/alpha"
    expected = np.where(SEQUENCES < 0, SEQUENCES * layer.alpha.value, SEQUENCES)
    np.testing.assert_allclose(outputs, expected)
    assert (outputs[SEQUENCES < 0] != SEQUENCES[SEQUENCES < 0]).any()


def test_slopes_for_sequences_of_any_length():
    layer = PReLU(shared_axes=[1])
    assert layer(Input((None, 4))).shape == (None, None, 4)
    assert layer(SEQUENCES[:, :2]).shape == (3, 2, 4)
    with pytest.raises(ValueError, match=rf"{layer.name}.*size 4 along axis 2"):
        layer(SEQUENCES[..., :3])
    with pytest.raises(ValueError, match=r"sizes must be known.*give shared_axes"):
        PReLU()(Input((None, 4)))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (0, "from 1"),
        ([-1], "from 1"),
        ([1, 1.5], "list of integers"),
        ("1", "list of integers"),
        ([[1]], "list of integers"),
    ],
)
def test_axes_that_prelu_refuses(axes, message):
    with pytest.raises((ValueError, TypeError), match=f"shared_axes.*{message}"):
        PReLU(shared_axes=axes)


def test_an_axis_that_the_input_does_not_have():
    layer = PReLU(shared_axes=[1, 3])
    with pytest.raises(ValueError, match=rf"{layer.name} shares the axis 3"):
        layer(SEQUENCES)
    assert not layer.built


def test_arguments_of_prelu_reach_its_slopes():
    layer = PReLU("ones", "l2", "non_neg", shared_axes=[1, 2])
    layer(SEQUENCES)
    assert layer.losses == pytest.approx([0.01])
    assert isinstance(layer.alpha.constraint, constraints.NonNeg)


def test_slopes_are_learned():
    model = Sequential([PReLU(input_shape=(5, 4), shared_axes=[1])])
    model.compile(SGD(lr=2.0), "mse")
    model.fit(SEQUENCES, np.where(SEQUENCES < 0, -0.5 * SEQUENCES, SEQUENCES), 3, 300, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], np.full((1, 4), -0.5), atol=0.02)


def test_rectifiers_stream():
    model = Sequential(
        [
            PReLU("glorot_uniform", input_shape=(None, 4), shared_axes=[1]),
            ELU(0.5),
            ThresholdedReLU(0.1),
            LSTM(3),
            PReLU("glorot_uniform"),
        ]
    )
    stream = model.stream(3)
    for t in range(5):
        expected = model.predict(SEQUENCES[:, : t + 1])
        np.testing.assert_allclose(stream(SEQUENCES[:, t].astype("f")), expected, atol=1e-6)
    fixed = Sequential([PReLU(input_shape=(5, 4))])
    with pytest.raises(ValueError, match="more than one timestep"):
        fixed.stream()
