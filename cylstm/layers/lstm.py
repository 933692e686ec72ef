"""LSTM: long short-term memory, forward and backward through the compiled core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from cylstm import (
    _checks,
    _core,
    _spellings,
    _threads,
    _trace,
    activations,
    streaming,
)
from cylstm.layers import _passes
from cylstm.layers._lstm_steps import LSTMSteps
from cylstm.layers._lstm_weights import LSTMWeights
from cylstm.layers._options import LSTMOptions
from cylstm.layers._turns import in_turn
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, as_list
from cylstm.layers.recurrent import Recurrent

__all__ = ["LSTM"]

_OWN_WAYS = ("step", "preprocess_input", "call", "get_initial_state")


class LSTM(LSTMSteps, LSTMWeights, Recurrent):
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
        self.state_spec = [InputSpec(shape=(None, self.units)) for _ in range(2)]
        self.states = [None, None]
        self._core_weights: _core.Weights | None = None

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
        self.input_spec = [InputSpec(shape=(batch, None, self.input_dim))]
        self.built = True
        if self.stateful:
            self.reset_states()

    # ------------------------------------------------------------------ forward and backward

    def __call__(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> Any:
        x = self._plain(inputs, training)
        if x is not None:
            found = self._current_weights().forward(
                x, mask, initial_state, *self._options(), self.return_sequences,
                self.return_state, False, _threads.pool,
            )  # fmt: skip
            if found is not None:
                return self._plain_outputs(found)
        return super().__call__(inputs, mask, training, initial_state)

    __call__.__doc__ = Recurrent.__call__.__doc__

    def vjp(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        if type(self) is not LSTM and self._is_overridden():
            return super().vjp(inputs, mask, training, initial_state)
        states: Any = None if initial_state is None else list(as_list(initial_state))
        found, x = None, self._plain(inputs, training)
        if x is None:
            self._check_activations()
        else:
            weights, options = self._current_weights(), self._options()
            found = weights.forward(
                x, mask, states, *options, self.return_sequences, self.return_state, True,
                _threads.pool,
            )  # fmt: skip
        if found is not None:
            outputs = self._plain_outputs(found)
            run = _passes.Run(weights, x, mask, states, (None, None), options, found[3])
        else:
            with in_turn(self):
                x, mask, states = self._checked(inputs, mask, states)
                self._ensure_built(x)
                run = self._new_run(x, mask, bool(training), states or self._first_states(x))
                outputs = self._finish(*self._outputs_and_states(run, keep=True))
                self._record_activity(outputs)
        variables = self.trainable_weights
        with_states = states is not None
        in_list = with_states and initial_state is None

        def pullback(cotangents: Any) -> Gradients:
            d_inputs, d_h, d_c, *of_own = self._backward(run, cotangents, with_states)
            return Gradients(
                [d_inputs, d_h, d_c] if in_list else d_inputs,
                [d_h, d_c] if with_states else None,
                self._in_order_of(variables, of_own),
            )

        return outputs, pullback

    vjp.__doc__ = Recurrent.vjp.__doc__

    def _stream_from(self, state: list[np.ndarray]) -> streaming.Stream | streaming.LayerStream:
        fused = _passes.are_fused(self.activation, self.recurrent_activation)
        if type(self) is not LSTM or not fused:
            return streaming.LayerStream(self, state)
        numbers = self._options()[:2]
        return streaming.Stream(self._current_weights().packed(), *numbers, state)

    def _plain(self, inputs: Any, training: bool | None) -> np.ndarray | None:
        """The inputs in the layer's dtype if a call needs nothing but the core, which checks the
        rest; else None."""
        if not (
            type(inputs) is np.ndarray
            and self.built
            and type(self) is LSTM  # a subclass may have its own ways
            and not self.stateful
            and not self.unroll
            and self.activity_regularizer is None
            and self._initial_weights is None
            and not (training and (self.dropout or self.recurrent_dropout))
            and _passes.are_fused(self.activation, self.recurrent_activation)
        ):
            return None
        if inputs.dtype is self._dtype:
            return inputs
        return _checks.as_array(inputs, self._dtype, f"Input 0 of layer {self.name}")

    def _new_run(
        self, x: np.ndarray, mask: np.ndarray | None, training: bool, states: list[np.ndarray]
    ) -> _passes.Run:
        """A run over arguments that were checked."""
        masks = self._dropout_masks(x, training)
        return _passes.Run(self._current_weights(), x, mask, states, masks, self._options())

    def _run(
        self,
        x: np.ndarray,
        mask: np.ndarray | None,
        training: bool,
        states: list[np.ndarray],
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        if self._is_overridden("step", "preprocess_input"):
            return super()._run(x, mask, training, states)
        if _trace.is_traced(x, *states):
            return self._run_in_trace(x, mask, training, states)
        run = self._new_run(x, mask, training, states)
        return self._outputs_and_states(run, keep=False)

    def _run_in_trace(
        self, x: Any, mask: np.ndarray | None, training: bool, states: list
    ) -> tuple[Any, list]:
        """The core as a step of a trace: from a `call` of a subclass, or of another layer."""
        variables = self.trainable_weights

        def core(x: np.ndarray, *states: np.ndarray) -> tuple[list, Callable]:
            run = self._new_run(x, mask, training, list(states))
            outputs, final = self._outputs_and_states(run, keep=True)

            def pull(cotangents: list) -> tuple[list, list]:
                gradients = self._pulled(run, cotangents, True)
                return gradients[:3], self._in_order_of(variables, gradients[3:])

            return [outputs, *final], pull

        outputs, *final = _trace.record(core, [x, *states], variables)
        return outputs, final

    def _outputs_and_states(
        self, run: _passes.Run, keep: bool
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The output(s), then the final states; what `_backward` needs is kept if asked for."""
        outputs, h, c = run.forward(self.return_sequences, keep)
        if outputs is None:
            outputs = h.copy() if self.return_state else h
            outputs[self._never_read(run)] = 0
        return outputs, [h, c]

    def _plain_outputs(self, found: tuple) -> Any:
        """What a call returns, of the results of `Weights.forward`."""
        outputs, h, c, _ = found
        if not self.return_state:
            return h if outputs is None else outputs
        return [h.copy() if outputs is None else outputs, h, c]

    def _never_read(self, run: _passes.Run) -> Any:
        """Index of the rows whose last output is zero: unrolled, and masked at every timestep."""
        if run.mask is None or not self.unroll or run.mask.shape[1] == 0:
            return slice(0)
        return ~run.mask.any(axis=1)

    def _backward(self, run: _passes.Run, cotangents: Any, states: bool) -> list:
        """The gradients of the inputs, of both initial states, and of the weights."""
        if type(cotangents) is np.ndarray and not self.return_state and not self.unroll:
            last = None if self.return_sequences else cotangents
            found = run.quick_backward(cotangents if last is None else None, last, None, states)
            if found is not None:
                return found
        batch, timesteps, _ = run.inputs.shape
        shapes = self.compute_output_shape((batch, timesteps, self.input_dim))
        checked = self._checked_cotangents(cotangents, shapes if self.return_state else [shapes])
        return self._pulled(run, checked + [None] * (3 - len(checked)), states)

    def _pulled(self, run: _passes.Run, cotangents: Sequence, states: bool) -> list:
        """`_backward` of the cotangents of the output(s), h and c, checked; or None."""
        d_outputs, d_h, d_c = cotangents
        if not self.return_sequences and d_outputs is not None:
            d_last = d_outputs.copy()
            d_last[self._never_read(run)] = 0
            d_h = d_last if d_h is None else d_last + d_h
            d_outputs = None
        return run.backward(d_outputs, d_h, d_c, states)

    def _in_order_of(self, variables: list, gradients: list) -> list[np.ndarray]:
        """The gradients of the kernel, the recurrent kernel and the bias, for these variables."""
        own = [self.kernel, self.recurrent_kernel, self.bias]
        if variables == own:
            return gradients
        found = {id(v): g for v, g in zip(own, gradients, strict=True) if v is not None}
        return [found[id(v)] if id(v) in found else np.zeros(v.shape, v.dtype) for v in variables]

    def _options(self) -> tuple[Any, Any, bool, bool]:
        """How the core is to run: see `_passes.Run`."""
        number = _passes.activation_number
        return (
            number(self.activation),
            number(self.recurrent_activation),
            self.go_backwards,
            self.unroll,
        )

    def _is_overridden(self, *names: str) -> bool:
        """Whether a subclass has ways of its own, which the core does not know."""
        cls, names = type(self), names or _OWN_WAYS
        return any(getattr(cls, n) is not getattr(LSTM, n) for n in names)

    def _check_activations(self) -> None:
        """Raise where an activation has no derivative, before anything is computed."""
        for activation in (self.activation, self.recurrent_activation):
            if callable(_passes.activation_number(activation)):
                activations.vjp(activation)

    def _current_weights(self) -> _core.Weights:
        """The weights as they are now, for the core, which keeps them packed."""
        kernel, recurrent_kernel = self.kernel.value, self.recurrent_kernel.value
        bias = None if self.bias is None else self.bias.value
        weights = self._core_weights
        if (
            weights is None
            or weights.kernel is not kernel
            or weights.recurrent_kernel is not recurrent_kernel
            or weights.bias is not bias
        ):
            weights = self._core_weights = _core.Weights(kernel, recurrent_kernel, bias)
        return weights

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_core_weights": None}
