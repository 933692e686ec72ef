"""Names, configs, custom objects; and the round trip of every name of every module."""

import json
import pickle
import threading

import numpy as np
import pytest

from cylstm import activations, constraints, initializers, optimizers, regularizers, utils
from cylstm._registry import (
    Configurable,
    CustomObjectScope,
    Registry,
    custom_object_scope,
    get_custom_objects,
)

NAMES = {
    activations: "elu hard_sigmoid hard_sigmoid_6 linear relu selu sigmoid softmax softplus "
    "softsign tanh",
    initializers: "zero zeros Zeros one ones Ones constant Constant uniform random_uniform "
    "RandomUniform normal random_normal RandomNormal truncated_normal TruncatedNormal orthogonal "
    "Orthogonal identity Identity VarianceScaling lecun_uniform lecun_normal glorot_uniform "
    "glorot_normal he_uniform he_normal LecunUniform LecunNormal GlorotUniform GlorotNormal "
    "HeUniform HeNormal",
    regularizers: "l1 l2 l1_l2 L1L2",
    constraints: "Constraint max_norm maxnorm MaxNorm non_neg nonneg NonNeg unit_norm unitnorm "
    "UnitNorm min_max_norm MinMaxNorm",
    optimizers: "sgd SGD rmsprop RMSprop adagrad Adagrad adadelta Adadelta adam Adam ADAM adamax "
    "Adamax nadam Nadam",
}
CASES = [(module, name) for module, names in NAMES.items() for name in names.split()]


class Box(Configurable):
    def __init__(self, size=2, label="a", *, depth=None):
        self.size = size
        self.label = label
        self.depth = depth


def twice(x):
    return 2 * x


@pytest.fixture
def boxes():
    return Registry("box", {"Box": Box}, {"crate": "Box"})


@pytest.fixture
def functions():
    return Registry("function", {"twice": twice}, instantiate=False, default=None)


@pytest.mark.parametrize(("module", "name"), CASES)
def test_every_name_survives_json_and_pickle(module, name):
    item = module.get(name)
    written = module.serialize(item)
    read = module.deserialize(json.loads(json.dumps(written)))
    assert type(read) is type(item)
    assert module.serialize(read) == written
    assert module.serialize(pickle.loads(pickle.dumps(item))) == written


@pytest.mark.parametrize("module", NAMES)
def test_unknown_names_and_bad_types(module):
    for call in (module.get, module.deserialize):
        with pytest.raises(ValueError, match="unknown .*'no_such'"):
            call("no_such")
        with pytest.raises(ValueError, match="could not interpret .*3"):
            call(3)


@pytest.mark.parametrize("module", NAMES)
def test_every_registered_name_is_tested(module):
    if module in (activations, regularizers, constraints):
        names = module.get.__self__.names
    else:
        names = module.names.get.__self__.names
    assert set(names) <= set(NAMES[module].split())


def test_none():
    assert activations.get(None) is activations.linear
    assert regularizers.get(None) is None
    assert constraints.get(None) is None
    assert regularizers.serialize(None) is None
    for module in (initializers, optimizers):
        with pytest.raises(ValueError, match="None"):
            module.get(None)


def test_get_by_name_alias_config_class_and_instance(boxes):
    box = Box(7)
    assert boxes.get("Box").get_config() == {"size": 2, "label": "a", "depth": None}
    assert type(boxes.get("crate")) is Box
    assert boxes.get({"class_name": "crate", "config": {"size": 5}}).size == 5
    assert type(boxes.get(Box)) is Box
    assert boxes.get(twice) is twice
    with pytest.raises(ValueError, match="could not interpret box"):
        boxes.get(box)
    assert Registry("box", {"Box": Box}, base=Box).get(box) is box
    with pytest.raises(ValueError, match="or an instance"):
        Registry("box", {"Box": Box}, base=Box).get(twice)


def test_functions_are_returned_as_they_are(functions):
    assert functions.get("twice") is twice
    assert functions.get(twice) is twice
    assert functions.get(Box) is Box
    assert functions.get(None) is None
    assert functions.serialize(twice) == "twice"


def test_an_unknown_name_is_compared_with_the_known_ones(boxes):
    with pytest.raises(ValueError, match=r"unknown box: 'BOXX'; did you mean 'Box'\?"):
        boxes.get("BOXX")
    with pytest.raises(ValueError, match=r"unknown box: 'zebra'; known are Box, crate\."):
        boxes.get("zebra")
    with pytest.raises(ValueError, match=r"unknown box: \[1\]"):
        boxes.get({"class_name": [1], "config": {}})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"class_name": "Box"},
        {"config": {}},
        {"class_name": "Box", "config": None},
        {"class_name": "Box", "config": [1]},
    ],
)
def test_improper_configs(boxes, config):
    with pytest.raises(ValueError, match="improper config format of box"):
        boxes.deserialize(config)


