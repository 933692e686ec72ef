import numpy as np
import pytest

import cylstm
from cylstm import Input
from cylstm.graph import SymbolicTensor, is_symbolic, walk
from cylstm.layers import LSTM, Dense, Masking, add, concatenate


def test_inputs():
    assert Input((5, 3)).shape == Input((5, 3)).get_shape() == (None, 5, 3)
    assert Input(batch_shape=(2, None, 3)).shape == (2, None, 3)
    x = Input((4,), name="words", dtype="int32", batch_size=7)
    assert (x.shape, x.dtype, x.name, x.ndim) == ((7, 4), "int32", "words", 2)
    assert x.layer.input is x
    assert x.layer.output is x
    for bad in ({}, {"shape": (3,), "batch_shape": (2, 3)}):
        with pytest.raises(ValueError, match="either"):
            Input(**bad)


def test_symbolic_tensors_have_no_values():
    x = Input((3,))
    with pytest.raises(TypeError, match="make a Model"):
        np.asarray(x)
    assert is_symbolic([np.ones(2), x])
    assert not is_symbolic([np.ones(2)])


def test_mixing_arrays_and_symbols_is_refused():
    with pytest.raises(ValueError, match="make an Input"):
        LSTM(2)(np.ones((1, 4, 3)), initial_state=[Input((2,)), Input((2,))])


def test_a_symbolic_mask_comes_with_the_input():
    for layer in (LSTM(2), Dense(2)):
        with pytest.raises(ValueError, match="Masking"):
            layer(Input((4, 3)), mask=np.ones((1, 4)))


def test_masks_are_passed_on():
    m = Masking()(Input((4, 3)))
    assert isinstance(m.mask, SymbolicTensor)
    y = LSTM(2, return_sequences=True)(m)
    assert y.mask is m.mask
    assert LSTM(2)(y).mask is None


def test_nodes_link_the_layers():
    x = Input((4, 3))
    first, second = LSTM(2, return_sequences=True), LSTM(2)
    y = second(first(x))
    assert first.outbound_nodes == second.inbound_nodes == [y.node]
    assert y.node.inbound_nodes == [first.output.node]
    first(x)
    with pytest.raises(AttributeError, match="get_input_at"):
        first.input  # noqa: B018
    assert first.get_output_shape_at(1) == (None, 4, 2)


def test_errors_of_shapes_name_the_layer_and_leave_it_unbuilt():
    layer = LSTM(2, name="reader")
    with pytest.raises(ValueError, match=r"reader: expected 3 axes, got the shape \(None, 3\)"):
        layer(Input((3,)))
    assert not layer.built
    assert layer.inbound_nodes == []


def diamond():
    x = Input((3,), name="x")
    left, right = Dense(3, name="left")(x), Dense(3, name="right")(x)
    return x, Dense(2, name="top")(add([left, right], name="sum"))


def test_layers_are_in_keras_order():
    model = cylstm.Model(*diamond())
    assert [layer.name for layer in model.layers] == ["x", "left", "right", "sum", "top"]


def test_a_long_chain_needs_no_deep_stack():
    x = y = Input((2,))
    for _ in range(1500):
        y = Dense(2)(y)
    assert len(cylstm.Model(x, y).layers) == 1501


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, y: (x, Input((3,))), "depends on"),
        (lambda x, y: ([x, Input((3,))], y), "no output depends on it"),
        (lambda x, y: ([x, x], y), "twice"),
        (lambda x, y: (y, y), "begins with `Input`"),
        (lambda x, y: (x, Dense(2, name="top")(y)), "two layers|Two layers"),
        (lambda x, y: (x, concatenate([y, Input((3,))])), "not among the inputs"),
    ],
)
def test_graphs_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        cylstm.Model(*make(*diamond()))


def test_tensors_that_are_from_no_layer():
    x, loose = Input((3,)), SymbolicTensor((None, 3))
    with pytest.raises(ValueError, match="is not from a layer"):
        walk([x], [loose])
    with pytest.raises(ValueError, match="is not from a layer"):
        add([x, loose])


def test_ends_that_are_not_symbolic():
    with pytest.raises(TypeError, match="symbolic"):
        cylstm.Model(np.ones(3), Input((3,)))
