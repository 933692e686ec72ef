"""What a model was compiled with, and the state of its optimizer, as files of Keras hold it.

Keras 2.0 lists the slots of an optimizer one kind after the other, as cylstm does; today's Keras
one variable after the other, behind the number of updates and the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cylstm import _warning, losses, metrics, optimizers
from cylstm.saving._keras_config import KERAS_1, KERAS_2, KERAS_3, Origin, without_package
from cylstm.saving._keras_weights import converted
from cylstm.saving._weights import Stored
from cylstm.variables import Variable

__all__ = [
    "NOT_COMPILED",
    "interleaved",
    "is_compiled",
    "optimizer_names",
    "training_from",
    "training_to",
]

NOT_COMPILED = "load_model(path, compile=False) loads the model without what it was compiled with"
_AVERAGING = ("ema_momentum", "ema_overwrite_frequency")
_UNDER_THE_ROOT = ("RMSprop", "Adagrad")  # where later versions add epsilon
_NOT_TRAINED = ("running_mean", "running_std")  # of Keras 1's batch normalization
_COMPILED = ("loss", "metrics", "loss_weights", "sample_weight_mode", "weighted_metrics")
_OF_ANY_ACCURACY = ("acc", "accuracy")
# The names of classes in later versions, to what refuses the arguments that a function has not.
_FORMS = {
    module: {
        name: getattr(module, name)
        for name in module.__all__
        if name[0].isupper() and not name.isupper()
    }
    for module in (losses, metrics)
}
Named = tuple[str, np.ndarray]


def is_compiled(config: Any) -> bool:
    """Whether a file says how a model was compiled; a warning where it only says a part of it."""
    if not config:
        return False
    if isinstance(config, Mapping) and not (
        config.get("optimizer_config") or config.get("optimizer")
    ):
        _warning.warn(
            "The file does not say which optimizer the model was compiled with, as some of Keras 3 "
            "do not: compile the model before you train it."
        )
        return False
    return True


def training_from(
    config: Any, variables: Sequence[Named], model: Any, stored: Sequence[Stored], origin: Origin
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What `_description.resume_training` takes.

    Parameters
    ----------
    config : dict
        The training_config of Keras 2, or the compile_config of Keras 3; it may be hostile.
    variables : list of (str, ndarray)
        Those of the optimizer, in their order.
    model : Model
        A built one.
    stored : list of Stored
        The layers as the file lists them.
    origin : str
        Of `_keras_config.origin_of`.

    Returns
    -------
    document : dict
    state : list of ndarray

    Raises
    ------
    ValueError
        If it says what cannot be honoured.
    """
    if not isinstance(config, Mapping):
        raise ValueError("what the model was compiled with is no JSON object")
    try:
        found = config.get("optimizer_config", config.get("optimizer"))
        optimizer, start = _optimizer_from(found, KERAS_2 if "cylstm" in config else origin)
        document = {
            "optimizer": optimizer,
            "loss": _functions_from(config.get("loss"), losses),
            "metrics": _metrics_from(config.get("metrics"), model),
            "weighted_metrics": _metrics_from(config.get("weighted_metrics"), model),
            "loss_weights": config.get("loss_weights"),
            "sample_weight_mode": config.get("sample_weight_mode"),
        }
        iterations, state = _state_from(optimizer, variables, model, stored, origin, start)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; {NOT_COMPILED}") from None
    own = config.get("cylstm")
    if isinstance(own, Mapping):
        iterations = own.get("iterations", iterations)
    return {**document, "iterations": iterations}, state


# ---------------------------------------------------------------------------- optimizers


