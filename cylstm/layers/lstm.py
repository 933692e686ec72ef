"""LSTM: long short-term memory, forward and backward through the compiled core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _core, _spellings, _threads, _trace
from cylstm.layers import _engines
from cylstm.layers._lookups import Lookups, Table, Tables
from cylstm.layers._lstm_steps import LSTMSteps
from cylstm.layers._options import LSTMOptions
from cylstm.layers._turns import in_turn
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients
from cylstm.layers.recurrent import Recurrent
from cylstm.layers.streams import LayerStream, Stream
from cylstm.variables import Variable

__all__ = ["LSTM"]

_OWN_WAYS = ("step", "preprocess_input", "call", "get_initial_state")


class LSTM(LSTMSteps, Recurrent):
    """Long short-term memory, as `tf.keras.layers.LSTM` of TensorFlow 1.4.

    For each timestep, with x the input, h the output and c the cell state before, and * the
    product of elements::

        i = recurrent_activation(x W_i + h U_i + b_i)        input gate
        f = recurrent_activation(x W_f + h U_f + b_f)        forget gate
        c = f * c + i * activation(x W_c + h U_c + b_c)      cell state
        o = recurrent_activation(x W_o + h U_o + b_o)        output gate
        h = o * activation(c)                                output

    W is `kernel`, (input_dim, 4 units), U `recurrent_kernel`, (units, 4 units), and b `bias`,
    (4 units); each holds its gates in the order i, f, c, o.

    Parameters
    ----------
    units : int
        The size of the output and of both states.
    activation : str or callable, default "tanh"
        Of the cell input and the cell state; None is linear. See `cylstm.activations`.
    recurrent_activation : str or callable, default "hard_sigmoid"
        Of the three gates; hard_sigmoid is ``clip(0.2 x + 0.5, 0, 1)``.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer : str, callable or dict
        Default "glorot_uniform", "orthogonal" and "zeros". See `cylstm.initializers`.
    unit_forget_bias : bool, default True
        Start the bias of the forget gate at one. The other gates keep `bias_initializer`, as
        TensorFlow computes it (its documentation says that they become zero).
    kernel_regularizer, recurrent_regularizer, bias_regularizer : callable, str or dict, optional
        Penalties of the weights. See `cylstm.regularizers`.
    activity_regularizer : callable, str or dict, optional
        Penalty of the outputs.
    kernel_constraint, recurrent_constraint, bias_constraint : callable, str or dict, optional
        Applied to the weights after each update. See `cylstm.constraints`.
    dropout, recurrent_dropout : float, default 0
        The share of the inputs, and of the outputs fed back, that is dropped in training: the
        same ones at every timestep. Clipped to [0, 1]; at 1, as in TensorFlow, nothing is.
    **kwargs
        The arguments of `Recurrent` (return_sequences, return_state, go_backwards, stateful,
        unroll, implementation, input_dim, input_length) and of `Layer` (input_shape,
        batch_input_shape, batch_size, dtype, name, trainable, weights).

    Attributes
    ----------
    kernel, recurrent_kernel, bias : Variable
        The weights, once the layer is built; `bias` is None without one.
    states : list of ndarray
        Of a stateful layer: h and c, (batch, units) each, that the next call starts from.

    Raises
    ------
    ValueError
        For an unknown name of an activation, initializer, ..., for `units` below 1, NaN dropout.
    TypeError
        For an unknown argument, or one of a wrong type.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997;
    F. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12(10), 2000;
    dropout: Y. Gal and Z. Ghahramani, arXiv:1512.05287. Behaviour: TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> layer = cylstm.LSTM(4)
    >>> layer(np.ones((2, 5, 3))).shape
    (2, 4)

    Gradients, of the sum of the outputs here:

    >>> y, pullback = layer.vjp(np.ones((2, 5, 3)))
    >>> gradients = pullback(np.ones_like(y))
    >>> gradients.inputs.shape, [w.shape for w in gradients.weights]
    ((2, 5, 3), [(3, 16), (4, 16), (16,)])
    """

    @_spellings.recurrent
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Unpack[LSTMOptions],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_options(
            units=units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
        )
        self.state_spec: list[InputSpec] = [InputSpec(shape=(None, self.units)) for _ in range(2)]
        self.states: list[np.ndarray | None] = [None, None]
        self._own: Variable | None = None  # what the cell of a variant reads besides
        self._cell: _engines.Cell | None = None
        self._cell_activations: tuple[Any, Any] = (None, None)
        self._tables = Tables()

    def build(self, input_shape: Any) -> None:
        """Create the weights.

        Parameters
        ----------
        input_shape : tuple, or list of tuples
            (batch, timesteps, input_dim), of which only input_dim must be known (and the batch
            size if the layer is stateful); of a list the first counts.
        """
        shape = tuple(input_shape[0] if isinstance(input_shape, list) else input_shape)
        InputSpec(ndim=3).check(shape, f"Input 0 of layer {self.name}")
        if shape[2] is None:
            raise ValueError(f"Layer {self.name} needs the last axis of its input to be known.")
        batch = self._fixed_batch(shape)
        self._add_weights(shape[2])
        self.input_spec: list[InputSpec] = [InputSpec(shape=(batch, None, self.input_dim))]
        self.built = True
        if self.stateful:
            self.reset_states()

    # ------------------------------------------------------------------ forward and backward

    @property
    def engine(self) -> str:
        """What computes this layer: "fused", "blas", "reference" or "steps".

        fused
            Kernels of the package's own, with threads: for all activations that it has but softmax.
        blas
            Products by SciPy's BLAS: for softmax. Its own threads, and the size of the batch, may
            change the last bits of results.
        reference
            NumPy: for activations of your own.
        steps
            Python, step by step: for a subclass with a `step` of its own.

        The environment variable CYLSTM_ENGINE names one of the first three that is taken instead
        where it can compute the same.
        """
        return _engines.choose(self.activation, self.recurrent_activation, self._has_own_step())

    def _states_or_zeros(self, x: np.ndarray) -> list[np.ndarray] | None:
        """The states to start from where none are given; None for zeros."""
        if self.stateful or self._is_overridden("get_initial_state", "step", "preprocess_input"):
            return self._first_states(x)
        return None

    def _run_checked(self, x: Any, mask: Any, training: bool | None, states: Any) -> Any:
        changed = type(self) is not LSTM  # what LSTM itself has not overridden is not asked
        if states is None and (self.stateful or changed):
            states = self._states_or_zeros(x)
        if changed and self._has_own_step():
            return self._finish(*self._run_steps(x, mask, bool(training), states, []))
        if type(x) is Lookups:
            table = self._table(x, training, keep=False)
            x = x.vectors() if table is None else table.inputs
        elif type(x) is not np.ndarray or (states is not None and _trace.is_traced(*states)):
            return self._finish(*self._run_in_trace(x, mask, bool(training), states))
        x_masks = h_masks = None
        if training or changed:
            x_masks, h_masks = self._dropout_masks(x, bool(training))
        outputs, h, c, _ = self._current_cell().forward(
            x, mask, states, x_masks, h_masks, self.go_backwards, self.unroll,
            self.return_sequences, self.return_state or self.stateful, False, _threads.pool,
        )  # fmt: skip
        if outputs is None:
            outputs = self._last_output(h, mask)
        return self._finish(outputs, [h, c]) if c is not None else outputs

    def _table(self, x: Lookups, training: bool | None, keep: bool) -> Table | None:
        """What the engine reads in place of inputs that were looked up; None: their vectors."""
        if training and (self.dropout or self.recurrent_dropout):
            return None
        tables = self._tables
        return (tables.for_training if keep else tables.for_calls)(self._current_cell(), x)

    @property
    def _reads_lookups(self) -> bool:
        """Whether the layer may be called with `Lookups`."""
        return type(self) is LSTM

    def _new_run(self, x: Any, mask: Any, training: bool | None, states: Any) -> _engines.Run:
        """A run whose backward pass will follow."""
        x_masks = h_masks = None
        if training or type(self) is not LSTM:
            x_masks, h_masks = self._dropout_masks(x, bool(training))
        return _engines.Run(
            self._current_cell(), x, mask, states, x_masks, h_masks, self.go_backwards, self.unroll,
            self.return_sequences, self.return_state or self.stateful,
        )  # fmt: skip

    def _last_output(self, h: np.ndarray, mask: Any) -> np.ndarray:
        """The output at the last timestep, which is h unless nothing was read."""
        last = h.copy() if self.return_state else h
        if self.unroll and mask is not None:
            last[self._never_read(mask)] = 0
        return last

    def _never_read(self, mask: np.ndarray) -> np.ndarray:
        """The rows whose last output is zero, unrolled: those masked at every timestep."""
        unread: np.ndarray = ~mask.any(axis=1) & (mask.shape[1] > 0)
        return unread

    def vjp(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        if type(self) is not LSTM and self._is_overridden(*_OWN_WAYS):
            return super().vjp(inputs, mask, training, initial_state)
        _engines.require_derivatives(self.activation, self.recurrent_activation)
        if self.stateful:
            with in_turn(self):
                return self._with_pullback(inputs, mask, training, initial_state)
        return self._with_pullback(inputs, mask, training, initial_state)

    vjp.__doc__ = Recurrent.vjp.__doc__

    def _with_pullback(
        self, inputs: Any, mask: Any, training: bool | None, initial_state: Any
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """`vjp`, in turn."""
        x, mask, states = self._checked(inputs, mask, initial_state)
        if not self.built or self._initial_weights is not None:
            self._ensure_built(x)
        with_states = states is not None
        in_list = with_states and initial_state is None
        if states is None and (self.stateful or type(self) is not LSTM):
            states = self._states_or_zeros(x)
        table, looked = None, x
        if type(x) is Lookups:
            table = self._table(x, training, keep=True)
            x = x.vectors() if table is None else table.inputs
        run = self._new_run(x, mask, training, states)
        outputs, h, c = run.results
        if outputs is None:
            outputs = self._last_output(h, mask)
        shapes = [outputs.shape]
        if c is not None:
            outputs = self._finish(outputs, [h, c])
            if self.return_state:
                shapes += [h.shape, c.shape]
        if self.activity_regularizer is not None:
            self._record_activity(outputs)
        variables = self.trainable_weights

        def pulled(cotangents: Any, inputs: bool) -> Gradients:
            d_outputs, d_h, d_c = cotangents, None, None
            if len(shapes) > 1 or not _checks.is_array(cotangents, self._dtype, shapes[0]):
                d_outputs, *rest = self._checked_cotangents(cotangents, shapes)
                d_h, d_c = rest or (None, None)
            gradients = self._pulled(run, mask, d_outputs, d_h, d_c, with_states, inputs)
            if table is not None:
                gradients = table.pulled(looked, gradients)
            d_x, d_h, d_c, *of_own = gradients
            return Gradients(
                [d_x, d_h, d_c] if in_list else d_x,
                [d_h, d_c] if with_states else None,
                self._in_order_of(variables, of_own),
            )

        return outputs, _Pullback(pulled)

    def _pulled(
        self,
        run: _engines.Run,
        mask: Any,
        d_outputs: Any,
        d_h: Any,
        d_c: Any,
        states: bool,
        inputs: bool = True,
    ) -> list[Any]:
        """The gradients of the inputs, of both initial states, and of the weights."""
        if self.return_sequences or d_outputs is None:
            return run.backward(d_outputs, d_h, d_c, states, inputs)
        if self.unroll and mask is not None:
            d_outputs = d_outputs.copy()
            d_outputs[self._never_read(mask)] = 0
        d_h = d_outputs if d_h is None else d_outputs + d_h
        return run.backward(None, d_h, d_c, states, inputs)

    def _run_in_trace(
        self, x: Any, mask: np.ndarray | None, training: bool, states: Any
    ) -> tuple[Any, list[Any]]:
        """The engine as a step of a trace: from a `call` of a subclass, or of another layer."""
        variables = self.trainable_weights

        def engine(x: np.ndarray, *states: np.ndarray) -> tuple[list[Any], Callable[..., Any]]:
            run = self._new_run(x, mask, training, list(states) or None)
            outputs, h, c = run.results

            def pull(cotangents: list[Any]) -> tuple[list[Any], list[Any]]:
                d_outputs, d_h, d_c = [*cotangents, None, None][:3]
                gradients = self._pulled(run, mask, d_outputs, d_h, d_c, bool(states))
                return gradients[: 1 + len(states)], self._in_order_of(variables, gradients[3:])

            results = [self._last_output(h, mask) if outputs is None else outputs]
            return results if c is None else [*results, h, c], pull

        outputs, *final = _trace.record(engine, [x, *(states or [])], variables)
        return outputs, final or [None, None]

    def _stream_from(self, state: list[np.ndarray]) -> Stream | LayerStream:
        cell = None if self._is_overridden(*_OWN_WAYS) else self._current_cell()
        return Stream(cell, state) if isinstance(cell, _core.Cell) else LayerStream(self, state)

    def _in_order_of(self, variables: list[Any], gradients: list[Any]) -> list[np.ndarray]:
        """The gradients of the weights of the cell, for these variables."""
        own = [self.kernel, self.recurrent_kernel, self.bias]
        own += [] if self._own is None else [self._own]
        if variables == own:
            return gradients
        found = {id(v): g for v, g in zip(own, gradients, strict=True) if v is not None}
        return [found[id(v)] if id(v) in found else np.zeros(v.shape, v.dtype) for v in variables]

    def _has_own_step(self) -> bool:
        return self._is_overridden("step", "preprocess_input")

    def _is_overridden(self, *names: str) -> bool:
        """Whether a subclass has ways of its own, which the engines do not know."""
        cls = type(self)
        return cls is not LSTM and any(getattr(cls, n) is not getattr(LSTM, n) for n in names)

    def _current_cell(self) -> _engines.Cell:
        """The cell of the weights and activations as they are now, which keeps them packed."""
        kernel, recurrent_kernel = self.kernel.value, self.recurrent_kernel.value
        bias = None if self.bias is None else self.bias.value
        own = None if self._own is None else self._own.value
        cell, given = self._cell, self._cell_activations
        if (
            cell is None
            or cell.kernel is not kernel
            or cell.recurrent_kernel is not recurrent_kernel
            or cell.bias is not bias
            or cell.own is not own
            or given[0] is not self.activation
            or given[1] is not self.recurrent_activation
        ):
            self._cell_activations = given = self.activation, self.recurrent_activation
            self._cell = cell = _engines.made_cell((kernel, recurrent_kernel, bias, own), *given)
        return cell

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_cell": None}


class _Pullback:
    """What `vjp` returns: from the cotangents to `Gradients`.

    Parameters
    ----------
    pulled : callable
        The same, also given whether those of the inputs are wanted.
    """

    def __init__(self, pulled: Callable[[Any, bool], Gradients]) -> None:
        self._pulled = pulled

    def __call__(self, cotangents: Any) -> Gradients:
        return self._pulled(cotangents, True)

    def of_weights(self, cotangents: Any) -> Gradients:
        """For training, where nothing trainable comes before: those of the inputs are None."""
        return self._pulled(cotangents, False)
