"""A model has its training and is a layer: what it is made of, and what subclasses may change."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Dense, Layer, Nested, TimeDistributed
from cylstm.training import Trainer
from cylstm.training._generated import GeneratedTraining

X = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("float32")
Y = np.ones((8, 2), "float32")
BY_GENERATOR = ["fit_generator", "evaluate_generator", "predict_generator"]
BY_ARRAYS = [
    "compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch",
]  # fmt: skip
FUNCTIONAL = cylstm.Model


def sequential(cls=cylstm.Sequential):
    return cls([LSTM(4, input_shape=(5, 3)), Dense(2)])


def functional(cls=FUNCTIONAL):
    x = cylstm.Input((5, 3))
    return cls(x, Dense(2)(LSTM(4)(x)))


def compiled(cls=cylstm.Sequential):
    model = (sequential if issubclass(cls, cylstm.Sequential) else functional)(cls)
    model.compile("sgd", "mse")
    return model


def batches():
    while True:
        yield X, Y


def test_what_a_model_is():
    assert cylstm.Sequential.__mro__ == (cylstm.Sequential, cylstm.Model, Nested, Layer, object)


@pytest.mark.parametrize("name", BY_ARRAYS + BY_GENERATOR)
def test_methods_are_shown_as_those_that_carry_them_out(name):
    part = GeneratedTraining if name in BY_GENERATOR else Trainer
    shown, real = getattr(cylstm.Model, name), getattr(part, name)
    assert inspect.signature(shown) == inspect.signature(real)
    assert next(iter(inspect.signature(shown).parameters)) == "self"
    assert shown.__doc__ == real.__doc__ != ""
    assert shown.__name__ == name


@pytest.mark.parametrize("name", ["add_weight", "set_weights", "add_loss", "get_input_at"])
def test_methods_of_layers_show_no_type_of_self(name):
    first = next(iter(inspect.signature(getattr(Layer, name)).parameters.values()))
    assert (first.name, first.annotation) == ("self", first.empty)


def test_a_subclass_that_overrides_every_method_is_asked():
    """Each calls what it overrides; `fit` and its kin of a generator ask the model, too."""
    called = []

    def overriding(name):
        def method(self, *args, **kwargs):
            called.append(name)
            return getattr(super(Own, self), name)(*args, **kwargs)

        return method

    class Own(cylstm.Sequential):
        pass

    for name in BY_ARRAYS + BY_GENERATOR:
        setattr(Own, name, overriding(name))
    model = compiled(Own)
    model.fit(batches(), steps_per_epoch=1, epochs=1, verbose=0)
    model.evaluate(batches(), steps=1, verbose=0)
    model.predict(batches(), steps=1)
    assert called == [
        "compile", "fit", "fit_generator", "evaluate", "evaluate_generator", "predict",
        "predict_generator",
    ]  # fmt: skip
    del called[:]
    model.predict_classes(X)
    model.train_on_batch(X, Y)
    assert called == ["predict", "train_on_batch"]


@pytest.mark.parametrize("cls", [cylstm.Sequential, FUNCTIONAL])
def test_names_of_a_subclass_do_not_meet_those_of_training(cls):
    """Helpers of the trainer are no attributes of the model."""

    class Own(cls):
        _batch = _samples = _ready = _compiled = _steps = _objective = _average = None
        _array_feed = _item_feed = _build_for = _outputs_for = _check_compiled = None

    model = compiled(Own)
    before = model.evaluate(X, Y, verbose=0)
    model.fit(X, Y, epochs=2, verbose=0)
    assert model.evaluate(X, Y, verbose=0) < before
    assert model.predict(batches(), steps=2).shape == (16, 2)


@pytest.mark.parametrize("cls", [cylstm.Sequential, FUNCTIONAL])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_trains_by_itself(cls, copied):
    model = compiled(cls)
    model.train_on_batch(X, Y)
    twin = copied(model)
    before = model.get_weights()
    losses = [twin.train_on_batch(X, Y) for _ in range(2)]
    assert losses[1] < losses[0]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert [model.train_on_batch(X, Y) for _ in range(2)] == losses


@pytest.mark.parametrize("cls", [cylstm.Sequential, FUNCTIONAL])
def test_a_shallow_copy_is_compiled_by_itself(cls):
    model = compiled(cls)
    twin = copy.copy(model)
    twin.compile("adam", "mae")
    assert (type(model.optimizer), model.loss) == (cylstm.optimizers.SGD, "mse")
    assert (type(twin.optimizer), twin.loss) == (cylstm.optimizers.Adam, "mae")
    assert twin.evaluate(X, Y, verbose=0) == pytest.approx(np.abs(twin.predict(X) - Y).mean())
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(np.square(model.predict(X) - Y).mean())


def test_a_layer_with_outputs_of_its_own_is_no_model():
    """What a run goes into is said by the layer, not by the attributes that it happens to have."""

    class Noted(TimeDistributed):
        inputs = outputs = ()

    model = cylstm.Sequential([Noted(Dense(2), input_shape=(5, 3))])
    plain = cylstm.Sequential([TimeDistributed(Dense(2), input_shape=(5, 3))])
    plain.set_weights(model.get_weights())
    assert np.array_equal(model.predict(X), plain.predict(X))
    model.compile("sgd", "mse")
    assert model.train_on_batch(X, np.ones((8, 5, 2))) > 0


@pytest.mark.parametrize("model", [sequential(), functional()])
def test_before_compile(model):
    assert model.optimizer is model.loss is model.history is None
    assert not hasattr(model, "metrics_names")
    assert model.stop_training is False
    with pytest.raises(RuntimeError, match="is not compiled"):
        model.fit(X, Y)
    model.summary(print_fn=lambda line: None)