def _optimizer_from(value: Any, origin: Origin) -> tuple[dict[str, Any], float]:
    """An optimizer as we write it, and what its accumulators start from."""
    if isinstance(value, str):
        value = {"class_name": value, "config": {}}
    if not isinstance(value, Mapping) or not isinstance(value.get("config"), Mapping):
        raise ValueError("the optimizer is not described by class_name and config")
    name, config = without_package(value["class_name"]), dict(value["config"])
    config.pop("name", None)
    today = config.pop("is_legacy_optimizer", origin != KERAS_3) is False
    if today and name in _UNDER_THE_ROOT:
        _warning.warn(
            f"{name} of the Keras that wrote the file adds epsilon under the root, sqrt(v + "
            "epsilon), and here behind it, sqrt(v) + epsilon, as in Keras 2: training goes on "
            "with small differences."
        )
    start = config.pop("initial_accumulator_value", 0)
    if not isinstance(start, int | float):
        raise ValueError(f"{name} has initial_accumulator_value={start!r}")
    if not config.get("use_ema"):
        config = {k: v for k, v in config.items() if k not in _AVERAGING}
    if isinstance(config.get("learning_rate"), Mapping):
        raise ValueError(
            f"the learning_rate of {name} follows a schedule, which is not offered: use a callback "
            "LearningRateScheduler"
        )
    if "learning_rate" in config and config.get("clipnorm"):
        raise ValueError(
            f"{name} with clipnorm={config['clipnorm']!r} for each gradient by itself is not "
            "offered: here it is for all of them together, as global_clipnorm"
        )
    if "global_clipnorm" in config:
        config.pop("clipnorm", None)
    if name == "Nadam" and "learning_rate" in config:
        decay = 1.0 if today else config.pop("decay", 0.004)
        config["schedule_decay"] = decay
    return {"class_name": name, "config": config}, float(start)


def _state_from(
    optimizer: dict[str, Any],
    variables: Sequence[Named],
    model: Any,
    stored: Sequence[Stored],
    origin: Origin,
    start: float,
) -> tuple[int, list[np.ndarray]]:
    """The number of updates, and the state in our order."""
    made = optimizers.deserialize(optimizer)
    slots = len(made.slot_names)
    values = [array for _, array in variables]
    iterations = 0
    if values and values[0].shape == ():
        iterations = int(values.pop(0).item())
    while values and values[0].shape == ():  # learning rate, product of momenta
        values.pop(0)
    if values or (start and not iterations):
        weights = _in_order_of_file(model, stored)
        values = values or [np.full(v.shape, start, v.dtype) for v in weights] * slots
        first = variables[0][0] if variables else ""
        by_slot = (
            _slots_of_keras_1(values, model, stored, slots)
            if origin == KERAS_1
            else _slots(values, weights, slots, origin == KERAS_3 or _is_today(first))
        )
        state = [slot[v] for slot in by_slot for v in model.trainable_weights]
        count = [np.array(iterations, np.int64)] if made.iterations_in_weights else []
        return iterations, count + state
    return iterations, []


def _is_today(name: str) -> bool:
    """Whether the first variable of an optimizer is named as those of today are."""
    return name.rpartition("/")[2].removesuffix(":0") == "iteration"


def _slots(
    values: list[np.ndarray], weights: list[Variable], slots: int, interleaved: bool
) -> list[dict[Variable, np.ndarray]]:
    """The arrays of each slot by the weight that they belong to."""
    count = len(weights)
    if len(values) > count * slots and all(v.shape == (1,) for v in values[count * slots :]):
        values = values[: count * slots]  # Keras 2.1 keeps places for amsgrad
    parts = (
        [values[slot::slots] for slot in range(slots)]
        if interleaved
        else [values[slot * count : (slot + 1) * count] for slot in range(slots)]
    )
    shapes = [v.shape for v in weights]
    if len(values) != count * slots or any([a.shape for a in part] != shapes for part in parts):
        raise ValueError(
            f"the state of the optimizer has arrays of the shapes {[v.shape for v in values]}, "
            f"expected are {slots} of each of the shapes {shapes}"
        )
    return [dict(zip(weights, part, strict=True)) for part in parts]


def _in_order_of_file(model: Any, stored: Sequence[Stored]) -> list[Variable]:
    """The trainable weights as the layers of the file list them."""
    layers = {layer.name: layer for layer in model.layers}
    names = [entry.layer for entry in stored if entry.layer in layers]
    found = dict.fromkeys(v for n in [*names, *layers] for v in layers[n].trainable_weights)
    return [v for v in model.trainable_weights if v not in found] + list(found)


