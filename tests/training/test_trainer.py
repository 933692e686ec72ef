"""compile, fit, evaluate and predict: what they return, change, call and refuse."""

import copy
import pickle

import numpy as np
import pytest

import cylstm
from cylstm import layers

X = np.sin(np.arange(96.0)).reshape(8, 4, 3)
Y = np.cos(np.arange(16.0)).reshape(8, 2)


def made_model(units=2, loss="mse", optimizer="sgd", **options):
    model = cylstm.Sequential(
        [
            layers.LSTM(3, input_shape=(None, 3), dtype="float64", name="lstm"),
            layers.Dense(units, dtype="float64", name="dense", **options.pop("dense", {})),
        ]
    )
    model.compile(optimizer, loss, **options)
    return model


def stateful_model(**options):
    model = cylstm.Sequential(
        [
            layers.LSTM(2, stateful=True, batch_input_shape=(4, 4, 3), dtype="float64"),
            layers.BatchNormalization(dtype="float64"),
        ]
    )
    model.compile("sgd", "mse", **options)
    return model


def everything(model):
    """All that a failed batch must leave alone."""
    states = [s.copy() for x in model.layers if getattr(x, "stateful", False) for s in x.states]
    return [*model.get_weights(), *states, np.array(model.optimizer.iterations)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------------- compile


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sgdd", "mse"), ValueError, "SGD"),
        (("sgd", "msee"), ValueError, "mse"),
        (("sgd", 3), ValueError, "loss"),
        (("sgd", "mse", ["acurracy"]), ValueError, "accuracy"),
        (("sgd", "mse", "accuracy"), TypeError, r"\['accuracy'\]"),
        (("sgd", {"output": "mse"}), ValueError, r"\['output'\], but the model has \['dense'\]"),
        (("sgd", None), ValueError, "no loss to train for"),
    ],
)
def test_what_cannot_be_compiled_leaves_the_model_as_it_was(arguments, error, message):
    model = made_model()
    optimizer = model.optimizer
    with pytest.raises(error, match=message):
        model.compile(*arguments)
    assert model.optimizer is optimizer
    assert model.loss == "mse"
    model.train_on_batch(X, Y)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fit(X, Y),
        lambda model: model.evaluate(X, Y),
        lambda model: model.train_on_batch(X, Y),
        lambda model: model.test_on_batch(X, Y),
        lambda model: model.fit_generator(iter([(X, Y)]), 1),
        lambda model: model.evaluate_generator(iter([(X, Y)]), 1),
    ],
)
def test_a_model_that_is_not_compiled(use):
    model = cylstm.Sequential([layers.Dense(2)])
    with pytest.raises(RuntimeError, match="is not compiled: call compile"):
        use(model)
    assert not model.built


def test_predicting_needs_no_compiling():
    model = cylstm.Sequential([layers.LSTM(2, input_shape=(4, 3))])
    assert model.predict(X).shape == model.predict_on_batch(X).shape == (8, 2)


def test_a_model_that_was_changed_must_be_compiled_again():
    model = made_model()
    model.add(layers.Dense(2, dtype="float64"))
    with pytest.raises(RuntimeError, match="was changed after it was compiled"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, verbose=0)


def test_a_layer_frozen_after_compiling_trains_until_the_next_compiling():
    model = made_model()
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    model.train_on_batch(X, Y)
    assert not np.array_equal(before[0], model.layers[0].get_weights()[0])
    assert not model.layers[0].trainable
    model.compile("sgd", "mse")
    before = model.layers[0].get_weights()
    model.train_on_batch(X, Y)
    assert_same(before, model.layers[0].get_weights())


def test_fit_warns_of_a_layer_frozen_after_compiling():
    model = made_model()
    model.layers[0].trainable = False
    name = model.layers[0].name
    message = f"`trainable` of {name} was set after .* compile it again"
    with pytest.warns(UserWarning, match=message):
        model.fit(X, Y, epochs=1, verbose=0)
    with pytest.warns(UserWarning, match=message):
        model.summary(print_fn=str)


def test_the_parts_of_an_adversarial_pair_train_by_turns():
    x = cylstm.Input((3,))
    judge = cylstm.Sequential([layers.Dense(1, input_shape=(2,), activation="sigmoid")])
    judge.compile("sgd", "binary_crossentropy")
    judge.trainable = False
    forger = layers.Dense(2)
    both = cylstm.Model(x, judge(forger(x)))
    both.compile("sgd", "binary_crossentropy")
    before = judge.get_weights(), forger.get_weights()
    both.train_on_batch(X[:, 0], np.ones((8, 1)))
    assert_same(before[0], judge.get_weights())
    assert not np.array_equal(before[1][0], forger.get_weights()[0])
    judge.train_on_batch(Y, np.ones((8, 1)))
    assert not np.array_equal(before[0][0], judge.get_weights()[0])


