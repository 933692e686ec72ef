"""Models and weights in the formats of Keras, written by cylstm and read back."""

import builtins
import json
import sys

import h5py
import numpy as np
import pytest

import cylstm
from cylstm import callbacks, optimizers
from cylstm.layers import (
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Lambda,
    LSTMCell,
    StackedRNNCells,
    TimeDistributed,
)
from cylstm.models import load_model
from cylstm.saving import FormatError

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(8, 5, 3)), rng.normal(size=(8, 2))
GATE = "sigmoid"  # Keras 3 means another function by hard_sigmoid
MODELS = (".h5", ".hdf5", ".keras")
WEIGHTS = (".h5", ".hdf5", ".weights.h5", ".npz")


def stack() -> cylstm.Model:
    return cylstm.Sequential(
        [
            LSTM(4, input_shape=(5, 3), return_sequences=True, recurrent_activation=GATE),
            Bidirectional(LSTM(2, recurrent_activation=GATE, return_sequences=True)),
            TimeDistributed(Dense(3)),
            RNN(StackedRNNCells([LSTMCell(2, recurrent_activation=GATE)])),
            BatchNormalization(),
            Dense(2),
        ],
        name="stack",
    )


def graph() -> cylstm.Model:
    """Models within a model, called twice; states that are handed on."""
    a, inner = cylstm.Input((5, 3), name="a"), cylstm.Input((5, 3), name="inner_input")
    twice = cylstm.Model(
        inner, LSTM(3, return_sequences=True, recurrent_activation=GATE)(inner), name="twice"
    )
    once, again = twice(a), twice(twice(a))
    _, h, c = LSTM(3, return_state=True, recurrent_activation=GATE)(again)
    y = LSTM(3, recurrent_activation=GATE, name="last")(once, initial_state=[h, c])
    return cylstm.Model(a, Dense(2)(y), name="graph")


def compiled(build=stack, optimizer="adam") -> cylstm.Model:
    cylstm.utils.set_random_seed(5)
    model = build()
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def configs_of(model: cylstm.Model) -> list[dict]:
    """Of the layers; that of an input may be an entry of its own or an argument."""
    entries = [
        {k: v for k, v in layer.get_config().items() if k != "batch_input_shape"}
        for layer in model.layers
    ]
    return [model.input_shape, *entries]


