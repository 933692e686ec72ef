import numpy as np
import pytest

from cylstm.layers import LSTM, Bidirectional, Dense, TimeDistributed
from cylstm.layers.nested import Nested, accepted

X = np.ones((2, 3, 4))


class Chain(Nested):
    """Layers in a row, as a model would hold them."""

    def __init__(self, *chain, **kwargs):
        super().__init__(**kwargs)
        self.chain = list(chain)

    def _sublayers(self):
        return self.chain

    def build(self, input_shape):
        for layer in self.chain:
            layer._ensure_built_for(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs, training=None):
        for layer in self.chain:
            inputs = layer(inputs)
        return inputs


def made():
    chain = Chain(
        LSTM(3, return_sequences=True, kernel_regularizer="l2"),
        TimeDistributed(Dense(2, trainable=False, bias_regularizer="l1")),
        Chain(Dense(4, kernel_regularizer="l2")),
    )
    chain(X)
    return chain


def test_weights_of_all_layers():
    chain = made()
    lstm, dense, last = chain.chain
    assert chain.weights == lstm.weights + dense.weights + last.weights
    assert chain.trainable_weights == lstm.weights + last.weights
    assert chain.non_trainable_weights == dense.weights
    assert len(chain.get_weights()) == 7
    chain.trainable = False
    assert chain.trainable_weights == []
    assert chain.non_trainable_weights == lstm.weights + last.weights + dense.weights
    assert lstm.trainable_weights == lstm.weights
    chain.trainable, last.trainable = True, False
    assert chain.trainable_weights == lstm.weights


def test_weights_of_its_own_come_first():
    chain = made()
    own = chain.add_weight("own", (2,), initializer="ones", regularizer="l1")
    fixed = chain.add_weight("fixed", (1,), trainable=False)
    assert chain.weights[:2] == [own, fixed]
    assert chain.trainable_weights[0] is own
    assert chain.non_trainable_weights[0] is fixed
    assert chain.get_losses_for(None)[0] == pytest.approx(0.02)
    assert chain._penalised_weights()[0] is own


def test_a_shared_layer_counts_once():
    shared = Dense(4)
    chain = Chain(shared, TimeDistributed(shared))
    chain(X)
    assert chain.weights == chain.trainable_weights == shared.weights
    assert chain.non_trainable_weights == []
    assert chain.count_params() == 20


def test_a_layer_shared_with_a_frozen_whole_is_trained():
    shared = Dense(4)
    chain = Chain(TimeDistributed(shared, trainable=False), shared)
    chain(X)
    assert chain.trainable_weights == shared.weights
    assert chain.non_trainable_weights == []


def test_losses_and_updates_of_all_layers():
    chain = made()
    lstm, dense, last = chain.chain
    weight_losses = chain.get_losses_for(None)
    assert len(weight_losses) == 3
    assert chain.losses == weight_losses
    assert [v.name.split("/")[1] for v in chain._penalised_weights()] == [
        "kernel", "bias", "kernel",
    ]  # fmt: skip
    x = object()
    lstm.add_loss(1.0, inputs=x)
    dense.add_loss(2.0)
    chain.add_loss(3.0, inputs=[x])
    last.add_update("moved", inputs=x)
    chain.add_update("counted")
    assert chain.get_losses_for(x) == [3.0, 1.0]
    assert sum(chain.get_losses_for(None)) == pytest.approx(sum(weight_losses) + 2)
    assert len(chain.losses) == 6
    assert chain.updates == ["counted", "moved"]
    assert chain.get_updates_for(x) == ["moved"]
    assert chain.get_updates_for(None) == ["counted"]


def test_states_of_all_layers():
    chain = Chain(
        LSTM(3, return_sequences=True, stateful=True),
        Bidirectional(LSTM(2, return_sequences=True, stateful=True)),
        LSTM(2),
    )
    assert chain.stateful
    assert not made().stateful
    first = chain(X)
    assert not np.allclose(chain(X), first)
    chain.reset_states()
    np.testing.assert_array_equal(chain(X), first)
    made().reset_states()


def test_a_failed_build_undoes_all_layers():
    chain = Chain(Dense(3), TimeDistributed(Dense(2)), Dense(2, weights=[np.ones(7)]))
    with pytest.raises(ValueError, match="given 1"):
        chain(X)
    inner = [*chain.chain, chain.chain[1].layer]
    assert not any(layer.built for layer in [chain, *inner])
    assert all(layer.weights == [] for layer in inner)


def test_arguments_that_a_function_accepts():
    def some(x, mask=None):
        return x

    def any_name(x, **kwargs):
        return x

    assert accepted(some, mask=0, training=True) == {"mask": 0}
    assert accepted(some, mask=None, training=True) == {}
    assert accepted(any_name, mask=0, training=None) == {"mask": 0}
    assert accepted(Chain().call, mask=0, training=False) == {"training": False}
