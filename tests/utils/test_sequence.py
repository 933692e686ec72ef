"""Sequence: what a subclass gets."""

import pytest

from cylstm.utils.sequence import Sequence


class Numbers(Sequence):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return 10 * index


def test_iteration_is_in_order_and_may_be_repeated():
    numbers = Numbers()
    assert list(numbers) == list(numbers) == [0, 10, 20]
    assert numbers.on_epoch_end() is None


def test_subclasses_define_batches_and_their_number():
    class Half(Sequence):
        def __len__(self):
            return 3

    with pytest.raises(TypeError, match="__getitem__"):
        Half()
