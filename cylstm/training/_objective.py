"""Objective: what a model is trained for - the losses, weights and metrics of its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cylstm import _checks, losses, metrics
from cylstm.training._reading import suggestion
from cylstm.training._weighting import Add, weighted_loss, weighted_metric
from cylstm.variables import Variable

__all__ = ["Goal", "Objective"]

_MODES = (None, "temporal")
_OF_NUMBERS = (
    losses.mean_squared_error,
    losses.mean_absolute_error,
    losses.mean_absolute_percentage_error,
    losses.mean_squared_logarithmic_error,
    losses.logcosh,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What one output is trained for.

    Attributes
    ----------
    index : int
        Which output of the model.
    name : str
        Its name.
    shape : tuple of (int or None)
        Its shape, with the batch axis.
    loss : callable
        Its loss.
    weight : float
        What the loss counts in the total.
    mode : {None, "temporal"}
        Whether sample weights belong to samples or to timesteps.
    metrics, weighted_metrics : list of (str, callable)
        What is reported, without and with sample weights.
    """

    index: int
    name: str
    shape: tuple[int | None, ...]
    loss: Callable[..., Any]
    weight: float
    mode: str | None
    metrics: list[tuple[str, Callable[..., Any]]]
    weighted_metrics: list[tuple[str, Callable[..., Any]]]


class Objective:
    """The losses, weights and metrics of the outputs of a model, from what `compile` is given.

    Parameters
    ----------
    names : list of str
        The names of the outputs.
    shapes : list of tuple
        Their shapes, with the batch axis.
    loss : str, callable, list or dict
        One for all outputs, or one for each; an output whose loss is None is not trained.
    metrics, weighted_metrics : list or dict, optional
        For all outputs, or a dict from names of outputs.
    loss_weights : list or dict, optional
        What each loss counts in the total; 1 by default.
    sample_weight_mode : {None, "temporal"}, list or dict, optional
        Whether sample weights belong to samples or to timesteps.

    Attributes
    ----------
    goals : list of Goal
        Of the outputs that have a loss.
    names : list of str
        Of the values: the total loss, the loss of each output if there are several, the metrics.
    labels : list of str
        The same, with a number behind a name that came before: keys for logs.
    several : bool
        Whether the model has several outputs, so that the loss of each is among the values.

    Raises
    ------
    ValueError
        If a loss, metric or mode is unknown, or an output is named that the model does not have,
        or a list has the wrong length.
    TypeError
        If an argument is neither of the kinds above.

    Examples
    --------
    >>> Objective(["a", "b"], [(None, 1), (None, 3)], {"a": "mse", "b": "poisson"},
    ...           metrics={"b": ["accuracy"]}).names
    ['loss', 'a_loss', 'b_loss', 'b_acc']
    """

    def __init__(
        self,
        names: Sequence[str],
        shapes: Sequence[tuple[int | None, ...]],
        loss: Any,
        metrics: Any = None,
        loss_weights: Any = None,
        sample_weight_mode: Any = None,
        weighted_metrics: Any = None,
    ) -> None:
        functions = [losses.get(entry) for entry in _each_output(loss, names, "loss", None)]
        weights = _loss_weights(loss_weights, names)
        modes = _modes(sample_weight_mode, names, functions)
        plain = _metrics_of(metrics, names, "metrics")
        weighted = _metrics_of(weighted_metrics, names, "weighted_metrics")
        self.goals: list[Goal] = [
            Goal(
                index,
                name,
                tuple(shapes[index]),
                function,
                weights[index],
                modes[index],
                _resolved(plain[index], shapes[index], function, False),
                _resolved(weighted[index], shapes[index], function, True),
            )
            for index, (name, function) in enumerate(zip(names, functions, strict=True))
            if function is not None
        ]
        self.several: bool = len(names) > 1
        self.names: list[str] = ["loss", *self._names_of_values()]
        self.labels: list[str] = _numbered(self.names)

    def _names_of_values(self) -> Iterable[str]:
        if self.several:
            yield from (f"{goal.name}_loss" for goal in self.goals)
        for goal in self.goals:
            prefix = f"{goal.name}_" if self.several else ""
            yield from (prefix + name for name, _ in goal.metrics + goal.weighted_metrics)

    def doubts(self, targets: Sequence[np.ndarray]) -> Iterable[str]:
        """Yield what is likely to be a mistake, though it can be computed.

        Parameters
        ----------
        targets : list of ndarray
            Some targets of the outputs that have a loss.

        Yields
        ------
        str
            The text of a warning.
        """
        for goal, target in zip(self.goals, targets, strict=True):
            reported = {
                name.removeprefix("weighted_") for name, _ in goal.metrics + goal.weighted_metrics
            }
            if "acc" in reported and goal.loss in _OF_NUMBERS:
                if not np.isin(target, (-1, 0, 1)).all():
                    yield (
                        "accuracy is the share of predictions that are equal to their targets; "
                        f"those of {goal.name} are no classes, so it says little. For numbers "
                        "take metrics=['mae']."
                    )

    def assess(
        self,
        outputs: Sequence[np.ndarray],
        masks: Sequence[np.ndarray | None],
        targets: Sequence[np.ndarray],
        weights: Sequence[np.ndarray | None],
    ) -> tuple[list[float], Callable[..., list[np.ndarray]]]:
        """Compare a batch of outputs with its targets.

        Parameters
        ----------
        outputs, masks : list of ndarray
            Of all outputs of the model; a mask may be None.
        targets, weights : list of ndarray
            Of the outputs that have a loss; weights may be None.

        Returns
        -------
        values : list of float
            In the order of `names`; the total is without the losses of layers.
        gradients : callable
            ``gradients()`` is the list of the gradients of the total, for each goal, with respect
            to its output. ``gradients(variables, add)`` also calls ``add(variable, gradient)`` for
            the variables that a loss of the user's own reads. With a third argument, a list, each
            loss counts that share of what it does otherwise.
        """
        total, single, reported, pullbacks = 0.0, [], [], []
        ones = [1.0] * len(self.goals)
        for goal, target, weight in zip(self.goals, targets, weights, strict=True):
            output, mask = outputs[goal.index], masks[goal.index]
            if not _takes_classes(goal):
                target = _checks.as_array(target, output.dtype, f"The targets of {goal.name}")
            value, gradient = weighted_loss(goal.loss, target, output, weight, mask)
            total += goal.weight * float(value)
            single.append(float(value))
            pullbacks.append((gradient, goal.weight, output))
            for _, metric in goal.metrics:
                reported.append(float(weighted_metric(metric, target, output, None, mask)))
            for _, metric in goal.weighted_metrics:
                reported.append(float(weighted_metric(metric, target, output, weight, mask)))

        def gradients(
            variables: Sequence[Variable] = (),
            add: Add | None = None,
            shares: Sequence[float] = ones,
        ) -> list[np.ndarray]:
            return [
                # What does not count at all may be NaN: nothing but masked steps, say.
                gradient(factor * share, variables, add) if share else np.zeros_like(output)
                for (gradient, factor, output), share in zip(pullbacks, shares, strict=True)
            ]

        return [total, *(single if self.several else []), *reported], gradients


