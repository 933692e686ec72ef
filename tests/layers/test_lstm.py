import itertools
import subprocess
import sys

import numpy as np
import pytest

import cylstm
from cylstm import _trace
from cylstm import backend as K
from cylstm.testing import gradient_error, numerical_gradient

B, T, D, U = 2, 3, 4, 3
ACTIVATIONS = sorted(cylstm._core.ACTIVATIONS)
RNG = np.random.default_rng(20)
X = RNG.normal(size=(B, T, D))
STATE = [RNG.normal(size=(B, U)), RNG.normal(size=(B, U)) + 0.5]
MASKS = {
    "none": None,
    "hole": np.array([[True, False, True], [True, True, True]]),
    "leading": np.array([[False, True, True], [False, False, True]]),
    "trailing": np.array([[True, True, False], [True, False, False]]),
    "empty row": np.array([[False, False, False], [True, False, True]]),
}


def made_layer(seed=1, **arguments):
    """A built float64 layer with weights that are all different."""
    layer = cylstm.LSTM(U, dtype="float64", **arguments)
    layer.build((None, None, D))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) * 0.6 for w in layer.weights])
    return layer


# --------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("recurrent_activation", ACTIVATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_of_every_pair_of_activations(activation, recurrent_activation):
    layer = made_layer(
        activation=activation, recurrent_activation=recurrent_activation, return_sequences=True
    )
    assert gradient_error(layer, X, initial_state=STATE, step=1e-4) < 1e-6


OPTIONS = {
    "use_bias": [True, False],
    "return_sequences": [False, True],
    "return_state": [False, True],
    "go_backwards": [False, True],
    "unroll": [False, True],
    "implementation": [0, 1, 2],
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("state", [False, True])
def test_gradients_of_every_combination_of_options(state, dropout, mask):
    worst = 0.0
    for values in itertools.product(*OPTIONS.values()):
        options = dict(zip(OPTIONS, values, strict=True))
        if not dropout and options["implementation"] == 1:
            continue  # differs from the others by dropout only
        layer = made_layer(
            recurrent_activation="sigmoid", dropout=dropout, recurrent_dropout=dropout, **options
        )
        error = gradient_error(
            layer,
            X,
            initial_state=STATE if state else None,
            mask=MASKS[mask],
            training=dropout > 0,
        )
        worst = max(worst, error)
    assert worst < 1e-6


def halved_softmax(x):
    return 0.5 * K.softmax(x)


def cube(x):
    return 0.1 * x**3


def cube_with_derivative(x):
    return 0.1 * x**3


cube_with_derivative.derivative = lambda x: 0.3 * x**2


@pytest.mark.parametrize("cube", [cube, cube_with_derivative, halved_softmax])
def test_gradients_of_a_custom_activation(cube):
    for place in ("activation", "recurrent_activation"):
        layer = made_layer(**{place: cube}, return_sequences=True)
        error = gradient_error(layer, X, initial_state=STATE, mask=MASKS["hole"])
        assert error < 1e-6


def test_a_custom_activation_computes_as_the_core_does():
    layer = made_layer(recurrent_activation="sigmoid", return_sequences=True, return_state=True)
    outputs = layer(X, mask=MASKS["hole"], initial_state=STATE)
    layer.activation = lambda x: np.tanh(x)
    for twin, output in zip(
        layer(X, mask=MASKS["hole"], initial_state=STATE), outputs, strict=True
    ):
        np.testing.assert_allclose(twin, output, rtol=1e-13, atol=1e-14)


def test_the_pullback_can_be_called_again_and_after_an_update():
    layer = made_layer()
    y, pullback = layer.vjp(X)
    first = pullback(np.ones_like(y))
    layer.set_weights([w * 2 for w in layer.get_weights()])
    second = pullback(2 * np.ones_like(y))
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(2 * a, b, rtol=1e-14)


def test_gradients_have_the_form_of_the_inputs():
    layer = made_layer(return_state=True)
    outputs, pullback = layer.vjp([X, *STATE])
    gradients = pullback([None, np.ones((B, U)), None])
    assert [g.shape for g in gradients.inputs] == [(B, T, D), (B, U), (B, U)]
    np.testing.assert_array_equal(gradients.inputs[1], gradients.initial_state[0])
    assert layer.vjp(X)[1](outputs).initial_state is None
    layer.trainable = False
    assert layer.vjp(X)[1](outputs).weights == []


@pytest.mark.parametrize(
    "bad", [np.ones((B, U + 1)), [np.ones((B, U))] * 2, np.ones((B, T, U)), np.ones(U)]
)
def test_cotangents_that_do_not_fit(bad):
    _, pullback = made_layer().vjp(X)
    with pytest.raises(ValueError, match=r"cotangents|Cotangent"):
        pullback(bad)


# --------------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"units": 0}, ValueError, "units must be a positive integer"),
        ({"units": -3}, ValueError, "units must be a positive integer"),
        ({"units": 2.5}, TypeError, "units must be a positive integer"),
        ({"units": "4"}, TypeError, "units must be a positive integer"),
        ({"activation": "tank"}, ValueError, "tanh"),
        ({"kernel_initializer": "glorot"}, ValueError, "initializer"),
        ({"bias_regularizer": "l3"}, ValueError, "regularizer"),
        ({"recurrent_constraint": "norm"}, ValueError, "constraint"),
        ({"dropout": float("nan")}, ValueError, "NaN"),
        ({"recurrent_dropout": None}, TypeError, "recurrent_dropout"),
        ({"implementation": 3}, ValueError, "implementation"),
        ({"dtype": "float16"}, ValueError, "float32"),
        ({"return_sequence": True}, TypeError, "no argument 'return_sequence'"),
        ({"input_dim": 3, "input_shape": (2, 3)}, ValueError, "input_dim"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        cylstm.LSTM(**{"units": 3} | arguments)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"input_shape": (5, 3)}, (None, 5, 3)),
        ({"input_shape": (5, 3), "batch_size": 2}, (2, 5, 3)),
        ({"batch_input_shape": [2, 5, 3]}, (2, 5, 3)),
        ({"input_dim": 3}, (None, None, 3)),
        ({"input_dim": 3, "input_length": 5}, (None, 5, 3)),
    ],
)
def test_ways_to_give_the_input_shape(arguments, shape):
    layer = cylstm.LSTM(2, **arguments)
    assert layer.get_config()["batch_input_shape"] == shape
    assert cylstm.LSTM.from_config(layer.get_config()).batch_input_shape == shape


