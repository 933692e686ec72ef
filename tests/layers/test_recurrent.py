import copy
import pickle

import numpy as np
import pytest

import cylstm

B, T, D, U = 2, 5, 3, 4
RNG = np.random.default_rng(7)
X = RNG.normal(size=(B, T, D))
STATE = [RNG.normal(size=(B, U)), RNG.normal(size=(B, U))]


def made_layer(**arguments):
    layer = cylstm.LSTM(U, **{"dtype": "float64"} | arguments)
    layer.build((B, T, D))
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


def fingerprint(layer):
    """Everything that a failed call could have changed."""
    state = {k: v for k, v in vars(layer).items() if k != "input_spec"}
    spec = [s.shape for s in layer.input_spec]
    return pickle.dumps((state["built"], spec, layer.get_weights(), layer.states, layer.losses))


# --------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": X[0]}, ValueError, r"expected 3 axes, got the shape \(5, 3\)"),
        ({"inputs": X[None]}, ValueError, "expected 3 axes"),
        ({"inputs": X.astype(complex)}, TypeError, "real numbers"),
        ({"inputs": X.astype(object)}, TypeError, "real numbers"),
        ({"inputs": X.astype(str)}, TypeError, "real numbers"),
        ({"inputs": np.ma.masked_less(X, 0)}, TypeError, "mask"),
        ({"initial_state": STATE[:1]}, ValueError, "has 2 states, got 1"),
        ({"initial_state": [*STATE, STATE[0]]}, ValueError, "has 2 states, got 3"),
        ({"initial_state": [STATE[0], STATE[1][:, 1:]]}, ValueError, "Initial state 1"),
        ({"initial_state": [STATE[0][:1], STATE[1]]}, ValueError, "Initial state 0"),
        ({"initial_state": [STATE[0], None]}, TypeError, "Initial state 1"),
        ({"inputs": [X, STATE[0]]}, ValueError, "has 2 states, got 1"),
        ({"inputs": [X, *STATE], "initial_state": STATE}, ValueError, "both"),
        ({"mask": np.ones((B, T + 1), bool)}, ValueError, r"\(2, 5\), got \(2, 6\)"),
        ({"mask": np.ones((T, B), bool)}, ValueError, r"\(2, 5\), got \(5, 2\)"),
        ({"mask": np.ones((B, T, 1), bool)}, ValueError, "mask must have the shape"),
        ({"mask": [True] * T}, ValueError, "mask must have the shape"),
        ({"mask": "padded"}, TypeError, "mask must hold real numbers"),
    ],
)
def test_bad_calls_change_nothing(arguments, error, message, built):
    layer = made_layer(stateful=True) if built else cylstm.LSTM(U, stateful=True)
    before = fingerprint(layer)
    for call in (layer, layer.vjp) + ((layer.call,) if built else ()):
        with pytest.raises(error, match=message):
            call(**{"inputs": X} | arguments)
    assert fingerprint(layer) == before


def test_another_input_dim_after_build():
    with pytest.raises(ValueError, match=r"size 3 along axis 2, got the shape \(2, 5, 4\)"):
        made_layer()(np.ones((B, T, D + 1)))


def test_unknown_arguments_of_a_call():
    with pytest.raises(TypeError, match="masks"):
        made_layer()(X, masks=None)


@pytest.mark.parametrize(
    "odd",
    [
        np.asfortranarray(X),
        np.repeat(X, 2, axis=1)[:, ::2],
        np.ascontiguousarray(X.transpose(1, 0, 2)).transpose(1, 0, 2),
        X.astype(">f8"),
        X.tolist(),
        tuple(map(tuple, X.tolist())),
        list(X),
    ],
    ids="fortran strided transposed swapped list tuples rows".split(),
)
def test_odd_inputs_compute_the_same_and_stay_as_they_are(odd):
    layer = made_layer()
    before = copy.deepcopy(odd)
    np.testing.assert_array_equal(layer(odd), layer(X))
    np.testing.assert_array_equal(np.asarray(odd), np.asarray(before))


def test_read_only_inputs_are_not_changed():
    arrays = [X.copy(), STATE[0].copy(), STATE[1].copy(), np.ones((B, T), bool)]
    for array in arrays:
        array.flags.writeable = False
    x, h, c, mask = arrays
    layer = made_layer(return_state=True)
    outputs, pullback = layer.vjp(x, mask=mask, initial_state=[h, c])
    pullback(outputs)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(h, STATE[0])


@pytest.mark.parametrize("kind", ["int8", "bool", "float16", "uint32"])
def test_other_kinds_of_numbers_are_cast(kind):
    x = np.array([[[0, 1, 1], [1, 0, 1]]], kind)
    layer = made_layer(dtype="float32")
    np.testing.assert_array_equal(layer(x), layer(x.astype("float32")))
    assert layer(x).dtype == "float32"


@pytest.mark.parametrize("sequences", [False, True])
def test_nothing_to_do(sequences):
    layer = made_layer(return_sequences=sequences, return_state=True)
    y, h, c = layer(np.ones((0, T, D)))
    assert (y.shape, h.shape) == (((0, T, U) if sequences else (0, U)), (0, U))
    y, h, c = layer(np.ones((B, 0, D)), initial_state=STATE)
    np.testing.assert_array_equal(h, STATE[0])
    np.testing.assert_array_equal(c, STATE[1])
    if sequences:
        assert y.shape == (B, 0, U)
    else:
        np.testing.assert_array_equal(y, STATE[0])
    outputs, pullback = layer.vjp(np.ones((B, 0, D)), initial_state=STATE)
    gradients = pullback([None, STATE[0], STATE[1]])
    np.testing.assert_array_equal(gradients.initial_state, STATE)
    assert not any(w.any() for w in gradients.weights)


