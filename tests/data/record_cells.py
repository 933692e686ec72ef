"""RNN and its cells, also cells of one's own.

Runs under Python 3.6 with keras==2.0.9 and tensorflow==1.4.1:

    python record_cells.py

writes cells.npz, in float64: "x", "mask", "constant", and for each case, flat in a row, the outputs,
then the gradients of sum(sin(output i + (i + 1) / 10)) with respect to the inputs, the initial
states, the constant and the weights. cells.json has the list of the cases, and configs.
"""
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import backend as K
from keras.layers import RNN, LSTMCell, StackedRNNCells

K.set_floatx("float64")
HERE = os.path.dirname(os.path.abspath(__file__))
B, T, D, U = 2, 4, 3, 2
MASK = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], bool)
RNG = np.random.RandomState(0)
X = RNG.normal(size=(B, T, D))
CONSTANT = RNG.normal(size=(B, 3))


class Minimal(keras.layers.Layer):
    """One state, which is the output."""

    def __init__(self, units, **kwargs):
        self.units = self.state_size = units
        super(Minimal, self).__init__(**kwargs)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="ones", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units), initializer="ones", name="recurrent_kernel"
        )
        self.built = True

    def call(self, inputs, states):
        output = K.tanh(K.dot(inputs, self.kernel) + K.dot(states[0], self.recurrent_kernel))
        return output, [output]


class Plain(object):
    """No layer; two states, neither of which is the output."""

    state_size = (U, U)
    kernel = None

    def call(self, inputs, states):
        output = K.sin(K.dot(inputs, self.kernel)) + states[0] - 0.5 * states[1]
        return output, [output * 0.2, K.tanh(output * 0.3)]


class WithConstant(keras.layers.Layer):
    """Reads a constant at each step."""

    def __init__(self, units, **kwargs):
        self.units = self.state_size = units
        super(WithConstant, self).__init__(**kwargs)

    def build(self, input_shape):
        shape, constant = input_shape
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer="ones", name="kernel"
        )
        self.of_constant = self.add_weight(
            shape=(constant[-1], self.units), initializer="ones", name="of_constant"
        )
        self.built = True

    def call(self, inputs, states, constants):
        output = K.tanh(K.dot(inputs, self.kernel) + states[0])
        output = output * K.sigmoid(K.dot(constants[0], self.of_constant))
        return output, [output]


def plain():
    cell = Plain()
    cell.kernel = K.variable(np.arange(D * U).reshape(D, U) / 5.0 - 0.4)
    return cell


CELLS = {
    "lstm": lambda: LSTMCell(U),
    "lstm 2": lambda: LSTMCell(U, implementation=2, recurrent_activation="sigmoid"),
    "stack": lambda: [LSTMCell(3), LSTMCell(U, unit_forget_bias=False)],
    "equal stack": lambda: [LSTMCell(U), LSTMCell(U, unit_forget_bias=False)],
    "minimal": lambda: Minimal(U),
    "minimal stack": lambda: [Minimal(3), Minimal(U)],
    "plain": plain,
    "constant": lambda: WithConstant(U),
}
UNEQUAL = ("stack", "minimal stack")  # Keras 2.0.9 cannot mask states of several sizes
OPTIONS = {
    "plain call": {},
    "sequences": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "return_state": True, "go_backwards": True},
    "unrolled": {"return_sequences": True, "return_state": True, "unroll": True},
    "last of unrolled": {"unroll": True},
}


def states_of(sizes):
    """Likewise."""
    return [np.sin(np.arange(B * n) + i).reshape(B, n) for i, n in enumerate(sizes)]


def weights_of(layer):
    """Numbers that are all different, made again by the test."""
    return [
        np.cos(np.arange(w.size) + i).reshape(w.shape) * 0.7
        for i, w in enumerate(layer.get_weights())
    ]


def record(cell, options, masked, with_states):
    K.clear_session()
    x = keras.Input(batch_shape=(B, T, D))
    inputs, arrays = [x], [X]
    sequence = x
    if masked:
        mask = keras.Input(batch_shape=(B, T))
        inputs.append(mask)
        arrays.append(MASK.astype(float))
    made = CELLS[cell]()
    layer = RNN(made, **OPTIONS[options])
    given = {}
    if with_states:
        sizes = layer.cell.state_size
        states = states_of(sizes if isinstance(sizes, tuple) else [sizes])
        given["initial_state"] = [keras.Input(batch_shape=s.shape) for s in states]
        inputs += given["initial_state"]
        arrays += states
    if cell == "constant":
        given["constants"] = [keras.Input(batch_shape=(B, 3))]
        inputs += given["constants"]
        arrays.append(CONSTANT)
    outputs = layer(sequence, **given)
    if masked:  # the mask is an argument of call: Keras only takes it from the layer before
        outputs = layer.call(sequence, mask=K.cast(mask, "bool"), **given)
    layer.set_weights(weights_of(layer))
    outputs = outputs if isinstance(outputs, list) else [outputs]
    loss = sum(K.sum(K.sin(y + 0.1 * (i + 1))) for i, y in enumerate(outputs))
    wanted = [t for i, t in enumerate(inputs) if not (masked and i == 1)] + layer.trainable_weights
    found = K.gradients(loss, wanted)
    found = [K.zeros_like(t) if g is None else g for g, t in zip(found, wanted)]
    return K.get_session().run(outputs + found, dict(zip(inputs, arrays)))


def main():
    arrays = {"x": X, "mask": MASK, "constant": CONSTANT}
    cases = []
    for cell in sorted(CELLS):
        for options in sorted(OPTIONS):
            for masked in (False, True) if cell not in UNEQUAL else (False,):
                for with_states in (False, True):
                    key = "%d" % len(cases)
                    found = record(cell, options, masked, with_states)
                    cases.append([cell, options, masked, with_states])
                    arrays[key] = np.concatenate([a.ravel() for a in found])
    np.savez_compressed(os.path.join(HERE, "cells.npz"), **arrays)
    stack = StackedRNNCells([LSTMCell(3), Minimal(4), LSTMCell(2)])
    layer = RNN(WithConstant(U), return_sequences=True)
    layer(keras.Input((T, D)), constants=keras.Input((3,)))
    facts = {
        "keras": keras.__version__,
        "cases": cases,
        "options": OPTIONS,
        "state_size": list(stack.state_size),
        "lstm_cell_config": LSTMCell(2).get_config(),
        "rnn_config": RNN([LSTMCell(2), LSTMCell(3)]).get_config(),
        "num_constants": layer._num_constants,
    }
    with open(os.path.join(HERE, "cells.json"), "w") as f:
        json.dump(facts, f, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
