import copy
import json
import pickle

import numpy as np
import pytest

import cylstm
from cylstm._names import unique_name
from cylstm.layers import Gradients, Layer


class Scale(Layer):
    """Multiplies by a weight; `power` tests configs."""

    def __init__(self, power=1, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def build(self, input_shape):
        self.factor = self.add_weight("factor", input_shape[-1:], initializer="ones")

    def call(self, inputs):
        return inputs * self.factor.value**self.power


X = np.arange(6.0).reshape(2, 3)


def test_names_count_up():
    first = unique_name("SomeNewThing")
    assert first == "some_new_thing_1"
    assert unique_name("SomeNewThing") == "some_new_thing_2"
    assert unique_name("LSTM").startswith("lstm_")
    assert unique_name("Conv1D").startswith("conv1d_")
    assert cylstm.LSTM(2, name="mine").name == "mine"


def test_building_happens_once():
    layer = Scale(dtype="float64")
    assert not layer.built
    np.testing.assert_array_equal(layer(X), X)
    factor = layer.factor
    layer(X)
    assert layer.built
    assert layer.factor is factor


@pytest.mark.parametrize(
    "bad", [[], [np.ones(3), np.ones(3)], [np.ones(4)], [np.ones(3, complex)], [None]]
)
def test_refused_weights_change_nothing(bad):
    layer = Scale()
    layer(X)
    with pytest.raises((ValueError, TypeError), match=layer.name):
        layer.set_weights(bad)
    np.testing.assert_array_equal(layer.get_weights(), [np.ones(3)])
    unbuilt = Scale(weights=bad)
    with pytest.raises((ValueError, TypeError), match=unbuilt.name):
        unbuilt(X)
    assert not unbuilt.built
    assert unbuilt.weights == []


def test_weights_are_set_all_or_none():
    layer = cylstm.LSTM(2)
    layer.build((None, None, 3))
    before = layer.get_weights()
    with pytest.raises(ValueError, match="bias"):
        layer.set_weights([before[0] + 1, before[1] + 1, np.ones(9)])
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_initial_weights():
    layer = Scale(weights=[[2, 3, 4]])
    np.testing.assert_array_equal(layer(X), (X * [2, 3, 4]).astype("float32"))


def test_a_failed_build_leaves_no_weights():
    class Broken(Scale):
        def build(self, input_shape):
            super().build(input_shape)
            raise ValueError("no")

    layer = Broken()
    with pytest.raises(ValueError, match="no"):
        layer(X)
    assert not layer.built
    assert layer.weights == []
    assert not hasattr(layer, "factor")


def test_freezing():
    class Counting(Scale):
        def build(self, input_shape):
            super().build(input_shape)
            self.counter = self.add_variable("counter", (2,), trainable=False, initializer="zeros")

    layer = Counting()
    layer(X)
    names = [v.name.split("/")[1] for v in layer.weights]
    assert names == ["factor", "counter"]
    assert layer.variables == layer.weights
    assert layer.trainable_variables == layer.trainable_weights == [layer.factor]
    assert layer.non_trainable_variables == layer.non_trainable_weights == [layer.counter]
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == [layer.factor, layer.counter]
    assert layer.count_params() == 5


def test_count_params_needs_weights():
    with pytest.raises(ValueError, match="not built"):
        Scale().count_params()


def test_initializers_must_fit():
    class Odd(Scale):
        def build(self, input_shape):
            self.add_weight("odd", (2,), initializer=lambda shape, dtype: np.ones(3))

    with pytest.raises(ValueError, match=r"\(3,\), not \(2,\)"):
        Odd()(X)


def test_losses():
    class Penalised(Scale):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", (3,), initializer="ones", regularizer="l1")

    layer = Penalised(activity_regularizer=cylstm.regularizers.l2(1.0), dtype="float64")
    layer(X)
    assert layer.losses == pytest.approx([0.03, (X**2).sum()])
    layer(2 * X)
    assert layer.losses == pytest.approx([0.03, 4 * (X**2).sum()])
    x = np.ones(2)
    layer.add_loss([1.0, 2.0], inputs=x)
    layer.add_loss(3.0)
    layer.add_update(["update"], inputs=[x])
    layer.add_update("always")
    assert layer.get_losses_for(x) == layer.get_losses_for([x]) == [1.0, 2.0]
    assert layer.get_losses_for(np.ones(2)) == []
    assert layer.get_losses_for(None) == pytest.approx([0.03, 3.0])
    assert len(layer.losses) == 5
    assert layer.updates == ["update", "always"]
    assert layer.get_updates_for(x) == ["update"]
    assert layer.get_updates_for(None) == ["always"]


def test_without_autograd_a_layer_says_how_to_give_it_a_gradient(without_autograd):
    with pytest.raises(TypeError, match=r"no derivative.*autograd.*define its `vjp\(inputs\)`"):
        Scale().vjp(X)


def test_masks_need_support():
    layer = Scale()
    assert layer.compute_mask(X) is None
    with pytest.raises(TypeError, match="does not support masking"):
        layer.compute_mask(X, np.ones(2))
    layer.supports_masking = True
    assert layer.compute_mask(X, "mask") == "mask"


def test_config_comes_from_the_signature():
    layer = Scale(power=np.int64(2), name="s", trainable=False, input_shape=(3,))
    config = layer.get_config()
    assert config == {
        "name": "s",
        "trainable": False,
        "dtype": "float32",
        "batch_input_shape": (None, 3),
        "power": 2,
    }
    assert Scale.from_config(json.loads(json.dumps(config))).get_config() == config


def test_an_argument_that_is_not_stored_is_reported():
    class Forgetful(Layer):
        def __init__(self, secret=3, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(TypeError, match="does not store it as self.secret"):
        Forgetful().get_config()


def test_unknown_arguments():
    with pytest.raises(TypeError, match="Scale has no argument 'powr'"):
        Scale(powr=2)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_independent(copied):
    layer = cylstm.LSTM(2, kernel_regularizer="l2", stateful=True, dtype="float64")
    x = np.ones((3, 4, 5))
    layer(x)
    twin = copied(layer)
    assert twin.get_config() == layer.get_config()
    np.testing.assert_array_equal(twin(x), layer(x))
    twin.set_weights([w * 2 for w in twin.get_weights()])
    assert not np.allclose(twin(x), layer(x))
    assert twin.kernel is twin.weights[0]


def test_gradients_unpack_in_order():
    inputs, initial_state, weights = Gradients(1, 2, 3)
    assert (inputs, initial_state, weights) == (1, 2, 3)


def test_members_that_read_nodes_say_that_there_are_none():
    layer = Scale()
    layer(X)
    for error in (AttributeError, RuntimeError):
        with pytest.raises(error, match="never called on symbolic"):
            layer.input  # noqa: B018
    assert layer.scope_name == layer.name
    with pytest.raises(ValueError, match="not been used"):
        Scale().scope_name  # noqa: B018
