import copy
import pickle

import numpy as np
import pytest

from cylstm import Variable


def test_the_value_is_a_read_only_copy():
    given = np.ones((2, 3), "float32")
    variable = Variable(given, "v")
    given[:] = 5
    assert variable.value.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        variable.value[0] = 2
    variable.numpy()[:] = 7
    assert variable.value.max() == 1


def test_assign_replaces_the_value_and_bumps_the_version():
    variable = Variable(np.zeros(3), dtype="float64")
    before = variable.value
    variable.assign([1, 2, 3])
    assert variable.version == 1
    np.testing.assert_array_equal(variable.value, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(before, [0.0, 0.0, 0.0])  # whoever holds it is not disturbed
    assert variable.dtype == "float64"


@pytest.mark.parametrize(
    ("bad", "error"), [(np.zeros(4), ValueError), (np.zeros(3, complex), TypeError)]
)
def test_a_refused_value_changes_nothing(bad, error):
    variable = Variable(np.ones(3), "w")
    with pytest.raises(error, match="w"):
        variable.assign(bad)
    assert variable.version == 0
    np.testing.assert_array_equal(variable.value, np.ones(3))


def test_it_is_an_array_to_numpy():
    variable = Variable([1.0, 2.0])
    assert np.sum(variable) == 3
    assert np.asarray(variable) is variable.value
    assert np.asarray(variable, "float64").dtype == "float64"
    assert np.array(variable).flags.writeable


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_independent_and_read_only(copied):
    variable = Variable([1.0, 2.0], "v", trainable=False)
    twin = copied(variable)
    twin.assign([3.0, 4.0])
    assert variable.value.tolist() == [1.0, 2.0]
    assert (twin.name, twin.trainable, twin.version) == ("v", False, 1)
    assert not copied(variable).value.flags.writeable


def test_a_value_that_was_mapped_from_a_file_is_copied(tmp_path):
    """joblib hands large arrays to its workers as maps of a file, within whatever holds them."""
    np.save(tmp_path / "value.npy", np.array([1.0, 2.0], "float32"))
    mapped = np.load(tmp_path / "value.npy", mmap_mode="r")
    variable = Variable([0.0, 0.0])
    variable.__setstate__(vars(variable) | {"_value": mapped})
    assert type(variable.value) is np.ndarray
    assert not np.shares_memory(variable.value, mapped)
    assert variable.value.tolist() == [1.0, 2.0]
    assert not variable.value.flags.writeable