@pytest.mark.parametrize("suffix", MODELS)
@pytest.mark.parametrize("build", [stack, graph])
def test_models_come_back(build, suffix, tmp_path):
    model = compiled(build)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / f"m{suffix}")
    again = load_model(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert configs_of(again) == configs_of(model)
    assert (again.name, again.loss, again.metrics) == (model.name, model.loss, model.metrics)


# RMSprop and Adagrad come with a warning in .keras, where Keras 3 adds epsilon elsewhere.
OPTIMIZERS = {
    "adam": optimizers.Adam(lr=0.013),
    "adamax": optimizers.Adamax(),
    "adadelta": optimizers.Adadelta(),
    "nadam": optimizers.Nadam(schedule_decay=1.0),
    "plain": optimizers.SGD(lr=0.1),
    "momentum": optimizers.SGD(lr=0.1, momentum=0.9, nesterov=True),
    "clipped": optimizers.Adam(clipnorm=0.1),
    "rmsprop": optimizers.RMSprop(),
    "adagrad": optimizers.Adagrad(),
}


@pytest.mark.parametrize("suffix", MODELS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_with_the_same_bits(name, suffix, tmp_path, recwarn):
    made = optimizers.get(optimizers.serialize(OPTIMIZERS[name]))
    model = compiled(optimizer=made)
    for _ in range(3):
        model.train_on_batch(X, Y)
    model.save(tmp_path / f"m{suffix}")
    elsewhere = suffix == ".keras" and name in ("rmsprop", "adagrad")
    assert [("epsilon" in str(w.message)) for w in recwarn] == [True] * elsewhere
    again = load_model(tmp_path / f"m{suffix}")
    assert again.optimizer.iterations == 3
    for one in (model, again):
        for _ in range(3):
            one.train_on_batch(X, Y)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
@pytest.mark.parametrize("made", [optimizers.RMSprop(decay=0.1), optimizers.Nadam()])
def test_so_it_does_with_what_only_keras_2_has(made, suffix, tmp_path):
    model = compiled(optimizer=optimizers.get(optimizers.serialize(made)))
    for _ in range(3):
        model.train_on_batch(X, Y)
    model.save(tmp_path / f"m{suffix}")
    again = load_model(tmp_path / f"m{suffix}")
    for one in (model, again):
        one.train_on_batch(X, Y)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("made", "message"),
    [(optimizers.Adam(decay=0.1), "decay=0.1"), (optimizers.Nadam(), "schedule_decay=1")],
)
def test_keras_3_has_no_such_optimizer(made, message, tmp_path):
    model = compiled(optimizer=made)
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []
    model.save(tmp_path / "m.keras", include_optimizer=False)
    assert load_model(tmp_path / "m.keras").optimizer is None


@pytest.mark.parametrize("suffix", WEIGHTS)
@pytest.mark.parametrize("build", [stack, graph])
def test_weights_come_back(build, suffix, tmp_path):
    model, other = compiled(build), compiled(build)
    model.train_on_batch(X, Y)
    model.save_weights(tmp_path / f"w{suffix}")
    other.load_weights(tmp_path / f"w{suffix}")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("suffix", WEIGHTS)
def test_weights_by_name(suffix, tmp_path):
    def model(units, name):
        first = LSTM(4, input_shape=(5, 3), name="first")
        return cylstm.Sequential([first, Dense(units, name=name)])

    one, two = model(2, "second"), model(3, "new")
    before = two.get_weights()
    one.save_weights(tmp_path / f"w{suffix}")
    two.load_weights(tmp_path / f"w{suffix}", by_name=True)
    np.testing.assert_array_equal(two.get_weights()[0], one.get_weights()[0])
    np.testing.assert_array_equal(two.get_weights()[3], before[3])


@pytest.mark.parametrize("suffix", WEIGHTS)
def test_weights_that_do_not_fit_change_nothing(suffix, tmp_path):
    compiled().save_weights(tmp_path / f"w{suffix}")
    other = cylstm.Sequential([LSTM(4, input_shape=(5, 3)), Dense(7)])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"w\..*(layers|weights|shape|there is no)"):
        other.load_weights(tmp_path / f"w{suffix}")
    for one, two in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_numbered_arrays_of_numpy(tmp_path):
    model, other = compiled(), compiled()
    model.train_on_batch(X, Y)
    np.savez_compressed(tmp_path / "w.npz", *model.get_weights())
    other.load_weights(tmp_path / "w.npz")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="no names, only numbers"):
        other.load_weights(tmp_path / "w.npz", by_name=True)
    with np.load(tmp_path / "w.npz") as arrays:
        fewer = {name: arrays[name] for name in arrays.files[:-1]}
    np.savez(tmp_path / "fewer.npz", **fewer)
    with pytest.raises(ValueError, match="numbered arrays, but the model has"):
        other.load_weights(tmp_path / "fewer.npz")


def test_numpy_reads_what_is_written(tmp_path):
    model = compiled()
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as arrays:
        kernel = model.layers[0].kernel
        np.testing.assert_array_equal(arrays[kernel.name], kernel.value)
        assert len(arrays.files) == len(model.weights)


