"""The wire format: numbers as protocol buffers have them, one by one and packed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_fuzz import varint

from cylstm.saving._onnx._document import Attribute, Tensor
from cylstm.saving._onnx._external import Folder
from cylstm.saving._onnx._tensors import DTYPES, array_of, tensor_of
from cylstm.saving._onnx._wire import Room

INTEGERS = st.integers(-(2**63), 2**63 - 1)


def decoded(cls, data, fields=1000):
    return cls.decoded(memoryview(data), Room(fields))


def field(number, wire, content):
    return varint(number << 3 | wire) + content


@given(st.lists(INTEGERS, max_size=20))
def test_integers_packed_and_one_by_one(values):
    packed = b"".join(map(varint, values))
    forms = [
        field(7, 2, varint(len(packed)) + packed),
        b"".join(field(7, 0, varint(value)) for value in values),
        b"".join(field(7, 2, varint(len(varint(v))) + varint(v)) for v in values),
    ]
    for form in forms:
        found = decoded(Tensor, form).int64_data
        assert (found is None and not values) or found.tolist() == values
    assert decoded(Tensor, Tensor(int64_data=values).encoded()).int64_data.tolist() == values
    in_list = field(8, 2, varint(len(packed)) + packed)
    assert decoded(Attribute, in_list).ints == values
    assert decoded(Attribute, Attribute(ints=values).encoded()).ints == values


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_floats_packed_and_one_by_one(values):
    numbers = [np.float32(value).tobytes() for value in values]
    packed = field(4, 2, varint(4 * len(values)) + b"".join(numbers))
    for form in (packed, b"".join(field(4, 5, number) for number in numbers)):
        found = decoded(Tensor, form).float_data
        assert (found is None and not values) or found.tolist() == values
    assert decoded(Attribute, Attribute(floats=values).encoded()).floats == values


@given(st.binary(max_size=60))
def test_bytes_that_are_nothing(data):
    try:
        found = decoded(Tensor, data)
    except ValueError:
        return
    assert isinstance(found, Tensor)


@pytest.mark.parametrize("dtype", sorted(DTYPES.values()))
def test_arrays(dtype):
    array = np.arange(6).reshape(1, 2, 3).astype(dtype)
    folder = Folder("model.onnx", 0)
    tensor = decoded(Tensor, tensor_of(array, "a").encoded())
    found = array_of(tensor, folder)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    names = {"float32": "float_data", "float64": "double_data", "int64": "int64_data"}
    names |= {"uint32": "uint64_data", "uint64": "uint64_data"}
    stored = array.view("uint16") if dtype == "float16" else array
    tensor.raw_data = None
    setattr(tensor, names.get(dtype, "int32_data"), stored.ravel())
    found = array_of(decoded(Tensor, tensor.encoded()), folder)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_large_numbers_without_a_sign():
    tensor = Tensor(dims=[1], data_type=13, uint64_data=[2**64 - 1])
    found = array_of(decoded(Tensor, tensor.encoded()), Folder("model.onnx", 0))
    assert found.tolist() == [2**64 - 1]


def test_the_last_one_counts():
    data = Tensor(name="a").encoded() + Tensor(name="b").encoded()
    assert decoded(Tensor, data).name == "b"


def test_what_is_not_known_is_skipped():
    later = field(99, 2, varint(3) + b"new") + field(98, 0, varint(7)) + field(97, 5, b"1234")
    data = later + Tensor(name="a").encoded() + field(96, 1, b"12345678")
    assert decoded(Tensor, data).name == "a"


def test_there_is_room_for_what_is_held():
    """A field costs as much as its share of the numbers in the file."""
    names = b"".join(field(8, 2, b"\x01a") for _ in range(50))
    with pytest.raises(ValueError, match="more parts"):
        decoded(Tensor, names, fields=49)
    assert decoded(Tensor, names, fields=50).name == "a"