def test_a_config_with_an_unknown_argument(boxes):
    with pytest.raises(TypeError, match="colour"):
        boxes.deserialize({"class_name": "Box", "config": {"colour": "red"}})


def test_a_config_is_not_changed(boxes):
    config = {"class_name": "Box", "config": {"size": 3}, "module": "elsewhere"}
    assert boxes.get(config).size == 3
    assert config == {"class_name": "Box", "config": {"size": 3}, "module": "elsewhere"}


def test_case_is_ignored_for_built_in_names_only():
    registry = Registry("box", {"Box": Box}, ignore_case=True)
    assert type(registry.get("bOX")) is Box
    assert type(registry.get({"class_name": "BOX", "config": {}})) is Box
    made = []
    with custom_object_scope({"box": lambda: made.append(1)}):
        registry.get("box")
    registry.deserialize({"class_name": "BOX", "config": {}}, {"BOX": lambda: made.append(2)})
    assert made == [1, 2]


def test_what_cannot_be_serialized(boxes):
    with pytest.raises(ValueError, match="cannot serialize"):
        boxes.serialize(object())


def test_scopes_nest_and_end(functions):
    def first(x):
        return x

    def second(x):
        return x

    with custom_object_scope({"f": first}, {"g": second}):
        assert functions.get("f") is first
        with CustomObjectScope({"f": second}):
            assert functions.get("f") is second
            get_custom_objects()["h"] = first
            assert functions.get("h") is first
        assert functions.get("f") is first
        assert functions.get("g") is second
        assert "h" not in get_custom_objects()
    with pytest.raises(ValueError, match="unknown function: 'f'"):
        functions.get("f")


def test_a_scope_ends_with_an_error_and_can_be_used_again(functions):
    scope = custom_object_scope({"f": twice})
    for _ in range(2):
        with pytest.raises(ValueError, match="no_such"), scope, scope:
            functions.get("no_such" if functions.get("f") is twice else "f")
        assert get_custom_objects() == {}


def test_a_scope_belongs_to_its_thread():
    seen = []
    with custom_object_scope({"f": twice}):
        thread = threading.Thread(target=lambda: seen.append(dict(get_custom_objects())))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_bad_scopes():
    with pytest.raises(TypeError, match="given as a dict"):
        custom_object_scope(twice)


def test_custom_objects_win_over_the_scope_and_the_scope_over_the_built_in(functions):
    def other(x):
        return x

    with custom_object_scope({"twice": other}):
        assert functions.get("twice") is other
        assert functions.deserialize("twice", {"twice": abs}) is abs
    assert functions.get("twice") is twice


def test_custom_objects_reach_from_config(boxes):
    class Outer(Configurable):
        def __init__(self, inner):
            self.inner = inner

        @classmethod
        def from_config(cls, config):
            return cls(boxes.get(config["inner"]))

    class Asking(Outer):
        @classmethod
        def from_config(cls, config, custom_objects=None):
            return cls(sorted(custom_objects))

    class Tin(Box):
        pass

    known = {"Outer": Outer, "Asking": Asking, "Tin": Tin}
    config = {"class_name": "Outer", "config": {"inner": "Tin"}}
    assert type(boxes.deserialize(config, known).inner) is Tin
    config["class_name"] = "Asking"
    with custom_object_scope({"more": Tin}):
        assert boxes.deserialize(config, known).inner == ["Asking", "Outer", "Tin", "more"]
    assert get_custom_objects() == {}


def test_a_function_may_stand_for_a_class(boxes):
    config = {"class_name": "make", "config": {"size": 4}}
    assert boxes.deserialize(config, {"make": lambda size: Box(size + 1)}).size == 5


def test_configurable_reads_its_signature():
    box = Box(np.float64(0.5), label=np.arange(3), depth=np.int64(4))
    assert box.get_config() == {"size": 0.5, "label": [0, 1, 2], "depth": 4}
    assert json.dumps(box.get_config())
    assert repr(Box()) == "Box(size=2, label='a', depth=None)"
    assert Box.from_config({"depth": 1}).get_config() == {"size": 2, "label": "a", "depth": 1}


def test_utils_has_the_names_of_keras():
    config = utils.serialize_keras_object(Box(3))
    assert utils.deserialize_keras_object(config, {"Box": Box}).size == 3
    assert utils.serialize_keras_object(None) is None
    with pytest.raises(ValueError, match="unknown shed: 'Box'"):
        utils.deserialize_keras_object(config, printable_module_name="shed")
    with pytest.raises(ValueError, match="could not interpret serialized object: 5"):
        utils.deserialize_keras_object(5)
    assert utils.get_custom_objects() is get_custom_objects()
    assert utils.CustomObjectScope is CustomObjectScope
    assert utils.custom_object_scope is custom_object_scope
