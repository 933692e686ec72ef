"""Samples, batches and objectives: what training is given, checked and cut up."""

import numpy as np
import pytest

import cylstm
from cylstm import layers, losses
from cylstm.training._data import (
    Order,
    Samples,
    batch_size_of,
    check_batches,
    inputs_of,
    samples_of,
    split,
)
from cylstm.training._feeding import ArrayFeed, ItemFeed, inputs_of_item, parts_of_item
from cylstm.training._objective import Objective
from cylstm.utils import Sequence


def two_inputs():
    a, b = cylstm.Input((4, 3), name="a"), cylstm.Input((2,), name="b")
    h = layers.Concatenate()([layers.LSTM(2)(a), b])
    return cylstm.Model([a, b], layers.Dense(3, name="y")(h))


def one_input(**options):
    return cylstm.Sequential([layers.LSTM(2, input_shape=(4, 3), name="lstm", **options)])


def stateful(batch=3):
    return cylstm.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(batch, 4, 3))])


A, B = np.arange(60.0).reshape(5, 4, 3), np.arange(10.0).reshape(5, 2)


def samples(count=5):
    x = np.arange(2.0 * count).reshape(count, 2)
    return Samples([x], [x[:, :1]], [None])


# ---------------------------------------------------------------------- order


def gathered(order):
    rows = np.arange(order.count)
    return [rows[which].tolist() for which in order.epoch()]


@pytest.mark.parametrize("count", [1, 2, 5, 6])
@pytest.mark.parametrize("shuffle", [False, True, "batch"])
def test_every_sample_comes_once_in_batches_of_the_size(count, shuffle):
    batches = gathered(Order(count, 2, shuffle))
    assert sorted(sum(batches, [])) == list(range(count))
    assert [len(b) for b in batches] == [2] * (count // 2) + [1] * (count % 2)


def test_each_epoch_has_its_own_order():
    order = Order(50, 10, True)
    assert gathered(order) != gathered(order)


def test_shuffled_batches_stay_together_and_are_views():
    cylstm.utils.set_random_seed(3)
    order = Order(9, 2, "batch")
    batches = gathered(order)
    assert batches[-1] == [8]
    assert all(b[1] == b[0] + 1 and b[0] % 2 == 0 for b in batches[:-1])
    assert batches[:-1] != sorted(batches[:-1])
    assert all(isinstance(which, slice) for which in order.epoch())


def test_unknown_shuffle():
    with pytest.raises(ValueError, match="shuffle must be True, False or 'batch', got 'yes'"):
        Order(5, 2, "yes")


def test_slices_are_views_and_numbers_copies():
    data = samples()
    assert np.shares_memory(data.take(slice(1, 3)).inputs[0], data.inputs[0])
    taken = data.take(np.array([3, 0]))
    assert taken.inputs[0].tolist() == data.inputs[0][[3, 0]].tolist()
    assert taken.size == 2


def test_split_takes_the_last_samples():
    training, validation = split(samples(), 0.3)
    assert (training.size, validation.size) == (3, 2)
    assert validation.inputs[0].tolist() == samples().inputs[0][3:].tolist()


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, 0.99, np.nan])
def test_a_split_that_leaves_nothing(fraction):
    with pytest.raises(ValueError, match="validation_split"):
        split(samples(), fraction)


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    "given", [[A, B], (A, B), {"b": B, "a": A, "c": None}, [A.tolist(), B.tolist()]]
)
def test_inputs_of_several(given):
    a, b = inputs_of(two_inputs(), given)
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(b, B)


@pytest.mark.parametrize("given", [A, [A], (A,), {"lstm_input": A}, A.tolist(), [A.tolist()]])
def test_inputs_of_one(given):
    (a,) = inputs_of(one_input(), given)
    np.testing.assert_array_equal(a, A)


def test_inputs_are_not_copied():
    assert inputs_of(one_input(), A)[0] is A


