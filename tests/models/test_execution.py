"""Passes of arrays through the nodes of a model, and back."""

import numpy as np

from cylstm import layers, models


def test_in_training_gradients_of_the_inputs_are_left_out():
    """Of a model and of one within it, if an LSTM reads them: the others have the same bits."""
    rng = np.random.default_rng(2)
    inner_inputs = layers.Input((5, 3))
    inner = models.Model(inner_inputs, layers.LSTM(4, return_sequences=True)(inner_inputs))
    inputs, hidden = layers.Input((5, 3)), layers.Dense(3)
    read = layers.LSTM(4, return_sequences=True)(inputs)
    summed = layers.add([inner(inputs), read, inner(hidden(inputs))])  # the last one's are wanted
    model = models.Model(inputs, layers.LSTM(2)(summed))
    x = rng.normal(size=(6, 5, 3)).astype("float32")
    run = model._run(x, None, False, keep=True)
    cotangents = {id(model.outputs[0]): rng.normal(size=(6, 2)).astype("float32")}
    everything = run.backward(cotangents)
    in_training = run.backward(cotangents, training=True)
    for variable in model.trainable_weights:
        assert in_training.of(variable).tobytes() == everything.of(variable).tobytes()
    assert everything.by_identity[id(inputs)].shape == x.shape
    of_dense = in_training.by_identity[id(inputs)]  # nobody asks it not to
    weights = everything.of(hidden.kernel)
    assert of_dense.shape == x.shape
    assert weights.any()
    assert not np.allclose(of_dense, everything.by_identity[id(inputs)])
