"""Spellings of Keras 1, with a warning, and of today; what cannot be had is refused by name."""

import inspect
import json
import pickle
import re
import warnings

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential, layers, optimizers
from cylstm.callbacks._progress import checked_verbose
from cylstm.layers import LSTM, Dense, Embedding, InputLayer
from cylstm.utils import Sequence

RNG = np.random.default_rng(3)
X = RNG.normal(size=(8, 5, 3)).astype("f")
Y = RNG.normal(size=(8, 2)).astype("f")


def config(layer):
    return layer.get_config() | {"name": ""}


# Class, arguments of Keras 1, the same of Keras 2 as Keras 2.0.9 takes them.
KERAS_1 = [
    (
        LSTM,
        {"output_dim": 3, "init": "normal", "inner_init": "identity", "inner_activation": "tanh",
         "W_regularizer": "l1", "U_regularizer": "l2", "b_regularizer": "l1", "dropout_W": 0.25,
         "dropout_U": 0.5, "consume_less": "gpu"},
        {"units": 3, "kernel_initializer": "normal", "recurrent_initializer": "identity",
         "recurrent_activation": "tanh", "kernel_regularizer": "l1",
         "recurrent_regularizer": "l2", "bias_regularizer": "l1", "dropout": 0.25,
         "recurrent_dropout": 0.5, "implementation": 2},
    ),
    (LSTM, {"units": 3, "consume_less": "cpu"}, {"units": 3, "implementation": 0}),
    (LSTM, {"units": 3, "consume_less": "mem"}, {"units": 3, "implementation": 1}),
    (LSTM, {"units": 3, "forget_bias_init": "one"}, {"units": 3, "unit_forget_bias": True}),
    (LSTM, {"units": 3, "forget_bias_init": "zero"}, {"units": 3, "unit_forget_bias": False}),
    (
        Dense,
        {"output_dim": 3, "init": "uniform", "W_regularizer": "l1", "b_regularizer": "l2",
         "W_constraint": "nonneg", "b_constraint": "maxnorm", "bias": True},
        {"units": 3, "kernel_initializer": "uniform", "kernel_regularizer": "l1",
         "bias_regularizer": "l2", "kernel_constraint": "non_neg",
         "bias_constraint": "max_norm", "use_bias": True},
    ),
    (
        Embedding,
        {"input_dim": 9, "output_dim": 3, "init": "normal", "W_regularizer": "l1",
         "W_constraint": "nonneg"},
        {"input_dim": 9, "output_dim": 3, "embeddings_initializer": "normal",
         "embeddings_regularizer": "l1", "embeddings_constraint": "non_neg"},
    ),
    (
        layers.Conv1D,
        {"nb_filter": 4, "filter_length": 3, "subsample_length": 2, "border_mode": "same",
         "init": "normal", "W_regularizer": "l1", "b_regularizer": "l2",
         "W_constraint": "nonneg", "b_constraint": "nonneg", "bias": False, "input_dim": 3,
         "input_length": 5},
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same",
         "kernel_initializer": "normal", "kernel_regularizer": "l1", "bias_regularizer": "l2",
         "kernel_constraint": "non_neg", "bias_constraint": "non_neg", "use_bias": False,
         "input_shape": (5, 3)},
    ),
    (layers.MaxPooling1D, {"pool_length": 3, "stride": 2, "border_mode": "same"},
     {"pool_size": 3, "strides": 2, "padding": "same"}),
    (layers.AveragePooling1D, {"pool_length": 3}, {"pool_size": 3}),
    (layers.Dropout, {"p": 0.25}, {"rate": 0.25}),
    (layers.SpatialDropout1D, {"p": 0.25}, {"rate": 0.25}),
    (layers.GaussianNoise, {"sigma": 0.25}, {"stddev": 0.25}),
    (layers.BatchNormalization, {"beta_init": "ones", "gamma_init": "zeros"},
     {"beta_initializer": "ones", "gamma_initializer": "zeros"}),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "old", "new"), KERAS_1)
