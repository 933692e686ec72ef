"""What was saved comes back: outputs, configs, training that goes on."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm import losses, saving
from cylstm.layers import (
    LSTM,
    Activation,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Masking,
    TimeDistributed,
)
from cylstm.models import load_model
from cylstm.utils import set_random_seed

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((4, 5, 3))


def sequential() -> cylstm.Model:
    return cylstm.Sequential(
        [Masking(input_shape=(5, 3)), LSTM(4, return_sequences=True), LSTM(2), Dense(1)]
    )


def functional() -> cylstm.Model:
    x, h, c = cylstm.Input((5, 3), name="x"), cylstm.Input((4,)), cylstm.Input((4,))
    sequence, *states = LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    y = Concatenate()([LSTM(2)(sequence), states[1]])
    return cylstm.Model([x, h, c], [Dense(2, name="y")(y), sequence], name="with_states")


def shared() -> cylstm.Model:
    a, b = cylstm.Input((5, 3)), cylstm.Input((5, 3))
    lstm = LSTM(3, name="shared")
    return cylstm.Model([a, b], Concatenate()([lstm(a), Dense(2)(lstm(b))]))


def nested() -> cylstm.Model:
    inner = cylstm.Sequential([LSTM(3, input_shape=(5, 3)), Dense(2)], name="inner")
    x = cylstm.Input((5, 3))
    deeper = cylstm.Model(x, [inner(x), Dense(4)(inner(x))], name="deeper")
    y = cylstm.Input((5, 3))
    return cylstm.Model(y, Concatenate()(deeper(y)))


def nested_sequential() -> cylstm.Model:
    inner = cylstm.Sequential([LSTM(3, input_shape=(5, 3)), Dense(2)], name="encoder")
    return cylstm.Sequential([inner, Dense(3, name="decoder")])


def bidirectional() -> cylstm.Model:
    return cylstm.Sequential(
        [
            Bidirectional(LSTM(3, return_sequences=True), input_shape=(5, 3)),
            TimeDistributed(Dense(2, activation="relu")),
            Bidirectional(LSTM(2), merge_mode="sum"),
        ]
    )


def stateful() -> cylstm.Model:
    return cylstm.Sequential([LSTM(3, stateful=True, batch_input_shape=(4, None, 3))])


def double_precision() -> cylstm.Model:
    return cylstm.Sequential([LSTM(3, input_shape=(5, 3), dtype="float64")])


def normalised() -> cylstm.Model:
    layers = [LSTM(3, input_shape=(5, 3)), BatchNormalization(), Dropout(0.5), Dense(1)]
    model = cylstm.Sequential(layers)
    model.compile("sgd", "mse")
    model.train_on_batch(X, np.ones((4, 1)))  # moves the moving averages
    return model


def partly_frozen() -> cylstm.Model:
    inner = cylstm.Sequential(
        [LSTM(3, return_sequences=True, trainable=False, input_shape=(5, 3)), LSTM(3)]
    )
    return cylstm.Sequential([inner, Dense(1)])


def built_by_data() -> cylstm.Model:
    model = cylstm.Sequential([LSTM(3), Dense(1)], name="late")
    model.predict(X)
    return model


def repeated_names() -> cylstm.Model:
    class Twice(Layer):
        def build(self, input_shape: tuple) -> None:
            self.add_weight("w", (1,), initializer="normal")
            self.add_weight("w", (1,), initializer="normal")
            super().build(input_shape)

        def call(self, inputs: np.ndarray) -> np.ndarray:
            first, second = self.weights
            return inputs * first.value + second.value

    return cylstm.Sequential([Twice(input_shape=(5, 3), name="odd/name \u00e9\n")])


MODELS = [
    sequential,
    functional,
    shared,
    nested,
    nested_sequential,
    bidirectional,
    stateful,
    double_precision,
    normalised,
    partly_frozen,
    built_by_data,
    repeated_names,
]


def data_for(model: cylstm.Model) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.standard_normal((4, *(n or 5 for n in t.shape[1:]))) for t in model.inputs]


def outputs_of(model: cylstm.Model) -> list[np.ndarray]:
    if model.stateful:
        model.reset_states()
    outputs = model.predict(data_for(model), batch_size=4)
    return outputs if isinstance(outputs, list) else [outputs]


def custom_objects_of(model: cylstm.Model) -> dict:
    known = set(cylstm.layers.__all__) | {"Sequential", "Model"}
    classes = {type(layer).__name__: type(layer) for layer in model.layers}
    return {name: cls for name, cls in classes.items() if name not in known}


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_model_comes_back(make, tmp_path):
    model = make()
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = load_model(path, custom_objects_of(model))
    for before, after in zip(outputs_of(model), outputs_of(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
    assert loaded.get_config() == model.get_config()
    assert loaded.name == model.name
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert [t.shape for t in loaded.inputs] == [t.shape for t in model.inputs]
    assert [v.dtype for v in loaded.weights] == [v.dtype for v in model.weights]
    assert os.listdir(tmp_path) == ["model.safetensors"]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_weights_come_back(make, tmp_path):
    model, other = make(), make()
    path = tmp_path / "weights.safetensors"
    model.save_weights(path)
    other.load_weights(path)
    for before, after in zip(outputs_of(model), outputs_of(other), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("make", MODELS[:3], ids=lambda make: make.__name__)
def test_a_file_is_the_same_each_time_and_does_not_depend_on_seeds(make, tmp_path):
    model = make()
    model.save(tmp_path / "one.safetensors")
    model.save(tmp_path / "two.safetensors")
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    load_model(one).save(two)
    assert one.read_bytes() == two.read_bytes()


def test_loading_draws_no_random_numbers(tmp_path):
    model = sequential()
    model.save(tmp_path / "model.safetensors")
    set_random_seed(1)
    expected = sequential().get_weights()
    set_random_seed(1)
    load_model(tmp_path / "model.safetensors")
    for before, after in zip(expected, sequential().get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "optimizer", ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"]
)
def test_training_goes_on_as_if_never_interrupted(optimizer, tmp_path):
    y = RANDOM.standard_normal((4, 1))
    model = sequential()
    model.compile(
        {"class_name": optimizer, "config": {"decay": 0.1} if optimizer != "nadam" else {}},
        "mse",
        ["mae"],
    )
    for _ in range(3):
        model.train_on_batch(X, y)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = load_model(path)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert loaded.optimizer.iterations == 3
    assert loaded.metrics_names == model.metrics_names
    for _ in range(3):
        assert loaded.train_on_batch(X, y) == model.train_on_batch(X, y)
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    loaded.save(path)  # also of a state that was loaded and not used yet
    load_model(path).save(tmp_path / "again.safetensors")
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_a_learning_rate_that_was_changed_is_kept(tmp_path):
    model = sequential()
    model.compile("adam", "mse")
    model.optimizer.lr = 0.125
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.optimizer.lr == 0.125
    assert loaded.optimizer.get_weights() == []


def test_losses_and_weights_of_several_outputs(tmp_path):
    model = functional()
    model.compile(
        "sgd",
        {"y": losses.mean_absolute_error, model.output_names[1]: "mse"},
        metrics={"y": ["mse", losses.logcosh]},
        loss_weights=[np.float32(0.5), 2],
        sample_weight_mode={"y": None, model.output_names[1]: "temporal"},
    )
    x = data_for(model)
    y = [RANDOM.standard_normal((4, 2)), RANDOM.standard_normal((4, 5, 4))]
    weights = [np.ones(4), RANDOM.random((4, 5))]
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.loss["y"] == "mean_absolute_error"
    assert loaded.metrics_names == model.metrics_names
    expected = model.test_on_batch(x, y, sample_weight=weights)
    assert loaded.test_on_batch(x, y, sample_weight=weights) == expected


@pytest.mark.parametrize("include", [True, False])
def test_without_optimizer(include, tmp_path):
    model = sequential()
    model.compile("adam", "mse")
    model.train_on_batch(X, np.ones((4, 1)))
    path = tmp_path / "model.safetensors"
    model.save(path, include_optimizer=include)
    assert load_model(path, compile=False).optimizer is None
    assert (load_model(path).optimizer is not None) == include
    with pytest.raises(RuntimeError, match="compile"):
        load_model(path, compile=False).train_on_batch(X, np.ones((4, 1)))


def test_a_model_that_is_not_compiled(tmp_path):
    model = sequential()
    model.save(tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").optimizer is None


def test_a_state_for_other_weights_is_left_out_with_a_warning(tmp_path):
    model = sequential()
    model.compile("adam", "mse")
    model.train_on_batch(X, np.ones((4, 1)))
    model.layers[1].trainable = False
    with pytest.warns(UserWarning, match="Compile the model again") as caught:
        model.save(tmp_path / "model.safetensors")
    assert caught[0].filename == __file__
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.optimizer.iterations == 0
    loaded.train_on_batch(X, np.ones((4, 1)))


def halves(x: np.ndarray) -> np.ndarray:
    return x / 2


halves.derivative = lambda x: np.full_like(x, 0.5)


class Scale(Layer):
    def __init__(self, factor: float = 2.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: np.ndarray) -> np.ndarray:
        return self.factor * inputs


def half_squared(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return np.mean(np.square(y_pred - y_true), axis=-1) / 2


CUSTOM = {"halves": halves, "Scale": Scale, "half_squared": half_squared}


def custom() -> cylstm.Model:
    model = cylstm.Sequential(
        [Scale(3.0, input_shape=(5, 3)), LSTM(3, activation=halves), Activation(halves)]
    )
    model.compile("sgd", half_squared, [half_squared])
    return model


def test_custom_objects(tmp_path):
    model = custom()
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = load_model(path, CUSTOM)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.evaluate(X, np.ones((4, 3)), verbose=0) == model.evaluate(
        X, np.ones((4, 3)), verbose=0
    )
    with cylstm.utils.custom_object_scope(CUSTOM):
        np.testing.assert_array_equal(load_model(path).predict(X), model.predict(X))
    assert cylstm.utils.get_custom_objects() == {}


@pytest.mark.parametrize("missing", CUSTOM)
def test_a_custom_object_that_is_not_given(missing, tmp_path):
    custom().save(tmp_path / "model.safetensors")
    given = {name: thing for name, thing in CUSTOM.items() if name != missing}
    with pytest.raises(saving.FormatError, match=f"(?s){missing}.*custom_objects"):
        load_model(tmp_path / "model.safetensors", given)


def test_a_lambda_is_refused_before_anything_is_written(tmp_path):
    model = cylstm.Sequential([Dense(1, activation=lambda x: x, input_shape=(3,))])
    with pytest.raises(ValueError, match=r"\['activation'\] is a lambda.*def"):
        model.save(tmp_path / "model.safetensors")
    model = sequential()
    model.compile("sgd", lambda y_true, y_pred: 0.0 * y_pred[..., 0])
    with pytest.raises(ValueError, match=r"\['loss'\] is a lambda.*def"):
        model.save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (float("nan"), ValueError, "nan, which JSON cannot"),
        (float("inf"), ValueError, "inf, which JSON cannot"),
        ({1: 2}, TypeError, "the key 1"),
        (object(), TypeError, "JSON cannot hold"),
        ([0.12345678901] * 300_000, ValueError, "at most .* are stored: are there large arrays"),
        ("long" * 20_000, ValueError, "a text of 80000 characters"),
    ],
)
def test_a_config_that_does_not_fit_into_a_file(factor, error, message, tmp_path):
    model = cylstm.Sequential([Scale(factor, input_shape=(3,))])
    with pytest.raises(error, match=message):
        model.save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == []


def test_values_in_a_config_become_plain(tmp_path):
    model = cylstm.Sequential([Scale(np.float32(0.1), input_shape=(3,))])
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", {"Scale": Scale})
    assert loaded.layers[0].factor == float(np.float32(0.1))


def test_a_model_that_is_not_built(tmp_path):
    model = cylstm.Sequential([LSTM(3)])
    for save in (model.save, model.save_weights):
        with pytest.raises(ValueError, match="not built"):
            save(tmp_path / "model.safetensors")
    cylstm.Sequential([LSTM(3, input_shape=(5, 3))]).save_weights(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="not built"):
        model.load_weights(tmp_path / "w.safetensors")


def test_an_embedding_without_a_float_input(tmp_path):
    model = cylstm.Sequential([Embedding(7, 3, mask_zero=True, input_length=5), LSTM(2)])
    numbers = np.arange(10).reshape(2, 5) % 7
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(numbers), model.predict(numbers))


def test_deep_copies_save_alike(tmp_path):
    model = functional()
    model.save(tmp_path / "one.safetensors")
    copy.deepcopy(model).save(tmp_path / "two.safetensors")
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_paths_and_suffixes(tmp_path: Path):
    model = sequential()
    model.save(str(tmp_path / "MODEL.SafeTensors"))
    model.save(tmp_path / "plain")
    (tmp_path / "plain").rename(tmp_path / "other.name")
    for name in ("MODEL.SafeTensors", "other.name"):
        np.testing.assert_array_equal(load_model(tmp_path / name).predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"No format .*\.h5x.*\.safetensors"):
        model.save(tmp_path / "model.h5x")
    with pytest.raises(ValueError, match=r"No format .*\.h5x.*\.safetensors"):
        model.save_weights(tmp_path / "model.h5x")


def test_a_format_joins_by_one_line(tmp_path, monkeypatch):
    class Lines:
        suffixes = (".lines",)

        def recognises(self, head):
            return head.startswith(b"lines:")

        def encode(self, model, include_optimizer):
            return f"lines:{model.to_json()}".encode()

        def load(self, path, custom_objects, compile, max_size):
            return cylstm.models.model_from_json(Path(path).read_text()[6:], custom_objects)

    monkeypatch.setitem(saving.FORMATS, "lines", Lines())
    sequential().save(tmp_path / "model.lines")
    (tmp_path / "model.lines").rename(tmp_path / "model.other")
    assert len(load_model(tmp_path / "model.other").layers) == 4


def test_safetensors_reads_it(tmp_path):
    from safetensors.numpy import load_file

    model = sequential()
    model.save(tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    kernel = model.layers[1].kernel
    np.testing.assert_array_equal(tensors[kernel.name], kernel.value)