def _takes_classes(goal: Goal) -> bool:
    """Whether all that reads the targets takes the numbers of classes as integers."""
    return goal.loss is losses.sparse_categorical_crossentropy and all(
        metrics.is_builtin(metric) for _, metric in goal.metrics + goal.weighted_metrics
    )


def _each_output(value: Any, names: Sequence[str], argument: str, default: Any) -> list[Any]:
    """One entry for each output, from one for all of them, a list or a dict."""
    if isinstance(value, Mapping) and not {"class_name", "config"} <= set(value):
        _check_names(value, names, argument)
        return [value.get(name, default) for name in names]
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            raise ValueError(
                f"{argument} is a list, which has one entry for each of the {len(names)} outputs "
                f"{list(names)}, got {len(value)} entries."
            )
        return list(value)
    return [value] * len(names)


def _check_names(value: Mapping[str, Any], names: Sequence[str], argument: str) -> None:
    unknown = sorted(str(name) for name in value.keys() - set(names))
    if unknown:
        raise ValueError(
            f"{argument} names the outputs {unknown}, but the model has {list(names)}."
            f"{suggestion(unknown, names)}"
        )


def _loss_weights(value: Any, names: Sequence[str]) -> list[float]:
    if value is not None and not isinstance(value, list | tuple | Mapping):
        raise TypeError(f"loss_weights must be a list or a dict from outputs, got {value!r}.")
    weights = []
    for weight in _each_output(1.0 if value is None else value, names, "loss_weights", 1.0):
        try:
            weights.append(float(weight))
        except (TypeError, ValueError):
            raise TypeError(f"loss_weights must hold numbers, got {weight!r}.") from None
    return weights


def _modes(value: Any, names: Sequence[str], functions: list[Any]) -> list[str | None]:
    if isinstance(value, Mapping):
        trained = [name for name, f in zip(names, functions, strict=True) if f is not None]
        missing = [name for name in trained if name not in value]
        if missing:
            raise ValueError(f"sample_weight_mode does not name the outputs {missing}.")
    modes = _each_output(value, names, "sample_weight_mode", None)
    for mode in modes:
        if mode not in _MODES:
            raise ValueError(f"sample_weight_mode must be None or 'temporal', got {mode!r}.")
    return modes


def _metrics_of(value: Any, names: Sequence[str], argument: str) -> list[list[Any]]:
    """The metrics of each output, not resolved yet."""
    if not value:
        return [[] for _ in names]
    if isinstance(value, Mapping):
        _check_names(value, names, argument)
        entries = [value.get(name, []) for name in names]
        return [list(e) if isinstance(e, list | tuple) else [e] for e in entries]
    if isinstance(value, list | tuple):
        return [list(value) for _ in names]
    raise TypeError(
        f"{argument} must be a list, or a dict from outputs to lists, got {value!r}; write "
        f"[{value!r}]."
    )


def _resolved(
    entries: list[Any], shape: tuple[int | None, ...], loss: Any, weighted: bool
) -> list[tuple[str, Callable[..., Any]]]:
    return [] if loss is None else [metrics.resolve(e, shape, loss, weighted) for e in entries]


def _numbered(names: list[str]) -> list[str]:
    """Tell equal names apart, as Keras does: the second ``a_loss`` is ``a_loss_2``."""
    total, before = Counter(names), Counter[str]()
    labels = []
    for name in names:
        before[name] += 1
        labels.append(name if total[name] == 1 else f"{name}_{before[name]}")
    return labels