def test_keras_1_arguments_with_a_warning(cls, old, new):
    with pytest.warns(UserWarning, match=rf"{cls.__name__}.* as in Keras 1.*In Keras 2") as caught:
        layer = cls(**old)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    renamed = [name for name in new if name not in old]
    assert all(f"{name}=" in text for name in renamed)
    assert not [name for name in old if name not in new and re.search(rf"\b{name}=", text)]
    assert config(layer) == config(cls(**new))


def test_the_warning_gives_the_call_to_write():
    with pytest.warns(UserWarning, match="LSTM") as caught:
        LSTM(output_dim=3, init="normal", weights=None)
    assert str(caught[0].message) == (
        "This call of LSTM is spelt as in Keras 1. In Keras 2 it is "
        "LSTM(weights=None, units=3, kernel_initializer='normal')."
    )


def test_a_subclass_takes_them_too():
    class Mine(Dense):
        pass

    with pytest.warns(UserWarning, match="call of Mine"):
        assert Mine(output_dim=3).units == 3


# What is refused, by the name that it was given; and a value of it that is so anyway.
REFUSED = [
    (LSTM, {"units": 3}, "time_major", True, False),
    (LSTM, {"units": 3}, "use_cudnn", True, "auto"),
    (LSTM, {"units": 3}, "seed", 7, None),
    (LSTM, {"units": 3}, "zero_output_for_mask", True, False),
    (Embedding, {"input_dim": 9, "output_dim": 3}, "dropout", 0.5, 0.0),
    (layers.Conv1D, {"filters": 3, "kernel_size": 2}, "data_format", "channels_first",
     "channels_last"),
    (layers.Conv1D, {"filters": 3, "kernel_size": 2}, "groups", 3, 1),
    (layers.MaxPooling1D, {}, "data_format", "channels_first", "channels_last"),
    (layers.GlobalMaxPooling1D, {}, "keepdims", True, False),
    (layers.GaussianNoise, {"stddev": 1.0}, "seed", 7, None),
    (layers.BatchNormalization, {}, "mode", 1, 0),
    (layers.BatchNormalization, {}, "synchronized", True, False),
    (layers.LayerNormalization, {}, "rms_scaling", True, False),
    (layers.Bidirectional, {"layer": LSTM(3)}, "backward_layer", LSTM(3), None),
    (layers.Flatten, {}, "data_format", "channels_first", None),
    (Input, {"shape": (3,)}, "ragged", True, False),
    (Input, {"shape": (3,)}, "sparse", True, False),
    (Input, {"shape": (3,)}, "tensor", X, None),
    (InputLayer, {"input_shape": (3,)}, "input_tensor", X, None),
    (optimizers.Adam, {}, "amsgrad", True, False),
    (optimizers.Adam, {}, "weight_decay", 0.004, None),
    (optimizers.Adam, {}, "name", "mine", "Adam"),
    (optimizers.SGD, {}, "use_ema", True, False),
    (optimizers.SGD, {}, "ema_momentum", 0.5, 0.99),
    (optimizers.SGD, {}, "loss_scale_factor", 2.0, None),
    (optimizers.SGD, {}, "gradient_accumulation_steps", 4, None),
    (optimizers.SGD, {}, "jit_compile", True, "auto"),
    (optimizers.RMSprop, {}, "momentum", 0.5, 0.0),
    (optimizers.RMSprop, {}, "centered", True, False),
    (optimizers.Adagrad, {}, "initial_accumulator_value", 0.1, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "needed", "name", "bad", "good"), REFUSED)
def test_what_cannot_be_had_is_refused_by_name(cls, needed, name, bad, good):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: {name}=.* is not offered: \w+"):
        cls(**needed, **{name: bad})
    assert type(cls(**needed, **{name: good})) is type(cls(**needed))


def test_forget_bias_init_of_another_kind_is_refused():
    """Keras 2.0.9 warns and ignores it."""
    with pytest.raises(ValueError, match="forget_bias_init='normal' is not offered: unit_forget"):
        LSTM(3, forget_bias_init="normal")


def test_both_spellings_of_one_argument():
    with pytest.raises(TypeError, match="got both units and output_dim"):
        Dense(units=3, output_dim=3)
    with pytest.raises(TypeError, match="got both lr and learning_rate"):
        optimizers.Adam(lr=0.1, learning_rate=0.1)
    with pytest.raises(TypeError, match="units"):
        LSTM(3, units=4)