def test_an_array_of_one_axis_becomes_a_column():
    model = cylstm.Sequential([layers.Dense(1, input_shape=(1,))])
    assert inputs_of(model, np.arange(3.0))[0].shape == (3, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (A, r"needs inputs for \['a', 'b'\], as a list or a dict, got one ndarray"),
        ([A], "one array for each, got a list of 1"),
        ({"a": A}, r"none for \['b'\]"),
        (None, r"takes inputs for \['a', 'b'\], got None"),
        (
            [A, B[:, :1]],
            r"Input b of model model_\d+ must have the shape \(None, 2\), got \(5, 1\)",
        ),
        ([A[0], B], r"Input a .* must have the shape \(None, 4, 3\), got \(4, 3\)"),
        ([A, B[:2]], "5 in a, 2 in b"),
        ([A, [[1.0], [1.0, 2.0]]], "Input b .* cannot be made an array"),
    ],
)
def test_inputs_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        inputs_of(two_inputs(), given)


@pytest.mark.parametrize(
    "array", [A.astype(str), A.astype(complex), A.astype(object), np.ma.masked_array(A)]
)
def test_inputs_that_are_no_real_numbers(array):
    with pytest.raises(TypeError, match="Input lstm_input of model"):
        inputs_of(one_input(), array)


# ---------------------------------------------------------------------- targets and weights


def goals(loss="mse", shape=(None, 3), mode=None):
    return Objective(["y"], [shape], loss, sample_weight_mode=mode).goals


def test_targets_and_weights():
    y = np.eye(3)[[0, 1, 2, 1, 1]]
    made = samples_of(two_inputs(), goals(), [A, B], y, class_weight={0: 1.0, 1: 2.0, 2: 0.5})
    assert made.targets[0] is y
    assert made.weights[0].tolist() == [1.0, 2.0, 0.5, 2.0, 2.0]
    assert made.size == 5


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("mse", np.ones((5, 2)), r"The targets of y in model model_\d+ do not fit"),
        ("mse", np.ones((4, 3)), "5 in the inputs, 4 in the targets of y"),
        ("mse", None, r"takes targets for \['y'\]"),
        ("categorical_crossentropy", np.ones(5), "to_categorical"),
        ("sparse_categorical_crossentropy", np.eye(3)[[0, 1, 2, 0, 1]], "argmax"),
        ("sparse_categorical_crossentropy", np.array([0, 1, 2, 3, 0]), r"from 0 to 2 .* got 3"),
        ("sparse_categorical_crossentropy", np.array([0, 1, 2, -1, 0]), "got -1"),
        ("mse", {"z": np.ones((5, 3))}, r"none for \['y'\]"),
    ],
)
def test_targets_that_do_not_fit(loss, y, message):
    with pytest.raises(ValueError, match=message):
        samples_of(two_inputs(), goals(loss), [A, B], y)


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match="sample_weight must have the shape"):
        samples_of(two_inputs(), goals(), [A, B], np.ones((5, 3)), np.ones(4))


def test_targets_of_a_loss_of_ones_own_may_have_any_shape():
    made = samples_of(two_inputs(), goals(lambda t, p: p[:, 0]), [A, B], np.ones((5, 7, 2)))
    assert made.targets[0].shape == (5, 7, 2)


# ---------------------------------------------------------------------- batch sizes


def test_default_batch_size():
    assert batch_size_of(one_input(), None) == 32
    assert batch_size_of(stateful(3), None) == 3
    assert batch_size_of(one_input(), 7) == 7


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_batch_sizes_that_are_none(size, error):
    with pytest.raises(error, match="batch_size must be a positive integer"):
        batch_size_of(one_input(), size)


@pytest.mark.parametrize(("count", "size"), [(7, 3), (2, 3), (6, 2), (12, 6), (0, 3)])
def test_batches_that_a_stateful_model_cannot_take(count, size):
    with pytest.raises(ValueError, match="stateful|batches of 3 samples only"):
        check_batches(stateful(3), count, size)


def test_batches_that_it_can_take():
    check_batches(stateful(3), 9, 3)
    check_batches(one_input(), 7, 3)


