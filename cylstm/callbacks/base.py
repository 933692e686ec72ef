"""The base class of callbacks, and the list through which training calls them."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cylstm import _warning
from cylstm._arguments import NamedArguments
from cylstm.callbacks._names import ByName

__all__ = ["Callback", "CallbackList", "LambdaCallback"]

Logs = dict[str, Any]

_SLOW = 0.1  # seconds from which on callbacks that outweigh a batch are worth a warning


class Callback(NamedArguments):
    """Base of all callbacks: its methods do nothing, and a subclass overrides some of them.

    Every method gets `logs`, a dict: at the end of an epoch the means of the loss and the metrics
    (``loss``, ``acc``, ..., ``val_loss``, ``val_acc``, ...), before a batch ``batch`` and
    ``size``, after it also its loss and metrics. What a callback adds to the logs of an epoch
    later ones see. In training ``logs["accuracy"]`` finds ``acc`` as well. Epochs and batches
    count from 0.

    Attributes
    ----------
    model : Model
        What is trained. ``model.stop_training = True`` ends training after the epoch.
    params : dict
        ``epochs``, ``steps``, ``samples``, ``batch_size``, ``verbose``, ``do_validation`` and
        ``metrics``, the names of all numbers in the logs of an epoch.
    validation_data : object
        What `fit` validates with, where it was given arrays.
    on_root_only : bool
        Whether in training over several processes (`cylstm.distributed`) only the first one calls
        it, as is right for what writes or prints. False; set it for a class or an object.

    Examples
    --------
    >>> class Announce(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print("epoch", epoch, "loss", logs["loss"])
    >>> CallbackList([Announce()]).on_epoch_end(0, {"loss": 0.5})
    epoch 0 loss 0.5
    """

    model: Any = None
    params: Mapping[str, Any] = MappingProxyType({})
    validation_data: Any = None
    on_root_only: bool = False

    # Whether training is to give it `_examine`: from tensors to their values for the validation
    # data, and gradients, as `Steps.examine` computes them.
    _examines = False
    _examine: Any = None

    # What the class is known to add to the logs of an epoch. It holds for the class itself: of a
    # subclass, which may add whatever it likes, nothing is known.
    _adds: tuple[str, ...] | None = None

    def _check(self, known: Collection[str], complete: bool) -> None:
        """Raise or warn before training of what would fail in it; nothing is changed.

        `known` are names that the logs of epochs will have, and if `complete` there are no others.
        """

    def __repr__(self) -> str:
        """The class, its first argument, and those that are not what they are by default."""
        shown = []
        for i, (name, parameter) in enumerate(inspect.signature(type(self)).parameters.items()):
            value = self._given(name, parameter)
            if i == 0 or not _same(value, parameter.default):
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _given(self, name: str, parameter: inspect.Parameter) -> Any:
        """What an argument of the constructor was, as far as the callback keeps it."""
        return getattr(self, name, parameter.default)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take what training is about to do."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model that is about to be trained."""
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once, before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once, after the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch."""


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) in (int, float, str, bool) and value == default)


class CallbackList:
    """Several callbacks that are called as one, in their order.

    A warning tells when they take longer than the training of the batches.

    Parameters
    ----------
    callbacks : iterable of Callback, optional
        The callbacks.
    queue_length : int, default 10
        Over how many batches the median time is taken for the warning.

    Examples
    --------
    >>> callbacks = CallbackList([Callback()])
    >>> callbacks.append(Callback())
    >>> len(list(callbacks))
    2
    """

    def __init__(self, callbacks: Iterable[Callback] | None = None, queue_length: int = 10) -> None:
        self.callbacks: list[Callback] = list(callbacks or [])
        self.queue_length = queue_length
        self._forget_times()

    def _forget_times(self) -> None:
        self._batch_start = time.perf_counter()
        self._batch_seconds = 0.0
        self._seconds: dict[str, deque[float]] = {
            name: deque(maxlen=self.queue_length) for name in ("on_batch_begin", "on_batch_end")
        }

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Pass on `Callback.set_params`."""
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Pass on `Callback.set_model`."""
        for callback in self.callbacks:
            callback.set_model(model)

    def check(self, metrics: Iterable[str]) -> None:
        """Let the callbacks find now what would fail in training: paths, names of numbers.

        Parameters
        ----------
        metrics : iterable of str
            The names of the numbers in the logs of an epoch.

        Raises
        ------
        ValueError, OSError, ImportError
            If a callback cannot write where it is to write.

        Warns
        -----
        RuntimeWarning
            If a callback watches a number that there will not be.
        """
        added = [vars(type(callback)).get("_adds") for callback in self.callbacks]
        names = [*metrics, *(name for names in added for name in names or ())]
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback._check(ByName.fromkeys(names), None not in added)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_train_begin`."""
        self._call("on_train_begin", _dict(logs))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_train_end`."""
        self._call("on_train_end", _dict(logs))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_epoch_begin`."""
        self._call("on_epoch_begin", epoch, _dict(logs))
        self._forget_times()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_epoch_end`; the callbacks share one dict of logs."""
        self._call("on_epoch_end", epoch, _dict(logs))

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_batch_begin`."""
        self._call_timed("on_batch_begin", batch, _dict(logs))
        self._batch_start = time.perf_counter()

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Pass on `Callback.on_batch_end`."""
        self._batch_seconds = time.perf_counter() - self._batch_start
        self._call_timed("on_batch_end", batch, _dict(logs))

    def _call(self, method: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, method)(*arguments)

    def _call_timed(self, method: str, batch: int, logs: Logs) -> None:
        start = time.perf_counter()
        self._call(method, batch, logs)
        seconds = self._seconds[method]
        seconds.append(time.perf_counter() - start)
        if seconds[-1] <= _SLOW or not self._batch_seconds:
            return
        median = sorted(seconds)[len(seconds) // 2]
        if median > max(_SLOW, 0.95 * self._batch_seconds):
            _warning.warn(
                f"the callbacks take {median:.2f} s in {method}, and the batch itself "
                f"{self._batch_seconds:.2f} s; see which of them is slow",
                RuntimeWarning,
            )

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)


def _dict(logs: Logs | None) -> Logs:
    return {} if logs is None else logs


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Functions of an epoch and its logs.
    on_batch_begin, on_batch_end : callable, optional
        Functions of a batch and its logs.
    on_train_begin, on_train_end : callable, optional
        Functions of logs.
    **attributes
        Further attributes of the callback.

    Raises
    ------
    TypeError
        If one of the six is not callable.

    Examples
    --------
    >>> losses = []
    >>> callback = LambdaCallback(on_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    >>> callback.on_batch_end(0, {"loss": 0.5})
    >>> losses
    [0.5]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_batch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        **attributes: Any,
    ) -> None:
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_batch_begin": on_batch_begin,
            "on_batch_end": on_batch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
        }
        given = {name: function for name, function in functions.items() if function is not None}
        for name, function in given.items():
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {function!r}.")
        self.__dict__.update(attributes, **given)

    def _given(self, name: str, parameter: inspect.Parameter) -> Any:
        return vars(self).get(name)