# ---------------------------------------------------------------------- models


def compiled(cls=None):
    model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(2)])
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def test_inputs_and_outputs_of_a_model():
    x = Input((5, 3))
    with pytest.warns(UserWarning, match=r"Model\(inputs=.*outputs="):
        model = Model(input=x, output=LSTM(4)(x))
    assert model.output_shape == (None, 4)
    with pytest.warns(UserWarning, match="Keras 1"):
        layer = InputLayer(input_shape=(5,), input_dtype="int32")
    assert layer.dtype == "int32"


def test_nb_epoch():
    model = compiled()
    with pytest.warns(UserWarning, match="epochs=2") as caught:
        history = model.fit(X, Y, nb_epoch=2, verbose=0)
    assert caught[0].filename == __file__
    assert history.epoch == [0, 1]


class Batches(Sequence):
    batch_size = 4

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


def endless():
    while True:
        yield X[:4], Y[:4]


def test_generators_of_keras_1():
    """As Keras 2.0.9: samples are divided by the size of a batch only where that is known."""
    model = compiled()
    with pytest.warns(UserWarning, match="counted in batches"):
        history = model.fit_generator(
            Batches(), samples_per_epoch=8, nb_epoch=2, verbose=0, validation_data=endless(),
            nb_val_samples=3, nb_worker=1, max_q_size=4, pickle_safe=False,
        )  # fmt: skip
    assert history.epoch == [0, 1]
    assert history.params["steps"] == 2
    with pytest.warns(UserWarning, match="steps_per_epoch=3"):
        history = model.fit_generator(endless(), samples_per_epoch=3, verbose=0, nb_epoch=1)
    assert history.params["steps"] == 3
    with pytest.warns(UserWarning, match="evaluate_generator.*steps=2"):
        loss = model.evaluate_generator(endless(), val_samples=2)
    assert loss == pytest.approx(model.evaluate(X[:4], Y[:4], verbose=0))
    with pytest.warns(UserWarning, match="max_queue_size=3"):
        assert model.predict_generator(endless(), val_samples=2, max_q_size=3).shape == (8, 2)


def test_todays_arguments_of_training():
    model = compiled()
    model.compile("sgd", "mse", run_eagerly=True, jit_compile=False, steps_per_execution=1)
    for name, value in {"jit_compile": True, "steps_per_execution": 4, "target_tensors": X}.items():
        with pytest.raises(ValueError, match=f"compile: {name}=.* is not offered"):
            model.compile("sgd", "mse", **{name: value})
    history = model.fit(
        Batches(), epochs=1, verbose=0, workers=2, use_multiprocessing=False, max_queue_size=3,
        validation_freq=1,
    )  # fmt: skip
    assert history.params["steps"] == 2
    assert model.predict(Batches(), workers=2).shape == (8, 2)
    assert model.evaluate(Batches(), verbose=0, workers=2) > 0
    with pytest.raises(ValueError, match="fit: validation_freq=2 is not offered"):
        model.fit(X, Y, validation_freq=2)
    with pytest.raises(ValueError, match="evaluate: return_dict=True is not offered: dict"):
        model.evaluate(X, Y, return_dict=True)
    with pytest.raises(ValueError, match="predict: callbacks=.* is not offered"):
        model.predict(X, callbacks=[cylstm.callbacks.History()])
    assert model.train_on_batch(X, Y, reset_metrics=True) > 0
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="leave out workers, or give a Sequence"):
            method(X, Y, workers=4)
    with pytest.raises(ValueError, match="leave out use_multiprocessing"):
        model.predict(X, use_multiprocessing=True)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_verbose_auto_is_one(method, capfd):
    model = compiled()
    arguments = (X,) if method == "predict" else (X, Y)
    options = {"epochs": 1} if method == "fit" else {}
    shown = {}
    for verbose in (1, "auto", 0):
        getattr(model, method)(*arguments, verbose=verbose, **options)
        shown[verbose] = bool("".join(capfd.readouterr()))
    assert shown == {1: shown[1], "auto": shown[1], 0: False}
    assert [checked_verbose(v) for v in ("auto", 0, 1, 2)] == [1, 0, 1, 2]


