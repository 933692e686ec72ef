"""The training behind ``train``: parts of the data, the model, what is kept after each epoch."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cylstm import callbacks, saving
from cylstm._random import set_random_seed
from cylstm.cli import _sequences
from cylstm.cli._models import METRICS, MODEL, STATE, TASK, check_width
from cylstm.cli._sequences import Sequences
from cylstm.cli._task import Task
from cylstm.cli._text import count, json_text, say
from cylstm.layers import LSTM, Bidirectional, Dense, Dropout, InputLayer, Layer, Masking
from cylstm.models import Model, Sequential
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import pad_sequences
from cylstm.saving import _atomic, _json
from cylstm.saving._errors import reading
from cylstm.saving._files import check_size, opened

__all__ = ["Part", "State", "begun", "fit", "parts_of", "resumed", "write_record"]

_PADDING = -1e9  # of steps behind the end, in training: what no data hold
_LARGEST = 2**26  # bytes of metrics


# ---------------------------------------------------------------------- the data


@dataclass(frozen=True)
class Part:
    """What is trained on, or validated with: sequences and targets as `Task.encoded` has them."""

    inputs: list[np.ndarray]
    targets: np.ndarray


def parts_of(options: argparse.Namespace, task: Task, data: Sequences) -> tuple[Part, Part | None]:
    targets = task.encoded(_there(data.targets))
    whole = Part(data.inputs, targets)
    if options.validation is not None:
        other = _sequences.read(options.validation, task.layout, options.max_size)
        check_width(task.width, other, options.validation)
        if other.targets is None:
            raise ValueError(f"{options.validation} has no targets")
        return whole, Part(other.inputs, task.encoded(other.targets))
    share = task.settings["validation_split"]
    if not share:
        return whole, None
    held = _held_out(targets[:, 0] if task.classes else None, len(targets), share, task.settings)
    if held.all() or not held.any():
        raise ValueError(
            f"{share:g} of {count(len(targets), 'sequence')} leaves none to "
            f"{'train on' if held.all() else 'validate with'}: give another --validation-split, or "
            "0"
        )
    return _chosen(whole, ~held), _chosen(whole, held)


def _there(targets: np.ndarray | None) -> np.ndarray:
    if targets is None:
        raise ValueError("there are no targets")
    return targets


def _held_out(
    classes: np.ndarray | None, number: int, share: float, settings: dict[str, Any]
) -> np.ndarray:
    """Which sequences are validated with: a share of each class, but not all of one."""
    order = np.random.default_rng(settings["seed"]).permutation(number)
    groups = [order]
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
        groups = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
    held = np.zeros(number, bool)
    for group in groups:
        held[group[: min(round(share * len(group)), len(group) - 1)]] = True
    return held


def _chosen(part: Part, which: np.ndarray) -> Part:
    inputs = [sequence for sequence, chosen in zip(part.inputs, which, strict=True) if chosen]
    return Part(inputs, part.targets[which])


# ---------------------------------------------------------------------- the model


@dataclass
class State:
    """What is trained, what it is saved as, and what has been recorded of it.

    `trained` takes padded sequences and returns standardized numbers; `complete` has the same
    layers and weights, and takes and returns the numbers of the files.
    """

    trained: Model
    complete: Sequential
    record: dict[str, Any]


def begun(task: Task, settings: dict[str, Any], training: Part) -> State:
    body = [*_standardizing(task, settings, training), *_lstms(settings), _answer(task)]
    trained = _chained(task, [Masking(_PADDING, name="padding"), *body])
    ends: list[Layer] = []
    if task.kind == "regression" and settings["standardize"]:
        mean, spread = _moments(training.targets)
        ends = [_fixed("undo_standardize", np.diag(spread), mean)]
    if not task.classes:
        loss, metrics = "mean_squared_error", []
    else:
        loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    adam = Adam(lr=settings["learning_rate"], clipnorm=settings["clipnorm"])
    trained.compile(adam, loss, metrics=metrics)
    record = {"epochs": 0, "best_epoch": 0, "history": {}}
    return State(trained, _chained(task, [*body, *ends]), record)


def _chained(task: Task, layers: list[Any]) -> Sequential:
    start = InputLayer(input_shape=(None, task.width), name="sequences")
    return Sequential([start, *layers], name="sequences_to_answer")


def _standardizing(task: Task, settings: dict[str, Any], training: Part) -> list[Layer]:
    if not settings["standardize"]:
        return []
    mean, spread = _moments(np.concatenate(training.inputs).astype(np.float64))
    return [_fixed("standardize", np.diag(1 / spread), -mean / spread)]


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    # What hardly varies is not blown up: it is rounding.
    return mean, np.where(spread > 1e-6 * np.abs(mean) + 1e-30, spread, 1.0)


def _fixed(name: str, kernel: np.ndarray, bias: np.ndarray) -> Layer:
    return Dense(len(bias), trainable=False, weights=[kernel, bias], name=name)


def _lstms(settings: dict[str, Any]) -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1, settings["layers"] + 1):
        layer = LSTM(
            settings["units"],
            recurrent_activation="sigmoid",  # which every other library has as well
            return_sequences=number < settings["layers"],
            dropout=settings["dropout"],
            name=f"lstm_{number}",
        )
        layers.append(
            Bidirectional(layer, name=f"both_ways_{number}") if settings["bidirectional"] else layer
        )
    if settings["dropout"]:
        layers.append(Dropout(settings["dropout"], name="dropout"))
    return layers


def _answer(task: Task) -> Layer:
    return Dense(task.outputs, activation="softmax" if task.classes else None, name="answer")


def resumed(
    options: argparse.Namespace, task: Task, settings: dict[str, Any], validated: bool
) -> State:
    folder, size = options.out, options.max_size
    record = _read_record(folder / METRICS)
    if settings["epochs"] <= record["epochs"]:
        raise ValueError(
            f"{folder} has had {count(record['epochs'], 'epoch')}: --epochs says how many are "
            "wanted in all"
        )
    if ("val_loss" in record["history"]) != validated:
        raise ValueError(
            f"{folder} was trained with{'out' if validated else ''} validation, and can only go on "
            "so"
        )
    trained = saving.load_model(folder / STATE, max_size=size)
    best = saving.load_model(folder / MODEL, compile=False, max_size=size)
    if trained.input_shape != best.input_shape or trained.input_shape[2:] != (task.width,):
        raise ValueError(f"{STATE}, {MODEL} and {TASK} in {folder} are not of one training")
    ends = [layer for layer in best.layers if layer.name == "undo_standardize"]
    body = [layer for layer in trained.layers if not isinstance(layer, InputLayer | Masking)]
    trained.optimizer.lr = settings["learning_rate"]
    trained.optimizer.clipnorm = settings["clipnorm"]
    return State(trained, _chained(task, [*body, *ends]), record)


def _read_record(path: Path) -> dict[str, Any]:
    with reading(path), opened(path) as (file, size):
        check_size(size, _LARGEST)
        found = _json.parse(file.read())
        history = found.get("history") if isinstance(found, dict) else None
        epochs = found.get("epochs") if isinstance(found, dict) else None
        if type(epochs) is not int or not isinstance(history, dict):
            raise ValueError("it says nothing of epochs")
        for values in history.values():
            if not isinstance(values, list) or len(values) != epochs:
                raise ValueError("its history has not one value for each epoch")
            if not all(isinstance(value, int | float) for value in values):
                raise ValueError("its history holds something else than numbers")
        return dict(found)


# ---------------------------------------------------------------------- the training


class _Keep(callbacks.Callback):
    """After each epoch: the state to go on from, the model if it is the best, and the record."""

    _adds = ()
    on_root_only = True

    def __init__(self, folder: Path, task: Task, state: State) -> None:
        self._folder, self._state = folder, state
        self._task: Task | None = task

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write what has changed; the record last, which tells of the rest."""
        state, record = self._state, self._state.record
        if self._task is not None:  # only now is what was there before replaced
            _atomic.write(self._folder / TASK, self._task.to_json())
            self._task = None
        for name, value in (logs or {}).items():
            record["history"].setdefault(name, []).append(float(value))
        record["epochs"] = epoch + 1
        watched = record["history"].get("val_loss", [])
        if not watched[:-1] or watched[-1] < min(watched[:-1]):
            record["best_epoch"] = epoch + 1
            state.complete.save(self._folder / MODEL, include_optimizer=False)
        state.trained.save(self._folder / STATE)
        write_record(self._folder, record)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    _atomic.write(folder / METRICS, f"{json_text(record)}\n".encode())