# ---------------------------------------------------------------------- feeds


def test_array_feed():
    feed = ArrayFeed(samples(), 2)
    assert [(size, batch.size) for size, batch in feed.epoch()] == [(2, 2), (2, 2), (1, 1)]
    assert (feed.count, feed.steps) == (5, None)


def test_array_feed_with_steps_takes_all_samples_each_time():
    feed = ArrayFeed(samples(), 5, steps=3)
    assert [(size, batch.size) for size, batch in feed.epoch()] == [(1, 5)] * 3
    assert (feed.count, feed.steps) == (None, 3)


class Numbers(Sequence):
    """Items that are their own numbers; it counts what it was asked for."""

    def __init__(self, length=5):
        self.length, self.asked, self.ended = length, [], 0

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        return samples(index + 1)

    def on_epoch_end(self):
        self.ended += 1


def sizes(feed):
    return [size for size, _ in feed.epoch()]


def test_a_sequence_has_its_length_and_is_told_of_its_end():
    numbers = Numbers()
    feed = ItemFeed(numbers, None, lambda item: item)
    assert sizes(feed) == [1, 2, 3, 4, 5]
    assert numbers.ended == 1


def test_a_sequence_goes_on_in_the_next_epoch():
    numbers = Numbers()
    feed = ItemFeed(numbers, 3, lambda item: item)
    assert sizes(feed) + sizes(feed) == [1, 2, 3, 4, 5, 1]
    assert numbers.ended == 1


def test_a_sequence_may_change_its_length_at_the_end():
    class Growing(Numbers):
        def on_epoch_end(self):
            super().on_epoch_end()
            self.length += 1

    numbers = Growing(2)
    feed = ItemFeed(numbers, 7, lambda item: item)
    assert sizes(feed) == [1, 2, 1, 2, 3, 1, 2]
    assert numbers.ended == 2


def test_a_shuffled_sequence():
    cylstm.utils.set_random_seed(0)
    feed = ItemFeed(Numbers(20), None, lambda item: item, shuffle=True)
    first, second = sizes(feed), sizes(feed)
    assert sorted(first) == sorted(second) == list(range(1, 21))
    assert first not in (second, sorted(first))


def test_workers_keep_the_order_and_do_not_run_far_ahead():
    numbers = Numbers(12)
    feed = ItemFeed(numbers, None, lambda item: item, workers=3, max_queue_size=2)
    epoch = feed.epoch()
    assert next(epoch)[0] == 1
    assert len(numbers.asked) <= 4
    assert [size for size, _ in epoch] == list(range(2, 13))
    feed.close()


def test_an_error_of_a_worker_comes_through():
    class Failing(Numbers):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("no such file")
            return samples(1)

    feed = ItemFeed(Failing(), None, lambda item: item, workers=2)
    with pytest.raises(OSError, match="no such file"):
        sizes(feed)
    feed.close()


def test_a_generator_is_taken_one_by_one_and_left_open():
    generator = (samples(n) for n in (1, 2, 3))
    feed = ItemFeed(generator, 2, lambda item: item, workers=4)
    assert sizes(feed) == [1, 2]
    feed.close()
    assert next(generator).size == 3


def test_a_generator_that_ends_early():
    feed = ItemFeed((samples(n) for n in (1, 2)), 3, lambda item: item)
    with pytest.raises(ValueError, match="ended after 2 of 3 batches"):
        sizes(feed)


def test_an_empty_batch():
    feed = ItemFeed(iter([samples(0)]), 1, lambda item: item)
    with pytest.raises(ValueError, match="at least one sample"):
        sizes(feed)


def test_a_generator_needs_steps():
    with pytest.raises(ValueError, match="steps_per_epoch"):
        ItemFeed(iter([]), None, lambda item: item)


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (1.5, TypeError)])
def test_steps_that_are_none(steps, error):
    with pytest.raises(error, match="steps"):
        ItemFeed(iter([]), steps, lambda item: item)