def test_gate_views_follow_the_weights():
    layer = made_layer()
    for weight in ("kernel", "recurrent_kernel", "bias"):
        parts = [getattr(layer, f"{weight}_{gate}") for gate in "ifco"]
        np.testing.assert_array_equal(np.concatenate(parts, -1), getattr(layer, weight).value)
        assert all(np.shares_memory(p, getattr(layer, weight).value) for p in parts)
    layer.set_weights([w + 1 for w in layer.get_weights()])
    np.testing.assert_array_equal(layer.kernel_f, layer.kernel.value[:, U : 2 * U])
    assert made_layer(use_bias=False).bias_i is None


# --------------------------------------------------------------------------- dropout


def test_dropout_only_in_training_and_repeatable():
    layer = made_layer(dropout=0.5, recurrent_dropout=0.5)
    plain = made_layer()
    np.testing.assert_array_equal(layer(X), plain(X))
    cylstm.utils.set_random_seed(3)
    first = layer(X, training=True)
    assert not np.allclose(first, plain(X))
    assert not np.allclose(first, layer(X, training=True))
    cylstm.utils.set_random_seed(3)
    np.testing.assert_array_equal(first, layer(X, training=True))


@pytest.mark.parametrize("implementation", [0, 1, 2])
def test_dropout_masks_are_scaled_and_drawn_per_gate(implementation):
    layer = made_layer(dropout=0.25, recurrent_dropout=0.5, implementation=implementation)
    x = np.ones((500, 1, D))
    of_inputs, of_states = layer.get_constants(x, training=True)
    if implementation == 0:
        assert of_inputs == [1, 1, 1, 1]  # drawn by preprocess_input
    else:
        assert set(np.unique(of_inputs[0])) == {0, 1 / 0.75}
        assert abs(np.mean(of_inputs[0]) - 1) < 0.1
    assert set(np.unique(of_states[3])) == {0, 2}
    same = np.array_equal(of_states[0], of_states[1])
    assert same == (implementation == 2)


def test_inputs_are_dropped_with_implementation_0():
    layer = made_layer(dropout=0.5, use_bias=False)
    cylstm.utils.set_random_seed(0)
    product = layer.preprocess_input(np.ones((40, 2, D)), training=True)
    np.testing.assert_allclose(product[:, 0], product[:, 1])  # one mask for all timesteps
    kernel = layer.kernel_i
    possible = {
        tuple(np.round(2 * np.array(bits) @ kernel, 8))
        for bits in itertools.product([0, 1], repeat=D)
    }
    rows = {tuple(np.round(row, 8)) for row in product[:, 0, :U]}
    assert 5 < len(rows)
    assert rows <= possible