def fit(
    options: argparse.Namespace,
    task: Task,
    state: State,
    training: Part,
    validation: Part | None,
) -> None:
    settings, folder = task.settings, options.out
    held = None if validation is None else _arrays(options, state, task, validation)
    x, y = _arrays(options, state, task, training)
    folder.mkdir(exist_ok=True)
    seed = settings["seed"]
    called: list[Any] = [
        callbacks.LambdaCallback(  # what goes on does not draw again what the beginning has drawn
            on_epoch_begin=lambda epoch, logs: set_random_seed(seed + 1 + epoch)
        ),
        _Keep(folder, task, state),
    ]
    if validation is not None and settings["patience"]:
        called.append(callbacks.EarlyStopping(patience=settings["patience"]))
    try:
        with redirect_stdout(sys.stderr):
            state.trained.fit(
                x,
                y,
                batch_size=settings["batch_size"],
                epochs=settings["epochs"],
                initial_epoch=state.record["epochs"],
                validation_data=held,
                callbacks=called,
                verbose=0 if options.quiet else 1,
            )
    except KeyboardInterrupt:
        if state.record["epochs"]:
            say(f"\n{folder} has {count(state.record['epochs'], 'epoch')}; --resume goes on")
        raise


def _arrays(
    options: argparse.Namespace, state: State, task: Task, part: Part
) -> tuple[np.ndarray, np.ndarray]:
    """What `fit` takes: sequences padded to one length, targets standardized."""
    longest = max(map(len, part.inputs))
    size = len(part.inputs) * longest * task.width * 4
    if size > options.max_size:
        raise ValueError(
            f"padded to the longest one of {longest} steps, the sequences take {size} bytes, and "
            f"at most {options.max_size} are allowed: --max-size {size} if that is meant"
        )
    if any((sequence == np.float32(_PADDING)).all(axis=1).any() for sequence in part.inputs):
        raise ValueError(f"a step holds nothing but {_PADDING:g}, which marks padding in training")
    x = pad_sequences(part.inputs, dtype="float32", padding="post", value=_PADDING)
    y = part.targets
    undone = state.complete.layers[-1]
    if undone.name == "undo_standardize":
        kernel, bias = undone.get_weights()
        y = (y - bias) / np.diag(kernel)
    return x, y