def test_what_is_neither_generator_nor_sequence():
    with pytest.raises(TypeError, match="Expected a generator or a Sequence, got list"):
        ItemFeed([1, 2], 2, lambda item: item)
    with pytest.raises(ValueError, match="no batches"):
        ItemFeed(Numbers(0), None, lambda item: item)


def test_parts_of_items():
    assert parts_of_item((1, 2)) == (1, 2, None)
    assert parts_of_item([1, 2, 3]) == (1, 2, 3)
    assert inputs_of_item((1, 2)) == 1
    assert inputs_of_item([1, 2]) == [1, 2]


@pytest.mark.parametrize("item", [(1,), (1, 2, 3, 4), 5, None])
def test_items_that_are_none(item):
    with pytest.raises(ValueError, match=r"\(inputs, targets\) or"):
        parts_of_item(item)


# ---------------------------------------------------------------------- objectives

NAMES, SHAPES = ["a", "b"], [(None, 1), (None, 4)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"loss": "mse"}, ["loss", "a_loss", "b_loss"]),
        ({"loss": {"b": "mse"}}, ["loss", "b_loss"]),
        ({"loss": ["mse", None], "metrics": ["mae"]}, ["loss", "a_loss", "a_mean_absolute_error"]),
        (
            {"loss": "mse", "metrics": ["acc"], "weighted_metrics": {"b": "accuracy"}},
            ["loss", "a_loss", "b_loss", "a_acc", "b_acc", "b_weighted_acc"],
        ),
    ],
)
def test_names_of_several_outputs(arguments, names):
    assert Objective(NAMES, SHAPES, **arguments).names == names


def test_names_of_one_output():
    objective = Objective(["y"], [(None, 4)], "mse", metrics=["accuracy", losses.mae])
    assert objective.names == objective.labels == ["loss", "acc", "mean_absolute_error"]


def test_equal_names_are_numbered_in_logs():
    objective = Objective(["y", "y"], [(None, 1)] * 2, "mse")
    assert objective.names == ["loss", "y_loss", "y_loss"]
    assert objective.labels == ["loss", "y_loss_1", "y_loss_2"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss": "mean_squred_error"}, ValueError, "mean_squared_error"),
        ({"loss": {"c": "mse"}}, ValueError, r"loss names the outputs \['c'\]"),
        ({"loss": ["mse"]}, ValueError, "one entry for each of the 2 outputs"),
        ({"loss": "mse", "metrics": ["accurracy"]}, ValueError, "unknown metric"),
        ({"loss": "mse", "metrics": "acc"}, TypeError, r"write \['acc'\]"),
        ({"loss": "mse", "metrics": {"c": "acc"}}, ValueError, r"\['c'\]"),
        ({"loss": "mse", "loss_weights": 2.0}, TypeError, "loss_weights must be a list"),
        ({"loss": "mse", "loss_weights": ["one", 2.0]}, TypeError, "must hold numbers"),
        ({"loss": "mse", "loss_weights": {"c": 2.0}}, ValueError, r"\['c'\]"),
        ({"loss": "mse", "sample_weight_mode": "time"}, ValueError, "None or 'temporal'"),
        ({"loss": "mse", "sample_weight_mode": {"a": None}}, ValueError, r"\['b'\]"),
    ],
)
def test_objectives_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        Objective(NAMES, SHAPES, **arguments)


def test_loss_weights_and_gradients():
    objective = Objective(NAMES, SHAPES, "mse", loss_weights={"b": 0.5})
    outputs = [np.array([[3.0]]), np.array([[1.0, 0.0, 0.0, 2.0]])]
    targets = [np.array([[1]]), np.zeros((1, 4), int)]
    values, gradients = objective.assess(outputs, [None, None], targets, [None, None])
    assert values == [4.0 + 0.5 * 1.25, 4.0, 1.25]
    first, second = gradients()
    assert first.tolist() == [[4.0]]
    assert second.tolist() == [[0.25, 0.0, 0.0, 0.5]]