def test_validation_batch_size():
    """The loss does not depend on it; a stateful model refuses what does not divide."""
    model = compiled()
    seen = []
    steps = model._trainer._prepared.compiled()
    test = steps.test

    def counted(samples):
        seen.append(samples.size)
        return test(samples)

    steps.test = counted
    model.fit(X, Y, epochs=1, verbose=0, batch_size=8, validation_data=(X, Y),
              validation_batch_size=3)  # fmt: skip
    assert seen == [3, 3, 2]
    del seen[:]
    model.fit(X, Y, epochs=1, verbose=0, batch_size=4, validation_split=0.5,
              validation_batch_size=2)  # fmt: skip
    assert seen == [2, 2]
    with pytest.raises(ValueError, match="batch_size"):
        model.fit(X, Y, validation_data=(X, Y), validation_batch_size=0)
    with pytest.raises(ValueError, match="validation_batch_size"):
        model.fit(Batches(), validation_batch_size=2)


@pytest.mark.parametrize(
    "first",
    [
        lambda: Input((5, 3)),
        lambda: Input(shape=(5, 3), batch_size=None),
        lambda: InputLayer(shape=(5, 3)),
        lambda: InputLayer(batch_shape=(None, 5, 3)),
        lambda: InputLayer((5, 3)),
    ],
)
def test_a_sequential_that_begins_with_an_input(first):
    model = Sequential([first(), LSTM(4), Dense(2)])
    assert model.input_shape == (None, 5, 3)
    assert [type(layer) for layer in model.layers] == [LSTM, Dense]
    again = cylstm.models.model_from_json(model.to_json())
    assert again.input_shape == (None, 5, 3)
    assert again.to_json() == model.to_json()
    added = Sequential()
    added.add(first())
    added.add(LSTM(4))
    assert added.output_shape == (None, 4)
    added.pop()
    with pytest.raises(TypeError, match="Only layers"):
        Sequential([LSTM(4)(Input((5, 3)))])


# ---------------------------------------------------------------------- optimizers


@pytest.mark.parametrize(
    "cls",
    [optimizers.SGD, optimizers.RMSprop, optimizers.Adagrad, optimizers.Adadelta, optimizers.Adam,
     optimizers.Adamax, optimizers.Nadam],
)  # fmt: skip
def test_learning_rate_is_lr(cls):
    optimizer = cls(learning_rate=0.25, global_clipnorm=2.0)
    assert optimizer.get_config() == cls(lr=0.25, clipnorm=2.0).get_config()
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = 0.5
    assert optimizer.lr == 0.5
    optimizer.lr = 0.125
    assert pickle.loads(pickle.dumps(optimizer)).learning_rate == 0.125
    with pytest.raises(ValueError, match="lr must be"):
        optimizer.learning_rate = -1
    config = {"class_name": cls.__name__, "config": {"name": cls.__name__, "learning_rate": 0.5}}
    assert optimizers.get(config).lr == 0.5
    if cls is not optimizers.SGD:
        assert cls(epsilon=None).epsilon == 1e-7


# ---------------------------------------------------------------------- what must stay


def test_configs_of_old_files_go_through_unchanged():
    layer = LSTM(3, input_dim=4, input_length=5)
    written = json.loads(json.dumps(layer.get_config()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LSTM.from_config(written).get_config() == layer.get_config()
        embedding = Embedding(9, 3, input_length=5)
        assert Embedding.from_config(embedding.get_config()).output_dim == 3


def test_signatures_stay():
    assert list(inspect.signature(Dense).parameters)[:2] == ["units", "activation"]
    assert list(inspect.signature(Sequential.fit).parameters)[:4] == [
        "self",
        "x",
        "y",
        "batch_size",
    ]
    assert Dense.__init__.__wrapped__.__name__ == "__init__"
    assert "learning_rate" not in inspect.signature(optimizers.Adam).parameters


# ---------------------------------------------------------------------- classes that are functions


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (cylstm.losses, cylstm.losses.CLASSES),
        (cylstm.metrics, cylstm.losses.CLASSES | cylstm.metrics._ACCURACY_CLASSES),
    ],
)
def test_losses_and_metrics_in_the_form_of_classes(module, names):
    for name, function in names.items():
        form = getattr(module, name)
        assert form() is getattr(module, function) is module.get(name)
        assert form(name=function) is form(name=None) is form()
        assert pickle.loads(pickle.dumps(form)) is form
        with pytest.raises(ValueError, match=f"{name}: name='mine' is not offered"):
            form(name="mine")


