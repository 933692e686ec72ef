import copy

import numpy as np
import pytest

from cylstm import Input, Model, activations
from cylstm.layers import LSTM, Bidirectional, Dense, deserialize, serialize
from cylstm.testing import gradient_error

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 4))
MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
STATES = [RNG.normal(size=(3, 2)) for _ in range(4)]


def both(mode="concat", **kwargs):
    return Bidirectional(LSTM(2, dtype="float64", **kwargs), merge_mode=mode)


def test_two_layers_are_made():
    original = LSTM(2, name="l", go_backwards=True)
    layer = Bidirectional(original, name="b")
    layer(X)
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_l", "backward_l")
    assert (layer.forward_layer.go_backwards, layer.backward_layer.go_backwards) == (True, False)
    assert layer.weights == layer.forward_layer.weights + layer.backward_layer.weights
    assert len(layer.weights) == 6
    assert layer.layer is original
    assert not original.built
    assert not np.array_equal(layer.get_weights()[0], layer.get_weights()[3])


def test_the_backward_sequence_is_turned_round():
    layer = both(None, return_sequences=True)
    forward, backward = layer(X)
    np.testing.assert_array_equal(forward, layer.forward_layer(X))
    np.testing.assert_array_equal(backward, layer.backward_layer(X)[:, ::-1])
    again = LSTM(2, weights=layer.backward_layer.get_weights(), dtype="float64")
    np.testing.assert_allclose(backward[:, 0], again(X[:, ::-1]))


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize(
    ("mode", "merge"),
    [
        ("sum", np.add),
        ("mul", np.multiply),
        ("ave", lambda y, z: (y + z) / 2),
        ("concat", lambda y, z: np.concatenate([y, z], axis=-1)),
    ],
)
def test_merging(mode, merge, sequences):
    apart = both(None, return_sequences=sequences)
    merged = both(mode, return_sequences=sequences, weights=None)
    expected = merge(*apart(X, mask=MASK))
    merged(X)
    merged.set_weights(apart.get_weights())
    np.testing.assert_allclose(merged(X, mask=MASK), expected, rtol=1e-13)


@pytest.mark.parametrize("mode", ["concat", None])
def test_states_go_in_and_out(mode):
    layer = both(mode, return_state=True)
    results = layer(X, initial_state=STATES)
    forward = layer.forward_layer(X, initial_state=STATES[:2])
    backward = layer.backward_layer(X, initial_state=STATES[2:])
    for got, expected in zip(results[-4:], forward[1:] + backward[1:], strict=True):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(layer([X, *STATES]), results, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert len(results) == (5 if mode else 6)


def test_gradients_of_states_are_where_the_states_were():
    layer = both()
    outputs, pullback = layer.vjp(X, initial_state=STATES)
    apart = pullback(np.ones_like(outputs))
    outputs, pullback = layer.vjp([X, *STATES])
    together = pullback(np.ones_like(outputs))
    assert together.initial_state is None
    for a, b in zip([apart.inputs, *apart.initial_state], together.inputs, strict=True):
        np.testing.assert_array_equal(a, b)
    outputs, pullback = layer.vjp(X)
    assert pullback(np.ones_like(outputs)).initial_state is None


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("method", ["__call__", "vjp"])
def test_a_wrong_number_of_states(count, method):
    layer = both()
    with pytest.raises(ValueError, match=rf"{layer.name} has 4 states, 2 for each.*got {count}"):
        getattr(layer, method)(X, initial_state=(STATES + STATES)[:count])
    assert not layer.built


def test_states_of_a_wrong_shape():
    layer = both()
    with pytest.raises(ValueError, match="backward_lstm"):
        layer(X, initial_state=[*STATES[:3], np.ones((3, 3))])
    assert not layer.built
    with pytest.raises(ValueError, match="both"):
        layer([X, *STATES], initial_state=STATES)


def test_stateful_layers_go_on_where_they_stopped():
    layer = both(stateful=True)
    assert layer.stateful
    first, second = layer(X), layer(X)
    assert not np.allclose(first, second)
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), first)
    layer.reset_states(STATES)
    np.testing.assert_array_equal(layer.forward_layer.states, STATES[:2])
    np.testing.assert_array_equal(layer.backward_layer.states, STATES[2:])
    with pytest.raises(ValueError, match="State 1"):
        layer.reset_states([STATES[1], STATES[0], STATES[2], np.ones((1, 1))])
    np.testing.assert_array_equal(layer.forward_layer.states, STATES[:2])
    with pytest.raises(ValueError, match=layer.name):
        layer(X[:2])
    np.testing.assert_array_equal(layer.forward_layer.states, STATES[:2])


