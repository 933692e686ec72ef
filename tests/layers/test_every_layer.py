"""The contract that every layer keeps: `layer_cases.py` has a row for each configuration."""

import copy
import json
import pickle

import numpy as np
import pytest
from layer_cases import CASES, FUNCTIONS

from cylstm import layers
from cylstm.layers import serialization
from cylstm.layers.layer import as_list
from cylstm.testing import gradient_error
from cylstm.utils import set_random_seed

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def each(function, value):
    """Apply a function to an array, or to each array of a list."""
    return [function(v) for v in value] if isinstance(value, list) else function(value)


def arrays_in(case):
    """The arguments that are arrays or lists of them."""
    return {k: v for k, v in case.arguments.items() if isinstance(v, np.ndarray | list)}


def with_arrays(case, function):
    changed = {k: each(function, v) for k, v in arrays_in(case).items()}
    return each(function, case.inputs), case.arguments | changed


def called(case, layer, method="__call__", **changes):
    set_random_seed(5)
    inputs = changes.pop("inputs", case.inputs)
    return getattr(layer, method)(inputs, **case.arguments | changes)


def assert_same(got, expected, **kwargs):
    assert isinstance(got, list) == isinstance(expected, list)
    for a, b in zip(as_list(got), as_list(expected), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 0} | kwargs)


def test_every_layer_has_a_row():
    tested = {type(case.make("float32")).__name__ for case in CASES}
    made_of_others = {"InputLayer", "Model", "Sequential"}
    within_others = {"LSTMCell", "StackedRNNCells"}  # rows of RNN have them
    assert set(serialization.LAYERS) - made_of_others - within_others <= tested
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_dtypes(case, dtype):
    layer = case.make(dtype)
    assert layer.dtype == dtype
    outputs = called(case, layer)
    assert layer.built
    assert all(y.dtype == dtype for y in as_list(outputs))
    assert all(w.dtype == dtype for w in layer.get_weights())
    shapes = each(lambda x: x.shape, case.inputs)
    assert layer.compute_output_shape(shapes) == each(lambda y: y.shape, outputs)
    unknown = each(lambda x: (None, *x.shape[1:]), case.inputs)
    expected = each(lambda y: (None, *y.shape[1:]), outputs)
    assert layer.compute_output_shape(unknown) == expected
    assert case.make(dtype).compute_output_shape(unknown) == expected


@every_case
def test_float32_agrees_with_float64(case):
    wide, narrow = case.make("float64"), case.make("float32")
    expected = called(case, wide)
    called(case, narrow)
    narrow.set_weights(wide.get_weights())
    if not isinstance(wide, layers.GaussianNoise | layers.GaussianDropout):  # draw other numbers
        assert_same(called(case, narrow), expected, atol=2e-6)


@every_case
def test_configs_survive_json(case):
    layer = case.make("float64")
    expected = called(case, layer)
    config = json.loads(json.dumps(layers.serialize(layer)))
    twin = layers.deserialize(config, FUNCTIONS)
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config()
    called(case, twin)
    twin.set_weights(layer.get_weights())
    assert_same(called(case, twin), expected, atol=0)


@every_case
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_compute_the_same(case, copied):
    unbuilt = copied(case.make("float64"))
    assert not unbuilt.built
    layer = case.make("float64")
    expected = called(case, layer)
    twin = copied(layer)
    assert_same(called(case, twin), expected, atol=0)
    twin.set_weights([w + 1 for w in twin.get_weights()])
    assert_same(called(case, layer), expected, atol=0)


@every_case
def test_weights_go_in_and_out(case):
    layer = case.make("float64")
    called(case, layer)
    weights = [w + 0.25 for w in layer.get_weights()]
    layer.set_weights(weights)
    for got, variable, expected in zip(layer.get_weights(), layer.weights, weights, strict=True):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(variable.value, expected)
    assert layer.count_params() == sum(w.size for w in weights)
    given = case.make("float64")
    given._initial_weights = weights
    assert_same(called(case, given), called(case, layer), atol=0)


@every_case
def test_gradients(case):
    layer = case.make("float64")
    called(case, layer)  # building draws from the generator that the check restarts
    assert gradient_error(layer, case.inputs, **case.arguments) < 1e-6


