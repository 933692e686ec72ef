"""Models and weights in HDF5, of every Keras: read, written, trained on."""

import pytest
from keras_files import CASES, Recorded

import cylstm
from cylstm import optimizers
from cylstm.models import load_model

# After a batch more. Keras 1 computes some gradients with weights that it has updated already;
# later versions add epsilon elsewhere, which the reader says in a warning.
TRAINED = {"keras1": 2e-5, "keras2": 1e-5, "tf_keras": 2e-6, "keras3": 2e-6}
ELSEWHERE = {("tf_keras", "translator"), ("keras3", "translator")}
ELSEWHERE |= {("tf_keras", "layers"), ("keras3", "layers")}
# RMSprop of Keras 2 and SGD of Keras 1 do not store how often they updated.
NOT_COUNTED = {("keras2", "translator"), ("keras1", "old_graph")}


def load(origin, name, path, **kwargs):
    """Load a model that may come with the warning about epsilon, and with no other."""
    if (origin, name) not in ELSEWHERE or kwargs.get("compile") is False:
        return load_model(path, **kwargs)
    with pytest.warns(UserWarning, match="adds epsilon under the root"):
        return load_model(path, **kwargs)


@pytest.mark.parametrize(("origin", "name"), CASES[".h5"])
def test_models_predict_what_was_recorded(origin, name):
    recorded = Recorded(origin, name)
    recorded.check(load(origin, name, recorded.file(".h5")))


@pytest.mark.parametrize(
    ("origin", "name"), [c for c in CASES[".h5"] if "z_0" in Recorded(*c).arrays]
)
def test_training_goes_on_as_it_would_have(origin, name):
    recorded = Recorded(origin, name)
    model = load(origin, name, recorded.file(".h5"))
    assert model.optimizer.iterations == (0 if (origin, name) in NOT_COUNTED else 1)
    model.train_on_batch(recorded.inputs, recorded.arrays["t_0"])
    tolerance = 2e-4 if (origin, name) in ELSEWHERE else TRAINED[origin]
    recorded.check(model, "z", tolerance)


@pytest.mark.parametrize("suffix", ["_w.h5", ".h5"])
@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(("origin", "name"), CASES["_w.h5"])
def test_weights_by_order_and_by_name(origin, name, by_name, suffix):
    recorded = Recorded(origin, name)
    model = load_model(recorded.file(".h5"), compile=False)
    model.set_weights([0 * w for w in model.get_weights()])
    model.load_weights(recorded.file(suffix), by_name=by_name)
    recorded.check(model)


@pytest.mark.parametrize("name", [name for origin, name in CASES[".json"] if origin == "tf_1_4"])
def test_the_architectures_and_weights_of_tensorflow_1_4(name):
    recorded = Recorded("tf_1_4", name)
    model = cylstm.models.model_from_json(recorded.file(".json").read_text())
    model.load_weights(recorded.file(".weights.h5"))
    recorded.check(model)


def test_what_the_models_were_compiled_with():
    model = load_model(Recorded("tf_keras", "stack").file(".h5"))
    assert isinstance(model.optimizer, optimizers.Adam)
    assert model.optimizer.epsilon == 1e-7
    assert (model.loss, model.metrics_names) == ("categorical_crossentropy", ["loss", "acc"])
    model = load_model(Recorded("keras3", "nested").file(".h5"))
    assert (model.optimizer.momentum, model.optimizer.nesterov) == (0.9, True)
    assert load_model(Recorded("keras2", "stack").file(".h5"), compile=False).optimizer is None


def test_hard_sigmoid_is_that_of_the_origin():
    for origin, expected in (
        ("tf_1_4", None),
        ("keras2", "hard_sigmoid"),
        ("tf_keras", "hard_sigmoid"),
        ("keras3", "hard_sigmoid_6"),
    ):
        if expected:
            model = load_model(Recorded(origin, "stack").file(".h5"), compile=False)
            assert model.layers[1].get_config()["recurrent_activation"] == expected


@pytest.mark.parametrize(
    "name", [name for origin, name in CASES[".h5"] if origin == "bidirectional"]
)
def test_what_masked_timesteps_give_in_each_version(name):
    """Since TensorFlow 2 a Bidirectional gives zeros there; the predictions are compared above."""
    model = load_model(Recorded("bidirectional", name).file(".h5"))
    assert model.layers[1].zero_output_for_mask == (name in ("2.2.4-tf", "2.21.0"))
