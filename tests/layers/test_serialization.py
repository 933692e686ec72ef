import pytest

from cylstm import activations, layers
from cylstm.layers import LSTM, Bidirectional, Dense, Layer, TimeDistributed
from cylstm.utils import custom_object_scope


class Named(Layer):
    def __init__(self, word="w", **kwargs):
        super().__init__(**kwargs)
        self.word = word


def test_custom_layers_by_argument_and_by_scope():
    config = layers.serialize(TimeDistributed(Named("x")))
    assert layers.deserialize(config, {"Named": Named}).layer.word == "x"
    with custom_object_scope({"Named": Named}):
        assert layers.deserialize(config).layer.word == "x"
    with pytest.raises(ValueError, match="unknown layer: 'Named'"):
        layers.deserialize(config)


def test_custom_objects_reach_the_layers_within():
    def own(x):
        return x

    config = layers.serialize(TimeDistributed(TimeDistributed(Dense(2, own))))
    assert layers.deserialize(config, {"own": own}).layer.layer.activation is own
    with pytest.raises(ValueError, match="own"):
        layers.deserialize(config)


def test_names_of_the_package_can_be_replaced():
    class OwnDense(Dense):
        pass

    config = layers.serialize(Dense(2, "tanh"))
    twin = layers.deserialize(config, {"Dense": OwnDense})
    assert type(twin) is OwnDense
    assert twin.activation is activations.tanh


@pytest.mark.parametrize(
    "config",
    [None, "LSTM", [], {}, {"class_name": "LSTM"}, {"class_name": "LSTMM", "config": {}}],
)
def test_configs_that_describe_no_layer(config):
    with pytest.raises(ValueError, match="layer"):
        layers.deserialize(config)


def test_configs_with_unknown_arguments():
    with pytest.raises(TypeError, match="unitss"):
        layers.deserialize({"class_name": "LSTM", "config": {"units": 2, "unitss": 3}})


def test_configs_of_older_wrappers():
    config = layers.serialize(Bidirectional(LSTM(2)))
    del config["config"]["merge_mode"]
    assert layers.deserialize(config).merge_mode == "concat"