def test_optimizers_that_are_objects_are_kept():
    optimizer = cylstm.optimizers.Adam(lr=0.02)
    model = made_model(optimizer=optimizer)
    assert model.optimizer is optimizer
    model.train_on_batch(X, Y)
    assert optimizer.iterations == 1


# ---------------------------------------------------------------------- without an input shape


def deferred(metrics=None):
    model = cylstm.Sequential([layers.LSTM(3), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=metrics)
    return model


@pytest.mark.filterwarnings("ignore:accuracy is the share")
def test_a_model_without_an_input_shape_is_built_by_its_first_data():
    model = deferred(["accuracy"])
    assert model.metrics_names == ["loss", "acc"]
    assert len(model.fit(X, Y, verbose=0).epoch) == 10  # as TensorFlow's Sequential
    assert model.input_shape == (None, 4, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.evaluate(X, Y, verbose=0),
        lambda model: model.predict([X]),
        lambda model: model.train_on_batch((X,), Y),
        lambda model: model.fit(iter([(X, Y)] * 2), steps_per_epoch=2, epochs=1, verbose=0),
        lambda model: model.predict_generator(iter([X] * 2), 2),
    ],
)
def test_every_way_in_builds(use):
    model = deferred()
    use(model)
    assert model.built
    assert model.count_params() == 92


def test_compiling_a_model_without_layers():
    with pytest.raises(ValueError, match="has no layers"):
        cylstm.Sequential().compile("sgd", "mse")


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("method", ["fit", "train_on_batch", "evaluate", "test_on_batch"])
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X[:, :, :2], Y, ValueError, r"Input lstm_input .* \(None, None, 3\), got \(8, 4, 2\)"),
        (X[0], Y, ValueError, r"got \(4, 3\)"),
        (X, Y[:, :1], ValueError, r"targets of dense .* shape \(8, 1\) for outputs .* \(8, 2\)"),
        (X, Y[:5], ValueError, "8 in the inputs, 5 in the targets of dense"),
        (X[:0], Y[:0], ValueError, "no samples"),
        (X, None, ValueError, "takes targets"),
        (None, Y, (ValueError, TypeError), "inputs|must hold real numbers"),
        (X.astype(str), Y, TypeError, "must hold real numbers"),
        (X, Y.astype(complex), TypeError, "must hold real numbers"),
    ],
)
def test_data_that_do_not_fit(method, x, y, error, message):
    model = made_model()
    before = everything(model)
    with pytest.raises(error, match=message):
        getattr(model, method)(x, y)
    assert_same(before, everything(model))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"epochs": 1.5}, TypeError, "epochs"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch"),
        ({"verbose": 3}, ValueError, "verbose must be 0, 1 or 2"),
        ({"shuffle": "batches"}, ValueError, "shuffle"),
        ({"validation_split": 1.0}, ValueError, "validation_split"),
        ({"validation_data": X}, ValueError, "validation_data is a tuple"),
        ({"validation_data": (X, Y[:3])}, ValueError, "8 in the inputs, 3 in"),
        ({"sample_weight": np.ones(3)}, ValueError, "sample_weight"),
        ({"sample_weight": np.ones((8, 4))}, ValueError, "temporal"),
        ({"class_weight": {0: 1.0}}, ValueError, "class_weight"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch"),
        ({"steps_per_epoch": 2, "batch_size": 2}, ValueError, "leave batch_size out"),
        ({"validation_steps": 2, "validation_data": (X, Y)}, ValueError, "steps_per_epoch"),
    ],
)
def test_options_of_fit_that_do_not_fit(options, error, message):
    model = made_model()
    before = everything(model)
    with pytest.raises(error, match=message):
        model.fit(X, Y, **{"verbose": 0} | options)
    assert_same(before, everything(model))
    assert model.history is None


# ---------------------------------------------------------------------- results


def test_training_is_plain_gradient_descent():
    model = made_model()
    weights = [w.astype(np.float64) for w in model.get_weights()]
    y, pullback = model.vjp(X, training=True)
    gradients = pullback(2 * (y - Y) / Y.size).weights
    loss = model.train_on_batch(X, Y)
    assert loss == pytest.approx(np.mean((y - Y) ** 2))
    for new, old, gradient in zip(model.get_weights(), weights, gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.01 * gradient, rtol=1e-12, atol=1e-15)


def test_one_number_without_metrics_and_a_list_with_them():
    model = made_model()
    assert isinstance(model.evaluate(X, Y, verbose=0), float)
    assert isinstance(model.test_on_batch(X, Y), float)
    model = made_model(metrics=["mae"])
    values = model.evaluate(X, Y, verbose=0)
    assert [type(value) for value in values] == [float, float]
    assert values == pytest.approx(model.train_on_batch(X, Y))


