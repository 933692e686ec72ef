"""`merge(inputs, mode=...)` of Keras 1, which Keras 2 takes with a warning."""

import numpy as np
import pytest

from cylstm import Input, layers
from cylstm.layers import merge


@pytest.mark.parametrize(
    ("mode", "options", "written", "function"),
    [
        ("sum", {}, "add", layers.add),
        ("mul", {}, "multiply", layers.multiply),
        ("ave", {}, "average", layers.average),
        ("max", {}, "maximum", layers.maximum),
        (
            "concat",
            {"concat_axis": 1},
            r"concatenate\(inputs, axis=1",
            lambda x: layers.concatenate(x, 1),
        ),
        ("concat", {}, "concatenate", layers.concatenate),
        ("dot", {"dot_axes": 2}, r"dot\(inputs, axes=2", lambda x: layers.dot(x, 2)),
        ("dot", {"dot_axes": (2, 2)}, "dot", lambda x: layers.dot(x, (2, 2))),
    ],
)
def test_merge_of_keras_1(mode, options, written, function):
    """The module is the function, too, as in Keras 2."""
    x, y = np.random.default_rng(3).normal(size=(2, 2, 3, 4))
    with pytest.warns(UserWarning, match=f"In Keras 2 it is cylstm.layers.{written}") as caught:
        merged = merge([x, y], mode=mode, **options)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(merged, function([x, y]))
    a, b = Input((3, 4)), Input((3, 4))
    with pytest.warns(UserWarning, match="Keras 1"):
        assert merge([a, b], mode=mode, name="mine", **options).layer.name == "mine"
    assert merge.Add is layers.Add


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "cos"}, "mode='cos' is not offered"),
        ({"mode": lambda x: x[0]}, "mode=a function is not offered"),
        ({"mode": "sum", "output_shape": (3,)}, "output_shape is not offered"),
    ],
)
def test_merges_of_keras_1_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.merge([np.ones((2, 3))] * 2, **arguments)
