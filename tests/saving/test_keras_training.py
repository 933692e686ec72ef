"""What models were compiled with, and the states of optimizers, in the files of every Keras."""

import json

import h5py
import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Dense
from cylstm.models import load_model
from cylstm.saving import FormatError, _keras_training
from cylstm.saving._weights import Stored


@pytest.fixture
def model() -> cylstm.Model:
    x = cylstm.Input((None, 3))
    y = LSTM(2)(x)
    return cylstm.Model(x, [Dense(1, name="one")(y), Dense(2, name="two")(y)])


def read(model, optimizer=None, variables=(), origin="keras2", **config):
    optimizer = optimizer or {"class_name": "SGD", "config": {}}
    stored = [Stored(layer.name, [], []) for layer in model.layers]
    return _keras_training.training_from(
        {"optimizer_config": optimizer, **config}, list(variables), model, stored, origin
    )


def wrapped(fn, name, kind="MeanMetricWrapper"):
    return {"class_name": kind, "config": {"name": name, "dtype": "float32", "fn": fn}}


LOSSES = {
    "a name": ("mse", "mse"),
    "a function": ({"class_name": "function", "config": "Custom>own"}, "own"),
    "a class": (
        {
            "module": "keras.losses",
            "class_name": "MeanSquaredError",
            "config": {"name": "mean_squared_error", "reduction": "sum_over_batch_size"},
            "registered_name": None,
        },
        "mean_squared_error",
    ),
    "probabilities": (
        {
            "class_name": "CategoricalCrossentropy",
            "config": {
                "reduction": "auto",
                "name": "c",
                "from_logits": False,
                "label_smoothing": 0.0,
                "axis": -1,
            },
        },
        "categorical_crossentropy",
    ),
    "a wrapped function": (wrapped("huber", "h", "LossFunctionWrapper"), "huber"),
    "a dict": ({"one": "mse", "two": "mae"}, {"one": "mse", "two": "mae"}),
    "a list": (["mse", None], ["mse", None]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, model):
    given, expected = LOSSES[name]
    assert read(model, loss=given)[0]["loss"] == expected


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"class_name": "BinaryCrossentropy", "config": {"from_logits": True}}, "from_logits=True"),
        ({"class_name": "MeanSquaredError", "config": {"reduction": "sum"}}, "reduction='sum'"),
        ({"class_name": "Huber", "config": {"delta": 2.0}}, "Huber with .*delta"),
    ],
)
def test_losses_that_cannot_be_honoured(loss, message, model):
    with pytest.raises(ValueError, match=f"{message}.*compile=False"):
        read(model, loss=loss)


def test_metrics(model):
    given = [["mae", wrapped("binary_accuracy", "accuracy")], []]
    assert read(model, metrics=given)[0]["metrics"] == {"one": ["mae", "acc"]}
    given = ["mae", wrapped("mean_squared_error", "mse")]
    assert read(model, metrics=given)[0]["metrics"] == ["mae", "mean_squared_error"]
    given = [{"class_name": "BinaryAccuracy", "config": {"name": "b", "threshold": 0.5}}]
    assert read(model, metrics=given)[0]["metrics"] == ["binary_accuracy"]
    with pytest.raises(ValueError, match="AUC with .*curve.*compile=False"):
        read(model, metrics=[{"class_name": "AUC", "config": {"name": "auc", "curve": "ROC"}}])
    with pytest.raises(ValueError, match="metrics for 3 outputs, of 2"):
        read(model, metrics=[["mae"], [], []])


