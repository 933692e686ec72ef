"""Models and weights as Keras 3 has them: .keras and .weights.h5."""

import numpy as np
import pytest
from keras_files import CASES, Recorded

import cylstm
from cylstm.layers import LSTM, Dense
from cylstm.models import load_model

ELSEWHERE = ("translator", "layers")  # whose optimizer adds epsilon elsewhere


def load(name, path, **kwargs):
    if name not in ELSEWHERE or kwargs.get("compile") is False:
        return load_model(path, **kwargs)
    with pytest.warns(UserWarning, match="adds epsilon under the root"):
        return load_model(path, **kwargs)


@pytest.mark.parametrize(
    ("origin", "name"), [case for case in CASES[".keras"] if case[0] != "masks"]
)
def test_models_predict_and_train_on_as_recorded(origin, name):
    recorded = Recorded(origin, name)
    model = load(name, recorded.file(".keras"))
    recorded.check(model)
    assert model.optimizer.iterations == 1
    if "z_0" in recorded.arrays:
        model.train_on_batch(recorded.inputs, recorded.arrays["t_0"])
        recorded.check(model, "z", 2e-4 if name in ELSEWHERE else 2e-6)


@pytest.mark.parametrize(
    ("origin", "name"), [case for case in CASES[".weights.h5"] if case[0] != "tf_1_4"]
)
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights(origin, name, suffix):
    recorded = Recorded(origin, name)
    model = load_model(recorded.file(".keras"), compile=False)
    model.set_weights([0 * w for w in model.get_weights()])
    model.load_weights(recorded.file(suffix))
    recorded.check(model)


def test_weights_by_name_where_the_file_names_its_layers():
    recorded = Recorded("keras3", "stack")
    model = load_model(recorded.file(".keras"), compile=False)
    name = model.layers[1].name
    other = cylstm.Sequential([LSTM(4, input_shape=(6, 3), name=name), Dense(5, name="new")])
    before = other.get_weights()
    other.load_weights(recorded.file(".weights.h5"), by_name=True)
    np.testing.assert_array_equal(other.get_weights()[0], model.layers[1].get_weights()[0])
    np.testing.assert_array_equal(other.get_weights()[3], before[3])
    with pytest.raises(ValueError, match="no layer has a name that is in the file"):
        other.load_weights(Recorded("tf_keras", "stack").file(".weights.h5"), by_name=True)


MASKED = [case for case in CASES[".keras"] if case[0] == "masks"]


@pytest.mark.parametrize(("origin", "name"), MASKED)
def test_masks_that_are_operations_of_the_graph(origin, name):
    recorded = Recorded(origin, name)
    recorded.check(load_model(recorded.file(".keras")))


def test_the_cases_of_masks_are_there():
    assert len(MASKED) == 6