@pytest.mark.parametrize("bad", [[[1.0] * 3, [1.0] * 4], [[1.0] * 4, [np.ones((B, U + 1))] * 4]])
def test_dropout_masks_of_a_subclass_must_fit(bad):
    class Given(cylstm.LSTM):
        def get_constants(self, inputs, training=None):
            return bad

    with pytest.raises(ValueError, match=r"mask|broadcast"):
        Given(U, dtype="float64", implementation=1)(X)


# --------------------------------------------------------------------------- steps of one's own


class Stepping(cylstm.LSTM):
    """Runs a step of its own, which is that of the LSTM."""

    calls = 0

    def step(self, inputs, states):
        self.calls += 1
        return super().step(inputs, states)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("implementation", [0, 1, 2])
def test_step_by_step_is_the_whole(implementation, mask, unroll, sequences):
    options = {
        "implementation": implementation,
        "unroll": unroll,
        "return_sequences": sequences,
        "return_state": True,
        "go_backwards": implementation == 1,
        "dropout": 0.3 if implementation else 0.0,
        "recurrent_dropout": 0.3,
        "weights": made_layer().get_weights(),
        "dtype": "float64",
    }
    stepping, layer = Stepping(U, **options), cylstm.LSTM(U, **options)
    call = {"mask": MASKS[mask], "training": True, "initial_state": STATE}
    cylstm.utils.set_random_seed(1)
    whole = layer(X, **call)
    cylstm.utils.set_random_seed(1)
    for a, b in zip(stepping(X, **call), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    assert stepping.calls == T


@pytest.mark.parametrize("implementation", [0, 1, 2])
@pytest.mark.parametrize("mask", ["none", "hole", "empty row"])
def test_the_gradients_of_steps_are_those_of_the_whole(mask, implementation):
    options = {
        "implementation": implementation,
        "unroll": mask == "empty row",
        "return_sequences": True,
        "return_state": True,
        "go_backwards": implementation == 1,
        "dropout": 0.3,
        "recurrent_dropout": 0.3,
        "weights": made_layer().get_weights(),
        "dtype": "float64",
    }
    stepping, layer = Stepping(U, **options), cylstm.LSTM(U, **options)
    if implementation == 0:  # its masks are drawn in another order
        stepping.dropout = layer.dropout = 0.0
    call = {"mask": MASKS[mask], "training": True, "initial_state": STATE}
    found = []
    for each in (stepping, layer):
        cylstm.utils.set_random_seed(1)
        outputs, pullback = each.vjp(X, **call)
        gradients = pullback([np.cos(y) for y in outputs])
        found.append([*outputs, gradients.inputs, *gradients.initial_state, *gradients.weights])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


class Peephole(cylstm.LSTM):
    """Its gates see the cell state, by weights of their own."""

    def build(self, input_shape):
        super().build(input_shape)
        self.peephole = self.add_weight("peephole", (self.units,), initializer="ones")

    def step(self, inputs, states):
        h, c = states[:2]
        h, [_, c] = super().step(inputs, states)
        o = K.hard_sigmoid(c * self.peephole + states[0])
        return o * self.activation(c) + h, [h, c]


class Doubled(cylstm.LSTM):
    """What it returns is not what the core gives."""

    def call(self, inputs, mask=None, training=None, initial_state=None):
        return 2 * super().call(K.tanh(inputs), mask, training, initial_state)


class Started(cylstm.LSTM):
    """Starts from what the first timestep holds."""

    def get_initial_state(self, inputs):
        first = K.tanh(inputs[:, 0, :U])
        return [first, 2 * first]


@pytest.mark.parametrize("cls", [Peephole, Doubled, Started])
@pytest.mark.parametrize("mask", ["none", "hole"])
def test_a_subclass_with_ways_of_its_own_trains(mask, cls):
    options = {"recurrent_activation": "sigmoid", "dtype": "float64"}
    layer = cls(U, return_sequences=True, **options)
    assert gradient_error(layer, X, mask=MASKS[mask]) < 1e-6
    if cls is not Started:
        assert gradient_error(layer, X, mask=MASKS[mask], initial_state=STATE) < 1e-6
    narrow = cls(U, return_sequences=True, return_state=cls is not Doubled)
    outputs, pullback = narrow.vjp(X.astype("float32"))
    gradients = pullback(outputs)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    assert {a.dtype.name for a in [*outputs, gradients.inputs, *gradients.weights]} == {"float32"}


class Attending(cylstm.layers.Recurrent):
    """Each step weighs all timesteps: `call` keeps what the steps read."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_spec = [cylstm.layers.InputSpec(shape=(None, units))]

    def build(self, input_shape):
        self.query = self.add_weight("query", (self.units, self.units))
        self.key = self.add_weight("key", (input_shape[-1], self.units))
        self.value = self.add_weight("value", (input_shape[-1], self.units))

    def call(self, inputs, **kwargs):
        self.inputs, self.keys = inputs, K.dot(inputs, self.key)
        return super().call(inputs, **kwargs)

    def step(self, inputs, states):
        query = K.expand_dims(K.dot(states[0], self.query), 1)
        scores = K.softmax(K.sum(K.tanh(self.keys + query), axis=-1))
        context = K.batch_dot(scores, self.inputs, axes=(1, 1))
        output = K.tanh(K.dot(context, self.value) + 0.5 * states[0])
        return output, [output]


def test_a_layer_that_attends_to_its_inputs_trains():
    layer = Attending(U, return_sequences=True, dtype="float64")
    assert gradient_error(layer, X, initial_state=STATE[:1], mask=MASKS["hole"]) < 1e-6
    model = cylstm.Sequential([Attending(U, input_shape=(T, D))])
    model.compile(cylstm.optimizers.Adam(0.05), "mse")
    losses = model.fit(X, np.tanh(STATE[0]), epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_an_lstm_within_a_function_that_is_differentiated():
    layer = made_layer(return_sequences=True, return_state=True, recurrent_activation="sigmoid")

    def function(x, h, c):
        y, h, c = layer(K.tanh(x), initial_state=[h, c], mask=MASKS["hole"])
        return [y * 2, h * c]

    def loss(x, h, c):
        return sum(float(np.sin(y).sum()) for y in function(x, h, c))

    arrays = [X, *STATE]
    outputs, pullback = _trace.differentiate(function, arrays, layer.trainable_weights)
    found, of_weights = pullback([np.cos(y) for y in outputs])
    for i, gradient in enumerate(found):

        def at(v, i=i):
            return loss(*arrays[:i], v, *arrays[i + 1 :])

        np.testing.assert_allclose(gradient, numerical_gradient(at, arrays[i]), atol=1e-8)
    for variable, gradient in zip(layer.trainable_weights, of_weights, strict=True):
        kept = variable.value

        def at(v, variable=variable):
            variable.assign(v)
            return loss(*arrays)

        np.testing.assert_allclose(gradient, numerical_gradient(at, kept), atol=1e-8)
        variable.assign(kept)


def test_a_stateful_layer_with_a_step_of_its_own_moves_on():
    layer, twin = (
        cls(U, stateful=True, dtype="float64", weights=made_layer().get_weights())
        for cls in (Stepping, cylstm.LSTM)
    )
    for _ in range(2):
        y, pullback = layer.vjp(X)
        np.testing.assert_allclose(y, twin(X), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(layer.states, twin.states, rtol=1e-12, atol=1e-13)
        assert pullback(y).initial_state is None
    with pytest.raises(ValueError, match="cotangents|Cotangent 0"):
        pullback(y[:, 1:])


def test_a_step_must_return_as_many_states_as_there_are():
    class Short(cylstm.LSTM):
        def step(self, inputs, states):
            return states[0], states[:1]

    with pytest.raises(ValueError, match="returned 1 states, expected 2"):
        Short(U)(X)


def test_a_model_with_a_step_of_ones_own_learns():
    layer = Stepping(U, input_shape=(T, D))
    model = cylstm.Sequential([layer, cylstm.layers.Dense(1)])
    model.compile(cylstm.optimizers.Adam(0.05), "mse")
    y = X.sum(axis=(1, 2), keepdims=True)[:, 0]
    losses = model.fit(X, y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


WITHOUT_AUTOGRAD = """
import sys
sys.modules["autograd"] = None
import numpy as np
import cylstm
class Stepping(cylstm.LSTM):
    def step(self, inputs, states):
        return super().step(inputs, states)
x = np.ones((1, 2, 3))
for layer in (Stepping(2, name="mine"), cylstm.LSTM(2, lambda x: 0.5 * x)):
    print(layer(x).shape)
    try:
        layer.vjp(x)
    except TypeError as error:
        print(error)
"""


def test_without_autograd_what_is_ones_own_predicts():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_AUTOGRAD], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shape, of_step, _, of_activation = done.stdout.splitlines()
    assert shape == "(1, 2)"
    assert "layer mine (Stepping) has no derivative" in of_step
    assert "autograd" in of_step
    assert "define `vjp`" in of_step
    assert "autograd" in of_activation
    assert "derivative" in of_activation