TODAY = {"weight_decay": None, "use_ema": False, "ema_momentum": 0.99, "jit_compile": True}
OPTIMIZERS = {
    "today's arguments": ({"learning_rate": 0.5, "name": "x", **TODAY, "jit_compile": False}, None),
    "global clipping": ({"learning_rate": 0.5, "clipnorm": None, "global_clipnorm": 2.0}, None),
    "a schedule": ({"learning_rate": {"class_name": "CosineDecay", "config": {}}}, "schedule"),
    "clipping by itself": ({"learning_rate": 0.5, "clipnorm": 1.0}, "for each gradient by itself"),
    "averages": ({"learning_rate": 0.5, **TODAY, "use_ema": True}, "use_ema=True"),
    "decay of weights": ({"learning_rate": 0.5, "weight_decay": 0.1}, "weight_decay=0.1"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_arguments_of_optimizers(name, model):
    config, message = OPTIMIZERS[name]
    optimizer = {"class_name": "Custom>Adam", "config": config}
    if message is None:
        found = cylstm.optimizers.deserialize(read(model, optimizer, loss="mse")[0]["optimizer"])
        assert (type(found).__name__, found.lr) == ("Adam", 0.5)
        assert found.clipnorm == config.get("global_clipnorm")
    else:
        with pytest.raises(ValueError, match=f"{message}.*compile=False"):
            read(model, optimizer, loss="mse")


def states(model, *values, count=None):
    arrays = [np.full(w.shape, v, "float32") for v in values for w in model.trainable_weights]
    names = [f"v{i}:0" for i in range(len(arrays))]
    found = list(zip(names, arrays, strict=True))
    return found if count is None else [("Adam/iterations:0", np.array(count)), *found]


def test_slots_one_kind_after_the_other(model):
    adam = {"class_name": "Adam", "config": {}}
    document, state = read(model, adam, states(model, 1, 2, count=7), loss="mse")
    assert document["iterations"] == 7
    assert [a.flat[0] for a in state] == [7, *[1] * 7, *[2] * 7]


def test_places_for_amsgrad_are_passed_over(model):
    adam = {"class_name": "Adam", "config": {"amsgrad": False}}
    places = [(f"p{i}", np.zeros(1, "float32")) for i in range(7)]
    _, state = read(model, adam, states(model, 1, 2, count=7) + places, loss="mse")
    assert len(state) == 15
    with pytest.raises(ValueError, match="amsgrad=True"):
        read(model, {"class_name": "Adam", "config": {"amsgrad": True}}, loss="mse")


def test_slots_variable_by_variable(model):
    weights = model.trainable_weights
    arrays = [np.full(w.shape, v, "float32") for w in weights for v in (1, 2)]
    variables = [("iteration:0", np.array(7)), ("learning_rate:0", np.array(0.5, "float32"))]
    variables += [(f"{i}", a) for i, a in enumerate(arrays)]
    adam = {"class_name": "Adam", "config": {"learning_rate": 0.5, "is_legacy_optimizer": False}}
    document, state = read(model, adam, variables, loss="mse")
    assert document["iterations"] == 7
    assert [a.flat[0] for a in state] == [7, *[1] * 7, *[2] * 7]


def test_accumulators_begin_as_the_file_says(model):
    config = {"learning_rate": 0.5, "initial_accumulator_value": 0.25}
    adagrad = {"class_name": "Adagrad", "config": config}
    _, state = read(model, adagrad, loss="mse")
    assert [(a.shape, a.flat[0]) for a in state] == [
        (w.shape, 0.25) for w in model.trainable_weights
    ]


def test_nadam_of_today_decays_at_once(model):
    config = {"learning_rate": 0.5, "is_legacy_optimizer": False}
    document, _ = read(model, {"class_name": "Nadam", "config": config}, loss="mse")
    assert document["optimizer"]["config"]["schedule_decay"] == 1.0
    config = {"learning_rate": 0.5, "decay": 0.004}
    document, _ = read(model, {"class_name": "Nadam", "config": config}, loss="mse")
    assert document["optimizer"]["config"]["schedule_decay"] == 0.004


def test_a_state_that_does_not_fit(model):
    with pytest.raises(ValueError, match="expected are 2 of each of the shapes.*compile=False"):
        read(model, {"class_name": "Adam", "config": {}}, states(model, 1, count=7), loss="mse")


def test_a_file_that_does_not_name_its_optimizer(tmp_path):
    model = cylstm.Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = json.loads(file.attrs["training_config"])
        del config["optimizer_config"]
        file.attrs["training_config"] = json.dumps(config)
    with pytest.warns(UserWarning, match="does not say which optimizer"):
        assert load_model(tmp_path / "m.h5").optimizer is None
    assert load_model(tmp_path / "m.h5", compile=False).optimizer is None


def test_the_advice_loads_the_model(tmp_path):
    model = cylstm.Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = json.loads(file.attrs["training_config"])
        config["optimizer_config"]["class_name"] = "Lion"
        file.attrs["training_config"] = json.dumps(config)
    with pytest.raises(FormatError, match=r"unknown optimizer: 'Lion'.*compile=False"):
        load_model(tmp_path / "m.h5")
    again = load_model(tmp_path / "m.h5", compile=False)
    np.testing.assert_array_equal(again.predict([[1.0, 2.0]]), model.predict([[1.0, 2.0]]))