@every_case
def test_gradients_of_float32_have_its_dtype(case):
    layer = case.make("float32")
    outputs, pullback = called(case, layer, "vjp")
    assert_same(outputs, called(case, layer), atol=0)
    gradients = pullback(each(np.ones_like, outputs))
    some = [g for g in as_list(gradients.inputs) + gradients.weights if g is not None]
    assert some
    assert all(g.dtype == "float32" for g in some)


@every_case
def test_a_pullback_can_be_repeated(case):
    layer = case.make("float64")
    outputs, pullback = called(case, layer, "vjp")
    cotangents = each(lambda y: np.full_like(y, 0.5), outputs)
    before = copy.deepcopy(cotangents)
    first = pullback(cotangents)
    kept = copy.deepcopy(first)
    again = pullback(each(lambda d: 2 * d, cotangents))
    assert_same(cotangents, before, atol=0)
    for once, twice, still in zip(first.weights, again.weights, kept.weights, strict=True):
        np.testing.assert_array_equal(once, still)
        np.testing.assert_allclose(2 * once, twice, rtol=1e-12, atol=1e-14)


@every_case
def test_inputs_are_left_alone(case):
    layer = case.make("float64")
    before = copy.deepcopy((case.inputs, case.arguments))
    outputs, pullback = called(case, layer, "vjp")
    pullback(each(np.ones_like, outputs))
    called(case, layer)
    after = case.inputs, case.arguments
    assert_same(each(np.copy, after[0]), before[0], atol=0)
    for name, value in arrays_in(case).items():
        assert_same(value, before[1][name], atol=0)


@every_case
def test_any_memory_layout(case):
    layer = case.make("float64")
    expected = called(case, layer)

    def awkward(array):
        wide = np.repeat(np.asfortranarray(array), 2, axis=-1)[..., ::2]
        swapped = wide.astype(wide.dtype.newbyteorder())
        strided = np.repeat(swapped, 2, axis=0)[::2]
        strided.flags.writeable = False
        return strided

    inputs, arguments = with_arrays(case, awkward)
    assert_same(called(case, layer, inputs=inputs, **arguments), expected, atol=1e-14)
    outputs, pullback = called(case, layer, "vjp", inputs=inputs, **arguments)
    assert_same(outputs, expected, atol=1e-14)
    pullback(each(awkward, each(np.ones_like, outputs)))


@every_case
def test_no_rows(case):
    layer = case.make("float64")
    expected = called(case, layer)
    inputs, arguments = with_arrays(case, lambda a: a[:0])
    for unbuilt_or_not in (layer, case.make("float64")):
        set_random_seed(0)
        outputs, pullback = unbuilt_or_not.vjp(inputs, **arguments)
        for got, full in zip(as_list(outputs), as_list(expected), strict=True):
            assert got.shape == (0, *full.shape[1:])
        for gradient in pullback(outputs).weights:
            np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.refused is not None], ids=lambda case: case.name
)
@pytest.mark.parametrize("method", ["__call__", "vjp"])
def test_inputs_that_do_not_fit(case, method):
    layer = case.make("float64")
    arguments = {k: v for k, v in case.arguments.items() if k == "training"}
    with pytest.raises(ValueError, match=layer.name):
        getattr(layer, method)(case.refused, **arguments)
    assert layer.weights == []
    called(case, layer)
    with pytest.raises(ValueError, match=layer.name):
        getattr(layer, method)(case.refused, **arguments)


@every_case
def test_cotangents_that_do_not_fit(case):
    layer = case.make("float64")
    outputs, pullback = called(case, layer, "vjp")
    with pytest.raises(ValueError, match=layer.name):
        pullback(each(lambda y: np.ones((*y.shape, 1)), outputs))
    with pytest.raises((TypeError, ValueError), match=layer.name):
        pullback([outputs] if isinstance(outputs, list) else [outputs, outputs])


@every_case
def test_frozen_layers(case):
    layer = case.make("float64")
    layer.trainable = False
    outputs, pullback = called(case, layer, "vjp")
    assert layer.trainable_weights == []
    assert pullback(each(np.ones_like, outputs)).weights == []
    assert layer.non_trainable_weights == layer.weights


@pytest.mark.parametrize("dtype", ["int32", "float16", "words"])
@every_case
def test_dtypes_that_layers_do_not_compute_in(case, dtype):
    with pytest.raises(ValueError, match="float32"):
        case.make(dtype)