@pytest.mark.parametrize(
    ("form", "arguments"),
    [
        (cylstm.losses.BinaryCrossentropy, {"from_logits": True}),
        (cylstm.losses.CategoricalCrossentropy, {"label_smoothing": 0.1}),
        (cylstm.losses.MeanSquaredError, {"reduction": "sum"}),
        (cylstm.losses.SparseCategoricalCrossentropy, {"ignore_class": 0}),
        (cylstm.metrics.TopKCategoricalAccuracy, {"k": 3}),
        (cylstm.metrics.BinaryAccuracy, {"threshold": 0.3}),
    ],
)
def test_classes_refuse_what_the_function_does_not_do(form, arguments):
    with pytest.raises(ValueError, match="is not offered: "):
        form(**arguments)


def test_a_model_with_losses_and_metrics_of_today():
    model = compiled()
    model.compile(
        optimizers.Adam(learning_rate=0.01),
        loss=cylstm.losses.MeanSquaredError(reduction="sum_over_batch_size"),
        metrics=[cylstm.metrics.MeanAbsoluteError(), "MeanSquaredError"],
    )
    assert model.metrics_names == ["loss", "mean_absolute_error", "mean_squared_error"]
    history = model.fit(X, Y, epochs=1, verbose=0).history
    assert history["loss"] == pytest.approx(history["mean_squared_error"], rel=1e-6)


@pytest.mark.parametrize(
    "name",
    ["GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"],
)
def test_initializers_in_the_form_of_classes(name):
    own = re.sub("(?<!^)(?=[A-Z])", "_", name).lower()
    made = getattr(cylstm.initializers, name)(seed=3)
    wanted = getattr(cylstm.initializers, own)(seed=3)
    np.testing.assert_array_equal(made((2, 3)), wanted((2, 3)))


# ---------------------------------------------------------------------- add_weight


@pytest.mark.parametrize(
    "make",
    [
        lambda layer: layer.add_weight("w", (2, 3), initializer="ones"),  # Keras 2
        lambda layer: layer.add_weight((2, 3), initializer="ones", name="w"),  # Keras 1
        lambda layer: layer.add_weight([2, 3], "w", initializer="ones"),
        lambda layer: layer.add_weight(shape=(2, 3), initializer="ones", name="w"),  # today
    ],
)
def test_add_weight(make):
    layer = layers.Layer(name="layer")
    weight = make(layer)
    assert weight.name == "layer/w"
    np.testing.assert_array_equal(weight.value, np.ones((2, 3)))


def test_add_weight_without_a_name():
    layer = layers.Layer(name="layer")
    names = [layer.add_weight(shape=(2,)).name, layer.add_weight((3,), trainable=False).name]
    assert names == ["layer/weight_1", "layer/weight_2"]
    with pytest.raises(TypeError, match="after a shape and a name, give arguments by name"):
        layer.add_weight((2,), "w", "ones")


@pytest.mark.parametrize("name", ["expand_nested", "show_trainable", "show_dtype"])
def test_todays_views(name, tmp_path):
    model = compiled()
    shown = []
    if name != "show_dtype":
        model.summary(print_fn=shown.append, **{name: False})
        assert shown
        with pytest.raises(ValueError, match=f"summary: {name}=True is not offered"):
            model.summary(**{name: True})
    cylstm.utils.plot_model(model, tmp_path / "a.dot", dpi=96, **{name: False})
    with pytest.raises(ValueError, match=f"plot_model: {name}=True is not offered"):
        cylstm.utils.plot_model(model, tmp_path / "b.dot", **{name: True})
    assert [path.name for path in tmp_path.iterdir()] == ["a.dot"]
