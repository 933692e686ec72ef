"""Configurations of layers from every Keras as cylstm writes them: one entry at a time.

A file names its classes and arguments as the version that wrote it did. Here they become those of
Keras 2.0, which are ours, without a warning. What is so anyway is dropped; an argument that says
otherwise is refused, with the names of layer and argument.

Nothing is made of a name but a look into the tables below: what is in no table stays as it is, and
meets the classes that cylstm and the caller have, in `layers.serialization`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cylstm import _spellings
from cylstm.layers import serialization
from cylstm.saving._translation import activation_from, activation_to

__all__ = [
    "CYLSTM",
    "KERAS_1",
    "KERAS_2",
    "KERAS_3",
    "OURS",
    "TF_2",
    "Origin",
    "check_activations",
    "class_name_of",
    "entry_from",
    "origin_of",
    "own_entry",
    "version_to",
    "without_package",
]

KERAS_1, KERAS_2, TF_2, KERAS_3 = "keras1", "keras2", "tf2", "keras3"
CYLSTM = "cylstm"  # to_json of ours, which needs no translation
Origin = str

OURS = "2.0.8-tf"  # what TensorFlow 1.4 says; standalone Keras 2 and all later ones read it, too
_IN_TENSORFLOW_2 = "2.2.4-tf"  # 2.0 to 2.4, and 1.13 to 1.15

_CLASSES = {
    "Functional": "Model",
    "Convolution1D": "Conv1D",
    "TimeDistributedDense": "Dense",
    "CuDNNLSTM": "LSTM",
    "UnifiedLSTM": "LSTM",
    "MaxPool1D": "MaxPooling1D",
    "AvgPool1D": "AveragePooling1D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}
_SPELLINGS = {
    "LSTM": _spellings.recurrent,
    "Dense": _spellings.dense,
    "Embedding": _spellings.embedding,
    "Conv1D": _spellings.conv1d,
    "MaxPooling1D": _spellings.pooling1d,
    "AveragePooling1D": _spellings.pooling1d,
    "Dropout": _spellings.dropout,
    "SpatialDropout1D": _spellings.dropout,
    "GaussianDropout": _spellings.dropout,
    "GaussianNoise": _spellings.gaussian_noise,
    "PReLU": _spellings.prelu,
    "UpSampling1D": _spellings.upsampling1d,
    "BatchNormalization": _spellings.batch_normalization,
}
# What is said in Keras 1 of every layer that begins a model, and again by batch_input_shape.
_REPEATED = ("input_dim", "input_length", "input_dtype")
# Arguments of all layers that later versions added, with the values that say what is so anyway.
# Those of single layers are in `_spellings`.
_SO_ANYWAY: dict[str, tuple[Any, ...]] = {
    "autocast": (True, None),
    "dynamic": (False, None),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "quantization_config": (None,),
    "quantization_mode": (None,),
    "time_major": (False,),
}
# How it is computed, or random numbers are drawn, which differ between frameworks anyway.
_HOW_COMPUTED = ("use_cudnn", "seed", "rng_seed")
_SEEDED = ("Dropout", "SpatialDropout1D", "AlphaDropout")
_DTYPES = ("float32", "float64", None)
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "max": "Maximum",
    "dot": "Dot",
    "cos": "Dot",
}


def origin_of(version: str | None) -> Origin:
    """Which Keras wrote a file, from what it says.

    Parameters
    ----------
    version : str or None
        ``"2.0.8-tf"``; Keras 1.0 wrote none.

    Examples
    --------
    >>> origin_of(None), origin_of("1.2.2"), origin_of("2.3.1"), origin_of("3.15.0")
    ('keras1', 'keras1', 'keras2', 'keras3')
    >>> origin_of("2.2.4-tf"), origin_of("2.21.0")  # Keras in TensorFlow 2
    ('tf2', 'tf2')
    """
    major, minor, *_ = [*(version or "1").split("."), "0"]
    if not major.isdecimal() or int(major) > 3:
        raise ValueError(f"it is of Keras {version!r}, which is not known")
    if int(major) == 2:
        later = minor.isdecimal() and int(minor) >= 4
        return TF_2 if later or version == _IN_TENSORFLOW_2 else KERAS_2
    return f"keras{max(1, int(major))}"


def without_package(name: Any) -> Any:
    """A class or function as it is called without the package that registered it.

    Examples
    --------
    >>> without_package("Custom>Adam")
    'Adam'
    """
    return name.rpartition(">")[2] if isinstance(name, str) else name


def class_name_of(entry: Mapping[str, Any]) -> str:
    """The class of an entry, by our name; ValueError if it has none."""
    name = without_package(entry.get("class_name"))
    if not isinstance(name, str) or not isinstance(entry.get("config"), dict | list):
        raise ValueError("a layer is not described by class_name and config")
    return _CLASSES.get(name, name)


def entry_from(entry: Mapping[str, Any], origin: Origin, nested: Nested) -> dict[str, Any]:
    """The class name and configuration of a layer, as we write them.

    Parameters
    ----------
    entry : dict
        Of any Keras.
    origin : str
        Of `origin_of`.
    nested : callable
        What does the same for the layers within, which may be models.

    Raises
    ------
    ValueError
        If it says what cannot be honoured, or has another form.
    """
    name = class_name_of(entry)
    if not isinstance(entry["config"], dict):
        raise ValueError(f"the configuration of a {name} is no object")
    config = dict(entry["config"])
    layer = str(config.get("name") or name)
    if name == "Bidirectional":
        _check_backward_layer(config, layer)
        _tell_zeros(config, origin)
    if without_package(entry["class_name"]) == "CuDNNLSTM":
        config["recurrent_activation"] = "sigmoid"
    if name == "Lambda":
        _check_lambda(config, layer)
    if name == "InputLayer":
        config = _input_from(config)
    if origin == KERAS_1:
        name, config = _from_keras_1(name, config)
    config = _without_additions(name, config, layer)
    found = {}
    for key, value in config.items():
        try:
            found[key] = _value_from(key, value, origin, nested)
        except ValueError as error:
            raise ValueError(f"layer {layer}: {key}: {error}") from None
    return {"class_name": name, "config": found}


def own_entry(entry: Mapping[str, Any], nested: Nested) -> dict[str, Any]:
    """An entry as cylstm writes it, with the layer within it changed by `nested`."""
    config = entry["config"]
    if isinstance(config, Mapping) and _is_object(config.get("layer")):
        config = {**config, "layer": nested(config["layer"])}
    return {**entry, "config": config}


Nested = Callable[[Mapping[str, Any]], dict[str, Any]]


def _without_additions(name: str, config: dict[str, Any], layer: str) -> dict[str, Any]:
    """The arguments without those that later versions added and that are so anyway."""
    if "batch_shape" in config:
        config["batch_input_shape"] = config.pop("batch_shape")
    policy = config.pop("dtype_policy", None)
    if policy is not None:
        config.setdefault("dtype", policy)
    if "dtype" in config:
        config["dtype"] = _dtype_from(name, config["dtype"], layer)
    if not serialization.is_registered(name):
        return config  # one of the caller's own, with arguments of its own
    seed = config.get("seed")
    config = {k: v for k, v in config.items() if k not in _HOW_COMPUTED}
    if name in _SEEDED and isinstance(seed, int):
        config["seed"] = seed
    so_anyway = dict(_SO_ANYWAY)
    if name != "Bidirectional":
        so_anyway["zero_output_for_mask"] = (False,)
    for key, allowed in so_anyway.items():
        if key in config:
            value = config.pop(key)
            if not any(value is a for a in allowed):
                raise ValueError(
                    f"layer {layer}: {name} with {key}={value!r} is not offered, only with "
                    f"{key}={allowed[0]!r}"
                )
    if name in ("RNN", "Bidirectional", "TimeDistributed"):
        config.pop("implementation", None)
    if not config.get("renorm"):
        config = {k: v for k, v in config.items() if not k.startswith("renorm_")}
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1 and name.endswith("Normalization"):
        config["axis"] = axis[0]
    return config


def _dtype_from(name: str, value: Any, layer: str) -> Any:
    """The name of a dtype, or of a policy for dtypes."""
    if isinstance(value, Mapping):
        config = value.get("config")
        value = config.get("name") if isinstance(config, Mapping) else value
    if name == "Embedding" and isinstance(value, str) and value.startswith("int"):
        return None  # that of its input, in old versions
    if name != "InputLayer" and value not in _DTYPES:
        raise ValueError(
            f"layer {layer}: {name} with dtype={value!r} is not offered: layers compute in float32 "
            "or float64"
        )
    return value


def _input_from(config: dict[str, Any]) -> dict[str, Any]:
    shape = config.pop("input_shape", None)
    if shape is not None:
        config.setdefault("batch_input_shape", [None, *shape])
    if "input_dtype" in config:
        config.setdefault("dtype", config.pop("input_dtype"))
    config.pop("trainable", None)
    return config


def _check_lambda(config: dict[str, Any], layer: str) -> None:
    """Functions of a Lambda are found by their names; code in a file is not run."""
    for key in ("function", "output_shape", "mask"):
        kind = config.pop(f"{key}_type", None)
        config.pop("module" if key == "function" else f"{key}_module", None)
        value = config.get(key)
        if isinstance(value, Mapping) and value.get("class_name") == "function":
            value = config[key] = without_package(value.get("config"))
        if (
            kind == "lambda"
            or (key == "function" and not isinstance(value, str))
            or isinstance(value, Mapping)
        ):
            raise ValueError(
                f"layer {layer} is a Lambda that holds the code of a function. Nothing from a file "
                "is run: make the model by a program, with Lambda(function), and load its weights"
            )


def _check_backward_layer(config: dict[str, Any], layer: str) -> None:
    """The layer that reads backwards is the one that reads forwards, with other weights."""
    forward = config.get("layer")
    if not isinstance(forward, Mapping) or not isinstance(forward.get("config"), Mapping):
        return
    backward = config.pop("backward_layer", None)
    inner = dict(forward["config"])
    if backward is not None:
        other = backward.get("config") if isinstance(backward, Mapping) else None
        if not isinstance(other, Mapping) or _but_direction(inner) != _but_direction(other):
            raise ValueError(
                f"layer {layer}: Bidirectional with a backward_layer of its own is not offered: "
                "the layer itself reads backwards, with weights of its own"
            )
        if bool(other.get("go_backwards")) == bool(inner.get("go_backwards")):
            raise ValueError(f"layer {layer}: both its layers read in the same direction")
    if isinstance(inner.get("name"), str):
        inner["name"] = inner["name"].removeprefix("forward_")
    config["layer"] = {**forward, "config": inner}


def _tell_zeros(config: dict[str, Any], origin: Origin) -> None:
    """Say what masked timesteps give: since TensorFlow 2 the wrapper sets it for its layers."""
    inner = config.get("layer")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
        return
    own = dict(inner["config"])
    zeros = own.pop("zero_output_for_mask", True)
    config["layer"] = {**inner, "config": own}
    if origin in (TF_2, KERAS_3) and own.get("return_sequences") and zeros:
        config["zero_output_for_mask"] = True


def version_to(architecture: Any) -> tuple[Any, str]:
    """An architecture of ours for a file of Keras 2, and the version that means the same by it.

    Since TensorFlow 2 every Bidirectional that returns sequences gives zeros at masked timesteps,
    and before none did: there is no argument for it.

    Raises
    ------
    ValueError
        If some do and some do not.
    """
    found: set[bool] = set()

    def told(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [told(entry) for entry in value]
        if not isinstance(value, Mapping):
            return value
        entry = {key: told(part) for key, part in value.items()}
        if entry.get("class_name") == "Bidirectional" and isinstance(entry.get("config"), Mapping):
            config = dict(entry["config"])
            zeros = bool(config.pop("zero_output_for_mask", False))
            if config["layer"]["config"].get("return_sequences"):
                found.add(zeros)
            entry["config"] = config
        return entry

    result = told(architecture)
    if len(found) > 1:
        raise ValueError(
            "Some Bidirectional layers have zero_output_for_mask=True and some have not, which "
            "Keras 2 cannot express: save it as .safetensors."
        )
    return result, _IN_TENSORFLOW_2 if True in found else OURS


def _but_direction(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_marks(value)
        for key, value in config.items()
        if key not in ("name", "go_backwards")
    }


def _without_marks(value: Any) -> Any:
    """A value without the numbers by which Keras 3 marks objects that are shared."""
    if isinstance(value, Mapping):
        return {k: _without_marks(v) for k, v in value.items() if k != "shared_object_id"}
    if isinstance(value, list):
        return [_without_marks(entry) for entry in value]
    return value


# ---------------------------------------------------------------------------- values


def _value_from(key: str, value: Any, origin: Origin, nested: Nested) -> Any:
    """The value of an argument as we write it."""
    if key.endswith("activation"):
        return _activation_from(value, origin)
    if key in ("layer", "cell", "forward_layer") and isinstance(value, Mapping):
        return nested(value)
    if key in ("cells", "layers") and isinstance(value, list):
        return [nested(entry) if _is_object(entry) else entry for entry in value]
    if key.endswith("initializer") and _is_object(value):
        return _initializer_from(value)
    if key.endswith("regularizer") and isinstance(value, Mapping):
        return _regularizer_from(value)
    if key.endswith("constraint") and isinstance(value, Mapping):
        return _constraint_from(value)
    return _plain_from(value)


def _plain_from(value: Any) -> Any:
    """A value without what Keras 3 says of classes and of tuples, however deep: of own layers."""
    if isinstance(value, list):
        return [_plain_from(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") == "__tuple__":
        return _plain_from(value.get("items"))
    if _is_object(value):
        name, config = without_package(value["class_name"]), _plain_from(value["config"])
        return {"class_name": name, "config": config}
    return {key: _plain_from(entry) for key, entry in value.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def _activation_from(value: Any, origin: Origin) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"an activation is given by its name here, not as {value!r}")
    return activation_from("keras3" if origin == KERAS_3 else "keras2", without_package(value))


def _object_from(value: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    config = value["config"] if value["config"] is not None else {}
    if not isinstance(config, Mapping):
        raise ValueError(f"{value['class_name']!r} has the configuration {config!r}")
    return without_package(value["class_name"]), dict(config)


def _initializer_from(value: Mapping[str, Any]) -> dict[str, Any]:
    name, config = _object_from(value)
    for key in ("input_axes", "output_axes"):
        if config.pop(key, None) is not None:
            raise ValueError(f"{name} with {key} is not offered")
    if not isinstance(config.get("seed"), int | None):
        config["seed"] = None  # a generator of Keras 3
    return {"class_name": name, "config": config}


def _regularizer_from(value: Mapping[str, Any]) -> dict[str, Any] | None:
    if not _is_object(value):  # Keras 1
        config = {k: v for k, v in value.items() if k in ("l1", "l2")}
        if value.get("name") not in ("WeightRegularizer", "ActivityRegularizer", "L1L2Regularizer"):
            raise ValueError(f"the regularizer {value!r} is unknown")
        return {"class_name": "L1L2", "config": config}
    name, config = _object_from(value)
    if name in ("L1", "L2"):
        name = "L1L2"
    return {"class_name": name, "config": config}


def _constraint_from(value: Mapping[str, Any]) -> dict[str, Any]:
    if not _is_object(value):  # Keras 1
        config = {k: v for k, v in value.items() if k != "name"}
        if "m" in config:
            config["max_value"] = config.pop("m")
        return {"class_name": value.get("name"), "config": config}
    name, config = _object_from(value)
    return {"class_name": name, "config": config}


def check_activations(entry: Mapping[str, Any], origin: Origin) -> None:
    """Refuse a layer of ours whose activation another framework does not have under its name.

    Parameters
    ----------
    entry : dict
        With class_name and config; layers within it count, too.
    origin : str
        What is to read it: ``keras2`` or ``keras3``.

    Raises
    ------
    ValueError
        If there is one.
    """
    config = entry["config"]
    for key, value in config.items() if isinstance(config, Mapping) else ():
        if key.endswith("activation") and isinstance(value, str):
            activation_to(origin, value, str(config.get("name")))
        for inner in value if isinstance(value, list) else [value]:
            if _is_object(inner):
                check_activations(inner, origin)


# ---------------------------------------------------------------------------- Keras 1


def _from_keras_1(name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class and the arguments by the names of Keras 2."""
    if name == "Merge":
        return _from_merge(config)
    begins = "batch_input_shape" in config
    for key in _REPEATED:
        own = name == "Embedding" and key != "input_dtype"
        if not own and (begins or config.get(key) is None or key == "input_dtype"):
            config.pop(key, None)
    spellings = _SPELLINGS.get(name)
    return name, config if spellings is None else spellings.respelled(name, config)


def _from_merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The layer of Keras 2 that does what a Merge of Keras 1 did."""
    mode = config.get("mode")
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGES:
        raise ValueError(f"layer {config.get('name')}: Merge with mode={mode!r} is not offered")
    found = {k: v for k, v in config.items() if k in ("name", "trainable")}
    if mode == "concat":
        found["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        found |= {"axes": config.get("dot_axes", -1), "normalize": mode == "cos"}
    return _MERGES[mode], found
