"""RNN: cells of the package and of one's own."""

import copy
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import backend as K
from cylstm.layers import (
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    Input,
    Layer,
    LSTMCell,
    StackedRNNCells,
    TimeDistributed,
)
from cylstm.testing import gradient_error
from cylstm.utils import set_random_seed

B, T, D, U = 2, 4, 3, 2
RNG = np.random.default_rng(5)
X = RNG.normal(size=(B, T, D))
MASK = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], bool)
STATES = [RNG.normal(size=(B, U)) for _ in range(2)]
CONSTANT = RNG.normal(size=(B, 3))
DATA = Path(__file__).parents[1] / "data"


class Minimal(Layer):
    """One state, which is the output."""

    def __init__(self, units, **kwargs):
        self.units = self.state_size = units
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, self.units)
        )
        self.built = True

    def call(self, inputs, states):
        output = K.tanh(K.dot(inputs, self.kernel) + K.dot(states[0], self.recurrent_kernel))
        return output, [output]


class Plain:
    """No layer; two states, neither of which is the output."""

    state_size = (U, U)

    def __init__(self, dtype="float64"):
        self.kernel = cylstm.Variable(np.arange(D * U).reshape(D, U) / 5 - 0.4, dtype=dtype)

    def call(self, inputs, states):
        output = K.sin(K.dot(inputs, self.kernel)) + states[0] - 0.5 * states[1]
        return output, [output * 0.2, K.tanh(output * 0.3)]


class WithConstant(Layer):
    """Reads a constant at each step."""

    def __init__(self, units, **kwargs):
        self.units = self.state_size = units
        super().__init__(**kwargs)

    def build(self, input_shape):
        shape, constant = input_shape
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], self.units))
        self.of_constant = self.add_weight(name="of_constant", shape=(constant[-1], self.units))
        self.built = True

    def call(self, inputs, states, constants):
        output = K.tanh(K.dot(inputs, self.kernel) + states[0])
        output = output * K.sigmoid(K.dot(constants[0], self.of_constant))
        return output, [output]