def test_weights_of_other_orders_and_bytes(tmp_path):
    model = compiled()
    names = [w.name for w in model.layers[0].weights]
    values = [np.asfortranarray(w.value) for w in model.layers[0].weights]
    values[1] = values[1].astype(">f8")
    np.savez(tmp_path / "w.npz", **dict(zip(names, values, strict=True)))
    other = cylstm.Sequential([LSTM(4, input_shape=(5, 3), name=model.layers[0].name)])
    other.load_weights(tmp_path / "w.npz")
    for one, two in zip(values, other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_both_keras_files_of_hdf5_have_their_own_layout(tmp_path):
    compiled().save_weights(tmp_path / "w.h5")
    compiled().save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert file.attrs["keras_version"] == "2.0.8-tf"
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert list(file[names[0]].attrs["weight_names"]) == [
            f"{names[0]}/{n}:0".encode() for n in ("kernel", "recurrent_kernel", "bias")
        ]
    with h5py.File(tmp_path / "w.weights.h5") as file:
        assert file["layers/lstm/cell/vars/0"].shape == (3, 16)
        assert file["layers/bidirectional/backward_layer/cell/vars/2"].shape == (8,)
        assert file["layers/rnn/cell/cells/lstm_cell/vars/1"].shape == (2, 8)


def test_long_lists_of_names_and_long_configurations(tmp_path):
    names = [f"{'long' * 12}_{i}" for i in range(1500)]
    model = cylstm.Sequential(
        [Dense(1, input_shape=(1,), name=names[0])] + [Dense(1, name=n) for n in names[1:]]
    )
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert len(file.attrs["model_config"]) > 2**16
        parts = [k for k in file["model_weights"].attrs if k.startswith("layer_names")]
        assert len(parts) == 2
        assert "layer_names" not in parts
    again = load_model(tmp_path / "m.h5")
    assert [layer.name for layer in again.layers] == names
    other = cylstm.Sequential([Dense(1, input_shape=(1,))] + [Dense(1) for _ in names[1:]])
    other.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(other.predict([[1.0]]), model.predict([[1.0]]))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_gzip_is_read(suffix, tmp_path):
    model = compiled()
    model.save_weights(tmp_path / f"w{suffix}")
    with h5py.File(tmp_path / f"w{suffix}") as old, h5py.File(tmp_path / f"z{suffix}", "w") as new:
        new.attrs.update(old.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Group):
                new.require_group(name).attrs.update(item.attrs)
            else:
                chunks = tuple(max(1, n // 2 + 1) for n in item.shape)
                new.create_dataset(name, data=item, chunks=chunks, compression="gzip")

        old.visititems(copy)
    other = compiled()
    other.set_weights([0 * w for w in other.get_weights()])
    other.load_weights(tmp_path / f"z{suffix}")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_hdf5_of_another_kind_is_read(tmp_path):
    """Groups as HDF5 writes them today: compact, and with attributes in a heap of their own."""
    model = compiled()
    model.save_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as old:
        with h5py.File(tmp_path / "n.h5", "w", libver="v110", track_order=True) as new:
            for name in old:
                old.copy(name, new)
            new.attrs.update(old.attrs)
            for i in range(20):
                new.attrs[f"more_{i}"] = "x" * 100
    other = compiled()
    other.set_weights([0 * w for w in other.get_weights()])
    other.load_weights(tmp_path / "n.h5")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("suffix", [".keras"])
def test_a_layer_that_the_format_cannot_express(suffix, tmp_path):
    hard = cylstm.Sequential([LSTM(2, input_shape=(None, 3), name="hard")])
    with pytest.raises(ValueError, match="Layer hard has the activation hard_sigmoid"):
        hard.save(tmp_path / f"m{suffix}")
    other = cylstm.Sequential([Lambda(np.abs, input_shape=(3,), name="own")])
    with pytest.raises(ValueError, match="own"):
        other.save(tmp_path / f"m{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_hard_sigmoid_of_keras_3_is_not_written_for_keras_2(tmp_path):
    gate = "hard_sigmoid_6"
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3), recurrent_activation=gate)])
    for write in (lambda: model.save(tmp_path / "m.h5"), model.to_json):
        with pytest.raises(ValueError, match="activation hard_sigmoid_6, which keras2"):
            write()
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert again.layers[0].get_config()["recurrent_activation"] == gate
    x = rng.normal(0, 3, (2, 4, 3))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        load_model(tmp_path / "m.safetensors").predict(x), model.predict(x)
    )