def _slots_of_keras_1(
    values: list[np.ndarray], model: Any, stored: Sequence[Stored], slots: int
) -> list[dict[Variable, np.ndarray]]:
    """The same where the weights stand in the order of their names, each gate by itself."""
    layers = {layer.name: layer for layer in model.layers if layer.trainable_weights}
    entries = [
        (layers[entry.layer], [n for n in entry.names if not _is_not_trained(n)])
        for entry in stored
        if entry.layer in layers
    ]
    names = sorted(name for _, own in entries for name in own)
    if len(values) != slots * len(names):
        raise ValueError(
            f"the state of the optimizer has {len(values)} arrays, expected are {slots} of each "
            f"of {len(names)} weights"
        )
    found: list[dict[Variable, np.ndarray]] = []
    for slot in range(slots):
        part = dict(zip(names, values[slot * len(names) :], strict=False))
        found.append({})
        for layer, own in entries:
            arrays = converted(layer, [part[name] for name in own], keras_1=True)
            found[-1] |= zip(layer.trainable_weights, arrays, strict=True)
    return found


def _is_not_trained(name: str) -> bool:
    return name.removesuffix(":0").endswith(_NOT_TRAINED)


# ---------------------------------------------------------------------------- losses, metrics


def _functions_from(value: Any, module: Any) -> Any:
    """Losses or metrics, alone or within lists and dicts, by the names of our functions."""
    if isinstance(value, Mapping) and "class_name" in value:
        return _function_from(value, module)
    if isinstance(value, Mapping):
        return {key: _functions_from(entry, module) for key, entry in value.items()}
    if isinstance(value, list):
        return [_functions_from(entry, module) for entry in value]
    return without_package(value)


def _function_from(value: Mapping[str, Any], module: Any) -> Any:
    """The name of a function that an object of a later Keras stands for."""
    name, config = without_package(value["class_name"]), value.get("config")
    if name == "function":
        return without_package(config)
    if not isinstance(config, Mapping):
        raise ValueError(f"{name} has the configuration {config!r}")
    title = config.get("name")
    config = {k: v for k, v in config.items() if k not in ("name", "dtype")}
    if name in ("MeanMetricWrapper", "LossFunctionWrapper"):
        function = config.get("fn")
        return "acc" if title in _OF_ANY_ACCURACY else _functions_from(function, module)
    if name in _FORMS[module]:
        config.pop("fn", None)
        return _FORMS[module][name](**config).__name__
    if set(config) <= {"fn", "reduction"}:
        return name  # one of the caller's own
    raise ValueError(f"{name} with {config} is not offered")


def _metrics_from(value: Any, model: Any) -> Any:
    """Metrics; lists of them for each output become a dict from the names of outputs."""
    found = _functions_from(value, metrics)
    if isinstance(found, list) and any(isinstance(entry, list) for entry in found):
        names = model.output_names
        if len(found) != len(names):
            raise ValueError(f"there are metrics for {len(found)} outputs, of {len(names)}")
        if len(names) == 1:
            return found[0]
        return {n: entry for n, entry in zip(names, found, strict=True) if entry}
    return found


# ---------------------------------------------------------------------------- writing


def training_to(document: Mapping[str, Any]) -> dict[str, Any]:
    """The training_config of Keras 2, from what `_description.describe_training` returned."""
    return {
        "optimizer_config": document["optimizer"],
        **{name: document[name] for name in _COMPILED},
        "cylstm": {"iterations": document["iterations"]},
    }


def interleaved(state: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """The slots of a state of ours in the order of today's Keras: variable by variable.

    Parameters
    ----------
    state : list of ndarray
        Of an optimizer; empty before the first update.
    count : int
        How many variables it is of.
    """
    slots = list(state[len(state) % count :]) if count else []
    return [slot for i in range(count) for slot in slots[i::count]]


def optimizer_names(document: Mapping[str, Any], state: Sequence[np.ndarray]) -> list[str]:
    """The names of the arrays of a state, as Keras 2.0 has them."""
    name = document["optimizer"]["class_name"]
    names = [f"training/{name}/Variable:0"]
    names += [f"training/{name}/Variable_{i}:0" for i in range(1, len(state))]
    if state and state[0].shape == () and state[0].dtype.kind == "i":
        names = [f"{name}/iterations:0", *names[: len(state) - 1]]
    return names[: len(state)]
