"""RNN: a recurrent layer whose step is a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _registry, _trace
from cylstm._phase import training_phase
from cylstm.graph import is_symbolic
from cylstm.layers import cells
from cylstm.layers._initial_states import symbolic_states
from cylstm.layers._losses import as_list
from cylstm.layers._options import RecurrentOptions
from cylstm.layers._turns import in_turn
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.nested import Nested, accepted
from cylstm.layers.recurrent import Recurrent
from cylstm.layers.serialization import deserialize
from cylstm.variables import Variable

__all__ = ["RNN"]


class RNN(Nested, Recurrent):
    """A recurrent layer that calls a cell at each timestep, as `keras.layers.RNN` of Keras 2.0.9.

    `LSTM(n)` gives the numbers and gradients of ``RNN(LSTMCell(n))`` much faster, in the compiled
    core: use it, or several in a row, wherever it does what you need. Measured in training, it is
    3 times as fast with 256 units and batches of 128, 18 times with 32 units and batches of 32, and
    120 times with single sequences; a cell that is differentiated takes up to 5 times as long as
    one with a derivative of its own. `RNN` is for cells of your own.

    Parameters
    ----------
    cell : cell, or list of cells
        A list becomes `StackedRNNCells`. A cell is any object, also a `Layer`, with

        - ``call(inputs, states)``: given (batch, input_dim) and a list of states, (batch, size)
          each, it returns the output, (batch, units), and the list of new states. If it takes
          `training` or `constants` by name, it is given these, too.
        - ``state_size``: the size of its state, or a list of sizes. The first is also that of the
          output.
        - as a layer, ``build(input_shape)`` for (batch, input_dim), or for a list of that and the
          shapes of the constants; its weights are then those of the `RNN`.
        - optionally ``step_vjp``, a derivative of its own: see below. Without it, `call` is
          differentiated (with the package autograd): compute with `cylstm.backend`, operators or
          NumPy's functions.
        - optionally ``draw_dropout(batch)``, which is asked once for a sequence in training: what
          it returns is given to every step as `dropout_masks`.
    return_sequences, return_state, go_backwards, stateful, unroll : bool, default False
        See `Recurrent`.
    **kwargs
        The arguments of `Layer`, and `input_dim` and `input_length`. The dtype is that of the cell;
        `dtype` is needed where no cell is a layer, and float64 is wanted.

    Attributes
    ----------
    cell : object
        The cell.
    states : list of ndarray
        Of a stateful layer: what the next call starts from.

    Raises
    ------
    ValueError
        If `cell` is no cell, or computes in another dtype.

    Notes
    -----
    Inputs (batch, timesteps, input_dim), or a list [x, states ..., constants ...]; what else a
    call takes is listed there. A masked timestep carries the states on, and its output is, as in
    Keras, the first state (with `unroll` the output before).

    A cell with a derivative of its own defines ``step_vjp(inputs, states)``, which takes the same
    arguments as `call` and returns ``((output, states), pullback)``. The pullback takes the
    gradient of the output and a list of those of the new states (arrays, which it must not
    change), and returns ``(d_inputs, d_states, of_weights)``: the gradients of the inputs, of each
    state, and a dict from the weight (`Variable`) to its gradient; then, if the cell takes
    constants, a list of their gradients. None stands for zero, except in the dict. It must not
    assume that timesteps are pulled back at once, or only once. Where timesteps are masked,
    `step_vjp` may be given zeros in place of the inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import backend as K
    >>> from cylstm.layers import RNN, Layer
    >>> class Minimal(Layer):
    ...     def __init__(self, units, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.units = self.state_size = units
    ...     def build(self, input_shape):
    ...         self.kernel = self.add_weight("kernel", (input_shape[-1], self.units))
    ...     def call(self, inputs, states):
    ...         output = K.tanh(K.dot(inputs, self.kernel) + states[0])
    ...         return output, [output]
    >>> RNN(Minimal(4), return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    stateful = False  # its own, not that of a layer within

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Unpack[RecurrentOptions],
    ) -> None:
        if isinstance(cell, list | tuple):
            cell = cells.StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        cells.check_cell(cell)
        if "implementation" in kwargs:
            raise TypeError("RNN has no argument 'implementation'; give it to the LSTMCell.")
        kwargs["dtype"] = cells.common_dtype([cell], kwargs.get("dtype"))
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.cell = cell
        self._num_constants: int | None = None
        self._set_state_spec()
        self.states: list[np.ndarray | None] = [None] * len(self.state_spec)

    def reset_states(self, states: Sequence[npt.ArrayLike] | None = None) -> None:
        """See `Recurrent.reset_states`: the states are its own, not those of a layer within."""
        Recurrent.reset_states(self, states)

    def _set_state_spec(self) -> None:
        self.state_spec: list[InputSpec] = [
            InputSpec(shape=(None, n)) for n in cells.state_sizes(self.cell)
        ]

    @property
    def units(self) -> int:  # type: ignore[override]  # it is that of the cell
        """The size of the output."""
        return cells.state_sizes(self.cell)[0]

    def _sublayers(self) -> list[Layer]:
        return [self.cell] if isinstance(self.cell, Layer) else []

    def build(self, input_shape: Any) -> None:
        """Build the cell, if it is a layer.

        Parameters
        ----------
        input_shape : tuple, or list of tuples
            (batch, timesteps, input_dim), or a list of that, the shapes of initial states, if any,
            and those of the constants.
        """
        shapes = list(input_shape) if isinstance(input_shape, list) else [input_shape]
        shape = tuple(shapes[0])
        InputSpec(ndim=3).check(shape, f"Input 0 of layer {self.name}")
        count = self._num_constants or 0
        if len(shapes) <= count:
            raise ValueError(
                f"Layer {self.name} has {count} constants, and is built for a list of shapes: that "
                "of the inputs, then those of the constants."
            )
        batch = self._fixed_batch(shape)
        at_a_step = (shape[0], shape[2])
        if isinstance(self.cell, Layer):
            constants = [tuple(s) for s in shapes[len(shapes) - count :]]
            self.cell._ensure_built_for([at_a_step, *constants] if constants else at_a_step)
        self._set_state_spec()
        self.input_spec: list[InputSpec] = [InputSpec(shape=(batch, None, shape[2]))]
        self.built = True
        if self.stateful:
            self.reset_states()

    # ------------------------------------------------------------------ calling

    def __call__(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        """Check the inputs, build on first use, and run over the sequence.

        Parameters
        ----------
        inputs : array_like, shape (batch, timesteps, input_dim), or list [x, state, ...]
            In a list, the initial states follow, and then the constants, of which the layer knows
            the number from an earlier call or its configuration.
        mask, training, initial_state
            As for `LSTM`.
        constants : array_like or list of array_like, optional
            What the cell is given at every timestep, as `constants`. In a symbolic call symbolic
            tensors.

        Returns
        -------
        ndarray, or list of ndarray with `return_state`
            (batch, units), or (batch, timesteps, units) with `return_sequences`.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit; nothing was computed and the layer is unchanged.
        """
        inputs, constants = self._split_constants(inputs, constants)
        before = self._num_constants
        try:
            self._num_constants = len(constants) or before
            if is_symbolic(inputs) or is_symbolic(initial_state) or is_symbolic(constants):
                return self._connect_all(inputs, mask, training, initial_state, constants)
            with in_turn(self):
                x, mask, states = self._checked(inputs, mask, initial_state)
                constants = self._checked_constants(constants)
                self._ensure_built([x, *constants] if constants else x)
                given: dict[str, Any] = {"mask": mask, "training": training}
                given |= {"initial_state": states}
                given |= {"constants": constants or None}
                outputs = self.call(x, **{k: v for k, v in given.items() if v is not None})
                self._record_activity(outputs)
            return outputs
        except BaseException:
            self._num_constants = before
            raise

    def _connect_all(
        self,
        inputs: Any,
        mask: Any,
        training: bool | None,
        initial_state: Any,
        constants: list[Any],
    ) -> Any:
        """A symbolic call."""
        tensors, states = symbolic_states(self, inputs, initial_state)
        given = {"mask": mask, "training": training, "initial_state": states}
        arguments = {name: value for name, value in given.items() if value is not None}
        return self._connect([*tensors, *constants], arguments)

    def call(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        """Run a built layer over the sequence; arguments and results are those of calling it."""
        inputs, constants = self._split_constants(inputs, constants)
        x, mask, states = self._checked(inputs, mask, initial_state)
        constants = self._checked_constants(constants)
        with in_turn(self):
            if states is None:
                states = self._first_states(x)
            return self._finish(*self._run_steps(x, mask, bool(training), states, constants))

    def step(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """One timestep: the cell is called."""
        return cells.call_cell(self.cell, inputs, *self._parts(states))

    def get_constants(self, inputs: Any, training: bool | None = None) -> list[Any]:
        """What every step is given after the states: what the cell drops in training."""
        return [cells.drawn_dropout(self.cell, inputs.shape[0])]

    def _parts(self, states: list[Any]) -> tuple[list[Any], list[Any], Any]:
        """The states, the constants, and what is dropped, of what a step is given."""
        count = len(self.state_spec)
        masks, *constants = states[count:]
        return states[:count], constants, masks

    def _split_constants(self, inputs: Any, constants: Any) -> tuple[Any, list[Any]]:
        """Take the constants out of the list [x, states ..., constants ...]."""
        count = self._num_constants or 0
        if constants is None:
            listed = isinstance(inputs, list | tuple) and len(inputs) > count
            if not count or not listed or not (_has_time(inputs[0])):
                return inputs, []
            inputs, constants = list(inputs[:-count]), list(inputs[-count:])
        constants = as_list(constants)
        if constants and not cells.takes_constants(self.cell):
            raise ValueError(
                f"The cell {type(self.cell).__name__} takes no constants: its `call` needs an "
                "argument of that name."
            )
        if self.built and len(constants) != count:
            raise ValueError(
                f"Layer {self.name} was built for {count} constants, got {len(constants)}."
            )
        return inputs, constants

    def _checked_constants(self, constants: list[Any]) -> list[Any]:
        """The constants as arrays of the dtype of the layer."""
        count = self._num_constants or 0
        if len(constants) != count:
            raise ValueError(f"Layer {self.name} takes {count} constants, got {len(constants)}.")
        return [
            c if _trace.is_traced(c) else _checks.as_array(c, self._dtype, f"Constant {i}")
            for i, c in enumerate(constants)
        ]

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        super()._check_shapes(shapes[: len(shapes) - (self._num_constants or 0)])

    # ------------------------------------------------------------------ gradients

    def vjp(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Run over the sequence, and return how to pull gradients back through it.

        As `LSTM.vjp`. The gradients of constants follow those of the inputs, which are then a
        list: [d_x, d_constants ...], or [d_x, d_states ..., d_constants ...] where the states were
        given in the inputs.
        """
        inputs, constants = self._split_constants(inputs, constants)
        states: Any = None if initial_state is None else list(as_list(initial_state))
        before = self._num_constants
        try:
            self._num_constants = len(constants) or before
            with in_turn(self), training_phase(training):
                x, mask, states = self._checked(inputs, mask, states)
                constants = self._checked_constants(constants)
                self._ensure_built([x, *constants] if constants else x)
                variables = self.trainable_weights
                by_steps = type(self).call is RNN.call and cells.has_step_vjp(self.cell)
                run = self._by_steps if by_steps else self._by_trace
                outputs, pull = run(x, mask, training, states, constants, variables)
                self._record_activity(outputs)
        except BaseException:
            self._num_constants = before
            raise
        shapes = [y.shape for y in as_list(outputs)]
        in_list = states is not None and initial_state is None

        def pullback(cotangents: Any) -> Gradients:
            checked = self._checked_cotangents(cotangents, shapes)
            d_x, d_states, d_constants, d_weights = pull(checked)
            d_inputs = [d_x, *(d_states if in_list else []), *d_constants]
            return Gradients(
                d_inputs if len(d_inputs) > 1 or in_list else d_x,
                None if states is None else d_states,
                d_weights,
            )

        return outputs, pullback

    def _by_trace(
        self,
        x: Any,
        mask: Any,
        training: Any,
        states: Any,
        constants: list[Any],
        variables: list[Any],
    ) -> tuple[Any, Callable[..., Any]]:
        """The outputs and their pullback, of a cell that is differentiated."""
        given = accepted(self.call, mask=mask, training=training)

        def run(x: Any, states: list[Any] | None, constants: list[Any]) -> Any:
            more: dict[str, Any] = {} if states is None else {"initial_state": states}
            more |= {"constants": constants} if constants else {}
            return self.call(x, **given, **more)

        outputs, pull = _trace.differentiate(
            run,
            [x, states, constants],
            variables,
            name=f"layer {self.name} (RNN of {type(self.cell).__name__})",
            instead="give the cell a `step_vjp`",
        )

        def pulled(cotangents: list[Any]) -> tuple[Any, ...]:
            of_arguments, of_weights = pull(cotangents if self.return_state else cotangents[0])
            return *of_arguments, of_weights

        return outputs, pulled

    def _by_steps(
        self,
        x: Any,
        mask: Any,
        training: Any,
        states: Any,
        constants: list[Any],
        variables: list[Any],
    ) -> tuple[Any, Callable[..., Any]]:
        """The outputs and their pullback, of a cell with a derivative of its own."""
        pulls: list[Callable[..., Any]] = []

        def step(inputs: np.ndarray, given: list[Any]) -> tuple[Any, list[Any]]:
            found, pull = cells.cell_vjp(self.cell, inputs, *self._parts(given))
            pulls.append(pull)
            return found

        states = self._first_states(x) if states is None else states
        # What is masked may be no number, and must not get into the gradients of the weights.
        kept = x if mask is None else np.where(mask[:, :, None], x, 0)
        found = self._over_time(step, kept, mask, bool(training), states, constants)
        output, *final = (np.asarray(array, self._dtype) for array in found)
        outputs = self._finish(output, final)

        def pulled(cotangents: list[Any]) -> tuple[Any, ...]:
            zeros = [np.zeros(s.shape, self._dtype) for s in states]
            d_output, *d_final = [*cotangents, *[None] * len(zeros)][: 1 + len(zeros)]
            d_states = [z if d is None else d for z, d in zip(zeros, d_final, strict=True)]
            back = self._pulled_back(pulls, x.shape, mask, d_output, d_states, constants)
            of_weights = back[-1]
            d_weights = [
                of_weights[v] if v in of_weights else np.zeros(v.shape, v.dtype) for v in variables
            ]
            return *back[:-1], d_weights

        return outputs, pulled

    def _pulled_back(
        self,
        pulls: list[Callable[..., Any]],
        shape: tuple[int, ...],
        mask: np.ndarray | None,
        d_output: np.ndarray | None,
        d_states: list[np.ndarray],
        constants: list[np.ndarray],
    ) -> tuple[Any, ...]:
        """Back-propagate through the timesteps: `rnn` of the backend, read backwards."""
        batch, timesteps, _ = shape
        d_x = np.zeros(shape, self._dtype)
        d_constants: list[Any] = [None] * len(constants)
        of_weights: dict[Variable, np.ndarray] = {}
        d_now = np.zeros((batch, self.units), self._dtype)  # of the output at this timestep
        if d_output is not None and not self.return_sequences:
            if not pulls:  # nothing was read: the first state is the output
                d_states = [d_states[0] + d_output, *d_states[1:]]
            d_now = d_output
        for s in reversed(range(len(pulls))):
            t = timesteps - 1 - s if self.go_backwards else s
            if d_output is not None and self.return_sequences:
                d_now = d_now + d_output[:, s]
            d_new, passed = d_states, None
            if mask is not None:
                keep = mask[:, t, None]
                passed = [np.where(keep, 0, d) for d in d_states]
                d_new = [np.where(keep, d, 0) for d in d_states]
                d_before, d_now = np.where(keep, 0, d_now), np.where(keep, d_now, 0)
                if not self.unroll:  # the output of a masked timestep is the state before
                    passed[0] = passed[0] + d_before
            d_inputs, d_old, found, *rest = pulls[s](d_now, d_new)
            d_x[:, t] = cells.like(d_inputs, d_x[:, t], "the inputs")
            d_states = [cells.like(d, z, "a state") for d, z in zip(d_old, d_states, strict=True)]
            if passed is not None:
                d_states = [d + p for d, p in zip(d_states, passed, strict=True)]
            cells.add_to(of_weights, found)
            d_constants = cells.added(d_constants, rest[0] if rest else [])
            d_now = d_before if mask is not None and self.unroll else np.zeros_like(d_now)
        d_constants = [
            cells.like(d, c, "a constant") for d, c in zip(d_constants, constants, strict=True)
        ]
        return d_x, d_states, d_constants, of_weights

    # ------------------------------------------------------------------ streams, configuration

    def _check_stream(self, batch_size: int) -> None:
        super()._check_stream(batch_size)
        if self._num_constants:
            raise ValueError(f"Layer {self.name} has constants, and so cannot stream.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again, with the config of its cell."""
        config = super().get_config() | {"cell": _registry.serialize_object(self.cell)}
        del config["implementation"]
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = _registry.serialize_object(self.activity_regularizer)
        if self._num_constants is not None:
            config["num_constants"] = self._num_constants
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """A new layer with the configuration that `get_config` returned.

        Parameters
        ----------
        config : dict
            Not changed.
        custom_objects : dict, optional
            Name to class or function, for cells of your own.
        """
        arguments = {name: value for name, value in config.items() if name != "num_constants"}
        layer = cls(**arguments | {"cell": deserialize(config.get("cell"), custom_objects)})
        count = config.get("num_constants")
        if count is not None:
            layer._num_constants = _checks.positive_int(count, "num_constants")
        return layer


def _has_time(value: Any) -> bool:
    """Whether the first of a list is the inputs, and not a row of numbers."""
    return is_symbolic(value) or _checks.rank(value) >= 3
