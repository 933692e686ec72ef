"""What all optimizers share: clipping, slots, the update as a whole, weights and copies."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import _core
from cylstm._checks import as_array, plain_array
from cylstm._numbers import Hyperparameter, single
from cylstm._registry import Configurable
from cylstm._rows import Rows
from cylstm.variables import Change, Variable, set_at_once

__all__ = ["Optimizer"]

Arrays = list[np.ndarray]
Computed = tuple[Arrays, tuple[Any, ...] | None]

_MOST_ITERATIONS = 2**53


class State:
    """What an optimizer keeps for one variable.

    The slots may exist twice: an update is computed from `slots` into `new_slots`, and both change
    places when the update of all variables is known to succeed. `delta` becomes the new value of
    the variable, and the next update has another one. All but the slots is made when it is needed.

    Attributes
    ----------
    slots : list of arrays
        The slots before the update, in the order of `Optimizer.slot_names`. Not to be changed.
    lent : bool
        Whether other processes write to the slots, too: see `cylstm.distributed`.
    new_slots : list of arrays
        Where `Optimizer.update` writes the slots after the update, all of them.
    delta : array
        Where it writes what is to be subtracted from the variable.
    scratch : array
        Work space.
    """

    def __init__(self, variable: Variable, slots: Iterable[npt.ArrayLike]) -> None:
        self.variable = variable
        self.slots: Arrays = [np.array(slot, dtype=variable.dtype, order="C") for slot in slots]
        self.lent: bool = False
        self._new_slots: Arrays | None = None
        self._delta: np.ndarray | None = None

    @cached_property
    def scratch(self) -> np.ndarray:
        """Work space."""
        return np.empty(self.variable.shape, self.variable.dtype)

    @property
    def new_slots(self) -> Arrays:
        """Where `Optimizer.update` writes the slots after the update."""
        if self._new_slots is None:
            self._new_slots = [np.empty_like(slot) for slot in self.slots]
        return self._new_slots

    def out(self) -> np.ndarray:
        """Memory for a new value, where this process alone computes it and the slots."""
        if self.lent:
            self.slots, self.lent = [slot.copy() for slot in self.slots], False
        return _core.empty(self.variable.shape, self.variable.dtype)

    @property
    def delta(self) -> np.ndarray:
        """What `Optimizer.update` computes last."""
        if self._delta is None:
            self._delta = _core.empty(self.variable.shape, self.variable.dtype)
        return self._delta

    @delta.setter
    def delta(self, delta: np.ndarray) -> None:
        self._delta = delta

    def changes(self, value: np.ndarray, in_place: bool) -> list[Change]:
        """What makes the computed update the current one, for `set_at_once`."""
        swapped: list[Change] = []
        if not in_place:
            swapped = [(self, "slots", self.new_slots), (self, "_new_slots", self.slots)]
        return [*self.variable.replacement(value), *swapped, (self, "_delta", None)]


class Optimizer(Configurable, ABC):
    """Base class of optimizers, for your own ones too.

    A subclass names its slots (arrays of the shape of a variable that start from 0) in
    `slot_names` and defines `update`; what `update` needs once for all variables comes from
    `numbers`.

    Parameters
    ----------
    clipnorm : float or None, default None
        Gradients are scaled down where the Euclidean norm of all of them together exceeds it;
        None and 0 do not clip.
    clipvalue : float or None, default None
        Each derivative is cut off at plus and minus this value, after clipnorm; None and 0 do not
        clip.

    Raises
    ------
    TypeError
        If an argument is not a number, or unknown.
    ValueError
        If an argument is not finite or negative.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> class SignDescent(Optimizer):
    ...     def __init__(self, lr=0.5, *, clipnorm=None, clipvalue=None):
    ...         super().__init__(clipnorm, clipvalue)
    ...         self.lr = lr
    ...     def update(self, gradient, state, *numbers):
    ...         np.multiply(np.sign(gradient), self.lr, out=state.delta)
    >>> v = Variable([1.0, 2.0])
    >>> SignDescent().apply([np.array([0.3, -7.0])], [v])
    >>> v.value.tolist()
    [0.5, 2.5]
    """

    slot_names: tuple[str, ...] = ()
    # Keras leaves the count out of the weights of some optimizers, and their saved files too.
    iterations_in_weights = True

    clipnorm: Hyperparameter[float | None] = Hyperparameter(minimum=0, optional=True)
    clipvalue: Hyperparameter[float | None] = Hyperparameter(minimum=0, optional=True)

    def __init__(self, clipnorm: float | None = None, clipvalue: float | None = None) -> None:
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.iterations = 0
        self._states: dict[int, State] = {}
        # Slots, a list for each variable, that wait for the variables of the next `apply`.
        self._waiting: list[Arrays] = []

    @property
    def iterations(self) -> int:
        """How many updates have been applied; it may be set."""
        return self._iterations

    @iterations.setter
    def iterations(self, count: int) -> None:
        self._iterations = _checked_count(count)

    @abstractmethod
    def update(self, gradient: np.ndarray, state: State, *numbers: float) -> None:
        """Compute one update of one variable.

        Parameters
        ----------
        gradient : array
            The clipped gradient. Not to be changed.
        state : State
            The slots before the update, and where to write the new ones and the step.
        *numbers : float
            What `numbers` returned.
        """

    def numbers(self) -> tuple[float, ...]:
        """Return what `update` needs once for all variables, such as a decayed learning rate."""
        return ()

    def apply(self, gradients: Sequence[npt.ArrayLike], variables: Sequence[Variable]) -> None:
        """Update variables by their gradients, then apply the constraints of the variables.

        All variables are updated or, where an error is raised, none. Values that are not finite
        are no error: they spread, as in TensorFlow.

        Parameters
        ----------
        gradients : sequence of arrays
            One for each variable, of its shape.
        variables : sequence of Variable
            The variables, all different. The optimizer keeps slots for each.

        Raises
        ------
        ValueError
            If the number or a shape differs, a gradient is None, a variable is given twice, a
            constraint changes the shape, or slots that were loaded or copied do not fit.
        TypeError
            If a gradient does not consist of real numbers.
        """
        variables = list(variables)
        grads = _checked_gradients(list(gradients), variables)
        states = self._states_of(variables)
        with np.errstate(all="ignore"):
            grads = self._clipped(grads)
            values, last = self._computed(states, grads, self.numbers())
        values = [_constrained(s.variable, v) for s, v in zip(states, values, strict=True)]

        # Nothing is changed before all that can fail is done.
        changes: list[Change] = [
            (self, "_states", self._states | {id(state.variable): state for state in states}),
            (self, "_waiting", []),
            (self, "_iterations", self._iterations + 1),
        ]
        for state, value in zip(states, values, strict=True):
            changes += state.changes(value, in_place=last is not None)
        set_at_once(changes, last or ())

    def _computed(
        self, states: list[State], gradients: list[Any], numbers: tuple[float, ...]
    ) -> Computed:
        """The new values, before constraints; and a call that computes them and overwrites slots.

        Without such a call they are there, and the new slots are in `State.new_slots`.
        """
        values = []
        for state, gradient in zip(states, gradients, strict=True):
            self.update(np.asarray(gradient), state, *numbers)
            values.append(state.delta)
            np.subtract(state.variable.value, values[-1], out=values[-1])
        return values, None

    def _states_of(self, variables: list[Variable]) -> list[State]:
        """Find the states of variables, or make new ones without keeping them yet."""
        if self._waiting:
            return _bound(self._waiting, variables)
        states = []
        for variable in variables:
            state = self._states.get(id(variable))
            if state is None:
                zeros = np.zeros(variable.shape, variable.dtype)
                state = State(variable, [zeros] * len(self.slot_names))
            states.append(state)
        return states

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        if self.clipnorm:
            norm = math.sqrt(_sum(square for g in gradients for square in _squares(g)))
            if norm >= self.clipnorm:
                factor = self.clipnorm / norm
                gradients = [_changed(g, lambda a: a * factor) for g in gradients]
        if self.clipvalue:
            limit = single(self.clipvalue)
            gradients = [_changed(g, lambda a: np.clip(a, -limit, limit)) for g in gradients]
        return gradients

    @property
    def weights(self) -> Arrays:
        """The same as `get_weights()`."""
        return self.get_weights()

    def get_weights(self) -> Arrays:
        """Return copies of the state of the optimizer, in the order of Keras.

        Returns
        -------
        list of arrays
            The number of iterations (of those optimizers with which Keras stores it), then the
            first slots of all variables, then the second ones. Empty before the first update.
        """
        per_variable = self._slots()
        if not per_variable:
            return []
        count = [np.array(self.iterations, np.int64)] if self.iterations_in_weights else []
        by_slot = zip(*per_variable, strict=True)
        return count + [slot.copy() for slots in by_slot for slot in slots]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Restore the state that `get_weights` returned.

        Before the first update the slots wait, and are given to the variables of the first
        `apply` in their order.

        Parameters
        ----------
        weights : sequence of arrays
            What `get_weights` returned.

        Raises
        ------
        ValueError
            If the number of arrays or a shape does not fit; the state is then unchanged.
        """
        arrays = [plain_array(w, f"Weight {i}") for i, w in enumerate(weights)]
        if not arrays and not self._slots():
            return
        count, slots = self._split(arrays)
        if self._states and _shapes(slots) != _shapes(self._slots()):
            raise ValueError(
                f"these weights do not fit: their shapes are {[a.shape for a in arrays]}, "
                f"expected {[a.shape for a in self.get_weights()]}"
            )
        changes: list[Change] = []
        if count is not None:
            changes.append((self, "_iterations", _checked_count(count)))
        if self._states:
            for state, row in zip(self._states.values(), slots, strict=True):
                copies = [np.array(slot, state.variable.dtype, order="C") for slot in row]
                changes.append((state, "slots", copies))
        else:
            changes.append((self, "_waiting", [[slot.copy() for slot in row] for row in slots]))
        set_at_once(changes)

    def _split(self, arrays: Arrays) -> tuple[int | None, list[Arrays]]:
        """Take weights apart into the number of iterations and the slots of each variable."""
        variables, rest = divmod(
            len(arrays) - self.iterations_in_weights, max(1, len(self.slot_names))
        )
        if variables < 1 or rest or not self.slot_names:
            counted = "the number of iterations and " if self.iterations_in_weights else ""
            raise ValueError(
                f"the weights of {type(self).__name__} are {counted}{len(self.slot_names)} "
                f"arrays for each variable, got {len(arrays)} arrays"
            )
        if any(array.dtype.kind not in "iuf" for array in arrays):
            raise ValueError(
                f"weights must hold real numbers, got dtypes {[str(a.dtype) for a in arrays]}"
            )
        count = None
        if self.iterations_in_weights:
            first, *arrays = arrays
            if first.size != 1 or not 0 <= first.item() < math.inf:
                raise ValueError(f"the first weight is the number of iterations, got {first!r}")
            count = int(first.item())
        slots = [arrays[i::variables] for i in range(variables)]
        if any(len(set(shapes)) > 1 for shapes in _shapes(slots)):
            raise ValueError(
                f"the slots {self.slot_names} of {type(self).__name__} have one shape for each "
                f"variable, got the shapes {_shapes(slots)}"
            )
        return count, slots

    def _slots(self) -> list[Arrays]:
        """The slots of each variable; none where the optimizer has no slots."""
        if not self.slot_names:
            return []
        return [state.slots for state in self._states.values()] or self._waiting

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the optimizer; its state is in `get_weights`.

        Returns
        -------
        dict
            Argument name to value; clipnorm and clipvalue only where they were given.
        """
        config = super().get_config()
        for name in ("clipnorm", "clipvalue"):
            if config.get(name) is None:
                config.pop(name, None)
        return config

    def __getstate__(self) -> dict[str, Any]:
        # A copy does not hold the variables: its slots go, in their order, to the variables of
        # its next update, be they the same ones or those of a copied model.
        waiting = [[slot.copy() for slot in row] for row in self._slots()]
        return self.__dict__ | {"_states": {}, "_waiting": waiting}


def _checked_count(count: Any) -> int:
    """A number of updates: an integer that a float holds exactly."""
    if isinstance(count, bool | np.bool_):
        raise TypeError(f"iterations must be an integer, got {count}")
    if not 0 <= index(count) <= _MOST_ITERATIONS:
        raise ValueError(
            f"iterations must not be negative or beyond {_MOST_ITERATIONS}, got {count}"
        )
    return index(count)


def _shapes(rows: list[Arrays]) -> list[list[tuple[int, ...]]]:
    return [[array.shape for array in row] for row in rows]


def _squares(gradient: Any) -> list[float]:
    """The sums of the squares of each row. Their exact sum is the same if rows of zeros are left
    out."""
    values = gradient.values if isinstance(gradient, Rows) else gradient
    return np.atleast_1d(np.sum(np.square(values, dtype=np.float64), axis=-1)).ravel().tolist()


def _sum(numbers: Iterable[float]) -> float:
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf


def _changed(gradient: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    return gradient.changed(change) if isinstance(gradient, Rows) else change(gradient)


def _checked_gradients(gradients: list[Any], variables: list[Variable]) -> list[Any]:
    """Return gradients as arrays, or rows, of the dtype of their variables."""
    for variable in variables:
        if not isinstance(variable, Variable):
            raise TypeError(
                f"expected a list of gradients and a list of Variable, got {variable!r} in the "
                "second one"
            )
    if len(gradients) != len(variables):
        raise ValueError(
            f"expected one gradient for each of the {len(variables)} variables, "
            f"got {len(gradients)}"
        )
    if len({id(variable) for variable in variables}) != len(variables):
        raise ValueError(f"a variable was given twice: {[v.name for v in variables]}")
    arrays = []
    for gradient, variable in zip(gradients, variables, strict=True):
        name = f"the gradient of {variable.name}"
        if gradient is None:
            raise ValueError(f"{name} is None; leave the variable out if it is not to be updated")
        is_rows = isinstance(gradient, Rows) and gradient.dtype == variable.dtype
        array = gradient if is_rows else as_array(gradient, variable.dtype, name)
        if array.shape != variable.shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {variable.shape}")
        arrays.append(array)
    return arrays


def _bound(waiting: list[Arrays], variables: list[Variable]) -> list[State]:
    """Give slots that were loaded or copied to variables, in their order."""
    shapes = [slots[0].shape for slots in waiting]
    if shapes != [variable.shape for variable in variables]:
        raise ValueError(
            f"this optimizer was loaded or copied with slots for variables of shapes {shapes}, "
            f"but is applied to variables of shapes {[v.shape for v in variables]}; for a fresh "
            "start make a new one by from_config(optimizer.get_config())"
        )
    return [State(variable, slots) for variable, slots in zip(variables, waiting, strict=True)]


def _constrained(variable: Variable, value: np.ndarray) -> np.ndarray:
    """Apply the constraint of a variable to its new value, and check what comes out."""
    if variable.constraint is None:
        return value
    return variable.checked(variable.constraint(value))