def test_only_stateful_layers_can_be_reset():
    layer = both()
    layer(X)
    assert not layer.stateful
    with pytest.raises(AttributeError, match="not stateful"):
        layer.reset_states()


@pytest.mark.parametrize(
    ("mode", "kwargs", "expected"),
    [
        ("sum", {"return_sequences": True}, "mask"),
        ("sum", {}, None),
        (None, {"return_sequences": True}, ["mask", "mask"]),
        (None, {}, [None, None]),
        ("sum", {"return_sequences": True, "return_state": True}, ["mask"] + [None] * 4),
        (None, {"return_state": True}, [None] * 6),
    ],
)
def test_masks(mode, kwargs, expected):
    assert both(mode, **kwargs).compute_mask(X, "mask") == expected
    assert both(mode, **kwargs).compute_mask([X, *STATES], ["mask", *[None] * 4]) == expected


def test_masks_of_a_wrong_shape():
    layer = both(stateful=True)
    layer(X)
    before = copy.deepcopy(layer.forward_layer.states)
    with pytest.raises(ValueError, match="mask must have the shape"):
        layer(X, mask=MASK[:, :2])
    np.testing.assert_array_equal(layer.forward_layer.states, before)


def test_dropout_in_training():
    layer = both(dropout=0.4, recurrent_dropout=0.3, return_sequences=True)
    layer(X)  # building draws from the generator that the check restarts
    assert gradient_error(layer, X, training=True, mask=MASK) < 1e-6
    assert not np.allclose(layer(X, training=True), layer(X))


def test_frozen_directions():
    layer = both()
    layer.backward_layer.trainable = False
    outputs, pullback = layer.vjp(X)
    assert layer.trainable_weights == layer.forward_layer.weights
    assert layer.non_trainable_weights == layer.backward_layer.weights
    assert [d.shape for d in pullback(np.ones_like(outputs)).weights] == [(4, 8), (2, 8), (8,)]
    assert gradient_error(layer, X) < 1e-6


def test_initial_weights():
    source = both()
    source(X)
    layer = Bidirectional(LSTM(2, dtype="float64"), "concat", source.get_weights())
    np.testing.assert_array_equal(layer(X), source(X))
    broken = Bidirectional(LSTM(2), weights=source.get_weights()[:5])
    with pytest.raises(ValueError, match="has 6 weights, but was given 5"):
        broken(X)
    assert not broken.built
    assert broken.weights == []
    assert not broken.forward_layer.built


def test_a_built_layer_lends_its_configuration_only():
    lent = LSTM(2)
    lent(X)
    layer = Bidirectional(lent)
    assert layer.weights == []
    layer(X)
    assert not np.array_equal(layer.forward_layer.get_weights()[0], lent.get_weights()[0])


def test_activations_of_ones_own_need_no_registration():
    @activations.with_derivative(lambda x: 1 / (1 + np.abs(x)) ** 2)
    def own(x):
        return x / (1 + np.abs(x))

    layer = Bidirectional(LSTM(2, activation=own))
    assert layer(X).shape == (3, 4)
    twin = deserialize(serialize(layer), custom_objects={"own": own})
    assert twin.backward_layer.activation is own
    assert twin.get_config() == layer.get_config()


