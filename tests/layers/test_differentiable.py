import numpy as np
import pytest

from cylstm.layers.differentiable import Differentiable

X = np.arange(6.0).reshape(2, 3)


class Halves(Differentiable):
    """Two outputs, two weights of which one is not used in the outputs."""

    def __init__(self, **kwargs):
        super().__init__(dtype="float64", **kwargs)
        self.seen = []

    def build(self, input_shape):
        self.unused = self.add_weight("unused", (2,))
        self.factor = self.add_weight("factor", (), initializer="ones")

    def forward(self, inputs, mask, training, keep):
        self.seen.append((mask, training, keep))
        factor = self.factor.value

        def backward(cotangents):
            dy, dz = cotangents
            d_factor = np.sum(dy * inputs) + np.sum(dz * inputs**2)
            return factor * (dy + 2 * dz * inputs), {self.factor: d_factor}

        return [factor * inputs, factor * inputs**2], backward


def test_calls_keep_nothing_and_vjps_keep_all():
    layer = Halves()
    layer.supports_masking = True
    layer(X)
    layer(X, mask=True, training=True)
    layer.vjp(X, training=np.True_)
    assert layer.seen == [(None, False, False), (True, True, False), (None, True, True)]
    assert layer.seen[2][1] is True


def test_gradients_come_in_the_order_of_the_weights():
    layer = Halves()
    _, pullback = layer.vjp(X)
    gradients = pullback([np.ones_like(X), None])
    np.testing.assert_array_equal(gradients.inputs, np.ones_like(X))
    np.testing.assert_array_equal(gradients.weights[0], [0, 0])
    assert gradients.weights[1] == X.sum()
    assert gradients.initial_state is None
    layer.unused.trainable = False
    _, pullback = layer.vjp(X)
    assert [float(g) for g in pullback((None, np.ones_like(X))).weights] == [(X**2).sum()]


@pytest.mark.parametrize(
    ("cotangents", "message"),
    [
        (X, "list of 2 outputs.* got a ndarray"),
        ([X], "got a list of 1"),
        ([X, X, X], "got a list of 3"),
        ([X, X.T], r"Cotangent 1 .*\(2, 3\), got \(3, 2\)"),
        ([X, 1.0], "Cotangent 1"),
        ([np.ma.array(X), X], "masked array"),
        ([X, X * 1j], "real numbers"),
    ],
)
def test_cotangents_that_do_not_fit(cotangents, message):
    _, pullback = Halves().vjp(X)
    with pytest.raises((ValueError, TypeError), match=message):
        pullback(cotangents)


def test_masks_are_refused_before_anything_happens():
    layer = Halves()
    with pytest.raises(TypeError, match="does not support masking"):
        layer.vjp(X, mask=np.ones(2))
    assert not layer.built
    layer(X)
    with pytest.raises(TypeError, match="does not support masking"):
        layer(X, mask=np.ones(2))
    assert len(layer.seen) == 1


def test_activity_is_recorded():
    layer = Halves(activity_regularizer="l1")
    layer.vjp(X)
    assert layer.losses == pytest.approx([0.01 * X.sum(), 0.01 * (X**2).sum()])


def test_a_layer_without_forward_says_so():
    with pytest.raises(TypeError, match="Differentiable does not define `forward`"):
        Differentiable()(X)


def test_a_forward_without_its_way_back_says_so():
    class OneWay(Differentiable):
        def forward(self, inputs, mask, training, keep):
            return 2 * inputs, None

    outputs, pullback = OneWay().vjp(np.ones((2, 3)))
    with pytest.raises(TypeError, match="OneWay.forward returned no backward function"):
        pullback(outputs)
