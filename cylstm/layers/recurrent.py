"""Recurrent: the frame of a recurrent layer - sequences, masks, states, the loop over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import _blank, _checks, _trace
from cylstm._phase import training_phase
from cylstm.graph import Node, SymbolicTensor, is_symbolic
from cylstm.layers._initial_states import split_inputs, symbolic_states
from cylstm.layers._lookups import Lookups
from cylstm.layers._losses import as_list
from cylstm.layers._options import RecurrentOptions
from cylstm.layers._turns import Turn, in_turn
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.nested import accepted
from cylstm.layers.streams import LayerStream, Stream

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """The frame of a recurrent layer: sequences in, masks, states, and a loop over time.

    A subclass sets `units` and `state_spec` and defines `build` and `step`, of which
    `cylstm.backend` (or NumPy) knows the derivative; `LSTM` replaces the loop by the compiled
    core, and `RNN` leaves the step to a cell.

    Parameters
    ----------
    return_sequences : bool, default False
        Return the output of every timestep, (batch, timesteps, units), instead of the last.
    return_state : bool, default False
        Return a list: the output, then each final state, (batch, units).
    go_backwards : bool, default False
        Read the sequence from its end; outputs are in the order of reading.
    stateful : bool, default False
        Start each call from the final states of the call before: row i of a batch goes on
        where row i of the last one stopped. The batch size is then fixed. One call uses the
        states at a time: those of other threads wait for it.
    unroll : bool, default False
        TensorFlow's unrolled loop. Here it changes one thing only, as it does there: the output
        of masked timesteps before the first unmasked one is zero instead of the initial state.
    implementation : {0, 1, 2}, default 0
        How dropout is drawn: 0 and 1 draw a mask for each gate, 2 one for all of them.
    input_dim, input_length : int, optional
        Another way to give `input_shape`, (input_length, input_dim).
    **kwargs
        The arguments of `Layer`.
    """

    units: int

    def __init__(
        self,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        implementation: int = 0,
        **kwargs: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(**_with_input_shape(kwargs))
        if implementation not in (0, 1, 2):
            raise ValueError(f"implementation must be 0, 1 or 2, got {implementation!r}.")
        self.return_sequences: bool = bool(return_sequences)
        self.return_state: bool = bool(return_state)
        self.go_backwards: bool = bool(go_backwards)
        self.stateful: bool = bool(stateful)
        self.unroll: bool = bool(unroll)
        self.implementation: int = int(implementation)
        self.supports_masking = True
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]
        self.state_spec: list[InputSpec] = []
        self.states: list[np.ndarray | None] = []
        self._turn = Turn()

    # ------------------------------------------------------------------ shapes and masks

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, or the list of shapes with `return_state`.

        Parameters
        ----------
        input_shape : tuple, or list of tuples
            (batch, timesteps, input_dim), or a list of it and the shapes of the initial states.
        """
        shape = tuple(input_shape[0] if isinstance(input_shape, list) else input_shape)
        InputSpec(ndim=3).check(shape, f"Input 0 of layer {self.name}")
        batch, timesteps, _ = shape
        output = (batch, timesteps, self.units) if self.return_sequences else (batch, self.units)
        if not self.return_state:
            return output
        return [output, *self._state_shapes(batch)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input mask for a returned sequence; None for a last output and for states."""
        mask = mask[0] if isinstance(mask, list | tuple) and mask else mask
        output = mask if self.return_sequences else None
        return [output] + [None] * len(self.state_spec) if self.return_state else output

    # ------------------------------------------------------------------ calling

    def __call__(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> Any:
        """Check the inputs, build on first use, and run over the sequence.

        Parameters
        ----------
        inputs : array_like, shape (batch, timesteps, input_dim), or list [x, state, ...]
            Cast to the dtype of the layer; never changed. In a list, the initial states follow.
        mask : array_like of bool, shape (batch, timesteps), optional
            False where a timestep is to be skipped: the states are carried on and the output
            before is repeated.
        training : bool, default False
            Whether dropout is applied.
        initial_state : list of array_like, each (batch, units), optional
            Default: zeros, or the last states of a stateful layer. In a symbolic call symbolic
            tensors, or arrays: constants of the model, whose batches are then all of that size,
            and which are part of its configuration.

        Returns
        -------
        ndarray, or list of ndarray with `return_state`
            (batch, units), or (batch, timesteps, units) with `return_sequences`.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit; nothing was computed and the layer is unchanged.
        """
        # most calls are of an array alone: what they do not need is not asked twice
        if (type(inputs) is not np.ndarray and is_symbolic(inputs)) or (
            initial_state is not None and is_symbolic(initial_state)
        ):
            tensors, states = symbolic_states(self, inputs, initial_state)
            given = {"mask": mask, "training": training, "initial_state": states}
            arguments = {name: value for name, value in given.items() if value is not None}
            return self._connect(tensors, arguments)
        if self.stateful:
            with in_turn(self):
                return self._called(inputs, mask, training, initial_state)
        return self._called(inputs, mask, training, initial_state)

    def _called(self, inputs: Any, mask: Any, training: bool | None, initial_state: Any) -> Any:
        """`__call__` of arrays, in turn."""
        x, mask, states = self._checked(inputs, mask, initial_state)
        if not self.built or self._initial_weights is not None:
            self._ensure_built(x)
        if type(self).call is Recurrent.call:
            outputs = self._run_checked(x, mask, training, states)
        else:
            given = {"mask": mask, "training": training, "initial_state": states}
            outputs = self.call(x, **{name: v for name, v in given.items() if v is not None})
        if self.activity_regularizer is not None:
            self._record_activity(outputs)
        return outputs

    def call(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> Any:
        """Run a built layer over the sequence; arguments and results are those of calling it."""
        x, mask, states = self._checked(inputs, mask, initial_state)
        with in_turn(self):
            return self._run_checked(x, mask, training, states)

    def _run_checked(self, x: Any, mask: Any, training: bool | None, states: Any) -> Any:
        """`call` of arguments that were checked."""
        if states is None:
            states = self._first_states(x)
        return self._finish(*self._run_steps(x, mask, bool(training), states, []))

    def step(self, inputs: np.ndarray, states: list[Any]) -> tuple[np.ndarray, list[Any]]:
        """One timestep. A subclass defines it, and it is then run for every timestep.

        To be trained it is differentiated (with autograd), together with `preprocess_input`,
        `get_constants`, `get_initial_state` and `call`: compute with `cylstm.backend`, operators
        or NumPy's functions.

        Parameters
        ----------
        inputs : ndarray, shape (batch, features)
            A timestep of what `preprocess_input` returned.
        states : list
            The states (batch, units), then the constants of `get_constants`.

        Returns
        -------
        output : ndarray, shape (batch, units)
        states : list of ndarray
            The new states.
        """
        raise TypeError(f"{type(self).__name__} does not define `step(inputs, states)`.")

    def preprocess_input(self, inputs: np.ndarray, training: bool | None = None) -> np.ndarray:
        """What the steps read in place of `inputs`; by default the inputs themselves."""
        return inputs

    def get_constants(self, inputs: np.ndarray, training: bool | None = None) -> list[Any]:
        """What every step is given after the states; by default nothing."""
        return []

    def get_initial_state(self, inputs: np.ndarray) -> list[np.ndarray]:
        """The states to start from where none are given: zeros, (batch, units) each."""
        batch = np.shape(inputs)[0]
        return [np.zeros(shape, self._dtype) for shape in self._state_shapes(batch)]

    def _state_shapes(self, batch: Any) -> list[tuple[Any, ...]]:
        return [(batch, *spec.sizes[1:]) for spec in self.state_spec]

    def _checked(
        self, inputs: Any, mask: Any, initial_state: Any
    ) -> tuple[Any, np.ndarray | None, list[np.ndarray] | None]:
        """The arguments of a call as arrays, or `Lookups`, that fit the layer, built or not."""
        dtype = self._dtype
        x: Any
        if type(inputs) is np.ndarray and inputs.dtype is dtype and inputs.flags.carray:
            x = inputs
        elif type(inputs) is Lookups and inputs.dtype == dtype:
            x = inputs
        else:
            if type(inputs) is Lookups:
                inputs = inputs.vectors()
            inputs, initial_state = split_inputs(inputs, initial_state)
            x = inputs
            if not _trace.is_traced(x):
                x = _checks.as_array(inputs, dtype, f"Input 0 of layer {self.name}")
        spec = self.input_spec[0]
        if not spec.fits(x.shape):
            spec.check(x.shape, f"Input 0 of layer {self.name}")
        if mask is not None:
            if isinstance(mask, list | tuple) and _checks.rank(mask) != 2:
                mask = mask[0] if mask else None  # [mask, None, None]: those of the states
            mask = None if mask is None else _checks.as_mask(mask, x.shape[:2])
        if initial_state is not None:
            initial_state = self._checked_states(as_list(initial_state), len(x), "Initial state")
        return x, mask, initial_state

    def _constant_states(self, states: list[Any], batch: int | None) -> list[np.ndarray]:
        """The initial states of a symbolic call where they are arrays: copies of them."""
        arrays = self._checked_states(states, batch, "Initial state")
        return [array.copy() for array in self._checked_states(arrays, len(arrays[0]), "State")]

    def _checked_states(self, states: list[Any], batch: int | None, what: str) -> list[np.ndarray]:
        if len(states) != len(self.state_spec):
            raise ValueError(
                f"Layer {self.name} has {len(self.state_spec)} states, got {len(states)}: give a "
                "list with an array (batch, units) for each."
            )
        arrays = []
        for i, (state, spec) in enumerate(zip(states, self.state_spec, strict=True)):
            shape = batch, *spec.sizes[1:]
            if not _checks.is_array(state, self._dtype, shape):
                name = f"{what} {i} of layer {self.name}"
                if not _trace.is_traced(state):
                    state = _checks.as_array(state, self._dtype, name)
                InputSpec(shape=shape).check(state.shape, name)
            arrays.append(state)
        return arrays

    def _first_states(self, x: np.ndarray) -> list[np.ndarray]:
        if self.stateful:
            states: list[Any] = self.states  # arrays, once it is built
            return list(states)
        return self._checked_states(self.get_initial_state(x), len(x), "Initial state")

    def _run_steps(
        self,
        x: Any,
        mask: np.ndarray | None,
        training: bool,
        states: list[Any],
        constants: list[Any],
    ) -> tuple[Any, list[Any]]:
        """Run `step` over time: the output(s), then the final states. A trace goes through it."""

        def run(x: Any, states: list[Any], constants: list[Any]) -> list[Any]:
            return self._over_time(self.step, x, mask, training, states, constants)

        with training_phase(training):
            if _trace.is_traced(x, *states, *constants):
                outputs, *states = run(x, states, constants)
            else:
                arguments = [x, states, constants]
                outputs, *states = _trace.evaluate(run, arguments, f"layer {self.name}")
        return outputs, states

    def _over_time(
        self,
        step: Callable[..., Any],
        x: Any,
        mask: np.ndarray | None,
        training: bool,
        states: list[Any],
        constants: list[Any],
    ) -> list[Any]:
        """Run a step over time, as Keras does: the output(s) asked for, and the final states.

        Each step is given the states, what `get_constants` gives, and the constants.
        """
        from cylstm.backend import rnn  # by which few layers are run

        batch, timesteps = x.shape[:2]
        fixed = [*self.get_constants(x, training), *constants]
        steps = self.preprocess_input(x, training)
        if timesteps == 0:
            nothing = np.zeros((batch, 0, self.units), self._dtype)
            return [nothing if self.return_sequences else states[0], *states]
        last, outputs, final = rnn(step, steps, states, self.go_backwards, mask, fixed, self.unroll)
        if len(final) != len(states):
            raise ValueError(
                f"The step of layer {self.name} returned {len(final)} states, expected "
                f"{len(states)}: as many as it has."
            )
        return [outputs if self.return_sequences else last, *final]

    def _finish(self, outputs: np.ndarray, states: list[np.ndarray]) -> Any:
        """Keep the states of a stateful layer, and return what was asked for."""
        if self.stateful:
            self.states = [np.array(getattr(state, "numbers", state)) for state in states]
        return [outputs, *states] if self.return_state else outputs

    # ------------------------------------------------------------------ gradients

    def vjp(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Run over the sequence, and return how to pull gradients back through it.

        Parameters
        ----------
        inputs, mask, training, initial_state
            As for calling the layer.

        Returns
        -------
        outputs : ndarray or list of ndarray
            As calling the layer gives.
        pullback : callable
            ``pullback(cotangents)``: given the gradient of a loss with respect to the outputs
            (an array, or a list like the outputs in which None stands for zero), it returns
            `Gradients` with respect to the inputs, the initial states and the trainable
            weights: full back-propagation through time. It may be called any number of times;
            weights may have changed meanwhile, the inputs must not.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, as for calling the layer; TypeError also where a function
            or step of your own has no derivative, or autograd, which finds it, is not installed.
        """
        states: Any = None if initial_state is None else list(as_list(initial_state))
        with in_turn(self):
            x, mask, states = self._checked(inputs, mask, states)
            self._ensure_built(x)
            given = accepted(self.call, mask=mask, training=training)

            def run(x: Any, states: list[Any] | None) -> Any:
                more = {} if states is None else {"initial_state": states}
                return self.call(x, **(given | more))

            variables = self.trainable_weights
            with training_phase(training):
                outputs, pull = _trace.differentiate(
                    run,
                    [x, states],
                    variables,
                    name=f"layer {self.name} ({type(self).__name__})",
                    instead="define `vjp`",
                )
            self._record_activity(outputs)
        shapes = [y.shape for y in as_list(outputs)]
        in_list = states is not None and initial_state is None

        def pullback(cotangents: Any) -> Gradients:
            checked = self._checked_cotangents(cotangents, shapes)
            (d_x, d_states), d_weights = pull(checked if len(shapes) > 1 else checked[0])
            return Gradients([d_x, *d_states] if in_list else d_x, d_states, d_weights)

        return outputs, pullback

    def _checked_cotangents(
        self, cotangents: Any, shapes: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray | None]:
        """Those of the outputs, each of its shape; None where there is none."""
        values = as_list(cotangents) if self.return_state else [cotangents]
        if len(values) != len(shapes):
            raise ValueError(
                f"Layer {self.name} has {len(shapes)} outputs, got {len(values)} cotangents."
            )
        checked: list[np.ndarray | None] = []
        for i, (value, shape) in enumerate(zip(values, shapes, strict=True)):
            if value is not None and not _checks.is_array(value, self._dtype, shape):
                name = f"Cotangent {i} of {self.name}"
                value = _checks.as_array(value, self._dtype, name)
                InputSpec(shape=shape).check(value.shape, name)
            checked.append(value)
        return checked

    # ------------------------------------------------------------------ streams

    def stream(self, batch_size: int = 1) -> Stream | LayerStream:
        """A stream: an object that is called with one frame after the other.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.

        Returns
        -------
        Stream or LayerStream
            Called with (batch_size, input_dim), it returns (batch_size, units), as the layer with
            `return_sequences` gives it at that timestep, starting from zeros. See
            `cylstm.layers.Stream`.

        Raises
        ------
        ValueError
            If the layer is not built, or goes backwards.
        """
        self._check_stream(batch_size)
        if self.go_backwards:
            raise ValueError(f"Layer {self.name} goes backwards: it starts with the last frame.")
        state = [np.zeros(shape, self._dtype) for shape in self._state_shapes(batch_size)]
        return self._stream_from(state)

    def _stream_from(self, state: list[np.ndarray]) -> Stream | LayerStream:
        return LayerStream(self, state)

    # ------------------------------------------------------------------ symbolic calls

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        specs = self.input_spec + (self.state_spec if len(shapes) > 1 else [])
        if len(shapes) != len(specs):
            raise ValueError(
                f"Layer {self.name} has {len(self.state_spec)} states, got {len(shapes) - 1}."
            )
        for i, (shape, spec) in enumerate(zip(shapes, specs, strict=True)):
            spec.check(shape, f"Input {i} of layer {self.name}")
        if self.unroll and shapes[0][1] is None:
            raise ValueError(f"Layer {self.name} unrolls, so it must know the timesteps.")

    def _note_call(self, node: Node) -> None:
        super()._note_call(node)
        if self.stateful:
            batch = self.input_spec[0].sizes[0]
            states = [
                SymbolicTensor(shape, self.dtype, f"{self.name}/state_{i}")
                for i, shape in enumerate(self._state_shapes(batch))
            ]
            self.add_update(states, inputs=node.input_tensors)

    # ------------------------------------------------------------------ states

    def reset_states(self, states: Sequence[npt.ArrayLike] | None = None) -> None:
        """Set the states of a stateful layer.

        Parameters
        ----------
        states : list of array_like, each (batch, units), default zeros
            What the next call starts from.

        Raises
        ------
        AttributeError
            If the layer is not stateful.
        ValueError
            If the layer is not built, or the number or a shape of the states is wrong.
        """
        if not self.stateful:
            raise AttributeError(f"Layer {self.name} is not stateful: it has no states to reset.")
        batch = self.input_spec[0].sizes[0] if self.built else None
        if batch is None:
            raise ValueError(
                f"Layer {self.name} does not know its batch size yet: call it, or build it."
            )
        if states is None:
            shapes = self._state_shapes(batch)
            for shape in shapes:
                _blank.claim(shape)
            # Memory that nobody has written to takes no place yet: a copy would.
            self.states = [np.zeros(shape, self._dtype) for shape in shapes]
            return
        arrays = self._checked_states(as_list(states), batch, "State")
        with in_turn(self):
            self.states = [array.copy() for array in arrays]

    def _fixed_batch(self, input_shape: Sequence[int | None]) -> int | None:
        """The batch size that the layer is bound to: that of a stateful one, else None."""
        if not self.stateful:
            return None
        given = self.batch_input_shape[0] if self.batch_input_shape else None
        batch = input_shape[0] if input_shape[0] is not None else given
        if batch is None:
            raise ValueError(
                f"Layer {self.name} is stateful and needs a fixed batch size: give "
                "batch_input_shape=(batch, timesteps, input_dim), or batch_size."
            )
        if given not in (None, batch):
            raise ValueError(
                f"Layer {self.name} is stateful with the batch size {given}, got {batch} rows."
            )
        return batch


def _with_input_shape(given: RecurrentOptions) -> dict[str, Any]:
    """Replace input_dim and input_length, two names of old Keras, by input_shape."""
    arguments: dict[str, Any] = dict(given)
    length, dim = arguments.pop("input_length", None), arguments.pop("input_dim", None)
    if length is None and dim is None:
        return arguments
    if "input_shape" in arguments or "batch_input_shape" in arguments:
        raise ValueError("Give either input_dim and input_length, or an input shape, not both.")
    return arguments | {"input_shape": (length, dim)}