def test_only_the_activity_of_the_wrapper_is_penalised():
    inner = LSTM(2, activity_regularizer="l2")
    layer = Bidirectional(inner)
    layer(X)
    layer.vjp(X)
    assert layer.losses == []
    assert serialize(layer)["config"]["layer"]["config"]["activity_regularizer"] is not None
    layer = Bidirectional(inner, activity_regularizer="l1", name="b")
    outputs = layer(X)
    assert layer.losses == pytest.approx([0.01 * np.abs(outputs).sum()])
    assert deserialize(serialize(layer)).get_config() == layer.get_config()


def test_what_bidirectional_refuses():
    with pytest.raises(TypeError, match="recurrent layer"):
        Bidirectional(Dense(2))
    with pytest.raises(ValueError, match="merge_mode must be one of .*'average'"):
        Bidirectional(LSTM(2), merge_mode="average")


def test_models_with_states():
    x, states = Input((5, 4)), [Input((2,)) for _ in range(4)]
    layer = both(return_state=True, return_sequences=True)
    outputs = layer(x, initial_state=states)
    assert [y.shape for y in outputs] == [(None, 5, 4)] + [(None, 2)] * 4
    model = Model([x, *states], outputs)
    expected = layer(X, initial_state=STATES)
    for got, wanted in zip(model([X, *STATES]), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    for wrong in (states[:3], [*states[:3], Input((3,))]):
        with pytest.raises(ValueError, match=layer.name):
            layer(x, initial_state=wrong)


def test_updates_of_states():
    layer = both(stateful=True)
    layer(Input(batch_shape=(3, 5, 4)))
    assert [u.shape for u in layer.updates] == [(3, 2)] * 4
    layer = both()
    layer(Input((5, 4)))
    assert layer.updates == []


def test_another_number_of_features():
    layer = both()
    layer(X)
    with pytest.raises(ValueError, match=rf"{layer.name}.*size 4"):
        layer(X[..., :3])


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_state", [False, True])
def test_zeros_at_masked_timesteps(merge_mode, return_state, go_backwards):
    """Elsewhere as without, and so the gradients of what is not masked."""
    rng = np.random.default_rng(3)
    x, mask = rng.normal(size=(3, 5, 2)), rng.random((3, 5)) < 0.6
    options = {"return_sequences": True, "return_state": return_state, "dtype": "float64"}
    options |= {"go_backwards": go_backwards}
    plain = Bidirectional(LSTM(4, **options), merge_mode=merge_mode)
    zeroed = Bidirectional(LSTM(4, **options), merge_mode=merge_mode, zero_output_for_mask=True)
    plain.build(x.shape)
    zeroed.build(x.shape)
    zeroed.set_weights(plain.get_weights())
    sequences = 2 if merge_mode is None else 1
    # In processing order; `mul` of what is zero is zero, too.
    kept = mask[:, :: -1 if go_backwards else 1, None]
    results = [layer.vjp(x, mask=mask) for layer in (plain, zeroed)]
    (y, pull), (z, pull_zeroed) = results
    one, two = (r if isinstance(r, list) else [r] for r in (y, z))
    for i, (a, b) in enumerate(zip(one, two, strict=True)):
        np.testing.assert_array_equal(b, np.where(kept, a, 0) if i < sequences else a)
    np.testing.assert_array_equal(
        two[0], (lambda r: r[0] if isinstance(r, list) else r)(zeroed(x, mask=mask))
    )
    dy = [rng.normal(size=a.shape) for a in one]
    masked = [np.where(kept, d, 0) if i < sequences else d for i, d in enumerate(dy)]
    expected = pull(masked if len(dy) > 1 else masked[0])
    found = pull_zeroed(dy if len(dy) > 1 else dy[0])
    np.testing.assert_allclose(found.inputs, expected.inputs, rtol=1e-12, atol=1e-12)
    for a, b in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    again = Bidirectional.from_config(zeroed.get_config())
    assert again.zero_output_for_mask
    assert "zero_output_for_mask" not in plain.get_config()