def test_evaluation_counts_batches_by_their_size():
    model = made_model(metrics=["mae"])
    by_threes = model.evaluate(X, Y, batch_size=3, verbose=0)
    assert by_threes == pytest.approx(model.evaluate(X, Y, verbose=0))


def test_predictions_do_not_depend_on_batches():
    a = cylstm.Input((4, 3))
    h = layers.LSTM(2, return_sequences=True)(a)
    model = cylstm.Model(a, [h, layers.LSTM(3)(h)])
    whole = model.predict(X)
    assert [y.shape for y in whole] == [(8, 4, 2), (8, 3)]
    for y, z in zip(whole, model.predict(X, batch_size=3), strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-6)
        assert z.dtype == np.float32


def test_predicting_nothing():
    assert made_model().predict(X[:0]).shape == (0, 2)


def test_classes_and_probabilities():
    model = made_model(3, "categorical_crossentropy", dense={"activation": "softmax"})
    outputs = model.predict(X)
    np.testing.assert_array_equal(model.predict_proba(X, verbose=0), outputs)
    np.testing.assert_array_equal(model.predict_classes(X, verbose=0), outputs.argmax(axis=1))
    single = made_model(1, "binary_crossentropy", dense={"activation": "sigmoid"})
    classes = single.predict_classes(X, verbose=0)
    assert classes.tolist() == (single.predict(X) > 0.5).astype(int).tolist()


def test_outputs_that_are_no_probabilities():
    model = made_model(dense={"bias_initializer": "ones"})
    model.layers[1].set_weights([np.zeros((3, 2)), np.full(2, 1.5)])
    with pytest.warns(UserWarning, match="no probabilities"):
        model.predict_proba(X, verbose=0)


def test_inputs_and_targets_are_not_changed():
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    made_model(metrics=["mae"]).fit(x, y, verbose=0, epochs=2, validation_split=0.5)
    assert_same([x, y], [X, Y])


def test_moving_statistics_change_in_training_only():
    model = stateful_model()
    moving = model.layers[1].get_weights()[2:]
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    assert_same(moving, model.layers[1].get_weights()[2:])
    model.train_on_batch(X[:4], Y[:4])
    assert not np.array_equal(moving[0], model.layers[1].get_weights()[2])


def test_added_losses_count_in_the_total():
    model = made_model()
    before = model.evaluate(X, Y, verbose=0)
    model.layers[0].add_loss([0.25, np.float32(0.5)])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(before + 0.75)


def test_training_for_penalties_alone():
    x = cylstm.Input((3,))
    model = cylstm.Model(x, layers.Dense(2, kernel_regularizer="l2")(x))
    model.compile("sgd", None)
    losses = model.fit(X[:, 0], None, epochs=3, verbose=0).history["loss"]
    assert losses[0] > losses[1] > losses[2] > 0


def test_nothing_to_train():
    model = made_model()
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0, epochs=1)
    assert_same(before, model.get_weights())


def test_compiled_models_pickle_and_copy():
    model = made_model(optimizer="adam", metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    model.history = None
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    expected = model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    for other in copies:
        assert other.fit(X, Y, epochs=2, shuffle=False, verbose=0).history == expected
        assert_same(model.get_weights(), other.get_weights())


# ---------------------------------------------------------------------- stateful models


def test_states_are_kept_between_batches_until_reset():
    model = stateful_model()
    first = model.predict(X)
    assert not np.array_equal(first, model.predict(X))
    model.reset_states()
    np.testing.assert_array_equal(first, model.predict(X))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda model: model.fit(X[:6], Y[:6], verbose=0), "multiple of the batch size 4, got 6"),
        (lambda model: model.fit(X, Y, batch_size=3, verbose=0), "multiple of the batch size 3"),
        (lambda model: model.fit(X, Y, batch_size=8, verbose=0), "batches of 4 samples only"),
        (lambda model: model.fit(X, Y, validation_split=0.25, verbose=0), "got 6 samples"),
        (lambda model: model.evaluate(X[:2], Y[:2]), "multiple of the batch size 4, got 2"),
        (lambda model: model.predict(X, batch_size=2), "batches of 4 samples only"),
        (lambda model: model.predict(X[:2]), "multiple of the batch size 4, got 2"),
        (lambda model: model.train_on_batch(X, Y), "batches of 4 samples only, got 8"),
        (lambda model: model.predict_on_batch(X[:3]), "batches of 4 samples only, got 3"),
    ],
)
def test_batch_sizes_that_a_stateful_model_cannot_take(use, message):
    model = stateful_model()
    before = everything(model)
    with pytest.raises(ValueError, match=message):
        use(model)
    assert_same(before, everything(model))


def test_a_stateful_model_without_an_input_shape_is_bound_by_its_first_batch():
    model = cylstm.Sequential([layers.LSTM(2, stateful=True)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert model.input_shape == (4, 4, 3)