def test_states_in_the_inputs():
    layer = made_layer()
    expected = layer(X, initial_state=STATE)
    np.testing.assert_array_equal(layer([X, *STATE]), expected)
    np.testing.assert_array_equal(layer((X, *STATE)), expected)
    np.testing.assert_array_equal(layer([X]), layer(X))
    np.testing.assert_array_equal(layer.apply(X, initial_state=tuple(STATE)), expected)


def test_the_first_of_several_masks_counts():
    layer, mask = made_layer(), RNG.random((B, T)) > 0.5
    np.testing.assert_array_equal(layer(X, mask=[mask, None, None]), layer(X, mask=mask))
    np.testing.assert_array_equal(layer(X, mask=mask.tolist()), layer(X, mask=mask))
    np.testing.assert_array_equal(layer(X, mask=[None, None, None]), layer(X))


# --------------------------------------------------------------------------- shapes


def test_output_shapes():
    def shape(**options):
        return cylstm.LSTM(4, **options).compute_output_shape((None, 5, 3))

    assert shape() == (None, 4)
    assert shape(return_sequences=True) == (None, 5, 4)
    assert shape(return_state=True) == [(None, 4)] * 3
    assert cylstm.LSTM(4).compute_output_shape([(2, 5, 3), (2, 4), (2, 4)]) == (2, 4)
    with pytest.raises(ValueError, match="3 axes"):
        cylstm.LSTM(4).compute_output_shape((None, 3))


def test_masks_pass_with_sequences_only():
    assert cylstm.LSTM(4).compute_mask(X, "mask") is None
    assert cylstm.LSTM(4, return_sequences=True).compute_mask(X, ["mask", None]) == "mask"
    both = cylstm.LSTM(4, return_sequences=True, return_state=True)
    assert both.compute_mask(X, "mask") == ["mask", None, None]


# --------------------------------------------------------------------------- stateful layers


def test_a_stateful_layer_goes_on():
    layer = made_layer(stateful=True, return_sequences=True)
    whole = made_layer(return_sequences=True)(X)
    parts = [layer(X[:, :2]), layer(X[:, 2:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12)
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), whole)
    layer.reset_states(STATE)
    np.testing.assert_array_equal(layer(X), made_layer(return_sequences=True)([X, *STATE]))


def test_states_belong_to_the_layer():
    layer = made_layer(stateful=True, return_state=True)
    given = [s.copy() for s in STATE]
    layer.reset_states(given)
    given[0][:] = 0
    np.testing.assert_array_equal(layer.states[0], STATE[0])
    y, h, c = layer(X)
    h[:] = c[:] = 0
    assert layer.states[0].any()
    assert layer.states[1].any()
    np.testing.assert_array_equal(layer.states[0], y)


def test_a_stateful_vjp_moves_the_states_as_a_call_does():
    called, pulled = made_layer(stateful=True), made_layer(stateful=True)
    for _ in range(2):
        np.testing.assert_array_equal(called(X), pulled.vjp(X)[0])
        np.testing.assert_array_equal(called.states, pulled.states)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (STATE[:1], "has 2 states, got 1"),
        ([STATE[0], STATE[1][:1]], "State 1"),
        ([STATE[0], STATE[1][:, :2]], "State 1"),
    ],
)
def test_bad_states_change_nothing(states, message):
    layer = made_layer(stateful=True)
    layer(X)
    before = layer.states
    with pytest.raises(ValueError, match=message):
        layer.reset_states(states)
    assert layer.states is before


def test_stateful_layers_are_bound_to_a_batch_size():
    with pytest.raises(ValueError, match="batch_input_shape"):
        cylstm.LSTM(U, stateful=True).build((None, T, D))
    layer = cylstm.LSTM(U, stateful=True, batch_input_shape=(B, T, D))
    with pytest.raises(ValueError, match="batch size 2, got 3"):
        layer(np.ones((3, T, D)))
    assert not layer.built
    layer.build((None, T, D))
    layer(X)
    with pytest.raises(ValueError, match="size 2 along axis 0"):
        layer(np.ones((3, T, D)))
    with pytest.raises(AttributeError, match="not stateful"):
        made_layer().reset_states()
    with pytest.raises(ValueError, match="batch size"):
        cylstm.LSTM(U, stateful=True).reset_states()


# --------------------------------------------------------------------------- a cell of one's own


def test_a_recurrent_layer_of_ones_own():
    class Sum(cylstm.layers.Recurrent):
        """Adds up its inputs."""

        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_spec = [cylstm.layers.InputSpec(shape=(None, units))]

        def step(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

    layer = Sum(D, return_sequences=True, return_state=True, dtype="float64")
    mask = np.array([[True] * T, [False, True, True, False, False]])
    y, s = layer(X, mask=mask)
    np.testing.assert_allclose(y, np.cumsum(X * mask[..., None], axis=1))
    np.testing.assert_array_equal(s, y[:, -1])
    assert Sum.from_config(layer.get_config()).get_config() == layer.get_config()