class ByHand(Layer):
    """`WithConstant`, with a derivative of its own, and a factor that training changes."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        self.kernel = self.add_weight("kernel", (shape[-1], self.units))

    def call(self, inputs, states, constants=None, training=None):
        return self.step_vjp(inputs, states, constants, training)[0]

    def step_vjp(self, inputs, states, constants=None, training=None):
        kernel, factor = self.kernel.value, 3 if training else 2
        total = factor * (inputs @ kernel + 0.5 * states[0])
        constant = 0 if constants is None else constants[0][:, :1]
        output = np.tanh(total + constant)

        def pullback(d_output, d_states):
            d = (d_output + d_states[0]) * (1 - output**2)
            d_constants = []
            if constants is not None:
                d_constants = [np.zeros_like(constants[0])]
                d_constants[0][:, 0] = d.sum(axis=1)
            d = d * factor
            of_weights = {self.kernel: inputs.T @ d}
            return d @ kernel.T, [0.5 * d], of_weights, d_constants

        return (output, [output]), pullback


def built(layer, *constants):
    """The layer with weights that are all different."""
    layer(X, **({"constants": list(constants)} if constants else {}))
    layer.set_weights(
        [
            np.cos(np.arange(w.size) + i).reshape(w.shape) * 0.7
            for i, w in enumerate(layer.get_weights())
        ]
    )
    return layer


def as_list(value):
    return value if isinstance(value, list) else [value]


def everything(layer, seed=0, x=X, **call):
    """The outputs of a call and of `vjp`, and all gradients, in a flat list."""
    set_random_seed(seed)
    found = as_list(layer(x, **call))
    set_random_seed(seed)
    outputs, pullback = layer.vjp(x, **call)
    outputs = as_list(outputs)
    d = [np.cos(y + 0.1 * (i + 1)) for i, y in enumerate(outputs)]
    gradients = pullback(d if layer.return_state else d[0])
    found += [*outputs, *as_list(gradients.inputs), *(gradients.initial_state or [])]
    return found + gradients.weights


def assert_all_close(found, expected, rtol=1e-11, atol=1e-12):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


# --------------------------------------------------------------------------- as in Keras

RECORDED = json.loads((DATA / "cells.json").read_text())
CELLS = {
    "lstm": lambda **k: LSTMCell(U, **k),
    "lstm 2": lambda **k: LSTMCell(U, implementation=2, recurrent_activation="sigmoid", **k),
    "stack": lambda **k: [LSTMCell(3, **k), LSTMCell(U, unit_forget_bias=False, **k)],
    "equal stack": lambda **k: [LSTMCell(U, **k), LSTMCell(U, unit_forget_bias=False, **k)],
    "minimal": lambda **k: Minimal(U, **k),
    "minimal stack": lambda **k: [Minimal(3, **k), Minimal(U, **k)],
    "plain": lambda dtype: Plain(dtype),
    "constant": lambda **k: WithConstant(U, **k),
}


def wide(cell, **options):
    return RNN(CELLS[cell](dtype="float64"), dtype="float64", **options)


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_keras(cell):
    with np.load(DATA / "cells.npz") as arrays:
        arrays = dict(arrays)
    cases = [(i, case) for i, case in enumerate(RECORDED["cases"]) if case[0] == cell]
    assert len(cases) == (10 if cell in ("stack", "minimal stack") else 20)
    for i, (_, options, masked, with_states) in cases:
        layer = wide(cell, **RECORDED["options"][options])
        constants = [arrays["constant"]] if cell == "constant" else []
        built(layer, *constants)
        call = {"constants": constants} if constants else {}
        if masked:
            call["mask"] = arrays["mask"]
        if with_states:
            sizes = [spec.shape[1] for spec in layer.state_spec]
            call["initial_state"] = [
                np.sin(np.arange(B * n) + k).reshape(B, n) for k, n in enumerate(sizes)
            ]
        outputs = as_list(layer(arrays["x"], **call))
        values, pullback = layer.vjp(arrays["x"], **call)
        d = [np.cos(y + 0.1 * (k + 1)) for k, y in enumerate(as_list(values))]
        gradients = pullback(d if layer.return_state else d[0])
        d_x, *d_constants = as_list(gradients.inputs)
        found = [d_x, *(gradients.initial_state or []), *d_constants, *gradients.weights]
        flat = np.concatenate([array.ravel() for array in outputs + found])
        np.testing.assert_allclose(flat, arrays[str(i)], rtol=1e-10, atol=1e-12)
        assert_all_close(as_list(values), outputs, rtol=0, atol=1e-15)


def test_sizes_and_configs_are_those_of_keras():
    stack = StackedRNNCells([LSTMCell(3), Minimal(4), LSTMCell(2)])
    assert list(stack.state_size) == RECORDED["state_size"]
    own = LSTMCell(2).get_config()
    assert RECORDED["lstm_cell_config"].keys() <= own.keys()
    theirs = RECORDED["rnn_config"]
    assert theirs["cell"]["config"]["cells"][0].keys() == {"class_name", "config"}
    # Those of Keras 2.0.9 do not have the arguments of an LSTMCell, and make no layer again.
    layer = RNN([LSTMCell(2), LSTMCell(3, "relu")])
    config = layer.get_config()
    assert theirs.keys() <= config.keys()
    assert theirs["cell"]["config"].keys() <= config["cell"]["config"].keys()
    twin = RNN.from_config(json.loads(json.dumps(config)))
    assert twin.get_config() == config
    layer = RNN(WithConstant(U))
    layer(Input((T, D)), constants=Input((3,)))
    assert layer.get_config()["num_constants"] == RECORDED["num_constants"]


# --------------------------------------------------------------------------- an LSTM by its cell


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("implementation", [1, 2])
@pytest.mark.parametrize("mask", [None, MASK])
def test_an_rnn_of_a_cell_is_the_lstm(mask, implementation, training):
    flags = ("return_sequences", "return_state", "go_backwards", "unroll", "use_bias")
    for values in itertools.product([False, True], repeat=len(flags)):
        options = dict(zip(flags, values, strict=True))
        of_cell = {
            "use_bias": options.pop("use_bias"),
            "dropout": 0.3,
            "recurrent_dropout": 0.4,
            "implementation": implementation,
            "dtype": "float64",
        }
        layer = built(RNN(LSTMCell(U, **of_cell), **options))
        twin = LSTM(U, **of_cell, **options, weights=layer.get_weights())
        twin(X)
        call = {"mask": mask, "training": training, "initial_state": STATES}
        assert_all_close(everything(layer, **call), everything(twin, **call))


@pytest.mark.parametrize("training", [False, True])
def test_a_stack_is_one_lstm_after_the_other(training):
    options = {"dropout": 0.3, "recurrent_dropout": 0.2, "implementation": 1, "dtype": "float64"}
    stack = built(RNN([LSTMCell(n, **options) for n in (5, U)], return_sequences=True))
    lower, upper = (LSTM(n, return_sequences=True, **options) for n in (5, U))
    row = cylstm.Sequential([lower, upper])
    row.build((None, T, D))
    row.set_weights(stack.get_weights())
    call = {"mask": MASK, "training": training}
    assert_all_close(everything(stack, **call), everything_of_a_row(row, **call))
    if training:
        assert np.abs(stack(X, **call) - stack(X, mask=MASK)).max() > 0.01


def everything_of_a_row(model, **call):
    """As `everything`, of layers one after the other."""
    lower, upper = model.layers
    set_random_seed(0)
    middle, pull_lower = lower.vjp(X, **call)
    y, pull_upper = upper.vjp(middle, **call)
    of_upper = pull_upper(np.cos(y + 0.1))
    of_lower = pull_lower(of_upper.inputs)
    return [y, y, of_lower.inputs, *of_lower.weights, *of_upper.weights]


def cube(x):
    return 0.1 * x**3


@pytest.mark.parametrize("activation", [*sorted(cylstm._core.ACTIVATIONS), cube])
def test_a_cell_has_all_activations(activation):
    options = {"activation": activation, "recurrent_activation": activation, "dtype": "float64"}
    layer = built(RNN(LSTMCell(U, **options)))
    twin = LSTM(U, **options, weights=layer.get_weights())
    x = 0.2 * X[:, :2]  # the linear one grows
    assert_all_close(everything(layer, x=x), everything(twin, x=x))


def test_options_of_the_weights_are_those_of_the_lstm():
    options = {
        "kernel_regularizer": "l2",
        "bias_constraint": "non_neg",
        "recurrent_initializer": "ones",
        "unit_forget_bias": True,
    }
    set_random_seed(1)
    layer = RNN(LSTMCell(U, **options))
    layer(X)
    set_random_seed(1)
    twin = LSTM(U, **options)
    twin(X)
    assert_all_close(layer.get_weights(), twin.get_weights(), rtol=0, atol=0)
    assert layer.losses == twin.losses
    assert layer.losses
    assert [w.constraint is None for w in layer.weights] == [True, True, False]
    np.testing.assert_array_equal(layer.cell.kernel_f, twin.kernel_f)


def test_what_is_masked_may_be_no_number():
    x = np.where(MASK[..., None], X, np.nan)
    layer = built(RNN(LSTMCell(U, dtype="float64")))
    twin = LSTM(U, dtype="float64", weights=layer.get_weights())
    assert_all_close(everything(layer, x=x, mask=MASK), everything(twin, x=x, mask=MASK))


def test_training_learns_what_the_lstm_learns():
    weights = built(RNN(LSTMCell(U))).get_weights()
    found = []
    for recurrent in (
        RNN(LSTMCell(U), weights=weights, input_shape=(T, D)),
        LSTM(U, weights=weights, input_shape=(T, D)),
    ):
        model = cylstm.Sequential([recurrent])
        model.compile("sgd", "mse")
        found.append(model.fit(X, STATES[0], epochs=5, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)


# --------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("cell", [*CELLS, "by hand", "mixed stack"])
@pytest.mark.parametrize("mask", [None, MASK])
def test_gradients_are_those_of_finite_differences(mask, cell):
    cells = CELLS | {
        "by hand": lambda **k: ByHand(U, **k),
        "mixed stack": lambda **k: [ByHand(3, **k), LSTMCell(2, **k), Minimal(U, **k)],
    }
    for options in ({}, {"return_sequences": True, "return_state": True, "go_backwards": True}):
        for unroll in (False, True):
            made = cells[cell](dtype="float64")
            layer = RNN(made, dtype="float64", unroll=unroll, **options)
            constants = [CONSTANT] if cell in ("constant", "by hand") else []
            built(layer, *constants)
            states = [RNG.normal(size=(B, s.shape[1])) for s in layer.state_spec]
            inputs = [X, *constants] if constants else X
            call = {"mask": mask, "initial_state": states, "training": True}
            assert gradient_error(layer, inputs, step=3e-4, **call) < 1e-6


def test_a_derivative_of_ones_own_wins_also_within_a_trace():
    class Wrong(ByHand):
        def step_vjp(self, *args, **kwargs):
            found, _ = super().step_vjp(*args, **kwargs)
            return found, lambda d, _: (None, [None], {self.kernel: np.ones(self.kernel.shape)})

    for cell in (Wrong(U), [Minimal(3), Wrong(U)]):
        layer = built(RNN(cell))
        y, pullback = layer.vjp(X)
        np.testing.assert_array_equal(pullback(y).weights[-1] > 0, True)
        np.testing.assert_array_equal(pullback(y).inputs, 0)


def test_gradients_that_are_none_count_as_zeros():
    class Deaf(ByHand):
        def step_vjp(self, *args, **kwargs):
            found, _ = super().step_vjp(*args, **kwargs)
            return found, lambda d, _: (None, [None], {})

    layer = built(RNN([LSTMCell(3), Deaf(U)]))
    y, pullback = layer.vjp(X, initial_state=[STATES[0], *[np.ones((B, 3))] * 2])
    gradients = pullback(y)
    assert not any(
        np.any(g) for g in [gradients.inputs, *gradients.initial_state, *gradients.weights]
    )
    assert [g.shape for g in gradients.weights] == [w.shape for w in layer.weights]


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ((np.ones((B, 1)), [None], {}), ValueError, "of the inputs with the shape"),
        ((None, [np.ones(U)], {}), ValueError, "of a state with the shape"),
        ((None, [None], [1.0]), TypeError, "as a dict"),
        ((None, [None], {"kernel": np.ones(1)}), ValueError, "kernel with the shape"),
    ],
)
def test_wrong_gradients_of_a_step_are_refused(found, error, message):
    class Wrong(ByHand):
        def step_vjp(self, *args, **kwargs):
            of_weights = found[2]
            if "kernel" in of_weights:
                of_weights = {self.kernel: of_weights["kernel"]}
            return super().step_vjp(*args, **kwargs)[0], lambda d, _: (*found[:2], of_weights)

    y, pullback = RNN(Wrong(U)).vjp(X)
    with pytest.raises(error, match=message):
        pullback(y)


def test_a_cell_around_a_cell_trains():
    class Around(Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.inner = LSTMCell(units, dtype=self.dtype)
            self.state_size = self.inner.state_size

        def build(self, input_shape):
            self.inner.build(input_shape)
            self.factor = self.add_weight("factor", (1,), initializer="ones")

        def call(self, inputs, states, training=None):
            h, states = self.inner.call(K.tanh(inputs), states, training=training)
            return h * self.factor, states

    layer = RNN(Around(U, dtype="float64"), return_sequences=True)
    assert gradient_error(layer, X) < 1e-6


def test_the_phase_reaches_the_cell():
    class Phased(Minimal):
        def call(self, inputs, states):
            output, _ = super().call(inputs, states)
            output = K.in_train_phase(output * 2, output)
            return output, [output]

    layer = built(RNN(Phased(U, dtype="float64")))
    assert abs(layer(X, training=True) - layer(X)).max() > 0.1
    y, _ = layer.vjp(X, training=True)
    np.testing.assert_allclose(y, layer(X, training=True))
    by_hand = built(RNN(ByHand(U, dtype="float64")))
    assert abs(by_hand(X, training=True) - by_hand(X)).max() > 0.01


@pytest.mark.parametrize("cell", CELLS)
def test_float32_stays_float32(cell):
    layer = RNN(CELLS[cell](dtype="float32"), return_sequences=True, return_state=True)
    constants = [CONSTANT] if cell == "constant" else []
    found = everything(
        built(layer, *constants), mask=MASK, **({"constants": constants} if constants else {})
    )
    assert {a.dtype.name for a in found} == {"float32"}


def test_no_timesteps():
    layer = built(RNN(LSTMCell(U, dtype="float64")))
    twin = LSTM(U, dtype="float64", weights=layer.get_weights())
    for call in ({}, {"initial_state": STATES}):
        assert_all_close(
            everything(layer, x=X[:, :0], **call), everything(twin, x=X[:, :0], **call)
        )
    minimal = built(RNN(Minimal(U), return_sequences=True))
    assert minimal(X[:, :0]).shape == (B, 0, U)


def test_frozen_cells_do_not_train():
    lower, upper = LSTMCell(3), LSTMCell(U, kernel_regularizer="l2")
    layer = RNN([lower, upper])
    layer.build((None, None, D))
    assert len(layer.losses) == 1
    assert len(layer.trainable_weights) == 6
    lower.trainable = False
    assert layer.trainable_weights == upper.weights
    assert layer.non_trainable_weights == lower.weights
    y, pullback = layer.vjp(X)
    assert [g.shape for g in pullback(y).weights] == [w.shape for w in upper.weights]
    lower.add_loss(3.0, inputs="x")
    assert layer.get_losses_for("x") == [3.0]
    layer.trainable = False
    assert layer.trainable_weights == []


# --------------------------------------------------------------------------- in models


@pytest.mark.parametrize("cell", ["lstm", "stack", "minimal", "plain"])
@pytest.mark.parametrize("wrapper", [Bidirectional, TimeDistributed])
def test_wrappers_take_it(wrapper, cell):
    layer = wrapper(wide(cell))
    x = X if wrapper is Bidirectional else RNG.normal(size=(B, 2, T, D))
    assert gradient_error(layer, x) < 1e-6


def test_both_directions_of_stacks_with_masks_and_states():
    options = {"return_sequences": True, "return_state": True}
    layer = Bidirectional(wide("minimal stack", **options))
    states = [RNG.normal(size=(B, n)) for n in (U, 3, U, 3)]
    assert gradient_error(layer, X, initial_state=states, mask=MASK) < 1e-6


def fitted(model, inputs, targets):
    model.compile("sgd", "mse")
    model.fit(inputs, targets, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("cell", ["lstm", "stack", "minimal stack"])
def test_models_are_saved_loaded_cloned_and_pickled(cell, tmp_path):
    layer = wide(cell, return_sequences=True, activity_regularizer="l2", input_shape=(T, D))
    model = cylstm.Sequential([layer, Bidirectional(wide(cell)), Dense(1, dtype="float64")])
    before = model.predict(X)
    fitted(model, X, before + 1)
    expected = model.predict(X)
    assert abs(expected - before).min() > 1e-4
    model.save(tmp_path / "m.safetensors")
    custom = {"Minimal": Minimal}
    loaded = cylstm.models.load_model(tmp_path / "m.safetensors", custom_objects=custom)
    np.testing.assert_array_equal(loaded.predict(X), expected)
    assert loaded.layers[0].activity_regularizer is not None
    loaded.fit(X, before, epochs=1, verbose=0)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict(X), expected)
        twin.fit(X, before, epochs=1, verbose=0)
    with cylstm.utils.custom_object_scope(custom):
        clone = cylstm.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(X), expected)
    if cell == "minimal stack":
        with pytest.raises(ValueError, match="Minimal"):
            cylstm.models.load_model(tmp_path / "m.safetensors")


def test_constants_and_states_in_a_model(tmp_path):
    x, state, constant = Input((T, D)), Input((U,)), Input((3,))
    layer = RNN(WithConstant(U))
    y = layer(x, initial_state=state, constants=constant)
    assert y.shape == (None, U)
    model = cylstm.Model([x, state, constant], y)
    arrays = [X, STATES[0], CONSTANT]
    fitted(model, arrays, STATES[1])
    expected = model.predict(arrays)
    call = {"initial_state": STATES[:1], "constants": CONSTANT}
    np.testing.assert_allclose(layer(X, **call), expected, rtol=1e-6)
    for i in (1, 2):
        changed = [a + 1 if i == k else a for k, a in enumerate(arrays)]
        assert abs(model.predict(changed) - expected).max() > 0.01
    model.save(tmp_path / "m.safetensors")
    custom = {"WithConstant": WithConstant}
    loaded = cylstm.models.load_model(tmp_path / "m.safetensors", custom_objects=custom)
    np.testing.assert_array_equal(loaded.predict(arrays), expected)
    twin = RNN.from_config(layer.get_config(), custom)
    again = cylstm.Model([x, state, constant], twin([x, state, constant]))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(arrays), expected)


def test_constants_in_a_model_with_states_that_are_arrays():
    x, constant = Input((T, D)), Input((3,))
    layer = RNN(WithConstant(U))
    model = cylstm.Model([x, constant], layer(x, initial_state=STATES[0], constants=constant))
    fitted(model, [X, CONSTANT], STATES[1])
    found = layer(X, initial_state=STATES[0], constants=CONSTANT)
    np.testing.assert_allclose(model.predict([X, CONSTANT]), found, rtol=1e-6)


def test_gradients_of_constants_by_name():
    layer = built(RNN(WithConstant(U, dtype="float64")), CONSTANT)
    y, pullback = layer.vjp(X, constants=CONSTANT)
    d_x, d_constant = pullback(y).inputs
    assert pullback(y).initial_state is None
    in_list = layer.vjp([X, CONSTANT])[1](y).inputs
    assert_all_close(in_list, [d_x, d_constant])
    assert np.abs(d_constant).max() > 0
    of_three = layer.vjp([X, STATES[0], CONSTANT])[1](y)
    assert [d.shape for d in of_three.inputs] == [X.shape, (B, U), (B, 3)]
    by_name = layer.vjp(X, initial_state=STATES[0], constants=[CONSTANT])[1](y)
    assert_all_close(
        of_three.inputs, [by_name.inputs[0], *by_name.initial_state, by_name.inputs[1]]
    )


@pytest.mark.parametrize("cell", ["lstm", "stack", "plain"])
def test_a_stateful_layer_goes_on(cell):
    layer = built(wide(cell, stateful=True, return_state=True, batch_input_shape=(B, None, D)))
    twin = built(wide(cell, return_state=True))
    layer.reset_states()
    states = None
    for method in ("__call__", "vjp", "__call__"):
        y = getattr(layer, method)(X)
        y = y[0] if method == "vjp" else y
        expected = twin(X, initial_state=states)
        states = expected[1:]
        assert_all_close(y, expected)
        assert_all_close(layer.states, states)
    layer.reset_states([s * 0 + 1 for s in states])
    assert all(np.all(s == 1) for s in layer.states)
    with pytest.raises(ValueError, match="states, got 1"):
        layer.reset_states(states[:1] if len(states) > 1 else [])


@pytest.mark.parametrize("cell", ["lstm", "minimal stack", "plain"])
def test_streams(cell):
    layer = built(wide(cell, return_sequences=True))
    whole = layer(X)
    stream = layer.stream(B)
    for t in range(T):
        np.testing.assert_allclose(stream(X[:, t]), whole[:, t], rtol=1e-12, atol=1e-13)
    with pytest.raises(ValueError, match="backwards"):
        built(wide(cell, go_backwards=True)).stream()
    with pytest.raises(ValueError, match="constants"):
        built(RNN(WithConstant(U)), CONSTANT).stream()


# --------------------------------------------------------------------------- refusals


class NoSize:
    def call(self, inputs, states):
        return inputs, states


class Sized:
    state_size = 2


class Wrong(Plain):
    def call(self, inputs, states):
        return super().call(inputs, states)[0], states[:1]


class WrongSize(Plain):
    state_size = (U, 0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RNN(NoSize()), ValueError, "has no `state_size`"),
        (lambda: RNN(Sized()), ValueError, "has no `call`"),
        (lambda: RNN([Plain(), Sized()]), ValueError, "has no `call`"),
        (lambda: RNN(3), ValueError, "has no `call`"),
        (lambda: RNN([]), ValueError, "at least one cell"),
        (lambda: RNN(WrongSize()), ValueError, "state_size"),
        (lambda: RNN(LSTMCell(2), dtype="float64"), ValueError, "float32 and float64"),
        (lambda: RNN([LSTMCell(2), LSTMCell(2, dtype="float64")]), ValueError, "in one dtype"),
        (lambda: RNN(LSTMCell(2), implementation=2), TypeError, "implementation"),
        (lambda: RNN(LSTMCell(2), unrol=True), TypeError, "did you mean 'unroll'"),
        (lambda: RNN(LSTMCell(2, activity_regularizer="l2")), ValueError, "activity_regularizer"),
        (lambda: LSTMCell(2, implementation=0), ValueError, "must be 1 or 2"),
        (lambda: LSTMCell(0), ValueError, "units"),
        (lambda: RNN(LSTMCell(2))(X[0]), ValueError, "expected 3 axes"),
        (lambda: RNN(Wrong())(X), TypeError, "list of 2 states"),
        (lambda: RNN(LSTMCell(2))(X, constants=CONSTANT), ValueError, "takes no constants"),
        (lambda: RNN(LSTMCell(2))(X, initial_state=STATES[:1]), ValueError, "has 2 states"),
        (lambda: RNN(LSTMCell(2))(Input((T, D)), constants=CONSTANT), ValueError, "no constants"),
        (
            lambda: RNN(WithConstant(2))(Input((T, D)), constants=CONSTANT),
            ValueError,
            "make an Input",
        ),
        (lambda: RNN(Plain()).get_config(), ValueError, "get_config"),
        (
            lambda: RNN.from_config(RNN(LSTMCell(2)).get_config() | {"num_constants": -1}),
            ValueError,
            "num_constants",
        ),
        (
            lambda: built(RNN(WithConstant(2)), CONSTANT)(X, constants=[CONSTANT] * 2),
            ValueError,
            "built for 1 constants, got 2",
        ),
        (lambda: built(RNN(WithConstant(2)), CONSTANT)(X), ValueError, "takes 1 constants, got 0"),
        (lambda: LSTMCell(2).build((None, 3, 4)), ValueError, "reads"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_failed_first_call_leaves_the_layer_as_it_was():
    layer = RNN(WithConstant(U))
    with pytest.raises(ValueError, match="Initial state 0"):
        layer(X, constants=CONSTANT, initial_state=STATES[0][:, :1])
    assert not layer.built
    assert "num_constants" not in layer.get_config()
    assert not layer.cell.built
    layer(X, constants=CONSTANT)


WITHOUT_AUTOGRAD = """
import sys
sys.modules["autograd"] = None
import numpy as np
from cylstm import backend as K
from cylstm.layers import RNN, LSTMCell
class Sum:
    state_size = 3
    def call(self, inputs, states):
        return K.relu(inputs + states[0]), [inputs]
x = np.ones((1, 2, 3))
for cells in ([LSTMCell(3), LSTMCell(2)], [LSTMCell(3), Sum()]):
    layer = RNN(cells, name="mine")
    print(layer(x).shape)
    try:
        y, pullback = layer.vjp(x)
        print(pullback(y).inputs.shape)
    except TypeError as error:
        print(error)
"""


def test_without_autograd_cells_predict_and_those_with_a_step_vjp_train():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_AUTOGRAD], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    predicted, gradients, also, refused = done.stdout.splitlines()
    assert (predicted, gradients, also) == ("(1, 2)", "(1, 2, 3)", "(1, 3)")
    assert "autograd" in refused
    assert "step_vjp" in refused
