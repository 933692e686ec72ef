"""to_categorical and normalize beyond what TensorFlow recorded for them."""

import numpy as np
import pytest

from cylstm.utils.arrays import normalize, to_categorical


def test_no_classes_but_a_number_of_them():
    assert to_categorical([], num_classes=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("y", "classes", "error", "message"),
    [
        ([], None, ValueError, "y is empty"),
        ([0, 3], 3, ValueError, "integers from 0 to 2, got 3.0"),
        ([0, -1], None, ValueError, "integers from 0, got -1.0"),
        ([-1], None, ValueError, "got -1.0"),
        ([0.5], None, ValueError, "got 0.5"),
        ([0, np.nan], None, ValueError, "integers from 0, got "),
        ([0], 0, ValueError, "num_classes"),
        ([0], 1.5, TypeError, "num_classes"),
        (["a"], None, TypeError, "real numbers"),
    ],
)
def test_what_is_no_class_raises(y, classes, error, message):
    with pytest.raises(error, match=message):
        to_categorical(y, classes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize_keeps_floats(dtype):
    x = np.array([[3, 4], [0, 0]], dtype)
    result = normalize(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert x[0, 0] == 3


def test_normalize_one_axis():
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8])
    with pytest.raises(ValueError, match="axis"):
        normalize([3, 4], axis=2)
