"""Which updates count as a model's: figures of TensorFlow 1.4.1, which Keras 2.0.9 shares."""

import copy
import pickle

import cylstm
from cylstm import Input, Model
from cylstm.layers import LSTM, Activation, BatchNormalization, Bidirectional, Dense


def tensor():
    return Input(batch_shape=(4, 5, 2))


def counts(*owners):
    return [len(owner.updates) for owner in owners]


def test_calls_elsewhere_do_not_count():
    a, b = tensor(), tensor()
    for layer in (LSTM(3, stateful=True), BatchNormalization()):
        one = Model(a, layer(a))
        assert counts(layer, one) == [2, 2]
        other = Model(b, layer(b))
        assert counts(layer, one, other) == [4, 2, 2]
        both = Model([a, b], [one.output, other.output])
        assert counts(both) == [4]


def test_models_within_models():
    a, c, d = tensor(), tensor(), tensor()
    layer = BatchNormalization()
    inner = Model(a, Dense(2)(layer(a)))
    outer = Model(c, inner(c))
    assert counts(inner, outer) == [2, 2]
    another = Model(d, inner(d))
    assert counts(inner, outer, another) == [2, 2, 2]
    inner.trainable = False
    assert counts(inner, outer) == [2, 2]
    for twin in (copy.deepcopy(outer), pickle.loads(pickle.dumps(outer))):
        assert counts(twin, twin.layers[1]) == [2, 2]


def test_a_sequential_model():
    model = cylstm.Sequential(
        [
            LSTM(3, stateful=True, batch_input_shape=(4, 5, 2), return_sequences=True),
            BatchNormalization(),
        ]
    )
    assert len(model.updates) == 4
    assert len(model.state_updates) == 2
    model(tensor())
    assert len(model.updates) == 4
    assert cylstm.Sequential([BatchNormalization()]).updates == []


def test_updates_that_were_added():
    a, b = tensor(), tensor()
    layer = Activation("linear")
    model = Model(a, layer(a))
    layer.add_update("of no input")
    assert model.updates == ["of no input"]
    layer.add_update("of another input", inputs=[b])
    assert model.updates == ["of no input"]
    layer.add_update("of this input", inputs=[a])
    assert model.updates == ["of no input", "of this input"]
    model.add_update("of the model")
    assert sorted(model.updates) == ["of no input", "of the model", "of this input"]


def test_a_bidirectional_layer_counts_forward_only():
    a, b = tensor(), tensor()
    layer = Bidirectional(LSTM(3, stateful=True))
    model = Model(a, layer(a))
    assert counts(layer, model) == [4, 2]
    layer(b)
    assert counts(layer, model) == [8, 2]