def test_custom_layers_and_losses(tmp_path):
    class Twice(cylstm.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    def own_loss(y_true, y_pred):
        return np.abs(y_true - y_pred).mean(-1)

    model = cylstm.Sequential([Dense(2, input_shape=(3,)), Twice(name="twice")])
    model.compile("sgd", own_loss)
    objects = {"Twice": Twice, "own_loss": own_loss}
    for suffix in MODELS:
        model.save(tmp_path / f"m{suffix}")
        with pytest.raises(FormatError, match="Twice"):
            load_model(tmp_path / f"m{suffix}")
        with pytest.raises(FormatError, match="own_loss"):
            load_model(tmp_path / f"m{suffix}", {"Twice": Twice})
        assert load_model(tmp_path / f"m{suffix}", objects).loss in ("own_loss", own_loss)
        load_model(tmp_path / f"m{suffix}", {"Twice": Twice}, compile=False)


@pytest.mark.parametrize("name", ["pyfive", "h5py"])
@pytest.mark.parametrize("suffix", MODELS)
def test_a_missing_package_is_named_before_any_work(name, suffix, tmp_path, monkeypatch):
    model = compiled()
    model.save(tmp_path / f"good{suffix}")
    imported = builtins.__import__

    def without(module, *args, **kwargs):
        if module.partition(".")[0] == name:
            raise ImportError(f"No module named {module!r}")
        return imported(module, *args, **kwargs)

    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "cylstm.saving._pyfive", raising=False)
    monkeypatch.delattr(cylstm.saving, "_pyfive", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    message = r"need the packages pyfive and h5py .*pip install 'cylstm\[keras\]'"
    checkpoint = callbacks.ModelCheckpoint(tmp_path / f"new{suffix}")
    with pytest.raises(ImportError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[checkpoint])
    assert model.optimizer.iterations == 0
    if name == "pyfive":
        with pytest.raises(ImportError, match=message):
            load_model(tmp_path / f"good{suffix}")
    with pytest.raises(ImportError, match=message):
        cylstm.saving.check_weights_path(tmp_path / "new.weights.h5")
    assert [p.name for p in tmp_path.iterdir()] == [f"good{suffix}"]


@pytest.mark.parametrize("suffix", MODELS)
def test_checkpoints(suffix, tmp_path):
    model = compiled()
    path = str(tmp_path / f"{{epoch}}{suffix}")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(path)])
    np.testing.assert_array_equal(load_model(path.format(epoch=2)).predict(X), model.predict(X))
    weights = str(tmp_path / "w.weights.h5")
    saver = callbacks.ModelCheckpoint(weights, save_weights_only=True)
    model.fit(X, Y, verbose=0, callbacks=[saver])
    other = compiled()
    other.load_weights(weights)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_whole_model_goes_under_every_suffix_of_hdf5(tmp_path):
    model = compiled()
    model.save(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(
        load_model(tmp_path / "m.weights.h5").predict(X), model.predict(X)
    )
    model.save_weights(tmp_path / "only.weights.h5")
    for path in ("only.weights.h5", "w.npz"):
        model.save_weights(tmp_path / path)
        with pytest.raises(FormatError, match=r"weights only: make the model"):
            load_model(tmp_path / path)


def test_dropout_and_frozen_layers_keep_their_arguments(tmp_path):
    model = cylstm.Sequential(
        [
            Embedding(9, 4, input_length=5, mask_zero=True),
            Dropout(0.25, seed=3),
            LSTM(3, dropout=0.1, recurrent_dropout=0.2, trainable=False, kernel_regularizer="l2"),
            BatchNormalization(trainable=False),
        ]
    )
    model.save(tmp_path / "m.h5")
    again = load_model(tmp_path / "m.h5")
    assert again.get_config() == model.get_config()
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_layer_whose_name_is_a_path(tmp_path):
    model = cylstm.Sequential([Dense(2, input_shape=(3,), name="a/b")])
    model.save(tmp_path / "m.h5")
    again = load_model(tmp_path / "m.h5")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match="'a/b' cannot be stored"):
        model.save_weights(tmp_path / "w.npz")
    upwards = cylstm.Sequential([Dense(2, input_shape=(3,), name="../b")])
    with pytest.raises(ValueError, match="'../b' cannot be stored"):
        upwards.save_weights(tmp_path / "w.h5")


