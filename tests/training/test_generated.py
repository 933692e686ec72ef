"""Generators and sequences: batches that are made one by one."""

import numpy as np
import pytest

import cylstm
from cylstm import layers
from cylstm.utils import Sequence

X = np.sin(np.arange(96.0)).reshape(8, 4, 3)
Y = np.cos(np.arange(16.0)).reshape(8, 2)


def made_model(metrics=None):
    lstm = layers.LSTM(3, input_shape=(None, 3), dtype="float64")
    model = cylstm.Sequential([lstm, layers.Dense(2, dtype="float64")])
    model.compile("sgd", "mse", metrics=metrics)
    return model


def everything(model):
    return [*model.get_weights(), np.array(model.optimizer.iterations)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


class Batches(Sequence):
    """X and Y in batches of three."""

    def __init__(self):
        self.ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(3 * index, 3 * index + 3)
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.ended += 1


def endless():
    while True:
        yield from Batches()


@pytest.mark.parametrize(
    "fit",
    [
        lambda model: model.fit(endless(), epochs=2, steps_per_epoch=3, verbose=0),
        lambda model: model.fit(Batches(), epochs=2, shuffle=False, verbose=0),
        lambda model: model.fit_generator(Batches(), epochs=2, shuffle=False, verbose=0),
        lambda model: model.fit_generator(
            Batches(), epochs=2, shuffle=False, verbose=0, workers=2, use_multiprocessing=True
        ),
    ],
)
def test_batches_that_are_made_train_like_arrays(fit):
    model, other = made_model(metrics=["mae"]), made_model(metrics=["mae"])
    other.set_weights(model.get_weights())
    expected = other.fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0)
    history = fit(model)
    assert history.history == expected.history
    assert_same(other.get_weights(), model.get_weights())


def test_validation_on_batches_that_are_made():
    model = made_model()
    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=Batches()).history
    assert history["val_loss"][1] == pytest.approx(model.evaluate(X, Y, verbose=0))
    model.fit(X, Y, epochs=1, verbose=0, validation_data=endless(), validation_steps=3)
    with pytest.raises(ValueError, match="validation_steps"):
        model.fit(X, Y, verbose=0, validation_data=endless())


def test_evaluating_and_predicting_batches_that_are_made():
    model = made_model(metrics=["mae"])
    expected = model.evaluate(X, Y, batch_size=3, verbose=0)
    for value in (
        model.evaluate(Batches(), verbose=0),
        model.evaluate(endless(), steps=3, verbose=0),
        model.evaluate_generator(Batches(), workers=2),
    ):
        assert value == pytest.approx(expected, rel=1e-12)
    outputs = model.predict(X, batch_size=3)
    for predicted in (
        model.predict(Batches()),
        model.predict(endless(), steps=3),
        model.predict_generator((x for x, _ in endless()), 3),
        model.predict_generator(Batches(), workers=3, verbose=0),
    ):
        np.testing.assert_array_equal(predicted, outputs)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fit(Batches(), verbose=0),
        lambda model: model.evaluate(Batches(), verbose=0),
        lambda model: model.predict(Batches()),
    ],
)
def test_a_sequence_builds_a_model_without_an_input_shape(use):
    model = cylstm.Sequential([layers.LSTM(3), layers.Dense(2)])
    model.compile("sgd", "mse")
    use(model)
    assert model.input_shape == (None, 4, 3)


def test_a_sequence_is_told_of_the_end_of_each_epoch():
    batches = Batches()
    made_model().fit(batches, epochs=3, verbose=0)
    assert batches.ended == 3


def test_a_generator_that_ends_early_leaves_the_weights_of_the_last_batch():
    model, other = made_model(), made_model()
    other.set_weights(model.get_weights())
    with pytest.raises(ValueError, match="ended after 1 of 3 batches"):
        model.fit(iter([(X, Y)]), steps_per_epoch=3, verbose=0)
    other.train_on_batch(X, Y)
    assert_same(everything(other), everything(model))


@pytest.mark.parametrize("item", [X, (X,), (X, Y, None, None), (X[:0], Y[:0])])
def test_a_generator_of_something_else(item):
    model = made_model()
    before = everything(model)
    with pytest.raises(ValueError, match=r"\(inputs, targets\)|no samples"):
        model.fit_generator(iter([item]), 1, verbose=0)
    assert_same(before, everything(model))


@pytest.mark.parametrize(
    "options", [{"y": Y}, {"batch_size": 2}, {"sample_weight": Y}, {"validation_split": 0.5}]
)
def test_what_does_not_go_with_a_generator(options):
    with pytest.raises(ValueError, match=f"leave out {next(iter(options))}"):
        made_model().fit(iter([(X, Y)]), steps_per_epoch=1, **options)