def test_the_training_config_is_that_of_keras_2(tmp_path):
    compiled().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        config = json.loads(file.attrs["training_config"])
    assert config["optimizer_config"]["class_name"] == "Adam"
    assert config["optimizer_config"]["config"]["lr"] == 0.001
    assert (config["loss"], config["metrics"]) == ("mse", ["mae"])


@pytest.mark.parametrize("suffix", MODELS)
def test_large_arrays(suffix, tmp_path):
    model = cylstm.Sequential([Dense(1000, input_shape=(500,)), Dense(2)])
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 500)), np.ones((2, 2)))
    model.save(tmp_path / f"m{suffix}")
    again = load_model(tmp_path / f"m{suffix}")
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    again.load_weights(tmp_path / f"m{suffix}")
    with pytest.raises(FormatError, match="give max_size="):
        load_model(tmp_path / f"m{suffix}", max_size=10**6)


def test_a_lambda_of_a_function_that_has_a_name(tmp_path):
    def twice(x):
        return 2 * x

    model = cylstm.Sequential([Lambda(twice, input_shape=(3,), name="own")])
    model.save(tmp_path / "m.h5")
    with pytest.raises(FormatError, match="twice"):
        load_model(tmp_path / "m.h5")
    again = load_model(tmp_path / "m.h5", {"twice": twice})
    assert again.predict([[1.0, 2.0, 3.0]]).tolist() == [[2.0, 4.0, 6.0]]


def both_ways(*zeros: bool) -> cylstm.Model:
    layers = [Embedding(9, 4, input_length=5, mask_zero=True)]
    for one in zeros:
        inner = LSTM(2, return_sequences=True, recurrent_activation=GATE)
        layers.append(Bidirectional(inner, zero_output_for_mask=one))
    return cylstm.Sequential(layers)


@pytest.mark.parametrize("suffix", MODELS)
@pytest.mark.parametrize("zeros", [False, True])
def test_what_masked_timesteps_give(zeros, suffix, tmp_path, recwarn):
    model = both_ways(zeros)
    model.save(tmp_path / f"m{suffix}")
    warned = suffix == ".keras" and not zeros  # which Keras 3 does not have
    assert ["gives zeros at masked timesteps" in str(w.message) for w in recwarn] == [True] * warned
    words = np.array([[1, 2, 0, 0, 3], [0, 0, 4, 5, 0]])
    again = load_model(tmp_path / f"m{suffix}")
    assert again.layers[1].zero_output_for_mask == zeros
    np.testing.assert_array_equal(again.predict(words), model.predict(words))
    assert np.all(again.predict(words)[words == 0] == 0) == zeros


def test_keras_2_has_one_answer_for_all_masks(tmp_path):
    with pytest.raises(ValueError, match="zero_output_for_mask=True and some have not"):
        both_ways(True, False).save(tmp_path / "m.h5")


def test_masks_in_a_file_of_tensorflow_2(tmp_path):
    both_ways(False).save(tmp_path / "m.h5")
    for version, zeros in (("2.3.1", False), ("2.2.4-tf", True), ("2.15.0", True)):
        with h5py.File(tmp_path / "m.h5", "r+") as file:
            file.attrs["keras_version"] = version
        assert load_model(tmp_path / "m.h5").layers[1].zero_output_for_mask == zeros
